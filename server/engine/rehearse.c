/* The walk: time leaps from what happens to what happens next, be it a person's deed or a timer. */
#include "walk.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define MINUTE (60 * MU_SECOND)
#define TRIES  40           /* deeds at one step; a step that takes more is passed over in the telling */
#define DEPTH  8            /* of called playbooks */
#define START  "2026-01-05T01:00:00.000Z"

static const json_t *apply_one(mu_walk *w, json_t *event);

/* -- what is told ---------------------------------------------------------------------------------------------------------- */

static void
tell(mu_walk *w, const json_t *row, const char *what, json_t *more)
{
    json_t *line = json_pack("{s:s, s:I, s:s, s:I, s:s*, s:s*, s:O*, s:I}", "at", mu_time_format(w->arena, w->now), "after", (json_int_t)((w->now - w->start) / MU_SECOND),
        "path", mu_json_str(row, "path"), "occ", (json_int_t)mu_json_int(row, "occ", 1), "kind", mu_json_str(row, "kind"), "due_at", mu_json_str(row, "due_at"),
        "title", json_object_get(row, "title"), "depth", (json_int_t)w->depth);

    json_object_set_new(line, "what", json_string(what));
    if (more != NULL) {
        json_object_update(line, more);
        json_decref(more);
    }
    json_array_append_new(json_object_get(w->ret, "walk"), line);
}

/* A text that is there in one language only: {"zh"} or {"en"}. */
static void
note_missing(mu_walk *w, const char *path, const char *where, const json_t *text)
{
    bool zh = json_object_get(text, "zh") != NULL, en = json_object_get(text, "en") != NULL;

    if (json_is_object(text) && zh != en)
        json_array_append_new(json_object_get(w->ret, "missing"), json_pack("{s:s, s:s, s:s}", "path", path, "where", where, "language", zh ? "en" : "zh"));
}

static void
keep_message(mu_walk *w, const json_t *effect)
{
    const json_t *data = json_object_get(effect, "data");
    const char *path = mu_json_str(effect, "path");
    static const char *const parts[] = { "to", "from", "via", "people", "title", "text", "component", "state", "update", "profile", "stage", "level", "role", "due_at",
        "reason", "connection", "method", "url", "headers", "body" };
    json_t *message = json_pack("{s:s, s:s, s:s*, s:s, s:I, s:I}", "at", mu_time_format(w->arena, w->now), "kind", mu_json_str(effect, "kind"), "path", path,
        "delivery", mu_json_str(effect, "delivery"), "after", (json_int_t)((w->now - w->start) / MU_SECOND), "depth", (json_int_t)w->depth);

    for (size_t i = 0; i < MU_COUNT(parts); i++)
        if (json_object_get(data, parts[i]) != NULL)
            json_object_set(message, parts[i], json_object_get(data, parts[i]));
    note_missing(w, path, "title", json_object_get(data, "title"));
    note_missing(w, path, "text", json_object_get(data, "text"));
    json_array_append_new(json_object_get(w->ret, "messages"), message);
}

/* What may be chosen at a step, once for each path: the first time it is met. */
static void
offer(mu_walk *w, const json_t *row, const char *field, const json_t *title, const json_t *options, const json_t *chosen)
{
    json_t *list = json_object_get(w->ret, "choices"), *one;
    const char *name = field == NULL ? mu_json_str(row, "path") : mu_printf(w->arena, "%s.%s", mu_json_str(row, "path"), field);
    size_t i;

    json_array_foreach(list, i, one)
        if (mu_same(mu_json_str(one, "name"), name)) {
            json_object_set(one, "chosen", (json_t *)(uintptr_t)chosen);
            return;
        }
    if (w->depth == 0)
        json_array_append_new(list, json_pack("{s:s, s:s, s:O*, s:O*, s:O*}", "name", name, "kind", mu_json_str(row, "kind"), "title", title, "options", options, "chosen", chosen));
}

static json_t *
words(mu_walk *w, const char *const *values, size_t n)
{
    json_t *list = mu_json_own(w->arena, json_array());

    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_pack("{s:s}", "value", values[i]));
    return list;
}

static void
offer_form(mu_walk *w, const json_t *row, const json_t *form, const json_t *values, const char *prefix)
{
    static const char *const truth[] = { "true", "false" };
    json_t *field, *value;
    size_t i, k;

    json_array_foreach(form, i, field) {
        const char *id = mu_json_str(field, "id"), *type = mu_json_str(field, "type");
        json_t *options = mu_same(type, "bool") ? words(w, truth, 2) : mu_json_own(w->arena, json_array());
        json_array_foreach(json_object_get(field, "values"), k, value)
            json_array_append_new(options, json_pack("{s:O}", "value", value));
        if (json_array_size(options) > 0)
            offer(w, row, prefix == NULL ? id : mu_printf(w->arena, "%s.%s", prefix, id), field, options, json_object_get(values, id));
    }
}

static void
offer_deed(mu_walk *w, const json_t *row, const char *what, const json_t *event, json_t *value)
{
    static const char *const answers[] = { "yes", "no" };
    const char *kind = mu_json_str(row, "kind");
    const json_t *options = json_object_get(row, "options");

    if (mu_same(kind, "approve"))
        offer(w, row, NULL, json_object_get(row, "title"), words(w, answers, 2), mu_json_own(w->arena, json_string(mu_same(what, "refused") ? "no" : "yes")));
    else if (mu_same(kind, "decide") && json_array_size(json_object_get(row, "into")) < 2)
        offer(w, row, NULL, json_object_get(row, "title"), json_array_size(options) > 0 ? options : NULL, value);
    else if (mu_same(kind, "task"))
        offer_form(w, row, json_object_get(row, "form"), mu_json_at(event, "data.values"), NULL);
    else if (mu_same(what, "item"))
        offer_form(w, row, json_object_get(value, "form"), mu_json_at(event, "data.values"), mu_json_str(value, "id"));
}

/* -- called playbooks ------------------------------------------------------------------------------------------------------ */

static void
answer_child(mu_walk *w, const json_t *effect, const char *kind, json_t *data)
{
    json_t *event = json_pack("{s:s, s:s, s:s, s:I, s:{s:s}, s:o}", "kind", kind, "at", mu_time_format(w->arena, w->now), "path", mu_json_str(effect, "path"),
        "occ", (json_int_t)mu_json_int(effect, "occ", 1), "actor", "kind", "effect", "data", data);

    json_object_set(data, "key", json_object_get(effect, "key"));
    (void)apply_one(w, mu_json_own(w->arena, event));
}

/* What the child told becomes part of what is told here, one level deeper. */
static void
adopt(mu_walk *w, const json_t *told)
{
    static const char *const lists[] = { "walk", "messages", "missing", "problems" };

    for (size_t i = 0; i < MU_COUNT(lists); i++)
        json_array_extend(json_object_get(w->ret, lists[i]), json_object_get(told, lists[i]));
}

static mu_err walk_from(mu_walk *w, const json_t *params, json_t **ret);

/* Walks the called playbook at once; its end is fed back when the time comes. */
static void
start_child(mu_walk *w, const json_t *effect)
{
    const json_t *data = json_object_get(effect, "data");
    const char *slug = mu_json_str(data, "playbook");
    const mu_playbook *pb = w->how->find == NULL || w->depth >= DEPTH ? NULL : w->how->find(w->how->closure, slug, mu_json_int(data, "version", 0));
    mu_rehearsal how = *w->how;
    mu_walk child = { .arena = w->arena, .pb = pb, .how = &how, .chance = w->chance, .start = w->start, .now = w->now, .events = w->events, .depth = w->depth + 1 };
    json_t *told = NULL, *vars = json_object(), *slot;
    const char *name;
    bool good = false;

    if (pb == NULL) {
        json_array_append_new(json_object_get(w->ret, "problems"), json_pack("{s:s, s:s, s:s}", "kind", "no_playbook", "path", mu_json_str(effect, "path"), "name", slug));
        json_decref(vars);
        answer_child(w, effect, "effect_failed", json_pack("{s:s, s:b}", "error", "error.run.no_playbook", "unknown", 0));
        return;
    }
    answer_child(w, effect, "child_started", json_pack("{s:s, s:I, s:s}", "run", "REHEARSAL", "version", (json_int_t)mu_json_int(data, "version", 1), "hash", ""));
    how.vars = NULL;
    how.roles = json_object_get(data, "roles");
    if (walk_from(&child, json_object_get(data, "params"), &told) == MU_OK) {
        good = mu_same(mu_json_str(child.state, "status"), "succeeded");
        json_object_foreach(json_object_get(child.state, "vars"), name, slot)
            json_object_set(vars, name, json_object_get(slot, "value"));
    }
    adopt(w, told);
    w->events = child.events;
    w->chance = child.chance;
    json_object_set_new(w->children, mu_json_str(effect, "key"), json_pack("{s:O, s:I, s:{s:s, s:s, s:s, s:o}}", "effect", effect, "at", (json_int_t)child.now,
        "data", "run", "REHEARSAL", "status", good ? "succeeded" : "failed", "outcome", good ? "completed" : "failed", "vars", vars));
}

/* -- one event ------------------------------------------------------------------------------------------------------------- */

static const char *
timer_name(mu_walk *w, const json_t *timer)
{
    return mu_printf(w->arena, "%s#%lld/%s/%lld", mu_json_str(timer, "path"), (long long)mu_json_int(timer, "occ", 1), mu_json_str(timer, "kind"),
        (long long)mu_json_int(timer, "n", 0));
}

static const char *
row_name(mu_walk *w, const json_t *row)
{
    return mu_printf(w->arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1));
}

static void
keep_rows(mu_walk *w)
{
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(w->result, "steps"), i, one) {
        const char *name = row_name(w, one);
        bool entered = json_object_get(one, "started_at") != NULL && mu_json_str(json_object_get(w->rows, name), "started_at") == NULL;
        json_object_set(w->rows, name, one);
        if (entered)
            note_missing(w, mu_json_str(one, "path"), "title", json_object_get(one, "title"));
    }
    json_array_foreach(mu_json_at(w->result, "timers.cancel"), i, one)
        json_object_del(w->timers, timer_name(w, one));
    json_array_foreach(mu_json_at(w->result, "timers.arm"), i, one)
        json_object_set(w->timers, timer_name(w, one), one);
}

/* NULL when it was applied, else the refusal. */
static const json_t *
apply_one(mu_walk *w, json_t *event)
{
    const json_t *effects;
    size_t i;
    json_t *effect;

    w->events++;
    if (mu_apply(w->arena, w->pb, w->state, event, &w->result) != MU_OK || json_object_get(w->result, "refused") != NULL)
        return w->result;
    w->state = json_object_get(w->result, "state");
    keep_rows(w);
    effects = json_object_get(w->result, "effects");
    json_array_foreach(effects, i, effect)
        if (!mu_same(mu_json_str(effect, "kind"), "child"))
            keep_message(w, effect);
    json_array_foreach(json_object_get(w->result, "effects_cancelled"), i, effect)
        json_object_del(w->children, json_string_value(effect));
    json_array_foreach(effects, i, effect)
        if (mu_same(mu_json_str(effect, "kind"), "child"))
            start_child(w, effect);
    return NULL;
}

static void
fire(mu_walk *w, const char *name, const json_t *timer)
{
    const char *kind = mu_json_str(timer, "kind");
    json_t *event = json_pack("{s:s, s:s, s:O, s:O, s:{s:s}, s:{s:s, s:I, s:O}}", "kind", "timer_fired", "at", mu_time_format(w->arena, w->now),
        "path", json_object_get(timer, "path"), "occ", json_object_get(timer, "occ"), "actor", "kind", "timer",
        "data", "timer", kind, "n", (json_int_t)mu_json_int(timer, "n", 0), "due", json_object_get(timer, "due"));
    const json_t *row = json_object_get(w->rows, row_name(w, timer));

    json_object_del(w->timers, name);
    if (row != NULL && (mu_same(kind, "deadline") || mu_same(kind, "default") || mu_same(kind, "wait") || mu_same(kind, "inject") || mu_same(kind, "expect")))
        tell(w, row, mu_same(kind, "deadline") ? "missed" : mu_same(kind, "default") ? "defaulted" : mu_same(kind, "inject") ? "delivered" : kind, NULL);
    (void)apply_one(w, mu_json_own(w->arena, event));
}

/* -- who does what next ---------------------------------------------------------------------------------------------------- */

/* People take part of the time they have; without a deadline a few minutes. A choice "late" lets the time pass. */
static mu_instant
act_at(mu_walk *w, const json_t *row, int64_t tries)
{
    const char *due = mu_json_str(row, "due_at"), *chosen = json_string_value(mu_walk_choice(w, row, "when"));
    mu_instant end;

    if (tries > 0)
        return w->now + MINUTE;
    if (due == NULL || !mu_time_parse(due, &end) || end <= w->now)
        return w->now + (mu_instant)(2 + mu_walk_pick(w, 10)) * MINUTE;
    if (mu_same(chosen, "late") || (chosen == NULL && mu_walk_pick(w, 12) == 11))
        return end + MINUTE;
    return w->now + (end - w->now) / 10 * (mu_instant)(2 + mu_walk_pick(w, 7));
}

static void
plan(mu_walk *w)
{
    const char *name;
    json_t *row;

    json_object_foreach(w->rows, name, row) {
        const char *what;
        json_t *value;
        if (json_object_get(row, "started_at") == NULL || json_object_get(row, "ended_at") != NULL) {
            json_object_del(w->plans, name);
            continue;
        }
        if (json_object_get(w->plans, name) == NULL && mu_walk_act(w, row, &what, &value) != NULL)
            json_object_set_new(w->plans, name, json_pack("{s:I, s:I}", "at", (json_int_t)act_at(w, row, 0), "tries", (json_int_t)0));
    }
}

static void
refused(mu_walk *w, const json_t *row, const json_t *why, const char *what)
{
    json_array_append_new(json_object_get(w->ret, "problems"), json_pack("{s:s, s:O, s:s, s:O*, s:O*}", "kind", "refused", "path", json_object_get(row, "path"), "what", what,
        "error", json_object_get(why, "refused"), "args", json_object_get(why, "args")));
}

static void
act(mu_walk *w, const char *name)
{
    json_t *row = json_object_get(w->rows, name), *plan_ = json_object_get(w->plans, name), *value = NULL, *event, *who;
    int64_t tries = mu_json_int(plan_, "tries", 0) + 1;
    const char *what = "";
    const json_t *why;

    event = mu_walk_act(w, row, &what, &value);
    if (event == NULL || tries > TRIES) {
        json_object_set_new(plan_, "at", json_integer(INT64_MAX));
        return;
    }
    json_object_set_new(plan_, "tries", json_integer((json_int_t)tries));
    json_object_set_new(plan_, "at", json_integer((json_int_t)act_at(w, row, tries)));
    who = json_object_get(event, "actor");
    offer_deed(w, row, what, event, value);
    tell(w, row, what, json_pack("{s:{s:O*, s:O*}, s:O*}", "who", "role", json_object_get(row, "role"), "name", json_object_get(who, "name"), "value", value));
    why = apply_one(w, event);
    if (why != NULL) {
        refused(w, row, why, what);
        json_object_set_new(plan_, "at", json_integer(INT64_MAX));
    }
}

static void
end_child(mu_walk *w, const char *key)
{
    json_t *child = json_object_get(w->children, key), *held = mu_json_own(w->arena, json_incref(child));

    json_object_del(w->children, key);
    answer_child(w, json_object_get(held, "effect"), "child_ended", json_deep_copy(json_object_get(held, "data")));
}

/* The next thing in time, people before children before timers at the same moment. False: nothing will ever happen. */
static bool
leap(mu_walk *w)
{
    mu_instant at = INT64_MAX, due;
    const char *person = NULL, *child = NULL, *timer = NULL, *name;
    json_t *one;

    plan(w);
    json_object_foreach(w->plans, name, one)
        if (mu_json_int(one, "at", INT64_MAX) < at) {
            at = mu_json_int(one, "at", 0);
            person = name;
        }
    json_object_foreach(w->children, name, one)
        if (mu_json_int(one, "at", INT64_MAX) < at) {
            at = mu_json_int(one, "at", 0);
            child = name;
        }
    json_object_foreach(w->timers, name, one)
        if (mu_time_parse(mu_json_str(one, "due"), &due) && due < at) {
            at = due;
            timer = name;
        }
    if (at == INT64_MAX)
        return false;
    w->now = at > w->now ? at : w->now;
    if (timer != NULL)
        fire(w, mu_strdup(w->arena, timer), mu_json_own(w->arena, json_incref(json_object_get(w->timers, timer))));
    else if (child != NULL)
        end_child(w, mu_strdup(w->arena, child));
    else
        act(w, mu_strdup(w->arena, person));
    return true;
}

/* -- the beginning and the end --------------------------------------------------------------------------------------------- */

/* Two invented people for each role that has nobody, so that the walk can go on; who is missing is reported. */
static json_t *
cast(mu_walk *w)
{
    json_t *roles = mu_json_own(w->arena, json_object()), *spec, *people;
    const char *role;

    json_object_foreach((json_t *)(uintptr_t)w->pb->roles, role, spec) {
        const json_t *given = json_object_get(w->how->roles, role);
        int64_t least = mu_json_int(spec, "min", 0);
        bool filled = (int64_t)json_array_size(given) >= (least > 1 ? least : 1);
        if (w->depth == 0)
            json_array_append_new(json_object_get(w->ret, "roles"), json_pack("{s:s, s:{s:O*, s:O*}, s:I, s:I, s:b, s:O*}", "role", role, "title", "zh", json_object_get(spec, "zh"),
                "en", json_object_get(spec, "en"), "min", (json_int_t)least, "people", (json_int_t)json_array_size(given), "filled", filled, "deputy", json_object_get(spec, "deputy")));
        people = json_array();
        json_array_extend(people, (json_t *)(uintptr_t)given);
        for (int i = (int)json_array_size(people); i < (least > 2 ? (int)least : 2); i++)
            json_array_append_new(people, json_pack("{s:s, s:s}", "id", mu_printf(w->arena, "rehearsal-%s-%d", role, i + 1), "name", mu_printf(w->arena, "%s %d", role, i + 1)));
        json_object_set_new(roles, role, people);
    }
    return roles;
}

/* Variables that come from outside and that nobody gave. */
static json_t *
given_vars(mu_walk *w)
{
    json_t *vars = mu_json_own(w->arena, json_object()), *spec;
    const json_t *row = mu_json_own(w->arena, json_pack("{s:s}", "path", "vars"));
    const char *name;

    json_object_update(vars, (json_t *)(uintptr_t)w->how->vars);
    json_object_foreach(json_object_get(w->pb->doc, "vars"), name, spec) {
        const char *from = mu_json_str(spec, "from");
        if (json_object_get(vars, name) == NULL && json_object_get(spec, "default") == NULL && (mu_same(from, "trigger") || mu_same(from, "form")))
            json_object_set(vars, name, mu_walk_value(w, row, name, spec));
    }
    return vars;
}

static json_t *
given_params(mu_walk *w, const json_t *params)
{
    json_t *all = mu_json_own(w->arena, json_object()), *spec;
    const json_t *row = mu_json_own(w->arena, json_pack("{s:s}", "path", "params"));
    const char *name;

    json_object_update(all, (json_t *)(uintptr_t)params);
    json_object_foreach(json_object_get(w->pb->doc, "params"), name, spec)
        if (json_object_get(all, name) == NULL && json_object_get(spec, "default") == NULL)
            json_object_set(all, name, mu_walk_value(w, row, name, spec));
    return all;
}

static json_t *
created(mu_walk *w, const json_t *params)
{
    const json_t *title = json_object_get(w->pb->doc, "title");
    const char *severity = w->how->severity == NULL ? "II" : w->how->severity;

    return mu_json_own(w->arena, json_pack("{s:s, s:s, s:{s:s}, s:{s:{s:s, s:O?, s:s, s:s, s:s}, s:{s:s, s:O?}, s:{s:s}, s:{s:s, s:I, s:s}, s:i, s:O, s:O, s:O, s:O?, s:{s:i}}}",
        "kind", "run_created", "at", mu_time_format(w->arena, w->now), "actor", "kind", "system",
        "data", "run", "id", "REHEARSAL", "title", title, "mode", "rehearsal", "url", "https://rehearsal.invalid/", "severity", severity,
        "incident", "id", "REHEARSAL", "title", title, "org", "name", "Muster",
        "playbook", "id", w->pb->id, "version", (json_int_t)1, "hash", "", "engine", MU_ENGINE_VERSION,
        "roles", cast(w), "vars", given_vars(w), "params", given_params(w, params), "profile", w->how->profile, "settings", "utc_offset", 28800));
}

/* Steps of the playbook that no token came to on this way. */
static void
note_unreached(mu_walk *w)
{
    const char *name;
    json_t *row;

    json_object_foreach(w->rows, name, row) {
        const char *list = json_object_get(row, "started_at") != NULL ? "reached" : "unreached";
        if (mu_json_int(row, "occ", 1) == 1)
            json_array_append(json_object_get(w->ret, list), json_object_get(row, "path"));
    }
}

static void
note_recovery(mu_walk *w)
{
    const char *from = json_string_value(mu_json_at(w->state, "clocks.rto.start")), *to = json_string_value(mu_json_at(w->state, "clocks.rto.stop"));
    mu_instant start, stop;
    json_t *rto = json_pack("{s:I, s:I}", "target", (json_int_t)w->pb->rto, "longest", (json_int_t)mu_playbook_longest(w->pb));

    if (from != NULL && to != NULL && mu_time_parse(from, &start) && mu_time_parse(to, &stop))
        json_object_set_new(rto, "took", json_integer((json_int_t)((stop - start) / MU_SECOND)));
    json_object_set_new(rto, "has_target", json_boolean(w->pb->rto > 0));
    json_object_set_new(rto, "over", json_boolean(w->pb->rto > 0 && mu_json_int(rto, "took", 0) > w->pb->rto));
    json_object_set_new(rto, "longest_over", json_boolean(w->pb->rto > 0 && mu_json_int(rto, "longest", 0) > w->pb->rto));
    json_object_set_new(w->ret, "rto", rto);
}

static mu_err
walk_from(mu_walk *w, const json_t *params, json_t **ret)
{
    static const char *const lists[] = { "walk", "messages", "choices", "roles", "missing", "problems", "reached", "unreached" };
    const json_t *why;

    w->ret = *ret = mu_json_own(w->arena, json_object());
    for (size_t i = 0; i < MU_COUNT(lists); i++)
        json_object_set_new(w->ret, lists[i], json_array());
    w->rows = mu_json_own(w->arena, json_object());
    w->timers = mu_json_own(w->arena, json_object());
    w->plans = mu_json_own(w->arena, json_object());
    w->children = mu_json_own(w->arena, json_object());
    why = apply_one(w, created(w, params));
    if (why != NULL) {
        json_object_update(w->ret, (json_t *)(uintptr_t)why);
        return MU_INVALID;
    }
    while (w->events < MU_REHEARSAL_EVENTS && mu_json_str(w->state, "outcome") == NULL && leap(w))
        ;
    note_unreached(w);
    note_recovery(w);
    json_object_set_new(w->ret, "cut", json_boolean(w->events >= MU_REHEARSAL_EVENTS));
    json_object_set(w->ret, "status", json_object_get(w->state, "status"));
    json_object_set(w->ret, "outcome", json_object_get(w->state, "outcome"));
    json_object_set_new(w->ret, "started_at", json_string(mu_time_format(w->arena, w->start)));
    json_object_set_new(w->ret, "ended_at", json_string(mu_time_format(w->arena, w->now)));
    json_object_set_new(w->ret, "seconds", json_integer((json_int_t)((w->now - w->start) / MU_SECOND)));
    json_object_set_new(w->ret, "events", json_integer((json_int_t)w->events));
    return MU_OK;
}

mu_err
mu_rehearse(mu_arena *arena, const mu_playbook *playbook, const mu_rehearsal *how, json_t **ret)
{
    mu_walk w = { .arena = arena, .pb = playbook, .how = how, .chance = how->seed };

    if (!mu_time_parse(how->start == NULL ? START : how->start, &w.start))
        return MU_INVALID;
    w.now = w.start;
    return walk_from(&w, NULL, ret);
}
