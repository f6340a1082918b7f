#include <math.h>

#include "json.h"
#include "test_help.h"

static mu_err parse(mu_arena *arena, const char *text, mu_problem *problem, json_t **ret)
{
    *problem = (mu_problem){ .arena = arena };
    *ret = NULL;
    return mu_json_parse(arena, text, strlen(text), problem, ret);
}

static void good_bodies_are_read(void **state)
{
    mu_problem problem;
    json_t *json;
    assert_int_equal(parse(*state, "{\"a\":[1,2.5,null,true,\"演\"],\"b\":{\"c\":\"}]\"}}", &problem, &json), MU_OK);
    assert_string_equal(mu_json_text(*state, json), "{\"a\":[1,2.5,null,true,\"演\"],\"b\":{\"c\":\"}]\"}}");
    assert_string_equal(json_string_value(mu_json_at(json, "b.c")), "}]");
    assert_null(mu_json_at(json, "b.x.y"));
    assert_null(mu_json_at(json, "a.b"));
    assert_null(mu_json_str(json, "a"));
    assert_int_equal(mu_json_int(json, "zzz", -7), -7);
    assert_true(mu_json_bool(json, "zzz", true));
    assert_int_equal(parse(*state, "{\"n\":9007199254740992}", &problem, &json), MU_OK);
    assert_true(mu_json_int(json, "n", 0) == INT64_C(9007199254740992));
}

static void bad_bodies_are_refused_with_the_place(void **state)
{
    static const struct { const char *text, *key; } bad[] = {
        { "", "error.json.syntax" }, { "{", "error.json.syntax" }, { "{\"a\":1}x", "error.json.syntax" }, { "7", "error.json.syntax" },
        { "{\"a\":1,\"a\":2}", "error.json.duplicate" }, { "\xEF\xBB\xBF{}", "error.json.bom" }, { "{\"a\":\"\\u0000\"}", "error.json.syntax" },
        { "{\"a\":9007199254740993}", "error.json.integer" }, { "[[-9007199254740993]]", "error.json.integer" },
        { "{\"a\":99999999999999999999}", "error.json.syntax" }, { "{\"a\":\"\xff\"}", "error.json.syntax" }, { "{\"a\":1e999}", "error.json.syntax" },
        { "{\"a\":\"\\ud800\"}", "error.json.syntax" }, { "{'a':1}", "error.json.syntax" }, { "[1,]", "error.json.syntax" },
    };
    mu_problem problem;
    json_t *json;
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        assert_int_equal(parse(*state, bad[i].text, &problem, &json), MU_MALFORMED);
        assert_non_null(find_fault(&problem, "", bad[i].key));
        assert_null(json);
    }
    assert_int_equal(parse(*state, "{\n  \"a\": 1,\n  \"b\" 2}", &problem, &json), MU_MALFORMED);
    assert_string_equal(fault_arg(problem.first, "line"), "3");
}

static void depth_is_bounded_before_the_parser_runs(void **state)
{
    mu_problem problem;
    json_t *json;
    static char deep[700001];
    memset(deep, '[', 700000);
    assert_int_equal(parse(*state, deep, &problem, &json), MU_MALFORMED);
    assert_non_null(find_fault(&problem, "", "error.json.depth"));
    char just[65] = "";
    memset(just, '[', 32);
    memset(just + 32, ']', 32);
    assert_int_equal(parse(*state, just, &problem, &json), MU_OK);
    assert_int_equal(parse(*state, "[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[[\"]", &problem, &json), MU_OK);
}

static void canonical_form(void **state)
{
    mu_arena *arena = *state;
    mu_problem problem;
    json_t *json;
    /* Keys by UTF-16 code units: U+10000 and up (surrogates) before U+E000 and up. */
    assert_int_equal(parse(arena, "{\"\\uFB33\":1,\"\\uD83D\\uDE00\":2,\"\\u20ac\":3,\"1\":4,\"\\r\":5,\"\\u0080\":6,\"a\":[1.0,-0.0,1e21,1e-7]}",
                           &problem, &json), MU_OK);
    mu_buf out = MU_BUF(1000);
    assert_true(mu_json_canonical(json, &out));
    assert_string_equal(out.at, "{\"\\r\":5,\"1\":4,\"a\":[1,0,1e+21,1e-7],\"\xC2\x80\":6,\"€\":3,\"😀\":2,\"\xEF\xAC\xB3\":1}");
    mu_buf_free(&out);

    json_t *deep = json_array(), *top = deep;
    for (int i = 0; i < 70; i++) {
        json_t *inner = json_array();
        json_array_append_new(top, inner);
        top = inner;
    }
    mu_buf again = MU_BUF(1000);
    assert_false(mu_json_canonical(deep, &again));
    assert_null(mu_json_text(arena, deep));
    mu_buf_free(&again);
    json_decref(deep);
}

static void numbers_have_their_shortest_form(void **state)
{
    (void)state;
    static const struct { double value; const char *text; } cases[] = {
        { 0.0, "0" }, { -0.0, "0" }, { 0.1, "0.1" }, { 1.0, "1" }, { -1.5, "-1.5" }, { 1e20, "100000000000000000000" }, { 1e21, "1e+21" },
        { 1e-6, "0.000001" }, { 1e-7, "1e-7" }, { 123456789.125, "123456789.125" }, { 5e-324, "5e-324" },
        { 1.7976931348623157e308, "1.7976931348623157e+308" }, { 9007199254740993.0, "9007199254740992" }, { 4.35, "4.35" },
        { 333333333.33333329, "333333333.3333333" }, { 1e23, "1e+23" }, { 0.3, "0.3" }, { -1.25e-9, "-1.25e-9" },
    };
    char text[32];
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_json_real(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
    uint64_t seed = 3;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&seed);
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        mu_json_real(value, text);
        back = strtod(text, NULL);
        assert_true(back == value);
    }
}

static void pointers_escape_what_would_part_them(void **state)
{
    mu_arena *arena = *state;

    assert_string_equal(mu_pointer(arena, "", "a"), "/a");
    assert_string_equal(mu_pointer(arena, "/x", ""), "/x/");
    assert_string_equal(mu_pointer(arena, "/x", "a/b~c"), "/x/a~1b~0c");
    assert_string_equal(mu_pointer(arena, "/x", "~~//"), "/x/~0~0~1~1");
    assert_string_equal(mu_pointer(arena, "/x", "键"), "/x/键");
    assert_string_equal(mu_pointer_at(arena, "/x/~0", 12), "/x/~0/12");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(good_bodies_are_read),
        ARENA_TEST(bad_bodies_are_refused_with_the_place),
        ARENA_TEST(depth_is_bounded_before_the_parser_runs),
        ARENA_TEST(canonical_form),
        ARENA_TEST(numbers_have_their_shortest_form),
        ARENA_TEST(pointers_escape_what_would_part_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
