/* The cases of the official specification are read from the folder named by MUSTACHE_SPECS; they are not kept here. */
#include <stdio.h>

#include "json.h"
#include "mustache.h"
#include "test_help.h"

static const char *word(const char *language, const char *key)
{
    static const char *const words[][3] = {
        { "hello", "Hello {name}, you have <{n}> & more", "你好 {name}" },
        { "state.open", "open", "进行中" },
        { "files#one", "{n} file", NULL }, { "files#other", "{n} files", "{n} 个文件" },
        { "braces", "{ {x y} {a.b} {", "{}" },
        { "time.relative", "{ago} · {at}", "{ago} · {at}" }, { "time.ago.now", "just now", "刚刚" },
        { "time.ago.minutes", "{n} min ago", "{n} 分钟前" }, { "time.ago.hours", "{n} h ago", "{n} 小时前" },
        { "time.ago.days#one", "{n} day ago", NULL }, { "time.ago.days#other", "{n} days ago", "{n} 天前" },
        { "time.in.minutes", "in {n} min", "{n} 分钟后" }, { "time.in.hours", "in {n} h", "{n} 小时后" },
        { "time.in.days", "in {n} d", "{n} 天后" }, { "time.duration.seconds", "{n} s", "{n} 秒" },
        { "time.duration.minutes", "{n} min", "{n} 分" }, { "time.duration.minutes_seconds", "{m} min {s} s", "{m} 分 {s} 秒" },
        { "time.duration.hours", "{h} h {m} min", "{h} 小时 {m} 分" }, { "time.duration.days", "{d} d {h} h", "{d} 天 {h} 小时" },
    };
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strcmp(words[i][0], key) == 0)
            return words[i][strcmp(language, "zh") == 0 ? 2 : 1];
    return NULL;
}

typedef struct { mu_arena *arena; json_t *partials; unsigned flags; } library;

static const mu_template *partial(void *closure, const char *name)
{
    library *lib = closure;
    const char *text = json_string_value(json_object_get(lib->partials, name));
    mu_problem problem = { .arena = lib->arena };
    mu_template *tpl = NULL;
    if (text == NULL || mu_template_parse(lib->arena, text, strlen(text), lib->flags, &problem, &tpl) != MU_OK)
        return NULL;
    return tpl;
}

static mu_err try_render(mu_arena *arena, const char *language, const char *text, const char *model, const char *partials, unsigned flags,
                         char **ret)
{
    mu_problem problem = { .arena = arena };
    mu_template *tpl;
    TRY(mu_template_parse(arena, text, strlen(text), flags, &problem, &tpl));
    library lib = { .arena = arena, .partials = mu_json_own(arena, json_loads(partials, 0, NULL)), .flags = flags };
    json_t *json = mu_json_own(arena, json_loads(model, 0, NULL));
    mu_render how = { .language = language, .word = word, .partial = partial, .closure = &lib };
    assert_true(mu_time_parse("2026-11-23T06:17:30Z", &how.now));
    mu_buf out = MU_BUF(100000);
    mu_err err = mu_template_render(tpl, json, &how, &out);
    *ret = mu_strdup(arena, out.at != NULL ? out.at : "");
    mu_buf_free(&out);
    return err;
}

static void renders(mu_arena *arena, const char *language, const char *text, const char *model, const char *want)
{
    char *got;
    assert_int_equal(try_render(arena, language, text, model, "{}", 0, &got), MU_OK);
    assert_string_equal(got, want);
}

static void the_official_cases(void **state)
{
    (void)state;
    static const char *const modules[] = { "comments", "delimiters", "interpolation", "inverted", "partials", "sections" };
    const char *folder = getenv("MUSTACHE_SPECS");
    if (folder == NULL) {
        print_message("MUSTACHE_SPECS is not set; the specification's cases are skipped\n");
        skip();
    }
    unsigned count = 0;
    for (size_t i = 0; i < MU_COUNT(modules); i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s.json", folder, modules[i]);
        json_t *file = json_load_file(path, 0, NULL);
        assert_non_null(file);
        const json_t *tests = json_object_get(file, "tests");
        for (size_t k = 0; k < json_array_size(tests); k++) {
            const json_t *test = json_array_get(tests, k);
            mu_arena *arena = mu_arena_new(0);
            mu_problem problem = { .arena = arena };
            mu_template *tpl;
            const char *text = mu_json_str(test, "template");
            library lib = { .arena = arena, .partials = json_object_get(test, "partials"), .flags = MU_TPL_RAW };
            mu_render how = { .language = "en", .word = word, .partial = partial, .closure = &lib };
            mu_buf out = MU_BUF(10000);
            assert_int_equal(mu_template_parse(arena, text, strlen(text), MU_TPL_RAW, &problem, &tpl), MU_OK);
            assert_int_equal(mu_template_render(tpl, json_object_get(test, "data"), &how, &out), MU_OK);
            assert_string_equal(out.at != NULL ? out.at : "", mu_json_str(test, "expected"));
            mu_buf_free(&out);
            mu_arena_free(arena);
            count++;
        }
        json_decref(file);
    }
    assert_int_equal(count, 111);
}

static void values_are_escaped_and_languages_chosen(void **state)
{
    renders(*state, "en", "{{x}} {{y.z}}{{none}}", "{\"x\":\"<b a='1'>\",\"y\":{\"z\":[1]}}", "&lt;b a=&#39;1&#39;&gt; ");
    renders(*state, "en", "{{a}} {{b}} {{c}} {{d}}", "{\"a\":3,\"b\":0.1,\"c\":true,\"d\":null}", "3 0.1 true ");
    renders(*state, "zh", "{{t1}}|{{t2}}", "{\"t1\":{\"zh\":\"断网\",\"en\":\"outage\"},\"t2\":{\"en\":\"only\"}}", "断网|only");
    renders(*state, "en", "{{t1}}|{{t2}}", "{\"t1\":{\"zh\":\"断网\",\"en\":\"outage\"},\"t2\":{\"zh\":\"仅\",\"en\":\"\"}}", "outage|仅");
    renders(*state, "en", "{{#zero}}a{{/zero}}{{#empty}}b{{/empty}}{{^empty}}c{{/empty}}{{#none}}d{{/none}}{{#list}}e{{/list}}",
            "{\"zero\":0,\"empty\":\"\",\"list\":[]}", "c");
    renders(*state, "en", "{{#l.0}}any {{l.1}}{{/l.0}}{{^m.0}}none{{/m.0}}{{l.9}}{{l.-1}}", "{\"l\":[\"a\",\"b\"],\"m\":[]}", "any bnone");
    renders(*state, "en", "{{{note_html}}}{{{map_svg}}}", "{\"note_html\":\"<p>\",\"map_svg\":\"<svg>\"}", "<p><svg>");
}

static void words_are_looked_up(void **state)
{
    renders(*state, "en", "{{#t}}hello{{/t}}", "{\"name\":\"<Ann>\",\"n\":2}", "Hello &lt;Ann&gt;, you have &lt;2&gt; &amp; more");
    renders(*state, "zh", "{{#t}} hello {{/t}}", "{\"name\":\"安\"}", "你好 安");
    renders(*state, "en", "{{#t}}state.{{s}}{{/t}}", "{\"s\":\"open\"}", "open");
    renders(*state, "en", "{{#t}}state.{{s}}{{/t}}", "{\"s\":\"<x>\"}", "⟦state.&lt;x&gt;⟧");
    renders(*state, "en", "{{#rows}}{{#t}}files{{/t}};{{/rows}}", "{\"rows\":[{\"n\":0},{\"n\":1},{\"n\":\"1\"},{\"n\":5}]}",
            "0 files;1 file;1 file;5 files;");
    renders(*state, "zh", "{{#t}}files{{/t}}", "{\"n\":1}", "1 个文件");
    renders(*state, "en", "{{#t}}braces{{/t}}", "{\"a\":{\"b\":7}}", "{ {x y} 7 {");
    renders(*state, "en", "{{#t}}nothing.here{{/t}}", "{}", "⟦nothing.here⟧");
}

static void times_are_formatted(void **state)
{
    mu_arena *arena = *state;
    assert_true(mu_time_zone("Asia/Shanghai"));
    static const char model[] = "{\"at\":\"2026-11-23T06:05:09.123Z\",\"old\":\"2026-11-20T06:05:09Z\",\"soon\":\"2026-11-23T08:30:00Z\","
        "\"day\":\"2026-11-23\",\"bad\":\"<soon>\",\"s\":3900,\"s2\":95,\"s3\":\"1h\",\"s4\":90000,\"s5\":7,\"s6\":-600,\"nul\":null}";
    renders(arena, "en", "{{#time}}at{{/time}}", model, "<time datetime=\"2026-11-23T06:05:09.123Z\">2026-11-23 14:05</time>");
    renders(arena, "en", "{{#clock}}at{{/clock}}", model, "<time datetime=\"2026-11-23T06:05:09.123Z\">14:05</time>");
    renders(arena, "en", "{{#date}}at{{/date}}{{#date}}day{{/date}}", model,
            "<time datetime=\"2026-11-23T06:05:09.123Z\">2026-11-23</time><time datetime=\"2026-11-23\">2026-11-23</time>");
    renders(arena, "en", "{{#relative}}at{{/relative}}", model,
            "<time datetime=\"2026-11-23T06:05:09.123Z\" data-relative>12 min ago · 14:05</time>");
    renders(arena, "zh", "{{#relative}}at{{/relative}}", model,
            "<time datetime=\"2026-11-23T06:05:09.123Z\" data-relative>12 分钟前 · 14:05</time>");
    renders(arena, "en", "{{#relative}}old{{/relative}}", model,
            "<time datetime=\"2026-11-20T06:05:09.000Z\" data-relative>3 days ago · 2026-11-20 14:05</time>");
    renders(arena, "en", "{{#relative}}soon{{/relative}}", model,
            "<time datetime=\"2026-11-23T08:30:00.000Z\" data-relative>in 2 h · 16:30</time>");
    renders(arena, "en", "{{#local}}at{{/local}}", model, "2026-11-23T14:05");
    renders(arena, "en", "{{#time}}none{{/time}}{{#time}}nul{{/time}}{{#time}}bad{{/time}}", model, "&lt;soon&gt;");
    renders(arena, "en", "{{#duration}}s{{/duration}}|{{#duration}}s2{{/duration}}|{{#duration}}s3{{/duration}}|{{#duration}}s4{{/duration}}"
            "|{{#duration}}s5{{/duration}}|{{#duration}}s6{{/duration}}", model, "1 h 05 min|1 min 35 s|1 h 00 min|1 d 1 h|7 s|-10 min");
    renders(arena, "zh", "{{#duration}}s{{/duration}}", model, "1 小时 05 分");
    char *got;
    assert_int_equal(try_render(arena, "en", "{{#relative}}at{{/relative}} {{x}}", "{\"at\":\"2026-11-23T06:05:09Z\",\"x\":\"a&b\"}", "{}",
                                MU_TPL_PLAIN, &got), MU_OK);
    assert_string_equal(got, "12 min ago · 14:05 a&b");
}

static void markdown_is_safe(void **state)
{
    renders(*state, "en", "{{#md}}m{{/md}}", "{\"m\":\"**x** <script>alert(1)</script>\"}",
            "<p><strong>x</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>\n");
}

static void bad_templates_are_refused_with_the_line(void **state)
{
    static const struct { const char *text, *key, *line; } bad[] = {
        { "a\nb {{#x}}", "error.template.unclosed_section", "2" }, { "{{/x}}", "error.template.close", "1" },
        { "\n\n{{#x}}{{/y}}", "error.template.close", "3" }, { "{{x", "error.template.unclosed_tag", "1" },
        { "{{{x}}}", "error.template.raw", "1" }, { "{{&x}}", "error.template.raw", "1" }, { "{{a..b}}", "error.template.name", "1" },
        { "{{a b}}", "error.template.name", "1" }, { "{{}}", "error.template.name", "1" }, { "{{=a=}}", "error.template.delimiters", "1" },
        { "{{#time}}a b{{/time}}", "error.template.formatter", "1" }, { "{{#time}}{{x}}{{/time}}", "error.template.formatter", "1" },
        { "{{#t}}{{/t}}", "error.template.word", "1" }, { "{{>}}", "error.template.name", "1" }, { "{{x}}\xff", "error.template.utf8", "" },
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_problem problem = { .arena = *state };
        mu_template *tpl;
        assert_int_equal(mu_template_parse(*state, bad[i].text, strlen(bad[i].text), 0, &problem, &tpl), MU_INVALID);
        const mu_fault *fault = find_fault(&problem, "", bad[i].key);
        assert_non_null(fault);
        assert_string_equal(fault_arg(fault, "line"), bad[i].line);
    }
    char deep[40 * 6 + 1] = "";
    for (int i = 0; i < 40; i++)
        memcpy(deep + i * 6, "{{#a}}", 7);
    mu_problem problem = { .arena = *state };
    mu_template *tpl;
    assert_int_equal(mu_template_parse(*state, deep, strlen(deep), 0, &problem, &tpl), MU_INVALID);
    assert_non_null(find_fault(&problem, "", "error.template.depth"));
}

static void runaway_templates_stop(void **state)
{
    char *got;
    assert_int_equal(try_render(*state, "en", "{{>a}}", "{}", "{\"a\":\"x{{>a}}\"}", 0, &got), MU_INVALID);
    assert_int_equal(try_render(*state, "en", "{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{#l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}{{/l}}",
                                "{\"l\":[1,2,3,4,5,6,7,8,9,10,11,12]}", "{}", 0, &got), MU_TOO_LARGE);
    assert_int_equal(try_render(*state, "en", "{{#l}}{{x}}{{/l}}", "{\"l\":[1,2,3,4,5,6,7,8],\"x\":\"0123456789012345678901234567890123456789\"}",
                                "{}", 0, &got), MU_OK);
}

/* A page's partial that was parsed as text must not open a hole. */
static void a_text_partial_in_a_page_still_escapes(void **state)
{
    mu_arena *arena = *state;
    mu_problem problem = { .arena = arena };
    mu_template *tpl;
    char *got;
    assert_int_equal(mu_template_parse(arena, "{{>p}}", 6, 0, &problem, &tpl), MU_OK);
    library lib = { .arena = arena, .partials = mu_json_own(arena, json_pack("{s:s}", "p", "{{x}}{{{x}}}")), .flags = MU_TPL_PLAIN };
    json_t *model = mu_json_own(arena, json_pack("{s:s}", "x", "<"));
    mu_render how = { .language = "en", .word = word, .partial = partial, .closure = &lib };
    mu_buf out = MU_BUF(1000);
    assert_int_equal(mu_template_render(tpl, model, &how, &out), MU_OK);
    got = mu_buf_take(&out);
    assert_string_equal(got, "&lt;&lt;");
    free(got);
}

/* Whatever a person types, {{x}} never prints a bracket or a quote. */
static void values_never_make_markup(void **state)
{
    static const char *const pieces[] = { "<", ">", "\"", "'", "&", "{{", "}}", "演", "a", "⟦", "&lt;", "\n", "{x}" };
    mu_arena *arena = *state;
    mu_problem problem = { .arena = arena };
    mu_template *tpl;
    const char text[] = "{{x}}{{#t}}hello{{/t}}{{#t}}k.{{x}}{{/t}}{{#time}}x{{/time}}{{#duration}}x{{/duration}}{{#date}}x{{/date}}{{#l}}{{.}}{{/l}}";
    assert_int_equal(mu_template_parse(arena, text, strlen(text), 0, &problem, &tpl), MU_OK);
    mu_render how = { .language = "en", .word = word };
    uint64_t seed = 99;
    for (int round = 0; round < 2000; round++) {
        char value[100] = "";
        size_t n = 0;
        for (uint64_t k = next_random(&seed) % 12; k > 0; k--) {
            const char *piece = pieces[next_random(&seed) % MU_COUNT(pieces)];
            memcpy(value + n, piece, strlen(piece));
            n += strlen(piece);
        }
        json_t *model = json_pack("{s:s, s:s, s:s, s:[s, s]}", "x", value, "name", value, "n", value, "l", value, value);
        mu_buf out = MU_BUF(100000);
        assert_int_equal(mu_template_render(tpl, model, &how, &out), MU_OK);
        assert_null(strpbrk(out.at, "<>\"'"));
        mu_buf_free(&out);
        json_decref(model);
    }
}

static char seen[200];

static void note(void *closure, const char *kind, const char *name)
{
    (void)closure;
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s:%s ", kind, name);
}

static void a_template_names_what_it_uses(void **state)
{
    mu_problem problem = { .arena = *state };
    mu_template *tpl;
    const char text[] = "{{>head}}{{#t}}a.b{{/t}}{{#x}}{{#t}} c {{/t}}{{#t}}d.{{e}}{{/t}}{{>foot}}{{/x}}";
    assert_int_equal(mu_template_parse(*state, text, strlen(text), 0, &problem, &tpl), MU_OK);
    mu_template_walk(tpl, note, NULL);
    assert_string_equal(seen, "partial:head word:a.b word:c partial:foot ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_official_cases),
        ARENA_TEST(values_are_escaped_and_languages_chosen),
        ARENA_TEST(words_are_looked_up),
        ARENA_TEST(times_are_formatted),
        ARENA_TEST(markdown_is_safe),
        ARENA_TEST(bad_templates_are_refused_with_the_line),
        ARENA_TEST(runaway_templates_stop),
        ARENA_TEST(a_text_partial_in_a_page_still_escapes),
        ARENA_TEST(values_never_make_markup),
        ARENA_TEST(a_template_names_what_it_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
