/* How tokens move: a step is entered, closes, and its successor is put on the agenda. Nothing recurses along the sequence, only
 * along the nesting, which is bounded; every enter is counted, so that one call ends whatever it is given. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

/* -- entering ------------------------------------------------------------------------------------------------------------ */

static mu_inst
make_inst(mu_motion *m, const mu_node *node, const char *up, int64_t item)
{
    json_t *counts = json_object_get(m->state, "occ");
    int64_t occ = mu_json_int(counts, node->path, 0) + 1;
    mu_inst inst = { .node = node, .occ = occ, .key = mu_key(m->arena, node->path, occ), .rec = json_object() };

    json_object_set_new(counts, node->path, json_integer(occ));
    json_object_set_new(m->steps, inst.key, inst.rec);
    json_object_set_new(inst.rec, "up", json_string(up));
    json_object_set_new(inst.rec, "n", json_integer(1));
    if (item >= 0)
        json_object_set_new(inst.rec, "it", json_integer(item));
    if (occ > 1)                                  /* rows below that have never begun may come again */
        mu_dirty_below(m, node);
    return inst;
}

void
mu_enter(mu_motion *m, const mu_node *node, const char *up, int64_t item)
{
    mu_inst inst;

    if (m->budget == 0 || mu_json_int(json_object_get(m->state, "occ"), node->path, 0) >= MU_OCCURRENCES) {
        mu_refuse(m, "invalid", "error.run.bounds", "");
        return;
    }
    m->budget--;
    inst = make_inst(m, node, up, item);
    if (mu_run_paused(m)) {
        mu_set_status(m, &inst, "ready");         /* resume starts it */
        return;
    }
    mu_begin(m, &inst);
}

void
mu_enter_block(mu_motion *m, const mu_block *block, const char *up, int64_t item)
{
    if (block->count > 0)
        mu_enter(m, block->steps[0], up, item);
}

/* True: go on. False: the guard is false, or could not be read. */
static bool
guard(mu_motion *m, mu_inst *inst)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh", .reads = mu_json_own(m->arena, json_object()) };
    mu_names names = mu_scope_names(&scope);
    mu_value value;

    if (inst->node->when == NULL)
        return true;
    value = mu_expression_evaluate(m->arena, inst->node->when, &names);
    mu_log_event(m, "condition_read", inst, json_pack("{s:o, s:O}", "value", mu_value_to_json(m->arena, &value), "reads", scope.reads));
    if (value.kind == MU_T_BOOL && value.number != 0)
        return true;
    if (value.kind == MU_T_BOOL)
        mu_close(m, inst, "skipped", "when", NULL, true);
    else
        mu_fail_step(m, inst, value.kind == MU_T_ERROR ? value.text : "error.expression.type");
    return false;
}

void
mu_begin(mu_motion *m, mu_inst *inst)
{
    bool drill = !mu_same(mu_run_mode(m), "real");
    const char *due;

    mu_set_status(m, inst, "active");
    json_object_del(inst->rec, "due");            /* a retry counts anew */
    if (!guard(m, inst))
        return;
    if (drill && inst->node->drill == MU_DRILL_SKIP) {
        mu_close(m, inst, "skipped", "drill", NULL, true);
        return;
    }
    json_object_set_new(inst->rec, "at", json_string(m->at));
    mu_deadline_start(m, inst);
    mu_freeze_texts(m, inst);
    due = mu_json_str(inst->rec, "due");
    mu_log_event(m, "step_entered", inst, json_pack("{s:s, s:s?, s:I}", "kind", mu_kind_name(inst->node->kind), "due_at", due,
        "attempt", (json_int_t)mu_json_int(inst->rec, "n", 1)));
    json_object_set_new(inst->rec, "seq", json_integer(mu_seq(m)));
    mu_kind_start(m, inst);
}

/* -- closing ------------------------------------------------------------------------------------------------------------- */

/* Rows of steps below that have not begun show what became of what encloses them. The nodes below a node follow it without a gap. */
void
mu_dirty_below(mu_motion *m, const mu_node *top)
{
    for (size_t i = top->ord + 1; i < m->node_count && mu_node_below(m->nodes[i], top); i++)
        json_object_set_new(m->dirty, m->nodes[i]->path, json_true());
}

static void
end_record(mu_motion *m, mu_inst *inst, const char *status, const char *cause, json_t *result)
{
    static const struct { const char *status, *event; } events[] = { { "done", "step_done" }, { "failed", "step_failed" },
        { "skipped", "step_skipped" }, { "expired", "step_expired" }, { "cancelled", "step_cancelled" }, { "overridden", "step_overridden" } };
    json_t *data = json_object();

    mu_disarm(m, inst, NULL);
    mu_effects_cancel(m, inst);
    json_object_del(inst->rec, "asks");
    json_object_del(inst->rec, "req");
    json_object_set_new(inst->rec, "end", json_string(m->at));
    if (cause != NULL) {
        json_object_set_new(inst->rec, "cause", json_string(cause));
        json_object_set_new(data, "cause", json_string(cause));
    }
    if (result != NULL) {
        json_object_set(data, "result", result);
        json_object_set(inst->rec, "result", result);
    }
    for (size_t i = 0; i < MU_COUNT(events); i++)
        if (strcmp(events[i].status, status) == 0)
            mu_log_event(m, events[i].event, inst, json_incref(data));
    json_decref(data);
    json_object_set_new(inst->rec, "eseq", json_integer(mu_seq(m)));
    mu_set_status(m, inst, status);
    mu_dirty_below(m, inst->node);
    if (strcmp(status, "done") == 0 || strcmp(status, "overridden") == 0)
        mu_expectations(m, inst->node);
}

/* Is `inst` somewhere below the instance with that key? */
static bool
below(mu_motion *m, const mu_inst *inst, const char *key)
{
    mu_inst up = mu_inst_owner(m, inst);

    for (unsigned i = 0; i < MU_PLAYBOOK_DEPTH * 10 && up.rec != NULL; i++) {
        if (strcmp(up.key, key) == 0)
            return true;
        up = mu_inst_owner(m, &up);
    }
    return false;
}

void
mu_cancel_below(mu_motion *m, const mu_inst *top, const char *cause)
{
    const json_t *counts = json_object_get(m->state, "occ");

    for (size_t i = top->node->ord + 1; i < m->node_count && mu_node_below(m->nodes[i], top->node); i++) {
        int64_t last = mu_json_int(counts, m->nodes[i]->path, 0);
        for (int64_t occ = 1; occ <= last; occ++) {
            mu_inst inst = mu_inst_get(m, m->nodes[i], occ);
            if (mu_inst_open(&inst) && below(m, &inst, top->key))
                end_record(m, &inst, "cancelled", cause, NULL);
        }
    }
}

void
mu_close(mu_motion *m, mu_inst *inst, const char *status, const char *cause, json_t *result, bool next)
{
    if (result != NULL)
        mu_json_own(m->arena, result);
    if (!mu_inst_open(inst))
        return;
    end_record(m, inst, status, cause, result);
    mu_cancel_below(m, inst, strcmp(status, "skipped") == 0 ? "skip" : strcmp(status, "done") == 0 ? "join" : status);
    if (next && !mu_json_bool(inst->rec, "detached", false))
        json_array_append_new(m->agenda, json_string(inst->key));
}

void
mu_run_handler(mu_motion *m, mu_inst *inst, const mu_block *block)
{
    mu_enter_block(m, block, inst->key, -1);
}

/* -- agenda -------------------------------------------------------------------------------------------------------------- */

static void
count_open(mu_motion *m, mu_inst inst, void *closure)
{
    size_t *open = closure;

    (void)m;                                      /* a run does not wait for injects that have not come yet */
    *open += mu_inst_open(&inst) && !(inst.node->kind == MU_K_INJECT && inst.node->block->kind == MU_BLOCK_ASIDE);
}

/* The main block is through. A step that was opened again keeps the run going until it closes. */
static void
main_done(mu_motion *m)
{
    size_t open = 0;

    mu_inst_each(m, count_open, &open);
    if (open > 0)
        json_object_set_new(m->state, "through", json_true());
    else
        mu_end_run(m, "succeeded", "completed");
}

static void
branch_done(mu_motion *m, mu_inst *owner, const mu_block *block)
{
    json_t *done = json_object_get(owner->rec, "joined");

    if (done == NULL) {
        done = json_object();
        json_object_set_new(owner->rec, "joined", done);
    }
    json_object_set_new(done, block->name, json_true());
    if (json_object_size(done) >= owner->node->join)
        mu_close(m, owner, "done", NULL, json_pack("{s:O}", "joined", done), true);
}

static void
block_done(mu_motion *m, const mu_block *block, const mu_inst *last)
{
    mu_inst owner = mu_inst_owner(m, last);

    if (block->kind == MU_BLOCK_MAIN) {
        main_done(m);
    } else if (block->owner == NULL) {            /* the playbook's own on_error */
        mu_end_run(m, "failed", "failed");
    } else if (owner.rec == NULL) {
        return;
    } else if (block->kind == MU_BLOCK_HANDLER) { /* it ran in the owner's place: go on after the owner */
        if (!mu_json_bool(owner.rec, "detached", false))
            json_array_append_new(m->agenda, json_string(owner.key));
    } else if (mu_inst_open(&owner)) {
        if (owner.node->kind == MU_K_PARALLEL)
            branch_done(m, &owner, block);
        else if (owner.node->kind == MU_K_WHILE || owner.node->kind == MU_K_FOR_EACH)
            mu_round_done(m, &owner);
        else
            mu_close(m, &owner, "done", NULL, json_pack("{s:s}", "branch", block->name), true);
    }
}

/* A closed step's successor makes sense only while what encloses it is still open. A handler's owner is closed by nature: there it is
 * the step around the owner that counts. */
static bool
still_wanted(mu_motion *m, const mu_inst *inst)
{
    mu_inst cur = *inst, owner = mu_inst_owner(m, inst);

    while (owner.rec != NULL && cur.node->block->kind == MU_BLOCK_HANDLER) {
        cur = owner;
        owner = mu_inst_owner(m, &cur);
    }
    return owner.rec == NULL || mu_inst_open(&owner);
}

static void
successor(mu_motion *m, const mu_inst *inst)
{
    const mu_block *block = inst->node->block;

    if (inst->rec == NULL || block->kind == MU_BLOCK_ASIDE || !still_wanted(m, inst))
        return;
    if (inst->node->index + 1 < block->count)
        mu_enter(m, block->steps[inst->node->index + 1], mu_json_str(inst->rec, "up"), mu_json_int(inst->rec, "it", -1));
    else
        block_done(m, block, inst);
}

void
mu_settle(mu_motion *m)
{
    size_t open = 0;

    while (m->agenda_head < json_array_size(m->agenda) && m->refusal == NULL && !mu_run_over(m)) {
        mu_inst inst = mu_inst_key(m, json_string_value(json_array_get(m->agenda, m->agenda_head++)));
        successor(m, &inst);
    }
    if (mu_json_bool(m->state, "through", false) && !mu_run_over(m)) {
        mu_inst_each(m, count_open, &open);
        if (open == 0)
            mu_end_run(m, "succeeded", "completed");
    }
}

/* -- failure ------------------------------------------------------------------------------------------------------------- */

void
mu_ask(mu_motion *m, mu_inst *inst, const char *error)
{
    mu_disarm(m, inst, NULL);
    mu_cancel_below(m, inst, "failed");           /* a retry starts them anew */
    if (inst->node->kind == MU_K_CALL)
        mu_effects_cancel(m, inst);
    mu_set_status(m, inst, "failed");
    json_object_set_new(inst->rec, "asks", json_true());
    json_object_set_new(inst->rec, "error", json_string(error));
    mu_log_event(m, "step_asks", inst, json_pack("{s:s}", "error", error));
    mu_effect_alarm(m, inst, "asks", error);
}

static void
close_one(mu_motion *m, mu_inst inst, void *closure)
{
    if (mu_inst_open(&inst))
        end_record(m, &inst, "cancelled", closure, NULL);
}

/* What stands beside the flow goes on. */
static void
close_flow(mu_motion *m, mu_inst inst, void *closure)
{
    if (inst.node->block->kind != MU_BLOCK_ASIDE)
        close_one(m, inst, closure);
}

static char cause_on_error[] = "on_error", cause_end[] = "end";

/* The playbook's own on_error takes over; after it the run ends as failed. */
static void
fail_run(mu_motion *m, mu_inst *inst)
{
    mu_close(m, inst, "failed", NULL, NULL, false);
    if (m->pb->on_error == NULL || mu_json_bool(m->state, "failing", false)) {
        mu_end_run(m, "failed", "failed");
        return;
    }
    mu_inst_each(m, close_flow, cause_on_error);
    json_object_set_new(m->state, "failing", json_true());
    json_array_clear(m->agenda);
    m->agenda_head = 0;
    mu_enter_block(m, m->pb->on_error, "", -1);
}

/* The nearest step, from inst outwards, that says what follows a failure. A handler does not catch its own failures. */
static mu_inst
catcher(mu_motion *m, const mu_inst *inst)
{
    mu_inst cur = *inst;

    while (cur.rec != NULL) {
        mu_block_kind kind = cur.node->block->kind;
        if (cur.node->on_error != MU_ERR_PASS)
            return cur;
        cur = mu_inst_owner(m, &cur);
        while (cur.rec != NULL && kind == MU_BLOCK_HANDLER) {
            kind = cur.node->block->kind;
            cur = mu_inst_owner(m, &cur);
        }
    }
    return cur;
}

void
mu_fail_step(mu_motion *m, mu_inst *inst, const char *error)
{
    mu_inst at = catcher(m, inst);
    bool detached = mu_json_bool(inst->rec, "detached", false) || inst->node->block->kind == MU_BLOCK_ASIDE;

    json_object_set_new(inst->rec, "error", json_string(error));
    mu_dirty(m, inst);
    if (at.rec == NULL || detached) {
        if (m->pb->on_error != NULL && !detached && !mu_json_bool(m->state, "failing", false))
            fail_run(m, inst);
        else
            mu_ask(m, inst, error);
        return;
    }
    if (at.node->on_error == MU_ERR_ASK) {
        mu_ask(m, inst, error);
        return;
    }
    if (at.node->on_error == MU_ERR_FAIL) {
        fail_run(m, inst);
        return;
    }
    if (strcmp(at.key, inst->key) != 0)
        mu_close(m, inst, "failed", NULL, json_pack("{s:s}", "error", error), false);
    mu_close(m, &at, "failed", NULL, json_pack("{s:s}", "error", error), at.node->on_error == MU_ERR_CONTINUE);
    if (at.node->on_error == MU_ERR_BLOCK)
        mu_run_handler(m, &at, at.node->on_error_block);
}

/* -- the end ------------------------------------------------------------------------------------------------------------- */

void
mu_end_run(mu_motion *m, const char *status, const char *outcome)
{
    if (mu_run_over(m))
        return;
    mu_injects_end(m);
    mu_inst_each(m, close_one, cause_end);
    json_array_clear(m->agenda);
    m->agenda_head = 0;
    json_object_set_new(m->state, "status", json_string(status));
    json_object_set_new(m->state, "outcome", json_string(outcome));
    json_object_set_new(m->state, "ended_at", json_string(m->at));
    mu_log_event(m, "run_ended", NULL, json_pack("{s:s, s:s}", "status", status, "outcome", outcome));
    for (size_t i = 0; i < m->node_count; i++)           /* rows that were pending will not come any more */
        if (mu_json_int(json_object_get(m->state, "occ"), m->nodes[i]->path, 0) == 0)
            json_object_set_new(m->dirty, m->nodes[i]->path, json_true());
}
