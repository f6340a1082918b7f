#include "fuzz.h"
#include "json.h"
#include "mu_yaml.h"

/* Every value that was read has a place. */
static void yaml_places(mu_arena *arena, const json_t *json, const mu_marks *marks, const char *pointer)
{
    HOLDS(mu_marks_find(marks, pointer).line > 0);
    for (size_t i = 0; i < json_array_size(json) && i < 20; i++)
        yaml_places(arena, json_array_get(json, i), marks, mu_printf(arena, "%s/%zu", pointer, i));
    json_t *object = (json_t *)(uintptr_t)json;
    for (void *iter = json_object_iter(object); iter != NULL; iter = json_object_iter_next(object, iter))
        if (strpbrk(json_object_iter_key(iter), "/~") == NULL)
            yaml_places(arena, json_object_iter_value(iter), marks, mu_printf(arena, "%s/%s", pointer, json_object_iter_key(iter)));
}

FUZZ_TARGET(yaml)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_problem problem = { .arena = arena };
    json_t *json;
    mu_marks *marks;
    if (mu_yaml_parse(arena, (const char *)data, n, &problem, &json, &marks) == MU_OK) {
        HOLDS(mu_json_text(arena, json) != NULL);
        yaml_places(arena, json, marks, "");
    } else {
        HOLDS(problem.count == 1);
    }
    mu_arena_free(arena);
    return 0;
}
