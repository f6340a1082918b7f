/* apply(): what people do: tasks, checklists, decisions, approvals; who may, and what is refused. Every test ends with a replay. */
#include "test_engine.h"

static void test_task(void **state)
{
    BEGIN("steps:\n  - {task: one, role: a, evidence: {min: 1}, form: [{id: f, var: n, required: true}, {id: g}]}\n  - {task: two, role: b}\n");
    IS("one", "active");
    IS("two", "pending");
    NO("error.run.role", "task_done", "one", "c", NULL, "{}");
    NO("error.run.evidence", "task_done", "one", "a", NULL, "{\"values\":{\"f\":3}}");
    NO("error.required", "task_done", "one", "a", NULL, "{\"evidence\":[{\"ref\":\"x\"}]}");
    assert_string_equal(mu_json_str(r.result, "pointer"), "/values/f");
    NO("error.run.value", "task_done", "one", "a", NULL, "{\"evidence\":[{\"ref\":\"x\"}],\"values\":{\"f\":\"many\"}}");
    NO("error.unknown_field", "task_done", "one", "a", NULL, "{\"evidence\":[{\"ref\":\"x\"}],\"values\":{\"f\":3,\"h\":1}}");
    NO("error.run.evidence_list", "task_done", "one", "a", NULL, "{\"evidence\":[{\"kind\":\"x\"}],\"values\":{\"f\":3}}");
    OK("evidence_added", "one", "b", NULL, "{\"evidence\":[{\"kind\":\"link\",\"ref\":\"https://x\"}]}");   /* the deputy */
    OK("task_done", "one", "a", NULL, "{\"values\":{\"f\":\"7\",\"g\":\"text\"},\"note\":\"done\"}");
    IS("one", "done");
    IS("two", "active");
    assert_int_equal(json_integer_value(mu_json_at(r.state, "vars.n.value")), 7);
    NO("error.run.step_closed", "task_done", "one", "a", NULL, NULL);
    NO("error.run.not_begun", "task_done", "one#2", "a", NULL, NULL);
    NO("error.run.no_step", "task_done", "nothing", "a", NULL, NULL);
    NO("error.run.wrong_kind", "decide", "two", "b", NULL, "{\"value\":1}");
    OK("task_done", "two", "b", NULL, NULL);
    RUN("succeeded");
    NO("error.run.over", "task_done", "two", "b", NULL, NULL);
    OK("note_added", NULL, "a", NULL, "{\"text\":\"afterwards\"}");
    replays(&r);
}

static void test_checklist(void **state)
{
    BEGIN("steps:\n  - {checklist: c, role: a, items: [{id: i1, critical: true, zh: 一, en: One}, {id: i2, zh: 二, en: Two, form: [{id: v, var: n}]}]}\n");
    NO("error.run.item", "item_check", "c", "a", NULL, "{\"item\":\"zzz\",\"state\":\"done\"}");
    NO("error.run.item_state", "item_check", "c", "a", NULL, "{\"item\":\"i1\",\"state\":\"yes\"}");
    NO("error.run.reason", "item_check", "c", "a", "short", "{\"item\":\"i1\",\"state\":\"not_applicable\"}");
    OK("item_check", "c", "a", NULL, "{\"item\":\"i1\",\"state\":\"done\",\"value\":\"E42\"}");
    IS("c", "active");
    assert_string_equal(mu_json_str(json_array_get(json_object_get(json_object_get(r.rows, "c#1"), "items"), 0), "value"), "E42");
    OK("item_check", "c", "a", NULL, "{\"item\":\"i1\",\"state\":\"open\"}");
    OK("item_check", "c", "a", NULL, "{\"item\":\"i2\",\"state\":\"done\",\"values\":{\"v\":9}}");
    IS("c", "active");
    OK("item_check", "c", "a", WHY, "{\"item\":\"i1\",\"state\":\"not_applicable\"}");
    IS("c", "done");
    assert_int_equal(json_integer_value(mu_json_at(r.state, "vars.n.value")), 9);
    RUN("succeeded");
    replays(&r);
}

static void test_decide(void **state)
{
    BEGIN("steps:\n  - {decide: d1, role: a, into: level}\n  - {decide: d2, role: a, into: n, options: [1, 2], default_after: {after: 5m, value: 2}}\n"
          "  - {decide: d3, role: a, into: [ok, word]}\n");
    NO("error.run.choice", "decide", "d1", "a", NULL, "{\"value\":\"IX\"}");
    NO("error.required", "decide", "d1", "a", NULL, "{}");
    OK("decide", "d1", "a", NULL, "{\"value\":\"I\"}");
    assert_string_equal(json_string_value(mu_json_at(r.state, "vars.level.value")), "I");
    assert_true(armed(&r, "d2#1/default/0"));
    NO("error.run.choice", "decide", "d2", "a", NULL, "{\"value\":3}");
    r.now += 300 * MU_SECOND;
    OK("timer_fired", "d2", "timer", NULL, "{\"timer\":\"default\",\"n\":0}");
    assert_int_equal(json_integer_value(mu_json_at(r.state, "vars.n.value")), 2);
    assert_string_equal(mu_json_str(json_object_get(r.rows, "d2#1"), "cause"), "default");
    NO("error.required", "decide", "d3", "a", NULL, "{\"values\":{\"ok\":true}}");
    OK("decide", "d3", "a", NULL, "{\"values\":{\"ok\":\"true\",\"word\":\"w\"}}");
    RUN("succeeded");
    replays(&r);
}

/* What a grading step records is the incident's severity: the run has it at once, and one effect carries it out. */
static void test_grades(void **state)
{
    BEGIN("steps:\n  - {decide: d, role: a, into: level, grades: severity}\n  - {task: t, role: a, when: run.severity == 'I'}\n");
    OK("decide", "d", "a", NULL, "{\"value\":\"I\"}");
    assert_int_equal(json_array_size(json_object_get(r.result, "effects")), 1);
    assert_string_equal(mu_json_str(json_array_get(json_object_get(r.result, "effects"), 0), "kind"), "grade");
    assert_string_equal(mu_json_str(json_object_get(json_array_get(json_object_get(r.result, "effects"), 0), "data"), "severity"), "I");
    assert_string_equal(json_string_value(mu_json_at(r.state, "run.severity")), "I");
    IS("t", "active");
    replays(&r);
}

static void test_approve(void **state)
{
    BEGIN("steps:\n  - {approve: p, by: {role: a, count: 2, not: [c]}}\n  - {task: after, role: a}\n");
    NO("error.run.role", "approve", "p", "k", NULL, NULL);     /* a commander is not everybody */
    NO("error.run.excluded", "approve", "p", "c", NULL, NULL);
    OK("approve", "p", "a", NULL, NULL);
    IS("p", "active");
    NO("error.run.approved_already", "approve", "p", "a", NULL, NULL);
    OK("approve", "p", "b", NULL, "{\"note\":\"deputy\"}");
    IS("p", "done");
    IS("after", "active");
    replays(&r);
}

static void test_approve_requester(void **state)
{
    mu_findings findings;
    run r = run_new(*state, playbook_of(*state, around(*state, "steps:\n  - {approve: p, by: {role: a, not: [requester]}}\n"), &findings), "real");

    assert_true(start_with(&r, "{\"a\":[{\"id\":\"z\"},{\"id\":\"y\"}]}", "{}"));           /* z starts the run */
    NO("error.run.excluded", "approve", "p", "z", NULL, NULL);
    NO("error.run.person", "approve", "p", "system", NULL, NULL);
    OK("approve", "p", "y", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

static void test_reject(void **state)
{
    BEGIN("steps:\n  - {approve: p1, by: {role: a}, on_reject: [{task: fix, role: a}]}\n  - {approve: p2, by: {role: a}}\n  - {approve: p3, by: {role: a}, on_reject: {end: stood_down}}\n");
    NO("error.run.reason", "refuse", "p1", "a", "no", NULL);
    assert_null(status_of(&r, "p1/on_reject/fix"));            /* handlers are not shown as coming */
    OK("refuse", "p1", "a", WHY, NULL);
    IS("p1/on_reject/fix", "active");
    IS("p2", "pending");
    OK("task_done", "p1/on_reject/fix", "a", NULL, NULL);
    IS("p2", "active");
    OK("refuse", "p2", "a", WHY, NULL);                        /* without on_reject: the commander is asked */
    IS("p2", "failed");
    RUN("waiting");
    assert_non_null(effect_of(&r, "alarm"));
    NO("error.run.commander", "retry", "p2", "a", WHY, NULL);
    OK("retry", "p2", "k", WHY, NULL);
    IS("p2", "active");
    RUN("running");
    OK("approve", "p2", "a", NULL, NULL);
    OK("refuse", "p3", "a", WHY, NULL);
    RUN("succeeded");
    assert_string_equal(mu_json_str(r.state, "outcome"), "stood_down");
    replays(&r);
}

static void test_empty_role(void **state)
{
    mu_findings findings;
    run r = run_new(*state, playbook_of(*state, around(*state, "steps:\n  - {task: t, role: c}\n"), &findings), "real");

    assert_true(start_with(&r, "{}", "{\"word\":\"given\"}"));
    assert_non_null(effect_of(&r, "alarm"));                   /* every open task has someone or an alarm */
    assert_true(logged(&r, "role_empty"));
    OK("task_done", "t", "anyone", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

/* A role that is emptied leaves its open steps to nobody, and somebody hears of it. */
static void test_emptied_role(void **state)
{
    BEGIN("steps:\n  - {parallel: p, branches: {x: [{task: t, role: c}], y: [{task: u, role: a}]}}\n");
    OK("role_filled", NULL, "k", NULL, "{\"role\":\"a\",\"people\":[]}");
    assert_false(logged(&r, "role_empty"));       /* its deputy is there */
    OK("role_filled", NULL, "k", NULL, "{\"role\":\"c\",\"people\":[]}");
    assert_true(logged(&r, "role_empty"));
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "alarm"), "data.reason")), "role_empty");
    OK("role_filled", NULL, "k", NULL, "{\"role\":\"b\",\"people\":[]}");
    assert_int_equal(count_of(&r, "role_empty"), 2);
    replays(&r);
}

static void test_bad_start(void **state)
{
    mu_findings findings;
    run r = run_new(*state, playbook_of(*state, around(*state, "steps:\n  - {task: t, role: c}\n"), &findings), "real");

    assert_false(start_with(&r, "{}", "{\"zzz\":1}"));
    assert_string_equal(r.refused, "error.run.var");
    assert_false(start_with(&r, "{}", "{\"n\":\"three\"}"));
    assert_string_equal(mu_json_str(r.result, "pointer"), "/vars/n");
    r.mode = "pretend";
    assert_false(start_with(&r, "{}", "{}"));
    assert_string_equal(r.refused, "error.run.mode");
}

static void test_malformed_events(void **state)
{
    static const char *const bad[] = { "{}", "{\"kind\":\"skip\"}", "{\"kind\":\"dance\",\"at\":\"" T0 "\",\"actor\":{\"kind\":\"user\"}}",
        "{\"kind\":\"skip\",\"at\":\"now\",\"actor\":{\"kind\":\"user\"}}", "{\"kind\":\"skip\",\"at\":\"" T0 "\",\"actor\":{\"kind\":\"user\"},\"occ\":0}",
        "{\"kind\":\"skip\",\"at\":\"" T0 "\",\"actor\":{\"kind\":\"user\"},\"data\":[]}", "{\"kind\":\"run_created\",\"at\":\"" T0 "\",\"actor\":{\"kind\":\"user\"}}" };
    mu_problem problem = { .arena = *state };
    json_t *event, *result;

    BEGIN("steps:\n  - {task: t, role: a}\n");
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        assert_int_equal(mu_json_parse(*state, bad[i], strlen(bad[i]), &problem, &event), MU_OK);
        assert_int_equal(mu_apply(*state, r.pb, r.state, event, &result), MU_MALFORMED);
    }
}

static void test_texts(void **state)
{
    BEGIN("steps:\n  - {task: t1, role: a, form: [{id: w, var: word}]}\n  - {task: t2, role: a, title: {zh: '甲 {{word}}', en: 'A {{word}}'}, text: {zh: '**{{word}}**', en: '**{{word}}**'}}\n"
          "  - {task: t3, role: a, title: {zh: '自 {{run.started_at}}', en: 'since {{run.started_at}}'}}\n");
    assert_string_equal(json_string_value(mu_json_at(json_object_get(r.rows, "t2#1"), "title.en")), "A …");
    OK("task_done", "t1", "a", NULL, "{\"values\":{\"w\":\"[x](javascript:1)\\n<b>\"}}");
    assert_string_equal(json_string_value(mu_json_at(json_object_get(r.rows, "t2#1"), "title.en")), "A [x](javascript:1) <b>");
    assert_string_equal(json_string_value(mu_json_at(json_object_get(r.rows, "t2#1"), "text.en")), "**\\[x\\]\\(javascript:1\\) \\<b\\>**");
    OK("task_done", "t2", "a", NULL, NULL);
    assert_string_equal(json_string_value(mu_json_at(json_object_get(r.rows, "t3#1"), "title.en")), "since 2026-11-24 16:00");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(test_task), ARENA_TEST(test_checklist), ARENA_TEST(test_decide), ARENA_TEST(test_grades), ARENA_TEST(test_approve),
        ARENA_TEST(test_approve_requester), ARENA_TEST(test_reject), ARENA_TEST(test_empty_role), ARENA_TEST(test_emptied_role), ARENA_TEST(test_bad_start),
        ARENA_TEST(test_malformed_events), ARENA_TEST(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
