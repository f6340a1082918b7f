/* What a call to a system says, and what is kept of its answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <string.h>

#include "connections.h"
#include "json.h"

static mu_arena *arena;

static int
setup(void **state)
{
    (void)state;
    arena = mu_arena_new(0);
    return 0;
}

static int
teardown(void **state)
{
    (void)state;
    mu_arena_free(arena);
    return 0;
}

static void
an_address_never_leaves_its_base(void **state)
{
    static const char *const bad[] = { ".evil.example/", "@evil.example/", ":8080/", "evil", "/../admin", "/a/..", "/a/%2e%2e/b", "/a/%2E./b", "/a%2f..%2fb", "/a\\..\\b", "/a#x", "/a/%5c..", "//..%2f" };

    (void)state;
    assert_string_equal(mu_call_url(arena, "https://x.example/api", ""), "https://x.example/api");
    assert_string_equal(mu_call_url(arena, "https://x.example/api", "/orders/a%20b?x=../y"), "https://x.example/api/orders/a%20b?x=../y");
    assert_string_equal(mu_call_url(arena, "https://x.example/api", "/files/a%2Fb..c"), "https://x.example/api/files/a%2Fb..c");
    assert_string_equal(mu_call_url(arena, "https://x.example/api", "?q=1"), "https://x.example/api?q=1");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_null(mu_call_url(arena, "https://x.example/api", bad[i]));
}

static void
a_sealed_value_is_written_for_its_place(void **state)
{
    json_t *clear = mu_json_own(arena, json_pack("{s:s, s:s}", "key", "a\"b c", "other", "x{{key}}"));

    (void)state;
    assert_string_equal(mu_call_fill(arena, "Bearer {{key}}", clear, ' '), "Bearer a\"b c");
    assert_string_equal(mu_call_fill(arena, "{\"k\":\"{{ key }}\"}", clear, 'j'), "{\"k\":\"a\\\"b c\"}");
    assert_string_equal(mu_call_fill(arena, "k={{key}}&n={{nobody}}", clear, 'f'), "k=a%22b%20c&n={{nobody}}");
    assert_string_equal(mu_call_fill(arena, "{{other}} {{", clear, ' '), "x{{key}} {{");     /* a value is not looked at again */
}

static void
an_answer_is_kept_without_secrets_and_cookies(void **state)
{
    json_t *clear = mu_json_own(arena, json_pack("{s:s}", "key", "Zebra\"7"));
    const char *body = "{\"a\":\"Zebra\\\"7\",\"raw\":\"{\\\"k\\\":\\\"Zebra\\\\\\\"7\\\"}\",\"n\":[1,2]}";
    mu_fetch_answer answer = { .outcome = MU_FETCH_ANSWERED, .status = 200, .error = "", .headers = "Content-Type: application/json\nSet-Cookie: s=1\nX-Echo: Zebra\"7\nX-Bad\n",
                               .body = body, .body_n = strlen(body) };
    json_t *result = mu_call_result(arena, &answer, clear);
    const json_t *headers = json_object_get(result, "headers");

    (void)state;
    assert_null(strstr(mu_json_text(arena, result), "Zebra"));
    assert_int_equal(mu_json_int(result, "status", 0), 200);
    assert_string_equal(mu_json_str(headers, "content-type"), "application/json");
    assert_string_equal(mu_json_str(headers, "x-echo"), "[sealed]");
    assert_null(json_object_get(headers, "set-cookie"));
    assert_int_equal(json_array_size(json_object_get(json_object_get(result, "body"), "n")), 2);
}

static void
what_is_no_json_is_text_and_what_is_no_text_is_nothing(void **state)
{
    mu_fetch_answer answer = { .outcome = MU_FETCH_ANSWERED, .status = 200, .error = "", .headers = "content-type: application/json\n", .body = "{broken", .body_n = 7 };
    json_t *none = mu_json_own(arena, json_object());

    (void)state;
    assert_string_equal(mu_json_str(mu_call_result(arena, &answer, none), "body"), "{broken");
    answer.body = "a\xff";
    answer.body_n = 2;
    assert_true(json_is_null(json_object_get(mu_call_result(arena, &answer, none), "body")));
    answer.body = "a\0b";
    answer.body_n = 3;
    assert_true(json_is_null(json_object_get(mu_call_result(arena, &answer, none), "body")));
    answer.body = "{\"cut\":1}";
    answer.body_n = 9;
    answer.cut = true;
    assert_true(json_is_string(json_object_get(mu_call_result(arena, &answer, none), "body")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_never_leaves_its_base),
        cmocka_unit_test(a_sealed_value_is_written_for_its_place),
        cmocka_unit_test(an_answer_is_kept_without_secrets_and_cookies),
        cmocka_unit_test(what_is_no_json_is_text_and_what_is_no_text_is_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
