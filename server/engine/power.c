/* The commander's powers. Each needs a reason; some need a second person; each is refused when it is meaningless. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

bool
mu_may_command(mu_motion *m)
{
    if (!mu_is_commander(m))
        return mu_refuse(m, "forbidden", "error.run.commander", "");
    return mu_reason(m);
}

static bool
must_be_open(mu_motion *m, const mu_inst *inst)
{
    return mu_inst_open(inst) || mu_refuse(m, "conflict", "error.run.step_closed", "");
}

static bool grave(const mu_node *node) { return node->critical || node->kind == MU_K_REPORT; }

/* Does skipping the block skip a critical step or a report that is still to be done? */
static bool
grave_below(mu_motion *m, const mu_inst *inst)
{
    const char *cause;

    for (size_t i = inst->node->ord + 1; i < m->pb->node_count && mu_node_below(m->pb->nodes[i], inst->node); i++) {
        const mu_node *node = m->pb->nodes[i];
        mu_inst last = mu_inst_get(m, node, mu_json_int(json_object_get(m->state, "occ"), node->path, 0));
        if (grave(node) && (last.rec == NULL ? strcmp(mu_pending_status(m, node, &cause), "pending") == 0 : mu_inst_open(&last)))
            return true;
    }
    return false;
}

bool
mu_on_skip(mu_motion *m, mu_inst *inst)
{
    bool two = (grave(inst->node) || (mu_rules(m) >= 2 && grave_below(m, inst))) && !mu_same(mu_run_mode(m), "rehearsal");

    if (!mu_may_command(m) || !must_be_open(m, inst))
        return false;
    if (two && !mu_second_person(m, inst, "skip"))
        return m->refusal == NULL;
    json_object_set_new(inst->rec, "by", mu_person(m->actor));
    mu_close(m, inst, "skipped", "by", NULL, true);
    return true;
}

bool
mu_on_override(mu_motion *m, mu_inst *inst)
{
    if (!mu_may_command(m) || !must_be_open(m, inst))
        return false;
    json_object_set_new(inst->rec, "by", mu_person(m->actor));
    mu_close(m, inst, "overridden", "by", NULL, true);
    return true;
}

bool
mu_on_override_var(mu_motion *m)
{
    const char *name = mu_json_str(m->data, "var");
    const mu_var *var = name == NULL ? NULL : mu_var_find(m->pb, name);
    mu_value value;

    if (!mu_may_command(m))
        return false;
    if (var == NULL)
        return mu_refuse(m, "invalid", "error.run.var", "/var");
    if (var->constant)
        return mu_refuse(m, "conflict", "error.run.constant", "/var");
    if (!mu_value_from_json(m->arena, json_object_get(m->data, "value"), &var->type, &value))
        return mu_refuse(m, "invalid", "error.run.value", "/value");
    mu_var_set(m, NULL, var, &value);
    return true;
}

bool
mu_on_retry(mu_motion *m, mu_inst *inst)
{
    static const char *const forget[] = { "asks", "error", "missed", "esc", "told", "branch", "joined", "forced" };
    int64_t attempt = mu_json_int(inst->rec, "n", 1) + 1;

    if (!mu_may_command(m) || !must_be_open(m, inst))
        return false;
    if (!mu_json_bool(inst->rec, "asks", false))
        return mu_refuse(m, "conflict", "error.run.not_failed", "");
    if (attempt > MU_ATTEMPTS)
        return mu_refuse(m, "conflict", "error.run.bounds", "");
    for (size_t i = 0; i < MU_COUNT(forget); i++)
        json_object_del(inst->rec, forget[i]);
    json_object_set_new(inst->rec, "n", json_integer(attempt));
    mu_dirty(m, inst);
    mu_dirty_below(m, inst->node);
    if (mu_json_bool(m->data, "anew", false)) {   /* a new key: the receivers will see it as another message, with the values of today */
        json_object_set_new(inst->rec, "anew", json_integer(attempt));
        json_object_del(inst->rec, "req");
    }
    if (mu_run_paused(m))
        mu_set_status(m, inst, "ready");
    else
        mu_begin(m, inst);
    return true;
}

bool
mu_on_reopen(mu_motion *m, mu_inst *inst)
{
    static const char *const kept[] = { "items", "ev", "up", "it", "role", "who" };
    json_t *counts = json_object_get(m->state, "occ");
    int64_t occ = mu_json_int(counts, inst->node->path, 0);
    mu_inst last = mu_inst_get(m, inst->node, occ), made;

    if (!mu_may_command(m))
        return false;
    if (!mu_kind_person(inst->node->kind))
        return mu_refuse(m, "conflict", "error.run.wrong_kind", "");
    if (mu_inst_open(&last) || mu_inst_open(inst))
        return mu_refuse(m, "conflict", "error.run.still_open", "");
    if (occ >= MU_OCCURRENCES)
        return mu_refuse(m, "conflict", "error.run.bounds", "");
    made = (mu_inst){ .node = inst->node, .occ = occ + 1, .key = mu_key(m->arena, inst->node->path, occ + 1), .rec = json_object() };
    json_object_set_new(counts, inst->node->path, json_integer(made.occ));
    json_object_set_new(m->steps, made.key, made.rec);
    for (size_t i = 0; i < MU_COUNT(kept); i++)
        if (json_object_get(last.rec, kept[i]) != NULL)
            json_object_set_new(made.rec, kept[i], json_deep_copy(json_object_get(last.rec, kept[i])));
    json_object_set_new(made.rec, "n", json_integer(1));
    json_object_set_new(made.rec, "detached", json_true());    /* later steps stay as they are */
    mu_begin(m, &made);
    return true;
}

bool
mu_on_pause(mu_motion *m)
{
    if (!mu_may_command(m))
        return false;
    if (mu_run_paused(m))
        return mu_refuse(m, "conflict", "error.run.paused", "");
    json_object_set_new(m->state, "status", json_string("paused"));
    mu_log_event(m, "run_paused", NULL, NULL);
    return true;
}

static void
start_ready(mu_motion *m, mu_inst inst, void *closure)
{
    (void)closure;
    if (!mu_inst_open(&inst) || mu_run_over(m))
        return;
    if (mu_json_bool(inst.rec, "held", false))    /* a loop between two rounds */
        mu_loop_on(m, &inst);
    else if (mu_is_status(&inst, "ready"))
        mu_begin(m, &inst);
}

bool
mu_on_resume(mu_motion *m)
{
    if (!mu_may_command(m))
        return false;
    if (!mu_run_paused(m))
        return mu_refuse(m, "conflict", "error.run.not_paused", "");
    json_object_set_new(m->state, "status", json_string("running"));
    json_object_del(m->state, "stopped");
    mu_log_event(m, "run_resumed", NULL, NULL);
    mu_inst_each(m, start_ready, NULL);
    return true;
}

bool
mu_on_severity(mu_motion *m)
{
    const char *severity = mu_json_str(m->data, "severity");
    bool system = mu_same(mu_json_str(m->actor, "kind"), "system");

    if (severity == NULL || strlen(severity) > 16)
        return mu_refuse(m, "invalid", "error.required", "/severity");
    if (!system && !mu_may_command(m))
        return false;
    json_object_set_new(json_object_get(m->state, "run"), "severity", json_string(severity));
    return true;
}

/* A role that is emptied leaves its open steps to nobody: somebody must hear of it. */
static void
left_alone(mu_motion *m, mu_inst inst, void *closure)
{
    const char *role = mu_inst_role(&inst);
    const json_t *members;

    if (!mu_kind_person(inst.node->kind) || !mu_inst_open(&inst) || role == NULL || json_object_get(inst.rec, "who") != NULL)
        return;
    if (!mu_same(role, closure) && !mu_same(mu_json_str(json_object_get(m->pb->roles, role), "deputy"), closure))
        return;
    if (mu_role_members(m, role, &members))
        return;
    mu_log_event(m, "role_empty", &inst, json_pack("{s:s}", "role", role));
    mu_effect_alarm(m, &inst, "role_empty", NULL);
}

bool
mu_on_role_filled(mu_motion *m)
{
    const char *role = mu_json_str(m->data, "role");
    const json_t *people = json_object_get(m->data, "people"), *person;
    bool system = mu_same(mu_json_str(m->actor, "kind"), "system");
    json_t *members;
    size_t i;

    if (!system && !mu_is_commander(m))
        return mu_refuse(m, "forbidden", "error.run.commander", "");
    if (role == NULL || !mu_role_known(m->pb, role))
        return mu_refuse(m, "invalid", "error.run.unknown_role", "/role");
    if (!json_is_array(people) || json_array_size(people) > 100)
        return mu_refuse(m, "invalid", "error.required", "/people");
    members = mu_json_own(m->arena, json_array());
    json_array_foreach(people, i, person) {
        if (mu_json_str(person, "id") == NULL)
            return mu_refuse(m, "invalid", "error.required", mu_pointer_at(m->arena, "/people", i));
        json_array_append_new(members, json_pack("{s:s, s:O?}", "id", mu_json_str(person, "id"), "name", json_object_get(person, "name")));
    }
    json_object_set(json_object_get(m->state, "roles"), role, members);
    if (mu_rules(m) >= 2)
        mu_inst_each(m, left_alone, mu_strdup(m->arena, role));
    return true;
}

bool
mu_on_note(mu_motion *m)
{
    const char *text = mu_json_str(m->data, "text");

    if (text == NULL || *text == '\0')
        return mu_refuse(m, "invalid", "error.required", "/text");
    if (strlen(text) > 20000)
        return mu_refuse(m, "invalid", "error.run.value", "/text");
    return true;
}

/* The store moves the drill's clock; the engine keeps that it was moved, by whom and why. */
bool
mu_on_clock(mu_motion *m)
{
    const json_t *speed = json_object_get(m->data, "speed");

    if (!mu_may_command(m))
        return false;
    if (mu_same(mu_run_mode(m), "real"))
        return mu_refuse(m, "conflict", "error.run.clock_real", "");
    if (!json_is_number(speed) || json_number_value(speed) < 0 || json_number_value(speed) > 1000)
        return mu_refuse(m, "invalid", "error.run.speed", "/speed");
    return true;
}

/* A called run is aborted with the step that called it: that was decided there, with its second person. */
bool
mu_on_abort(mu_motion *m)
{
    bool system = mu_same(mu_json_str(m->actor, "kind"), "system");

    if (!system && !mu_may_command(m))
        return false;
    if (!system && mu_same(mu_run_mode(m), "real") && !mu_second_person(m, NULL, "abort"))
        return m->refusal == NULL;
    mu_end_run(m, "aborted", "aborted");
    return true;
}

/* -- the way, the person, the command ---------------------------------------------------------------------------------------- */

static bool
find_branch(const mu_node *node, const char *name, const mu_block **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < node->block_count && name != NULL; i++)
        if (strcmp(node->blocks[i]->name, name) == 0)
            *ret = node->blocks[i];
    return *ret != NULL || (node->kind == MU_K_IF && mu_same(name, "else"));
}

bool
mu_on_choose_branch(mu_motion *m, mu_inst *inst)
{
    const char *name = mu_json_str(m->data, "branch");
    const mu_block *block;

    if (inst->node->kind != MU_K_IF && inst->node->kind != MU_K_SWITCH)
        return mu_refuse(m, "conflict", "error.run.wrong_kind", "");
    if (!mu_may_command(m) || !must_be_open(m, inst))
        return false;
    if (mu_is_status(inst, "ready"))
        return mu_refuse(m, "conflict", "error.run.not_open", "");
    if (!find_branch(inst->node, name, &block))
        return mu_refuse(m, "invalid", "error.run.branch", "/branch");
    if (mu_same(mu_json_str(inst->rec, "branch"), name) && !mu_json_bool(inst->rec, "asks", false))
        return mu_refuse(m, "conflict", "error.run.same_branch", "/branch");
    mu_cancel_below(m, inst, "branch");
    json_object_del(inst->rec, "asks");
    json_object_del(inst->rec, "error");
    json_object_set_new(inst->rec, "forced", json_true());
    json_object_set_new(inst->rec, "by", mu_person(m->actor));
    mu_log_event(m, "branch_chosen", inst, json_pack("{s:s, s:o}", "branch", name, "by", mu_person(m->actor)));
    mu_set_status(m, inst, "active");
    mu_take_branch(m, inst, block, name);
    return true;
}

static bool
new_person(mu_motion *m, json_t **ret)
{
    const json_t *person = json_object_get(m->data, "person");
    const char *id = mu_json_str(person, "id"), *name = mu_json_str(person, "name");

    if (id == NULL || *id == '\0' || strlen(id) > 100 || (name != NULL && strlen(name) > 400))
        return mu_refuse(m, "invalid", "error.required", "/person");
    *ret = mu_json_own(m->arena, json_pack("{s:s, s:s*}", "id", id, "name", name));
    return true;
}

/* The new owner is told, as of any step that becomes theirs. */
bool
mu_on_reassign(mu_motion *m, mu_inst *inst)
{
    const char *role = mu_json_str(m->data, "role");
    const json_t *members;
    json_t *person = NULL, *data = json_object();

    mu_json_own(m->arena, data);
    if (!mu_kind_person(inst->node->kind))
        return mu_refuse(m, "conflict", "error.run.wrong_kind", "");
    if (!mu_may_command(m) || !must_be_open(m, inst))
        return false;
    if (role == NULL && !new_person(m, &person))
        return false;
    if (role != NULL && !mu_role_known(m->pb, role))
        return mu_refuse(m, "invalid", "error.run.unknown_role", "/role");
    if (person != NULL && inst->node->kind == MU_K_APPROVE && inst->node->count > 1)
        return mu_refuse(m, "conflict", "error.run.too_few", "/person");
    json_object_del(inst->rec, "who");
    if (person != NULL)
        json_object_set(inst->rec, "who", person);
    else
        json_object_set_new(inst->rec, "role", json_string(role));
    json_object_set(data, person != NULL ? "person" : "role", person != NULL ? person : json_object_get(m->data, "role"));
    mu_log_event(m, "reassigned", inst, json_incref(data));
    mu_dirty(m, inst);
    if (role != NULL && !mu_role_members(m, role, &members)) {
        mu_log_event(m, "role_empty", inst, json_pack("{s:s}", "role", role));
        mu_effect_alarm(m, inst, "role_empty", NULL);
    } else {
        mu_effect_escalate(m, inst, "assigned", 0, mu_inst_role(inst));
    }
    return true;
}

/* The commander offers it to one person; it is theirs once they have signed too. */
bool
mu_on_hand_over(mu_motion *m)
{
    json_t *requests = json_object_get(m->state, "second"), *person;
    const json_t *asked = json_object_get(requests, "hand_over");
    const char *me = mu_json_str(m->actor, "id");

    if (!mu_role_known(m->pb, "commander"))
        return mu_refuse(m, "conflict", "error.run.unknown_role", "");
    if (asked != NULL && me != NULL && mu_same(mu_json_str(json_object_get(asked, "to"), "id"), me) && !mu_same(mu_json_str(json_object_get(asked, "by"), "id"), me)) {
        if (!mu_reason(m))
            return false;
        person = mu_person(m->actor);
        json_object_set_new(json_object_get(m->state, "roles"), "commander", json_pack("[O]", person));
        json_object_del(requests, "hand_over");
        mu_log_event(m, "role_changed", NULL, json_pack("{s:s, s:o}", "role", "commander", "person", person));
        return true;
    }
    if (!mu_may_command(m) || !new_person(m, &person))
        return false;
    if (mu_same(mu_json_str(person, "id"), me))
        return mu_refuse(m, "conflict", "error.run.second_person", "/person");
    json_object_set_new(requests, "hand_over", json_pack("{s:o, s:O, s:s, s:s}", "by", mu_person(m->actor), "to", person, "at", m->at, "power", "hand_over"));
    mu_log_event(m, "second_needed", NULL, json_pack("{s:s, s:O}", "power", "hand_over", "person", person));
    return true;
}

/* Something real has happened: anyone may stop a drill. What is real is declared elsewhere. */
bool
mu_on_stop_drill(mu_motion *m)
{
    if (!mu_drilled(m))
        return mu_refuse(m, "conflict", "error.run.not_drill", "");
    if (!mu_is_person(m))
        return mu_refuse(m, "forbidden", "error.run.person", "");
    if (!mu_reason(m))
        return false;
    if (json_object_get(m->state, "stopped") != NULL)
        return mu_refuse(m, "conflict", "error.run.paused", "");
    json_object_set_new(m->state, "stopped", json_pack("{s:o, s:s}", "by", mu_person(m->actor), "at", m->at));
    if (!mu_run_paused(m)) {
        json_object_set_new(m->state, "status", json_string("paused"));
        mu_log_event(m, "run_paused", NULL, json_pack("{s:s}", "cause", "real"));
    }
    return true;
}
