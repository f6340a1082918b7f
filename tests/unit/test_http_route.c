/* The route matcher over raw paths: what a path may look like, which row answers, and the checks at start. */
#include "test_help.h"
#include "req.h"

mu_err mu_test_handler(mu_req *rq);

static const mu_route rows[] = {
    { .name = "list", .method = MU_GET, .path = "/incidents", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
    { .name = "declare", .method = MU_POST, .path = "/incidents", .fn = mu_test_handler, .page = "", .summary = "x" },
    { .name = "get", .method = MU_GET, .path = "/incidents/{incident:ref}", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
    { .name = "print", .method = MU_GET, .path = "/incidents/{incident:ref}/print", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
    { .name = "number", .method = MU_GET, .path = "/deliveries/{id:int}", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
    { .name = "remove", .method = MU_DELETE, .path = "/deliveries/{id:int}", .fn = mu_test_handler, .page = "", .summary = "x" },
    { .name = "special", .method = MU_GET, .path = "/services/import", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
    { .name = "service", .method = MU_GET, .path = "/services/{service:slug}", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
    { .name = "calendar", .method = MU_GET, .path = "/calendar/{token:word}.ics", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
    { .name = "json", .method = MU_GET, .path = "/only-json", .fn = mu_test_handler, .page = "", .summary = "x" },
    { .name = "root", .method = MU_GET, .path = "/", .fn = mu_test_handler, .page = "", .summary = "x", .flags = MU_R_DOWNLOAD },
};

mu_err mu_test_handler(mu_req *rq)
{
    (void)rq;
    return MU_OK;
}

static const char *find(mu_arena *arena, const char *path, int method, mu_face face, mu_req *rq, unsigned *allow)
{
    const mu_route *route;

    *rq = (mu_req){ .arena = arena, .face = face };
    if (!mu_path_split(arena, path, rq->segments, &rq->segments_n))
        return "refused";
    route = mu_route_match(rq, method, allow);
    return route != NULL ? route->name : "none";
}

static void test_match(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };
    mu_req rq;
    unsigned allow;

    (void)state;
    assert_int_equal(mu_routes_build(rows, MU_COUNT(rows), &problem), MU_OK);
    assert_string_equal(find(arena, "/", MU_GET, MU_FACE_PAGE, &rq, &allow), "root");
    assert_string_equal(find(arena, "/incidents", MU_GET, MU_FACE_PAGE, &rq, &allow), "list");
    assert_string_equal(find(arena, "/incidents", MU_POST, MU_FACE_JSON, &rq, &allow), "declare");
    assert_string_equal(find(arena, "/incidents/INC-2026-0042", MU_GET, MU_FACE_JSON, &rq, &allow), "get");
    assert_string_equal(mu_path(&rq, "incident"), "INC-2026-0042");
    assert_null(mu_path(&rq, "other"));
    assert_string_equal(find(arena, "/incidents/INC-2026-0042/print", MU_GET, MU_FACE_JSON, &rq, &allow), "print");
    assert_string_equal(find(arena, "/incidents/inc-2026-0042", MU_GET, MU_FACE_JSON, &rq, &allow), "none");
    assert_int_equal(allow, 0);
    assert_string_equal(find(arena, "/services/import", MU_GET, MU_FACE_PAGE, &rq, &allow), "special");
    assert_string_equal(find(arena, "/services/imports", MU_GET, MU_FACE_PAGE, &rq, &allow), "service");
    assert_string_equal(find(arena, "/calendar/a.b-c.ics", MU_GET, MU_FACE_PAGE, &rq, &allow), "calendar");
    assert_string_equal(mu_path(&rq, "token"), "a.b-c");
    assert_string_equal(find(arena, "/calendar/.ics", MU_GET, MU_FACE_PAGE, &rq, &allow), "none");
    assert_string_equal(find(arena, "/deliveries/7", MU_PUT, MU_FACE_JSON, &rq, &allow), "none");
    assert_int_equal(allow, 1u << MU_GET | 1u << MU_DELETE);
    assert_string_equal(find(arena, "/deliveries/-7", MU_GET, MU_FACE_JSON, &rq, &allow), "none");
    assert_string_equal(find(arena, "/only-json", MU_GET, MU_FACE_PAGE, &rq, &allow), "none");
    assert_string_equal(find(arena, "/only-json", MU_GET, MU_FACE_JSON, &rq, &allow), "json");
}

static void test_bad_paths(void **state)
{
    static const char *const bad[] = { "", "incidents", "/a/../b", "/a/./b", "/a/%2e%2e/b", "/a%2fb", "/a%2Fb", "/%00a", "/a%00", "/%zz", "/%f", "/%ff", "/%c0%af", "/a//b",
                                       "/1/2/3/4/5/6/7/8/9/10/11/12/13" };
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    mu_req rq;
    unsigned allow;

    (void)state;
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        if (strcmp(find(arena, bad[i], MU_GET, MU_FACE_PAGE, &rq, &allow), "refused") != 0)
            fail_msg("%s was taken", bad[i]);
}

static void test_paths_back(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };
    mu_req rq;
    unsigned allow;

    (void)state;
    assert_int_equal(mu_routes_build(rows, MU_COUNT(rows), &problem), MU_OK);
    find(arena, "/incidents/INC-2026-0042/print", MU_GET, MU_FACE_PAGE, &rq, &allow);
    assert_string_equal(mu_route_path(&rq, mu_route_named("get")), "/incidents/INC-2026-0042");
    assert_string_equal(mu_route_path(&rq, mu_route_named("list")), "/incidents");
    assert_string_equal(mu_route_path(&rq, mu_route_named("root")), "/");
    assert_null(mu_route_path(&rq, mu_route_named("service")));
}

static mu_err build(const mu_route *row, size_t n)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };

    return mu_routes_build(row, n, &problem);
}

static void test_self_check(void **state)
{
    const mu_route same[] = { { .name = "a", .method = MU_GET, .path = "/x/{a:ref}", .fn = mu_test_handler, .page = "", .summary = "x" },
                              { .name = "b", .method = MU_GET, .path = "/x/{b:ref}", .fn = mu_test_handler, .page = "", .summary = "x" } };
    const mu_route twice[] = { { .name = "a", .method = MU_GET, .path = "/x", .fn = mu_test_handler, .page = "", .summary = "x" },
                               { .name = "a", .method = MU_GET, .path = "/y", .fn = mu_test_handler, .page = "", .summary = "x" } };
    const mu_route no_page[] = { { .name = "a", .method = MU_GET, .path = "/x", .fn = mu_test_handler, .page = "no-such-template", .summary = "x" } };
    const mu_route no_work[] = { { .name = "a", .method = MU_GET, .path = "/x", .page = "", .summary = "x" } };
    const mu_route no_text[] = { { .name = "a", .method = MU_GET, .path = "/x", .fn = mu_test_handler, .page = "", .summary = "" } };
    const mu_route bad_type[] = { { .name = "a", .method = MU_GET, .path = "/x/{a:thing}", .fn = mu_test_handler, .page = "", .summary = "x" } };
    const mu_route bad_form[] = { { .name = "a", .method = MU_POST, .path = "/x", .fn = mu_test_handler, .page = "nothing", .summary = "x" } };

    (void)state;
    assert_int_not_equal(build(same, MU_COUNT(same)), MU_OK);
    assert_int_not_equal(build(twice, MU_COUNT(twice)), MU_OK);
    assert_int_not_equal(build(no_page, 1), MU_OK);
    assert_int_not_equal(build(no_work, 1), MU_OK);
    assert_int_not_equal(build(no_text, 1), MU_OK);
    assert_int_not_equal(build(bad_type, 1), MU_OK);
    assert_int_not_equal(build(bad_form, 1), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_match), cmocka_unit_test(test_bad_paths), cmocka_unit_test(test_paths_back), cmocka_unit_test(test_self_check) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
