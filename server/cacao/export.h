/* Shared by the two halves of the export: the graph, and the objects in it. */
#ifndef MU_CACAO_EXPORT_H
#define MU_CACAO_EXPORT_H

#include "cacao_private.h"

typedef struct {
    mu_arena *arena;
    const json_t *doc;
    const mu_export_options *options;
    mu_problem *problem;
    const char *slug;
    json_t *workflow, *agents, *targets, *variables;
    json_t *blocks;          /* name to the id of its first step; null while it is being written */
    bool failed;
} exporter;

/* type--UUID, of version 4's form, from the playbook, its version when `versioned`, and a place in it. */
char *mu_cacao_id(const exporter *x, const char *type, bool versioned, const char *place);
const char *mu_cacao_kind(const json_t *step);                      /* the one key that names the kind; NULL when there is none */
json_t *mu_cacao_strip(const json_t *step);                         /* a copy that may be changed; new reference */

/* The commands, agent, targets and arguments of an action for a step. */
void mu_cacao_action(exporter *x, json_t *object, const json_t *step, const char *kind);
void mu_cacao_names(exporter *x, json_t *object, const json_t *step);   /* name and description */
/* A condition in CACAO's words, NULL when the expression needs more than they can say. */
char *mu_cacao_condition_of(exporter *x, const char *expression);
char *mu_cacao_templates(exporter *x, const char *text);            /* {{v}} of a variable becomes __v__:value */
bool mu_cacao_declared(const exporter *x, const char *name);
char *mu_cacao_helper_variable(exporter *x, const char *id, const char *what);   /* a bool, declared; __id_what__ */
const char *mu_cacao_agent(exporter *x, const char *role);
void mu_cacao_variables(exporter *x);
/* The file around the workflow. */
json_t *mu_cacao_envelope(exporter *x, const char *start, const char *exception, json_t *document, json_t *blocks);

#endif
