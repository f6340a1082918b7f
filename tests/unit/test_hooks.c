/* Web hooks and the outbox's rules: signature, meaning of answers, drill guard, back-off, and the check of documents. Pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "crypto.h"
#include "documents.h"
#include "hooks.h"
#include "mail.h"
#include "str.h"

static void
test_signature(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    static const char body[] = "{\"test\": 2432232314}", secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    (void)state;
    /* the example of the specification */
    assert_string_equal(mu_hook_signature(arena, secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body, strlen(body)),
                        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    char *both = mu_hook_signature(arena, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "msg_p5jXN8AQM9LWM0D4loKWxJek",
                                   1614265330, body, strlen(body));
    assert_true(mu_starts(both, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,"));
    assert_null(mu_hook_signature(arena, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a", 1, body, 1));
    assert_null(mu_hook_signature(arena, "whsec_c2hvcnQ=", "a", 1, body, 1));
    assert_null(mu_hook_signature(arena, "whsec_***", "a", 1, body, 1));
    assert_null(mu_hook_signature(arena, "", "a", 1, body, 1));
    mu_arena_free(arena);
}

static void
test_outcomes(void **state)
{
    static const struct { mu_fetch_outcome outcome; int status; mu_out_outcome expected; bool gone; } cases[] = {
        { MU_FETCH_ANSWERED, 200, MU_OUT_SENT, false }, { MU_FETCH_ANSWERED, 204, MU_OUT_SENT, false }, { MU_FETCH_ANSWERED, 202, MU_OUT_SENT, false },
        { MU_FETCH_ANSWERED, 301, MU_OUT_RETRY, false }, { MU_FETCH_ANSWERED, 302, MU_OUT_RETRY, false }, { MU_FETCH_ANSWERED, 400, MU_OUT_RETRY, false },
        { MU_FETCH_ANSWERED, 410, MU_OUT_DEAD, true }, { MU_FETCH_ANSWERED, 429, MU_OUT_RETRY, false }, { MU_FETCH_ANSWERED, 500, MU_OUT_RETRY, false },
        { MU_FETCH_ANSWERED, 503, MU_OUT_RETRY, false }, { MU_FETCH_ANSWERED, 100, MU_OUT_RETRY, false }, { MU_FETCH_BAD_URL, 0, MU_OUT_DEAD, false },
        { MU_FETCH_BAD_ADDRESS, 0, MU_OUT_DEAD, false }, { MU_FETCH_UNREACHABLE, 0, MU_OUT_RETRY, false }, { MU_FETCH_TLS, 0, MU_OUT_RETRY, false },
        { MU_FETCH_TIMEOUT, 0, MU_OUT_RETRY, false },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_fetch_answer answer = { .outcome = cases[i].outcome, .status = cases[i].status };
        bool gone;
        assert_int_equal(mu_hook_outcome(&answer, &gone), cases[i].expected);
        assert_int_equal(gone, cases[i].gone);
    }
}

static void
test_guard(void **state)
{
    static const char *const kinds[] = { "incident", "drill", "rehearsal", "system", "real", "", NULL };
    static const char *const deliveries[] = { "send", "simulate", "mark", NULL };
    static const char *const audiences[] = { "internal", "customer", "regulator", NULL };
    size_t sent_in_drill = 0;

    (void)state;
    for (size_t k = 0; k < MU_COUNT(kinds); k++)
        for (size_t d = 0; d < MU_COUNT(deliveries); d++)
            for (size_t a = 0; a < MU_COUNT(audiences); a++)
                for (int safe = 0; safe < 4; safe++) {
                    mu_out_row row = { .kind = kinds[k], .delivery = deliveries[d], .audience = audiences[a], .drill_safe = safe & 1,
                                       .endpoint_drill_safe = (safe & 2) != 0 };
                    bool real = mu_same(kinds[k], "incident") || mu_same(kinds[k], "system");
                    mu_guard guard = mu_outbox_guard(&row);
                    if (mu_same(deliveries[d], "simulate"))
                        assert_int_equal(guard, MU_GUARD_SIMULATE);
                    else if (!mu_same(deliveries[d], "send"))
                        assert_int_equal(guard, MU_GUARD_REFUSE);
                    else if (real)
                        assert_int_equal(guard, MU_GUARD_SEND);
                    else if (guard == MU_GUARD_SEND) {
                        assert_true(mu_same(kinds[k], "drill") && safe == 3 && mu_same(audiences[a], "internal"));
                        sent_in_drill++;
                    } else
                        assert_int_equal(guard, MU_GUARD_REFUSE);
                }
    assert_int_equal(sent_in_drill, 1);
}

static void
test_back_off(void **state)
{
    (void)state;
    for (uint32_t random = 0, i = 0; i < 4; i++, random += UINT32_MAX / 4) {
        double before = 0;
        for (int attempt = 1; attempt < MU_OUTBOX_ATTEMPTS; attempt++) {
            double after = mu_outbox_after(attempt, random, -1);
            assert_true(after > before);
            before = after;
        }
        assert_true(mu_outbox_after(MU_OUTBOX_ATTEMPTS, random, -1) < 0);
        assert_true(mu_outbox_after(MU_OUTBOX_ATTEMPTS, random, 60) < 0);
        assert_true(mu_outbox_after(1, random, -1) >= 4.0 && mu_outbox_after(1, random, -1) <= 6.0);
        assert_true(mu_outbox_after(1, random, 120) >= 120.0);
    }
}

static void
test_results(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    mu_out_row row = { .id = 7, .token = 3, .attempt = 1 };

    (void)state;
    assert_int_equal(mu_outbox_result(arena, &row, MU_OUT_RETRY, 0, "x", 1, -1, true).outcome, MU_OUT_RETRY);
    row.once = true;
    assert_int_equal(mu_outbox_result(arena, &row, MU_OUT_RETRY, 0, "x", 1, -1, true).outcome, MU_OUT_UNKNOWN);
    assert_int_equal(mu_outbox_result(arena, &row, MU_OUT_RETRY, 451, "x", 1, -1, false).outcome, MU_OUT_RETRY);
    row.attempt = MU_OUTBOX_ATTEMPTS;
    assert_int_equal(mu_outbox_result(arena, &row, MU_OUT_RETRY, 451, "x", 1, -1, false).outcome, MU_OUT_DEAD);
    assert_string_equal(mu_outbox_result(arena, &row, MU_OUT_DEAD, 500, "a\r\nb", 1, -1, false).detail, "a  b");
    assert_string_equal(mu_outbox_result(arena, &row, MU_OUT_DEAD, 500, "\xff", 1, -1, false).detail, "");
    mu_arena_free(arena);
}

static void
test_mail_codes(void **state)
{
    (void)state;
    assert_int_equal(mu_mail_outcome_of(250), MU_MAIL_SENT);
    assert_int_equal(mu_mail_outcome_of(421), MU_MAIL_RETRY);
    assert_int_equal(mu_mail_outcome_of(451), MU_MAIL_RETRY);
    assert_int_equal(mu_mail_outcome_of(550), MU_MAIL_DEAD);
    assert_int_equal(mu_mail_outcome_of(554), MU_MAIL_DEAD);
    assert_int_equal(mu_mail_outcome_of(535), MU_MAIL_RETRY);
    assert_int_equal(mu_mail_outcome_of(0), MU_MAIL_RETRY);
    assert_int_equal(mu_mail_outcome_of(354), MU_MAIL_RETRY);
}

static void
test_documents(void **state)
{
    static const struct { const char *html; bool inside; } cases[] = {
        { "<!doctype html><html><head><title>x</title><style>p{background:url(data:image/png;base64,AA)}</style></head><body><p>x</p></body></html>", true },
        { "<p>&lt;img src=file:///etc/passwd&gt; url(http://x) @import</p>", true },
        { "<a href=\"https://bank.example/\">x</a>", true },
        { "<a href=#a>x</a><svg><use href=\"#b\"/></svg><img src=\"data:image/png;base64,AA\">", true },
        { "<p title=\"a > b src=c\">x</p>", true },
        { "<!-- <img src=x> --><p>", true },
        { "<img src=\"file:///etc/passwd\">", false }, { "<img src=/x>", false }, { "<IMG SRC='http://x/'>", false }, { "<img\nsrc\n=\n\"//x\">", false },
        { "<img/src=x>", false }, { "<link rel=stylesheet href=x.css>", false }, { "<script>1</script>", false }, { "<iframe srcdoc=x>", false },
        { "<object data=x>", false }, { "<embed src=x>", false }, { "<base href=x>", false }, { "<p style=\"background:url('http://x')\">", false },
        { "<style>@import 'x';</style>", false }, { "<style>p{background:URL( \"file:///x\")}</style>", false }, { "<svg><image href=x></svg>", false },
        { "<svg><use xlink:href=\"http://x#y\"/></svg>", false }, { "<video poster=x>", false }, { "<body background=x>", false },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_arena *arena = mu_arena_new(0);
        const char *outside = mu_document_outside(arena, cases[i].html);
        if ((outside == NULL) != cases[i].inside)
            fail_msg("%s: %s", cases[i].html, outside != NULL ? outside : "nothing");
        mu_arena_free(arena);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signature), cmocka_unit_test(test_outcomes), cmocka_unit_test(test_guard), cmocka_unit_test(test_back_off),
        cmocka_unit_test(test_results), cmocka_unit_test(test_mail_codes), cmocka_unit_test(test_documents),
    };

    return mu_crypto_start() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
