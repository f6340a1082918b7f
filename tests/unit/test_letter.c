#include "test_help.h"

#include "letter.h"
#include "mail_frame.h"
#include "str.h"

#define TOKEN_A "AAAAAAAAAAAAAAAAAAAAAAAA_-01"
#define TOKEN_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* A model as PostgreSQL writes it. */
static const char *
model(mu_arena *arena, const char *lang, const char *ack, const char *name, const char *text)
{
    const char *url = ack != NULL ? mu_printf(arena, "\"https://muster.bank.example/ack/%s\"", ack) : "null";

    return mu_printf(arena,
                     "{\"at\": \"2026-11-24T22:00:00.000Z\", \"data\": {\"recipient\": 1, \"ack_url\": \"x\", \"list\": [{\"a\": \"}\"}]}, \"kind\": \"incident\", \"lang\": \"%s\", "
                     "\"site\": {\"url\": \"https://muster.bank.example\", \"name\": {\"en\": \"Bank\", \"zh\": \"银行\"}}, \"text\": {\"en\": \"%s\", \"zh\": \"文本\"}, "
                     "\"drill\": false, \"ack_url\": %s, \"purpose\": \"declared\", \"subject\": {\"en\": \"Sign-in <fails>\", \"zh\": \"无法登录\"}, "
                     "\"incident\": {\"ref\": \"INC-2026-0001\", \"url\": \"https://muster.bank.example/incidents/INC-2026-0001\", \"severity\": \"II\"}, "
                     "\"recipient\": {\"name\": {\"en\": \"%s\", \"zh\": \"某人\"}, \"language\": \"%s\"}}", lang, text, url, name, lang);
}

static mu_letter
written(mu_letters *letters, mu_arena *arena, const char *document, const char *lang)
{
    mu_out_row row = { .document = document, .language = lang, .purpose = "declared" };
    mu_problem problem = { .arena = arena };
    mu_letter letter = { 0 };

    assert_int_equal(mu_letter_write(letters, arena, &row, &problem, &letter), MU_OK);
    return letter;
}

static void
same(mu_letter a, mu_letter b)
{
    assert_string_equal(a.subject, b.subject);
    assert_string_equal(a.site, b.site);
    assert_string_equal(a.reader, b.reader);
    assert_string_equal(a.text, b.text);
    assert_string_equal(a.html, b.html);
}

/* Whatever was written before, a letter is what it would be alone. */
static void
test_shared_as_alone(void **state)
{
    mu_arena *arena = *state;
    mu_letters *together = mu_letters_new();
    const struct { const char *lang, *ack, *name, *text; } cases[] = {
        { "en", TOKEN_A, "Ann", "words" },   { "en", TOKEN_B, "Bob \\\"}, {", "words" }, { "zh", TOKEN_A, "Ann", "words" }, { "en", NULL, "Cy", "words" },
        { "en", NULL, "Dee", "words" },      { "en", TOKEN_B, "Ann", "other words" },    { "en", TOKEN_A, "Eve", "words" }, { "en", "short", "Flo", "words" },
        { "en", "tiny", "Gus", "words" },    { "zh", TOKEN_B, "Hal", "words" },
        { "en", TOKEN_B, "Ivy", "\\\"recipient\\\": {}, \\\"ack_url\\\": \\\"y\\\"" },
    };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        const char *document = model(arena, cases[i].lang, cases[i].ack, cases[i].name, cases[i].text);
        mu_letters *alone = mu_letters_new();
        mu_letter letter = written(together, arena, document, cases[i].lang);
        same(letter, written(alone, arena, document, cases[i].lang));
        if (cases[i].ack != NULL) {
            assert_non_null(strstr(letter.text, cases[i].ack));
            assert_non_null(strstr(letter.html, cases[i].ack));
        }
        assert_true(mu_same(cases[i].ack, TOKEN_A) || strstr(letter.text, TOKEN_A) == NULL);
        assert_true(mu_same(cases[i].ack, TOKEN_B) || strstr(letter.html, TOKEN_B) == NULL);
        mu_letters_free(alone);
    }
    mu_letters_free(together);
}

/* The second reader's letter shares what does not differ; after forgetting it does not. */
static void
test_sharing_happens(void **state)
{
    mu_arena *arena = *state;
    mu_letters *letters = mu_letters_new();
    mu_letter first = written(letters, arena, model(arena, "en", NULL, "Ann", "words"), "en"),
              second = written(letters, arena, model(arena, "en", NULL, "Bob", "words"), "en");

    assert_ptr_equal(first.html, second.html);
    assert_string_equal(second.reader, "Bob");
    mu_letters_forget(letters);
    assert_ptr_not_equal(first.html, written(letters, arena, model(arena, "en", NULL, "Bob", "words"), "en").html);
    mu_letters_free(letters);
}

static void
test_frames(void **state)
{
    mu_buf out = MU_BUF(100);
    size_t need, n;

    (void)state;
    mu_frame_begin(&out);
    mu_frame_put_number(&out, -7);
    mu_frame_put_text(&out, "a\0b", 3);
    assert_true(mu_frame_end(&out));
    assert_true(mu_frame_whole(&out, &need));
    assert_int_equal(need, out.n);
    mu_frame in = mu_frame_open(&out);
    assert_int_equal(mu_frame_number(&in), -7);
    assert_memory_equal(mu_frame_text(&in, &n), "a\0b", 4);
    assert_int_equal(n, 3);
    assert_false(in.bad);
    assert_string_equal(mu_frame_text(&in, NULL), "");
    assert_true(in.bad);
    for (size_t cut = 0; cut < out.n; cut++) {
        mu_buf part = { .at = out.at, .n = cut, .max = 100 };
        assert_false(mu_frame_whole(&part, &need));
    }
    mu_buf_free(&out);
    /* lengths that lie */
    const int64_t lies[] = { -1, 1, INT64_MAX };
    for (size_t i = 0; i < MU_COUNT(lies); i++) {
        mu_frame_begin(&out);
        mu_frame_put_number(&out, lies[i]);
        assert_true(mu_frame_end(&out));
        in = mu_frame_open(&out);
        assert_string_equal(mu_frame_text(&in, &n), "");
        assert_true(in.bad && n == 0);
        mu_buf_free(&out);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_shared_as_alone), ARENA_TEST(test_sharing_happens), ARENA_TEST(test_frames) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
