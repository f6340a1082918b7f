/* What a refusal raised in SQL says, as a fault. */
#include "fault.h"

#include <jansson.h>
#include "str.h"

/* The hint of a raised error is a flat JSON object of placeholders. */
static const char *const *hint_args(mu_arena *arena, const char *hint)
{
    json_t *object = hint != NULL ? json_loads(hint, JSON_REJECT_DUPLICATES, NULL) : NULL;
    const char **args, *name;
    json_t *value;
    size_t n = 0;

    if (!json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    args = mu_alloc(arena, (2 * json_object_size(object) + 1) * sizeof *args);
    json_object_foreach(object, name, value) {
        args[n++] = mu_strdup(arena, name);
        args[n++] = json_is_string(value) ? mu_strdup(arena, json_string_value(value))
                  : json_is_integer(value) ? mu_printf(arena, "%lld", (long long)json_integer_value(value))
                  : json_is_boolean(value) ? (json_is_true(value) ? "true" : "false") : "";
    }
    json_decref(object);
    return args;
}

mu_err mu_db_fault(mu_problem *problem, mu_err code, const char *pointer, const char *key, const char *hint)
{
    const unsigned before = problem->count;
    const mu_err ret = mu_fail(problem, code, pointer, key, NULL);

    if (problem->count > before) {
        const char *const *args = hint_args(problem->arena, hint);
        if (args != NULL)
            problem->last->args = args;
    }
    return ret;
}
