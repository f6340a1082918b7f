/* apply(): the event is checked, handed to its handler, and what came of it is packed up. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

typedef struct {
    const char *kind;
    bool (*step)(mu_motion *m, mu_inst *inst);    /* for events that name a step */
    bool (*run)(mu_motion *m);                    /* for events that do not */
    bool power;                                   /* refused once the run is over */
    bool command;                                 /* of the commander: may use the last of the state's room */
} handler;

static bool on_effect_done(mu_motion *m, mu_inst *inst) { return mu_effect_settled(m, inst, true); }
static bool on_effect_failed(mu_motion *m, mu_inst *inst) { return mu_effect_settled(m, inst, false); }

static const handler handlers[] = {
    { "run_created", NULL, mu_on_run_created, true, false },
    { "item_check", mu_on_item_check, NULL, true, false },
    { "task_done", mu_on_task_done, NULL, true, false },
    { "decide", mu_on_decide, NULL, true, false },
    { "approve", mu_on_approve, NULL, true, false },
    { "refuse", mu_on_refuse, NULL, true, false },
    { "report_filed", mu_on_report_filed, NULL, true, false },
    { "evidence_added", mu_on_evidence, NULL, true, false },
    { "acknowledge", mu_on_acknowledge, NULL, true, false },
    { "signal", NULL, mu_on_signal, true, false },
    { "skip", mu_on_skip, NULL, true, true },
    { "override", mu_on_override, mu_on_override_var, true, true },
    { "retry", mu_on_retry, NULL, true, true },
    { "reopen", mu_on_reopen, NULL, true, false },
    { "pause", NULL, mu_on_pause, true, true },
    { "resume", NULL, mu_on_resume, true, true },
    { "severity_changed", NULL, mu_on_severity, true, true },
    { "role_filled", NULL, mu_on_role_filled, true, false },
    { "choose_branch", mu_on_choose_branch, NULL, true, true },
    { "reassign", mu_on_reassign, NULL, true, false },
    { "adhoc_step", mu_on_adhoc, mu_on_adhoc_run, true, false },
    { "hand_over", NULL, mu_on_hand_over, true, false },
    { "stop_drill", NULL, mu_on_stop_drill, true, true },
    { "inject_deliver", mu_on_inject_deliver, NULL, true, false },
    { "inject_judged", mu_on_inject_judged, NULL, false, false },
    { "note_added", NULL, mu_on_note, false, false },
    { "abort", NULL, mu_on_abort, true, true },
    { "clock_changed", NULL, mu_on_clock, true, true },
    { "timer_fired", mu_timer_fired, NULL, false, false },
    { "effect_done", on_effect_done, NULL, false, false },
    { "effect_failed", on_effect_failed, NULL, false, false },
    { "child_started", mu_on_child_started, NULL, false, false },
    { "child_ended", mu_on_child_ended, NULL, false, false },
};

static const handler *
find_handler(const char *kind)
{
    for (size_t i = 0; i < MU_COUNT(handlers); i++)
        if (mu_same(handlers[i].kind, kind))
            return &handlers[i];
    return NULL;
}

static json_t *
first_state(mu_arena *arena)
{
    return mu_json_own(arena, json_pack("{s:i, s:i, s:s, s:n, s:{}, s:{}, s:{}, s:{}, s:{}, s:{}, s:{}, s:{}, s:{}}", "v", MU_ENGINE_VERSION,
        "seq", 0, "status", "running", "outcome", "run", "incident", "org", "vars", "roles", "milestones", "clocks", "occ", "steps"));
}

/* The event in hand becomes the first of the events out. */
static void
log_input(mu_motion *m)
{
    static const char *const members[] = { "kind", "path", "occ", "actor", "reason", "key" };
    json_t *event = json_object();

    json_array_append_new(m->events, event);
    json_object_set_new(m->state, "seq", json_integer(mu_seq(m) + 1));
    json_object_set_new(event, "seq", json_integer(mu_seq(m)));
    json_object_set_new(event, "at", json_string(m->at));
    for (size_t i = 0; i < MU_COUNT(members); i++) {
        json_t *value = json_object_get(m->event, members[i]);
        if (value != NULL && !json_is_null(value))
            json_object_set(event, members[i], value);
    }
    json_object_set_new(event, "data", json_is_object(m->data) ? json_incref((json_t *)(uintptr_t)m->data) : json_object());
    json_object_set_new(event, "input", json_true());
}

static bool
dispatch(mu_motion *m, const handler *h)
{
    const char *path = mu_json_str(m->event, "path");
    const mu_node *node;
    mu_inst inst;

    if (h->power && mu_run_over(m))
        return mu_refuse(m, "conflict", "error.run.over", "");
    if (path == NULL || h->step == NULL)
        return h->run != NULL ? h->run(m) : mu_refuse(m, "invalid", "error.run.no_step", "/path");
    node = mu_path_node(m, path);
    if (node == NULL)
        return mu_refuse(m, "not_found", "error.run.no_step", "/path");
    inst = mu_inst_get(m, node, mu_json_int(m->event, "occ", 1));
    if (inst.rec == NULL)
        return mu_refuse(m, "not_found", "error.run.not_begun", "/path");
    return h->step(m, &inst);
}

/* -- the outcome ----------------------------------------------------------------------------------------------------------- */

static void
count_askers(mu_motion *m, mu_inst inst, void *closure)
{
    size_t *counts = closure;                     /* leaves that are open; of these, leaves that ask */
    bool leaf = inst.node->block_count == 0 || mu_is_status(&inst, "waiting") || mu_json_bool(inst.rec, "asks", false);
    bool beside = inst.node->kind == MU_K_INJECT && inst.node->block->kind == MU_BLOCK_ASIDE;

    (void)m;
    if (leaf && !beside && mu_inst_open(&inst)) {
        counts[0]++;
        counts[1] += mu_json_bool(inst.rec, "asks", false);
    }
}

/* waiting: nothing can go on without the commander. */
static void
settle_status(mu_motion *m)
{
    size_t counts[2] = { 0, 0 };

    if (mu_run_over(m) || mu_run_paused(m))
        return;
    mu_inst_each(m, count_askers, counts);
    json_object_set_new(m->state, "status", json_string(counts[0] > 0 && counts[0] == counts[1] ? "waiting" : "running"));
}

static json_t *
changed_rows(mu_motion *m)
{
    json_t *rows = json_array();
    const json_t *counts = json_object_get(m->state, "occ");

    for (size_t i = 0; i < m->node_count; i++) {
        const mu_node *node = m->nodes[i];
        int64_t last = mu_json_int(counts, node->path, 0);
        if (json_object_get(m->dirty, node->path) != NULL) {
            json_t *pending = mu_project_pending(m, node);
            if (pending != NULL)
                json_array_append_new(rows, pending);
        }
        for (int64_t occ = 1; occ <= last; occ++) {
            mu_inst inst = mu_inst_get(m, node, occ);
            if (inst.rec != NULL && json_object_get(m->dirty, inst.key) != NULL)
                json_array_append_new(rows, mu_project_inst(m, inst));
        }
    }
    return rows;
}

/* A timer armed and cancelled in the same call needs neither. */
static json_t *
kept_timers(mu_motion *m)
{
    json_t *kept = json_array(), *armed;
    size_t i;

    json_array_foreach(m->arm, i, armed) {
        mu_inst inst = mu_inst_key(m, mu_key(m->arena, mu_json_str(armed, "path"), mu_json_int(armed, "occ", 0)));
        const json_t *timers = json_object_get(inst.rec, "timers");
        char *name = mu_printf(m->arena, "%s/%lld", mu_json_str(armed, "kind"), (long long)mu_json_int(armed, "n", 0));
        if (mu_same(mu_json_str(timers, name), mu_json_str(armed, "due")))
            json_array_append(kept, armed);
    }
    return kept;
}

static json_t *
pack(mu_motion *m)
{
    json_t *result = mu_json_own(m->arena, json_object()), *timers = json_object();

    json_object_set(result, "state", m->state);
    json_object_set(result, "status", json_object_get(m->state, "status"));
    json_object_set_new(result, "late", json_boolean(m->late));
    json_object_set(result, "events", m->events);
    json_object_set_new(result, "steps", changed_rows(m));
    json_object_set(result, "effects", m->effects);
    json_object_set(result, "effects_cancelled", m->cancelled);
    json_object_set_new(result, "timers", timers);
    json_object_set_new(timers, "arm", kept_timers(m));
    json_object_set(timers, "cancel", m->disarm);
    return result;
}

static mu_motion
motion_for(mu_arena *arena, const mu_playbook *pb, json_t *state)
{
    mu_motion m = { .arena = arena, .pb = pb, .state = state, .budget = MU_MOTION_BUDGET };

    m.steps = json_object_get(state, "steps");
    m.events = mu_json_own(arena, json_array());
    m.effects = mu_json_own(arena, json_array());
    m.cancelled = mu_json_own(arena, json_array());
    m.arm = mu_json_own(arena, json_array());
    m.disarm = mu_json_own(arena, json_array());
    m.dirty = mu_json_own(arena, json_object());
    m.agenda = mu_json_own(arena, json_array());
    mu_adhoc_nodes(&m);
    return m;
}

/* What every event must have; anything else is the caller's mistake, not a user's. */
static bool
well_formed(const json_t *state, const json_t *event, mu_instant *ret_now)
{
    const char *at = mu_json_str(event, "at"), *kind = mu_json_str(event, "kind"), *actor;
    const json_t *occ = json_object_get(event, "occ"), *data = json_object_get(event, "data");
    bool first = mu_same(kind, "run_created");

    actor = mu_json_str(json_object_get(event, "actor"), "kind");
    if (!json_is_object(event) || kind == NULL || at == NULL || actor == NULL || !mu_time_parse(at, ret_now))
        return false;
    if (occ != NULL && !json_is_null(occ) && (!json_is_integer(occ) || json_integer_value(occ) < 1 || json_integer_value(occ) > MU_OCCURRENCES))
        return false;
    if (data != NULL && !json_is_null(data) && !json_is_object(data))
        return false;
    return first ? state == NULL : json_is_object(state) && json_is_object(json_object_get(state, "steps"));
}

/* How large the state may be after this event. People leave room for the commander and for what machines have to say. */
static size_t
room_for(const mu_motion *m, const handler *h)
{
    bool person = mu_same(mu_json_str(m->actor, "kind"), "user") || mu_same(mu_json_str(m->actor, "kind"), "api");

    return person && !h->command ? MU_STATE_BYTES / 8 * 7 : MU_STATE_BYTES;
}

/* One attempt, on a copy of the state. */
static mu_motion
attempt(mu_arena *arena, const mu_playbook *pb, const json_t *state, const json_t *event, mu_instant now, const handler *h, bool lean)
{
    mu_motion m = motion_for(arena, pb, state == NULL ? first_state(arena) : mu_json_own(arena, json_deep_copy(state)));

    if (json_object_get(m.state, "second") == NULL)
        json_object_set_new(m.state, "second", json_object());
    m.event = event;
    m.data = json_object_get(event, "data");
    m.actor = json_object_get(event, "actor");
    m.now = now;
    m.at = mu_time_format(arena, now);
    m.lean = lean;
    log_input(&m);
    if (dispatch(&m, h)) {
        mu_settle(&m);
        mu_injects_plan(&m);
        mu_settle(&m);                            /* an inject that was due at once may have been a step's business */
        settle_status(&m);
        m.size = json_dumpb(m.state, NULL, 0, JSON_COMPACT);
    } else {
        m.size = 0;
    }
    return m;
}

mu_err
mu_apply(mu_arena *arena, const mu_playbook *pb, const json_t *state, const json_t *event, json_t **ret)
{
    const handler *h = find_handler(mu_json_str(event, "kind"));
    mu_instant now;
    mu_motion m;

    *ret = NULL;
    if (h == NULL || !well_formed(state, event, &now))
        return MU_MALFORMED;
    m = attempt(arena, pb, state, event, now, h, false);
    if (m.refusal == NULL && m.size > room_for(&m, h))       /* once more, without beginning another round of a loop */
        m = attempt(arena, pb, state, event, now, h, true);
    if (m.refusal == NULL && m.size > room_for(&m, h))
        mu_refuse(&m, "conflict", "error.run.too_large", "");
    *ret = m.refusal != NULL ? m.refusal : pack(&m);
    return MU_OK;
}

json_t *
mu_apply_steps(mu_arena *arena, const mu_playbook *pb, const json_t *state)
{
    mu_motion m = motion_for(arena, pb, mu_json_own(arena, json_deep_copy(state)));

    return mu_project_all(&m);
}

json_t *
mu_playbook_outline(mu_arena *arena, const mu_playbook *pb)
{
    mu_motion m = motion_for(arena, pb, first_state(arena));

    return mu_project_all(&m);
}

json_t *
mu_apply_timers(mu_arena *arena, const json_t *state)
{
    const json_t *steps = json_object_get(state, "steps");
    json_t *rows = mu_json_own(arena, json_array());
    size_t n, k;
    const char **keys = mu_sorted_keys(arena, steps, &n);

    for (size_t i = 0; i < n; i++) {
        const json_t *timers = json_object_get(json_object_get(steps, keys[i]), "timers");
        const char **names = mu_sorted_keys(arena, timers, &k), *hash = strrchr(keys[i], '#');
        int64_t occ = 1, number;
        for (size_t j = 0; j < k && hash != NULL; j++) {
            const char *slash = strrchr(names[j], '/');
            if (slash == NULL || !mu_parse_int(hash + 1, 1, INT32_MAX, &occ) || !mu_parse_int(slash + 1, 0, INT32_MAX, &number))
                continue;
            json_array_append_new(rows, json_pack("{s:s%, s:I, s:s%, s:I, s:s?}", "path", keys[i], (size_t)(hash - keys[i]),
                "occ", (json_int_t)occ, "kind", names[j], (size_t)(slash - names[j]), "n", (json_int_t)number,
                "due", mu_json_str(timers, names[j])));
        }
    }
    return rows;
}
