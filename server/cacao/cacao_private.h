/* Shared by the files of this folder. */
#ifndef MU_CACAO_PRIVATE_H
#define MU_CACAO_PRIVATE_H

#include "cacao.h"
#include "mu_yaml.h"

typedef enum { NOTE, WARNING, ERROR } severity;

/* Collects findings about a file; `marks` gives lines, NULL when the file has none. */
typedef struct {
    mu_arena *arena;
    json_t   *list;
    const mu_marks *marks;
    unsigned  errors, warnings, unkept;
} reporter;

/* message = "finding.ID" or, with `what`, "finding.ID.what"; the hint is "finding.ID.hint". Then pairs name, value, NULL. */
void mu_cacao_find(reporter *r, const char *id, severity level, const char *what, const char *step, const char *pointer, ...) MU_SENTINEL;

/* References of a step in the order of the standard: calls `each` with the member's pointer part and the id. */
typedef void (*reference_fn)(void *closure, const char *place, const char *id);
void mu_cacao_references(mu_arena *arena, const json_t *step, reference_fn each, void *closure);
/* The next step of the line: on_completion, else on_success. NULL at its end. */
const char *mu_cacao_next(const json_t *step);
bool mu_cacao_is_end(const json_t *step);
bool mu_cacao_type_is(const json_t *step, const char *type);

/* A condition: one comparison, a bare __v__:value, or several joined by AND, OR, NOT. */
typedef struct condition {
    enum { COND_COMPARE, COND_BARE, COND_AND, COND_OR, COND_NOT } kind;
    const char *variable, *op, *literal;   /* without the underscores and quotes */
    struct condition *left, *right;
} condition;
const condition *mu_cacao_condition(mu_arena *arena, const char *text);   /* NULL: it cannot be parsed */

/* The next reference __name__:value at or behind `text`: its place, name without underscores, and what follows. NULL: none. */
const char *mu_cacao_variable(mu_arena *arena, const char *text, char **ret_name, const char **ret_rest);
bool mu_cacao_variable_name(const char *name);   /* __name__ */

/* Members of authentication info that hold secrets: calls `each` for every literal one. */
typedef void (*secret_fn)(void *closure, const char *pointer, json_t *holder, const char *member);
void mu_cacao_secrets(mu_arena *arena, json_t *file, secret_fn each, void *closure);

json_t *mu_cacao_signatures(reporter *r, const json_t *file, const char *now);
mu_err mu_cacao_allows(const json_t *file, mu_audience audience, mu_problem *problem);
const char *mu_cacao_tlp(const json_t *file);    /* the narrowest; NULL: none */

/* What a step of a file is to our extension; NULL: not ours. */
const json_t *mu_cacao_extension(const json_t *step);

json_t *mu_cacao_document(reporter *r, json_t *file, const mu_import_options *options, unsigned *ret_secrets);

#endif
