#include "clock.h"
#include "json.h"
#include "spec.h"
#include "test_help.h"

static const mu_field fields[] = {
    { .name = "title", .type = MU_F_STR, .required = true, .least = 3, .most = 20, .help = "What happened." },
    { .name = "text", .type = MU_F_TEXT },
    { .name = "count", .type = MU_F_INT, .least = 1, .most = 10 },
    { .name = "number", .type = MU_F_INT },
    { .name = "drill", .type = MU_F_BOOL },
    { .name = "severity", .type = MU_F_ENUM, .values = "I II III IV" },
    { .name = "slug", .type = MU_F_SLUG },
    { .name = "ref", .type = MU_F_REF },
    { .name = "id", .type = MU_F_UUID },
    { .name = "email", .type = MU_F_EMAIL },
    { .name = "url", .type = MU_F_URL },
    { .name = "at", .type = MU_F_TIME },
    { .name = "day", .type = MU_F_DATE },
    { .name = "every", .type = MU_F_DURATION, .least = 60, .most = 86400 },
    { .name = "name", .type = MU_F_LANG_TEXT },
    { .name = "password", .type = MU_F_SECRET },
    { .name = "tags", .type = MU_F_LIST, .of = MU_F_SLUG, .most = 3 },
    { .name = "levels", .type = MU_F_LIST, .of = MU_F_ENUM, .values = "I II" },
    { .name = "facts", .type = MU_F_JSON },
    { .name = "file", .type = MU_F_FILE, .most = 10 },
};
static const mu_spec spec = { "thing", fields, MU_COUNT(fields) };

static mu_err check(mu_arena *arena, const char *text, bool form, mu_problem *problem, json_t **ret)
{
    *problem = (mu_problem){ .arena = arena };
    json_t *in = mu_json_own(arena, json_loads(text, 0, NULL));
    return mu_spec_check(arena, &spec, in, form, problem, ret);
}

static void accepts(mu_arena *arena, bool form, const char *text, const char *want)
{
    mu_problem problem;
    json_t *out = NULL;
    mu_err err = check(arena, text, form, &problem, &out);
    if (err != MU_OK)
        print_message("%s: %s %s\n", text, problem.first->pointer, problem.first->key);
    assert_int_equal(err, MU_OK);
    assert_string_equal(mu_json_text(arena, out), want);
}

static void refuses(mu_arena *arena, bool form, const char *text, const char *pointer, const char *key)
{
    mu_problem problem;
    json_t *out = NULL;
    assert_int_equal(check(arena, text, form, &problem, &out), MU_INVALID);
    if (find_fault(&problem, pointer, key) == NULL)
        print_message("%s: got %s %s\n", text, problem.first->pointer, problem.first->key);
    assert_non_null(find_fault(&problem, pointer, key));
    assert_null(out);
}

static void a_json_body_is_trimmed_and_coerced(void **state)
{
    mu_arena *arena = *state;
    assert_true(mu_time_zone("Asia/Shanghai"));
    accepts(arena, false, "{\"title\":\"  outage  \",\"count\":3,\"drill\":true,\"severity\":\"II\"}",
            "{\"title\":\"outage\",\"count\":3,\"drill\":true,\"severity\":\"II\"}");
    accepts(arena, false, "{\"title\":\"网络中断\",\"text\":\"a\\r\\nb\",\"at\":\"2026-11-23T14:05:09+08:00\",\"every\":\"PT90M\"}",
            "{\"title\":\"网络中断\",\"text\":\"a\\nb\",\"at\":\"2026-11-23T06:05:09.000Z\",\"every\":\"1h30m\"}");
    accepts(arena, false, "{\"title\":\"abc\",\"name\":{\"zh\":\" 名 \",\"en\":\"\"},\"password\":\"  p  \"}",
            "{\"title\":\"abc\",\"name\":{\"zh\":\"名\"},\"password\":\"  p  \"}");
    accepts(arena, false, "{\"title\":\"abc\",\"tags\":[\"a\",\"b\"],\"levels\":[\"I\"],\"facts\":{\"x\":[1]},\"text\":null}",
            "{\"title\":\"abc\",\"text\":null,\"tags\":[\"a\",\"b\"],\"levels\":[\"I\"],\"facts\":{\"x\":[1]}}");
}

static void a_form_says_the_same(void **state)
{
    mu_arena *arena = *state;
    accepts(arena, true, "{\"title\":\"outage\",\"count\":\" 3 \",\"drill\":\"on\",\"_csrf\":\"x\",\"at\":\"2026-11-23T14:05\"}",
            "{\"title\":\"outage\",\"count\":3,\"drill\":true,\"at\":\"2026-11-23T06:05:00.000Z\"}");
    accepts(arena, true, "{\"title\":\"abc\",\"name.zh\":\"名\",\"name.en\":\"name\",\"tags\":\"one\"}",
            "{\"title\":\"abc\",\"drill\":false,\"name\":{\"zh\":\"名\",\"en\":\"name\"},\"tags\":[\"one\"]}");
    accepts(arena, true, "{\"title\":\"abc\",\"name\":\"plain\",\"facts\":\"{\\\"a\\\":1}\"}",
            "{\"title\":\"abc\",\"drill\":false,\"name\":\"plain\",\"facts\":{\"a\":1}}");
    accepts(arena, true, "{\"title\":\"abc\",\"facts.users\":\"3\",\"facts.a-b.c\":[\"x\",\"y\"]}",
            "{\"title\":\"abc\",\"drill\":false,\"facts\":{\"users\":\"3\",\"a-b.c\":[\"x\",\"y\"]}}");
    refuses(arena, true, "{\"title\":\"abc\",\"facts.a b\":\"3\"}", "/facts.a b", "error.field.unknown");
    refuses(arena, true, "{\"title\":\"abc\",\"slug.x\":\"3\"}", "/slug.x", "error.field.unknown");
    refuses(arena, true, "{\"title\":\"abc\",\"count\":\"3x\"}", "/count", "error.field.type");
    refuses(arena, true, "{\"title\":\"abc\",\"drill\":\"perhaps\"}", "/drill", "error.field.type");
    refuses(arena, true, "{\"title\":[\"abc\",\"def\"]}", "/title", "error.field.type");
    refuses(arena, true, "{\"title\":\"abc\",\"facts\":\"{\"}", "/facts", "error.field.json");
}

static void every_kind_refuses_what_it_must(void **state)
{
    static const struct { const char *member, *pointer, *key; } bad[] = {
        { "\"text\":\"\\u0007\"", "/text", "error.field.control" }, { "\"text\":7", "/text", "error.field.type" },
        { "\"count\":0", "/count", "error.field.range" }, { "\"count\":11", "/count", "error.field.range" },
        { "\"count\":\"3\"", "/count", "error.field.type" }, { "\"count\":1.5", "/count", "error.field.type" },
        { "\"drill\":\"on\"", "/drill", "error.field.type" }, { "\"severity\":\"V\"", "/severity", "error.field.enum" },
        { "\"severity\":\"I II\"", "/severity", "error.field.enum" }, { "\"severity\":\"\"", "/severity", "error.field.enum" },
        { "\"slug\":\"A\"", "/slug", "error.field.slug" }, { "\"ref\":\"x\"", "/ref", "error.field.ref" },
        { "\"id\":\"x\"", "/id", "error.field.uuid" }, { "\"email\":\"x\"", "/email", "error.field.email" },
        { "\"url\":\"ftp://x\"", "/url", "error.field.url" }, { "\"url\":\"javascript:alert(1)\"", "/url", "error.field.url" },
        { "\"url\":\"https://u:p@x/\"", "/url", "error.field.url" }, { "\"url\":\"https:///x\"", "/url", "error.field.url" },
        { "\"url\":\"https://x/ y\"", "/url", "error.field.url" }, { "\"at\":\"2026-11-23T14:05\"", "/at", "error.field.time" },
        { "\"day\":\"2026-02-30\"", "/day", "error.field.date" }, { "\"every\":\"5\"", "/every", "error.field.duration" },
        { "\"every\":\"5s\"", "/every", "error.field.short" }, { "\"every\":\"2d\"", "/every", "error.field.long" },
        { "\"name\":{\"fr\":\"x\"}", "/name/fr", "error.field.unknown" }, { "\"name\":{\"zh\":7}", "/name/zh", "error.field.type" },
        { "\"name\":7", "/name", "error.field.type" }, { "\"tags\":\"a\"", "/tags", "error.field.type" },
        { "\"tags\":[\"a\",\"B\"]", "/tags/1", "error.field.slug" }, { "\"tags\":[\"a\",\"b\",\"c\",\"d\"]", "/tags", "error.field.many" },
        { "\"levels\":[\"III\"]", "/levels/0", "error.field.enum" }, { "\"facts\":\"x\"", "/facts", "error.field.type" },
        { "\"password\":\"a\\nb\"", "/password", "error.field.control" }, { "\"zzz\":1", "/zzz", "error.field.unknown" },
        { "\"a/b~\":1", "/a~1b~0", "error.field.unknown" }, { "\"_csrf\":1", "/_csrf", "error.field.unknown" },
        { "\"file\":{\"name\":\"a/b\",\"type\":\"t\",\"base64\":\"\"}", "/file", "error.field.file" },
        { "\"file\":{\"name\":\"a\",\"type\":\"t\",\"base64\":\"!\"}", "/file", "error.field.file" },
        { "\"file\":{\"name\":\"a\",\"type\":\"t\",\"base64\":\"QUFBQUFBQUFBQUFB\"}", "/file", "error.field.file_large" },
        { "\"file\":\"x\"", "/file", "error.field.type" },
        { "\"facts\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", "/facts", "error.field.depth" },
    };
    mu_arena *arena = *state;
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        refuses(arena, false, mu_printf(arena, "{\"title\":\"abc\",%s}", bad[i].member), bad[i].pointer, bad[i].key);
    refuses(arena, false, "{}", "/title", "error.field.required");
    refuses(arena, false, "{\"title\":null}", "/title", "error.field.required");
    refuses(arena, false, "{\"title\":\"   \"}", "/title", "error.field.required");
    refuses(arena, false, "{\"title\":\"ab\"}", "/title", "error.field.short");
    refuses(arena, false, "{\"title\":\"abcdefghijklmnopqrstu\"}", "/title", "error.field.long");
    refuses(arena, false, "[]", "", "error.field.type");
    accepts(arena, false, "{\"title\":\"演演演演演演演演演演演演演演演演演演演演\"}", "{\"title\":\"演演演演演演演演演演演演演演演演演演演演\"}");
    accepts(arena, false, "{\"title\":\"abc\",\"file\":{\"name\":\"a.txt\",\"type\":\"text/plain\",\"size\":999,\"base64\":\"QUI=\"}}",
            "{\"title\":\"abc\",\"file\":{\"name\":\"a.txt\",\"type\":\"text/plain\",\"size\":2,\"base64\":\"QUI=\"}}");
}

static void all_faults_are_told_at_once(void **state)
{
    mu_problem problem;
    json_t *out = NULL;
    assert_int_equal(check(*state, "{\"count\":99,\"severity\":\"X\",\"day\":\"?\",\"more\":1}", false, &problem, &out), MU_INVALID);
    assert_int_equal(problem.count, 5);
    assert_string_equal(fault_arg(find_fault(&problem, "/count", "error.field.range"), "most"), "10");
    assert_string_equal(fault_arg(find_fault(&problem, "/severity", "error.field.enum"), "values"), "I II III IV");
}

static void the_schema_describes_the_fields(void **state)
{
    json_t *schema = mu_json_own(*state, mu_spec_schema(&spec));
    assert_string_equal(mu_json_str(schema, "type"), "object");
    assert_false(mu_json_bool(schema, "additionalProperties", true));
    assert_string_equal(json_string_value(json_array_get(json_object_get(schema, "required"), 0)), "title");
    const json_t *properties = json_object_get(schema, "properties");
    assert_int_equal(json_object_size(properties), MU_COUNT(fields));
    assert_int_equal(mu_json_int(json_object_get(properties, "title"), "maxLength", 0), 20);
    assert_string_equal(mu_json_str(json_object_get(properties, "title"), "description"), "What happened.");
    assert_int_equal(json_array_size(json_object_get(json_object_get(properties, "severity"), "enum")), 4);
    assert_string_equal(mu_json_str(mu_json_at(properties, "tags.items"), "pattern"), "^[a-z][a-z0-9_-]{0,63}$");
    assert_int_equal(json_array_size(mu_json_at(properties, "name.anyOf")), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(a_json_body_is_trimmed_and_coerced),
        ARENA_TEST(a_form_says_the_same),
        ARENA_TEST(every_kind_refuses_what_it_must),
        ARENA_TEST(all_faults_are_told_at_once),
        ARENA_TEST(the_schema_describes_the_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
