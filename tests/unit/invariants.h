/* What holds after every event of every run, whatever playbook and whatever events. */
#ifndef INVARIANTS_H
#define INVARIANTS_H

#include "test_engine.h"

static uint64_t seed;

static inline size_t pick(size_t n) { return (size_t)(next_random(&seed) % n); }
static inline bool   often(unsigned percent) { return pick(100) < percent; }

#define HOLDS(condition, ...) do { if (!(condition)) { print_error("seed %llu: ", (unsigned long long)seed); fail_msg(__VA_ARGS__); } } while (0)

static inline bool is_open(const json_t *row)
{
    return json_object_get(row, "started_seq") != NULL && json_object_get(row, "ended_at") == NULL;
}

static inline bool over(const run *r)
{
    const char *s = run_status(r);

    return mu_same(s, "succeeded") || mu_same(s, "failed") || mu_same(s, "aborted");
}

static inline void check_log(const run *r)
{
    const json_t *events = json_object_get(r->result, "events");
    int64_t last = mu_json_int(r->state, "seq", 0), first = last - (int64_t)json_array_size(events);
    size_t i;
    json_t *event;

    HOLDS(json_array_size(r->log) == (size_t)last, "seq %lld of %zu", (long long)last, json_array_size(r->log));
    json_array_foreach(events, i, event)
        HOLDS(mu_json_int(event, "seq", 0) == first + (int64_t)i + 1, "a gap in seq");
}

/* Closed steps stay closed; nothing is open or to come in a run that is over. */
static inline void check_rows(const run *r, const json_t *before)
{
    const char *key;
    json_t *row;
    const json_t *old;

    json_object_foreach(r->rows, key, row) {
        old = json_object_get(before, key);
        if (old != NULL && json_object_get(old, "ended_at") != NULL)
            HOLDS(mu_same(mu_json_str(old, "status"), mu_json_str(row, "status")) && mu_same(mu_json_str(old, "ended_at"), mu_json_str(row, "ended_at")),
                "%s changed after it was closed", key);
        HOLDS(!(over(r) && is_open(row)), "%s is open in a run that is over", key);
        HOLDS(!(over(r) && mu_same(mu_json_str(row, "status"), "pending")), "%s is pending in a run that is over", key);
    }
}

/* A token is in one place: of all instances in one block (and, in a for_each, of one item) at most one is open. What encloses an open
 * step is open too; a handler stands in the place of its owner, which is closed. */
static inline void check_tokens(const run *r)
{
    json_t *places = mu_json_own(r->arena, json_object()), *rec;
    const char *key;

    json_object_foreach(json_object_get(r->state, "steps"), key, rec) {
        const json_t *row = json_object_get(r->rows, key);
        const char *up = mu_json_str(rec, "up"), *block = mu_json_str(row, "in");
        const json_t *owner = up == NULL || *up == '\0' ? NULL : json_object_get(json_object_get(r->state, "steps"), up);
        bool handler = mu_same(block, "on_error") || mu_same(block, "on_reject") || mu_same(block, "deadline"), aside = mu_same(block, "injects") || mu_same(block, "adhoc");
        const char *place;
        HOLDS(row != NULL, "%s has no row", key);
        if (json_object_get(rec, "end") != NULL || aside || mu_json_bool(rec, "detached", false))
            continue;
        place = mu_printf(r->arena, "%s|%s|%lld", up == NULL ? "" : up, block == NULL ? "" : block, (long long)mu_json_int(rec, "it", -1));
        HOLDS(json_object_get(places, place) == NULL, "two tokens in %s: %s", place, key);
        json_object_set_new(places, place, json_true());
        if (owner == NULL)
            HOLDS(up != NULL && *up == '\0', "%s has lost its owner", key);
        else if (!mu_json_bool(owner, "detached", false))
            HOLDS((json_object_get(owner, "end") != NULL) == handler, "%s is open in %s, which is %s", key, up, mu_json_str(owner, "s"));
    }
}

/* Each variable has a value of its type, or none. */
static inline void check_vars(const run *r)
{
    const json_t *declared = json_object_get(mu_playbook_document(r->pb), "vars");
    const char *name;
    json_t *slot;

    json_object_foreach(json_object_get(r->state, "vars"), name, slot) {
        const json_t *value = json_object_get(slot, "value"), *var = json_object_get(declared, name);
        const char *type = mu_json_str(var, "type");
        bool found = false;
        size_t i;
        json_t *one;
        HOLDS(value != NULL && !json_is_null(value), "%s has no value", name);
        HOLDS(!mu_same(type, "secret"), "a secret is in the state");
        HOLDS(mu_same(type, "int") ? json_is_integer(value) : mu_same(type, "bool") ? json_is_boolean(value) : mu_same(type, "list") ? json_is_array(value) : json_is_string(value), "%s is no %s", name, type);
        json_array_foreach(json_object_get(var, "values"), i, one)
            found = found || json_equal(one, value);
        HOLDS(!mu_same(type, "enum") || found, "%s has none of its values", name);
    }
}

/* What is left to fill in may only be the place of a secret, and only in a request. Somebody has typed "y {{token}}": a value is never filled
 * in again, and no request carries it as it is. */
static inline void check_placeholders(const run *r, const json_t *effect)
{
    const json_t *data = json_object_get(effect, "data");
    bool request = mu_same(mu_json_str(effect, "kind"), "http"), secrets = json_array_size(json_object_get(data, "secrets")) > 0;
    const char *text = !request ? mu_json_text(r->arena, data) : mu_printf(r->arena, "%s %s %s", mu_json_str(data, "url"),
        mu_json_text(r->arena, json_object_get(data, "headers")), mu_json_str(data, "body") == NULL ? "" : mu_json_str(data, "body"));

    for (const char *at = strstr(text, "{{"); at != NULL; at = strstr(at + 2, "{{")) {
        bool typed = at - text >= 2 && mu_starts(at - 2, "y {{token}}");
        HOLDS(request ? secrets && !typed && mu_starts(at, "{{token}}") : typed, "a placeholder is left: %s", text);
    }
}

static inline void check_effects(const run *r)
{
    size_t i;
    json_t *effect;

    json_array_foreach(json_object_get(r->result, "effects"), i, effect) {
        const char *mode = mu_json_str(effect, "mode"), *delivery = mu_json_str(effect, "delivery"), *kind = mu_json_str(effect, "kind");
        HOLDS(mu_same(mode, r->mode), "effect of another mode");
        HOLDS(mu_same(mode, "real") == mu_same(delivery, "send"), "%s in mode %s is %s", kind, mode, delivery);
        HOLDS(!mu_same(mode, "rehearsal") || mu_same(delivery, "simulate"), "a rehearsal reaches somebody");
        HOLDS(mu_same(mode, "real") || (!mu_same(kind, "status") && !mu_same(kind, "report")) || mu_same(delivery, "simulate"), "%s leaves in a drill", kind);
        HOLDS(!mu_same(mode, "real") || !mu_same(kind, "inject"), "an inject in a real run");
        check_placeholders(r, effect);
    }
}

static inline void check_timers(const run *r)
{
    const char *key;
    json_t *rec;

    HOLDS(!over(r) || json_object_size(r->armed) == 0, "a run that is over has armed timers");
    HOLDS(json_array_size(mu_apply_timers(r->arena, r->state)) == json_object_size(r->armed), "timers of the state and those armed differ");
    if (over(r))
        json_object_foreach(json_object_get(r->state, "steps"), key, rec)
            HOLDS(json_object_get(rec, "fx") == NULL && !mu_json_bool(json_object_get(rec, "child"), "awaited", false), "%s still waits for an effect", key);
}

/* Every open task has somebody, or an alarm says that it has not. */
static inline void check_people(const run *r, const json_t *alarmed)
{
    static const char *const kinds[] = { "task", "checklist", "decide", "approve", "report" };
    const json_t *roles = json_object_get(r->state, "roles");
    const char *key;
    json_t *row;

    json_object_foreach(r->rows, key, row) {
        const char *role = mu_json_str(row, "role"), *deputy = mu_json_str(json_object_get(json_object_get(mu_playbook_document(r->pb), "roles"), role == NULL ? "" : role), "deputy");
        bool person = false;
        for (size_t i = 0; i < MU_COUNT(kinds); i++)
            person = person || mu_same(kinds[i], mu_json_str(row, "kind"));
        if (!person || !is_open(row) || role == NULL || json_object_get(row, "assigned") != NULL || mu_same(mu_json_str(row, "status"), "ready") || mu_json_bool(row, "asks", false))
            continue;
        HOLDS(json_array_size(json_object_get(roles, role)) > 0 || (deputy != NULL && json_array_size(json_object_get(roles, deputy)) > 0)
            || json_object_get(alarmed, key) != NULL, "%s has nobody and no alarm", key);
    }
}

/* `before`: the rows before the event. */
static inline void check_all(run *r, const json_t *before)
{
    size_t i;
    json_t *event;

    check_log(r);
    check_rows(r, before);
    check_tokens(r);
    check_vars(r);
    check_effects(r);
    check_timers(r);
    json_array_foreach(json_object_get(r->result, "events"), i, event)
        if (mu_same(mu_json_str(event, "kind"), "role_empty"))
            json_object_set_new(r->alarmed, mu_printf(r->arena, "%s#%lld", mu_json_str(event, "path"), (long long)mu_json_int(event, "occ", 1)), json_true());
    check_people(r, r->alarmed);
    HOLDS(json_dumpb(r->state, NULL, 0, JSON_COMPACT) <= MU_STATE_BYTES, "the state is too large");
}

#endif
