/* CACAO Security Playbooks 2.0 (OASIS Committee Specification 01, 27 November 2023): check, import, export, signatures, markings.
 * Pure: no clock, no input, no output. What is supported, and what is not, is in README.md of this folder. */
#ifndef MU_CACAO_H
#define MU_CACAO_H

#include <jansson.h>
#include "base.h"

#define MU_CACAO_MEDIA_TYPE "application/cacao+json"
#define MU_CACAO_BYTES      (1024u * 1024u)
#define MU_CACAO_STEPS      10000
/* Our extension definition. Constant for ever: every file we have ever written names it. */
#define MU_CACAO_EXTENSION  "extension-definition--5f3c7e52-6a0d-4c1b-9d84-2b7e90a1c6f4"

typedef enum { MU_CACAO_OK, MU_CACAO_WARN, MU_CACAO_REJECT } mu_cacao_verdict;
const char *mu_cacao_verdict_word(mu_cacao_verdict verdict);       /* ok, warn, reject */

/* True when a text is meant as a CACAO playbook, even one that does not parse: JSON that is not of our own format and names
 * members that only CACAO has. */
bool mu_cacao_looks(const char *text, size_t n);

/* Checks a file by the rules C001 to C050. ret_findings: [{"id","level":"error|warning|note","path","pointer","line","column","message",
 * "args","hint"}], the shape of mu_findings_json(); `pointer` and line are places in the CACAO file, `path` is the id of the step.
 * ret_file: the parsed file, NULL when it does not parse; may be NULL. Owner of both: the arena. */
mu_cacao_verdict mu_cacao_check(mu_arena *arena, const char *text, size_t n, json_t **ret_findings, json_t **ret_file);

typedef struct {
    bool        strict;                /* accept only what has no warning either */
    bool        completion_on_failure; /* on_completion is followed after a failure, too */
    const char *now;                   /* RFC 3339, to judge dates of validity; NULL: not judged */
} mu_import_options;

typedef struct {
    const char *source_format;   /* muster-yaml, muster-json, cacao-2.0: what the database calls it */
    json_t     *document;        /* muster/1; NULL when none could be made: then the findings say why */
    json_t     *findings;        /* of the file and of the document made of it; kept beside the draft */
    unsigned    errors;          /* findings of level error */
    mu_cacao_verdict verdict;    /* of a CACAO file */
    json_t     *signatures;      /* [{"id","algorithm","state":"valid|invalid|no_key|unsupported","form":"digest|bytes"|null,"dates":"inside|outside|unknown"}] */
    const char *tlp;             /* "TLP:GREEN" …: the narrowest marking; NULL when there is none */
    unsigned    secrets;         /* cut out of the document; while there are any, the source text is kept sealed (mu_seal) and the draft
                                    cannot be published before they are in the secret store */
} mu_import;

/* Reads a playbook in any of the formats: native YAML, native JSON, CACAO. The text itself is what the version keeps as its source, byte
 * for byte, so that an export without an edit gives the same JSON value. Returns MU_OK when a document was made (it may have findings), else
 * MU_INVALID. All in the arena. */
mu_err mu_playbook_import(mu_arena *arena, const char *text, size_t n, const mu_import_options *options, mu_import *ret);

/* Who will read an export, from narrow to wide. */
typedef enum { MU_AUDIENCE_RECIPIENTS, MU_AUDIENCE_ORGANISATION, MU_AUDIENCE_CLIENTS, MU_AUDIENCE_COMMUNITY, MU_AUDIENCE_PUBLIC } mu_audience;
bool mu_audience_find(const char *word, mu_audience *ret);         /* recipients, organisation, clients, community, public */

typedef struct {
    unsigned    version;         /* of the playbook */
    const char *created;         /* RFC 3339: when the playbook, and when this version, was made */
    const char *modified;
    const char *author;          /* UUID of the organisation, for created_by; NULL: one derived from the playbook's id */
    mu_audience audience;
} mu_export_options;

/* CACAO file of a document. The same document, version and times give the same bytes. MU_INVALID with a fault: the document is not one
 * the engine would accept, its blocks call each other in a circle, or its marking does not allow the audience. Owner: the arena. */
mu_err mu_cacao_export(mu_arena *arena, const json_t *doc, const mu_export_options *options, mu_problem *problem, json_t **ret);

/* The export of a version that was imported and never edited: checks the marking of the kept source and returns it as it is. */
mu_err mu_cacao_export_source(mu_arena *arena, const char *source, size_t n, mu_audience audience, mu_problem *problem);

/* A version as the database keeps it; `source` may be sealed. */
typedef struct { const char *document, *source_format, *source; unsigned version; const char *created, *modified; } mu_version;
/* Its file as yaml, json or cacao: the source itself where it has that format already. MU_FORBIDDEN: the marking does not allow the audience
 * (asked for every format: the words are the same). */
mu_err mu_version_text(mu_arena *arena, const mu_version *version, const char *format, mu_audience audience, mu_problem *problem, const char **ret);

/* JSON text for people: two spaces, the order of the tree. */
char *mu_cacao_text(mu_arena *arena, const json_t *file);

#endif
