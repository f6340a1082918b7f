/* apply(): deadlines, milestones and waits. Every test ends with a replay. */
#include "test_engine.h"

static void test_deadline(void **state)
{
    BEGIN("steps:\n  - {task: t, role: a, deadline: {after: 10m, warn: 4m, escalate: [b, c, commander]}}\n");
    assert_true(armed(&r, "t#1/deadline_warn/0"));
    assert_true(armed(&r, "t#1/deadline/0"));
    assert_string_equal(mu_json_str(json_object_get(r.rows, "t#1"), "due_at"), "2026-11-24T08:10:00.000Z");
    r.now += 360 * MU_SECOND;
    OK("timer_fired", "t", "timer", NULL, "{\"timer\":\"deadline_warn\",\"n\":0}");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "escalate"), "data.level")), "reminder");
    r.now += 240 * MU_SECOND;
    OK("timer_fired", "t", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "escalate"), "data.role")), "b");
    IS("t", "active");                                         /* it only escalates: the work is still to be done */
    assert_true(armed(&r, "t#1/escalate/1"));
    assert_string_equal(mu_json_str(json_object_get(r.armed, "t#1/escalate/1"), "due"), "2026-11-24T08:15:00.000Z");
    OK("timer_fired", "t", "timer", NULL, "{\"timer\":\"escalate\",\"n\":1}");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "escalate"), "data.role")), "c");
    OK("acknowledge", "t", "c", NULL, NULL);
    assert_false(armed(&r, "t#1/escalate/2"));
    OK("timer_fired", "t", "timer", NULL, "{\"timer\":\"escalate\",\"n\":2}");
    assert_true(mu_json_bool(r.result, "late", false));
    OK("task_done", "t", "a", NULL, NULL);
    RUN("succeeded");
    OK("timer_fired", "t", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    assert_true(mu_json_bool(r.result, "late", false));
    replays(&r);
}

static void test_deadline_then(void **state)
{
    BEGIN("steps:\n  - {task: t1, role: a, deadline: {after: 1m, then: proceed}}\n  - {task: t2, role: a, deadline: {after: 1m, then: skip}}\n"
          "  - {task: t3, role: a, deadline: {after: 1m, then: [{task: instead, role: b}]}}\n  - {parallel: par, deadline: {after: 1m, then: fail}, on_error: continue, branches: {x: [{task: x1, role: a}], y: [{task: y1, role: a}]}}\n"
          "  - {task: t5, role: a, deadline: {after: 1m, from: late_one}}\n  - {milestone: late_one}\n");
    OK("timer_fired", "t1", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    IS("t1", "done");
    OK("timer_fired", "t2", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    IS("t2", "skipped");
    OK("timer_fired", "t3", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    IS("t3", "expired");
    IS("t3/deadline/instead", "active");
    OK("task_done", "t3/deadline/instead", "b", NULL, NULL);
    IS("par/x/x1", "active");
    OK("timer_fired", "par", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    IS("par", "failed");
    IS("par/x/x1", "cancelled");
    IS("t5", "active");
    assert_int_equal(json_object_size(r.armed), 0);            /* its clock has not begun */
    OK("task_done", "t5", "a", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

static void test_milestone_arms(void **state)
{
    BEGIN("steps:\n  - parallel: p\n    branches:\n      one: [{task: w, role: a, deadline: {after: 7m, from: m}}]\n      two: [{task: v, role: b}, {milestone: m, clock: {start: rto}}, {task: u, role: b}]\n  - {milestone: over, clock: {stop: rto}}\n  - {set: s, values: {ok: over - m > 3m}}\n");
    assert_int_equal(json_object_size(r.armed), 0);
    r.now += 60 * MU_SECOND;
    OK("task_done", "p/two/v", "b", NULL, NULL);
    assert_string_equal(mu_json_str(json_object_get(r.armed, "p/one/w#1/deadline/0"), "due"), "2026-11-24T08:08:00.000Z");
    OK("task_done", "p/one/w", "a", NULL, NULL);
    r.now += 240 * MU_SECOND;
    OK("task_done", "p/two/u", "b", NULL, NULL);
    assert_true(json_is_true(mu_json_at(r.state, "vars.ok.value")));
    assert_string_equal(json_string_value(mu_json_at(r.state, "clocks.rto.start")), "2026-11-24T08:01:00.000Z");
    assert_string_equal(json_string_value(mu_json_at(r.state, "clocks.rto.stop")), "2026-11-24T08:05:00.000Z");
    RUN("succeeded");
    replays(&r);
}

static void test_wait(void **state)
{
    BEGIN("steps:\n  - {milestone: m}\n  - {wait: w1, for: wait_for}\n  - {wait: w2, until: m + 15m}\n  - {wait: w3, until: m}\n  - {wait: w4, event: door_open}\n  - {wait: w5, until: m + 1h}\n");
    IS("w1", "waiting");
    r.now += 600 * MU_SECOND;
    OK("timer_fired", "w1", "timer", NULL, "{\"timer\":\"wait\",\"n\":0}");
    assert_string_equal(mu_json_str(json_object_get(r.armed, "w2#1/wait/0"), "due"), "2026-11-24T08:15:00.000Z");
    OK("timer_fired", "w2", "timer", NULL, "{\"timer\":\"wait\",\"n\":0}");
    IS("w3", "done");                                          /* already past */
    IS("w4", "waiting");
    NO("error.run.nobody_waits", "signal", NULL, "a", NULL, "{\"name\":\"other\"}");
    OK("signal", NULL, "a", NULL, "{\"name\":\"door_open\"}");
    IS("w5", "waiting");
    OK("skip", "w5", "k", WHY, NULL);
    assert_int_equal(json_object_size(r.armed), 0);
    RUN("succeeded");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(test_deadline), ARENA_TEST(test_deadline_then), ARENA_TEST(test_milestone_arms), ARENA_TEST(test_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
