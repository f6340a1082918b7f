/* apply(): what leaves the house: notices, reports, failures of both, and what a drill makes of them. Every test ends with a replay. */
#include "test_engine.h"

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

/* The state of the page may come from a variable, and the text with it. */
static void test_status_by_state(void **state)
{
    BEGIN("steps:\n  - {task: t, role: a, form: [{id: w, var: word}]}\n  - status: s\n    component: c1\n    state: '{{word}}'\n    text: {major_outage: {zh: 中断, en: Down}, operational: {zh: 正常, en: Up}}\n");
    OK("task_done", "t", "a", NULL, "{\"values\":{\"w\":\"operational\"}}");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "status"), "data.state")), "operational");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "status"), "data.text.en")), "Up");
    replays(&r);
    r = begin_in(state, "real", "steps:\n  - {status: s, component: c1, state: '{{word}}', text: {zh: 中断, en: Down}}\n");
    IS("s", "failed");
    assert_string_equal(mu_json_str(ROW("s#1"), "error"), "error.run.page_state");
    assert_null(effect_of(&r, "status"));
    replays(&r);
}

/* A drill may pretend what people would do, and does not wait where it says so. */
static void test_pretended(void **state)
{
    static const char steps[] = "steps:\n  - {task: t, role: a, drill: simulate}\n  - {decide: d, role: a, into: level, drill: {simulate: II}}\n  - {decide: e, role: a, into: level, drill: {simulate: XX}}\n"
        "  - {approve: p, by: {role: a}, drill: simulate}\n  - {wait: w, for: 2h, drill: simulate}\n  - {report: q, profile: nfra-it-incident, role: a, deadline: {after: wait_for}}\n";

    DRILL(steps);
    IS("t", "done");
    IS("d", "done");
    assert_string_equal(json_string_value(VAR("level")), "II");
    IS("e", "active");                            /* no such level: people decide */
    OK("decide", "e", "a", NULL, "{\"value\":\"I\"}");
    IS("p", "done");
    IS("w", "done");
    IS("q", "active");
    replays(&r);
    r = begin_in(state, "real", steps);
    IS("t", "active");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(test_notify), ARENA_TEST(test_effect_failure), ARENA_TEST(test_drill_effects), ARENA_TEST(test_report), ARENA_TEST(test_status_by_state), ARENA_TEST(test_pretended),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
