#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct { int status; const char *code, *states; } row;

static const row rows[MU_ERR_MAX] = {
#define E(name, http, code, states) [name] = { http, code, states },
#include "errors.def"
#undef E
};

static const char *const *copy_args(mu_arena *arena, const char *const *from, size_t n)
{
    const char **args = mu_alloc(arena, (n + 1) * sizeof *args);
    for (size_t i = 0; i < n; i++)
        args[i] = mu_strdup(arena, from[i]);
    return args;
}

mu_err mu_fail(mu_problem *problem, mu_err code, const char *pointer, const char *key, ...)
{
    if (problem == NULL)
        return code;
    if (problem->code == MU_OK)
        problem->code = code;
    if (pointer == NULL && key == NULL)
        return code;
    if (problem->count >= MU_FAULTS_MAX)
        return code;

    const char *args[16];
    size_t n = 0;
    va_list list;
    va_start(list, key);
    for (const char *name = va_arg(list, const char *); name != NULL && n + 2 <= 16; name = va_arg(list, const char *)) {
        const char *value = va_arg(list, const char *);
        if (value == NULL)
            break;
        args[n++] = name;
        args[n++] = value;
    }
    va_end(list);

    mu_fault *fault = mu_alloc(problem->arena, sizeof *fault);
    fault->pointer = mu_strdup(problem->arena, pointer != NULL ? pointer : "");
    fault->key = key != NULL ? mu_strdup(problem->arena, key) : NULL;
    fault->args = copy_args(problem->arena, args, n);
    if (problem->last != NULL)
        problem->last->next = fault;
    else
        problem->first = fault;
    problem->last = fault;
    problem->count++;
    return code;
}

mu_err mu_failf(mu_problem *problem, mu_err code, const char *format, ...)
{
    if (problem == NULL)
        return code;
    if (problem->code == MU_OK)
        problem->code = code;
    if (problem->detail == NULL) {
        va_list args;
        va_start(args, format);
        problem->detail = mu_vprintf(problem->arena, format, args);
        va_end(args);
    }
    return code;
}

int mu_err_status(mu_err err)
{
    return (unsigned)err < MU_ERR_MAX ? rows[err].status : 500;
}

bool mu_err_passes(mu_err err)
{
    return err == MU_RETRY || err == MU_UNAVAILABLE || err == MU_FULL || err == MU_TIMEOUT;
}

const char *mu_err_code(mu_err err)
{
    return (unsigned)err < MU_ERR_MAX ? rows[err].code : "internal";
}

mu_err mu_err_of_sqlstate(const char *state)
{
    mu_err best = MU_INTERNAL;
    size_t longest = 0;
    if (state == NULL)
        return best;
    for (int i = 0; i < MU_ERR_MAX; i++) {
        for (const char *at = rows[i].states; *at != '\0'; ) {
            size_t n = strcspn(at, " ");
            if (n > longest && strncmp(state, at, n) == 0) {
                best = (mu_err)i;
                longest = n;
            }
            at += n;
            at += strspn(at, " ");
        }
    }
    return best;
}
