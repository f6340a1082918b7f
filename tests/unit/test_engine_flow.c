/* apply(): how the flow goes: branches, joins, blocks, ends, failures outward. Every test ends with a replay. */
#include "test_engine.h"

static void test_if_and_when(void **state)
{
    BEGIN("steps:\n  - {set: s, values: {n: n + 4, ok: level == 'III', d: n / 3}}\n  - {task: no, role: a, when: n < 3}\n"
          "  - {if: c, cond: ok and n == 5, then: [{task: yes, role: a}], else: [{task: other, role: a}, {task: other2, role: a}]}\n  - {if: e, cond: not ok, then: [{task: never, role: a}]}\n  - {end: fine, outcome: good}\n");
    assert_int_equal(json_integer_value(mu_json_at(r.state, "vars.n.value")), 5);
    assert_string_equal(json_string_value(mu_json_at(r.state, "vars.d.value")), "0.333333");       /* read before n was written */
    IS("no", "skipped");
    IS("c/then/yes", "active");
    IS("c/else/other", "skipped");
    IS("c/else/other2", "skipped");
    OK("task_done", "c/then/yes", "a", NULL, NULL);
    IS("e", "done");
    IS("e/then/never", "skipped");
    RUN("succeeded");
    assert_string_equal(mu_json_str(r.state, "outcome"), "good");
    replays(&r);
}

static void test_parallel_all_any_n(void **state)
{
    BEGIN("steps:\n  - {parallel: p1, branches: {a: [{task: t1, role: a}], b: [{task: t2, role: a}]}}\n"
          "  - {parallel: p2, join: any, branches: {a: [{task: t3, role: a}], b: [{notify: t4, to: [role.a], via: [email]}, {task: t4b, role: a}]}}\n"
          "  - {parallel: p3, join: 2, branches: {a: [{task: t5, role: a}], b: [{task: t6, role: a}], c: [{task: t7, role: a, deadline: {after: 5m}}, {task: t8, role: a}]}}\n");
    OK("task_done", "p1/b/t2", "a", NULL, NULL);
    IS("p1", "active");
    OK("task_done", "p1/a/t1", "a", NULL, NULL);
    IS("p1", "done");
    OK("task_done", "p2/a/t3", "a", NULL, NULL);
    IS("p2", "done");
    IS("p2/b/t4", "cancelled");
    IS("p2/b/t4b", "cancelled");
    assert_string_equal(json_string_value(json_array_get(json_object_get(r.result, "effects_cancelled"), 0)), "R1/p2/b/t4/1/notify");
    OK("effect_done", "p2/b/t4", "effect", NULL, "{\"key\":\"R1/p2/b/t4/1/notify\"}");      /* it lost the race */
    assert_true(mu_json_bool(r.result, "late", false));
    OK("task_done", "p3/a/t5", "a", NULL, NULL);
    IS("p3", "active");
    OK("task_done", "p3/b/t6", "a", NULL, NULL);
    IS("p3/c/t7", "cancelled");
    IS("p3/c/t8", "cancelled");
    assert_int_equal(json_object_size(r.armed), 0);
    RUN("succeeded");
    replays(&r);
}

static void test_call_block(void **state)
{
    BEGIN("blocks:\n  tail: [{task: t, role: a}, {call: deeper, block: end_of_it}]\n  end_of_it: [{task: u, role: b}]\nsteps:\n  - {call: first, block: tail}\n  - {call: second, block: tail}\n");
    OK("task_done", "first/tail/t", "a", NULL, NULL);
    OK("task_done", "first/tail/deeper/end_of_it/u", "b", NULL, NULL);
    IS("first", "done");
    OK("task_done", "second/tail/t", "a", NULL, NULL);
    OK("task_done", "second/tail/deeper/end_of_it/u", "b", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

static void test_end_inside(void **state)
{
    BEGIN("steps:\n  - parallel: p\n    branches:\n      one: [{task: t1, role: a, deadline: {after: 5m}}]\n      two: [{task: t2, role: a}, {end: stop, outcome: failed}]\n  - {task: never, role: a}\n");
    OK("task_done", "p/two/t2", "a", NULL, NULL);
    RUN("failed");
    IS("p/one/t1", "cancelled");
    IS("p", "cancelled");
    IS("never", "cancelled");
    assert_int_equal(json_object_size(r.armed), 0);
    replays(&r);
}

static void test_failure_outward(void **state)
{
    BEGIN("steps:\n  - parallel: p\n    on_error: [{task: rescue, role: a}]\n    branches:\n      one: [{set: bad, values: {n: unset + 1}}]\n      two: [{task: t2, role: a}]\n  - {task: after, role: a}\n");
    IS("p", "failed");                                         /* reading what is not set fails; the enclosing step handles it */
    IS("p/on_error/rescue", "active");
    assert_string_equal(mu_json_str(json_object_get(r.rows, "p/one/bad#1"), "error"), "error.expression.unset");
    OK("task_done", "p/on_error/rescue", "a", NULL, NULL);
    IS("after", "active");
    OK("task_done", "after", "a", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

static void test_failure_of_run(void **state)
{
    BEGIN("on_error: [{task: take_over, role: commander}]\nsteps:\n  - {parallel: p, branches: {one: [{set: bad, values: {n: unset}}], two: [{task: t2, role: a}]}}\n");
    IS("on_error/take_over", "active");
    RUN("running");
    OK("task_done", "on_error/take_over", "k", NULL, NULL);
    RUN("failed");
    replays(&r);

    r = begin_in(state, "real", "steps:\n  - {set: bad, values: {d: n / 0}, on_error: fail}\n  - {task: t, role: a}\n");
    RUN("failed");
    replays(&r);

    r = begin_in(state, "real", "steps:\n  - {task: t, role: a, when: 1 / (n - 1) == 1}\n");      /* a guard that cannot be read asks */
    IS("t", "failed");
    RUN("waiting");
    OK("override", NULL, "k", WHY, "{\"var\":\"n\",\"value\":2}");
    OK("retry", "t", "k", WHY, NULL);
    IS("t", "active");
    OK("override", "t", "k", WHY, NULL);
    IS("t", "overridden");
    RUN("succeeded");
    replays(&r);
}

/* One signal ends two waits: the branch that decides the join comes first, and the handler in the other branch goes no further. */
static void test_signal_ends_two(void **state)
{
    BEGIN("steps:\n  - parallel: p\n    join: any\n    branches:\n      one: [{wait: w1, event: go}]\n"
          "      two: [{set: bad, values: {n: unset}, on_error: [{wait: w2, event: go}, {task: h2, role: a}]}, {task: t2, role: a}]\n  - {task: after, role: a}\n");
    IS("p/two/bad/on_error/w2", "waiting");
    OK("signal", NULL, "a", NULL, "{\"name\":\"go\"}");
    IS("p", "done");
    assert_null(status_of(&r, "p/two/bad/on_error/h2"));
    IS("after", "active");
    OK("task_done", "after", "a", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

/* A step with children that passed its deadline asks; tried again, its children start anew. */
static void test_retry_of_parallel(void **state)
{
    BEGIN("steps:\n  - {parallel: p, deadline: {after: 5m, then: fail}, branches: {x: [{task: t1, role: a}], y: [{task: t2, role: a}]}}\n");
    OK("task_done", "p/x/t1", "a", NULL, NULL);
    OK("timer_fired", "p", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    RUN("waiting");
    IS("p/y/t2", "cancelled");
    OK("retry", "p", "k", WHY, NULL);
    assert_true(armed(&r, "p#1/deadline/0"));
    IS("p/x/t1#2", "active");
    OK("task_done", "p/x/t1#2", "a", NULL, NULL);
    OK("task_done", "p/y/t2#2", "a", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

static void test_switch(void **state)
{
    static const struct { const char *on, *cases, *taken, *other; } cases[] = { { "level", "III", "s/III/x", "s/default/y" }, { "level", "I", "s/default/y", "s/I/x" }, { "word", "x", "s/x/x", "s/default/y" },
        { "n + 1", "'2'", "s/2/x", "s/default/y" }, { "ok", "'false'", "s/false/x", "s/default/y" }, { "ok", "'true'", "s/default/y", "s/true/x" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        BEGIN(mu_printf(*state, "steps:\n  - switch: s\n    on: %s\n    cases: {%s: [{task: x, role: a}]}\n    default: [{task: y, role: a}]\n  - {task: after, role: a}\n", cases[i].on, cases[i].cases));
        IS(cases[i].taken, "active");
        IS(cases[i].other, "skipped");
        assert_true(logged(&r, "condition_read"));
        OK("task_done", cases[i].taken, "a", NULL, NULL);
        IS("s", "done");
        IS("after", "active");
        replays(&r);
    }
}

static void test_switch_without_case(void **state)
{
    BEGIN("steps:\n  - {switch: s, on: word, cases: {other: [{task: x, role: a}]}}\n  - {switch: u, on: unset, on_error: continue, cases: {'7': [{task: y, role: a}]}}\n  - {task: after, role: a}\n");
    IS("s", "done");
    assert_string_equal(mu_json_str(ROW("s#1"), "cause"), "no_case");
    IS("s/other/x", "skipped");
    IS("u", "failed");
    IS("after", "active");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(test_if_and_when), ARENA_TEST(test_parallel_all_any_n), ARENA_TEST(test_call_block), ARENA_TEST(test_end_inside),
        ARENA_TEST(test_failure_outward), ARENA_TEST(test_failure_of_run), ARENA_TEST(test_signal_ends_two), ARENA_TEST(test_retry_of_parallel), ARENA_TEST(test_switch), ARENA_TEST(test_switch_without_case),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
