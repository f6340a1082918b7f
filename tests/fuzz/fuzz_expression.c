#include <string.h>
#include "fuzz.h"
#include "expression.h"

static bool any_type(void *closure, const char *name, mu_type *ret)
{
    (void)closure;
    *ret = (mu_type){ .kind = name[0] % 2 == 0 ? MU_T_INT : MU_T_DURATION };
    return name[0] != 'z';
}

static bool any_value(void *closure, mu_arena *arena, const char *name, mu_value *ret)
{
    (void)closure; (void)arena;
    *ret = (mu_value){ .kind = name[0] % 2 == 0 ? MU_T_INT : MU_T_DURATION, .number = INT64_MAX / 3 };
    return name[0] != 'y';
}

/* Whatever parses can be checked and evaluated; what passed the check never fails by its types. */
FUZZ_TARGET(expression)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_names names = { .type = any_type, .value = any_value };
    mu_expression_error why = { 0 };
    mu_type type;
    const mu_expression *e = mu_expression_parse(arena, mu_strndup(arena, (const char *)data, n), &why);

    HOLDS(e != NULL || why.key != NULL);
    if (e != NULL) {
        bool good = mu_expression_check(e, &names, &type, &why);
        mu_value value = mu_expression_evaluate(arena, e, &names);
        HOLDS(!good || value.kind != MU_T_ERROR || strcmp(value.text, "error.expression.type") != 0);
        HOLDS(mu_value_text(arena, &value) != NULL);
    }
    mu_arena_free(arena);
    return 0;
}
