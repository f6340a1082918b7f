/* The checker: a smallest file for each code, a good one with every kind of step, files of others when they are at hand, bad input. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cacao.h"
#include "json.h"
#include "test_help.h"

#define ID(type, n) type "--1111111" n "-2222-4333-8444-555555555555"
#define START ID("start", "0")
#define ACT ID("action", "1")
#define END ID("end", "2")
#define GROUP ID("group", "9")
#define HEAD "{\"type\":\"playbook\",\"spec_version\":\"cacao-2.0\",\"id\":\"" ID("playbook", "8") "\",\"name\":\"A\",\"created_by\":\"" ID("identity", "7") \
    "\",\"created\":\"2026-11-25T00:00:00.000Z\",\"modified\":\"2026-11-25T00:00:00.000Z\","
#define AGENTS "\"agent_definitions\":{\"" GROUP "\":{\"type\":\"group\",\"name\":\"Team\"}},"
#define FIRST "\"workflow_start\":\"" START "\","
#define TOP HEAD AGENTS FIRST "\"workflow\":{"
#define S "\"" START "\":{\"type\":\"start\",\"on_completion\":\"" ACT "\"},"
#define A "\"" ACT "\":{\"type\":\"action\",\"commands\":[{\"type\":\"manual\",\"command\":\"Do\"}],\"agent\":\"" GROUP "\",\"on_completion\":\"" END "\"},"
#define E "\"" END "\":{\"type\":\"end\"}"
#define VARS(text) HEAD AGENTS FIRST "\"playbook_variables\":{" text "},\"workflow\":{"

typedef struct { const char *text, *verdict, *codes; } file;

static const file own[] = {
    { TOP S A E "}}", "ok", "" },
    { TOP S A E "},}", "reject", "C001:1" },
    { "[]", "reject", "C002:1" },
    { "{\"spec_version\":\"cacao-1.1\",\"workflow_start\":\"" START "\",\"workflow\":{\"" START "\":{\"type\":\"start\",\"on_completion\":\"" END "\"}," E "}}", "reject", "C003:1" },
    { HEAD "\"workflow\":[]}", "reject", "C004:1" },
    { HEAD FIRST "\"x\":1}", "reject", "C004:1" },
    { TOP S A "\"" ID("end", "3") "\":{\"type\":\"end\"}}}", "reject", "C010:1 C013:1" },
    { HEAD AGENTS "\"workflow\":{" E "}}", "reject", "C010:1 C013:1" },
    { TOP S "\"" ACT "\":{\"type\":\"action\",\"commands\":[{\"type\":\"manual\",\"command\":\"Do\"}],\"agent\":\"" GROUP "\",\"on_completion\":\"" ACT "\"}}}", "reject", "C011:1" },
    { HEAD AGENTS "\"workflow_start\":\"" ACT "\",\"workflow\":{" A E "}}", "warn", "C012:1" },
    { TOP S A E ",\"" ID("end", "3") "\":{\"type\":\"end\"}}}", "warn", "C013:1" },
    { TOP "\"" START "\":{\"type\":\"start\",\"on_completion\":\"" ID("parallel", "4") "\"},\"" ID("parallel", "4") "\":{\"type\":\"parallel\",\"next_steps\":[\"" ACT "\",\"" ID("action", "5")
      "\"],\"on_completion\":\"" ID("end", "6") "\"}," A "\"" ID("action", "5") "\":{\"type\":\"action\",\"commands\":[{\"type\":\"manual\"}],\"agent\":\"" GROUP "\",\"on_completion\":\"" END "\"},"
      E ",\"" ID("end", "6") "\":{\"type\":\"end\"}}}", "ok", "C014:1" },
    { TOP S "\"" ACT "\":{\"type\":\"action\",\"on_completion\":\"" END "\"}," E "}}", "warn", "C015:2" },
    { TOP S "\"" ACT "\":{\"type\":\"action\",\"commands\":[{\"type\":\"manual\"}],\"agent\":\"" GROUP "\"}," E "}}", "reject", "C013:1 C016:1" },
    { TOP "\"" START "\":{\"type\":\"start\",\"on_completion\":\"end--1\"},\"end--1\":{\"type\":\"end\"}}}", "warn", "C020:1" },
    { TOP "\"" START "\":{\"type\":\"start\",\"on_completion\":\"end--11111111-2222-6333-8444-555555555555\"},\"end--11111111-2222-6333-8444-555555555555\":{\"type\":\"end\"}}}", "warn", "C020:1" },
    { TOP "\"" START "\":{\"type\":\"start\",\"on_completion\":\"end--11111111-2222-5333-8444-555555555555\"},\"end--11111111-2222-5333-8444-555555555555\":{\"type\":\"end\"}}}", "warn", "C021:1" },
    { HEAD FIRST "\"workflow\":{" S A E "}}", "warn", "C022:1" },
    { TOP S "\"" ACT "\":{\"type\":\"decision\",\"on_completion\":\"" END "\"}," E "}}", "warn", "C030:1" },
    { TOP S "\"" ACT "\":{\"type\":\"action\",\"commands\":[{\"type\":\"openc2\"},{}],\"agent\":\"" GROUP "\",\"on_completion\":\"" END "\"}," E "}}", "warn", "C031:2" },
    { TOP S "\"" ACT "\":{\"type\":\"if-condition\",\"condition\":\"The operator agrees\",\"on_true\":\"" END "\"}," E "}}", "warn", "C032:1" },
    { TOP S "\"" ACT "\":{\"type\":\"if-condition\",\"on_true\":\"" END "\"}," E "}}", "warn", "C032:1" },
    { VARS("\"__n__\":{\"type\":\"integer\",\"value\":\"1\"}") S "\"" ACT "\":{\"type\":\"while-condition\",\"condition\":\"__n__:value < 3\",\"on_true\":\"" ID("action", "5") "\",\"on_completion\":\""
      END "\"},\"" ID("action", "5") "\":{\"type\":\"action\",\"commands\":[{\"type\":\"manual\"}],\"agent\":\"" GROUP "\",\"on_completion\":\"" ID("end", "6") "\"},\"" ID("end", "6") "\":{\"type\":\"end\"}," E "}}", "warn", "C033:1" },
    { VARS("\"__n__\":{\"type\":\"integer\",\"value\":\"1\"}") S "\"" ACT "\":{\"type\":\"while-condition\",\"condition\":\"NOT __n__:value < 3 AND __n__:value\",\"on_true\":\"" ID("end", "6") "\",\"on_completion\":\""
      END "\"},\"" ID("end", "6") "\":{\"type\":\"end\"}," E "}}", "warn", "C033:1 C034:1" },
    { HEAD AGENTS FIRST "\"authentication_info_definitions\":{\"a\":{\"type\":\"http-basic\",\"user_id\":\"u\",\"password\":\"p\"},\"b\":{\"type\":\"oauth2\",\"token\":\"__t__:value\"},"
      "\"c\":{\"private_key\":\"k\"}},\"playbook_variables\":{\"__t__\":{\"type\":\"string\"}},\"workflow\":{" S A E "}}", "warn", "C040:2" },
    { TOP S "\"" ACT "\":{\"type\":\"action\",\"commands\":[{\"type\":\"manual\",\"command\":\"Look at __ip__:value and __ip__:value\"}],\"agent\":\"" GROUP "\",\"out_args\":[\"__r__\"],\"on_completion\":\""
      END "\"}," E "}}", "warn", "C041:2" },
    { VARS("\"ip\":{\"type\":\"string\"},\"__1__\":{\"type\":\"string\"}") S A E "}}", "warn", "C042:2" },
    { HEAD "\"agent_definitions\":{\"" GROUP "\":{\"type\":\"robot\",\"name\":\"R\"}}," FIRST "\"workflow\":{" S A E "}}", "warn", "C050:1" },
};

static char *codes_of(mu_arena *arena, const json_t *findings)
{
    json_t *count = mu_json_own(arena, json_object());
    const json_t *one;
    MU_BUF_AUTO(out, 4096);
    size_t i;

    json_array_foreach(findings, i, one) {
        const char *id = mu_json_str(one, "id");
        json_object_set_new(count, id, json_integer(mu_json_int(count, id, 0) + 1));
        assert_non_null(mu_json_str(one, "message"));
    }
    for (int code = 1; code < 100; code++) {
        const char *id = mu_printf(arena, "C%03d", code);
        if (mu_json_int(count, id, 0) > 0)
            mu_buf_addf(&out, "%s%s:%d", out.n > 0 ? " " : "", id, (int)mu_json_int(count, id, 0));
    }
    return mu_strdup(arena, out.at != NULL ? out.at : "");
}

static void each_code_has_a_smallest_file(void **state)
{
    for (size_t i = 0; i < MU_COUNT(own); i++) {
        json_t *findings;
        const mu_cacao_verdict verdict = mu_cacao_check(*state, own[i].text, strlen(own[i].text), &findings, NULL);
        const char *codes = codes_of(*state, findings);
        if (strcmp(codes, own[i].codes) != 0 || strcmp(mu_cacao_verdict_word(verdict), own[i].verdict) != 0)
            print_message("%zu: %s %s\n%s\n", i, mu_cacao_verdict_word(verdict), codes, own[i].text);
        assert_string_equal(codes, own[i].codes);
        assert_string_equal(mu_cacao_verdict_word(verdict), own[i].verdict);
    }
}

static char *read_text(mu_arena *arena, const char *name, size_t *ret_n)
{
    FILE *stream = fopen(name, "rb");
    char *text = mu_alloc(arena, 4 * 1024 * 1024);
    if (stream == NULL)
        print_message("%s\n", name);
    assert_non_null(stream);
    *ret_n = fread(text, 1, 4 * 1024 * 1024 - 1, stream);
    fclose(stream);
    return text;
}

static char *wanted(mu_arena *arena, const json_t *codes)
{
    MU_BUF_AUTO(out, 4096);
    for (int code = 1; code < 100; code++) {
        const char *id = mu_printf(arena, "C%03d", code);
        if (mu_json_int(codes, id, 0) > 0)
            mu_buf_addf(&out, "%s%s:%d", out.n > 0 ? " " : "", id, (int)mu_json_int(codes, id, 0));
    }
    return mu_strdup(arena, out.at != NULL ? out.at : "");
}

/* Other people's files are not part of the project; where they are, and what is expected of each, is told by whoever runs the test. */
static void files_of_others(void **state)
{
    const char *folder = getenv("MUSTER_CACAO_SAMPLES"), *name;
    mu_problem problem = { .arena = *state };
    json_t *expected, *want;
    size_t n, wrong = 0;

    if (folder == NULL)
        skip();
    const char *text = read_text(*state, mu_printf(*state, "%s/EXPECTED.json", folder), &n);
    assert_int_equal(mu_json_parse(*state, text, n, &problem, &expected), MU_OK);
    json_object_foreach(json_object_get(expected, "files"), name, want) {
        mu_arena *arena = mu_arena_new((size_t)128 * 1024 * 1024);
        json_t *findings;
        text = read_text(arena, mu_printf(arena, "%s/%s", folder, name), &n);
        const char *verdict = mu_cacao_verdict_word(mu_cacao_check(arena, text, n, &findings, NULL)), *codes = codes_of(arena, findings);
        const char *want_codes = wanted(arena, json_object_get(want, "codes"));
        if (strcmp(verdict, mu_json_str(want, "verdict")) != 0 || strcmp(codes, want_codes) != 0) {
            print_message("%s: %s %s, wanted %s %s\n", name, verdict, codes, mu_json_str(want, "verdict"), want_codes);
            wrong++;
        }
        mu_arena_free(arena);
    }
    assert_int_equal(wrong, 0);
}

static void places_are_told(void **state)
{
    static const char text[] = "{\n\"spec_version\":\"cacao-2.0\",\n\"workflow_start\":\"" START "\",\n\"workflow\":{\n\"" START "\":{\"type\":\"start\",\n  \"on_completion\":\"nobody\"}}}";
    json_t *findings;
    (void)mu_cacao_check(*state, text, sizeof text - 1, &findings, NULL);
    const json_t *first = json_array_get(findings, 0);
    assert_string_equal(mu_json_str(first, "id"), "C010");
    assert_string_equal(mu_json_str(first, "pointer"), "/workflow/" START "/on_completion");
    assert_string_equal(mu_json_str(first, "path"), START);
    assert_int_equal(mu_json_int(first, "line", 0), 6);
    assert_string_equal(mu_json_str(mu_json_at(first, "args"), "name"), "nobody");
    (void)mu_cacao_check(*state, "{\n  \"a\": 1,\n}", 13, &findings, NULL);
    assert_int_equal(mu_json_int(json_array_get(findings, 0), "line", 0), 3);
}

static void formats_are_told_apart(void **state)
{
    static const char native[] = "{\"format\": \"muster/1\", \"x-cacao\": {\"spec_version\": 1}}";
    assert_true(mu_cacao_looks(own[0].text, strlen(own[0].text)));
    assert_true(mu_cacao_looks(own[1].text, strlen(own[1].text)));
    assert_false(mu_cacao_looks(native, 0));
    assert_false(mu_cacao_looks("format: muster/1\n", 17));
    assert_false(mu_cacao_looks("\xEF\xBB", 2));
    (void)state;
}

/* Every member of a good file, one after another, as every type of JSON: whatever comes is a finding, never a crash. */
static void wrong_types_everywhere(void **state)
{
    static const char *const others[] = { "null", "true", "7", "1.5", "\"x\"", "[]", "{}", "[[]]", "[{}]", "{\"a\":{}}", "[1,null]", "\"__x__:value\"" };
    const char *good = own[11].text;
    mu_problem problem = { .arena = *state };
    json_t *parsed;
    assert_int_equal(mu_json_parse(*state, good, strlen(good), &problem, &parsed), MU_OK);
    for (const char *c = good; (c = strchr(c, ':')) != NULL; c++) {
        if (c[-1] != '"')
            continue;
        for (size_t i = 0; i < MU_COUNT(others); i++) {
            mu_arena *arena = mu_arena_new((size_t)64 * 1024 * 1024);
            size_t end = 1, depth = 0;
            bool inside = false;
            for (; c[end] != '\0'; end++) {
                inside = c[end] == '"' ? !inside : inside;
                depth += !inside && (c[end] == '{' || c[end] == '[') ? 1 : 0;
                if (!inside && depth == 0 && (c[end] == ',' || c[end] == '}' || c[end] == ']'))
                    break;
                depth -= !inside && (c[end] == '}' || c[end] == ']') ? 1 : 0;
            }
            const char *text = mu_printf(arena, "%.*s%s%s", (int)(c - good + 1), good, others[i], c + end);
            json_t *findings;
            (void)mu_cacao_check(arena, text, strlen(text), &findings, NULL);
            assert_true(json_is_array(findings));
            mu_arena_free(arena);
        }
    }
}

static double seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* As many steps as a file may have, each naming as many others as fit: bounded time. */
static void large_files_are_bounded(void **state)
{
    mu_arena *arena = *state;
    MU_BUF_AUTO(out, 4 * 1024 * 1024);
    json_t *findings;
    const double start = seconds();

    mu_buf_adds(&out, "{\"spec_version\":\"cacao-2.0\",\"workflow_start\":\"s0\",\"workflow\":{");
    for (int i = 0; i < 2000; i++) {
        mu_buf_addf(&out, "%s\"s%d\":{\"type\":\"parallel\",\"next_steps\":[", i > 0 ? "," : "", i);
        for (int k = 1; k <= 60; k++)
            mu_buf_addf(&out, "%s\"s%d\"", k > 1 ? "," : "", (i + k * 7) % 2000);
        mu_buf_adds(&out, "]}");
    }
    mu_buf_adds(&out, "}}");
    assert_true(out.n < MU_CACAO_BYTES && !out.over);
    assert_int_equal(mu_cacao_check(arena, out.at, out.n, &findings, NULL), MU_CACAO_REJECT);
    assert_true(json_array_size(findings) <= 1000);
    assert_true(seconds() - start < 10);

    char *big = mu_alloc(arena, MU_CACAO_BYTES + 2);
    memset(big, ' ', MU_CACAO_BYTES + 1);
    assert_int_equal(mu_cacao_check(arena, big, MU_CACAO_BYTES + 1, &findings, NULL), MU_CACAO_REJECT);
    memset(big, '[', 100000);
    assert_int_equal(mu_cacao_check(arena, big, 100000, &findings, NULL), MU_CACAO_REJECT);
    assert_string_equal(mu_json_str(json_array_get(findings, 0), "message"), "finding.C001.depth");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(each_code_has_a_smallest_file),
        ARENA_TEST(files_of_others),
        ARENA_TEST(places_are_told),
        ARENA_TEST(formats_are_told_apart),
        ARENA_TEST(wrong_types_everywhere),
        ARENA_TEST(large_files_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
