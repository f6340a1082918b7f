/* Calls of other playbooks: the engine asks for a run, hears that it has begun, and hears how it ended. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

static json_t *
parameters(mu_motion *m, mu_inst *inst, const char **ret_wrong)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh" };
    mu_names names = mu_scope_names(&scope);
    json_t *params = mu_json_own(m->arena, json_object());

    *ret_wrong = NULL;
    for (size_t i = 0; i < inst->node->with_count; i++) {
        mu_value value = { .kind = MU_T_ERROR, .text = "error.expression.unset" };
        if (inst->node->given[i] != NULL)
            value = mu_expression_evaluate(m->arena, inst->node->given[i], &names);
        if (value.kind == MU_T_ERROR)
            *ret_wrong = value.text;
        json_object_set_new(params, inst->node->with[i], mu_value_to_json(m->arena, &value));
    }
    return params;
}

static const json_t *
var_of(mu_motion *m, const json_t *vars, const char *name)
{
    (void)m;
    return json_object_get(vars, name);
}

/* Nothing is called: what the playbook would give back is pretended. */
static void
pretend(mu_motion *m, mu_inst *inst)
{
    if (mu_save(m, inst, var_of, json_object_get(inst->node->simulated, "vars")))
        mu_simulated(m, inst);
    else
        mu_fail_step(m, inst, "error.run.save");
}

void
mu_child_start(mu_motion *m, mu_inst *inst)
{
    const char *wrong;
    json_t *params = parameters(m, inst, &wrong), *data;

    mu_set_status(m, inst, "waiting");
    json_object_del(inst->rec, "child");
    if (wrong != NULL) {
        mu_fail_step(m, inst, wrong);
        return;
    }
    if (mu_drilled(m) && inst->node->drill == MU_DRILL_SIMULATE) {
        pretend(m, inst);
        return;
    }
    if (mu_json_int(inst->rec, "n", 1) > 1)       /* every attempt is a run of its own */
        json_object_set(inst->rec, "anew", json_object_get(inst->rec, "n"));
    data = mu_effect_data(m, inst);
    json_object_set_new(data, "playbook", json_string(inst->node->playbook));
    json_object_set_new(data, "version", inst->node->version == 0 ? json_null() : json_integer(inst->node->version));
    json_object_set(data, "params", params);
    json_object_set_new(data, "roles", json_deep_copy(json_object_get(m->state, "roles")));
    json_object_set_new(data, "join", json_boolean(!inst->node->watch));
    mu_emit(m, inst, "child", mu_effect_key(m, inst, "child"), mu_delivery_inside(m), data, true);
}

static void
note(mu_motion *m, mu_inst *inst)
{
    static const char *const members[] = { "run", "version", "hash", "status", "outcome" };
    json_t *child = json_object_get(inst->rec, "child"), *data = json_object();

    for (size_t i = 0; i < MU_COUNT(members); i++) {
        json_t *value = json_object_get(m->data, members[i]);
        if (json_is_string(value) || json_is_integer(value)) {
            json_object_set(child, members[i], value);
            json_object_set(data, members[i], value);
        }
    }
    mu_log_event(m, "child_noted", inst, data);
    mu_dirty(m, inst);
}

static bool
late(mu_motion *m)
{
    m->late = true;
    return true;
}

bool
mu_on_child_started(mu_motion *m, mu_inst *inst)
{
    const char *key = mu_json_str(m->data, "key");
    json_t *open = json_object_get(inst->rec, "fx"), *child;

    if (!mu_inst_open(inst) || key == NULL || json_object_get(open, key) == NULL || inst->node->playbook == NULL)
        return late(m);
    child = json_pack("{s:s}", "key", key);
    json_object_set_new(inst->rec, "child", child);
    json_object_del(open, key);
    if (json_object_size(open) == 0)
        json_object_del(inst->rec, "fx");
    note(m, inst);
    if (inst->node->watch)
        mu_close(m, inst, "done", NULL, json_pack("{s:O?}", "run", json_object_get(child, "run")), true);
    else
        json_object_set_new(child, "awaited", json_true());
    return true;
}

/* A step that only watches is done by then; what became of its child is still noted. */
bool
mu_on_child_ended(mu_motion *m, mu_inst *inst)
{
    json_t *child = json_object_get(inst->rec, "child");
    bool good = mu_same(mu_json_str(m->data, "status"), "succeeded");

    if (child == NULL || !mu_same(mu_json_str(child, "key"), mu_json_str(m->data, "key")) || mu_json_str(child, "status") != NULL
        || (!mu_inst_open(inst) && !inst->node->watch))
        return late(m);
    json_object_del(child, "awaited");
    note(m, inst);
    if (!mu_inst_open(inst))
        return true;
    if (!good)
        mu_fail_step(m, inst, "error.run.child");
    else if (!mu_save(m, inst, var_of, json_object_get(m->data, "vars")))
        mu_fail_step(m, inst, "error.run.save");
    else
        mu_close(m, inst, "done", NULL, json_pack("{s:O?, s:O?}", "run", json_object_get(child, "run"), "outcome", json_object_get(child, "outcome")), true);
    return true;
}
