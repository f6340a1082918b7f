/* Decision tables and report clocks, on the profiles the project ships and on small tables. */
#include <stdio.h>

#include "test_help.h"

#include "clock.h"
#include "deadline.h"
#include "decision.h"
#include "json.h"
#include "profile.h"
#include "str.h"

static json_t *
parse(void **state, const char *text)
{
    mu_problem problem = { .arena = *state };
    json_t *json;

    if (mu_json_parse(*state, text, strlen(text), &problem, &json) != MU_OK)
        fail_msg("%s", text);
    return json;
}

static json_t *
load(void **state, const char *name)
{
    FILE *file = fopen(mu_printf(*state, "%s/playbooks/regulators/%s.json", SOURCE_DIR, name), "rb");
    char *text = mu_alloc(*state, 1 << 20);

    assert_non_null(file);
    text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
    fclose(file);
    return parse(state, text);
}

static json_t *
classify(void **state, const json_t *profile, const char *facts)
{
    mu_problem problem = { .arena = *state };
    json_t *result;

    assert_int_equal(mu_decision_classify(*state, json_object_get(profile, "classification"), parse(state, facts), &problem, &result), MU_OK);
    return result;
}

static bool
listed(const json_t *list, const char *text)
{
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one)
        if (strcmp(json_string_value(one), text) == 0)
            return true;
    return false;
}

static void
level(void **state, const json_t *profile, const char *facts, const char *code, bool sure)
{
    json_t *got = classify(state, profile, facts);

    if (!mu_same(mu_json_str(got, "level"), code) || mu_json_bool(got, "certain", false) != sure)
        fail_msg("%s: %s", facts, mu_json_text(*state, got));
}

#define LEVEL(facts, code, sure) level(state, profile, facts, code, sure)

static void
test_nfra_levels(void **state)
{
    json_t *profile = load(state, "nfra-it-incident"), *result;
    const char *no_judgement = "\"judgement.public_interest_especially_serious\":false,\"judgement.customer_interest_serious\":false";

    LEVEL(mu_printf(*state, "{\"impact.in_service_hours\":true,\"impact.provinces_count\":2,\"impact.downtime_minutes\":180,%s}", no_judgement), "I", true);
    LEVEL(mu_printf(*state, "{\"impact.in_service_hours\":true,\"impact.provinces_count\":2,\"impact.downtime_minutes\":179,%s}", no_judgement), "II", true);
    LEVEL(mu_printf(*state, "{\"impact.in_service_hours\":true,\"impact.provinces_count\":1,\"impact.downtime_minutes\":30,%s}", no_judgement), "III", true);
    LEVEL(mu_printf(*state, "{\"impact.in_service_hours\":true,\"impact.provinces_count\":1,\"impact.downtime_minutes\":29,%s}", no_judgement), NULL, true);
    LEVEL("{\"impact.in_service_hours\":true,\"impact.provinces_count\":2,\"impact.downtime_minutes\":40}", "II", false);
    LEVEL("{}", NULL, false);
    result = classify(state, profile, "{\"impact.in_service_hours\":true,\"impact.provinces_count\":2,\"impact.downtime_minutes\":40}");
    assert_true(listed(json_object_get(result, "possible"), "I"));
    assert_true(listed(json_object_get(result, "missing"), "judgement.public_interest_especially_serious"));
    assert_false(listed(json_object_get(result, "missing"), "judgement.customer_interest_serious"));      /* cannot change the result */
    assert_non_null(mu_json_str(result, "confidence"));
    assert_string_equal(mu_json_str(json_array_get(json_object_get(result, "hits"), 0), "id"), "II-a");
}

static void
test_cac_any(void **state)
{
    json_t *profile = load(state, "cac-cyber"), *result;

    result = classify(state, profile, "{\"org.is_cii\":true,\"impact.full_outage_minutes\":130}");
    assert_string_equal(mu_json_str(result, "level"), "II");
    assert_false(mu_json_bool(result, "certain", true));
    result = classify(state, profile, "{\"org.is_cii\":false,\"impact.persons_pi_count\":100000000}");
    assert_string_equal(mu_json_str(result, "level"), "I");
    assert_true(mu_json_bool(result, "certain", false));
}

static void
test_gate(void **state)
{
    json_t *profile = parse(state, "{\"classification\":{\"method\":\"gate_then_any_of\",\"gate\":{\"any\":[{\"fact\":\"g\",\"op\":\"=\",\"value\":true}]},"
        "\"auto_major\":{\"all\":[{\"fact\":\"m\",\"op\":\"=\",\"value\":true}]},\"criteria_needed\":2,\"criteria\":[{\"id\":\"a\",\"any\":[{\"fact\":\"a\",\"op\":\">\",\"value\":10}]},"
        "{\"id\":\"b\",\"any\":[{\"fact\":\"b\",\"op\":\"in\",\"value\":[\"x\",\"y\"]}]},{\"id\":\"c\",\"any\":[{\"fact\":\"c\",\"op\":\"contains\",\"value\":\"z\"}]}],\"levels\":[{\"code\":\"major\"}]}}");

    LEVEL("{\"g\":true,\"m\":true}", "major", true);
    LEVEL("{\"g\":false,\"m\":true,\"a\":11,\"b\":\"x\"}", NULL, true);
    LEVEL("{\"g\":true,\"m\":false,\"a\":11,\"b\":\"x\"}", "major", true);
    LEVEL("{\"g\":true,\"m\":false,\"a\":10,\"b\":\"x\",\"c\":[]}", NULL, true);
    LEVEL("{\"g\":true,\"m\":false,\"a\":10,\"b\":\"x\",\"c\":[\"z\"]}", "major", true);
    LEVEL("{\"g\":true,\"m\":false,\"a\":11}", NULL, false);
    LEVEL("{\"m\":true}", NULL, false);
}

static void
test_bad_tables(void **state)
{
    static const char *const bad[] = { "{}", "{\"method\":\"oracle\"}", "{\"method\":\"any_rule\",\"levels\":[{\"code\":\"I\",\"rules\":[{}]}]}",
        "{\"method\":\"any_rule\",\"levels\":[{\"code\":\"I\",\"rules\":[{\"fact\":\"x\",\"op\":\"~\",\"value\":1}]}]}", "{\"method\":\"any_rule\",\"levels\":[{\"rules\":[]}]}",
        "{\"method\":\"any_rule\",\"levels\":[{\"code\":\"I\",\"rules\":[{\"all\":[]}]}]}" };

    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_problem problem = { .arena = *state };
        json_t *result;
        assert_int_equal(mu_decision_classify(*state, parse(state, bad[i]), NULL, &problem, &result), MU_INVALID);
        assert_non_null(problem.first);
    }
    assert_int_equal(mu_decision_holds(parse(state, "{\"fact\":\"x\",\"op\":\">\",\"value\":1}"), parse(state, "{\"x\":\"text\"}"), NULL), -1);
}

static void
test_clocks(void **state)
{
    json_t *profile = load(state, "nfra-it-incident"), *anchors = parse(state, "{\"incident.occurred_at\":\"2026-11-24T08:00:00Z\"}");
    json_t *stages = mu_deadline_stages(*state, profile, anchors, parse(state, "{\"incident.level\":\"II\"}"));

    assert_string_equal(mu_json_str(json_array_get(stages, 0), "due_at"), "2026-11-24T08:30:00.000Z");
    assert_string_equal(mu_json_str(json_array_get(stages, 1), "due_at"), "2026-11-24T20:00:00.000Z");
    assert_string_equal(mu_json_str(json_array_get(stages, 2), "state"), "not_applicable");
    assert_string_equal(mu_json_str(json_array_get(stages, 3), "state"), "none");
    assert_string_equal(mu_deadline_first_report(*state, profile, NULL), "30m");
    stages = mu_deadline_stages(*state, profile, anchors, NULL);
    assert_true(mu_json_bool(json_array_get(stages, 2), "uncertain", false));
    assert_true(mu_json_bool(json_array_get(stages, 2), "repeats", false));
    assert_string_equal(mu_json_str(json_array_get(stages, 2), "state"), "not_yet");

    profile = load(state, "cac-cyber");
    assert_string_equal(mu_deadline_first_report(*state, profile, NULL), "1h");                 /* unless it is known that it does not apply */
    assert_string_equal(mu_deadline_first_report(*state, profile, parse(state, "{\"org.is_cii\":false,\"org.is_central_organ\":false}")), "4h");
    anchors = parse(state, "{\"incident.resolved_at\":\"2026-11-24T08:00:00Z\"}");
    stages = mu_deadline_stages(*state, profile, anchors, NULL);
    assert_string_equal(mu_json_str(json_array_get(stages, 4), "due_at"), "2026-12-24T08:00:00.000Z");
}

static void
test_cap(void **state)
{
    json_t *stage = parse(state, "{\"deadline\":{\"anchor\":\"incident.classified_at\",\"offset\":\"PT4H\",\"cap\":{\"anchor\":\"incident.aware_at\",\"offset\":\"PT24H\"}}}");
    mu_due due = mu_deadline_due(stage, parse(state, "{\"incident.aware_at\":\"2026-11-24T00:00:00Z\"}"), NULL, NULL);

    assert_int_equal(due.state, MU_DUE_AT);
    assert_string_equal(mu_time_format(*state, due.at), "2026-11-25T00:00:00.000Z");
    due = mu_deadline_due(stage, parse(state, "{\"incident.aware_at\":\"2026-11-24T00:00:00Z\",\"incident.classified_at\":\"2026-11-24T01:00:00Z\"}"), NULL, NULL);
    assert_string_equal(mu_time_format(*state, due.at), "2026-11-24T05:00:00.000Z");
}

static void
test_profiles(void **state)
{
    static const char *const names[] = { "nfra-it-incident", "cac-cyber" };

    for (size_t i = 0; i < MU_COUNT(names); i++) {
        mu_problem problem = { .arena = *state };
        json_t *profile = load(state, names[i]);
        if (mu_profile_check(*state, profile, &problem) != MU_OK)
            fail_msg("%s: %s %s", names[i], problem.first->pointer, problem.first->key);
        assert_true(json_array_size(mu_profile_fields(*state, profile, "initial")) > 3);
        problem = (mu_problem){ .arena = *state };
        json_object_set_new(json_array_get(json_object_get(profile, "stages"), 0), "source", json_string("nowhere"));
        json_object_set_new(json_object_get(profile, "classification"), "method", json_string("oracle"));
        assert_int_equal(mu_profile_check(*state, profile, &problem), MU_INVALID);
        assert_non_null(find_fault(&problem, "/stages/0/source", "error.profile.source"));
        assert_non_null(find_fault(&problem, "/classification/method", "error.profile.method"));
    }
    assert_int_equal(mu_severity_rank("I"), 0);
    assert_int_equal(mu_severity_rank("none"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_nfra_levels), ARENA_TEST(test_cac_any), ARENA_TEST(test_gate), ARENA_TEST(test_bad_tables), ARENA_TEST(test_clocks), ARENA_TEST(test_cap),
        ARENA_TEST(test_profiles) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
