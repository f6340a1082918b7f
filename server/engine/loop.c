/* while and for_each: rounds one after the other, items some at a time. A loop that has had its share of one call arms the timer
 * `every`, due at once, and goes on in the next transaction; one that would outgrow the state fails while there is room to ask. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define MEASURE_EVERY 64               /* steps entered between two measurements of the state */

static void
fail_value(mu_motion *m, mu_inst *inst, const mu_value *value)
{
    mu_fail_step(m, inst, value->kind == MU_T_ERROR ? value->text : "error.expression.type");
}

/* Is there room for another round? Measuring costs as much as writing the state, so it is done now and then. */
static bool
room(mu_motion *m)
{
    if (m->size == 0 || m->measured - m->budget >= MEASURE_EVERY) {
        m->size = json_dumpb(m->state, NULL, 0, JSON_COMPACT);
        m->measured = m->budget;
    }
    return !m->lean && m->size < MU_STATE_BYTES / 4 * 3;
}

static bool
occurrences_left(const mu_motion *m, const mu_inst *inst)
{
    const mu_block *body = inst->node->block_count == 0 ? NULL : inst->node->blocks[0];

    return body != NULL && body->count > 0 && mu_json_int(json_object_get(m->state, "occ"), body->steps[0]->path, 0) < MU_OCCURRENCES;
}

/* False: no round now. It was failed, or it goes on later. `begun`: this is not the first round or item. */
static bool
may_begin(mu_motion *m, mu_inst *inst, bool begun)
{
    const char *error = !room(m) ? "error.run.too_large" : !occurrences_left(m, inst) ? "error.run.bounds" : NULL;

    if (error != NULL) {
        mu_fail_step(m, inst, error);
        return false;
    }
    if (mu_run_paused(m)) {
        json_object_set_new(inst->rec, "held", json_true());      /* resume goes on with it */
        if (mu_json_int(inst->rec, "open", 0) == 0)
            mu_set_status(m, inst, "ready");
        return false;
    }
    if (begun && MU_MOTION_BUDGET - m->budget >= MU_LOOP_SHARE) {
        mu_disarm(m, inst, "every/0");
        mu_arm(m, inst, "every", 0, m->now);
        return false;
    }
    return true;
}

/* -- while ------------------------------------------------------------------------------------------------------------------- */

static void
reached_max(mu_motion *m, mu_inst *inst, int64_t rounds)
{
    mu_log_event(m, "loop_over", inst, json_pack("{s:I, s:b}", "rounds", (json_int_t)rounds, "max", 1));
    switch (inst->node->on_max) {
    case MU_MAX_FAIL:
        mu_fail_step(m, inst, "error.run.max");
        break;
    case MU_MAX_CONTINUE:
        mu_close(m, inst, "done", "max", json_pack("{s:I}", "rounds", (json_int_t)rounds), true);
        break;
    case MU_MAX_ASK:
        mu_ask(m, inst, "error.run.max");
        break;
    }
}

/* The pause before a further round. */
static void
pause_between(mu_motion *m, mu_inst *inst)
{
    int64_t seconds;
    mu_instant span, due;

    if (!mu_length_seconds(m, &inst->node->every, &seconds) || __builtin_mul_overflow(seconds, MU_SECOND, &span)
        || __builtin_add_overflow(m->now, span, &due)) {
        mu_fail_step(m, inst, "error.expression.unset");
        return;
    }
    mu_arm(m, inst, "every", 0, due);
    mu_set_status(m, inst, "waiting");
}

/* The condition is read after a round, so that a loop ends as soon as it can, and again after a pause: much may have changed. */
static void
next_round(mu_motion *m, mu_inst *inst, bool rested)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh", .reads = mu_json_own(m->arena, json_object()) };
    mu_names names = mu_scope_names(&scope);
    int64_t rounds = mu_json_int(inst->rec, "round", 0), most = inst->node->most == 0 ? MU_OCCURRENCES : inst->node->most;
    mu_value value;

    if (!may_begin(m, inst, rounds > 0))
        return;
    value = mu_expression_evaluate(m->arena, inst->node->cond, &names);
    mu_log_event(m, "condition_read", inst, json_pack("{s:o, s:O, s:I}", "value", mu_value_to_json(m->arena, &value), "reads", scope.reads,
        "round", (json_int_t)rounds + 1));
    if (value.kind != MU_T_BOOL) {
        fail_value(m, inst, &value);
    } else if (value.number == 0) {
        mu_log_event(m, "loop_over", inst, json_pack("{s:I, s:b}", "rounds", (json_int_t)rounds, "max", 0));
        mu_close(m, inst, "done", NULL, json_pack("{s:I}", "rounds", (json_int_t)rounds), true);
    } else if (rounds >= most) {
        reached_max(m, inst, rounds);
    } else if (!rested) {
        pause_between(m, inst);
    } else {
        json_object_set_new(inst->rec, "round", json_integer(rounds + 1));
        mu_log_event(m, "round_started", inst, json_pack("{s:I}", "round", (json_int_t)rounds + 1));
        mu_set_status(m, inst, "active");
        mu_enter_block(m, inst->node->blocks[0], inst->key, -1);
    }
}

/* -- for_each ---------------------------------------------------------------------------------------------------------------- */

static void
next_items(mu_motion *m, mu_inst *inst)
{
    const json_t *list = json_object_get(inst->rec, "list");
    int64_t count = (int64_t)json_array_size(list), next = mu_json_int(inst->rec, "next", 0);

    while (next < count && mu_json_int(inst->rec, "open", 0) < inst->node->at_once && mu_inst_open(inst) && m->refusal == NULL) {
        if (!may_begin(m, inst, next > 0))
            return;
        json_object_set_new(inst->rec, "next", json_integer(next + 1));
        json_object_set_new(inst->rec, "open", json_integer(mu_json_int(inst->rec, "open", 0) + 1));
        mu_log_event(m, "round_started", inst, json_pack("{s:I, s:O}", "item", (json_int_t)next + 1, "value", json_array_get(list, (size_t)next)));
        mu_set_status(m, inst, "active");
        mu_enter_block(m, inst->node->blocks[0], inst->key, next);
        next++;
    }
}

static void
item_done(mu_motion *m, mu_inst *inst)
{
    int64_t count = (int64_t)json_array_size(json_object_get(inst->rec, "list")), ended = mu_json_int(inst->rec, "ended", 0) + 1;

    json_object_set_new(inst->rec, "open", json_integer(mu_json_int(inst->rec, "open", 1) - 1));
    json_object_set_new(inst->rec, "ended", json_integer(ended));
    mu_dirty(m, inst);
    if (ended < count) {
        next_items(m, inst);
        return;
    }
    mu_log_event(m, "loop_over", inst, json_pack("{s:I, s:b}", "items", (json_int_t)count, "max", 0));
    mu_close(m, inst, "done", NULL, json_pack("{s:I}", "items", (json_int_t)count), true);
}

static void
start_items(mu_motion *m, mu_inst *inst)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh", .reads = mu_json_own(m->arena, json_object()) };
    mu_names names = mu_scope_names(&scope);
    mu_value value = mu_expression_evaluate(m->arena, inst->node->cond, &names);

    mu_log_event(m, "condition_read", inst, json_pack("{s:o, s:O}", "value", mu_value_to_json(m->arena, &value), "reads", scope.reads));
    if (value.kind != MU_T_LIST) {
        fail_value(m, inst, &value);
    } else if (inst->node->most > 0 && value.count > (size_t)inst->node->most) {
        mu_log_event(m, "loop_over", inst, json_pack("{s:I, s:b}", "items", (json_int_t)value.count, "max", 1));
        mu_fail_step(m, inst, "error.run.max");
    } else if (value.count == 0) {
        mu_log_event(m, "loop_over", inst, json_pack("{s:I, s:b}", "items", (json_int_t)0, "max", 0));
        mu_close(m, inst, "done", NULL, json_pack("{s:I}", "items", (json_int_t)0), true);
    } else {
        json_object_set_new(inst->rec, "list", mu_value_to_json(m->arena, &value));
        next_items(m, inst);
    }
}

/* -- both -------------------------------------------------------------------------------------------------------------------- */

void
mu_loop_start(mu_motion *m, mu_inst *inst)
{
    static const char *const forget[] = { "round", "list", "next", "open", "ended", "held" };

    for (size_t i = 0; i < MU_COUNT(forget); i++)            /* a retry begins with the first round */
        json_object_del(inst->rec, forget[i]);
    if (inst->node->block_count == 0 || inst->node->cond == NULL)
        mu_fail_step(m, inst, "error.expression.unset");
    else if (inst->node->kind == MU_K_WHILE)
        next_round(m, inst, true);
    else
        start_items(m, inst);
}

void
mu_loop_on(mu_motion *m, mu_inst *inst)
{
    json_object_del(inst->rec, "held");
    if (mu_is_status(inst, "ready"))
        mu_set_status(m, inst, "active");
    if (inst->node->kind == MU_K_WHILE)
        next_round(m, inst, true);
    else
        next_items(m, inst);
}

void
mu_round_done(mu_motion *m, mu_inst *inst)
{
    if (mu_json_bool(inst->rec, "asks", false))              /* it was stopped meanwhile; a retry begins anew */
        return;
    if (inst->node->kind == MU_K_WHILE)
        next_round(m, inst, !inst->node->every.given);
    else
        item_done(m, inst);
}
