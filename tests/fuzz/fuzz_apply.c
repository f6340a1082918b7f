#include "fuzz.h"
#include "apply.h"
#include "clock.h"
#include "json.h"
#include "playbook.h"
#include "str.h"
#include "../unit/random_playbook.h"

/* The input is a string of choices: first they make a playbook, then they tell its run events, sensible and not. When they are used up
 * every choice is the first. Whatever they are, apply() takes or refuses each event, and what it gives can be used. */

#define EVENTS_MOST 60

typedef struct { const uint8_t *at, *end; } choices;

static size_t apply_pick(void *closure, size_t n)
{
    choices *c = closure;

    return c->at == c->end ? 0 : *c->at++ % n;
}

typedef struct { mu_arena *arena; const mu_playbook *playbook; json_t *state; choices *c; mu_instant now; } apply_run;

/* A step, open or not; NULL: none. */
static const json_t *apply_row(const apply_run *r)
{
    const json_t *rows = mu_apply_steps(r->arena, r->playbook, r->state), *row = NULL;

    for (size_t i = 0; i < 8; i++) {
        row = json_array_get(rows, apply_pick(r->c, json_array_size(rows) + 1));
        if (row != NULL && json_object_get(row, "started_seq") != NULL && json_object_get(row, "ended_at") == NULL)
            break;
    }
    return row;
}

/* The key that the step waits for. */
static const char *apply_key(const apply_run *r, const json_t *row)
{
    const json_t *rec = json_object_get(json_object_get(r->state, "steps"), mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path") == NULL ? "" : mu_json_str(row, "path"),
        (long long)mu_json_int(row, "occ", 1)));
    const char *key = mu_json_str(json_object_get(rec, "child"), "key"), *name;
    json_t *ignored;

    json_object_foreach(json_object_get(rec, "fx"), name, ignored)
        key = name;
    return key == NULL ? "" : key;
}

static json_t *apply_data(const apply_run *r, const json_t *row)
{
    static const char *const texts[] = { "{}", "{\"value\":\"I\"}", "{\"value\":true}", "{\"item\":\"i1\",\"state\":\"done\"}", "{\"item\":\"i2\",\"state\":\"done\"}", "{\"values\":{\"f1\":\"true\",\"f2\":\"{{token}}\"}}",
        "{\"evidence\":[{\"kind\":\"link\",\"ref\":\"y\"}]}", "{\"role\":\"b\",\"people\":[]}", "{\"var\":\"n\",\"value\":9007199254740993}", "{\"var\":\"word\",\"value\":\"\\u0000..\"}", "{\"branch\":\"then\"}",
        "{\"branch\":\"default\"}", "{\"person\":{\"id\":\"k2\"}}", "{\"kind\":\"task\",\"title\":\"More\",\"role\":\"c\"}", "{\"verdict\":\"met\",\"score\":1}", "{\"anew\":true,\"break_glass\":true}", "{\"name\":\"go\"}", "{\"severity\":\"I\"}" };
    static const char *const results[] = { "{\"status\":200,\"body\":{\"ok\":true}}", "{\"status\":1e9,\"body\":[[[]]]}", "[]", "{\"status\":503,\"headers\":{\"a\":1}}" };
    mu_problem problem = { .arena = r->arena };
    size_t which = apply_pick(r->c, MU_COUNT(texts) + 4);
    const char *text;
    json_t *data = NULL;

    if (which < MU_COUNT(texts))
        text = texts[which];
    else if (which == MU_COUNT(texts))
        text = mu_printf(r->arena, "{\"key\":\"%s\",\"run\":\"R2\",\"status\":\"%s\",\"vars\":{\"k\":%zu}}", apply_key(r, row), apply_pick(r->c, 2) == 0 ? "succeeded" : "failed", apply_pick(r->c, 9));
    else
        text = mu_printf(r->arena, "{\"key\":\"%s\",\"jitter\":%zu,\"unknown\":%s,\"result\":%s}", apply_key(r, row), apply_pick(r->c, 256), apply_pick(r->c, 2) == 0 ? "false" : "true", results[apply_pick(r->c, MU_COUNT(results))]);
    return mu_json_parse(r->arena, text, strlen(text), &problem, &data) == MU_OK ? data : mu_json_own(r->arena, json_object());
}

static void apply_tell(apply_run *r, const char *kind, const json_t *row, json_t *data)
{
    static const char *const who[] = { "k", "k2", "a", "b", "c" }, *const actors[] = { "user", "system", "timer", "effect" };
    json_t *event = mu_json_own(r->arena, json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:O}", "kind", kind, "at", mu_time_format(r->arena, r->now), "actor", "kind", actors[apply_pick(r->c, 8) % 4 * (apply_pick(r->c, 4) == 3)],
        "id", who[apply_pick(r->c, MU_COUNT(who))], "reason", apply_pick(r->c, 8) == 7 ? "no" : "for a good enough reason", "data", data)), *result, *before = mu_json_own(r->arena, json_deep_copy(r->state));

    if (row != NULL) {
        json_object_set(event, "path", json_object_get(row, "path"));
        json_object_set(event, "occ", json_object_get(row, "occ"));
    }
    HOLDS(mu_apply(r->arena, r->playbook, r->state, event, &result) == MU_OK);
    HOLDS(json_equal(before, r->state));
    if (json_object_get(result, "refused") != NULL)
        return;
    HOLDS(json_array_size(json_object_get(result, "events")) > 0);
    r->state = json_object_get(result, "state");
    HOLDS(json_dumpb(r->state, NULL, 0, JSON_COMPACT) <= MU_STATE_BYTES);
}

static void apply_one(apply_run *r)
{
    static const char *const kinds[] = { "task_done", "item_check", "decide", "approve", "effect_done", "effect_failed", "child_started", "child_ended", "signal", "skip", "retry", "override", "refuse", "report_filed",
        "evidence_added", "acknowledge", "reopen", "pause", "resume", "severity_changed", "role_filled", "choose_branch", "reassign", "adhoc_step", "hand_over", "stop_drill", "inject_deliver", "inject_judged",
        "note_added", "clock_changed", "timer_fired", "abort" };
    const json_t *timers, *timer, *row;

    r->now += (mu_instant)apply_pick(r->c, 200) * 10 * MU_SECOND;
    timers = mu_apply_timers(r->arena, r->state);
    if (json_array_size(timers) > 0 && apply_pick(r->c, 3) == 1) {
        timer = json_array_get(timers, apply_pick(r->c, json_array_size(timers)));
        apply_tell(r, "timer_fired", timer, mu_json_own(r->arena, json_pack("{s:O, s:O}", "timer", json_object_get(timer, "kind"), "n", json_object_get(timer, "n"))));
        return;
    }
    row = apply_pick(r->c, 10) == 9 ? NULL : apply_row(r);
    apply_tell(r, kinds[apply_pick(r->c, MU_COUNT(kinds))], row, apply_data(r, row));
}

FUZZ_TARGET(apply)
{
    static const char *const modes[] = { "real", "drill", "rehearsal" };
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    choices c = { data, data + n };
    maker m = { .pick = apply_pick, .closure = &c };
    mu_playbook *playbook = NULL;
    mu_findings findings;
    json_t *doc, *first, *result;

    if (n > 4096) {
        mu_arena_free(arena);
        return 0;
    }
    doc = mu_json_own(arena, maker_playbook(&m));
    mu_findings_start(&findings, arena);
    (void)mu_playbook_parse(arena, doc, NULL, &findings, &playbook);
    HOLDS(playbook != NULL);
    apply_run r = { .arena = arena, .playbook = playbook, .c = &c };
    HOLDS(mu_time_parse("2026-11-24T08:00:00Z", &r.now));
    first = mu_json_own(arena, json_pack("{s:s, s:s, s:{s:s}, s:{s:{s:s, s:s}, s:i, s:{s:[{s:s}], s:[{s:s}], s:[{s:s}], s:[{s:s}, {s:s}]}}}", "kind", "run_created", "at", "2026-11-24T08:00:00Z", "actor", "kind", "system", "data",
        "run", "id", "R1", "mode", modes[apply_pick(&c, 3)], "engine", 2, "roles", "a", "id", "a", "b", "id", "b", "c", "id", "c", "commander", "id", "k", "id", "k2"));
    HOLDS(mu_apply(arena, playbook, NULL, first, &result) == MU_OK);
    HOLDS(json_object_get(result, "refused") == NULL);
    r.state = json_object_get(result, "state");
    for (int i = 0; i < EVENTS_MOST && c.at < c.end; i++)
        apply_one(&r);
    HOLDS(json_is_array(mu_apply_steps(arena, playbook, r.state)));
    mu_arena_free(arena);
    return 0;
}
