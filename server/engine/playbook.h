/* Playbooks: from a checked document to a model that apply() can run, and the findings on the way.
 * Pure: no clock, no I/O, no random. The shapes are described in README.md of this folder. */
#ifndef MU_PLAYBOOK_H
#define MU_PLAYBOOK_H

#include <jansson.h>
#include "base.h"
#include "mu_yaml.h"

#define MU_PLAYBOOK_FORMAT   "muster/1"
#define MU_PLAYBOOK_BYTES    (1024u * 1024u)   /* of the source text */
#define MU_PLAYBOOK_STEPS    2000              /* as written */
#define MU_PLAYBOOK_NODES    6000              /* after each called block has been put in its place */
#define MU_PLAYBOOK_INLINED  (1024u * 1024u)   /* of the texts of called blocks, counted for each call */
#define MU_PLAYBOOK_DEPTH    24
#define MU_FINDINGS_MAX      200               /* later ones are counted, not kept */

/* A parsed playbook. It lives in the arena it was parsed into and is never changed afterwards, so that several threads
 * may read one; borrowed by everything that applies events to its runs. */
typedef struct mu_playbook mu_playbook;

typedef enum { MU_FINDING_ERROR, MU_FINDING_WARNING } mu_finding_level;

/* One broken rule. `message` and `hint` are word keys; `args` holds the placeholders of the message. */
typedef struct mu_finding {
    char             rule[4];          /* "V07" */
    mu_finding_level level;
    const char      *path;             /* path of the step, "" for the playbook itself */
    const char      *pointer;          /* JSON Pointer into the document */
    mu_position      at;               /* {0,0} when the document has no marks */
    const char      *message, *hint;
    json_t          *args;             /* flat object of strings */
    unsigned         waive;            /* how many people may let it pass with a reason: 0 nobody, 1, 2 */
    struct mu_finding *next;
} mu_finding;

typedef struct {
    mu_arena   *arena;
    mu_finding *first, *last;          /* ordered by rule of discovery; mu_findings_json() orders by line */
    unsigned    errors, warnings;
    unsigned    kept;
    const json_t *around;              /* what is known of the world outside the document (README.md, "Surroundings"); borrowed */
} mu_findings;

/* `around` is NULL afterwards: only what the document itself shows is checked. Whoever knows more sets it before reading. */
void mu_findings_start(mu_findings *findings, mu_arena *arena);

/* [{"id","level","path","pointer","line","column","message","args","hint","waive"}], errors and warnings by line. Owner: the arena. */
json_t *mu_findings_json(const mu_findings *findings);

/* Reads `doc` (an object) and checks it. `marks` may be NULL. *ret is set when the model could be built without an error of
 * rank V01, V02, V04, V05, V07, V09, V12 or V30; otherwise it is NULL. Returns MU_OK when there is no finding of level error,
 * else MU_INVALID. A document that uses a step kind of the format that is not supported yet gets a finding that says so. */
mu_err mu_playbook_parse(mu_arena *arena, const json_t *doc, const mu_marks *marks, mu_findings *findings, mu_playbook **ret);

/* YAML or JSON text (JSON when the first character is '{') to document and model in one go; used by `muster playbook check`.
 * Syntax errors become findings of rule V01. *ret_doc may be NULL when not wanted; it is NULL after a syntax error. */
mu_err mu_playbook_read(mu_arena *arena, const char *text, size_t n, mu_findings *findings, json_t **ret_doc, mu_playbook **ret);

const char   *mu_playbook_id(const mu_playbook *playbook);
const json_t *mu_playbook_document(const mu_playbook *playbook);     /* borrowed */

/* SHA-256, hex, of the canonical JSON (RFC 8785) of a document: the name of the version. NULL when it has no canonical form. */
char *mu_playbook_hash(mu_arena *arena, const json_t *doc);

/* YAML text of a document, keys in the format's own order; mu_playbook_read() gives an equal document back. NULL when it has no such
 * form: over 1 MiB, deeper than 24, a key over 256 bytes. Owner: the arena. */
char *mu_playbook_yaml(mu_arena *arena, const json_t *doc);

/* The steps as they would run, in order, without any run: [{path, step_id, kind, title, role, depth, …}]; the shape of a step row
 * with status "pending". For the editor's preview and for printing. Owner: the arena. */
json_t *mu_playbook_outline(mu_arena *arena, const mu_playbook *playbook);

/* Seconds along the longest way to the milestone that stops the clock `rto` (to the end when there is none): deadlines and waits. */
int64_t mu_playbook_longest(const mu_playbook *playbook);

/* What the playbook names outside itself: {"roles":{id:{zh,en,min,max,deputy}}, "groups":[…], "users":[…], "contacts":[…],
 * "channels":[…], "profiles":[…], "components":[…], "connections":[…], "playbooks":[…], "secrets":[…], "vars":[{name,type,from,values,required}]}. The store checks these against the
 * database when a version is published, and the run form asks for the vars. Owner: the arena. */
json_t *mu_playbook_needs(mu_arena *arena, const mu_playbook *playbook);

/* What other playbooks must know of this document to call it: {"params","vars","calls":["slug" or "slug@3"],"outside"}; one entry of
 * the surroundings' "playbooks.SLUG.versions". `doc` may be any JSON: what does not fit is left out. Owner: the arena. */
json_t *mu_playbook_summary(mu_arena *arena, const json_t *doc);

#endif
