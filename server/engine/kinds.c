/* What each kind of step does when it starts. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

/* -- people ---------------------------------------------------------------------------------------------------------------- */

static void
start_person(mu_motion *m, mu_inst *inst)
{
    const json_t *members;
    int64_t seconds;
    mu_instant due;

    if (inst->node->role != NULL && !mu_role_members(m, inst->node->role, &members)) {
        mu_log_event(m, "role_empty", inst, json_pack("{s:s}", "role", inst->node->role));
        mu_effect_alarm(m, inst, "role_empty", NULL);
    }
    if (inst->node->kind != MU_K_DECIDE || !inst->node->length.given)
        return;
    if (mu_length_seconds(m, &inst->node->length, &seconds) && !__builtin_mul_overflow(seconds, MU_SECOND, &due)
        && !__builtin_add_overflow(m->now, due, &due))
        mu_arm(m, inst, "default", 0, due);
}

void
mu_reject(mu_motion *m, mu_inst *inst)
{
    json_t *result = json_pack("{s:b, s:O}", "approved", 0, "by", mu_json_own(m->arena, mu_person(m->actor)));

    switch (inst->node->on_reject) {
    case MU_REJECT_ASK:
        json_decref(result);
        mu_fail_step(m, inst, "error.run.rejected");
        break;
    case MU_REJECT_END:
        mu_close(m, inst, "done", "rejected", result, false);
        mu_end_run(m, "succeeded", inst->node->reject_outcome);
        break;
    case MU_REJECT_BLOCK:
        mu_close(m, inst, "done", "rejected", result, false);
        mu_run_handler(m, inst, inst->node->reject_block);
        break;
    }
}

/* -- time and values ------------------------------------------------------------------------------------------------------- */

static void
start_wait(mu_motion *m, mu_inst *inst)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh", .reads = mu_json_own(m->arena, json_object()) };
    mu_names names = mu_scope_names(&scope);
    mu_instant due = m->now, span;
    mu_value value;
    int64_t seconds;

    mu_set_status(m, inst, "waiting");
    if (inst->node->cond != NULL) {
        value = mu_expression_evaluate(m->arena, inst->node->cond, &names);
        mu_log_event(m, "condition_read", inst, json_pack("{s:o, s:O}", "value", mu_value_to_json(m->arena, &value), "reads", scope.reads));
        if (value.kind != MU_T_DATETIME) {
            mu_fail_step(m, inst, value.kind == MU_T_ERROR ? value.text : "error.expression.type");
            return;
        }
        due = value.number;
    } else if (inst->node->length.given) {
        if (!mu_length_seconds(m, &inst->node->length, &seconds) || __builtin_mul_overflow(seconds, MU_SECOND, &span)
            || __builtin_add_overflow(m->now, span, &due)) {
            mu_fail_step(m, inst, "error.expression.unset");
            return;
        }
    } else {
        return;                                   /* until a signal */
    }
    if (due <= m->now)
        mu_close(m, inst, "done", NULL, NULL, true);
    else
        mu_arm(m, inst, "wait", 0, due);
}

/* A value as another type: an int fits a decimal, a text fits an enum when it is one of its values. */
bool
mu_fit(mu_motion *m, const mu_type *type, mu_value *value)
{
    mu_value result;
    json_t *json;

    if (value->kind == MU_T_ERROR)
        return false;
    json = mu_json_own(m->arena, mu_value_to_json(m->arena, value));
    if (!mu_value_from_json(m->arena, json, type, &result))
        return false;
    *value = result;
    return true;
}

static void
start_set(mu_motion *m, mu_inst *inst)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh" };
    mu_names names = mu_scope_names(&scope);
    mu_value *values = mu_alloc(m->arena, (inst->node->name_count + 1) * sizeof *values);

    for (size_t i = 0; i < inst->node->name_count; i++) {
        const mu_var *var = mu_var_find(m->pb, inst->node->names[i]);
        values[i] = mu_expression_evaluate(m->arena, inst->node->values[i], &names);
        if (var == NULL || !mu_fit(m, &var->type, &values[i])) {
            mu_fail_step(m, inst, values[i].kind == MU_T_ERROR ? values[i].text : "error.expression.type");
            return;
        }
    }
    for (size_t i = 0; i < inst->node->name_count; i++)      /* all read before any is written: the order does not matter */
        mu_var_set(m, inst, mu_var_find(m->pb, inst->node->names[i]), &values[i]);
    mu_close(m, inst, "done", NULL, NULL, true);
}

/* -- flow ------------------------------------------------------------------------------------------------------------------ */

void
mu_take_branch(mu_motion *m, mu_inst *inst, const mu_block *block, const char *name)
{
    if (name != NULL)
        json_object_set_new(inst->rec, "branch", json_string(name));
    mu_dirty_below(m, inst->node);                /* rows of the ways not taken */
    if (block != NULL)
        mu_enter_block(m, block, inst->key, -1);
    else if (name != NULL)
        mu_close(m, inst, "done", NULL, json_pack("{s:s}", "branch", name), true);
    else
        mu_close(m, inst, "done", "no_case", NULL, true);
}

/* The block that a value leads to, and its name. */
static const mu_block *
branch_for(mu_motion *m, const mu_node *node, const mu_value *value, const char **ret_name)
{
    const mu_block *other = NULL;
    const char *text = mu_value_text(m->arena, value);

    *ret_name = NULL;
    if (node->kind == MU_K_IF) {
        *ret_name = value->number != 0 ? "then" : "else";
        return value->number != 0 ? node->blocks[0] : node->block_count > 1 ? node->blocks[1] : NULL;
    }
    for (size_t i = 0; i < node->block_count && *ret_name == NULL; i++) {
        if (strcmp(node->blocks[i]->name, "default") == 0)
            other = node->blocks[i];
        else if (strcmp(node->blocks[i]->name, text) == 0)
            *ret_name = node->blocks[i]->name, other = node->blocks[i];
    }
    if (*ret_name == NULL && other != NULL)
        *ret_name = "default";
    return other;
}

static void
start_branch(mu_motion *m, mu_inst *inst)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh", .reads = mu_json_own(m->arena, json_object()) };
    mu_names names = mu_scope_names(&scope);
    mu_value value;
    const mu_block *block;
    const char *name;

    if (inst->node->cond == NULL || inst->node->block_count == 0) {
        mu_fail_step(m, inst, "error.expression.unset");
        return;
    }
    value = mu_expression_evaluate(m->arena, inst->node->cond, &names);
    mu_log_event(m, "condition_read", inst, json_pack("{s:o, s:O}", "value", mu_value_to_json(m->arena, &value), "reads", scope.reads));
    if (value.kind == MU_T_ERROR || (inst->node->kind == MU_K_IF && value.kind != MU_T_BOOL)) {
        mu_fail_step(m, inst, value.kind == MU_T_ERROR ? value.text : "error.expression.type");
        return;
    }
    block = branch_for(m, inst->node, &value, &name);
    mu_take_branch(m, inst, block, name);
}

static void
start_blocks(mu_motion *m, mu_inst *inst)
{
    json_object_del(inst->rec, "joined");
    for (size_t i = 0; i < inst->node->block_count && mu_inst_open(inst); i++)
        mu_enter_block(m, inst->node->blocks[i], inst->key, -1);
}

static void
start_milestone(mu_motion *m, mu_inst *inst)
{
    const json_t *clock = json_object_get(inst->node->json, "clock");
    json_t *reached = json_object_get(m->state, "milestones"), *clocks = json_object_get(m->state, "clocks");
    static const char *const ends[] = { "start", "stop" };
    bool first = json_object_get(reached, inst->node->id) == NULL;

    mu_log_event(m, "milestone_reached", inst, json_pack("{s:s, s:O?}", "milestone", inst->node->id, "clock", clock));
    if (first)
        json_object_set_new(reached, inst->node->id, json_pack("{s:s, s:I}", "at", m->at, "seq", (json_int_t)mu_seq(m)));
    for (size_t i = 0; i < MU_COUNT(ends); i++) {
        const char *name = mu_json_str(clock, ends[i]);
        if (name == NULL)
            continue;
        if (json_object_get(clocks, name) == NULL)
            json_object_set_new(clocks, name, json_object());
        json_object_set_new(json_object_get(clocks, name), ends[i], json_string(m->at));
    }
    mu_close(m, inst, "done", NULL, NULL, true);
    if (first)
        mu_milestone_reached(m, inst->node->id);
}

static void
start_end(mu_motion *m, mu_inst *inst)
{
    const char *outcome = mu_json_str(inst->node->json, "outcome");
    bool failed = mu_same(outcome, "failed") || mu_json_bool(m->state, "failing", false);

    mu_close(m, inst, "done", NULL, NULL, false);
    mu_end_run(m, failed ? "failed" : "succeeded", outcome == NULL ? inst->node->id : outcome);
}

/* In a drill a step may pretend: a task and a checklist are done, an approval is given, a decision has its value. False: people do it. */
static bool
pretended(mu_motion *m, mu_inst *inst)
{
    if (!mu_drilled(m) || mu_rules(m) < 2 || inst->node->drill != MU_DRILL_SIMULATE)
        return false;
    if (inst->node->kind == MU_K_DECIDE) {
        if (inst->node->simulated != NULL && !mu_decide_value(m, inst, inst->node->simulated, "drill"))
            m->refusal = NULL;                    /* no value of that variable: people decide */
        return !mu_inst_open(inst);
    }
    if (inst->node->kind != MU_K_TASK && inst->node->kind != MU_K_CHECKLIST && inst->node->kind != MU_K_APPROVE && inst->node->kind != MU_K_WAIT)
        return false;
    mu_simulated(m, inst);
    return true;
}

void
mu_kind_start(mu_motion *m, mu_inst *inst)
{
    if (pretended(m, inst))
        return;
    switch (inst->node->kind) {
    case MU_K_TASK: case MU_K_CHECKLIST: case MU_K_DECIDE: case MU_K_APPROVE:
        start_person(m, inst);
        break;
    case MU_K_REPORT:
        start_person(m, inst);
        mu_effect_report(m, inst);
        break;
    case MU_K_NOTIFY:    mu_effect_notify(m, inst); break;
    case MU_K_STATUS:    mu_effect_status(m, inst); break;
    case MU_K_WAIT:      start_wait(m, inst); break;
    case MU_K_SET:       start_set(m, inst); break;
    case MU_K_IF:
    case MU_K_SWITCH:    start_branch(m, inst); break;
    case MU_K_WHILE:
    case MU_K_FOR_EACH:  mu_loop_start(m, inst); break;
    case MU_K_HTTP:      mu_request_start(m, inst); break;
    case MU_K_INJECT:    mu_inject_start(m, inst); break;
    case MU_K_PARALLEL:  start_blocks(m, inst); break;
    case MU_K_CALL:
        if (inst->node->playbook != NULL)
            mu_child_start(m, inst);
        else
            start_blocks(m, inst);
        break;
    case MU_K_MILESTONE: start_milestone(m, inst); break;
    case MU_K_END:       start_end(m, inst); break;
    case MU_K_COUNT:     break;
    }
}
