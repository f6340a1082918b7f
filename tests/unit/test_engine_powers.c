/* apply(): the commander's powers. Every test ends with a replay. */
#include "test_engine.h"

static void test_powers(void **state)
{
    BEGIN("steps:\n  - {task: t1, role: a, critical: true, deadline: {after: 5m}}\n  - {task: t2, role: a}\n  - {task: t3, role: a}\n");
    NO("error.run.commander", "skip", "t1", "a", WHY, NULL);
    OK("skip", "t1", "k", WHY, NULL);
    IS("t1", "active");
    OK("skip", "t1", "k2", WHY, NULL);
    IS("t1", "skipped");
    NO("error.run.not_failed", "retry", "t2", "k", WHY, NULL);
    NO("error.run.still_open", "reopen", "t2", "k", WHY, NULL);
    OK("pause", NULL, "k", WHY, NULL);
    RUN("paused");
    NO("error.run.paused", "pause", NULL, "k", WHY, NULL);
    OK("task_done", "t2", "a", NULL, NULL);                    /* open work may be finished */
    IS("t3", "ready");
    NO("error.run.not_open", "task_done", "t3", "a", NULL, NULL);
    OK("resume", NULL, "k", WHY, NULL);
    IS("t3", "active");
    OK("reopen", "t2", "k", WHY, NULL);
    IS("t2#2", "active");
    IS("t2", "done");
    OK("task_done", "t3", "a", NULL, NULL);
    RUN("running");                                            /* what was opened again must be closed first */
    OK("task_done", "t2#2", "a", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

static void test_break_glass_and_abort(void **state)
{
    BEGIN("steps:\n  - {task: t1, role: a, deadline: {after: 5m}}\n");
    NO("error.run.reason", "abort", NULL, "k", "no", NULL);
    OK("abort", NULL, "k", WHY, NULL);
    RUN("running");
    r.now += 119 * MU_SECOND;
    NO("error.run.second_person", "abort", NULL, "k", WHY, "{\"break_glass\":true}");
    r.now += 1 * MU_SECOND;
    OK("abort", NULL, "k", WHY, "{\"break_glass\":true}");
    RUN("aborted");
    assert_true(logged(&r, "break_glass"));
    assert_int_equal(json_object_size(r.armed), 0);
    replays(&r);
}

static void test_severity_guards(void **state)
{
    BEGIN("steps:\n  - {task: t1, role: a}\n  - {task: t2, role: a, when: run.severity == 'I'}\n  - {task: t3, role: a, when: run.mode == 'real'}\n");
    OK("severity_changed", NULL, "k", WHY, "{\"severity\":\"I\"}");
    OK("task_done", "t1", "a", NULL, NULL);
    IS("t2", "active");
    replays(&r);
}

static void test_choose_branch(void **state)
{
    BEGIN("steps:\n  - if: i\n    cond: ok\n    then: [{task: t, role: a}]\n    else: [{task: e, role: a}]\n  - switch: s\n    on: level\n    cases:\n      I: [{task: s1, role: a}]\n      II: [{task: s2, role: a}]\n"
          "    default: [{task: sd, role: a}]\n  - {task: after, role: a}\n");
    IS("i/else/e", "active");
    IS("i/then/t", "skipped");
    NO("error.run.commander", "choose_branch", "i", "a", WHY, "{\"branch\":\"then\"}");
    NO("error.run.reason", "choose_branch", "i", "k", "no", "{\"branch\":\"then\"}");
    NO("error.run.branch", "choose_branch", "i", "k", WHY, "{\"branch\":\"other\"}");
    NO("error.run.same_branch", "choose_branch", "i", "k", WHY, "{\"branch\":\"else\"}");
    NO("error.run.wrong_kind", "choose_branch", "i/else/e", "k", WHY, "{\"branch\":\"else\"}");
    OK("choose_branch", "i", "k", WHY, "{\"branch\":\"then\"}");
    IS("i/else/e", "cancelled");
    IS("i/then/t", "active");
    assert_true(mu_json_bool(ROW("i#1"), "forced", false));
    OK("task_done", "i/then/t", "a", NULL, NULL);
    IS("s/default/sd", "active");
    IS("s/I/s1", "skipped");
    OK("choose_branch", "s", "k", WHY, "{\"branch\":\"II\"}");
    IS("s/II/s2", "active");
    OK("task_done", "s/II/s2", "a", NULL, NULL);
    IS("after", "active");
    NO("error.run.step_closed", "choose_branch", "s", "k", WHY, "{\"branch\":\"I\"}");
    replays(&r);
}

/* A condition that cannot be read is a question; the commander may answer it by choosing. */
static void test_choose_after_failure(void **state)
{
    BEGIN("steps:\n  - {if: i, cond: unset > 1, then: [{task: t, role: a}]}\n  - {task: after, role: a}\n");
    IS("i", "failed");
    RUN("waiting");
    OK("choose_branch", "i", "k", WHY, "{\"branch\":\"else\"}");
    IS("i", "done");
    IS("after", "active");
    RUN("running");
    replays(&r);
}

static void test_reassign(void **state)
{
    BEGIN("steps:\n  - {task: t, role: a}\n  - {approve: p, by: {role: a, count: 2}}\n  - {approve: q, by: {role: a, count: 1}}\n  - {notify: n, to: [role.a], via: [email], text: {zh: x, en: x}}\n");
    NO("error.required", "reassign", "t", "k", WHY, "{}");
    OK("reassign", "t", "k", WHY, "{\"role\":\"c\"}");
    assert_string_equal(mu_json_str(ROW("t#1"), "role"), "c");
    NO("error.run.role", "task_done", "t", "a", NULL, NULL);
    OK("reassign", "t", "k", WHY, "{\"person\":{\"id\":\"w\",\"name\":\"Wu\"}}");
    assert_string_equal(mu_json_str(effect_of(&r, "escalate"), "delivery"), "send");
    assert_string_equal(json_string_value(mu_json_at(json_array_get(mu_json_at(effect_of(&r, "escalate"), "data.people"), 0), "id")), "w");
    NO("error.run.assigned", "task_done", "t", "c", NULL, NULL);
    OK("task_done", "t", "w", NULL, NULL);
    NO("error.run.too_few", "reassign", "p", "k", WHY, "{\"person\":{\"id\":\"w\"}}");
    OK("reassign", "p", "k", WHY, "{\"role\":\"commander\"}");
    NO("error.run.role", "approve", "p", "a", NULL, NULL);
    OK("approve", "p", "k", NULL, NULL);
    OK("approve", "p", "k2", NULL, NULL);
    OK("reassign", "q", "k", WHY, "{\"person\":{\"id\":\"w\"}}");
    NO("error.run.assigned", "approve", "q", "a", NULL, NULL);
    OK("approve", "q", "w", NULL, NULL);
    NO("error.run.wrong_kind", "reassign", "n", "k", WHY, "{\"role\":\"b\"}");
    NO("error.run.step_closed", "reassign", "t", "k", WHY, "{\"role\":\"b\"}");
    replays(&r);
}

static void test_adhoc(void **state)
{
    BEGIN("steps:\n  - {task: t, role: a}\n");
    NO("error.run.commander", "adhoc_step", NULL, "a", WHY, "{\"kind\":\"task\",\"title\":\"Call them\",\"role\":\"c\"}");
    NO("error.run.adhoc", "adhoc_step", NULL, "k", WHY, "{\"kind\":\"http\",\"title\":\"x\"}");
    NO("error.run.unknown_role", "adhoc_step", NULL, "k", WHY, "{\"kind\":\"task\",\"title\":\"x\",\"role\":\"zzz\"}");
    NO("error.run.value", "adhoc_step", NULL, "k", WHY, "{\"kind\":\"task\",\"title\":{\"en\":\"{{token}}\"},\"role\":\"c\"}");
    NO("error.required", "adhoc_step", NULL, "k", WHY, "{\"kind\":\"notify\",\"title\":\"x\",\"text\":\"y\"}");
    NO("error.run.value", "adhoc_step", NULL, "k", WHY, "{\"kind\":\"notify\",\"title\":\"x\",\"text\":\"y\",\"to\":[\"everybody\"]}");
    OK("adhoc_step", "t", "k", WHY, "{\"kind\":\"task\",\"title\":{\"zh\":\"打电话\",\"en\":\"Call them\"},\"text\":{\"en\":\"now\"},\"role\":\"c\"}");
    IS("adhoc/a1", "active");
    assert_string_equal(mu_json_str(ROW("adhoc/a1#1"), "beside"), "t");
    assert_string_equal(json_string_value(mu_json_at(ROW("adhoc/a1#1"), "title.zh")), "打电话");
    OK("adhoc_step", NULL, "k", WHY, "{\"kind\":\"notify\",\"title\":\"Mind\",\"text\":{\"zh\":\"注意\",\"en\":\"Mind it\"},\"to\":[\"role.a\"]}");
    IS("adhoc/a2", "waiting");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "notify"), "data.text.en")), "Mind it");
    OK("effect_done", "adhoc/a2", "effect", NULL, "{\"key\":\"R1/adhoc/a2/1/notify\"}");
    IS("adhoc/a2", "done");
    OK("task_done", "t", "a", NULL, NULL);
    RUN("running");                               /* the run waits for it */
    NO("error.run.role", "task_done", "adhoc/a1", "a", NULL, NULL);
    OK("task_done", "adhoc/a1", "c", NULL, "{\"note\":\"called\"}");
    RUN("succeeded");
    replays(&r);
}

static void test_hand_over(void **state)
{
    BEGIN("steps:\n  - {task: t, role: a}\n");
    NO("error.run.commander", "hand_over", NULL, "a", WHY, "{\"person\":{\"id\":\"w\"}}");
    NO("error.run.second_person", "hand_over", NULL, "k", WHY, "{\"person\":{\"id\":\"k\"}}");
    OK("hand_over", NULL, "k", WHY, "{\"person\":{\"id\":\"w\",\"name\":\"Wu\"}}");
    NO("error.run.commander", "pause", NULL, "w", WHY, NULL);      /* not yet */
    NO("error.run.commander", "hand_over", NULL, "b", WHY, NULL);
    OK("hand_over", NULL, "w", WHY, NULL);
    OK("pause", NULL, "w", WHY, NULL);
    NO("error.run.commander", "resume", NULL, "k", WHY, NULL);
    assert_true(logged(&r, "role_changed"));
    replays(&r);
}

static void test_stop_drill(void **state)
{
    BEGIN("steps:\n  - {task: t, role: a}\n");
    NO("error.run.not_drill", "stop_drill", NULL, "a", WHY, NULL);
    r = begin_in(state, "drill", "steps:\n  - {task: t, role: a}\n  - {task: u, role: a}\n");
    NO("error.run.reason", "stop_drill", NULL, "a", NULL, NULL);
    OK("stop_drill", NULL, "nobody-in-particular", WHY, NULL);
    RUN("paused");
    OK("task_done", "t", "a", NULL, NULL);
    IS("u", "ready");
    OK("resume", NULL, "k", WHY, NULL);
    IS("u", "active");
    assert_null(json_object_get(r.state, "stopped"));
    replays(&r);
}

/* A block with something critical in it that is still to come needs two people; what lies on another way does not count. */
static void test_skip_block(void **state)
{
    static const char steps[] = "steps:\n  - {parallel: p, branches: {x: [{task: t1, role: a, critical: true, deadline: {after: 1h}}, {task: t2, role: a}], y: [{if: i, cond: ok, then: [{task: c, role: a, critical: true, deadline: {after: 1h}}]}, {task: t3, role: a}]}}\n";

    BEGIN(steps);
    OK("skip", "p", "k", WHY, NULL);
    IS("p", "active");
    assert_true(logged(&r, "second_needed"));
    OK("task_done", "p/x/t1", "a", NULL, NULL);
    OK("skip", "p", "k", WHY, NULL);              /* nothing grave is left in it */
    IS("p", "skipped");
    IS("p/x/t2", "cancelled");
    IS("p/y/t3", "cancelled");
    RUN("succeeded");
    replays(&r);
}

/* A run that an older engine started keeps its rules. */
static void test_old_rules(void **state)
{
    mu_findings findings;
    run r = run_new(*state, playbook_of(*state, around(*state, "steps:\n  - {parallel: p, branches: {x: [{task: t1, role: a, critical: true, evidence: {min: 1, types: [file]}, deadline: {after: 1h}}], y: [{task: t2, role: a}]}}\n"), &findings), "real");

    assert_true(tell(&r, "run_created", NULL, "z", NULL, "{\"run\":{\"id\":\"R1\",\"mode\":\"real\"},\"roles\":{\"a\":[{\"id\":\"a\"}],\"commander\":[{\"id\":\"k\"}]}}"));
    assert_int_equal(json_integer_value(json_object_get(r.state, "v")), 1);
    OK("timer_fired", "p/x/t1", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    assert_false(logged(&r, "escalated"));
    OK("task_done", "p/x/t1", "a", NULL, "{\"evidence\":[{\"kind\":\"link\",\"ref\":\"x\"}]}");
    OK("skip", "p", "k", WHY, NULL);
    IS("p", "skipped");
    replays(&r);
    r = begin_in(state, "real", "steps:\n  - {task: t1, role: a, critical: true, evidence: {min: 1, types: [file]}, deadline: {after: 1h}}\n");
    OK("timer_fired", "t1", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    assert_string_equal(json_string_value(mu_json_at(ROW("t1#1"), "escalation.role")), "b");      /* the deputy */
    NO("error.run.evidence", "task_done", "t1", "a", NULL, "{\"evidence\":[{\"kind\":\"link\",\"ref\":\"x\"}]}");
    OK("task_done", "t1", "a", NULL, "{\"evidence\":[{\"kind\":\"file\",\"ref\":\"x\"}]}");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(test_powers), ARENA_TEST(test_break_glass_and_abort), ARENA_TEST(test_severity_guards), ARENA_TEST(test_choose_branch),
        ARENA_TEST(test_choose_after_failure), ARENA_TEST(test_reassign), ARENA_TEST(test_adhoc), ARENA_TEST(test_hand_over), ARENA_TEST(test_stop_drill),
        ARENA_TEST(test_skip_block), ARENA_TEST(test_old_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
