/* One error type. A fallible function returns mu_err and records what went wrong once, where it went wrong, in a
 * mu_problem; whoever answers the caller turns that into a problem document (RFC 9457) or into a page. */
#ifndef MU_ERR_H
#define MU_ERR_H

#include "arena.h"

typedef enum {
#define E(name, http, code, states) name,
#include "errors.def"
#undef E
    MU_ERR_MAX
} mu_err;

/* One bad field. `pointer` is a JSON Pointer (RFC 6901) into the body, or "" for the whole; `key` is a key of
 * web/i18n; `args` are the named placeholders of that text, as name, value, name, value, …, NULL. */
typedef struct mu_fault {
    const char *pointer, *key, *const *args;
    struct mu_fault *next;
} mu_fault;

typedef struct mu_problem {
    mu_arena   *arena;
    mu_err      code;          /* the first error; MU_OK while there is none */
    const char *detail;        /* for the log only, never for the caller */
    mu_fault   *first, *last;  /* in the order found */
    unsigned    count;         /* at most MU_FAULTS_MAX are kept */
} mu_problem;

#define MU_FAULTS_MAX 20

/* Records a fault and returns `code`, so that `return mu_fail(…)` reads well. pointer and key may be NULL (then only
 * the code's own text is shown). The variadic part is name, value pairs of strings, closed by NULL. */
mu_err mu_fail(mu_problem *problem, mu_err code, const char *pointer, const char *key, ...) __attribute__((sentinel));

/* Records the developer's detail (first one wins) beside the problem and returns `code`. */
mu_err mu_failf(mu_problem *problem, mu_err code, const char *format, ...) __attribute__((format(printf, 3, 4)));

int         mu_err_status(mu_err err);              /* HTTP status */
bool        mu_err_passes(mu_err err);              /* the same thing may go well a little later: try again, record nothing */
const char *mu_err_code(mu_err err);                /* stable code, static */
mu_err      mu_err_of_sqlstate(const char *state);  /* MU_INTERNAL when nothing fits; the longest prefix wins */

#endif
