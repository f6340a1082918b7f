#include "form.h"
#include "json.h"
#include "test_help.h"

static void urlencoded(mu_arena *arena, const char *body, const char *want)
{
    mu_problem problem = { .arena = arena };
    json_t *form = NULL;
    assert_int_equal(mu_form_urlencoded(arena, body, strlen(body), &problem, &form), MU_OK);
    assert_string_equal(mu_json_text(arena, form), want);
}

static void urlencoded_bodies(void **state)
{
    mu_arena *arena = *state;
    urlencoded(arena, "", "{}");
    urlencoded(arena, "a=1&b=x+y%26z&c=%E6%BC%94", "{\"a\":\"1\",\"b\":\"x y&z\",\"c\":\"演\"}");
    urlencoded(arena, "a=1&a=2&a=3", "{\"a\":[\"1\",\"2\",\"3\"]}");
    urlencoded(arena, "a=&b&c=1&&", "{\"c\":\"1\"}");
    urlencoded(arena, "name.zh=x&a=b=c", "{\"name.zh\":\"x\",\"a\":\"b=c\"}");
    static const char *const bad[] = { "a=%", "a=%zz", "a=%00", "%ff=1", "=1", "a=%c0%80", "a=1&b=%f" };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_problem problem = { .arena = arena };
        json_t *form;
        assert_int_equal(mu_form_urlencoded(arena, bad[i], strlen(bad[i]), &problem, &form), MU_MALFORMED);
    }
    mu_problem problem = { .arena = arena };
    json_t *form;
    assert_int_equal(mu_form_urlencoded(arena, "x=1&note=%zz", 12, &problem, &form), MU_MALFORMED);
    assert_string_equal(fault_arg(problem.first, "name"), "note");
    char many[MU_FORM_FIELDS_MAX * 4 + 10];
    for (int i = 0; i <= MU_FORM_FIELDS_MAX; i++)
        memcpy(many + i * 4, "a=1&", 4);
    problem = (mu_problem){ .arena = arena };
    assert_int_equal(mu_form_urlencoded(arena, many, (MU_FORM_FIELDS_MAX + 1) * 4, &problem, &form), MU_MALFORMED);
    assert_non_null(find_fault(&problem, "", "error.form.fields"));
}

#define TYPE "multipart/form-data; boundary=XX"
#define NAMED(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"

static void multipart(mu_arena *arena, const char *type, const char *body, const char *want)
{
    mu_problem problem = { .arena = arena };
    json_t *form = NULL;
    mu_err err = mu_form_multipart(arena, type, body, strlen(body), &problem, &form);
    if (err != MU_OK)
        print_message("%s: %s\n", body, problem.first->key);
    assert_int_equal(err, MU_OK);
    assert_string_equal(mu_json_text(arena, form), want);
}

static void multipart_bodies(void **state)
{
    mu_arena *arena = *state;
    multipart(arena, TYPE, "--XX\r\n" NAMED("a") "1\r\n--XX\r\n" NAMED("a") "2\r\n--XX\r\n" NAMED("b") "\r\n--XX--\r\n", "{\"a\":[\"1\",\"2\"]}");
}

static void multipart_files(void **state)
{
    mu_arena *arena = *state;
    multipart(arena, TYPE, "preamble\r\n--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"C:\\dir\\a%22b.txt\"\r\n"
              "Content-Type: text/plain\r\n\r\nab\r\n--XY\r\n\r\n--XX--", "{\"f\":{\"name\":\"a\\\"b.txt\",\"type\":\"text/plain\",\"size\":10,\"base64\":\"YWINCi0tWFkNCg==\"}}");
    multipart(arena, TYPE, "--XX\r\ncontent-disposition:form-data;name=f;filename=\"\"\r\nContent-Type: application/octet-stream\r\n\r\n\r\n--XX--", "{}");
    multipart(arena, "Multipart/Form-Data; BOUNDARY=\"XX\"", "--XX \t\r\n" NAMED("a") "1\r\n--XX--", "{\"a\":\"1\"}");
    multipart(arena, TYPE, "--XX\r\n" NAMED("a") "1\r\n--XXX\r\n2\r\n--XX--", "{\"a\":\"1\\r\\n--XXX\\r\\n2\"}");
    multipart(arena, TYPE, "--XX--", "{}");
}

static void bad_multipart_bodies(void **state)
{
    static const struct { const char *type, *body, *key; } bad[] = {
        { TYPE, "", "error.form.boundary" }, { TYPE, "--YY\r\n", "error.form.boundary" }, { "multipart/form-data", "--XX--", "error.form.boundary" },
        { "text/plain; boundary=XX", "--XX--", "error.form.boundary" }, { "multipart/form-data; boundary=\"XX", "--XX--", "error.form.boundary" },
        { TYPE, "--XX\r\n" NAMED("a") "1", "error.form.unfinished" }, { TYPE, "--XX\r\n" NAMED("a") "1\r\n--XX", "error.form.unfinished" },
        { TYPE, "--XX\r\nContent-Disposition: form-data\r\n\r\n1\r\n--XX--", "error.form.part" },
        { TYPE, "--XX\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--XX--", "error.form.part" },
        { TYPE, "--XX\r\nX: y\r\n\r\n1\r\n--XX--", "error.form.part" }, { TYPE, "--XX\r\nno end", "error.form.part" },
        { TYPE, "--XX\r\n" NAMED("a") "\xff\r\n--XX--", "error.form.encoding" }, { TYPE, "--XX\r\n" NAMED("a\xff") "1\r\n--XX--", "error.form.name" },
        { TYPE, "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a%0Ab\"\r\n\r\n1\r\n--XX--", "error.form.file_name" },
        { TYPE, "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"dir/\"\r\n\r\n1\r\n--XX--", "error.form.file_name" },
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_problem problem = { .arena = *state };
        json_t *form;
        assert_int_equal(mu_form_multipart(*state, bad[i].type, bad[i].body, strlen(bad[i].body), &problem, &form), MU_MALFORMED);
        assert_non_null(find_fault(&problem, "", bad[i].key));
    }
}

static void files_keep_every_byte(void **state)
{
    mu_arena *arena = *state;
    static const char head[] = "--XX\r\nContent-Disposition: form-data; name=\"f\"; filename=\"b\"\r\n\r\n", tail[] = "\r\n--XX--\r\n";
    unsigned char body[sizeof head + sizeof tail + 256];
    memcpy(body, head, sizeof head - 1);
    for (int i = 0; i < 256; i++)
        body[sizeof head - 1 + (size_t)i] = (unsigned char)i;
    memcpy(body + sizeof head - 1 + 256, tail, sizeof tail - 1);
    mu_problem problem = { .arena = arena };
    json_t *form;
    assert_int_equal(mu_form_multipart(arena, TYPE, (const char *)body, sizeof head - 1 + 256 + sizeof tail - 1, &problem, &form), MU_OK);
    const json_t *file = json_object_get(form, "f");
    assert_int_equal(mu_json_int(file, "size", 0), 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(urlencoded_bodies),
        ARENA_TEST(multipart_bodies),
        ARENA_TEST(multipart_files),
        ARENA_TEST(bad_multipart_bodies),
        ARENA_TEST(files_keep_every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
