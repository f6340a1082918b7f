/* Injects: what a drill lets happen, and what people are expected to do about it. Those beside the flow exist in drills and rehearsals
 * only and are armed as soon as their time can be computed; a run never waits for them, nor for what is expected. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define NOTE_MOST 4000                 /* characters */

/* -- expectations ----------------------------------------------------------------------------------------------------------- */

static void
verdict(mu_motion *m, mu_inst *inst, const char *word, int64_t score, const json_t *note)
{
    json_t *box = json_pack("{s:s, s:I, s:I, s:o, s:s}", "verdict", word, "score", (json_int_t)score,
        "of", (json_int_t)inst->node->expected.score, "by", mu_person(m->actor), "at", m->at);

    if (note != NULL)
        json_object_set(box, "note", (json_t *)(uintptr_t)note);
    json_object_set_new(inst->rec, "judged", box);
    mu_disarm(m, inst, "expect/0");
    mu_log_event(m, "inject_judged", inst, json_pack("{s:s, s:I, s:I}", "verdict", word, "score", (json_int_t)score,
        "of", (json_int_t)inst->node->expected.score));
    mu_dirty(m, inst);
}

static bool
awaits(const mu_inst *inst)
{
    return inst->node->kind == MU_K_INJECT && inst->node->expected.step != NULL && json_object_get(inst->rec, "told_at") != NULL
        && json_object_get(inst->rec, "judged") == NULL;
}

static void
met_by(mu_motion *m, mu_inst inst, void *closure)
{
    if (awaits(&inst) && mu_same(inst.node->expected.step, closure))
        verdict(m, &inst, "met", inst.node->expected.score, NULL);
}

void
mu_expectations(mu_motion *m, const mu_node *done)
{
    if (mu_drilled(m) && mu_json_bool(m->state, "injects", false))
        mu_inst_each(m, met_by, mu_strdup(m->arena, done->id));
}

typedef struct { const char *id; bool found; } search;

static void
look_for_done(mu_motion *m, mu_inst inst, void *closure)
{
    search *s = closure;

    (void)m;
    s->found = s->found || (strcmp(inst.node->id, s->id) == 0 && (mu_is_status(&inst, "done") || mu_is_status(&inst, "overridden")));
}

static void
expect(mu_motion *m, mu_inst *inst)
{
    search s = { .id = inst->node->expected.step };
    int64_t seconds;
    mu_instant span, due;

    if (s.id == NULL)
        return;
    json_object_set_new(m->state, "injects", json_true());   /* closing a step looks for expectations from now on */
    mu_inst_each(m, look_for_done, &s);
    if (s.found)
        verdict(m, inst, "met", inst->node->expected.score, NULL);
    else if (mu_length_seconds(m, &inst->node->expected.within, &seconds) && !__builtin_mul_overflow(seconds, MU_SECOND, &span)
        && !__builtin_add_overflow(m->now, span, &due))
        mu_arm(m, inst, "expect", 0, due);
}

static void
end_one(mu_motion *m, mu_inst inst, void *closure)
{
    (void)closure;
    if (awaits(&inst) && !mu_inst_open(&inst))
        verdict(m, &inst, "missed", 0, NULL);
}

/* The run is over: what has not been done will not be done. Free texts can still be judged. */
void
mu_injects_end(mu_motion *m)
{
    if (mu_drilled(m))
        mu_inst_each(m, end_one, NULL);
}

/* -- delivery ---------------------------------------------------------------------------------------------------------------- */

static void
deliver(mu_motion *m, mu_inst *inst)
{
    json_object_set_new(inst->rec, "told_at", json_string(m->at));
    mu_log_event(m, "inject_delivered", inst, json_pack("{s:b}", "expect", inst->node->expected.given));
    mu_effect_inject(m, inst);
    mu_close(m, inst, "done", NULL, NULL, true);
    expect(m, inst);
}

/* Its time: MU_T_DATETIME, or what is in the way of it. */
static mu_value
planned(mu_motion *m, mu_inst *inst, json_t *reads)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh", .reads = reads };
    mu_names names = mu_scope_names(&scope);

    return mu_expression_evaluate(m->arena, inst->node->cond, &names);
}

/* As a step of the flow. */
void
mu_inject_start(mu_motion *m, mu_inst *inst)
{
    json_t *reads = mu_json_own(m->arena, json_object());
    mu_value at;

    if (!mu_drilled(m)) {
        mu_close(m, inst, "skipped", "real", NULL, true);
        return;
    }
    if (inst->node->cond == NULL || inst->node->block->kind == MU_BLOCK_ASIDE) {
        deliver(m, inst);
        return;
    }
    at = planned(m, inst, reads);
    mu_log_event(m, "condition_read", inst, json_pack("{s:o, s:O}", "value", mu_value_to_json(m->arena, &at), "reads", reads));
    if (at.kind != MU_T_DATETIME) {
        mu_fail_step(m, inst, at.kind == MU_T_ERROR ? at.text : "error.expression.type");
    } else if (at.number <= m->now) {
        deliver(m, inst);
    } else {
        mu_set_status(m, inst, "waiting");
        mu_arm(m, inst, "inject", 0, at.number);
    }
}

/* Beside the flow: guard, texts and delivery come together, when its time has come. */
static void
begin_aside(mu_motion *m, mu_inst *inst)
{
    if (mu_run_paused(m))
        mu_set_status(m, inst, "ready");          /* resume delivers it */
    else
        mu_begin(m, inst);
}

void
mu_inject_timer(mu_motion *m, mu_inst *inst, const char *kind)
{
    if (strcmp(kind, "expect") == 0) {
        if (json_object_get(inst->rec, "judged") == NULL)
            verdict(m, inst, "missed", 0, NULL);
    } else if (inst->node->block->kind == MU_BLOCK_ASIDE) {
        begin_aside(m, inst);
    } else {
        deliver(m, inst);
    }
}

static void
create_one(mu_motion *m, const mu_node *node)
{
    mu_inst inst = { .node = node, .occ = 1, .key = mu_key(m->arena, node->path, 1), .rec = json_object() };

    json_object_set_new(json_object_get(m->state, "occ"), node->path, json_integer(1));
    json_object_set_new(m->steps, inst.key, inst.rec);
    json_object_set_new(inst.rec, "up", json_string(""));
    json_object_set_new(inst.rec, "n", json_integer(1));
    mu_set_status(m, &inst, "pending");
}

void
mu_injects_create(mu_motion *m)
{
    if (!mu_drilled(m) || m->pb->injects == NULL)
        return;
    for (size_t i = 0; i < m->pb->injects->count; i++)
        create_one(m, m->pb->injects->steps[i]);
}

/* A time that depends on a milestone is known once that is reached: looked at after every event. */
void
mu_injects_plan(mu_motion *m)
{
    if (!mu_drilled(m) || m->pb->injects == NULL || mu_run_over(m))
        return;
    for (size_t i = 0; i < m->pb->injects->count; i++) {
        mu_inst inst = mu_inst_get(m, m->pb->injects->steps[i], 1);
        json_t *reads = mu_json_own(m->arena, json_object());
        mu_value at;
        if (inst.rec == NULL || !mu_is_status(&inst, "pending") || inst.node->cond == NULL)
            continue;
        at = planned(m, &inst, reads);
        if (at.kind != MU_T_DATETIME)
            continue;
        mu_log_event(m, "condition_read", &inst, json_pack("{s:o, s:O}", "value", mu_value_to_json(m->arena, &at), "reads", reads));
        mu_set_status(m, &inst, "waiting");
        if (at.number <= m->now)
            begin_aside(m, &inst);
        else
            mu_arm(m, &inst, "inject", 0, at.number);
    }
}

/* -- controllers ------------------------------------------------------------------------------------------------------------- */

static bool
may_control(mu_motion *m, const mu_inst *inst)
{
    if (inst->node->kind != MU_K_INJECT)
        return mu_refuse(m, "conflict", "error.run.wrong_kind", "");
    return mu_is_controller(m) || mu_refuse(m, "forbidden", "error.run.controller", "");
}

bool
mu_on_inject_deliver(mu_motion *m, mu_inst *inst)
{
    if (!may_control(m, inst))
        return false;
    if (!mu_inst_open(inst) || mu_json_bool(inst->rec, "asks", false))
        return mu_refuse(m, "conflict", "error.run.step_closed", "");
    mu_disarm(m, inst, "inject/0");
    if (inst->node->block->kind == MU_BLOCK_ASIDE)
        mu_begin(m, inst);
    else
        deliver(m, inst);
    return true;
}

bool
mu_on_inject_judged(mu_motion *m, mu_inst *inst)
{
    static const char *const words[] = { "met", "partly", "missed" };
    const char *word = mu_json_str(m->data, "verdict"), *text = mu_json_str(m->data, "note");
    const json_t *score = json_object_get(m->data, "score");
    int64_t of = inst->node->expected.score, given = mu_same(word, "met") ? of : mu_same(word, "partly") ? of / 2 : 0;
    bool known = false;

    if (!may_control(m, inst))
        return false;
    if (json_object_get(inst->rec, "told_at") == NULL || !inst->node->expected.given)
        return mu_refuse(m, "conflict", "error.run.inject", "");
    for (size_t i = 0; i < MU_COUNT(words); i++)
        known = known || mu_same(word, words[i]);
    if (!known)
        return mu_refuse(m, "invalid", "error.run.verdict", "/verdict");
    if (score != NULL && (!json_is_integer(score) || json_integer_value(score) < 0 || json_integer_value(score) > of))
        return mu_refuse(m, "invalid", "error.run.score", "/score");
    if (text != NULL && mu_utf8_count(text, strlen(text)) > NOTE_MOST)
        return mu_refuse(m, "invalid", "error.run.value", "/note");
    verdict(m, inst, word, score != NULL ? json_integer_value(score) : given, json_object_get(m->data, "note"));
    return true;
}
