/* The real table: it must be servable as it is, and describe itself completely. */
#include "test_help.h"
#include "conf.h"
#include "req.h"
#include "routes.h"

static int start(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };
    char name[] = "test", *argv[] = { name, NULL };
    int argc = 1;

    (void)state;
    mu_routes_prepare();
    return mu_conf_load(&problem, "/dev/null", &argc, argv) == MU_OK && mu_pages_start(&problem) == MU_OK ? 0 : -1;
}

static void test_build(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };

    (void)state;
    if (mu_routes_build(mu_routes, mu_routes_count, &problem) != MU_OK)
        fail_msg("%s", problem.detail);
    assert_true(mu_routes_count > 50);
}

/* A parameter of a row's query must come from somewhere, or it is always NULL. */
static bool has_field(const mu_spec *spec, const char *name)
{
    for (size_t i = 0; spec != NULL && i < spec->count; i++)
        if (strcmp(spec->fields[i].name, name) == 0)
            return true;
    return false;
}

static bool in_path(const char *path, const char *name)
{
    const size_t n = strlen(name);

    for (const char *at = strchr(path, '{'); at != NULL; at = strchr(at + 1, '{'))
        if (strncmp(at + 1, name, n) == 0 && at[1 + n] == ':')
            return true;
    return false;
}

static void test_parameters(void **state)
{
    static const char *const implicit[] = { "body", "form", "key", "etag", "request", "lang", "cursor", "limit" };

    (void)state;
    for (size_t i = 0; i < mu_routes_count; i++) {
        const mu_route *route = &mu_routes[i];
        const mu_query_row *query = &mu_query_info[route->sql];
        for (int k = 0; route->fn == NULL && k < query->nparams; k++) {
            bool known = in_path(route->path, query->params[k]) || has_field(route->query, query->params[k]) || has_field(route->body, query->params[k]);
            for (size_t j = 0; j < MU_COUNT(implicit); j++)
                known = known || strcmp(implicit[j], query->params[k]) == 0;
            if (!known)
                fail_msg("row %s: parameter %s of its query is in neither path, query string nor body", route->name, query->params[k]);
        }
    }
}

static void test_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < mu_routes_count; i++)
        for (size_t k = 0; mu_routes[i].body != NULL && k < mu_routes[i].body->count; k++) {
            const mu_field *field = &mu_routes[i].body->fields[k];
            if (field->help == NULL || field->help[0] == '\0')
                fail_msg("row %s: field %s says nothing about itself", mu_routes[i].name, field->name);
            if (field->type == MU_F_LIST && field->values != NULL && strcmp(field->values, "REF") == 0)
                fail_msg("row %s: list %s was not prepared", mu_routes[i].name, field->name);
        }
}

static void check_operation(json_t *seen, const char *path, json_t *operation)
{
    const char *id = json_string_value(json_object_get(operation, "operationId"));
    json_t *responses = json_object_get(operation, "responses");

    assert_non_null(id);
    if (json_object_get(seen, id) != NULL)
        fail_msg("operationId %s twice", id);
    json_object_set_new(seen, id, json_true());
    if (json_string_value(json_object_get(operation, "summary")) == NULL || json_array_size(json_object_get(operation, "tags")) == 0)
        fail_msg("%s %s: no summary or no tag", path, id);
    if (json_object_get(responses, "200") == NULL || json_object_get(responses, "422") == NULL)
        fail_msg("%s %s: responses are missing", path, id);
}

static void test_openapi(void **state)
{
    json_t *api = mu_openapi_make(), *seen = json_object(), *path, *operation;
    const char *name, *verb;

    (void)state;
    assert_non_null(api);
    assert_string_equal(json_string_value(json_object_get(api, "openapi")), "3.1.0");
    json_object_foreach(json_object_get(api, "paths"), name, path) {
        assert_null(strchr(name, ':'));
        json_object_foreach(path, verb, operation)
            if (json_is_object(operation))
                check_operation(seen, name, operation);
    }
    json_decref(seen);
    json_decref(api);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_build), cmocka_unit_test(test_parameters), cmocka_unit_test(test_lists), cmocka_unit_test(test_openapi) };

    return cmocka_run_group_tests(tests, start, NULL);
}
