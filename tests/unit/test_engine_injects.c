/* apply(): injects, beside the flow and in it, and what people are expected to do about them. Every test ends with a replay. */
#include "test_engine.h"

#define AROUND(injects) "steps:\n  - {task: t1, role: a}\n  - {milestone: found}\n  - {task: t2, role: a}\n  - {task: t3, role: b}\ninjects:\n" injects

static void test_planned(void **state)
{
    DRILL(AROUND("  - {inject: early, at: run.started_at + 5m, to: [role.a], zh: '来电 {{word}}', en: 'A call {{word}}', from: {zh: 记者, en: A reporter}}\n"
        "  - {inject: later, at: found + 10m, to: [role.c], zh: 二, en: Two, expect: {step: t2, within: 15m, score: 5}}\n"
        "  - {inject: by_hand, to: [role.c], zh: 三, en: Three, expect: {zh: 上报, en: Report it, score: 4}}\n"));
    assert_true(armed(&r, "injects/early#1/inject/0"));
    IS("injects/later", "pending");
    r.now += 300 * MU_SECOND;
    OK("timer_fired", "injects/early", "timer", NULL, "{\"timer\":\"inject\",\"n\":0}");
    IS("injects/early", "done");
    assert_string_equal(mu_json_str(effect_of(&r, "inject"), "delivery"), "mark");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "inject"), "data.text.en")), "A call x");
    assert_int_equal(json_array_size(mu_json_at(effect_of(&r, "inject"), "data.people")), 2);
    OK("task_done", "t1", "a", NULL, NULL);
    assert_string_equal(mu_json_str(json_object_get(r.armed, "injects/later#1/inject/0"), "due"), "2026-11-24T08:15:00.000Z");
    r.now += 600 * MU_SECOND;
    OK("timer_fired", "injects/later", "timer", NULL, "{\"timer\":\"inject\",\"n\":0}");
    assert_true(armed(&r, "injects/later#1/expect/0"));
    OK("task_done", "t2", "a", NULL, NULL);
    assert_string_equal(json_string_value(mu_json_at(ROW("injects/later#1"), "inject.verdict.verdict")), "met");
    assert_int_equal(json_integer_value(mu_json_at(ROW("injects/later#1"), "inject.verdict.score")), 5);
    assert_int_equal(json_object_size(r.armed), 0);
    NO("error.run.controller", "inject_deliver", "injects/by_hand", "a", NULL, NULL);
    NO("error.run.inject", "inject_judged", "injects/by_hand", "k", NULL, "{\"verdict\":\"met\"}");
    OK("inject_deliver", "injects/by_hand", "k", NULL, NULL);
    NO("error.run.step_closed", "inject_deliver", "injects/by_hand", "k", NULL, NULL);
    OK("task_done", "t3", "b", NULL, NULL);
    RUN("succeeded");
    NO("error.run.verdict", "inject_judged", "injects/by_hand", "k", NULL, "{\"verdict\":\"fine\"}");
    NO("error.run.score", "inject_judged", "injects/by_hand", "k", NULL, "{\"verdict\":\"met\",\"score\":5}");
    OK("inject_judged", "injects/by_hand", "k", NULL, "{\"verdict\":\"partly\",\"note\":\"late\"}");     /* also after the end */
    assert_int_equal(json_integer_value(mu_json_at(ROW("injects/by_hand#1"), "inject.verdict.score")), 2);
    OK("inject_judged", "injects/by_hand", "k", NULL, "{\"verdict\":\"met\",\"score\":3}");
    assert_int_equal(json_integer_value(mu_json_at(ROW("injects/by_hand#1"), "inject.verdict.score")), 3);
    replays(&r);
}

static void test_missed(void **state)
{
    DRILL(AROUND("  - {inject: i, at: run.started_at, to: [role.a], zh: 一, en: One, expect: {step: t3, within: 15m}}\n"
        "  - {inject: j, at: found, to: [role.a], zh: 二, en: Two, expect: {step: t3, within: 15m}}\n"));
    IS("injects/i", "done");                      /* due at once */
    r.now += 900 * MU_SECOND;
    OK("timer_fired", "injects/i", "timer", NULL, "{\"timer\":\"expect\",\"n\":0}");
    assert_string_equal(json_string_value(mu_json_at(ROW("injects/i#1"), "inject.verdict.verdict")), "missed");
    OK("task_done", "t1", "a", NULL, NULL);
    IS("injects/j", "done");
    assert_true(armed(&r, "injects/j#1/expect/0"));
    OK("abort", NULL, "k", WHY, NULL);            /* the run is over: it will not be done any more */
    RUN("aborted");
    assert_string_equal(json_string_value(mu_json_at(ROW("injects/j#1"), "inject.verdict.verdict")), "missed");
    assert_int_equal(json_object_size(r.armed), 0);
    replays(&r);
}

/* A real run has no injects, not even as rows. */
static void test_real(void **state)
{
    BEGIN(AROUND("  - {inject: i, at: run.started_at, to: [role.a], zh: 一, en: One}\n"));
    assert_null(status_of(&r, "injects/i"));
    assert_int_equal(json_object_size(r.armed), 0);
    NO("error.run.not_begun", "inject_deliver", "injects/i", "k", NULL, NULL);
    replays(&r);
}

static void test_paused(void **state)
{
    DRILL(AROUND("  - {inject: i, at: run.started_at + 1m, to: [role.a], zh: 一, en: One}\n  - {inject: g, at: run.started_at + 1m, when: ok, to: [role.a], zh: 二, en: Two}\n"));
    OK("stop_drill", NULL, "c", WHY, NULL);
    RUN("paused");
    NO("error.run.paused", "stop_drill", NULL, "c", WHY, NULL);
    r.now += 60 * MU_SECOND;
    OK("timer_fired", "injects/i", "timer", NULL, "{\"timer\":\"inject\",\"n\":0}");
    IS("injects/i", "ready");
    OK("resume", NULL, "k", WHY, NULL);
    IS("injects/i", "done");
    OK("timer_fired", "injects/g", "timer", NULL, "{\"timer\":\"inject\",\"n\":0}");
    IS("injects/g", "skipped");                   /* its guard is read when its time comes */
    replays(&r);
}

static void test_step(void **state)
{
    static const char steps[] = "steps:\n  - {inject: now_one, when: run.mode != 'real', to: [role.a], text: {zh: 一, en: One}, expect: {step: t, within: 5m}}\n"
        "  - {inject: then_one, when: run.mode != 'real', at: run.started_at + 5m, to: [role.a], zh: 二, en: Two}\n  - {task: t, role: a}\n  - {task: u, role: a}\n";
    DRILL(steps);
    IS("now_one", "done");
    IS("then_one", "waiting");
    IS("t", "pending");
    r.now += 300 * MU_SECOND;
    OK("timer_fired", "then_one", "timer", NULL, "{\"timer\":\"inject\",\"n\":0}");
    IS("then_one", "done");
    OK("task_done", "t", "a", NULL, NULL);
    assert_string_equal(json_string_value(mu_json_at(ROW("now_one#1"), "inject.verdict.verdict")), "met");
    replays(&r);
    r = begin_in(state, "real", steps);
    IS("now_one", "skipped");
    IS("t", "active");
    replays(&r);
}

/* A failed guard beside the flow is a question, and no business of the playbook's on_error. */
static void test_broken(void **state)
{
    DRILL("steps:\n  - {task: t, role: a}\non_error:\n  - {task: h, role: a}\ninjects:\n  - {inject: i, at: run.started_at, when: unset > 1, to: [role.a], zh: 一, en: One}\n");
    IS("injects/i", "failed");
    IS("t", "active");
    RUN("running");
    OK("skip", "injects/i", "k", WHY, NULL);
    OK("task_done", "t", "a", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_planned), ARENA_TEST(test_missed), ARENA_TEST(test_real), ARENA_TEST(test_paused), ARENA_TEST(test_step), ARENA_TEST(test_broken) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
