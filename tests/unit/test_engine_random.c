/* Random playbooks and random events, legal and illegal: whatever comes, the invariants of a run hold and replay is equal. One seed makes
 * one series: MU_SEED and MU_STEPS repeat one or make it longer; MUSTER_LONG=1 takes a million steps. */
#include "invariants.h"
#include "random_playbook.h"

static const char *const modes[] = { "real", "drill", "rehearsal" };
static const char *const people[] = { "a", "a2", "b", "c", "k", "k2", "ctl", "stranger" };

static size_t seeded(void *closure, size_t n) { (void)closure; return pick(n); }

/* -- events ------------------------------------------------------------------------------------------------------------------- */

static const json_t *open_row(const run *r)
{
    const char *key;
    json_t *row;
    const json_t *list[300];
    size_t n = 0;

    json_object_foreach(r->rows, key, row)
        if (is_open(row) && n < MU_COUNT(list))
            list[n++] = row;
    return n == 0 ? NULL : list[pick(n)];
}

static const char *place(const run *r, const json_t *row)
{
    return mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1));
}

static const char *good_person(const json_t *row)
{
    static const char *const roles[][2] = { { "a", "a" }, { "b", "b" }, { "c", "c" }, { "commander", "k" } };
    const char *role = mu_json_str(row, "role"), *signer = json_string_value(mu_json_at(row, "approve.role"));

    for (size_t i = 0; i < MU_COUNT(roles); i++)
        if (mu_same(roles[i][0], signer != NULL && often(70) ? signer : role) && often(85))
            return roles[i][1];
    return people[pick(MU_COUNT(people))];
}

/* The key an open step waits for, or one that nobody waits for. */
static const char *effect_key(const run *r, const json_t *row)
{
    const json_t *rec = json_object_get(json_object_get(r->state, "steps"), place(r, row));
    const char *key = mu_json_str(json_object_get(rec, "child"), "key"), *name;
    json_t *ignored;

    json_object_foreach(json_object_get(rec, "fx"), name, ignored)
        key = name;
    return key == NULL || often(3) ? "R1/nothing" : key;
}

static bool answer(run *r, const json_t *row)
{
    static const char *const results[] = { "{\"status\":200,\"body\":{\"ok\":true}}", "{\"status\":200,\"body\":{\"ok\":false}}", "{\"status\":201,\"headers\":{},\"body\":{\"ok\":\"true\"}}",
        "{\"status\":503}", "{}", "[1]", "{\"sent\":1}" };
    const char *key = effect_key(r, row), *path = place(r, row);

    if (mu_same(mu_json_str(row, "kind"), "call") && often(80))
        return json_object_get(json_object_get(row, "child"), "run") == NULL
            ? tell(r, "child_started", path, "effect", NULL, mu_printf(r->arena, "{\"key\":\"%s\",\"run\":\"R2\",\"version\":3,\"hash\":\"ab\"}", key))
            : tell(r, "child_ended", path, "effect", NULL, mu_printf(r->arena, "{\"key\":\"%s\",\"run\":\"R2\",\"status\":\"%s\",\"outcome\":\"x\",\"vars\":{\"k\":%s}}", key,
                often(80) ? "succeeded" : "failed", often(90) ? "7" : "\"seven\""));
    if (often(75))
        return tell(r, "effect_done", path, "effect", NULL, mu_printf(r->arena, "{\"key\":\"%s\",\"jitter\":%zu,\"result\":%s}", key, pick(400), results[pick(MU_COUNT(results))]));
    return tell(r, "effect_failed", path, "effect", NULL, mu_printf(r->arena, "{\"key\":\"%s\",\"jitter\":%zu,\"unknown\":%s}", key, pick(250), often(40) ? "true" : "false"));
}

/* Closes an open step in the way its kind is closed. */
static bool work(run *r, const json_t *row)
{
    static const char *const values[] = { "\"I\"", "\"II\"", "\"IV\"", "true", "false", "12", "null", "\"\"" };
    const char *kind = mu_json_str(row, "kind"), *who = good_person(row), *path = place(r, row);

    if (mu_same(kind, "task"))
        return tell(r, "task_done", path, who, NULL, often(50) ? "{\"evidence\":[{\"kind\":\"link\",\"ref\":\"https://x.example\"}]}"
            : often(70) ? "{\"values\":{\"f1\":\"true\",\"f2\":\"y {{token}}\"},\"evidence\":[{\"ref\":\"x\"}]}" : "{\"values\":{\"f1\":\"4\"}}");
    if (mu_same(kind, "checklist"))
        return tell(r, "item_check", path, who, "it does not apply here", mu_printf(r->arena, "{\"item\":\"%s\",\"state\":\"%s\"}", often(50) ? "i1" : "i2",
            often(80) ? "done" : often(50) ? "not_applicable" : "open"));
    if (mu_same(kind, "decide"))
        return tell(r, "decide", path, who, NULL, mu_printf(r->arena, "{\"value\":%s}", values[pick(MU_COUNT(values))]));
    if (mu_same(kind, "approve"))
        return often(85) ? tell(r, "approve", path, who, NULL, NULL) : tell(r, "refuse", path, who, "this will not do at all", NULL);
    if (mu_same(kind, "report"))
        return often(50) ? tell(r, "approve", path, who, NULL, NULL) : tell(r, "report_filed", path, who, NULL, "{\"number\":\"1\"}");
    if (mu_same(kind, "wait"))
        return tell(r, "signal", NULL, who, NULL, "{\"name\":\"go\"}");
    if (mu_same(kind, "if") || mu_same(kind, "switch"))
        return often(10) && tell(r, "choose_branch", path, "k", "we have to go this way", mu_printf(r->arena, "{\"branch\":\"%s\"}",
            mu_same(kind, "if") ? (often(50) ? "then" : "else") : (often(50) ? "I" : "default")));
    return answer(r, row);
}

static bool fire(run *r)
{
    size_t n = json_object_size(r->armed), at = n == 0 ? 0 : pick(n);
    const char *key;
    json_t *timer;

    json_object_foreach(r->armed, key, timer)
        if (at-- == 0) {
            mu_instant due;
            assert_true(mu_time_parse(mu_json_str(timer, "due"), &due));
            r->now = due > r->now ? due : r->now;
            return tell(r, "timer_fired", place(r, timer), "timer", NULL,
                mu_printf(r->arena, "{\"timer\":\"%s\",\"n\":%lld}", mu_json_str(timer, "kind"), (long long)mu_json_int(timer, "n", 0)));
        }
    return false;
}

/* Any event to any step: most are refused. */
static bool anything(run *r)
{
    static const char *const kinds[] = { "item_check", "task_done", "decide", "approve", "refuse", "report_filed", "evidence_added", "acknowledge", "signal", "skip", "override",
        "retry", "reopen", "pause", "resume", "severity_changed", "role_filled", "note_added", "timer_fired", "effect_done", "effect_failed", "choose_branch", "reassign",
        "adhoc_step", "hand_over", "stop_drill", "inject_deliver", "inject_judged", "child_started", "child_ended", "clock_changed", "abort" };
    static const char *const data[] = { NULL, "{}", "{\"value\":\"I\"}", "{\"severity\":\"I\"}", "{\"role\":\"b\",\"people\":[]}", "{\"role\":\"b\",\"people\":[{\"id\":\"b\"}]}", "{\"text\":\"note\"}",
        "{\"var\":\"ok\",\"value\":true}", "{\"var\":\"n\",\"value\":3}", "{\"timer\":\"deadline\",\"n\":0}", "{\"timer\":\"every\",\"n\":0}", "{\"anew\":true}", "{\"break_glass\":true}",
        "{\"evidence\":[{\"ref\":\"y\"}]}", "{\"branch\":\"then\"}", "{\"role\":\"c\"}", "{\"person\":{\"id\":\"c\",\"name\":\"C\"}}", "{\"person\":{\"id\":\"k2\"}}",
        "{\"kind\":\"task\",\"title\":\"More\",\"role\":\"c\"}", "{\"kind\":\"notify\",\"title\":\"Mind\",\"text\":\"it\",\"to\":[\"role.a\"]}", "{\"verdict\":\"partly\"}", "{\"speed\":3}" };
    const char *kind = kinds[pick(MU_COUNT(kinds) - (often(97) ? 1 : 0))], *path = NULL, *key;
    size_t at = pick(json_object_size(r->rows) + 1);
    json_t *row;

    if (mu_same(kind, "adhoc_step") && often(90))
        return false;                             /* now and then is enough */
    if (often(85))
        json_object_foreach(r->rows, key, row)
            if (at-- == 0)
                path = key;
    return tell(r, kind, path, people[pick(MU_COUNT(people))], often(80) ? "for a good enough reason" : "no", data[pick(MU_COUNT(data))]);
}

static bool one_event(run *r)
{
    const json_t *row = open_row(r);

    r->now += (mu_instant)pick(300) * MU_SECOND;
    if (row != NULL && mu_json_bool(row, "asks", false) && often(50))
        return tell(r, often(50) ? "retry" : often(50) ? "override" : "skip", place(r, row), often(50) ? "k" : "k2", "we have to go on now", often(20) ? "{\"anew\":true}" : NULL);
    if (mu_same(run_status(r), "paused") && often(50))
        return tell(r, "resume", NULL, "k", "we have to go on now", NULL);
    if (row != NULL && often(65))
        return work(r, row);
    return often(40) ? fire(r) : anything(r);
}

/* -- runs --------------------------------------------------------------------------------------------------------------------- */

static unsigned play(mu_arena *arena, mu_playbook *pb, const char *mode, unsigned most)
{
    run r = run_new(arena, pb, mode);
    unsigned applied = 0, after = 0;

    start(&r);
    check_all(&r, NULL);
    for (unsigned i = 0; i < most && after < 10; i++) {
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

static void test_random(void **state)
{
    const char *wanted = getenv("MU_SEED"), *steps = getenv("MU_STEPS");
    unsigned most = steps != NULL ? (unsigned)strtoul(steps, NULL, 10) : getenv("MUSTER_LONG") != NULL ? 1000000 : 3000, total = 0, runs = 0;

    (void)state;
    seed = wanted == NULL ? UINT64_C(20261125) : strtoull(wanted, NULL, 10);
    for (unsigned round = 0; total < most; round++) {
        mu_arena *arena = mu_arena_new(ARENA_BYTES);
        maker m = { .pick = seeded };
        mu_playbook *pb = NULL;
        mu_findings findings;
        uint64_t first = seed;
        json_t *doc = mu_json_own(arena, maker_playbook(&m));
        mu_findings_start(&findings, arena);
        (void)mu_playbook_parse(arena, doc, NULL, &findings, &pb);
        for (const mu_finding *f = findings.first; f != NULL && pb == NULL; f = f->next)
            if (f->level == MU_FINDING_ERROR)
                print_error("%s %s %s\n", f->message, f->pointer, mu_json_text(arena, f->args));
        if (pb == NULL)
            fail_msg("seed %llu makes no playbook", (unsigned long long)first);
        if (getenv("MU_SHOW") != NULL)
            print_message("run %u seed %llu\n%s\n", round, (unsigned long long)first, mu_json_text(arena, doc));
        total += play(arena, pb, modes[round % MU_COUNT(modes)], 120);
        runs++;
        mu_arena_free(arena);
    }
    print_message("%u events applied in %u runs, last seed %llu\n", total, runs, (unsigned long long)seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_random) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
