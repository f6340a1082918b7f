/* apply(): http steps. What is asked, how values are encoded, how answers are judged and kept, retries, once, drills. Every test ends with a replay. */
#include "test_engine.h"

#define GET "request: {method: GET, url: \"{{conn.synthetic}}/check?app={{word}}\", timeout: 10s}"
#define DRILL_OK "drill: {simulate: {status: 200, body: {ok: true}}}"

static const char *data_text(const run *r, const char *member)
{
    return mu_json_str(json_object_get(effect_of(r, "http"), "data"), member);
}

static void test_saved(void **state)
{
    BEGIN("steps:\n  - http: h\n    " GET "\n    expect: {status: [200, 203], json: {data.state: up, n: 2}}\n    save: {ok: response.body.ok, n: response.status, word: response.headers.X-Name, d: response.body.list.1, level: response.body.level}\n"
          "    " DRILL_OK "\n  - {task: t, role: a}\n");
    const json_t *effect = effect_of(&r, "http");
    assert_string_equal(mu_json_str(effect, "delivery"), "send");
    assert_false(mu_json_bool(effect, "again", true));
    assert_string_equal(data_text(&r, "connection"), "synthetic");
    assert_string_equal(data_text(&r, "url"), "/check?app=x");
    assert_string_equal(data_text(&r, "method"), "GET");
    assert_string_equal(data_text(&r, "effect"), "idempotent");
    assert_int_equal(json_integer_value(mu_json_at(effect, "data.timeout")), 10);
    IS("h", "waiting");
    OK("effect_done", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\",\"jitter\":10,\"result\":{\"status\":203,\"headers\":{\"x-name\":\"bank\"},\"body\":{\"ok\":\"true\",\"level\":\"II\",\"n\":2.0,\"data\":{\"state\":\"up\"},\"list\":[1,\"2.5\"]}}}");
    IS("h", "done");
    IS("t", "active");
    assert_true(json_is_true(VAR("ok")));
    assert_int_equal(json_integer_value(VAR("n")), 203);
    assert_string_equal(json_string_value(VAR("word")), "bank");
    assert_string_equal(json_string_value(VAR("d")), "2.5");
    assert_string_equal(json_string_value(VAR("level")), "II");
    OK("effect_done", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\",\"result\":{\"status\":500}}");
    assert_true(json_is_true(json_object_get(r.result, "late")));
    replays(&r);
}

static void test_retry(void **state)
{
    BEGIN("steps:\n  - http: h\n    " GET "\n    retry: {max: 2, backoff: 5s, factor: 3, cap: 10s}\n    on_error: continue\n    " DRILL_OK "\n  - {task: t, role: a}\n");
    OK("effect_failed", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\",\"error\":\"refused\",\"jitter\":200}");
    assert_string_equal(mu_json_str(json_object_get(r.armed, "h#1/retry/1"), "due"), "2026-11-24T08:00:06.000Z");      /* 5 s and a fifth */
    IS("h", "waiting");
    r.now += 6 * MU_SECOND;
    OK("override", NULL, "k", WHY, "{\"var\":\"word\",\"value\":\"other\"}");
    OK("timer_fired", "h", "timer", NULL, "{\"timer\":\"retry\",\"n\":1}");
    assert_true(mu_json_bool(effect_of(&r, "http"), "again", false));
    assert_string_equal(mu_json_str(effect_of(&r, "http"), "key"), "R1/h/1/http");
    assert_string_equal(data_text(&r, "url"), "/check?app=x");       /* every attempt asks the same */
    OK("effect_done", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\",\"result\":{\"status\":503},\"jitter\":99999}");
    assert_string_equal(mu_json_str(json_object_get(r.armed, "h#1/retry/2"), "due"), "2026-11-24T08:00:18.500Z");      /* 15 s, capped at 10, and the most jitter */
    assert_int_equal(json_integer_value(mu_json_at(ROW("h#1"), "http.tries")), 2);
    assert_int_equal(json_integer_value(mu_json_at(ROW("h#1"), "http.status")), 503);
    r.now += 13 * MU_SECOND;
    OK("timer_fired", "h", "timer", NULL, "{\"timer\":\"retry\",\"n\":2}");
    OK("effect_failed", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\",\"unknown\":true}");
    IS("h", "failed");
    assert_string_equal(mu_json_str(ROW("h#1"), "error"), "error.run.effect");
    IS("t", "active");
    replays(&r);
}

static void test_judged(void **state)
{
    static const struct { const char *answer, *error; } cases[] = {
        { "{\"status\":200,\"body\":{\"ok\":true}}", NULL }, { "{\"status\":404,\"body\":{\"ok\":true}}", "error.run.http_status" }, { "{\"body\":{\"ok\":true}}", "error.run.http_status" },
        { "{\"status\":200,\"body\":{\"ok\":false}}", "error.run.http_body" }, { "{\"status\":200,\"body\":\"text\"}", "error.run.http_body" },
        { "{\"status\":200}", "error.run.http_body" }, { "[]", "error.run.http_status" }, { "{\"status\":200,\"body\":{\"ok\":true,\"n\":\"many\"}}", "error.run.save" },
        { "{\"status\":200,\"body\":{\"ok\":true,\"n\":[1]}}", "error.run.save" }, { "{\"status\":200,\"body\":{\"ok\":true,\"n\":1.5}}", "error.run.save" },
        { "{\"status\":200,\"body\":{\"ok\":true,\"n\":\"12\"}}", NULL } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        bool number = strstr(cases[i].answer, "\"n\"") != NULL;
        BEGIN(mu_printf(*state, "steps:\n  - {http: h, " GET ", expect: {status: 200, json: {response.body.ok: true}}, %s " DRILL_OK "}\n", number ? "save: {n: response.body.n}," : ""));
        OK("effect_done", "h", "effect", NULL, mu_printf(*state, "{\"key\":\"R1/h/1/http\",\"result\":%s}", cases[i].answer));
        IS("h", cases[i].error == NULL ? "done" : "failed");
        if (cases[i].error != NULL)
            assert_string_equal(mu_json_str(ROW("h#1"), "error"), cases[i].error);
        assert_true(logged(&r, "effect_judged"));
        replays(&r);
    }
}

/* POST is `once` when nothing is said: it is never sent again by itself, and an unknown outcome is a question to a person. */
static void test_once(void **state)
{
    BEGIN("steps:\n  - {http: h, request: {method: POST, url: '{{conn.synthetic}}/x', timeout: 10s}, retry: {max: 3}, " DRILL_OK "}\n");
    assert_string_equal(data_text(&r, "effect"), "once");
    OK("effect_failed", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\",\"unknown\":true}");
    IS("h", "unknown");
    RUN("waiting");
    assert_int_equal(json_object_size(r.armed), 0);
    OK("retry", "h", "k", WHY, NULL);
    assert_true(mu_json_bool(effect_of(&r, "http"), "again", false));
    OK("effect_failed", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\"}");
    IS("h", "failed");
    OK("override", NULL, "k", WHY, "{\"var\":\"word\",\"value\":\"other\"}");
    OK("retry", "h", "k", WHY, "{\"anew\":true}");
    assert_string_equal(mu_json_str(effect_of(&r, "http"), "key"), "R1/h/1/http/3");
    assert_false(mu_json_bool(effect_of(&r, "http"), "again", true));
    OK("effect_done", "h", "effect", NULL, "{\"key\":\"R1/h/1/http/3\",\"result\":{\"status\":201}}");
    RUN("succeeded");
    replays(&r);
}

static void test_encoding(void **state)
{
    const char *nasty = "\"a/b?c=d&e\\\"f\\\\{{token}}\\n\\u00e9\"";

    BEGIN("steps:\n  - {task: t, role: a}\n  - http: h\n    request: {method: PUT, url: '{{conn.synthetic}}/p/{{word}}/q?x={{word}}', timeout: 5s, headers: {authorization: 'Bearer {{token}}', x-n: 'n{{n}}'},\n"
          "      body: {text: 'say {{word}}', 'secret': '{{token}}', list: ['{{n}}', 1, true, null]}}\n    effect: idempotent\n    " DRILL_OK "\n");
    OK("override", NULL, "k", WHY, mu_printf(*state, "{\"var\":\"word\",\"value\":%s}", nasty));
    OK("task_done", "t", "a", NULL, NULL);
    assert_string_equal(data_text(&r, "url"), "/p/a%2Fb%3Fc%3Dd%26e%22f%5C%7B%7Btoken%7D%7D%0A%C3%A9/q?x=a%2Fb%3Fc%3Dd%26e%22f%5C%7B%7Btoken%7D%7D%0A%C3%A9");
    assert_string_equal(data_text(&r, "body"), "{\"list\":[\"1\",1,true,null],\"secret\":\"{{token}}\",\"text\":\"say a/b?c=d&e\\u0022f\\u005c\\u007b\\u007btoken}}\\u000aé\"}");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "http"), "data.headers.authorization")), "Bearer {{token}}");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "http"), "data.headers.x-n")), "n1");
    assert_string_equal(json_string_value(mu_json_at(effect_of(&r, "http"), "data.headers.content-type")), "application/json");
    assert_int_equal(json_array_size(mu_json_at(effect_of(&r, "http"), "data.secrets")), 1);
    assert_string_equal(json_string_value(json_array_get(mu_json_at(effect_of(&r, "http"), "data.secrets"), 0)), "token");
    assert_null(VAR("token"));
    replays(&r);
}

/* Where a value cannot stand, nothing is sent: the step fails and somebody mends the variable. */
static void test_misplaced(void **state)
{
    static const struct { const char *request, *value; } cases[] = {
        { "{method: GET, url: '{{conn.c}}/{{word}}/x'}", "\"..\"" }, { "{method: GET, url: '{{conn.c}}/{{word}}'}", "\".\"" }, { "{method: GET, url: '{{conn.c}}/{{word}}/x'}", "\"\"" },
        { "{method: GET, url: '{{conn.c}}/.{{word}}/x'}", "\".\"" }, { "{method: GET, url: '{{conn.c}}/', headers: {x-a: '{{word}}'}}", "\"a\\r\\nb: c\"" },
        { "{method: GET, url: '{{conn.c}}/', headers: {x-a: '{{word}}'}}", "\"{{token}}\"" }, { "{method: POST, url: '{{conn.c}}/', body: 'plain {{word}}'}", "\"{{token}}\"" },
        { "{method: POST, url: '{{conn.c}}/', body: '{\"n\": {{word}}}'}", "\"1, 2\"" }, { "{method: GET, url: '{{conn.c}}/{{unset}}'}", "\"x\"" },
        { "{method: GET, url: '{{conn.c}}/?t={{token}}'}", "\"x\"" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        BEGIN(mu_printf(*state, "steps:\n  - {task: t, role: a}\n  - {http: h, request: %s, " DRILL_OK "}\n", cases[i].request));
        OK("override", NULL, "k", WHY, mu_printf(*state, "{\"var\":\"word\",\"value\":%s}", cases[i].value));
        OK("task_done", "t", "a", NULL, NULL);
        if (!mu_same(mu_json_str(ROW("h#1"), "error"), "error.run.template"))
            fail_msg("case %zu: %s", i, mu_json_text(*state, effect_of(&r, "http")));
        assert_null(effect_of(&r, "http"));
        replays(&r);
    }
}

static void test_text_bodies(void **state)
{
    static const struct { const char *type, *body, *sent; } cases[] = {
        { "application/x-www-form-urlencoded", "a={{word}}&b=2", "a=x%26%3D%20y&b=2" }, { "text/plain", "it is {{word}}", "it is x&= y" },
        { "application/vnd.api+json", "{\"w\": \"{{word}}\", \"n\": {{n}}}", "{\"w\": \"x&= y\", \"n\": 1}" } };

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        BEGIN(mu_printf(*state, "steps:\n  - {task: t, role: a}\n  - {http: h, request: {method: POST, url: '{{conn.c}}/', headers: {Content-Type: '%s'}, body: '%s'}, " DRILL_OK "}\n", cases[i].type, cases[i].body));
        OK("override", NULL, "k", WHY, "{\"var\":\"word\",\"value\":\"x&= y\"}");
        OK("task_done", "t", "a", NULL, NULL);
        assert_string_equal(data_text(&r, "body"), cases[i].sent);
        replays(&r);
    }
}

/* In a drill nothing leaves and nothing is awaited; the pretended answer is judged as a true one. */
static void test_drill(void **state)
{
    DRILL("steps:\n  - {http: h1, " GET ", save: {ok: response.body.ok}, " DRILL_OK "}\n  - {http: h2, " GET ", on_error: continue, drill: {simulate: {status: 500}}}\n"
          "  - {http: h3, " GET ", drill: skip}\n  - {http: h4, " GET ", drill: mark}\n");
    IS("h1", "done");
    assert_true(json_is_true(VAR("ok")));
    assert_true(mu_json_bool(json_object_get(ROW("h1#1"), "result"), "simulated", false));
    IS("h2", "failed");
    IS("h3", "skipped");
    IS("h4", "waiting");
    assert_string_equal(mu_json_str(effect_of(&r, "http"), "delivery"), "mark");
    assert_int_equal(json_object_size(r.armed), 0);
    replays(&r);
}

static void test_cancelled(void **state)
{
    BEGIN("steps:\n  - {parallel: p, join: any, branches: {x: [{http: h, " GET ", retry: {max: 3}, " DRILL_OK "}], y: [{task: t, role: a}]}}\n");
    OK("effect_failed", "p/x/h", "effect", NULL, "{\"key\":\"R1/p/x/h/1/http\"}");
    assert_true(armed(&r, "p/x/h#1/retry/1"));
    OK("task_done", "p/y/t", "a", NULL, NULL);
    IS("p/x/h", "cancelled");
    assert_int_equal(json_object_size(r.armed), 0);
    RUN("succeeded");
    replays(&r);
}

/* An answer after the deadline: a bad one changes nothing, a good one saves the commander the question. */
static void test_after_deadline(void **state)
{
    BEGIN("steps:\n  - {http: h, " GET ", retry: {max: 3}, deadline: {after: 5m, then: fail}, " DRILL_OK "}\n");
    OK("timer_fired", "h", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    IS("h", "failed");
    OK("effect_failed", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\"}");
    IS("h", "failed");
    assert_int_equal(json_object_size(r.armed), 0);
    OK("retry", "h", "k", WHY, NULL);
    OK("timer_fired", "h", "timer", NULL, "{\"timer\":\"deadline\",\"n\":0}");
    OK("effect_done", "h", "effect", NULL, "{\"key\":\"R1/h/1/http\",\"result\":{\"status\":200}}");
    RUN("succeeded");
    replays(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_saved), ARENA_TEST(test_retry), ARENA_TEST(test_judged), ARENA_TEST(test_once), ARENA_TEST(test_encoding),
        ARENA_TEST(test_misplaced), ARENA_TEST(test_text_bodies), ARENA_TEST(test_drill), ARENA_TEST(test_cancelled), ARENA_TEST(test_after_deadline) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
