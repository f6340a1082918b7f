/* Word by word: the pieces give both texts back, and on small texts nothing shorter would do (against a table of longest common parts). */
#include "test_help.h"
#include <string.h>
#include "arena.h"
#include "buf.h"
#include "json.h"
#include "qr.h"
#include "worddiff.h"

static char *side(mu_arena *arena, const json_t *pieces, const char *without)
{
    MU_BUF_AUTO(out, 1u << 20);
    const json_t *piece;
    size_t i;

    json_array_foreach(pieces, i, piece)
        if (!json_is_true(json_object_get(piece, without)))
            assert_true(mu_buf_adds(&out, mu_json_str(piece, "text")));
    return mu_strndup(arena, out.at != NULL ? out.at : "", out.n);
}

static void check(mu_arena *arena, const char *older, const char *newer)
{
    json_t *pieces = mu_worddiff(arena, older, newer);

    assert_string_equal(side(arena, pieces, "added"), older);
    assert_string_equal(side(arena, pieces, "removed"), newer);
}

static void test_both_sides_come_back(void **state)
{
    (void)state;
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);

    check(arena, "", "");
    check(arena, "", "一");
    check(arena, "一", "");
    check(arena, "Call the bank, then wait", "Call the bank and wait");
    json_t *pieces = mu_worddiff(arena, "联系值班经理", "联系指挥长");
    assert_string_equal(mu_json_str(json_array_get(pieces, 0), "text"), "联系");
    assert_null(json_object_get(json_array_get(pieces, 0), "added"));
    assert_int_equal(json_array_size(mu_worddiff(arena, "same text", "same text")), 1);
}

/* Signs of a small alphabet, each a word of its own. */
static size_t longest_common(const char *a, const char *b)
{
    size_t table[32][32] = { { 0 } };

    for (size_t i = 1; a[i - 1] != '\0'; i++)
        for (size_t k = 1; b[k - 1] != '\0'; k++) {
            size_t up = table[i - 1][k], left = table[i][k - 1];
            table[i][k] = a[i - 1] == b[k - 1] ? table[i - 1][k - 1] + 1 : up > left ? up : left;
        }
    return table[strlen(a)][strlen(b)];
}

static void test_nothing_shorter(void **state)
{
    (void)state;
    unsigned seed = 12345;

    for (int round = 0; round < 2000; round++) {
        mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(8u << 20);
        char text[2][24];
        size_t kept = 0, i;
        json_t *pieces, *piece;
        for (int t = 0; t < 2; t++) {
            seed = seed * 1103515245u + 12345u;
            size_t n = seed >> 16 & 15;
            for (i = 0; i < n; i++) {
                seed = seed * 1103515245u + 12345u;
                text[t][i] = ".,;"[(seed >> 16) % 3];
            }
            text[t][n] = '\0';
        }
        check(arena, text[0], text[1]);
        pieces = mu_worddiff(arena, text[0], text[1]);
        json_array_foreach(pieces, i, piece)
            if (json_object_get(piece, "added") == NULL && json_object_get(piece, "removed") == NULL)
                kept += strlen(mu_json_str(piece, "text"));
        assert_int_equal(kept, longest_common(text[0], text[1]));
    }
}

static void test_a_long_rewrite_ends(void **state)
{
    (void)state;
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);
    MU_BUF_AUTO(a, 1u << 20);
    MU_BUF_AUTO(b, 1u << 20);

    for (int i = 0; i < 6000; i++)
        assert_true(mu_buf_adds(&a, "甲") && mu_buf_adds(&b, "乙"));
    check(arena, a.at, b.at);
}

static void test_code_of_an_address(void **state)
{
    (void)state;
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(8u << 20);
    char big[600];
    int side_n = 0;
    const char *path = mu_qr_path(arena, "https://muster.bank.example/plan-check/abcdefghjkmnpqrs", &side_n);

    assert_non_null(path);
    assert_true((side_n - 8 - 17) % 4 == 0 && side_n >= 29);       /* 21 modules and four more for each version, and the quiet zone */
    assert_int_equal(strncmp(path, "M4 4h7v1h-7z", 12), 0);         /* the upper edge of the first finder pattern */
    assert_string_equal(path, mu_qr_path(arena, "https://muster.bank.example/plan-check/abcdefghjkmnpqrs", &side_n));
    assert_null(mu_qr_path(arena, "", &side_n));
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    assert_null(mu_qr_path(arena, big, &side_n));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_both_sides_come_back), cmocka_unit_test(test_nothing_shorter),
                                        cmocka_unit_test(test_a_long_rewrite_ends), cmocka_unit_test(test_code_of_an_address) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
