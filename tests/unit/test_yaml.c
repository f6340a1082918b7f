#include "json.h"
#include "mu_yaml.h"
#include "yaml_write.h"
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

/* Written and read again: the same tree. Returns the text. */
static char *there_and_back(mu_arena *arena, const json_t *json, const mu_yaml_style *style)
{
    mu_problem problem = { .arena = arena };
    mu_buf out = MU_BUF(1024 * 1024);
    json_t *again = NULL;
    assert_true(mu_yaml_write(arena, json, style, &out));
    char *text = mu_strndup(arena, out.at, out.n);
    mu_buf_free(&out);
    if (mu_yaml_parse(arena, text, strlen(text), &problem, &again, NULL) != MU_OK || !json_equal(json, again))
        print_message("%s\n%s\n%s\n", mu_json_text(arena, json), text, again != NULL ? mu_json_text(arena, again) : problem.detail);
    assert_true(json_equal(json, again));
    return text;
}

static void written_text_is_read_back(void **state)
{
    mu_arena *arena = *state;
    static const char *const texts[] = { "", " ", "a ", " a", "yes", "NO", "on", "null", "~", "12:30", "010", "0x1F", "1e3", ".5", "25m", "2h", "1.", "-", "- a", "a: b", "a:", "a #b",
        "#", "&a", "*a", "!t", "|", ">", "%", "@", "`", "'", "\"", "it's", "a, b", "[a]", "{a}", "{{app}} down", "?", "? a", "<<", "=", "a\nb", "a\nb\n", "a\nb\n\n", "\n", "a\n \nb",
        " a\nb", "a\n  b\n\nc", "tab\tx", "a\tb\nc", "\r", "\x01", "\x7f", "\xC2\x85", "\xE2\x80\xA8x", "\xEF\xBB\xBF", "\xEF\xBF\xBE", "\xF0\x9F\x98\x80", "中文：手机", "---", "...", "a---",
        "--- a", "x:y", "http://a/b?c=d", "true", "True", "2026-11-23", "a\\b", "\xC2\xA0", "a\xC2\x80z", "- ", "key: [", "1_000", "+", "\xE9\xA6\x96" };
    json_t *list = mu_json_own(arena, json_array()), *map = mu_json_own(arena, json_object());
    for (size_t i = 0; i < MU_COUNT(texts); i++) {
        json_array_append_new(list, json_string(texts[i]));
        json_object_set_new(map, texts[i], json_pack("{s:s, s:[s]}", "k", texts[i], texts[i], texts[i]));
        (void)there_and_back(arena, mu_json_own(arena, json_pack("{s:s, s:{s:s}, s:[s, [s]]}", "plain", texts[i], "in", texts[i], texts[i], "list", texts[i], texts[i])), NULL);
    }
    (void)there_and_back(arena, list, NULL);
    (void)there_and_back(arena, map, NULL);
    (void)there_and_back(arena, mu_json_own(arena, json_pack("[i, f, f, f, b, n, [], {}, [[[]]], {s:{}}]", -7, 1.0, 0.1, 1e21, 1, "e")), NULL);
}

static json_t *random_tree(uint64_t *seed, unsigned depth)
{
    static const char *const words[] = { "a", "on", "id", "task", "x y", "12", "a: b", "line\nline", "中", "{{x}}", "'", "\"q\"", "true", "- z" };
    const uint64_t kind = next_random(seed) % (depth > 5 ? 4 : 8);
    if (kind < 2)
        return json_string(words[next_random(seed) % MU_COUNT(words)]);
    if (kind == 2)
        return json_integer((json_int_t)(next_random(seed) % 2000) - 1000);
    if (kind == 3)
        return next_random(seed) % 2 == 0 ? json_boolean(next_random(seed) % 2) : json_real((double)(next_random(seed) % 1000) / 8);
    json_t *tree = kind < 6 ? json_array() : json_object();
    for (uint64_t i = next_random(seed) % 5; i > 0; i--)
        if (kind < 6)
            json_array_append_new(tree, random_tree(seed, depth + 1));
        else
            json_object_set_new(tree, words[next_random(seed) % MU_COUNT(words)], random_tree(seed, depth + 1));
    return tree;
}

static void any_tree_is_read_back(void **state)
{
    uint64_t seed = 20261125;
    for (int i = 0; i < 3000; i++) {
        mu_mark mark = mu_arena_mark(*state);
        (void)there_and_back(*state, mu_json_own(*state, random_tree(&seed, 0)), NULL);
        mu_arena_reset(*state, mark);
    }
}

static void keys_stand_in_their_order(void **state)
{
    static const char *const order[] = { "id", "task", "role", "text", "steps", NULL }, *const maps[] = { "vars", NULL };
    static const mu_yaml_style style = { order, maps };
    mu_arena *arena = *state;
    mu_problem problem = { .arena = arena };
    static const char json[] = "{\"vars\":{\"text\":1,\"id\":2},\"steps\":[{\"role\":\"r\",\"task\":\"t\"},{\"zz\":[{\"a\":1}],\"task\":\"on\",\"text\":\"a\\nb\"}],\"id\":\"x\"}";
    json_t *tree;
    assert_int_equal(mu_json_parse(arena, json, strlen(json), &problem, &tree), MU_OK);
    assert_string_equal(there_and_back(arena, tree, &style),
        "id: x\nsteps:\n  - {task: t, role: r}\n  - task: 'on'\n    text: |-\n      a\n      b\n    zz:\n      - {a: 1}\nvars: {text: 1, id: 2}\n");
}

static void what_has_no_form_is_said(void **state)
{
    mu_arena *arena = *state;
    json_t *deep = json_array();
    for (int i = 0; i < 23; i++)
        deep = json_pack("[o]", deep);
    mu_json_own(arena, deep);
    (void)there_and_back(arena, deep, NULL);
    mu_buf out = MU_BUF(100000), small = MU_BUF(8);
    assert_false(mu_yaml_write(arena, mu_json_own(arena, json_pack("[O]", deep)), NULL, &out));
    assert_false(mu_yaml_write(arena, mu_json_own(arena, json_string("longer than eight bytes")), NULL, &small));
    char *key = mu_alloc(arena, 300);
    memset(key, 'k', 299);
    assert_false(mu_yaml_write(arena, mu_json_own(arena, json_pack("{s:i}", key, 1)), NULL, &out));
    mu_buf_free(&out);
    mu_buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(plain_scalars_follow_the_core_schema),
        ARENA_TEST(what_is_refused_names_the_place),
        ARENA_TEST(size_is_bounded),
        ARENA_TEST(places),
        ARENA_TEST(written_text_is_read_back),
        ARENA_TEST(any_tree_is_read_back),
        ARENA_TEST(keys_stand_in_their_order),
        ARENA_TEST(what_has_no_form_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
