/* apply(): each kind of step, each event, deadlines, approvals, joins, powers, failures; every test ends with a replay. */
#include "test_engine.h"

#define WHY "because it must be so"

static run begin(void **state, const char *steps)
{
    mu_findings findings;
    mu_playbook *pb = playbook_of(*state, around(*state, steps), &findings);

    if (pb == NULL)
        print_error("%s\n", mu_json_text(*state, mu_findings_json(&findings)));
    run r = run_new(*state, pb, "real");
    start(&r);
    return r;
}

#define BEGIN(steps) run r = begin(state, steps)
#define OK(...)      do { if (!tell(&r, __VA_ARGS__)) fail_msg("refused: %s", r.refused); } while (0)
#define NO(key, ...) do { assert_false(tell(&r, __VA_ARGS__)); assert_string_equal(r.refused, key); } while (0)
#define IS(path, s)  do { const char *is_ = status_of(&r, path); if (!mu_same(is_, s)) fail_msg("%s is %s, not %s", path, is_ == NULL ? "nothing" : is_, s); } while (0)
#define RUN(s)       assert_string_equal(run_status(&r), s)

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

static void test_notify(void **state)
{
    const json_t *effect;

    BEGIN("steps:\n  - {notify: n1, to: [role.a, group.all, contact.press], via: [email, webhook.duty], title: {zh: '{{word}}', en: \"{{word}}\"}, text: {zh: '级 {{level}} 于 {{run.title}}', en: 'level {{level}} of {{run.title}}'}}\n"
          "  - {notify: n2, to: [role.b], via: [email], ack: {required: 1, within: 5m}}\n");
    effect = effect_of(&r, "notify");
    assert_non_null(effect);
    assert_string_equal(mu_json_str(effect, "key"), "R1/n1/1/notify");
    assert_string_equal(mu_json_str(effect, "delivery"), "send");
    assert_string_equal(mu_json_str(effect, "mode"), "real");
    assert_string_equal(json_string_value(mu_json_at(effect, "data.text.en")), "level III of Run");
    assert_string_equal(json_string_value(mu_json_at(effect, "data.text.zh")), "级 III 于 演");
    assert_int_equal(json_array_size(mu_json_at(effect, "data.people")), 2);
    IS("n1", "waiting");
    OK("effect_done", "n1", "effect", NULL, "{\"key\":\"something else\"}");
    assert_true(mu_json_bool(r.result, "late", false));
    OK("effect_done", "n1", "effect", NULL, "{\"key\":\"R1/n1/1/notify\",\"result\":{\"sent\":3}}");
    IS("n1", "done");
    OK("effect_done", "n2", "effect", NULL, "{\"key\":\"R1/n2/1/notify\"}");
    IS("n2", "waiting");                                       /* told, but nobody has said so */
    assert_true(armed(&r, "n2#1/ack/0"));
    OK("timer_fired", "n2", "timer", NULL, "{\"timer\":\"ack\",\"n\":0}");
    assert_non_null(effect_of(&r, "alarm"));
    OK("acknowledge", "n2", "b", NULL, NULL);
    IS("n2", "done");
    RUN("succeeded");
    replays(&r);
}

static void test_effect_failure(void **state)
{
    BEGIN("steps:\n  - {notify: n1, to: [role.a], via: [email], on_error: continue}\n  - {notify: n2, to: [role.a], via: [email]}\n"
          "  - {status: s1, component: app, state: major_outage, text: {zh: 停, en: down}, on_error: [{task: by_hand, role: a}]}\n");
    OK("effect_failed", "n1", "effect", NULL, "{\"key\":\"R1/n1/1/notify\",\"error\":\"550\"}");
    IS("n1", "failed");
    IS("n2", "waiting");
    OK("effect_failed", "n2", "effect", NULL, "{\"key\":\"R1/n2/1/notify\",\"unknown\":true}");
    IS("n2", "unknown");
    RUN("waiting");
    OK("retry", "n2", "k", WHY, NULL);
    assert_string_equal(mu_json_str(effect_of(&r, "notify"), "key"), "R1/n2/1/notify");
    assert_true(mu_json_bool(effect_of(&r, "notify"), "again", false));
    OK("effect_failed", "n2", "effect", NULL, "{\"key\":\"R1/n2/1/notify\"}");
    OK("retry", "n2", "k", WHY, "{\"anew\":true}");
    assert_string_equal(mu_json_str(effect_of(&r, "notify"), "key"), "R1/n2/1/notify/3");
    OK("effect_done", "n2", "effect", NULL, "{\"key\":\"R1/n2/1/notify/3\"}");
    IS("s1", "waiting");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "status"), "data.component")), "app");
    OK("effect_failed", "s1", "effect", NULL, "{\"key\":\"R1/s1/1/status\"}");
    IS("s1/on_error/by_hand", "active");
    OK("task_done", "s1/on_error/by_hand", "a", NULL, NULL);
    RUN("succeeded");
    replays(&r);
}

static void test_drill_effects(void **state)
{
    mu_findings findings;
    const char *steps = "steps:\n  - {notify: n1, to: [role.a], via: [email]}\n  - {notify: n2, to: [contact.press], via: [email]}\n"
        "  - {status: s1, component: app, state: operational, drill: {simulate: {seen: 12}}}\n  - {task: t, role: a, drill: skip}\n"
        "  - {report: r1, profile: p, role: a, deadline: {after: 1h}, sign: {role: b}}\n";
    run r = run_new(*state, playbook_of(*state, around(*state, steps), &findings), "drill");

    start(&r);
    assert_string_equal(mu_json_str(effect_of(&r, "notify"), "delivery"), "mark");
    assert_string_equal(mu_json_str(effect_of(&r, "notify"), "mode"), "drill");
    OK("effect_done", "n1", "effect", NULL, "{\"key\":\"R1/n1/1/notify\"}");
    assert_string_equal(mu_json_str(effect_of(&r, "notify"), "delivery"), "simulate");      /* outside people */
    assert_string_equal(mu_json_str(effect_of(&r, "status"), "delivery"), "simulate");
    assert_string_equal(mu_json_str(effect_of(&r, "report"), "delivery"), "simulate");
    IS("n2", "done");
    IS("s1", "done");
    IS("t", "skipped");
    IS("r1", "active");
    OK("approve", "r1", "b", NULL, NULL);                      /* signed is as far as a drill's report goes */
    RUN("succeeded");
    replays(&r);

    r = run_new(*state, r.pb, "rehearsal");
    start(&r);
    assert_null(status_of(&r, "n1#2"));
    IS("n1", "done");                                          /* a rehearsal reaches nobody and waits for nobody */
    IS("r1", "active");
    replays(&r);
}

static void test_report(void **state)
{
    BEGIN("steps:\n  - {milestone: seen}\n  - {report: r1, profile: p, stage: initial, role: a, deadline: {after: wait_for, from: seen, warn: 2m, escalate: [c, commander]}, sign: {role: b, count: 2}}\n");
    assert_non_null(effect_of(&r, "report"));
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "report"), "data.due_at")), "2026-11-24T08:10:00.000Z");
    NO("error.run.not_signed", "report_filed", "r1", "a", NULL, "{\"number\":\"8\"}");
    OK("approve", "r1", "b", NULL, NULL);
    OK("refuse", "r1", "b", WHY, NULL);
    OK("approve", "r1", "b", NULL, NULL);
    NO("error.run.not_signed", "report_filed", "r1", "a", NULL, "{\"number\":\"8\"}");
    NO("error.run.reason", "skip", "r1", "k", "short", NULL);
    OK("skip", "r1", "k", WHY, NULL);                          /* a report: two people */
    IS("r1", "active");
    assert_non_null(json_object_get(json_object_get(r.rows, "r1#1"), "second"));
    NO("error.run.second_person", "skip", "r1", "k", WHY, NULL);
    NO("error.run.second_person", "skip", "r1", "k", WHY, "{\"break_glass\":true}");
    OK("role_filled", NULL, "k", NULL, "{\"role\":\"b\",\"people\":[{\"id\":\"b\"},{\"id\":\"q\"}]}");
    OK("approve", "r1", "q", NULL, NULL);
    NO("error.time", "report_filed", "r1", "a", NULL, "{\"at\":\"yesterday\"}");
    OK("report_filed", "r1", "a", NULL, "{\"number\":\"8\",\"at\":\"2026-11-24T08:05:00Z\",\"channel\":\"portal\"}");
    IS("r1", "done");
    assert_int_equal(json_object_size(r.armed), 0);
    replays(&r);
}

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

    r = begin(state, "steps:\n  - {set: bad, values: {d: n / 0}, on_error: fail}\n  - {task: t, role: a}\n");
    RUN("failed");
    replays(&r);

    r = begin(state, "steps:\n  - {task: t, role: a, when: 1 / (n - 1) == 1}\n");      /* a guard that cannot be read asks */
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
        ARENA_TEST(test_task), ARENA_TEST(test_checklist), ARENA_TEST(test_decide), ARENA_TEST(test_grades), ARENA_TEST(test_approve), ARENA_TEST(test_approve_requester),
        ARENA_TEST(test_reject), ARENA_TEST(test_notify), ARENA_TEST(test_effect_failure), ARENA_TEST(test_drill_effects), ARENA_TEST(test_report),
        ARENA_TEST(test_deadline), ARENA_TEST(test_deadline_then), ARENA_TEST(test_milestone_arms), ARENA_TEST(test_wait), ARENA_TEST(test_if_and_when),
        ARENA_TEST(test_parallel_all_any_n), ARENA_TEST(test_call_block), ARENA_TEST(test_end_inside), ARENA_TEST(test_failure_outward),
        ARENA_TEST(test_failure_of_run), ARENA_TEST(test_signal_ends_two), ARENA_TEST(test_retry_of_parallel), ARENA_TEST(test_powers), ARENA_TEST(test_break_glass_and_abort), ARENA_TEST(test_severity_guards),
        ARENA_TEST(test_empty_role), ARENA_TEST(test_bad_start), ARENA_TEST(test_malformed_events), ARENA_TEST(test_texts) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
