/* What people do with their steps: tick, finish, decide, approve, file. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define VALUE_MOST    4000             /* characters of one value or note */
#define EVIDENCE_MOST 100              /* attachments of one step */

/* The step must be open, running and of that kind. */
static bool
at_work(mu_motion *m, const mu_inst *inst, mu_kind kind)
{
    if (inst->node->kind != kind)
        return mu_refuse(m, "conflict", "error.run.wrong_kind", "");
    if (!mu_inst_open(inst) || mu_is_status(inst, "ready") || mu_json_bool(inst->rec, "asks", false))
        return mu_refuse(m, "conflict", mu_inst_open(inst) ? "error.run.not_open" : "error.run.step_closed", "");
    return mu_may_act(m, inst);
}

static bool
short_text(const json_t *json)
{
    const char *text = json_string_value(json);

    return text != NULL && mu_utf8_count(text, strlen(text)) <= VALUE_MOST;
}

/* -- forms ----------------------------------------------------------------------------------------------------------------- */

/* A value of a field that sets no variable: anything small. */
static bool
plain_value(const json_t *value)
{
    return json_is_boolean(value) || json_is_integer(value) || short_text(value);
}

static bool
field_value(mu_motion *m, const json_t *field, const json_t *value, const char *pointer, mu_value *ret)
{
    const mu_var *var = mu_var_find(m->pb, mu_json_str(field, "var") == NULL ? "" : mu_json_str(field, "var"));

    if (!plain_value(value))
        return mu_refuse(m, "invalid", "error.run.value", pointer);
    if (var != NULL && !mu_value_from_json(m->arena, value, &var->type, ret)) {
        const char *text = json_string_value(value);      /* forms send text only */
        int64_t number;
        if (var->type.kind == MU_T_INT && text != NULL && mu_parse_int(text, INT64_MIN, INT64_MAX, &number))
            *ret = (mu_value){ .kind = MU_T_INT, .number = number };
        else if (var->type.kind == MU_T_BOOL && (mu_same(text, "true") || mu_same(text, "false")))
            *ret = (mu_value){ .kind = MU_T_BOOL, .number = mu_same(text, "true") };
        else
            return mu_refuse(m, "invalid", "error.run.value", pointer);
    }
    return true;
}

/* Checks all fields first, then sets the variables: a form is taken whole or not at all. */
static bool
fill_form(mu_motion *m, const mu_inst *inst, const json_t *form, const json_t *values)
{
    mu_value *read = mu_alloc(m->arena, (json_array_size(form) + 1) * sizeof *read);
    const json_t *field;
    const char *name;
    json_t *value;
    size_t i, known = 0;

    json_array_foreach(form, i, field) {
        const char *id = mu_json_str(field, "id"), *pointer = mu_pointer(m->arena, "/values", id == NULL ? "" : id);
        value = id == NULL ? NULL : json_object_get(values, id);
        known += value != NULL;
        if (value == NULL && mu_json_bool(field, "required", false))
            return mu_refuse(m, "invalid", "error.required", pointer);
        if (value != NULL && !field_value(m, field, value, pointer, &read[i]))
            return false;
    }
    if (known != json_object_size(values))
        json_object_foreach((json_t *)(uintptr_t)values, name, value) {
            bool found = false;
            json_array_foreach(form, i, field)
                found = found || mu_same(mu_json_str(field, "id"), name);
            if (!found)
                return mu_refuse(m, "invalid", "error.unknown_field", mu_pointer(m->arena, "/values", name));
        }
    json_array_foreach(form, i, field) {
        const char *id = mu_json_str(field, "id");
        const mu_var *var = mu_var_find(m->pb, mu_json_str(field, "var") == NULL ? "" : mu_json_str(field, "var"));
        if (var != NULL && id != NULL && json_object_get(values, id) != NULL)
            mu_var_set(m, inst, var, &read[i]);
    }
    return true;
}

static bool
add_evidence(mu_motion *m, mu_inst *inst, const json_t *list)
{
    json_t *kept = json_object_get(inst->rec, "ev");
    const json_t *one;
    size_t i;

    if (list == NULL)
        return true;
    if (!json_is_array(list) || json_array_size(list) + json_array_size(kept) > EVIDENCE_MOST)
        return mu_refuse(m, "invalid", "error.run.evidence_list", "/evidence");
    json_array_foreach(list, i, one) {
        const char *ref = mu_json_str(one, "ref"), *name = mu_json_str(one, "name");
        bool sound = (ref != NULL && short_text(json_object_get(one, "ref"))) || (name != NULL && short_text(json_object_get(one, "name")));
        if (!sound)
            return mu_refuse(m, "invalid", "error.run.evidence_list", mu_pointer_at(m->arena, "/evidence", i));
    }
    if (kept == NULL && json_array_size(list) > 0) {
        kept = json_array();
        json_object_set_new(inst->rec, "ev", kept);
    }
    json_array_foreach(list, i, one)
        json_array_append_new(kept, json_pack("{s:s?, s:s?, s:s?, s:o, s:s}", "kind", mu_json_str(one, "kind"), "name", mu_json_str(one, "name"),
            "ref", mu_json_str(one, "ref"), "by", mu_person(m->actor), "at", m->at));
    mu_dirty(m, inst);
    return true;
}

bool
mu_on_evidence(mu_motion *m, mu_inst *inst)
{
    if (!mu_kind_person(inst->node->kind))
        return mu_refuse(m, "conflict", "error.run.wrong_kind", "");
    if (json_array_size(json_object_get(m->data, "evidence")) == 0)
        return mu_refuse(m, "invalid", "error.required", "/evidence");
    return mu_may_act(m, inst) && add_evidence(m, inst, json_object_get(m->data, "evidence"));
}

/* What counts: everything, or only what is of the types asked for. */
static int64_t
attached(const mu_motion *m, const mu_inst *inst)
{
    const json_t *types = json_object_get(json_object_get(inst->node->json, "evidence"), "types"), *one;
    int64_t count = 0;
    size_t i;

    json_array_foreach(json_object_get(inst->rec, "ev"), i, one) {
        const char *kind = mu_json_str(one, "kind");
        bool fits = mu_rules(m) < 2 || json_array_size(types) == 0 || kind == NULL;
        for (size_t j = 0; j < json_array_size(types) && !fits; j++)
            fits = mu_same(json_string_value(json_array_get(types, j)), kind);
        count += fits;
    }
    return count;
}

static bool
enough_evidence(mu_motion *m, const mu_inst *inst)
{
    if (attached(m, inst) >= inst->node->evidence)
        return true;
    return mu_refuse(m, "invalid", "error.run.evidence", "/evidence");
}

static void
close_by(mu_motion *m, mu_inst *inst, json_t *result)
{
    json_object_set_new(inst->rec, "by", mu_person(m->actor));
    mu_close(m, inst, "done", NULL, result, true);
}

/* -- tasks and checklists -------------------------------------------------------------------------------------------------- */

bool
mu_on_task_done(mu_motion *m, mu_inst *inst)
{
    const json_t *values = json_object_get(m->data, "values"), *note = json_object_get(m->data, "note");
    json_t *result;

    if (!at_work(m, inst, MU_K_TASK))
        return false;
    if (note != NULL && !short_text(note))
        return mu_refuse(m, "invalid", "error.run.value", "/note");
    if (!add_evidence(m, inst, json_object_get(m->data, "evidence")) || !enough_evidence(m, inst)
        || !fill_form(m, inst, json_object_get(inst->node->json, "form"), values))
        return false;
    result = json_object();
    if (json_object_size(values) > 0)
        json_object_set(result, "values", (json_t *)(uintptr_t)values);
    if (note != NULL)
        json_object_set(result, "note", (json_t *)(uintptr_t)note);
    close_by(m, inst, result);
    return true;
}

static const json_t *
find_item(const mu_inst *inst, const char *id)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(inst->node->json, "items"), i, item)
        if (id != NULL && mu_same(mu_json_str(item, "id"), id))
            return item;
    return NULL;
}

static bool
tick(mu_motion *m, mu_inst *inst, const json_t *item, const char *state)
{
    json_t *ticks = json_object_get(inst->rec, "items"), *made;
    const json_t *value = json_object_get(m->data, "value"), *values = json_object_get(m->data, "values");
    const char *id = mu_json_str(item, "id");

    if (value != NULL && !plain_value(value))
        return mu_refuse(m, "invalid", "error.run.value", "/value");
    if (strcmp(state, "done") == 0 && !fill_form(m, inst, json_object_get(item, "form"), values))
        return false;
    if (ticks == NULL) {
        ticks = json_object();
        json_object_set_new(inst->rec, "items", ticks);
    }
    made = json_pack("{s:s, s:o, s:s}", "state", state, "by", mu_person(m->actor), "at", m->at);
    if (value != NULL)
        json_object_set(made, "value", (json_t *)(uintptr_t)value);
    if (json_object_size(values) > 0)
        json_object_set(made, "values", (json_t *)(uintptr_t)values);
    if (mu_json_str(m->event, "reason") != NULL)
        json_object_set_new(made, "reason", json_string(mu_json_str(m->event, "reason")));
    json_object_set_new(ticks, id, made);
    mu_log_event(m, "item_closed", inst, json_pack("{s:s, s:s}", "item", id, "state", state));
    return true;
}

static void
close_when_complete(mu_motion *m, mu_inst *inst)
{
    const json_t *items = json_object_get(inst->node->json, "items"), *ticks = json_object_get(inst->rec, "items"), *item;
    json_int_t done = 0, skipped = 0;
    size_t i;

    json_array_foreach(items, i, item) {
        const char *state = mu_json_str(json_object_get(ticks, mu_json_str(item, "id")), "state");
        if (state == NULL)
            return;
        done += strcmp(state, "done") == 0;
        skipped += strcmp(state, "done") != 0;
    }
    if (attached(m, inst) < inst->node->evidence)
        return;                                   /* stays open until what was asked for is attached */
    close_by(m, inst, json_pack("{s:I, s:I}", "done", done, "not_applicable", skipped));
}

bool
mu_on_item_check(mu_motion *m, mu_inst *inst)
{
    const char *id = mu_json_str(m->data, "item"), *state = mu_json_str(m->data, "state");
    const json_t *item;

    if (!at_work(m, inst, MU_K_CHECKLIST))
        return false;
    item = find_item(inst, id);
    if (item == NULL)
        return mu_refuse(m, "not_found", "error.run.item", "/item");
    if (!mu_same(state, "done") && !mu_same(state, "not_applicable") && !mu_same(state, "open"))
        return mu_refuse(m, "invalid", "error.run.item_state", "/state");
    mu_dirty(m, inst);
    if (strcmp(state, "open") == 0) {
        json_object_del(json_object_get(inst->rec, "items"), id);
        return true;
    }
    if (strcmp(state, "not_applicable") == 0 && !mu_reason(m))
        return false;
    if (!tick(m, inst, item, state))
        return false;
    close_when_complete(m, inst);
    return true;
}

/* -- decisions ------------------------------------------------------------------------------------------------------------- */

static bool
offered(mu_motion *m, const mu_inst *inst, const mu_var *var, const mu_value *value)
{
    const json_t *options = json_object_get(inst->node->json, "options"), *option;
    mu_value one;
    size_t i;

    if (options == NULL)
        return true;
    json_array_foreach(options, i, option) {
        const json_t *json = json_is_object(option) ? json_object_get(option, "value") : option;
        if (mu_value_from_json(m->arena, json, &var->type, &one) && mu_value_equal(&one, value))
            return true;
    }
    return false;
}

static bool
read_choice(mu_motion *m, const mu_inst *inst, const mu_var *var, const json_t *json, const char *pointer, mu_value *ret)
{
    const char *text = json_string_value(json);
    json_t *loose = NULL;
    int64_t number;

    if (json == NULL)
        return mu_refuse(m, "invalid", "error.required", pointer);
    if (var->type.kind == MU_T_BOOL && (mu_same(text, "true") || mu_same(text, "false")))
        loose = mu_json_own(m->arena, json_boolean(mu_same(text, "true")));
    if (var->type.kind == MU_T_INT && text != NULL && mu_parse_int(text, INT64_MIN, INT64_MAX, &number))
        loose = mu_json_own(m->arena, json_integer(number));
    if (!mu_value_from_json(m->arena, loose == NULL ? json : loose, &var->type, ret) || (text != NULL && !short_text(json)))
        return mu_refuse(m, "invalid", "error.run.choice", pointer);
    if (!offered(m, inst, var, ret))
        return mu_refuse(m, "invalid", "error.run.choice", pointer);
    return true;
}

/* One variable: `value`; several: a member of `values` for each. */
bool
mu_decide_value(mu_motion *m, mu_inst *inst, const json_t *value, const char *cause)
{
    size_t n = inst->node->name_count;
    mu_value *read = mu_alloc(m->arena, (n + 1) * sizeof *read);
    json_t *chosen;

    for (size_t i = 0; i < n; i++) {
        const mu_var *var = mu_var_find(m->pb, inst->node->names[i]);
        const json_t *json = n == 1 ? value : json_object_get(value, inst->node->names[i]);
        const char *pointer = n == 1 ? "/value" : mu_pointer(m->arena, "/values", inst->node->names[i]);
        if (var == NULL || !read_choice(m, inst, var, json, pointer, &read[i]))
            return false;
    }
    chosen = json_object();
    for (size_t i = 0; i < n; i++) {
        mu_var_set(m, inst, mu_var_find(m->pb, inst->node->names[i]), &read[i]);
        json_object_set_new(chosen, inst->node->names[i], mu_value_to_json(m->arena, &read[i]));
    }
    if (json_object_get(inst->node->json, "grades") != NULL)
        mu_effect_grade(m, inst);
    json_object_set_new(inst->rec, "by", mu_person(m->actor));
    mu_close(m, inst, "done", cause, chosen, true);
    return true;
}

bool
mu_on_decide(mu_motion *m, mu_inst *inst)
{
    if (!at_work(m, inst, MU_K_DECIDE))
        return false;
    return mu_decide_value(m, inst, json_object_get(m->data, inst->node->name_count == 1 ? "value" : "values"), NULL);
}

/* -- approvals and reports --------------------------------------------------------------------------------------------------- */

static bool
voice(mu_motion *m, mu_inst *inst, int64_t *ret_given)
{
    json_t *given = json_object_get(inst->rec, "ok"), *one;
    const char *id = mu_json_str(m->actor, "id");
    size_t i;

    json_array_foreach(given, i, one)
        if (mu_same(mu_json_str(one, "id"), id))
            return mu_refuse(m, "conflict", "error.run.approved_already", "");
    if (given == NULL) {
        given = json_array();
        json_object_set_new(inst->rec, "ok", given);
    }
    one = mu_person(m->actor);
    json_object_set_new(one, "at", json_string(m->at));
    if (short_text(json_object_get(m->data, "note")))
        json_object_set(one, "note", json_object_get(m->data, "note"));
    json_array_append_new(given, one);
    *ret_given = (int64_t)json_array_size(given);
    mu_log_event(m, "approval_given", inst, json_pack("{s:o, s:I, s:I}", "by", mu_person(m->actor), "count", (json_int_t)*ret_given,
        "of", (json_int_t)inst->node->count));
    mu_dirty(m, inst);
    return true;
}

static bool
approvable(mu_motion *m, const mu_inst *inst)
{
    bool report = inst->node->kind == MU_K_REPORT;

    if (inst->node->kind != MU_K_APPROVE && !(report && inst->node->sign_role != NULL))
        return mu_refuse(m, "conflict", "error.run.wrong_kind", "");
    if (!mu_inst_open(inst) || !mu_is_status(inst, "active"))
        return mu_refuse(m, "conflict", mu_inst_open(inst) ? "error.run.not_open" : "error.run.step_closed", "");
    return mu_may_approve(m, inst, report ? inst->node->sign_role : mu_inst_role(inst));
}

bool
mu_on_approve(mu_motion *m, mu_inst *inst)
{
    int64_t given = 0;

    if (!approvable(m, inst) || !voice(m, inst, &given))
        return false;
    if (given < inst->node->count)
        return true;
    if (inst->node->kind == MU_K_APPROVE) {
        mu_close(m, inst, "done", NULL, json_pack("{s:b, s:O}", "approved", 1, "by", json_object_get(inst->rec, "ok")), true);
    } else if (!mu_same(mu_run_mode(m), "real")) {            /* in a drill nothing is filed: signed is as far as it goes */
        json_t *result = json_pack("{s:b}", "simulated", 1);
        if (inst->node->simulated != NULL)
            json_object_set(result, "pretended", (json_t *)(uintptr_t)inst->node->simulated);
        close_by(m, inst, result);
    }
    return true;
}

bool
mu_on_refuse(mu_motion *m, mu_inst *inst)
{
    if (!approvable(m, inst) || !mu_reason(m))
        return false;
    mu_log_event(m, "approval_refused", inst, json_pack("{s:o}", "by", mu_person(m->actor)));
    if (inst->node->kind == MU_K_REPORT) {
        json_object_del(inst->rec, "ok");         /* back to the drafters */
        mu_dirty(m, inst);
    } else {
        mu_reject(m, inst);
    }
    return true;
}

bool
mu_on_report_filed(mu_motion *m, mu_inst *inst)
{
    static const char *const members[] = { "number", "at", "channel", "note" };
    json_t *result;
    mu_instant at;

    if (!at_work(m, inst, MU_K_REPORT))
        return false;
    if (inst->node->sign_role != NULL && (int64_t)json_array_size(json_object_get(inst->rec, "ok")) < inst->node->count)
        return mu_refuse(m, "conflict", "error.run.not_signed", "");
    if (mu_json_str(m->data, "at") != NULL && !mu_time_parse(mu_json_str(m->data, "at"), &at))
        return mu_refuse(m, "invalid", "error.time", "/at");
    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(m->data, members[i]) != NULL && !short_text(json_object_get(m->data, members[i])))
            return mu_refuse(m, "invalid", "error.run.value", mu_pointer(m->arena, "", members[i]));
    result = json_object();
    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(m->data, members[i]) != NULL)
            json_object_set(result, members[i], json_object_get(m->data, members[i]));
    close_by(m, inst, result);
    return true;
}

/* -- seen, and heard from outside -------------------------------------------------------------------------------------------- */

bool
mu_on_acknowledge(mu_motion *m, mu_inst *inst)
{
    json_t *chain = json_object_get(inst->rec, "esc"), *acks = json_object_get(inst->rec, "acks"), *one;
    size_t n, i;
    const char **timers;

    if (!mu_inst_open(inst))
        return mu_refuse(m, "conflict", "error.run.step_closed", "");
    mu_dirty(m, inst);
    if (chain != NULL && json_object_get(chain, "acknowledged") == NULL) {
        one = mu_person(m->actor);
        json_object_set_new(one, "at", json_string(m->at));
        json_object_set_new(chain, "acknowledged", one);
    }
    timers = mu_sorted_keys(m->arena, json_object_get(inst->rec, "timers"), &n);
    for (i = 0; i < n; i++)
        if (mu_starts(timers[i], "escalate/"))
            mu_disarm(m, inst, timers[i]);
    if (inst->node->kind != MU_K_NOTIFY || inst->node->count == 0)
        return true;
    json_array_foreach(acks, i, one)
        if (mu_same(mu_json_str(one, "id"), mu_json_str(m->actor, "id")))
            return true;                          /* one person counts once */
    if (acks == NULL) {
        acks = json_array();
        json_object_set_new(inst->rec, "acks", acks);
    }
    if (json_array_size(acks) < EVIDENCE_MOST) {
        one = mu_person(m->actor);
        json_object_set_new(one, "at", json_string(m->at));
        json_array_append_new(acks, one);
    }
    if (mu_json_bool(inst->rec, "told", false) && (int64_t)json_array_size(acks) >= inst->node->count)
        mu_close(m, inst, "done", NULL, json_pack("{s:O}", "acknowledged", acks), true);
    return true;
}

typedef struct { const char *name; bool found; } signal_search;

static void
signal_one(mu_motion *m, mu_inst inst, void *closure)
{
    signal_search *s = closure;

    if (inst.node->kind != MU_K_WAIT || !mu_inst_open(&inst) || !mu_is_status(&inst, "waiting")
        || !mu_same(mu_json_str(inst.node->json, "event"), s->name))
        return;
    s->found = true;
    json_object_set_new(inst.rec, "by", mu_person(m->actor));
    mu_close(m, &inst, "done", NULL, NULL, true);
}

bool
mu_on_signal(mu_motion *m)
{
    signal_search s = { .name = mu_json_str(m->data, "name") };

    if (s.name == NULL)
        return mu_refuse(m, "invalid", "error.required", "/name");
    mu_inst_each(m, signal_one, &s);
    return s.found || mu_refuse(m, "conflict", "error.run.nobody_waits", "/name");
}
