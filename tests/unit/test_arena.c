#include "test_help.h"

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
    mu_arena *arena = *state;
    unsigned char *before = NULL;
    for (size_t n = 0; n < 3000; n += 7) {
        unsigned char *at = mu_alloc(arena, n);
        assert_int_equal((uintptr_t)at % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(at[i], 0);
        memset(at, 0xAA, n);
        if (before != NULL && n > 7)
            assert_int_equal(before[0], 0xAA);
        before = at;
    }
}

static void large_allocations_work(void **state)
{
    char *a = mu_alloc(*state, 1024 * 1024), *b = mu_alloc(*state, 5);
    memset(a, 1, 1024 * 1024);
    assert_int_equal(b[0], 0);
}

static void passing_the_limit_jumps(void **state)
{
    (void)state;
    mu_arena *arena = mu_arena_new(1000);
    jmp_buf out;
    volatile int passed = 0;
    if (setjmp(out) == 0) {
        mu_arena_overflow(arena, &out);
        for (int i = 0; i < 1000; i++)
            mu_alloc(arena, 100);
        fail_msg("the limit was not kept");
    } else {
        passed = 1;
    }
    assert_int_equal(passed, 1);
    assert_true(mu_arena_used(arena) <= 1000);
    if (setjmp(out) == 0) {
        mu_alloc(arena, SIZE_MAX - 8); /* no overflow in the sum */
        fail_msg("the limit was not kept");
    }
    mu_arena_free(arena);
}

static char order[16];

static void note(void *object)
{
    strncat(order, object, 1);
}

static void defers_run_in_reverse_and_at_a_reset(void **state)
{
    (void)state;
    char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
    memset(order, 0, sizeof order);
    mu_arena *arena = mu_arena_new(0);
    mu_defer(arena, note, a);
    mu_mark mark = mu_arena_mark(arena);
    mu_defer(arena, note, b);
    mu_alloc(arena, 100000);
    mu_defer(arena, note, c);
    mu_arena_reset(arena, mark);
    assert_string_equal(order, "cb");
    mu_defer(arena, note, d);
    mu_arena_free(arena);
    assert_string_equal(order, "cbda");
}

static void a_reset_gives_memory_back(void **state)
{
    mu_arena *arena = *state;
    char *kept = mu_strdup(arena, "kept");
    for (int round = 0; round < 100; round++) {
        mu_mark mark = mu_arena_mark(arena);
        size_t used = mu_arena_used(arena);
        for (int i = 0; i < 50; i++)
            memset(mu_alloc(arena, 999), 0xFF, 999);
        mu_arena_reset(arena, mark);
        assert_int_equal(mu_arena_used(arena), used);
        assert_int_equal(((char *)mu_alloc(arena, 64))[0], 0);
        assert_string_equal(kept, "kept");
    }
}

static void texts_are_copied_and_printed(void **state)
{
    mu_arena *arena = *state;
    char long_text[1000];
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    assert_string_equal(mu_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(mu_printf(arena, "%d-%s", 7, "seven"), "7-seven");
    assert_int_equal(strlen(mu_printf(arena, "<%s>", long_text)), 1001);
}

static void faults_are_kept_in_order_and_bounded(void **state)
{
    mu_problem problem = { .arena = *state };
    assert_int_equal(mu_fail(&problem, MU_INVALID, "/a", "error.x", "n", "1", NULL), MU_INVALID);
    assert_int_equal(mu_fail(&problem, MU_CONFLICT, "/b", "error.y", NULL), MU_CONFLICT);
    assert_int_equal(problem.code, MU_INVALID);
    assert_string_equal(problem.first->pointer, "/a");
    assert_string_equal(fault_arg(problem.first, "n"), "1");
    assert_string_equal(problem.last->key, "error.y");
    for (int i = 0; i < 100; i++)
        (void)mu_fail(&problem, MU_INVALID, "/c", "error.z", NULL);
    assert_int_equal(problem.count, MU_FAULTS_MAX);
    (void)mu_failf(&problem, MU_INTERNAL, "first %d", 1);
    (void)mu_failf(&problem, MU_INTERNAL, "second");
    assert_string_equal(problem.detail, "first 1");
    assert_int_equal(mu_fail(NULL, MU_GONE, NULL, NULL, NULL), MU_GONE);
}

static void sqlstates_map_by_the_longest_prefix(void **state)
{
    (void)state;
    static const struct { const char *state; mu_err err; } cases[] = {
        { "23505", MU_CONFLICT }, { "23503", MU_INVALID }, { "22P02", MU_INVALID }, { "40001", MU_RETRY }, { "57014", MU_TIMEOUT },
        { "57P01", MU_UNAVAILABLE }, { "08006", MU_UNAVAILABLE }, { "53300", MU_UNAVAILABLE }, { "MU404", MU_NOT_FOUND },
        { "MU412", MU_STALE }, { "42601", MU_INTERNAL }, { "XX000", MU_INTERNAL }, { "", MU_INTERNAL },
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++)
        assert_int_equal(mu_err_of_sqlstate(cases[i].state), cases[i].err);
    assert_int_equal(mu_err_of_sqlstate(NULL), MU_INTERNAL);
    assert_int_equal(mu_err_status(MU_CONFLICT), 409);
    assert_string_equal(mu_err_code(MU_PRECONDITION), "precondition_required");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(allocations_are_zeroed_aligned_and_apart),
        ARENA_TEST(large_allocations_work),
        cmocka_unit_test(passing_the_limit_jumps),
        cmocka_unit_test(defers_run_in_reverse_and_at_a_reset),
        ARENA_TEST(a_reset_gives_memory_back),
        ARENA_TEST(texts_are_copied_and_printed),
        ARENA_TEST(faults_are_kept_in_order_and_bounded),
        cmocka_unit_test(sqlstates_map_by_the_longest_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
