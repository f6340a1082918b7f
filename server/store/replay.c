/* Replay: the run is made again from its events and compared with what is stored. */
#include "run.h"
#include "run_chain.h"

#include <string.h>

#include "apply.h"
#include "crypto.h"
#include "json.h"
#include "playbook_cache.h"
#include "str.h"

#define DIFFERENCES_MOST 20
#define EVENT_BYTES      (2u * 1024u * 1024u)

typedef struct {
    mu_arena *arena;
    const mu_playbook *playbook;
    json_t   *differences;
    json_t   *state;                   /* so far */
    json_t   *steps;                   /* path#occ -> row */
    json_t   *produced;                /* events the last input gave and that have not been met yet */
    size_t    met;
} replay;

json_t *
mu_run_hashes(mu_arena *arena, const char *prev, const json_t *events, const char **ret_last)
{
    json_t *hashes = mu_json_own(arena, json_array());
    const json_t *event;
    size_t i;

    *ret_last = prev;
    json_array_foreach(events, i, event) {
        mu_buf text = MU_BUF(EVENT_BYTES);
        mu_buf_adds(&text, *ret_last);
        if (!mu_json_canonical(event, &text))
            mu_buf_adds(&text, "?");              /* cannot happen: the limits of an event are far below */
        *ret_last = mu_sha256_hex(arena, text.at, text.n);
        mu_buf_free(&text);
        json_array_append_new(hashes, json_string(*ret_last));
    }
    return hashes;
}

static void
differ(replay *r, const char *what, const json_t *expected, const json_t *found)
{
    if (json_array_size(r->differences) < DIFFERENCES_MOST)
        json_array_append_new(r->differences, json_pack("{s:s, s:O?, s:O?}", "what", what, "expected", expected, "found", found));
}

static void
same(replay *r, const char *what, const json_t *expected, const json_t *found)
{
    if (!json_equal(expected, found))
        differ(r, what, expected, found);
}

static void
check_chain(replay *r, const json_t *record)
{
    const json_t *row;
    const char *prev = mu_json_str(record, "hash"), *last;
    size_t i;

    json_array_foreach(json_object_get(record, "events"), i, row) {
        json_t *one = mu_json_own(r->arena, json_pack("[O]", json_object_get(row, "body")));
        mu_run_hashes(r->arena, prev, one, &last);
        if (!mu_same(mu_json_str(row, "prev_hash"), prev) || !mu_same(mu_json_str(row, "hash"), last))
            differ(r, mu_printf(r->arena, "chain/%zu", i + 1), mu_json_own(r->arena, json_string(last)), json_object_get(row, "hash"));
        prev = mu_json_str(row, "hash");
    }
    if (json_array_size(json_object_get(record, "events")) > 0 && !mu_same(prev, mu_json_str(record, "last_hash")))
        differ(r, "last_hash", NULL, json_object_get(record, "last_hash"));
}

/* An input: apply it. `at`, `actor` and the rest are in it, so that nothing else is needed. */
static void
feed(replay *r, const json_t *event, const char *what)
{
    json_t *result, *row;
    size_t i;

    if (r->met < json_array_size(r->produced))
        differ(r, what, json_array_get(r->produced, r->met), event);
    if (mu_apply(r->arena, r->playbook, r->state, event, &result) != MU_OK || json_object_get(result, "refused") != NULL) {
        differ(r, what, result == NULL ? NULL : result, event);
        r->produced = NULL;
        return;
    }
    r->state = json_object_get(result, "state");
    r->produced = json_object_get(result, "events");
    r->met = 0;
    json_array_foreach(json_object_get(result, "steps"), i, row)
        json_object_set(r->steps, mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1)), row);
}

static void
fold(replay *r, const json_t *events)
{
    const json_t *row;
    size_t i;

    json_array_foreach(events, i, row) {
        const json_t *event = json_object_get(row, "body");
        const char *what = mu_printf(r->arena, "event/%zu", i + 1);
        if (mu_json_bool(event, "input", false))
            feed(r, event, what);
        same(r, what, json_array_get(r->produced, r->met), event);
        r->met++;
    }
    if (r->met < json_array_size(r->produced))
        differ(r, "events", json_array_get(r->produced, r->met), NULL);
}

static void
compare_steps(replay *r, const json_t *stored)
{
    const json_t *row, *all = mu_apply_steps(r->arena, r->playbook, r->state);
    json_t *by_name = mu_json_own(r->arena, json_object());
    const char *key;
    json_t *value;
    size_t i;

    json_array_foreach(all, i, row)               /* rows made from the state alone must be those that were written along the way */
        json_object_set(by_name, mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1)), (json_t *)(uintptr_t)row);
    json_object_foreach(r->steps, key, value)
        same(r, mu_printf(r->arena, "projection/%s", key), json_object_get(by_name, key), value);
    json_array_foreach(stored, i, row) {
        char *name = mu_printf(r->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1));
        same(r, mu_printf(r->arena, "step/%s", name), json_object_get(r->steps, name), row);
    }
    if (json_array_size(stored) != json_object_size(r->steps))
        differ(r, "steps", mu_json_own(r->arena, json_integer((json_int_t)json_object_size(r->steps))),
            mu_json_own(r->arena, json_integer((json_int_t)json_array_size(stored))));
}

/* Keys of effects that steps still wait for: each must have rows on their way, or the run would wait for ever. */
static void
compare_effects(replay *r, const json_t *open)
{
    const json_t *steps = json_object_get(r->state, "steps"), *one;
    const char *step, *key;
    json_t *rec, *ignored;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)steps, step, rec)
        json_object_foreach(json_object_get(rec, "fx"), key, ignored) {
            bool found = false;
            json_array_foreach(open, i, one)
                found = found || mu_same(json_string_value(one), key);
            if (!found)
                differ(r, mu_printf(r->arena, "effect/%s", key), mu_json_own(r->arena, json_string("pending")), NULL);
        }
}

static mu_err
open_record(mu_tx *tx, const char *run, replay *r, json_t **ret)
{
    mu_problem *problem = mu_tx_problem(tx);
    const mu_rows *row;
    const char *text, *hash;

    TRY(mu_one(tx, Q_run_record, ARGS(run), &row));
    text = mu_col(row, "body");
    if (text == NULL)
        return mu_fail(problem, MU_NOT_FOUND, "", "error.run.unknown", NULL);
    TRY(mu_json_parse(r->arena, text, strlen(text), problem, ret));
    hash = mu_json_str(*ret, "hash");
    r->playbook = mu_playbook_cached(r->arena, hash);
    if (r->playbook == NULL)
        TRY(mu_playbook_keep(r->arena, problem, hash, mu_json_text(r->arena, json_object_get(*ret, "body")), &r->playbook));
    return MU_OK;
}

mu_err
mu_run_replay(mu_tx *tx, const char *run, json_t **ret)
{
    replay r = { .arena = mu_tx_arena(tx) };
    json_t *record;

    TRY(open_record(tx, run, &r, &record));
    r.differences = mu_json_own(r.arena, json_array());
    r.steps = mu_json_own(r.arena, json_object());
    check_chain(&r, record);
    fold(&r, json_object_get(record, "events"));
    if (r.state != NULL) {
        same(&r, "state", r.state, json_object_get(record, "state"));
        same(&r, "timers", mu_apply_timers(r.arena, r.state), json_object_get(record, "timers"));
        compare_steps(&r, json_object_get(record, "steps"));
        compare_effects(&r, json_object_get(record, "outbox"));
    }
    *ret = mu_json_own(r.arena, json_pack("{s:s, s:b, s:I, s:O}", "run", run, "equal", json_array_size(r.differences) == 0,
        "events", (json_int_t)json_array_size(json_object_get(record, "events")), "differences", r.differences));
    return MU_OK;
}
