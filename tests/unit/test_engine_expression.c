/* Expressions: grammar, types, values, and that evaluation is total. */
#include "test_help.h"

#include <stdio.h>

#include "expression.h"
#include "json.h"

static json_t *level_values;

static bool
type_of(void *closure, const char *name, mu_type *ret)
{
    static const struct { const char *name; mu_type_kind kind; } names[] = { { "n", MU_T_INT }, { "d", MU_T_DECIMAL }, { "ok", MU_T_BOOL }, { "w", MU_T_TEXT }, { "level", MU_T_ENUM },
        { "span", MU_T_DURATION }, { "now", MU_T_DATETIME }, { "unset", MU_T_INT }, { "who", MU_T_USER }, { "list", MU_T_LIST } };

    (void)closure;
    for (size_t i = 0; i < MU_COUNT(names); i++)
        if (strcmp(names[i].name, name) == 0) {
            *ret = (mu_type){ .kind = names[i].kind, .of = MU_T_INT, .values = names[i].kind == MU_T_ENUM ? level_values : NULL };
            return true;
        }
    return false;
}

static bool
value_of(void *closure, mu_arena *arena, const char *name, mu_value *ret)
{
    static mu_value items[] = { { .kind = MU_T_INT, .number = 1 }, { .kind = MU_T_INT, .number = 2 } };
    static const struct { const char *name; mu_value value; } values[] = { { "n", { .kind = MU_T_INT, .number = 7 } }, { "d", { .kind = MU_T_DECIMAL, .number = 2500000 } },
        { "ok", { .kind = MU_T_BOOL, .number = 1 } }, { "w", { .kind = MU_T_TEXT, .text = "it's" } }, { "level", { .kind = MU_T_ENUM, .text = "II" } },
        { "span", { .kind = MU_T_DURATION, .number = 90 } }, { "now", { .kind = MU_T_DATETIME, .number = INT64_C(1764000000000000) } }, { "who", { .kind = MU_T_USER, .text = "u1" } },
        { "list", { .kind = MU_T_LIST, .items = items, .count = 2 } } };

    (void)closure; (void)arena;
    for (size_t i = 0; i < MU_COUNT(values); i++)
        if (strcmp(values[i].name, name) == 0) {
            *ret = values[i].value;
            return true;
        }
    return false;
}

static const mu_names names = { .type = type_of, .value = value_of };

static void
test_values(void **state)
{
    static const struct { const char *text, *result; } cases[] = {
        { "1 + 2 * 3", "7" }, { "(1 + 2) * 3", "9" }, { "-n + 10", "3" }, { "7 / 2", "\"3.5\"" }, { "1 / 3", "\"0.333333\"" }, { "2 / 3", "\"0.666667\"" }, { "0.1 + 0.2", "\"0.3\"" },
        { "d * 2", "\"5.0\"" }, { "n == 7", "true" }, { "n == 7.0", "true" }, { "n < d", "false" }, { "not ok", "false" }, { "not ok or n > 5", "true" }, { "ok and not (n < 0)", "true" },
        { "w == 'it''s'", "true" }, { "level == 'II'", "true" }, { "level in ['I', 'II']", "true" }, { "level != 'I' and level in ['III']", "false" }, { "'t' in w", "true" }, { "3 in list", "false" },
        { "2 in list", "true" }, { "span + 30s == 2m", "true" }, { "span * 2", "\"3m\"" }, { "span / 2", "\"45s\"" }, { "3 * span", "\"4m30s\"" }, { "now + 1h - now", "\"1h\"" },
        { "now - 1d < now", "true" }, { "exists(unset)", "false" }, { "exists(n)", "true" }, { "exists(unset) and unset > 3", "false" }, { "ok or unset > 3", "true" }, { "25m > 24m", "true" },
        { "who == 'u1'", "true" }, { "[1, 2] == [1, 2]", NULL }, { "1 in []", "false" }, { "1h30m - 90m", "\"0s\"" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_expression_error why = { 0 };
        mu_type type;
        const mu_expression *e = mu_expression_parse(*state, cases[i].text, &why);
        mu_value value;
        char *text;
        if (e == NULL)
            fail_msg("%s: %s at %u", cases[i].text, why.key, why.column);
        if (!mu_expression_check(e, &names, &type, &why)) {
            if (cases[i].result == NULL)
                continue;
            fail_msg("%s: %s at %u", cases[i].text, why.key, why.column);
        }
        value = mu_expression_evaluate(*state, e, &names);
        if (value.kind == MU_T_ERROR)
            fail_msg("%s: %s", cases[i].text, value.text);
        json_t *json = mu_json_own(*state, mu_value_to_json(*state, &value));
        text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
        if (cases[i].result == NULL || strcmp(text, cases[i].result) != 0)
            fail_msg("%s gives %s", cases[i].text, text);
        free(text);
    }
}

static void
test_syntax_errors(void **state)
{
    static const struct { const char *text, *key; unsigned column; } cases[] = { { "", "error.expression.value", 1 }, { "1 +", "error.expression.value", 4 }, { "(1", "error.expression.bracket", 3 },
        { "1 2", "error.expression.rest", 3 }, { "'open", "error.expression.quote", 1 }, { "a = 1", "error.expression.sign", 3 }, { "99999999999999999999", "error.expression.number", 1 },
        { "1.1234567", "error.expression.number", 1 }, { "5x", "error.expression.duration", 1 }, { "exists n", "error.expression.exists", 8 }, { "[1 2]", "error.expression.list", 4 },
        { "and 1", "error.expression.value", 1 }, { "a == b == c", "error.expression.rest", 8 }, { "a; b", "error.expression.sign", 2 }, { "f(1)", "error.expression.rest", 2 } };
    char deep[600] = "", *end = deep;

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_expression_error why = { 0 };
        assert_null(mu_expression_parse(*state, cases[i].text, &why));
        if (strcmp(why.key, cases[i].key) != 0 || why.column != cases[i].column)
            fail_msg("%s: %s at %u", cases[i].text, why.key, why.column);
    }
    for (int i = 0; i < 500; i++)
        *end++ = '(';
    mu_expression_error why = { 0 };
    assert_null(mu_expression_parse(*state, deep, &why));
    assert_string_equal(why.key, "error.expression.deep");
    char *text = mu_alloc(*state, 2000);
    memset(text, '1', 1500);
    assert_null(mu_expression_parse(*state, text, &why));
    assert_string_equal(why.key, "error.expression.long");
}

static void
test_type_errors(void **state)
{
    static const struct { const char *text, *key; } cases[] = { { "n == 'x'", "error.expression.type" }, { "ok < true", "error.expression.order" }, { "w > 'a'", "error.expression.order" },
        { "level == 'V'", "error.expression.enum" }, { "level in ['I', 'X']", "error.expression.enum" }, { "nobody > 1", "error.expression.unknown" }, { "exists(nobody)", "error.expression.unknown" },
        { "ok and n", "error.expression.type" }, { "not n", "error.expression.type" }, { "-ok", "error.expression.type" }, { "now + now", "error.expression.type" }, { "span + n", "error.expression.type" },
        { "1 in 2", "error.expression.type" }, { "[1, 'a'] == [1]", "error.expression.type" }, { "w + w", "error.expression.type" }, { "level * 2", "error.expression.type" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_expression_error why = { 0 };
        mu_type type;
        const mu_expression *e = mu_expression_parse(*state, cases[i].text, &why);
        assert_non_null(e);
        if (mu_expression_check(e, &names, &type, &why) || strcmp(why.key, cases[i].key) != 0)
            fail_msg("%s: %s", cases[i].text, why.key == NULL ? "accepted" : why.key);
    }
}

static void
test_error_values(void **state)
{
    static const struct { const char *text, *key; } cases[] = { { "1 / 0", "error.expression.zero" }, { "n / 0.0", "error.expression.zero" }, { "span / 0", "error.expression.zero" },
        { "9223372036854775807 + 1", "error.expression.overflow" }, { "9223372036854775807 * n", "error.expression.overflow" }, { "9223372036854775807 + 0.5", "error.expression.overflow" },
        { "unset", "error.expression.unset" }, { "unset + 1 == 2 or ok", "error.expression.unset" }, { "ok and unset == 1", "error.expression.unset" },
        { "now + 9223372036854775807 * 1s", "error.expression.overflow" }, { "[1, unset]", "error.expression.unset" }, { "now - 3650d - 3650d * 1000", "error.expression.overflow" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_expression_error why = { 0 };
        const mu_expression *e = mu_expression_parse(*state, cases[i].text, &why);
        mu_value value;
        if (e == NULL)
            fail_msg("%s: %s", cases[i].text, why.key);
        value = mu_expression_evaluate(*state, e, &names);
        if (value.kind != MU_T_ERROR || strcmp(value.text, cases[i].key) != 0)
            fail_msg("%s: %s", cases[i].text, value.kind == MU_T_ERROR ? value.text : "a value");
    }
}

/* Random tokens: whatever parses can be checked and evaluated, and an expression that passed the check fails only in known ways. */
static void
test_total(void **state)
{
    static const char *const tokens[] = { "1", "0", "2.5", "n", "d", "ok", "w", "level", "span", "now", "unset", "list", "'II'", "'x'", "5m", "(", ")", "[", "]", ",", "+", "-", "*", "/", "==", "!=",
        "<", ">=", "in", "and", "or", "not", "exists(", "true", "false", "9223372036854775807" };
    uint64_t seed = 99;
    unsigned parsed = 0;

    for (int round = 0; round < 60000; round++) {
        mu_mark mark = mu_arena_mark(*state);
        char text[300] = "";
        size_t count = 1 + next_random(&seed) % 9;
        mu_expression_error why = { 0 };
        mu_type type;
        for (size_t i = 0; i < count; i++) {
            size_t n = strlen(text);
            snprintf(text + n, sizeof text - n, "%s ", tokens[next_random(&seed) % MU_COUNT(tokens)]);
        }
        const mu_expression *e = mu_expression_parse(*state, text, &why);
        if (e != NULL) {
            bool checked = mu_expression_check(e, &names, &type, &why);
            mu_value value = mu_expression_evaluate(*state, e, &names);
            parsed++;
            if (checked && value.kind == MU_T_ERROR && strcmp(value.text, "error.expression.type") == 0)
                fail_msg("%s passed the check and has no value", text);
        } else {
            assert_non_null(why.key);
        }
        mu_arena_reset(*state, mark);
    }
    assert_true(parsed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_values), ARENA_TEST(test_syntax_errors), ARENA_TEST(test_type_errors), ARENA_TEST(test_error_values), ARENA_TEST(test_total) };
    int failed;

    level_values = json_pack("[s, s, s]", "I", "II", "III");
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(level_values);
    return failed;
}
