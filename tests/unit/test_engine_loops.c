/* apply(): loops. Rounds and items, their bounds, pauses between them, what is seen inside, and what failure does. Every test ends with a replay. */
#include "test_engine.h"

static void test_while(void **state)
{
    BEGIN("steps:\n  - while: w\n    cond: not ok\n    max: 3\n    steps:\n      - {task: t, role: a, form: [{id: f, var: ok}]}\n      - {set: s, values: {n: n + 1}}\n  - {task: after, role: a}\n");
    IS("w/t", "active");
    assert_int_equal(json_integer_value(mu_json_at(ROW("w#1"), "loop.round")), 1);
    OK("task_done", "w/t", "a", NULL, NULL);
    IS("w/t#1", "done");
    IS("w/t#2", "active");
    IS("w/s#1", "done");
    OK("task_done", "w/t#2", "a", NULL, "{\"values\":{\"f\":true}}");
    IS("w", "done");
    assert_int_equal(json_integer_value(mu_json_at(ROW("w#1"), "result.rounds")), 2);
    assert_int_equal(json_integer_value(VAR("n")), 3);
    IS("after", "active");
    assert_int_equal(count_of(&r, "round_started"), 2);
    replays(&r);
}

static void test_while_never(void **state)
{
    BEGIN("steps:\n  - {while: w, cond: ok, max: 3, steps: [{task: t, role: a}]}\n  - {task: after, role: a}\n");
    IS("w", "done");
    IS("w/t", "skipped");
    assert_string_equal(mu_json_str(ROW("w/t#1"), "cause"), "loop");
    IS("after", "active");
    replays(&r);
}

static void test_while_max(void **state)
{
    static const struct { const char *on_max, *w, *after; } cases[] = { { "continue", "done", "active" }, { "ask", "failed", "pending" }, { "fail", "failed", "pending" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        BEGIN(mu_printf(*state, "steps:\n  - {while: w, cond: not ok, max: 2, on_max: %s, steps: [{set: s, values: {n: n + 1}}]}\n  - {task: after, role: a}\n", cases[i].on_max));
        IS("w", cases[i].w);
        IS("after", cases[i].after);
        assert_int_equal(json_integer_value(VAR("n")), 3);
        if (i > 0) {
            assert_string_equal(mu_json_str(ROW("w#1"), "error"), "error.run.max");
            RUN("waiting");
            OK("override", NULL, "k", WHY, "{\"var\":\"ok\",\"value\":true}");
            OK("retry", "w", "k", WHY, NULL);
            IS("w", "done");
            IS("after", "active");
        }
        replays(&r);
    }
}

/* Without on_max a failure passes outward, here to the loop's own on_error. */
static void test_while_on_error(void **state)
{
    BEGIN("steps:\n  - while: w\n    cond: n > 0\n    max: 1\n    on_error: [{task: help, role: b}]\n    steps: [{set: s, values: {n: n + 1}}]\n  - {task: after, role: a}\n");
    IS("w", "failed");
    IS("w/on_error/help", "active");
    OK("task_done", "w/on_error/help", "b", NULL, NULL);
    IS("after", "active");
    replays(&r);
}

static void test_while_every(void **state)
{
    BEGIN("steps:\n  - {while: w, cond: n < 3, max: 9, every: wait_for, steps: [{set: s, values: {n: n + 1}}]}\n");
    IS("w", "waiting");
    RUN("running");
    assert_true(armed(&r, "w#1/every/0"));
    assert_string_equal(mu_json_str(json_object_get(r.armed, "w#1/every/0"), "due"), "2026-11-24T08:10:00.000Z");
    OK("pause", NULL, "k", WHY, NULL);
    r.now += 600 * MU_SECOND;
    OK("timer_fired", "w", "timer", NULL, "{\"timer\":\"every\",\"n\":0}");
    IS("w", "ready");                             /* paused: no round begins */
    assert_int_equal(json_integer_value(VAR("n")), 2);
    OK("resume", NULL, "k", WHY, NULL);
    RUN("succeeded");
    assert_int_equal(json_object_size(r.armed), 0);
    OK("timer_fired", "w", "timer", NULL, "{\"timer\":\"every\",\"n\":0}");
    assert_true(json_is_true(json_object_get(r.result, "late")));
    replays(&r);
}

static void test_while_bad_condition(void **state)
{
    BEGIN("steps:\n  - {while: w, cond: unset > 1, max: 2, on_error: continue, steps: [{task: t, role: a}]}\n  - {task: after, role: a}\n");
    IS("w", "failed");
    assert_string_equal(mu_json_str(ROW("w#1"), "error"), "error.expression.unset");
    IS("after", "active");
    replays(&r);
}

static void test_for_each(void **state)
{
    BEGIN("steps:\n  - for_each: f\n    in: list\n    as: item\n    max: 5\n    steps:\n      - {task: t, role: a, title: {zh: '做 {{item}}', en: 'Do {{item}}'}, when: item != 'b'}\n"
          "      - {set: s, values: {word: item}}\n  - {task: after, role: a}\n");
    assert_string_equal(json_string_value(mu_json_at(ROW("f/t#1"), "title.en")), "Do a");
    assert_string_equal(json_string_value(mu_json_at(ROW("f/t#1"), "title.zh")), "做 a");
    assert_string_equal(json_string_value(mu_json_at(ROW("f/t#1"), "item.value")), "a");
    assert_int_equal(json_integer_value(mu_json_at(ROW("f/t#1"), "item.of")), 3);
    OK("task_done", "f/t", "a", NULL, NULL);
    IS("f/t#2", "skipped");
    IS("f/t#3", "active");
    assert_string_equal(json_string_value(VAR("word")), "b");
    OK("task_done", "f/t#3", "a", NULL, NULL);
    assert_string_equal(json_string_value(VAR("word")), "c");
    IS("f", "done");
    IS("after", "active");
    replays(&r);
}

static void test_for_each_at_once(void **state)
{
    BEGIN("steps:\n  - {for_each: f, in: [1, 2, 3, 4], as: k, at_once: 2, steps: [{task: t, role: a}, {set: s, values: {n: n + k}}]}\n");
    IS("f/t#2", "active");
    assert_null(ROW("f/t#3"));
    OK("task_done", "f/t#2", "a", NULL, NULL);
    IS("f/t#1", "active");
    IS("f/t#3", "active");
    assert_int_equal(json_integer_value(mu_json_at(ROW("f/t#3"), "item.value")), 3);
    OK("task_done", "f/t#3", "a", NULL, NULL);
    OK("task_done", "f/t#1", "a", NULL, NULL);
    assert_int_equal(json_integer_value(mu_json_at(ROW("f#1"), "loop.ended")), 3);
    OK("task_done", "f/t#4", "a", NULL, NULL);
    RUN("succeeded");
    assert_int_equal(json_integer_value(VAR("n")), 11);
    replays(&r);
}

static void test_for_each_bounds(void **state)
{
    BEGIN("steps:\n  - {for_each: f, in: list, as: x, max: 2, on_error: continue, steps: [{task: t, role: a}]}\n"
          "  - {for_each: g, in: [], as: x, steps: [{task: u, role: a}]}\n  - {task: after, role: a}\n");
    IS("f", "failed");
    assert_string_equal(mu_json_str(ROW("f#1"), "error"), "error.run.max");
    IS("g", "done");
    IS("g/u", "skipped");
    IS("after", "active");
    replays(&r);
}

/* The item of the inner loop hides the outer one of the same name; a handler inside still sees the item of its place. */
static void test_nested(void **state)
{
    BEGIN("steps:\n  - for_each: f\n    in: [x, y]\n    as: i\n    steps:\n      - for_each: g\n        in: [1, 2]\n        as: j\n        steps:\n"
          "          - {set: s, values: {word: i, n: n * 10 + j}}\n"
          "      - task: t\n        role: a\n        deadline: {after: 1m, then: [{task: late, role: b, title: {zh: '迟 {{i}}', en: 'late {{i}}'}}]}\n");
    assert_int_equal(json_integer_value(VAR("n")), 112);
    IS("f/g/s#2", "done");
    r.now += 60 * MU_SECOND;
    OK("timer_fired", "f/t", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    IS("f/t", "expired");
    assert_string_equal(json_string_value(mu_json_at(ROW("f/t/deadline/late#1"), "title.en")), "late x");
    OK("task_done", "f/t/deadline/late", "b", NULL, NULL);
    assert_int_equal(json_integer_value(VAR("n")), 11212);
    assert_string_equal(json_string_value(VAR("word")), "y");
    OK("skip", "f", "k", WHY, NULL);
    RUN("succeeded");
    replays(&r);
}

/* A loop that would never end takes its share of one call and goes on by timer; one that outgrows the state fails and asks. */
static void test_share_and_room(void **state)
{
    unsigned fired = 0;

    BEGIN("steps:\n  - {while: w, cond: n > 0, max: 10000, steps: [{set: s, values: {n: n + 1}}]}\n");
    IS("w", "active");
    assert_true(armed(&r, "w#1/every/0"));
    assert_true(json_integer_value(VAR("n")) < 1000);
    while (armed(&r, "w#1/every/0") && fired < 100) {
        fired++;
        OK("timer_fired", "w", "timer", NULL, "{\"timer\":\"every\",\"n\":0}");
    }
    IS("w", "failed");
    assert_string_equal(mu_json_str(ROW("w#1"), "error"), "error.run.too_large");
    RUN("waiting");
    assert_true(json_dumpb(r.state, NULL, 0, JSON_COMPACT) < MU_STATE_BYTES / 8 * 7);
    OK("note_added", NULL, "a", NULL, "{\"text\":\"still there\"}");
    OK("skip", "w", "k", WHY, NULL);
    RUN("succeeded");
}

/* People's words may fill the state up to the commander's reserve, not into it. */
static void test_too_large(void **state)
{
    char *long_text = mu_alloc(*state, 4001), *list;
    mu_buf out = MU_BUF(2 * 1024 * 1024);
    unsigned given = 0;

    memset(long_text, 'x', 4000);
    long_text[4000] = '\0';
    for (int i = 0; i < 40; i++)
        mu_buf_addf(&out, "%s{\"ref\":\"%s\"}", i == 0 ? "" : ",", long_text);
    list = mu_printf(*state, "{\"evidence\":[%s]}", out.at);
    mu_buf_free(&out);
    BEGIN("steps:\n  - {parallel: p, branches: {b1: [{task: t1, role: a}], b2: [{task: t2, role: a}], b3: [{task: t3, role: a}]}}\n");
    static const char *const paths[] = { "p/b1/t1", "p/b2/t2", "p/b3/t3" };
    for (; given < 6; given++)
        if (!tell(&r, "evidence_added", paths[given / 2], "a", NULL, list))
            break;
    assert_true(given >= 4 && given < 6);
    assert_string_equal(r.refused, "error.run.too_large");
    OK("abort", NULL, "k", WHY, NULL);
    OK("abort", NULL, "k2", WHY, NULL);
    RUN("aborted");
    replays(&r);
}

static void test_retry_of_body(void **state)
{
    BEGIN("steps:\n  - {for_each: f, in: list, as: x, steps: [{set: s, values: {n: unset + 1}}]}\n");
    IS("f/s", "failed");
    RUN("waiting");
    OK("override", NULL, "k", WHY, "{\"var\":\"unset\",\"value\":4}");
    OK("retry", "f/s", "k", WHY, NULL);
    RUN("succeeded");
    IS("f/s#3", "done");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_while), ARENA_TEST(test_while_never), ARENA_TEST(test_while_max), ARENA_TEST(test_while_on_error),
        ARENA_TEST(test_while_every), ARENA_TEST(test_while_bad_condition), ARENA_TEST(test_for_each), ARENA_TEST(test_for_each_at_once),
        ARENA_TEST(test_for_each_bounds), ARENA_TEST(test_nested), ARENA_TEST(test_share_and_room), ARENA_TEST(test_too_large), ARENA_TEST(test_retry_of_body) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
