#include "json.h"
#include "mu_yaml.h"
#include "test_help.h"

static void reads(mu_arena *arena, const char *text, const char *want)
{
    mu_problem problem = { .arena = arena };
    json_t *json = NULL;
    mu_err err = mu_yaml_parse(arena, text, strlen(text), &problem, &json, NULL);
    if (err != MU_OK)
        print_message("%s: %s (%s)\n", text, problem.first->key, problem.detail);
    assert_int_equal(err, MU_OK);
    mu_buf out = MU_BUF(100000);
    if (json_is_object(json) || json_is_array(json)) {
        assert_true(mu_json_canonical(json, &out));
        assert_string_equal(out.at, want);
    }
    mu_buf_free(&out);
}

static void plain_scalars_follow_the_core_schema(void **state)
{
    mu_arena *arena = *state;
    reads(arena, "[on, off, yes, no, y, True, TRUE, true, false]", "[\"on\",\"off\",\"yes\",\"no\",\"y\",\"True\",\"TRUE\",true,false]");
    reads(arena, "[12:30, 2026-11-23, 010, 0o17, 0x1F, +7, -7, 1_000]", "[\"12:30\",\"2026-11-23\",10,15,31,7,-7,\"1_000\"]");
    reads(arena, "[null, Null, NULL, ~, x]", "[null,null,null,null,\"x\"]");
    reads(arena, "[1.5, .5, 1., 1e3, -1.5E-2, ., +, -, 1e, 0o8, 0x]", "[1.5,0.5,1,1000,-0.015,\".\",\"+\",\"-\",\"1e\",\"0o8\",\"0x\"]");
    reads(arena, "['true', \"1\", '', \"a\\nb\", 25m]", "[\"true\",\"1\",\"\",\"a\\nb\",\"25m\"]");
    reads(arena, "on: 1\nno: 2\n演: {a: [], b: {}}\n", "{\"no\":2,\"on\":1,\"演\":{\"a\":[],\"b\":{}}}");
    reads(arena, "a: |\n  x\n  y\nb: >\n  x\n  y\nc:\n", "{\"a\":\"x\\ny\\n\",\"b\":\"x y\\n\",\"c\":null}");
    reads(arena, "\xEF\xBB\xBF---\na: 1 # comment\n...\n", "{\"a\":1}");
}

static void what_is_refused_names_the_place(void **state)
{
    static const struct { const char *text, *key, *line, *column; } bad[] = {
        { "a: &x 1\n", "error.yaml.anchor", "1", "4" }, { "a: 1\nb: *x\n", "error.yaml.anchor", "2", "4" },
        { "a: !!str 1\n", "error.yaml.tag", "1", "4" }, { "a: !x {}\n", "error.yaml.tag", "1", "4" }, { "<<: {a: 1}\n", "error.yaml.merge", "1", "1" },
        { "a: 1\nb: 2\na: 3\n", "error.yaml.duplicate", "3", "1" }, { "? [a]\n: 1\n", "error.yaml.key", "1", "3" },
        { "--- a\n--- b\n", "error.yaml.documents", "2", "1" }, { "a: .inf\n", "error.yaml.number", "1", "4" },
        { "a: 9007199254740993\n", "error.yaml.number", "1", "4" }, { "a: 1e999\n", "error.yaml.number", "1", "4" },
        { "a: \"x\\0y\"\n", "error.yaml.text", "1", "4" }, { "", "error.yaml.empty", "1", "1" }, { "# only\n", "error.yaml.empty", "1", "1" },
        { "a: [1\nb: 2\n", "error.yaml.syntax", "2", "2" }, { "%TAG ! tag:x:\n--- a\n", "error.yaml.tag", "1", "1" }, { "a: \xff\n", "error.yaml.text", "1", "1" },
        { "a:\n\t- b\n", "error.yaml.syntax", "2", "1" },
        { "[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]", "error.yaml.depth", "1", "25" },
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_problem problem = { .arena = *state };
        json_t *json = NULL;
        assert_int_equal(mu_yaml_parse(*state, bad[i].text, strlen(bad[i].text), &problem, &json, NULL), MU_INVALID);
        const mu_fault *fault = find_fault(&problem, "", bad[i].key);
        if (fault == NULL || strcmp(fault_arg(fault, "line"), bad[i].line) != 0 || strcmp(fault_arg(fault, "column"), bad[i].column) != 0)
            print_message("%s: %s\n", bad[i].text, problem.detail != NULL ? problem.detail : problem.first->key);
        assert_non_null(fault);
        assert_string_equal(fault_arg(fault, "line"), bad[i].line);
        assert_string_equal(fault_arg(fault, "column"), bad[i].column);
    }
}

static void size_is_bounded(void **state)
{
    mu_arena *arena = *state;
    size_t n = 1024 * 1024;
    char *text = mu_alloc(arena, n + 2);
    for (size_t i = 0; i < n; i++)
        text[i] = i % 2 == 0 ? ',' : 'a';
    text[0] = '[';
    mu_problem problem = { .arena = arena };
    json_t *json;
    assert_int_equal(mu_yaml_parse(arena, text, n, &problem, &json, NULL), MU_INVALID);
    assert_non_null(find_fault(&problem, "", "error.yaml.large"));
    problem = (mu_problem){ .arena = arena };
    assert_int_equal(mu_yaml_parse(arena, text, n + 1, &problem, &json, NULL), MU_INVALID);
}

static void places(void **state)
{
    mu_arena *arena = *state;
    static const char text[] = "id: x\nsteps:\n  - task: one\n    text: {zh: 一, en: one}\n  - decide: two\n    options:\n      - yes\n      - no\na/b~c: 1\n";
    mu_problem problem = { .arena = arena };
    json_t *json;
    mu_marks *marks;
    assert_int_equal(mu_yaml_parse(arena, text, strlen(text), &problem, &json, &marks), MU_OK);
    static const struct { const char *pointer; unsigned line, column; } cases[] = {
        { "", 1, 1 }, { "/id", 1, 5 }, { "/steps", 2, 1 }, { "/steps/0", 3, 5 }, { "/steps/0/task", 3, 11 }, { "/steps/0/text/en", 4, 23 },
        { "/steps/1/options", 6, 5 }, { "/steps/1/options/1", 8, 9 }, { "/a~1b~0c", 9, 8 }, { "/nothing", 0, 0 }, { "/steps/2", 0, 0 },
        { "/steps/x", 0, 0 }, { "steps", 0, 0 }, { "/steps/0/task/z", 0, 0 },
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_position at = mu_marks_find(marks, cases[i].pointer);
        assert_int_equal(at.line, cases[i].line);
        assert_int_equal(at.column, cases[i].column);
    }
    assert_int_equal(mu_marks_find(NULL, "/id").line, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(plain_scalars_follow_the_core_schema),
        ARENA_TEST(what_is_refused_names_the_place),
        ARENA_TEST(size_is_bounded),
        ARENA_TEST(places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
