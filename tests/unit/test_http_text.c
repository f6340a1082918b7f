/* Small pure pieces around a request: languages, cookies, origins, entity tags, cursors, form tokens. */
#include <stdio.h>
#include <unistd.h>
#include "test_help.h"
#include "crypto.h"
#include "req.h"

static void test_language(void **state)
{
    (void)state;
    assert_string_equal(mu_language_of(NULL, NULL, NULL, "zh"), "zh");
    assert_string_equal(mu_language_of(NULL, NULL, NULL, "en"), "en");
    assert_string_equal(mu_language_of(NULL, NULL, NULL, NULL), "zh");
    assert_string_equal(mu_language_of("en-GB,en;q=0.9,zh;q=0.8", NULL, NULL, "zh"), "en");
    assert_string_equal(mu_language_of("fr, zh-CN;q=0.7, en;q=0.3", NULL, NULL, "en"), "zh");
    assert_string_equal(mu_language_of("en;q=0, zh;q=0.1", NULL, NULL, "en"), "zh");
    assert_string_equal(mu_language_of("de", NULL, NULL, "en"), "en");
    assert_string_equal(mu_language_of(";;,,;q=", NULL, NULL, "en"), "en");
    assert_string_equal(mu_language_of("en", "zh", NULL, "en"), "zh");
    assert_string_equal(mu_language_of("en", "zh", "en", "zh"), "en");
    assert_string_equal(mu_language_of("en", "xx", "yy", "zh"), "en");
    assert_string_equal(mu_language_of(NULL, "zh-CN", NULL, "en"), "zh");
    assert_string_equal(mu_language_of("english", NULL, NULL, "zh"), "zh");
}

static void test_cookie(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);

    (void)state;
    assert_string_equal(mu_cookie(arena, "muster=abc", "muster"), "abc");
    assert_string_equal(mu_cookie(arena, "a=1; muster=abc ; b=2", "muster"), "abc");
    assert_string_equal(mu_cookie(arena, "xmuster=no; muster=\"q\"", "muster"), "q");
    assert_null(mu_cookie(arena, "musterx=abc", "muster"));
    assert_null(mu_cookie(arena, "muster=", "muster"));
    assert_null(mu_cookie(arena, NULL, "muster"));
    assert_null(mu_cookie(arena, ";;; =;", "muster"));
}

static void test_origin(void **state)
{
    (void)state;
    assert_true(mu_origin_matches("http://bank.example:8080", "bank.example:8080", ""));
    assert_true(mu_origin_matches("https://BANK.example", "bank.example", ""));
    assert_true(mu_origin_matches("https://muster.bank.example", "127.0.0.1:8080", "https://muster.bank.example"));
    assert_true(mu_origin_matches("https://muster.bank.example", "127.0.0.1:8080", "https://muster.bank.example/"));
    assert_false(mu_origin_matches("https://muster.bank.example.evil", "127.0.0.1:8080", "https://muster.bank.example"));
    assert_false(mu_origin_matches("http://muster.bank.example", "127.0.0.1:8080", "https://muster.bank.example"));
    assert_false(mu_origin_matches("http://evil.example", "bank.example", ""));
    assert_false(mu_origin_matches("http://bank.example/", "bank.example", ""));
    assert_false(mu_origin_matches("null", "bank.example", "https://bank.example"));
    assert_false(mu_origin_matches("", NULL, ""));
}

static void test_etag(void **state)
{
    (void)state;
    assert_true(mu_etag_matches("\"a\"", "\"a\""));
    assert_true(mu_etag_matches("\"x\", \"a\"", "\"a\""));
    assert_true(mu_etag_matches("W/\"a\"", "\"a\""));
    assert_true(mu_etag_matches("*", "\"a\""));
    assert_false(mu_etag_matches("\"ab\"", "\"a\""));
    assert_false(mu_etag_matches("\"x,\"a\"", "\"b\""));
    assert_false(mu_etag_matches("", "\"a\""));
    assert_false(mu_etag_matches(NULL, "\"a\""));
    assert_false(mu_etag_matches("\"", "\"a\""));
}

static void test_next(void **state)
{
    (void)state;
    assert_true(mu_auth_next_ok("/incidents?state=open"));
    assert_false(mu_auth_next_ok("//evil.example"));
    assert_false(mu_auth_next_ok("/\\evil.example"));
    assert_false(mu_auth_next_ok("https://evil.example"));
    assert_false(mu_auth_next_ok("/a\r\nSet-Cookie: x=1"));
    assert_false(mu_auth_next_ok(""));
    assert_false(mu_auth_next_ok(NULL));
}

static void test_cursor(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    char *cursor = mu_cursor_sign(arena, "incidents", "2026-11-24T00:00:00Z,中文"), *changed = mu_strdup(arena, cursor);

    (void)state;
    assert_string_equal(mu_cursor_open(arena, "incidents", cursor), "2026-11-24T00:00:00Z,中文");
    assert_null(mu_cursor_open(arena, "services", cursor));
    for (size_t i = 0; cursor[i] != '\0'; i++) {
        changed[i] = cursor[i] == 'A' ? 'B' : 'A';
        assert_null(mu_cursor_open(arena, "incidents", changed));
        changed[i] = cursor[i];
    }
    assert_null(mu_cursor_open(arena, "incidents", ""));
    assert_null(mu_cursor_open(arena, "incidents", "!!!"));
    assert_null(mu_cursor_open(arena, "incidents", "AAAA"));
}

static void test_form_token(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    mu_req one = { .arena = arena, .token_hash = "aa" }, two = { .arena = arena, .token_hash = "bb" }, none = { .arena = arena };

    (void)state;
    assert_string_equal(mu_auth_form_token(&one), mu_auth_form_token(&one));
    assert_string_not_equal(mu_auth_form_token(&one), mu_auth_form_token(&two));
    assert_string_equal(mu_auth_form_token(&none), "");
}

static void test_text(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    const char *const args[] = { "name", "{x}", "n", "3", NULL };

    (void)state;
    assert_string_equal(mu_text(arena, "en", "no.such {name} {n} {other} {", args), "no.such {x} 3 {other} {");
    assert_string_equal(mu_text(arena, "en", "plain", NULL), "plain");
}

static void test_nested(void **state)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    json_t *flat = json_pack("{s:s,s:s,s:s,s:s}", "title.zh", "甲", "title.en", "a", ".x", "y", "z.", "w"), *nested = mu_input_nested(arena, flat);

    (void)state;
    assert_string_equal(json_string_value(json_object_get(json_object_get(nested, "title"), "zh")), "甲");
    assert_string_equal(json_string_value(json_object_get(json_object_get(nested, "title"), "en")), "a");
    assert_string_equal(json_string_value(json_object_get(nested, ".x")), "y");
    json_decref(flat);
}

static int start(void **state)
{
    char file[] = "/tmp/muster-key-XXXXXX";   /* allowed: a scratch file of the test */
    const int fd = mkstemp(file);
    bool good;

    (void)state;
    if (fd >= 0)
        close(fd);
    unlink(file);
    good = mu_crypto_start() && mu_seal_key_load(file);
    unlink(file);
    return good ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_language), cmocka_unit_test(test_cookie), cmocka_unit_test(test_origin), cmocka_unit_test(test_etag), cmocka_unit_test(test_next),
        cmocka_unit_test(test_cursor), cmocka_unit_test(test_form_token), cmocka_unit_test(test_text), cmocka_unit_test(test_nested),
    };

    return cmocka_run_group_tests(tests, start, NULL);
}
