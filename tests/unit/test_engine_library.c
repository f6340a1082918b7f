/* Walks through every starter playbook and every shared block in memory: all roles are played, called playbooks too, in real runs,
 * drills and rehearsals, until every branch has been taken: then and else, each case, rounds, ends and bounds of loops, approvals and
 * refusals, time-outs, defaults, guards, failures of what is sent, injects. The list of what was not reached must be empty.
 * MU_SEED, MU_RUNS and MU_ONLY (a slug) repeat or narrow a walk. */
#include <dirent.h>
#include <stdlib.h>

#include "test_engine.h"

#define BOOKS_MOST  64
#define EVENTS_MOST 6000
#define DEPTH_MOST  8

typedef struct {
    char         file[320];
    mu_playbook *pb;
    const json_t *doc;
    json_t      *wanted, *seen;            /* "step" or "step:way" */
    unsigned     runs;
} book;

/* How this run's people are: the same answer every time or not, slow or quick, willing or not. */
typedef struct { uint64_t salt; unsigned sticky, refuse, fail, timers, minutes; } mood;

typedef struct { book *book; run r; json_t *pending; unsigned depth, events; } walk;

static book books[BOOKS_MOST];
static size_t book_count;
static mu_arena *forever;
static uint64_t seed;
static mood mind;

static size_t pick(size_t n) { return n == 0 ? 0 : (size_t)(next_random(&seed) % n); }
static bool   often(unsigned percent) { return pick(100) < percent; }

/* A choice of n for a place in the playbook: a sticky mood makes the same one each time. */
static size_t
choose(const walk *w, const char *place, size_t n)
{
    uint64_t hash = mind.salt;

    if (!often(mind.sticky))
        return pick(n);
    for (const char *c = mu_printf(w->r.arena, "%s/%s", mu_playbook_id(w->book->pb), place); *c != '\0'; c++)
        hash = (hash ^ (uint64_t)(unsigned char)*c) * UINT64_C(1099511628211);
    return (size_t)((hash >> 17) % n);
}

/* -- what there is to reach ------------------------------------------------------------------------------------------------ */

static const char *const kinds[] = { "task", "checklist", "decide", "approve", "notify", "http", "status", "report", "wait", "set", "if", "switch", "while", "for_each",
    "parallel", "call", "inject", "milestone", "end" };

static void want_steps(book *b, const json_t *steps);

static void
mark(json_t *list, const char *id, const char *way)
{
    json_object_set_new(list, way == NULL ? id : mu_printf(forever, "%s:%s", id, way), json_true());
}

static void
want_blocks(book *b, const char *id, const json_t *blocks, bool ways)
{
    const char *way;
    json_t *block;

    json_object_foreach((json_t *)(uintptr_t)blocks, way, block) {
        if (ways)
            mark(b->wanted, id, way);
        want_steps(b, block);
    }
}

static void
want_kind(book *b, const char *kind, const char *id, const json_t *step)
{
    static const struct { const char *kind, *ways[3]; } ways[] = { { "if", { "then", "else" } }, { "while", { "round", "over" } }, { "for_each", { "round", "over" } },
        { "approve", { "approved", "refused" } }, { "http", { "met", "unmet" } }, { "notify", { "sent", "failed" } }, { "status", { "sent", "failed" } } };

    for (size_t i = 0; i < MU_COUNT(ways); i++)                   /* what never happens in a real run is never really sent */
        for (size_t k = 0; mu_same(ways[i].kind, kind) && ways[i].ways[k] != NULL && !mu_same(mu_json_str(step, "when"), "run.mode != 'real'"); k++)
            mark(b->wanted, id, ways[i].ways[k]);
    want_steps(b, json_object_get(step, "then"));
    want_steps(b, json_object_get(step, "else"));
    want_steps(b, json_object_get(step, "steps"));
    want_blocks(b, id, json_object_get(step, "cases"), true);
    want_blocks(b, id, json_object_get(step, "branches"), false);
    if (json_object_get(step, "default") != NULL)
        mark(b->wanted, id, "default");
    want_steps(b, json_object_get(step, "default"));
    if (mu_same(kind, "while"))
        mark(b->wanted, id, "max");
    if (mu_json_str(step, "block") != NULL)
        want_steps(b, json_object_get(json_object_get(b->doc, "blocks"), mu_json_str(step, "block")));
}

static void
want_step(book *b, const json_t *step)
{
    const json_t *deadline = json_object_get(step, "deadline");
    const char *kind = NULL, *id;

    for (size_t i = 0; i < MU_COUNT(kinds) && kind == NULL; i++)
        if (mu_json_str(step, kinds[i]) != NULL)
            kind = kinds[i];
    assert_non_null(kind);
    id = mu_json_str(step, kind);
    mark(b->wanted, id, NULL);
    if (json_object_get(step, "when") != NULL)
        mark(b->wanted, id, "guarded");
    if (json_object_get(deadline, "then") != NULL)
        mark(b->wanted, id, "late");
    if (json_object_get(step, "default_after") != NULL)
        mark(b->wanted, id, "default");
    want_kind(b, kind, id, step);
    want_steps(b, json_object_get(step, "on_reject"));
    want_steps(b, json_object_get(step, "on_error"));
    want_steps(b, json_object_get(deadline, "then"));
}

static void
want_steps(book *b, const json_t *steps)
{
    const json_t *step;
    size_t i;

    if (json_is_object(steps) && mu_json_str(steps, "block") != NULL)
        steps = json_object_get(json_object_get(b->doc, "blocks"), mu_json_str(steps, "block"));
    json_array_foreach(steps, i, step)
        want_step(b, step);
}

/* -- what was reached: read from the events ---------------------------------------------------------------------------------- */

static const char *
last_name(const char *path)
{
    const char *slash = path == NULL ? NULL : strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static const char *
kind_at(const walk *w, const json_t *event)
{
    const json_t *row = json_object_get(w->r.rows, mu_printf(w->r.arena, "%s#%lld", mu_json_str(event, "path"), (long long)mu_json_int(event, "occ", 1)));
    const char *kind = mu_json_str(row, "kind");

    return kind == NULL ? "" : kind;
}

static void
see_condition(const walk *w, const char *id, const char *kind, const json_t *data)
{
    const json_t *value = json_object_get(data, "value"), *reads = json_object_get(w->book->wanted, mu_printf(w->r.arena, "%s:%s", id,
        json_is_string(value) ? json_string_value(value) : "default"));

    if (mu_same(kind, "switch"))
        mark(w->book->seen, id, reads != NULL && json_is_string(value) ? json_string_value(value) : "default");
    else if (mu_same(kind, "if") && json_is_boolean(value))
        mark(w->book->seen, id, json_is_true(value) ? "then" : "else");
}

static void
see(const walk *w, const json_t *event)
{
    const char *name = mu_json_str(event, "kind"), *id = last_name(mu_json_str(event, "path")), *kind;
    const json_t *data = json_object_get(event, "data");
    static const struct { const char *event, *way; } plain[] = { { "round_started", "round" }, { "approval_given", "approved" }, { "approval_refused", "refused" } };

    if (id == NULL)
        return;
    kind = kind_at(w, event);
    for (size_t i = 0; i < MU_COUNT(plain); i++)
        if (mu_same(plain[i].event, name))
            mark(w->book->seen, id, plain[i].way);
    if (mu_same(name, "step_entered") || mu_same(name, "inject_delivered"))
        mark(w->book->seen, id, NULL);
    if (mu_same(name, "step_skipped") && mu_same(mu_json_str(data, "cause"), "when"))
        mark(w->book->seen, id, "guarded");
    if (mu_same(name, "condition_read"))
        see_condition(w, id, kind, data);
    if (mu_same(name, "loop_over"))
        mark(w->book->seen, id, mu_json_bool(data, "max", false) ? "max" : "over");
    if (mu_same(name, "effect_judged"))
        mark(w->book->seen, id, mu_json_bool(data, "met", false) ? "met" : "unmet");
    if (mu_same(name, "effect_done") || mu_same(name, "effect_failed"))
        mark(w->book->seen, id, mu_same(kind, "http") ? (mu_same(name, "effect_failed") ? "unmet" : NULL) : mu_same(name, "effect_done") ? "sent" : "failed");
    if (mu_same(name, "timer_fired") && mu_same(mu_json_str(data, "timer"), "default"))
        mark(w->book->seen, id, "default");
    if (mu_same(name, "timer_fired") && mu_same(mu_json_str(data, "timer"), "deadline"))
        mark(w->book->seen, id, "late");
}

/* -- telling the run ------------------------------------------------------------------------------------------------------- */

/* Failures that belong to the story: a refusal that asks, a bound that was reached, something that could not be sent. Everything else would be a slip
 * in a playbook or in the engine. */
static void
check_failure(const walk *w, const json_t *event)
{
    static const char *const fine[] = { "error.run.rejected", "error.run.effect" };
    const char *error = json_string_value(mu_json_at(event, "data.result.error"));
    bool known = false;

    for (size_t i = 0; i < MU_COUNT(fine); i++)
        known = known || mu_same(fine[i], error);
    if (!known)
        fail_msg("%s, seed %llu: %s failed: %s", w->book->file, (unsigned long long)seed, mu_json_str(event, "path"), error == NULL ? mu_json_text(w->r.arena, event) : error);
}

static bool
say(walk *w, const char *kind, const char *path, const char *who, const char *reason, const char *data)
{
    static const char *const awaited[] = { "notify", "status", "http", "child" };
    json_t *effect, *event;
    const char *key;
    size_t i, k, n;

    w->events++;
    if (!tell(&w->r, kind, path, who, reason, data))
        return false;
    json_array_foreach(json_object_get(w->r.result, "events"), i, event) {
        see(w, event);
        if (mu_same(mu_json_str(event, "kind"), "step_failed"))
            check_failure(w, event);
    }
    json_array_foreach(json_object_get(w->r.result, "effects"), i, effect) {
        bool waits = mu_same(mu_json_str(effect, "kind"), "child") || !mu_same(mu_json_str(effect, "delivery"), "simulate");
        for (k = 0, n = MU_COUNT(awaited); k < n && !mu_same(awaited[k], mu_json_str(effect, "kind")); k++)
            continue;
        if (waits && k < n)
            json_object_set(w->pending, mu_json_str(effect, "key"), effect);
    }
    json_array_foreach(json_object_get(w->r.result, "effects_cancelled"), i, event) {
        key = json_string_value(event);
        json_object_del(w->pending, key == NULL ? "" : key);
    }
    return true;
}

static bool is_open(const json_t *row) { return json_object_get(row, "started_seq") != NULL && json_object_get(row, "ended_at") == NULL; }

static bool
over(const walk *w)
{
    const char *s = run_status(&w->r);

    return mu_same(s, "succeeded") || mu_same(s, "failed") || mu_same(s, "aborted");
}

static const char *
path_of(const walk *w, const json_t *row)
{
    return mu_printf(w->r.arena, "%s#%lld", mu_json_str(row, "path"), (long long)mu_json_int(row, "occ", 1));
}

/* -- people ------------------------------------------------------------------------------------------------------------------ */

static json_t *
answer_field(const walk *w, const char *place, const json_t *field)
{
    static const int numbers[] = { 0, 1, 30, 70, 5000 };
    const char *type = mu_json_str(field, "type");
    const json_t *values = json_object_get(field, "values");
    const char *where = mu_printf(w->r.arena, "%s/%s", place, mu_json_str(field, "id"));

    if (mu_same(type, "int"))
        return json_integer(numbers[choose(w, where, MU_COUNT(numbers))]);
    if (mu_same(type, "bool"))
        return json_boolean(choose(w, where, 2) == 0);
    if (json_array_size(values) > 0)
        return json_incref(json_array_get(values, choose(w, where, json_array_size(values))));
    return json_string("as seen");
}

static const char *
form_values(const walk *w, const char *place, const json_t *form)
{
    json_t *values = mu_json_own(w->r.arena, json_object());
    const json_t *field;
    size_t i;

    json_array_foreach(form, i, field)
        if (mu_json_bool(field, "required", false) || often(90))
            json_object_set_new(values, mu_json_str(field, "id"), answer_field(w, place, field));
    return mu_json_text(w->r.arena, values);
}

static bool
work_items(walk *w, const json_t *row, const char *who)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(row, "items"), i, item) {
        const char *state = mu_json_str(item, "state");
        if (mu_same(state, "done") || mu_same(state, "not_applicable"))
            continue;
        return say(w, "item_check", path_of(w, row), who, NULL, mu_printf(w->r.arena, "{\"item\":\"%s\",\"state\":\"done\",\"values\":%s}", mu_json_str(item, "id"),
            form_values(w, mu_json_str(row, "step_id"), json_object_get(item, "form"))));
    }
    return false;
}

static bool
work_decide(walk *w, const json_t *row, const char *who)
{
    const json_t *options = json_object_get(row, "options"), *option = json_array_get(options, choose(w, mu_json_str(row, "step_id"), json_array_size(options)));
    const json_t *value = json_is_object(option) ? json_object_get(option, "value") : option;

    return say(w, "decide", path_of(w, row), who, NULL, mu_printf(w->r.arena, "{\"value\":%s}", mu_json_text(w->r.arena, value)));
}

static bool
work_approve(walk *w, const json_t *row, const char *who)
{
    if (choose(w, mu_json_str(row, "step_id"), 100) < mind.refuse)
        return say(w, "refuse", path_of(w, row), who, "this will not do as it stands", NULL);
    return say(w, "approve", path_of(w, row), who, NULL, NULL);
}

/* The commander answers a step that asks: once more, or on without it; critical steps need a second person. */
static bool
answer_ask(walk *w, const json_t *row)
{
    const char *what = often(50) ? "retry" : "skip", *path = path_of(w, row);

    if (!say(w, what, path, "commander", "we have to go on now", NULL))
        return say(w, "skip", path, "commander", "we have to go on now", NULL);
    if (mu_same(what, "skip") && is_open(json_object_get(w->r.rows, path)))
        (void)say(w, "skip", path, "commander2", "we have to go on now", NULL);
    return true;
}

static bool
work(walk *w, const json_t *row)
{
    const char *kind = mu_json_str(row, "kind"), *role = mu_json_str(row, "role"), *who = role == NULL ? "commander" : role;

    w->r.now += (mu_instant)pick(mind.minutes * 60 + 1) * MU_SECOND;
    if (mu_same(kind, "task"))
        return say(w, "task_done", path_of(w, row), who, NULL, mu_printf(w->r.arena, "{\"values\":%s,\"evidence\":[{\"kind\":\"link\",\"ref\":\"https://x.example\"}]}",
            form_values(w, mu_json_str(row, "step_id"), json_object_get(row, "form"))));
    if (mu_same(kind, "checklist"))
        return work_items(w, row, who);
    if (mu_same(kind, "decide"))
        return work_decide(w, row, who);
    if (mu_same(kind, "approve"))
        return work_approve(w, row, json_string_value(mu_json_at(row, "approve.role")));
    if (mu_same(kind, "report"))
        return say(w, "approve", path_of(w, row), "executive", NULL, NULL) || say(w, "report_filed", path_of(w, row), who, NULL, "{\"number\":\"2026-1\",\"channel\":\"phone\"}");
    return false;
}

/* -- time and the outside ---------------------------------------------------------------------------------------------------- */

static bool
fire_next(walk *w)
{
    const json_t *next = NULL;
    const char *key, *due = NULL;
    json_t *timer;
    mu_instant at;

    json_object_foreach(w->r.armed, key, timer)
        if (due == NULL || strcmp(mu_json_str(timer, "due"), due) < 0) {
            next = timer;
            due = mu_json_str(timer, "due");
        }
    if (next == NULL)
        return false;
    assert_true(mu_time_parse(due, &at));
    w->r.now = at > w->r.now ? at : w->r.now;
    return say(w, "timer_fired", path_of(w, next), "timer", NULL, mu_printf(w->r.arena, "{\"timer\":\"%s\",\"n\":%lld}", mu_json_str(next, "kind"),
        (long long)mu_json_int(next, "n", 0)));
}

static json_t *play(book *b, const char *mode, const json_t *params, unsigned depth, mu_arena *arena, mu_instant *now);

static book *
book_of(const char *slug)
{
    for (size_t i = 0; i < book_count; i++)
        if (mu_same(mu_playbook_id(books[i].pb), slug))
            return &books[i];
    fail_msg("no playbook is called %s", slug);
    return NULL;
}

static bool
call_child(walk *w, const json_t *effect, const char *path, const char *key)
{
    const json_t *data = json_object_get(effect, "data"), *state;
    json_t *vars = mu_json_own(w->r.arena, json_object()), *slot;
    const char *name;

    assert_true(say(w, "child_started", path, "effect", NULL, mu_printf(w->r.arena, "{\"key\":\"%s\",\"run\":\"C1\",\"version\":1,\"hash\":\"h\"}", key)));
    state = play(book_of(mu_json_str(data, "playbook")), w->r.mode, json_object_get(data, "params"), w->depth + 1, w->r.arena, &w->r.now);
    json_object_foreach(json_object_get(state, "vars"), name, slot)
        json_object_set(vars, name, json_object_get(slot, "value"));
    return say(w, "child_ended", path, "effect", NULL, mu_printf(w->r.arena, "{\"key\":\"%s\",\"run\":\"C1\",\"status\":\"%s\",\"outcome\":\"%s\",\"vars\":%s}", key,
        mu_json_str(state, "status"), mu_json_str(state, "outcome") == NULL ? "" : mu_json_str(state, "outcome"), mu_json_text(w->r.arena, vars)));
}

static bool
answer_effect(walk *w)
{
    size_t at = pick(json_object_size(w->pending));
    const char *key = NULL;
    json_t *effect = NULL;

    json_object_foreach(w->pending, key, effect)
        if (at-- == 0)
            break;
    key = mu_strdup(w->r.arena, key);
    effect = mu_json_own(w->r.arena, json_incref(effect));
    json_object_del(w->pending, key);
    const char *path = path_of(w, effect), *kind = mu_json_str(effect, "kind");
    if (mu_same(kind, "child"))
        return call_child(w, effect, path, key);
    if (often(mind.fail))
        return say(w, "effect_failed", path, "effect", NULL, mu_printf(w->r.arena, "{\"key\":\"%s\",\"error\":\"unreachable\",\"unknown\":false,\"jitter\":0}", key));
    return say(w, "effect_done", path, "effect", NULL, mu_printf(w->r.arena, "{\"key\":\"%s\",\"result\":{\"status\":200,\"headers\":{},\"body\":{\"ok\":%s}},\"jitter\":0}", key,
        often(50) ? "true" : "false"));
}

static bool
answer_wait(walk *w)
{
    const char *key;
    json_t *row;

    json_object_foreach(w->r.rows, key, row)
        if (is_open(row) && mu_json_str(row, "event") != NULL)
            return say(w, "signal", NULL, "duty", NULL, mu_printf(w->r.arena, "{\"name\":\"%s\"}", mu_json_str(row, "event")));
    return false;
}

/* Two people say that they have seen the notice, one after the other. */
static bool
acknowledge(walk *w)
{
    const char *key;
    json_t *row;

    json_object_foreach(w->r.rows, key, row)
        if (is_open(row) && mu_json_at(row, "notify.ack") != NULL)
            return say(w, "acknowledge", path_of(w, row), often(50) ? "duty" : "comms", NULL, NULL);
    return false;
}

static bool
one_event(walk *w)
{
    const char *key;
    json_t *row, *mine[200];
    size_t n = 0;

    if (often(mind.timers) && fire_next(w))
        return true;
    if (json_object_size(w->pending) > 0 && often(60))
        return answer_effect(w);
    json_object_foreach(w->r.rows, key, row)
        if (is_open(row) && n < MU_COUNT(mine)) {
            if (mu_json_bool(row, "asks", false) || mu_same(mu_json_str(row, "kind"), "task") || mu_same(mu_json_str(row, "kind"), "checklist")
                || mu_same(mu_json_str(row, "kind"), "decide") || mu_same(mu_json_str(row, "kind"), "approve") || mu_same(mu_json_str(row, "kind"), "report"))
                mine[n++] = row;
        }
    if (n > 0) {
        row = mine[pick(n)];
        return mu_json_bool(row, "asks", false) ? answer_ask(w, row) : work(w, row);
    }
    if (json_object_size(w->pending) > 0)
        return answer_effect(w);
    return (often(60) && (answer_wait(w) || acknowledge(w))) || fire_next(w) || answer_wait(w) || acknowledge(w);
}

/* -- runs -------------------------------------------------------------------------------------------------------------------- */

static const char *
roles_of(mu_arena *arena, const book *b)
{
    json_t *roles = mu_json_own(arena, json_object());
    const char *role;
    json_t *ignored;

    json_object_foreach(json_object_get(b->doc, "roles"), role, ignored)
        json_object_set_new(roles, role, mu_same(role, "commander") ? json_pack("[{s:s, s:s}, {s:s, s:s}]", "id", "commander", "name", "C", "id", "commander2", "name", "D")
            : json_pack("[{s:s, s:s}]", "id", role, "name", role));
    return mu_json_text(arena, roles);
}

/* What a run form or a caller would give: those of a form at random, required times as "some minutes ago". */
static const char *
given(const walk *w, const json_t *vars, bool params, mu_instant now)
{
    json_t *values = mu_json_own(w->r.arena, json_object()), *var;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)vars, name, var) {
        const char *type = mu_json_str(var, "type");
        const json_t *list = json_object_get(var, "values");
        if (!params && !mu_same(mu_json_str(var, "from"), "form"))
            continue;
        if (mu_same(type, "enum"))
            json_object_set(values, name, json_array_get(list, pick(json_array_size(list))));
        else if (mu_same(type, "bool"))
            json_object_set_new(values, name, json_boolean(often(50)));
        else if (mu_same(type, "int"))
            json_object_set_new(values, name, json_integer(often(50) ? 3 : 300));
        else if (mu_same(type, "datetime"))
            json_object_set_new(values, name, json_string(mu_time_format(w->r.arena, now - (mu_instant)(often(50) ? 3 : 3000) * 60 * MU_SECOND)));
    }
    return mu_json_text(w->r.arena, values);
}

static bool
begin(walk *w, const json_t *params)
{
    const char *profile = often(80) ? "{\"first_report_due\":\"30m\",\"nfra-it-incident.first_report_due\":\"30m\",\"nfra-it-incident.written\":\"12h\",\"nfra-it-incident.progress\":\"2h\","
        "\"cac-cyber.first_report_due\":\"1h\",\"cac-cyber.summary\":\"30d\"}" : "{}";

    return say(w, "run_created", NULL, "duty", NULL, mu_printf(w->r.arena, "{\"run\":{\"id\":\"R1\",\"title\":{\"zh\":\"演\",\"en\":\"Run\"},\"mode\":\"%s\",\"url\":\"https://m.example/r\","
        "\"severity\":\"II\"},\"incident\":{\"id\":\"INC-2026-0001\",\"title\":\"down\"},\"org\":{\"name\":\"Bank\"},\"engine\":2,\"roles\":%s,\"vars\":%s,\"params\":%s,\"profile\":%s,"
        "\"settings\":{\"utc_offset\":28800}}", w->r.mode, roles_of(w->r.arena, w->book), given(w, json_object_get(w->book->doc, "vars"), false, w->r.now),
        params != NULL ? mu_json_text(w->r.arena, params) : given(w, json_object_get(w->book->doc, "params"), true, w->r.now), profile));
}

static json_t *
play(book *b, const char *mode, const json_t *params, unsigned depth, mu_arena *arena, mu_instant *now)
{
    walk w = { .book = b, .r = run_new(arena, b->pb, mode), .pending = mu_json_own(arena, json_object()), .depth = depth };
    unsigned stuck = 0;

    assert_true(depth <= DEPTH_MOST);
    if (*now != 0)
        w.r.now = *now;
    if (!begin(&w, params))
        fail_msg("%s cannot start: %s", b->file, mu_json_text(arena, w.r.result));
    while (!over(&w) && w.events < EVENTS_MOST && stuck < 200)
        stuck = one_event(&w) ? 0 : stuck + 1;
    if (!over(&w))
        fail_msg("%s, seed %llu: the run does not end after %u events; last answer %s", b->file, (unsigned long long)seed, w.events, mu_json_text(arena, w.r.result));
    assert_int_equal(json_object_size(w.r.armed), 0);
    if (depth == 0 && b->runs % 16 == 0)
        replays(&w.r);
    *now = w.r.now;
    return w.r.state;
}

static size_t
missing(const book *b, char **ret_list)
{
    const char *name;
    json_t *ignored;
    size_t n = 0;

    *ret_list = mu_strdup(forever, "");
    json_object_foreach(b->wanted, name, ignored)
        if (json_object_get(b->seen, name) == NULL) {
            *ret_list = mu_printf(forever, "%s %s", *ret_list, name);
            n++;
        }
    return n;
}

static void
walk_book(book *b, unsigned most)
{
    static const char *const modes[] = { "real", "drill", "rehearsal" };
    char *list;

    for (b->runs = 0; b->runs < most && missing(b, &list) > 0; b->runs++) {
        mu_arena *arena = mu_arena_new(ARENA_BYTES);
        mu_instant now = 0;
        mind = (mood){ .salt = next_random(&seed), .sticky = (unsigned)pick(3) * 45 + 5, .refuse = (unsigned)pick(3) * 30, .fail = often(30) ? 60 : 5,
            .timers = (unsigned)(often(50) ? 1 : often(70) ? 20 : 85), .minutes = (unsigned)(often(60) ? 3 : 90) };
        (void)play(b, modes[b->runs % MU_COUNT(modes)], NULL, 0, arena, &now);
        mu_arena_free(arena);
    }
}

/* -- the library ------------------------------------------------------------------------------------------------------------- */

static void
load(const char *folder, const char *name)
{
    book *b = &books[book_count];
    mu_findings findings;
    size_t n;
    char *text;
    json_t *doc;
    const json_t *list;

    assert_true(book_count < BOOKS_MOST);
    snprintf(b->file, sizeof b->file, "playbooks/%s/%s", folder, name);
    text = read_file(forever, b->file, &n);
    mu_findings_start(&findings, forever);
    (void)mu_playbook_read(forever, text, n, &findings, &doc, &b->pb);
    if (b->pb == NULL || findings.errors + findings.warnings > 0)
        fail_msg("%s: %s", b->file, mu_json_text(forever, mu_findings_json(&findings)));
    b->doc = mu_playbook_document(b->pb);
    b->wanted = mu_json_own(forever, json_object());
    b->seen = mu_json_own(forever, json_object());
    want_steps(b, json_object_get(b->doc, "steps"));
    want_steps(b, json_object_get(b->doc, "on_error"));
    list = json_object_get(b->doc, "injects");
    want_steps(b, list);
    book_count++;
}

static void
load_folder(const char *folder)
{
    char path[300];
    DIR *dir;

    snprintf(path, sizeof path, "%s/playbooks/%s", SOURCE_DIR, folder);
    dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir))
        if (strstr(entry->d_name, ".yaml") != NULL)
            load(folder, entry->d_name);
    closedir(dir);
}

static void
test_library(void **state)
{
    const char *only = getenv("MU_ONLY"), *runs = getenv("MU_RUNS"), *from = getenv("MU_SEED");
    size_t left = 0, branches = 0;
    unsigned played = 0;
    char *list;

    (void)state;
    seed = from == NULL ? UINT64_C(20261125) : strtoull(from, NULL, 10);
    load_folder("blocks");
    load_folder("drill");
    load_folder("incident");
    assert_true(book_count >= 28);
    for (size_t i = 0; i < book_count; i++)
        if (only == NULL || mu_same(only, mu_playbook_id(books[i].pb)))
            walk_book(&books[i], runs == NULL ? 2000 : (unsigned)strtoul(runs, NULL, 10));
    for (size_t i = 0; i < book_count; i++) {
        size_t n = missing(&books[i], &list);
        if (only != NULL && !mu_same(only, mu_playbook_id(books[i].pb)))
            continue;
        branches += json_object_size(books[i].wanted);
        played += books[i].runs;
        left += n;
        if (n > 0)
            print_error("%s: not reached in %u runs:%s\n", books[i].file, books[i].runs, list);
    }
    print_message("%zu playbooks, %zu branches, %u runs\n", book_count, branches, played);
    assert_int_equal(left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_library) };
    int failed;

    forever = mu_arena_new(ARENA_BYTES);
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    mu_arena_free(forever);
    return failed;
}
