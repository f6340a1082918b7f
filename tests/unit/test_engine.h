/* What the engine's tests share: a playbook from a YAML text, a run that is told events, and the checks every event must pass. */
#ifndef TEST_ENGINE_H
#define TEST_ENGINE_H

#include <stdio.h>

#include "test_help.h"

#include "apply.h"
#include "clock.h"
#include "json.h"
#include "playbook.h"
#include "str.h"

#define ARENA_BYTES ((size_t)512 * 1024 * 1024)
#define T0 "2026-11-24T08:00:00.000Z"

typedef struct {
    mu_arena   *arena;
    mu_playbook *pb;
    json_t     *state, *result, *log;      /* log: every event so far */
    json_t     *rows;                      /* path#occ -> row, as the database would hold them */
    json_t     *armed;                     /* timers as the database would hold them */
    json_t     *alarmed;                   /* steps of which an alarm said that they have nobody */
    mu_instant  now;
    const char *mode, *refused;
} run;

__attribute__((unused)) static inline char *read_file(mu_arena *arena, const char *name, size_t *ret_n)
{
    char *path = mu_printf(arena, "%s/%s", SOURCE_DIR, name), *text;
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    text = mu_alloc(arena, MU_PLAYBOOK_BYTES);
    *ret_n = fread(text, 1, MU_PLAYBOOK_BYTES - 1, file);
    fclose(file);
    return text;
}

static inline mu_playbook *playbook_of(mu_arena *arena, const char *text, mu_findings *findings)
{
    mu_playbook *pb = NULL;

    mu_findings_start(findings, arena);
    (void)mu_playbook_read(arena, text, strlen(text), findings, NULL, &pb);
    return pb;
}

/* A playbook around the steps given; roles a (deputy b), b, c, commander; variables of each type. */
static inline char *around(mu_arena *arena, const char *steps)
{
    return mu_printf(arena, "format: muster/1\nid: t\ntitle: {zh: 测, en: T}\n"
        "roles:\n  a: {zh: 甲, en: A, deputy: b}\n  b: {zh: 乙, en: B}\n  c: {zh: 丙, en: C}\n  commander: {zh: 长, en: Commander}\n"
        "vars:\n  level: {type: enum, values: [I, II, III], default: III}\n  n: {type: int, default: 1}\n  ok: {type: bool, default: false}\n"
        "  list: {type: list, of: string, default: [a, b, c]}\n  token: {type: secret}\n  word: {type: string, default: x}\n  d: {type: decimal, default: '1.5'}\n  wait_for: {type: duration, default: 10m}\n  unset: {type: int}\n"
        "%s", steps);
}

static inline run run_new(mu_arena *arena, mu_playbook *pb, const char *mode)
{
    run r = { .arena = arena, .pb = pb, .mode = mode };

    assert_non_null(pb);
    mu_time_parse(T0, &r.now);
    r.log = mu_json_own(arena, json_array());
    r.rows = mu_json_own(arena, json_object());
    r.armed = mu_json_own(arena, json_object());
    r.alarmed = mu_json_own(arena, json_object());
    return r;
}

static inline void keep_rows(run *r)
{
    const json_t *list = json_object_get(r->result, "steps");
    size_t i;
    json_t *row;

    json_array_foreach(list, i, row)
        json_object_set(r->rows, mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 0)), row);
    json_array_foreach(mu_json_at(r->result, "timers.cancel"), i, row)
        json_object_del(r->armed, mu_printf(r->arena, "%s#%lld/%s/%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 0), mu_json_str(row, "kind"),
            (long long)mu_json_int(row, "n", 0)));
    json_array_foreach(mu_json_at(r->result, "timers.arm"), i, row)
        json_object_set(r->armed, mu_printf(r->arena, "%s#%lld/%s/%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 0), mu_json_str(row, "kind"),
            (long long)mu_json_int(row, "n", 0)), row);
}

/* True when it was applied; then state, log, rows and timers are brought up to date. */
static inline bool feed(run *r, const json_t *event)
{
    r->refused = NULL;
    assert_int_equal(mu_apply(r->arena, r->pb, r->state, event, &r->result), MU_OK);
    r->refused = mu_json_str(r->result, "refused");
    if (r->refused != NULL)
        return false;
    r->state = json_object_get(r->result, "state");
    json_array_extend(r->log, json_object_get(r->result, "events"));
    if (mu_same(mu_json_str(event, "kind"), "timer_fired")) {
        const json_t *data = json_object_get(event, "data");
        json_object_del(r->armed, mu_printf(r->arena, "%s#%lld/%s/%lld", mu_json_str(event, "path"), (long long)mu_json_int(event, "occ", 1), mu_json_str(data, "timer"),
            (long long)mu_json_int(data, "n", 0)));
    }
    keep_rows(r);
    return true;
}

/* who: "a".."z" a person of that name, "commander", or a kind "timer", "effect", "system". data: JSON text or NULL. */
static inline bool tell(run *r, const char *kind, const char *path, const char *who, const char *reason, const char *data)
{
    json_t *event = mu_json_own(r->arena, json_object()), *tree = NULL;
    mu_problem problem = { .arena = r->arena };
    bool machine = mu_same(who, "timer") || mu_same(who, "effect") || mu_same(who, "system");
    int64_t occ = 1;
    const char *hash = path == NULL ? NULL : strchr(path, '#');

    json_object_set_new(event, "kind", json_string(kind));
    json_object_set_new(event, "at", json_string(mu_time_format(r->arena, r->now)));
    json_object_set_new(event, "actor", machine ? json_pack("{s:s}", "kind", who) : json_pack("{s:s, s:s, s:s}", "kind", "user", "id", who, "name", who));
    if (hash != NULL) {
        assert_true(mu_parse_int(hash + 1, 1, 1000, &occ));
        path = mu_strndup(r->arena, path, (size_t)(hash - path));
    }
    if (path != NULL) {
        json_object_set_new(event, "path", json_string(path));
        json_object_set_new(event, "occ", json_integer(occ));
    }
    if (reason != NULL)
        json_object_set_new(event, "reason", json_string(reason));
    if (data != NULL) {
        assert_int_equal(mu_json_parse(r->arena, data, strlen(data), &problem, &tree), MU_OK);
        json_object_set(event, "data", tree);
    }
    return feed(r, event);
}

static inline bool start_with(run *r, const char *roles, const char *vars)
{
    return tell(r, "run_created", NULL, "z", NULL, mu_printf(r->arena,
        "{\"run\":{\"id\":\"R1\",\"title\":{\"zh\":\"演\",\"en\":\"Run\"},\"mode\":\"%s\",\"url\":\"https://m.example/r\",\"severity\":\"II\"},"
        "\"engine\":2,\"incident\":{\"id\":\"INC-2026-0001\",\"title\":\"down\"},\"org\":{\"name\":\"Bank\"},\"roles\":%s,\"vars\":%s,\"profile\":{\"first_report_due\":\"30m\",\"nfra-it-incident.first_report_due\":\"30m\",\"cac-cyber.first_report_due\":\"1h\"},"
        "\"settings\":{\"utc_offset\":28800}}",
        r->mode, roles, vars));
}

static inline void start(run *r)
{
    assert_true(start_with(r, "{\"a\":[{\"id\":\"a\",\"name\":\"a\"},{\"id\":\"a2\",\"name\":\"a2\"}],\"b\":[{\"id\":\"b\",\"name\":\"b\"}],\"c\":[{\"id\":\"c\",\"name\":\"c\"}],"
        "\"commander\":[{\"id\":\"k\",\"name\":\"k\"},{\"id\":\"k2\",\"name\":\"k2\"}]}", "{}"));
}

__attribute__((unused)) static inline const char *status_of(const run *r, const char *path)
{
    const char *key = strchr(path, '#') != NULL ? path : mu_printf(r->arena, "%s#1", path);

    return mu_json_str(json_object_get(r->rows, key), "status");
}

static inline const char *run_status(const run *r) { return mu_json_str(r->state, "status"); }
__attribute__((unused)) static inline bool armed(const run *r, const char *name) { return json_object_get(r->armed, name) != NULL; }

/* How many events of a kind there have been. */
__attribute__((unused)) static inline unsigned count_of(const run *r, const char *kind)
{
    unsigned count = 0;
    size_t i;
    json_t *one;

    json_array_foreach(r->log, i, one)
        count += mu_same(mu_json_str(one, "kind"), kind);
    return count;
}

/* The last effect of a kind in the last result. */
__attribute__((unused)) static inline const json_t *effect_of(const run *r, const char *kind)
{
    const json_t *list = json_object_get(r->result, "effects"), *found = NULL;
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one)
        if (mu_same(mu_json_str(one, "kind"), kind))
            found = one;
    return found;
}

__attribute__((unused)) static inline bool logged(const run *r, const char *kind)
{
    size_t i;
    json_t *one;

    json_array_foreach(r->log, i, one)
        if (mu_same(mu_json_str(one, "kind"), kind))
            return true;
    return false;
}

/* Fold apply over the inputs of the log: the same state, the same events, the same rows and timers. */
static inline void replays(const run *r)
{
    run again = run_new(r->arena, r->pb, r->mode);
    size_t i;
    json_t *event;

    json_array_foreach(r->log, i, event)
        if (mu_json_bool(event, "input", false))
            assert_true(feed(&again, event));
    assert_true(json_equal(again.state, r->state));
    assert_true(json_equal(again.log, r->log));
    assert_true(json_equal(again.rows, r->rows));
    assert_true(json_equal(again.armed, r->armed));
    json_array_foreach(mu_apply_steps(r->arena, r->pb, r->state), i, event) {      /* rows from the state alone */
        const char *key = mu_printf(r->arena, "%s#%lld", mu_json_str(event, "path"), (long long)mu_json_int(event, "occ", 0));
        if (!json_equal(event, json_object_get(r->rows, key)))
            fail_msg("row %s: %s instead of %s", key, mu_json_text(r->arena, json_object_get(r->rows, key)), mu_json_text(r->arena, event));
    }
    assert_int_equal(json_array_size(mu_apply_timers(r->arena, r->state)), json_object_size(r->armed));
}

#define WHY "because it must be so"

__attribute__((unused)) static inline run begin_in(void **state, const char *mode, const char *steps)
{
    mu_findings findings;
    mu_playbook *pb = playbook_of(*state, around(*state, steps), &findings);

    if (pb == NULL)
        print_error("%s\n", mu_json_text(*state, mu_findings_json(&findings)));
    run r = run_new(*state, pb, mode);
    start(&r);
    return r;
}

#define BEGIN(steps) run r = begin_in(state, "real", steps)
#define DRILL(steps) run r = begin_in(state, "drill", steps)
#define ROW(path)    json_object_get(r.rows, path)
#define VAR(name)    mu_json_at(r.state, "vars." name ".value")
#define OK(...)      do { if (!tell(&r, __VA_ARGS__)) fail_msg("refused: %s", r.refused); } while (0)
#define NO(key, ...) do { assert_false(tell(&r, __VA_ARGS__)); assert_string_equal(r.refused, key); } while (0)
#define IS(path, s)  do { const char *is_ = status_of(&r, path); if (!mu_same(is_, s)) fail_msg("%s is %s, not %s", path, is_ == NULL ? "nothing" : is_, s); } while (0)
#define RUN(s)       assert_string_equal(run_status(&r), s)

#endif
