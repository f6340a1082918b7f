#include "fuzz.h"
#include "json.h"
#include "spec.h"

static const mu_field json_fields[] = {
    { .name = "s", .type = MU_F_STR, .required = true, .least = 1, .most = 9 }, { .name = "t", .type = MU_F_TEXT },
    { .name = "i", .type = MU_F_INT, .least = -5, .most = 5 }, { .name = "b", .type = MU_F_BOOL },
    { .name = "e", .type = MU_F_ENUM, .values = "a bb" }, { .name = "m", .type = MU_F_EMAIL }, { .name = "u", .type = MU_F_URL },
    { .name = "at", .type = MU_F_TIME }, { .name = "d", .type = MU_F_DATE }, { .name = "w", .type = MU_F_DURATION },
    { .name = "n", .type = MU_F_LANG_TEXT, .required = true }, { .name = "p", .type = MU_F_SECRET },
    { .name = "l", .type = MU_F_LIST, .of = MU_F_LANG_TEXT, .most = 4 }, { .name = "j", .type = MU_F_JSON },
    { .name = "f", .type = MU_F_FILE, .most = 20 },
};

/* A body, checked as JSON and as a form; what was read must survive being written. */
FUZZ_TARGET(json)
{
    static const mu_spec spec = { "fuzz", json_fields, MU_COUNT(json_fields) };
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_problem problem = { .arena = arena };
    json_t *json, *again, *out;
    if (mu_json_parse(arena, (const char *)data, n, &problem, &json) == MU_OK) {
        char *text = mu_json_text(arena, json);
        HOLDS(text != NULL);
        /* A real such as 1e18 is written as a whole number, which is beyond what a body may hold. */
        mu_problem second = { .arena = arena };
        mu_err err = mu_json_parse(arena, text, strlen(text), &second, &again);
        HOLDS(err == MU_OK || strcmp(second.first->key, "error.json.integer") == 0 || strcmp(second.first->key, "error.json.syntax") == 0);
        if (err == MU_OK)
            HOLDS(strcmp(mu_json_text(arena, again), text) == 0);
        mu_buf first = MU_BUF(SIZE_MAX / 2), repeated = MU_BUF(SIZE_MAX / 2);
        HOLDS(mu_json_canonical(json, &first));
        if (mu_json_parse(arena, first.at, first.n, &second, &again) == MU_OK)
            HOLDS(mu_json_canonical(again, &repeated) && strcmp(first.at, repeated.at) == 0);
        mu_buf_free(&first);
        mu_buf_free(&repeated);
        for (int form = 0; form < 2; form++) {
            problem = (mu_problem){ .arena = arena };
            err = mu_spec_check(arena, &spec, json, form == 1, &problem, &out);
            HOLDS((err == MU_OK) == (problem.count == 0));
        }
    } else {
        HOLDS(problem.count == 1);
    }
    mu_arena_free(arena);
    return 0;
}
