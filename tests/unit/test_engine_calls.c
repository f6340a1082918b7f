/* apply(): calls of other playbooks, from both sides. Every test ends with a replay. */
#include "test_engine.h"

#define KEY "\"key\":\"R1/c/1/child\""

static void test_join(void **state)
{
    BEGIN("steps:\n  - {call: c, playbook: other@3, with: {system: word, count: n + 1}, save: {word: place, ok: done}}\n  - {task: t, role: a}\n");
    const json_t *effect = effect_of(&r, "child");
    assert_string_equal(json_string_value(mu_json_at(effect, "data.playbook")), "other");
    assert_int_equal(json_integer_value(mu_json_at(effect, "data.version")), 3);
    assert_string_equal(json_string_value(mu_json_at(effect, "data.params.system")), "x");
    assert_int_equal(json_integer_value(mu_json_at(effect, "data.params.count")), 2);
    assert_int_equal(json_array_size(mu_json_at(effect, "data.roles.commander")), 2);
    assert_true(json_is_true(mu_json_at(effect, "data.join")));
    IS("c", "waiting");
    OK("child_ended", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\",\"status\":\"succeeded\"}");     /* before it began: not awaited */
    assert_true(json_is_true(json_object_get(r.result, "late")));
    OK("child_started", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\",\"version\":3,\"hash\":\"ab\"}");
    IS("c", "waiting");
    assert_string_equal(json_string_value(mu_json_at(ROW("c#1"), "child.run")), "R2");
    OK("child_ended", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\",\"status\":\"succeeded\",\"outcome\":\"completed\",\"vars\":{\"place\":\"B\",\"done\":true,\"other\":1}}");
    IS("c", "done");
    assert_string_equal(json_string_value(VAR("word")), "B");
    assert_true(json_is_true(VAR("ok")));
    assert_string_equal(json_string_value(mu_json_at(ROW("c#1"), "result.outcome")), "completed");
    IS("t", "active");
    replays(&r);
}

static void test_failures(void **state)
{
    static const struct { const char *kind, *data, *error; } cases[] = {
        { "effect_failed", "{" KEY ",\"error\":\"no such playbook\"}", "error.run.child_start" },
        { "child_ended", "{" KEY ",\"run\":\"R2\",\"status\":\"failed\",\"outcome\":\"failed\"}", "error.run.child" },
        { "child_ended", "{" KEY ",\"run\":\"R2\",\"status\":\"aborted\"}", "error.run.child" },
        { "child_ended", "{" KEY ",\"run\":\"R2\",\"status\":\"succeeded\",\"vars\":{}}", "error.run.save" },
        { "child_ended", "{" KEY ",\"run\":\"R2\",\"status\":\"succeeded\",\"vars\":{\"k\":\"many\"}}", "error.run.save" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        BEGIN("steps:\n  - {call: c, playbook: other, save: {n: k}}\n");
        assert_true(json_is_null(mu_json_at(effect_of(&r, "child"), "data.version")));
        if (i > 0)
            OK("child_started", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\"}");
        OK(cases[i].kind, "c", "effect", NULL, cases[i].data);
        IS("c", "failed");
        assert_string_equal(mu_json_str(ROW("c#1"), "error"), cases[i].error);
        OK("retry", "c", "k", WHY, NULL);         /* another attempt is another run */
        assert_string_equal(mu_json_str(effect_of(&r, "child"), "key"), "R1/c/1/child/2");
        OK("child_started", "c", "effect", NULL, "{\"key\":\"R1/c/1/child/2\",\"run\":\"R3\"}");
        OK("child_ended", "c", "effect", NULL, "{\"key\":\"R1/c/1/child/2\",\"run\":\"R3\",\"status\":\"succeeded\",\"vars\":{\"k\":9}}");
        RUN("succeeded");
        replays(&r);
    }
}

static void test_watch(void **state)
{
    BEGIN("steps:\n  - {call: c, playbook: other, join: false}\n  - {task: t, role: a}\n");
    IS("t", "pending");
    OK("child_started", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\"}");
    IS("c", "done");
    IS("t", "active");
    assert_int_equal(json_array_size(json_object_get(r.result, "effects_cancelled")), 0);
    OK("child_ended", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\",\"status\":\"failed\",\"outcome\":\"failed\"}");
    IS("c", "done");
    assert_string_equal(json_string_value(mu_json_at(ROW("c#1"), "child.status")), "failed");
    replays(&r);
}

/* Whoever ends the step ends what it called. */
static void test_cancelled(void **state)
{
    BEGIN("steps:\n  - {parallel: p, branches: {x: [{call: c, playbook: other}], y: [{task: t, role: a}]}}\n");
    OK("child_started", "p/x/c", "effect", NULL, "{\"key\":\"R1/p/x/c/1/child\",\"run\":\"R2\"}");
    OK("skip", "p", "k", WHY, NULL);
    assert_string_equal(json_string_value(json_array_get(json_object_get(r.result, "effects_cancelled"), 0)), "R1/p/x/c/1/child");
    OK("child_ended", "p/x/c", "effect", NULL, "{\"key\":\"R1/p/x/c/1/child\",\"run\":\"R2\",\"status\":\"aborted\"}");
    assert_true(json_is_true(json_object_get(r.result, "late")));
    replays(&r);
}

static void test_deadline_aborts(void **state)
{
    BEGIN("steps:\n  - {call: c, playbook: other, deadline: {after: 5m, then: fail}}\n");
    OK("child_started", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\"}");
    r.now += 300 * MU_SECOND;
    OK("timer_fired", "c", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    IS("c", "failed");
    assert_int_equal(json_array_size(json_object_get(r.result, "effects_cancelled")), 1);
    OK("child_ended", "c", "effect", NULL, "{" KEY ",\"run\":\"R2\",\"status\":\"aborted\"}");
    IS("c", "failed");
    RUN("waiting");
    replays(&r);
}

static void test_drill(void **state)
{
    DRILL("steps:\n  - {call: c1, playbook: other, save: {n: k}, drill: {simulate: {vars: {k: 7}}}}\n  - {call: c2, playbook: other}\n");
    IS("c1", "done");
    assert_int_equal(json_integer_value(VAR("n")), 7);
    IS("c2", "waiting");                          /* the child is a drill too */
    assert_string_equal(mu_json_str(effect_of(&r, "child"), "delivery"), "mark");
    replays(&r);
}

/* The other side: a called playbook sees its params, and nothing it was not given. */
static void test_params(void **state)
{
    mu_findings findings;
    const char *text = "format: muster/1\nid: t\ntitle: {zh: 测, en: T}\nroles: {a: {zh: 甲, en: A}}\nparams:\n  system: {type: string}\n  count: {type: int, default: 2}\n"
        "steps:\n  - {task: t, role: a, when: count > 1, title: {zh: '{{system}}', en: '{{system}}'}}\n";
    run r = run_new(*state, playbook_of(*state, text, &findings), "real");
#define FIRST "{\"run\":{\"id\":\"R2\",\"mode\":\"real\"},\"engine\":2,\"vars\":{},\"params\":"

    assert_false(tell(&r, "run_created", NULL, "z", NULL, FIRST "{}" "}"));
    assert_string_equal(mu_json_str(r.result, "pointer"), "/params/system");
    assert_false(tell(&r, "run_created", NULL, "z", NULL, FIRST "{\"zzz\":1}" "}"));
    assert_string_equal(r.refused, "error.run.var");
    assert_true(tell(&r, "run_created", NULL, "z", NULL, FIRST "{\"system\":\"core\"}" "}"));
    assert_string_equal(json_string_value(mu_json_at(ROW("t#1"), "title.en")), "core");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_join), ARENA_TEST(test_failures), ARENA_TEST(test_watch), ARENA_TEST(test_cancelled), ARENA_TEST(test_deadline_aborts),
        ARENA_TEST(test_drill), ARENA_TEST(test_params) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
