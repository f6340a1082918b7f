#include "form.h"
#include "fuzz.h"

/* The first line is the content type, the rest the body. */
FUZZ_TARGET(multipart)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_problem problem = { .arena = arena };
    json_t *form;
    const uint8_t *line = n > 0 ? memchr(data, '\n', n) : NULL;
    size_t head = line != NULL ? (size_t)(line - data) : 0;
    const char *type = mu_strndup(arena, (const char *)data, head);
    const uint8_t *body = line != NULL ? line + 1 : data;
    size_t body_n = n - (size_t)(body - data);
    uint8_t *copy = malloc(body_n > 0 ? body_n : 1); /* its own block, so that a read behind the end is seen */
    HOLDS(copy != NULL);
    if (body_n > 0)
        memcpy(copy, body, body_n);
    if (mu_form_multipart(arena, type, (const char *)copy, body_n, &problem, &form) != MU_OK)
        HOLDS(problem.count == 1);
    free(copy);
    mu_arena_free(arena);
    return 0;
}
