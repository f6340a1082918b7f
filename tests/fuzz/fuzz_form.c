#include "form.h"
#include "fuzz.h"

FUZZ_TARGET(form)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_problem problem = { .arena = arena };
    json_t *form;
    if (mu_form_urlencoded(arena, (const char *)data, n, &problem, &form) == MU_OK)
        HOLDS(json_is_object(form));
    else
        HOLDS(problem.count == 1);
    mu_arena_free(arena);
    return 0;
}
