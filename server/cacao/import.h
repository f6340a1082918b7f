/* Shared by the files of the import: the walk through the graph, and the parts of a step. */
#ifndef MU_CACAO_IMPORT_H
#define MU_CACAO_IMPORT_H

#include "cacao_private.h"

typedef struct {
    mu_arena *arena;
    reporter *r;
    json_t   *file, *workflow;
    const mu_import_options *options;
    bool      ours;            /* the file carries a document of our own */
    json_t   *ids;             /* ids in use: steps and blocks */
    json_t   *counts;          /* per base of an id, how often it was asked for */
    json_t   *names;           /* CACAO variable, without underscores, to ours */
    json_t   *vars, *roles;    /* as in the document */
    json_t   *degree;          /* how many references a step has, those of joins taken off */
    json_t   *joined;          /* steps whose line of failure comes back where the line of success goes on */
    json_t   *visited;
    json_t   *block_of;        /* id of a first step to the name of its block */
    json_t   *queue;           /* ids of first steps of blocks not written yet */
    json_t   *blocks;
    json_t   *kept;            /* x-cacao/steps */
    unsigned  secrets;
} importer;

/* An id that nobody has: of the text's letters and digits, else of `fallback`; numbered when it is taken. */
const char *mu_import_id(importer *im, const char *text, const char *fallback);
const char *mu_import_slug(mu_arena *arena, const char *text, bool dash);   /* NULL: no letter in it */
/* Texts of others: control characters dropped, "{{" broken up, __v__:value turned into {{v}}. */
const char *mu_import_text(importer *im, const char *text);
json_t *mu_import_title(importer *im, const char *text);       /* by its script: {"zh"|"en": text}; new reference */
void mu_import_variables(importer *im);
const char *mu_import_variable(importer *im, const char *name);  /* with or without underscores; declared when it is new */
const char *mu_import_fresh(importer *im, const char *base, const char *type, json_t *value);   /* a variable of our own; takes the value */
const char *mu_import_type(const importer *im, const char *variable);
char *mu_import_condition(importer *im, const char *text);       /* an expression, NULL when a person must judge */
const char *mu_import_role(importer *im, const char *agent);
/* The step of one command; new reference. *ret_id = its id. */
json_t *mu_import_command(importer *im, const char *cacao_id, const json_t *step, const json_t *command, const char **ret_id);
char *mu_import_duration(importer *im, int64_t milliseconds);    /* NULL when it is none */

/* The list of steps from `at` to an end step, or up to `stop`. New reference. `root`: what ends here ends the run. */
json_t *mu_import_walk(importer *im, const char *at, const char *stop, unsigned depth, bool root);
void mu_import_blocks(importer *im);                             /* writes what is queued */

#endif
