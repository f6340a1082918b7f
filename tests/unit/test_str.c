#include "str.h"
#include "test_help.h"

static void utf8(void **state)
{
    (void)state;
    static const struct { const char *text; size_t n; bool valid; } cases[] = {
        { "", 0, true }, { "abc", 3, true }, { "演练", 6, true }, { "\xF0\x9F\x8F\xA6", 4, true },
        { "a\0b", 3, false }, { "\xC0\x80", 2, false }, { "\xC1\xBF", 2, false }, { "\xE0\x80\x80", 3, false },
        { "\xED\xA0\x80", 3, false }, { "\xF4\x90\x80\x80", 4, false }, { "\xF5\x80\x80\x80", 4, false }, { "\x80", 1, false },
        { "\xE6\xBC", 2, false }, { "\xF0\x8F\xBF\xBF", 4, false }, { "\xFF", 1, false }, { "\xED\x9F\xBF", 3, true },
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        assert_int_equal(mu_utf8_valid(cases[i].text, cases[i].n), cases[i].valid);
    assert_int_equal(mu_utf8_count("演练ab", 8), 4);
    assert_int_equal(mu_utf8_cut("演练", 6, 5), 3);
    assert_int_equal(mu_utf8_cut("演练", 6, 6), 6);
    assert_int_equal(mu_utf8_cut("演练", 6, 2), 0);
}

static void control_characters(void **state)
{
    (void)state;
    assert_false(mu_has_control("plain 演练", strlen("plain 演练"), false));
    assert_true(mu_has_control("a\nb", 3, false));
    assert_false(mu_has_control("a\n\tb", 4, true));
    assert_true(mu_has_control("a\rb", 3, true));
    assert_true(mu_has_control("a\x7f", 2, true));
    assert_true(mu_has_control("a\xE2\x80\xAE" "b", 5, true)); /* right-to-left override */
    assert_true(mu_has_control("a\xE2\x81\xA6", 4, true));
    assert_true(mu_has_control("\xC2\x85", 2, true));
    assert_false(mu_has_control("\xE2\x80\x93", 3, false)); /* a dash */
}

static void integers(void **state)
{
    (void)state;
    int64_t value = 77;
    assert_true(mu_parse_int("-9223372036854775808", INT64_MIN, INT64_MAX, &value) && value == INT64_MIN);
    assert_true(mu_parse_int("9223372036854775807", INT64_MIN, INT64_MAX, &value) && value == INT64_MAX);
    assert_true(mu_parse_int("0042", 0, 100, &value) && value == 42);
    static const char *const bad[] = { "", "-", "+1", " 1", "1 ", "1.0", "0x10", "9223372036854775808", "-9223372036854775809",
                                       "99999999999999999999999" };
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        assert_false(mu_parse_int(bad[i], INT64_MIN, INT64_MAX, &value));
    assert_false(mu_parse_int("101", 0, 100, &value));
    assert_int_equal(value, 42);
}

static void identifiers(void **state)
{
    (void)state;
    assert_true(mu_is_uuid("0193a4b2-7c1d-7e8f-9a0b-1c2d3e4f5a6b"));
    assert_false(mu_is_uuid("0193a4b2-7c1d-7e8f-9a0b-1c2d3e4f5a6"));
    assert_false(mu_is_uuid("0193a4b2-7c1d-7e8f-9a0b-1c2d3e4f5a6b0"));
    assert_false(mu_is_uuid("0193a4b2x7c1d-7e8f-9a0b-1c2d3e4f5a6b"));
    assert_false(mu_is_uuid(""));
    assert_true(mu_is_slug("mobile-banking_2"));
    assert_false(mu_is_slug("2x"));
    assert_false(mu_is_slug("Upper"));
    assert_false(mu_is_slug(""));
    assert_true(mu_is_ref("INC-2026-0042") && mu_is_ref("DRL-2026-000007"));
    assert_false(mu_is_ref("INC-2026-42") || mu_is_ref("inc-2026-0042") || mu_is_ref("INC-26-0042") || mu_is_ref("INC-2026-0042x")
                 || mu_is_ref("INCID-2026-0042") || mu_is_ref("INC-2026-0000042") || mu_is_ref("I-2026-0042") || mu_is_ref("INC"));
    assert_true(mu_same(NULL, NULL) && mu_same("a", "a"));
    assert_false(mu_same("a", NULL) || mu_same("a", "b"));
}

static void email_addresses(void **state)
{
    (void)state;
    static const char *const good[] = { "ops@bank.example", "o'brien+drill@sub.bank.example", "root@localhost", "a.b@x-y.cn" };
    static const char *const bad[] = { "", "@x", "a@", "a@b@c", "a b@c", "a@b\r\nRCPT TO:<x@y>", "a..b@c", ".a@c", "a.@c", "a@-b.c",
                                       "a@b-.c", "a@b..c", "a@.b", "演@b.c", "a@银行.cn", "<a@b>", "a(c)@b", "\"a b\"@c", "a@b.", "a@[1.2.3.4]" };
    for (size_t i = 0; i < MU_COUNT(good); i++)
        assert_true(mu_is_email(good[i]));
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        assert_false(mu_is_email(bad[i]));
}

static bool decode(mu_arena *arena, const char *text, bool form, const char *want)
{
    char *out;
    size_t n;
    mu_slice in = { text, strlen(text) };
    return mu_url_decode(arena, in, form, &out, &n) && strcmp(out, want) == 0 && n == strlen(want);
}

static bool refused(mu_arena *arena, const char *text, bool form)
{
    char *out;
    mu_slice in = { text, strlen(text) };
    return !mu_url_decode(arena, in, form, &out, NULL);
}

static void percent_encoding(void **state)
{
    mu_arena *arena = *state;
    assert_true(decode(arena, "INC-2026-0042", false, "INC-2026-0042"));
    assert_true(decode(arena, "a%20b+c", false, "a b+c"));
    assert_true(decode(arena, "a%20b+c%2Fd", true, "a b c/d"));
    assert_true(decode(arena, "%E6%BC%94", false, "演"));
    assert_true(refused(arena, "a%2fb", false) && refused(arena, "a%2Fb", false));
    assert_true(refused(arena, "%00", false) && refused(arena, "a%00b", true));
    assert_true(refused(arena, ".", false) && refused(arena, "..", false) && refused(arena, "%2e%2E", false));
    assert_true(refused(arena, "%", true) && refused(arena, "%4", true) && refused(arena, "%zz", true));
    assert_true(refused(arena, "%ff", true) && refused(arena, "%c0%ae", false));
    assert_true(decode(arena, "...", false, "..."));
    uint64_t seed = 42;
    for (int round = 0; round < 500; round++) {
        char text[20];
        size_t n = next_random(&seed) % 19;
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(1 + next_random(&seed) % 127);
        text[n] = '\0';
        assert_true(decode(arena, mu_url_encode(arena, text), true, text));
    }
}

static void encodings_go_there_and_back(void **state)
{
    mu_arena *arena = *state;
    uint64_t seed = 7;
    for (size_t n = 0; n < 200; n++) {
        unsigned char bytes[200];
        for (size_t i = 0; i < n; i++)
            bytes[i] = (unsigned char)next_random(&seed);
        void *back;
        size_t m;
        assert_true(mu_unbase64(arena, mu_base64(arena, bytes, n), &back, &m) && m == n && memcmp(back, bytes, n) == 0);
        assert_true(mu_unbase64(arena, mu_base64url(arena, bytes, n), &back, &m) && m == n && memcmp(back, bytes, n) == 0);
        assert_true(mu_unhex(arena, mu_hex(arena, bytes, n), &back, &m) && m == n && memcmp(back, bytes, n) == 0);
    }
    assert_string_equal(mu_base64(arena, "foobar", 5), "Zm9vYmE=");
    assert_string_equal(mu_base64url(arena, "\xfb\xff", 2), "-_8");
    void *out;
    size_t n;
    static const char *const bad[] = { "A", "A===", "Zg=", "Zh==", "Z g=", "Zg==Zg==", "====", "Zm9=" };
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        assert_false(mu_unbase64(arena, bad[i], &out, &n));
    assert_false(mu_unhex(arena, "abc", &out, &n) || mu_unhex(arena, "zz", &out, &n));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(utf8),
        cmocka_unit_test(control_characters),
        cmocka_unit_test(integers),
        cmocka_unit_test(identifiers),
        cmocka_unit_test(email_addresses),
        ARENA_TEST(percent_encoding),
        ARENA_TEST(encodings_go_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
