/* The chain verifier against exports made here with the same rules: good ones pass, and no changed byte of an event goes unnoticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "buf.h"
#include "chain.h"
#include "crypto.h"
#include "json.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static json_t *event_new(mu_arena *arena, int seq, const char *previous)
{
    MU_BUF_AUTO(bytes, 65536);
    json_t *event = json_pack("{s:s, s:i, s:s, s:s, s:s, s:n, s:s, s:s, s:{s:i, s:f, s:s}}", "incident", "INC-2026-0001", "seq", seq,
                              "at", "2026-11-24T22:00:00.000Z", "recorded_at", "2026-11-24T22:00:01.000Z", "kind", "note", "actor",
                              "actor_name", "王敏", "text", "已恢复 \"85 %\"", "data", "count", 3, "share", 0.85, "名", "值");

    assert_true(mu_buf_adds(&bytes, previous));
    assert_true(mu_json_canonical(event, &bytes));
    json_object_set_new(event, "hash", json_string(mu_sha256_hex(arena, bytes.at, bytes.n)));
    json_object_set_new(event, "prev_hash", json_string(previous));
    return event;
}

/* Text of an export with `count` events; the caller may change it. */
static char *export_new(mu_arena *arena, int count)
{
    json_t *list = json_array(), *document;
    const char *last = ZEROS;

    for (int i = 1; i <= count; i++) {
        json_t *event = event_new(arena, i, last);
        json_array_append_new(list, event);
        last = mu_json_str(event, "hash");
    }
    document = mu_json_own(arena, json_pack("{s:s, s:s, s:s, s:i, s:{s:s}}", "format", "muster-incident-1", "ref", "INC-2026-0001",
                                            "last_hash", last, "count", count, "incident", "title", "手机银行"));
    MU_BUF_AUTO(rest, 65536);
    assert_true(mu_json_canonical(document, &rest));
    json_object_set_new(document, "document_sha256", json_string(mu_sha256_hex(arena, rest.at, rest.n)));
    json_object_set_new(document, "timeline", list);
    return mu_json_text(arena, document);
}

static mu_err verify(mu_arena *arena, const char *text, mu_chain_report *report)
{
    mu_problem problem = { .arena = arena };

    return mu_chain_verify(arena, text, strlen(text), &problem, report);
}

static void good_chains_pass(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    mu_chain_report report;
    (void)state;

    assert_int_equal(verify(arena, export_new(arena, 5), &report), MU_OK);
    assert_true(report.good);
    assert_int_equal(report.events, 5);
    assert_string_equal(report.ref, "INC-2026-0001");
    assert_int_equal(verify(arena, export_new(arena, 0), &report), MU_OK);
    assert_true(report.good);
    assert_string_equal(report.last_hash, ZEROS);
    mu_arena_free(arena);
}

static void no_changed_byte_goes_unnoticed(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    char *text = export_new(arena, 3), *from = text;
    (void)state;

    for (char *at = from; *at != '\0'; at++) {
        mu_mark mark = mu_arena_mark(arena);
        const char kept = *at;
        mu_chain_report report;
        *at = (char)(kept ^ 1);
        if (verify(arena, text, &report) == MU_OK && report.good)
            fail_msg("a changed byte at %zu was not found: %.20s", (size_t)(at - text), at);
        *at = kept;
        mu_arena_reset(arena, mark);
    }
    mu_arena_free(arena);
}

static void what_is_cut_or_moved_is_named(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    const char *text = export_new(arena, 4);
    mu_problem problem = { .arena = arena };
    mu_chain_report report;
    json_t *document;
    (void)state;

    assert_int_equal(mu_json_parse(arena, text, strlen(text), &problem, &document), MU_OK);
    json_array_remove(json_object_get(document, "timeline"), 3);
    assert_int_equal(verify(arena, mu_json_text(arena, document), &report), MU_OK);
    assert_false(report.good);
    assert_string_equal(report.what, "chain.end");
    json_array_remove(json_object_get(document, "timeline"), 1);
    assert_int_equal(verify(arena, mu_json_text(arena, document), &report), MU_OK);
    assert_string_equal(report.what, "chain.sequence");
    assert_int_equal(report.bad_seq, 2);
    assert_int_equal(verify(arena, "{\"format\":\"other\"}", &report), MU_INVALID);
    assert_int_equal(verify(arena, "[1,", &report), MU_MALFORMED);
    assert_int_equal(verify(arena, "[]", &report), MU_INVALID);
    mu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_chains_pass),
        cmocka_unit_test(no_changed_byte_goes_unnoticed),
        cmocka_unit_test(what_is_cut_or_moved_is_named),
    };

    if (!mu_crypto_start())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
