/* Random events, legal and illegal, on the library playbooks: whatever comes, the invariants of a run hold and replay is equal.
 * MU_SEED and MU_STEPS make a run longer or repeat one, MUSTER_LONG=1 takes half a million steps; the seed is printed when something breaks. */
#include "invariants.h"

static const char *const names[] = { "playbooks/incident/mobile-banking-outage.yaml", "playbooks/incident/payment-outage.yaml", "playbooks/drill/tabletop.yaml" };
static const char *const modes[] = { "real", "drill", "rehearsal" };
static const char *const people[] = { "cmd", "cmd2", "tech", "com", "ris", "cpl", "dut", "exe", "stranger" };

/* -- events ----------------------------------------------------------------------------------------------------------------- */

static const json_t *
open_row(const run *r)
{
    const char *key;
    json_t *row;
    const json_t *list[200];
    size_t n = 0;

    json_object_foreach(r->rows, key, row)
        if (is_open(row) && n < MU_COUNT(list))
            list[n++] = row;
    return n == 0 ? NULL : list[pick(n)];
}

static const char *
good_person(const json_t *row)
{
    static const struct { const char *role, *who; } roles[] = { { "commander", "cmd" }, { "tech_lead", "tech" }, { "comms", "com" }, { "risk", "ris" }, { "compliance", "cpl" },
        { "duty", "dut" }, { "executive", "exe" } };
    const char *role = mu_json_str(row, "role");

    if (json_string_value(mu_json_at(row, "approve.role")) != NULL && often(70))
        role = json_string_value(mu_json_at(row, "approve.role"));
    for (size_t i = 0; i < MU_COUNT(roles); i++)
        if (mu_same(roles[i].role, role) && often(85))
            return roles[i].who;
    return people[pick(MU_COUNT(people))];
}

/* Closes an open step in the way its kind is closed. */
static bool
work(run *r, const json_t *row)
{
    const char *kind = mu_json_str(row, "kind"), *who = good_person(row), *path = mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1));
    static const char *const levels[] = { "\"I\"", "\"II\"", "\"IV\"", "true", "false", "\"ours\"", "\"clearing\"", "\"switch\"", "\"repair\"", "12", "null", "\"\"" };

    if (mu_same(kind, "task"))
        return tell(r, "task_done", path, who, NULL, often(90) ? mu_printf(r->arena,
            "{\"values\":{%s},\"evidence\":[{\"ref\":\"https://x.example\"}]}", mu_same(mu_json_str(row, "step_id"), "mitigate")
            ? (often(50) ? "\"cause\":\"network\",\"healthy\":true" : "\"cause\":\"attack\",\"healthy\":\"false\"") : mu_same(mu_json_str(row, "step_id"), "review") ? "\"date\":\"soon\""
            : mu_same(mu_json_str(row, "step_id"), "hot_wash") ? "\"score\":70" : "") : "{}");
    if (mu_same(kind, "checklist")) {
        const json_t *items = json_object_get(row, "items"), *item = json_array_get(items, pick(json_array_size(items)));
        return tell(r, "item_check", path, who, "it does not apply here", mu_printf(r->arena, "{\"item\":\"%s\",\"state\":\"%s\"}", mu_json_str(item, "id"),
            often(80) ? "done" : often(50) ? "not_applicable" : "open"));
    }
    if (mu_same(kind, "decide"))
        return tell(r, "decide", path, who, NULL, mu_printf(r->arena, "{\"value\":%s}", levels[pick(MU_COUNT(levels))]));
    if (mu_same(kind, "approve"))
        return often(85) ? tell(r, "approve", path, who, NULL, NULL) : tell(r, "refuse", path, who, "this will not do at all", NULL);
    if (mu_same(kind, "report"))
        return often(50) ? tell(r, "approve", path, who, NULL, NULL) : tell(r, "report_filed", path, who, NULL, "{\"number\":\"1\"}");
    if (mu_same(kind, "notify") || mu_same(kind, "status"))
        return tell(r, often(85) ? "effect_done" : "effect_failed", path, "effect", NULL, mu_printf(r->arena, "{\"key\":\"R1/%s/%lld/%s\"}", mu_json_str(row, "path"),
            (long long)mu_json_int(row, "occ", 1), kind));
    return tell(r, "signal", NULL, who, NULL, "{\"name\":\"party_recovered\"}");
}

static bool
fire(run *r)
{
    size_t n = json_object_size(r->armed), at = n == 0 ? 0 : pick(n);
    const char *key;
    json_t *timer;

    json_object_foreach(r->armed, key, timer)
        if (at-- == 0) {
            mu_instant due;
            assert_true(mu_time_parse(mu_json_str(timer, "due"), &due));
            r->now = due > r->now ? due : r->now;
            return tell(r, "timer_fired", mu_printf(r->arena, "%s#%lld", mu_json_str(timer, "path"), (long long)mu_json_int(timer, "occ", 1)), "timer", NULL,
                mu_printf(r->arena, "{\"timer\":\"%s\",\"n\":%lld}", mu_json_str(timer, "kind"), (long long)mu_json_int(timer, "n", 0)));
        }
    return false;
}

/* Any event to any step: most are refused. */
static bool
anything(run *r)
{
    static const char *const kinds[] = { "item_check", "task_done", "decide", "approve", "refuse", "report_filed", "evidence_added", "acknowledge", "signal", "skip", "override",
        "retry", "reopen", "pause", "resume", "severity_changed", "role_filled", "note_added", "timer_fired", "effect_done", "effect_failed", "abort" };
    static const char *const data[] = { NULL, "{}", "{\"value\":\"I\"}", "{\"severity\":\"I\"}", "{\"role\":\"risk\",\"people\":[]}", "{\"role\":\"risk\",\"people\":[{\"id\":\"ris\"}]}",
        "{\"text\":\"note\"}", "{\"var\":\"healthy\",\"value\":true}", "{\"timer\":\"deadline\",\"n\":0}", "{\"anew\":true}", "{\"break_glass\":true}", "{\"evidence\":[{\"ref\":\"y\"}]}" };
    const char *kind = kinds[pick(MU_COUNT(kinds) - (often(97) ? 1 : 0))], *path = NULL, *key;
    size_t at = pick(json_object_size(r->rows) + 1);
    json_t *row;

    if (often(90))
        json_object_foreach(r->rows, key, row)
            if (at-- == 0)
                path = key;
    return tell(r, kind, path, people[pick(MU_COUNT(people))], often(80) ? "for a good enough reason" : "no", data[pick(MU_COUNT(data))]);
}

static bool
one_event(run *r)
{
    const json_t *row = open_row(r);

    r->now += (mu_instant)pick(300) * MU_SECOND;
    if (row != NULL && mu_json_bool(row, "asks", false) && often(50))
        return tell(r, often(60) ? "retry" : "skip", mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1)), often(50) ? "cmd" : "cmd2",
            "we have to go on now", NULL);
    if (mu_same(run_status(r), "paused") && often(50))
        return tell(r, "resume", NULL, "cmd", "we have to go on now", NULL);
    if (row != NULL && often(65))
        return work(r, row);
    return often(30) ? fire(r) : anything(r);
}

static unsigned
play(mu_arena *arena, mu_playbook *pb, const char *mode, unsigned most)
{
    run r = run_new(arena, pb, mode);
    unsigned applied = 0, after = 0;

    assert_true(start_with(&r, "{\"commander\":[{\"id\":\"cmd\"},{\"id\":\"cmd2\"}],\"tech_lead\":[{\"id\":\"tech\"}],\"comms\":[{\"id\":\"com\"}],\"risk\":[{\"id\":\"ris\"}],"
        "\"compliance\":[{\"id\":\"cpl\"}],\"duty\":[{\"id\":\"dut\"}],\"executive\":[{\"id\":\"exe\"}]}", "{}"));
    for (unsigned i = 0; i < most && after < 20; i++) {
        json_t *before = mu_json_own(arena, json_copy(r.rows)), *frozen = mu_json_own(arena, json_deep_copy(r.state)), *kept = r.state;
        bool good = one_event(&r);
        HOLDS(json_equal(kept, frozen), "apply changed the state it was given");
        if (!good)
            continue;
        applied++;
        after += over(&r);
        check_all(&r, before);
    }
    replays(&r);
    return applied;
}

static void
test_random(void **state)
{
    const char *wanted = getenv("MU_SEED"), *steps = getenv("MU_STEPS");
    unsigned most = steps != NULL ? (unsigned)strtoul(steps, NULL, 10) : getenv("MUSTER_LONG") != NULL ? 500000 : 2000, total = 0, ended = 0;

    (void)state;
    seed = wanted == NULL ? UINT64_C(20261124) : strtoull(wanted, NULL, 10);
    for (unsigned round = 0; total < most; round++) {
        mu_arena *arena = mu_arena_new(ARENA_BYTES);
        mu_findings findings;
        size_t n;
        char *text = read_file(arena, names[round % MU_COUNT(names)], &n);
        text[n] = '\0';
        total += play(arena, playbook_of(arena, text, &findings), modes[(round / MU_COUNT(names)) % MU_COUNT(modes)], 250);
        ended++;
        mu_arena_free(arena);
    }
    print_message("%u events applied in %u runs, last seed %llu\n", total, ended, (unsigned long long)seed);
}

/* Every library playbook is clean, and a rehearsal of it ends well when everybody does their part. */
static void
test_library(void **state)
{
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        mu_findings findings;
        size_t n;
        char *text = read_file(*state, names[i], &n);
        text[n] = '\0';
        assert_non_null(playbook_of(*state, text, &findings));
        if (findings.errors + findings.warnings > 0)
            fail_msg("%s: %s", names[i], mu_json_text(*state, mu_findings_json(&findings)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_random), ARENA_TEST(test_library) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
