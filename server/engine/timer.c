/* Deadlines and other timers. A deadline warns, then escalates along its chain until someone acknowledges, and takes the token only
 * when it says so. Times come from the event; nothing here reads a clock. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define ESCALATE_AFTER_DEFAULT 300     /* seconds between two roles of a chain, when the site has not set another */

static int64_t
escalate_after(const mu_motion *m)
{
    const char *text = mu_json_str(json_object_get(m->state, "settings"), "escalate_after");
    int64_t seconds;

    return text != NULL && mu_duration_parse(text, &seconds) && seconds >= 30 ? seconds : ESCALATE_AFTER_DEFAULT;
}

/* base + seconds, or false when it does not fit. */
static bool
later(mu_instant base, int64_t seconds, mu_instant *ret)
{
    mu_instant span;

    return !__builtin_mul_overflow(seconds, MU_SECOND, &span) && !__builtin_add_overflow(base, span, ret);
}

static void
arm_deadline(mu_motion *m, mu_inst *inst, mu_instant base)
{
    const mu_node_deadline *d = &inst->node->deadline;
    int64_t seconds;
    mu_instant due, warn;

    if (!mu_length_seconds(m, &d->after, &seconds) || !later(base, seconds, &due)) {
        mu_log_event(m, "deadline_unknown", inst, NULL);
        return;
    }
    json_object_set_new(inst->rec, "due", json_string(mu_time_format(m->arena, due)));
    mu_dirty(m, inst);
    if (d->warn >= 0 && d->warn < seconds && later(due, -d->warn, &warn))
        mu_arm(m, inst, "deadline_warn", 0, warn);
    mu_arm(m, inst, "deadline", 0, due);
}

void
mu_deadline_start(mu_motion *m, mu_inst *inst)
{
    const mu_node_deadline *d = &inst->node->deadline;
    const char *at;
    mu_instant base = m->now;

    if (!d->given)
        return;
    if (d->from != NULL) {
        at = mu_json_str(json_object_get(json_object_get(m->state, "milestones"), d->from), "at");
        if (at == NULL || !mu_time_parse(at, &base))
            return;                               /* armed when the milestone is reached */
    }
    arm_deadline(m, inst, base);
}

static void
milestone_deadline(mu_motion *m, mu_inst inst, void *closure)
{
    bool counts = inst.node->deadline.given && mu_same(inst.node->deadline.from, closure);

    if (counts && mu_inst_open(&inst) && mu_json_str(inst.rec, "due") == NULL && mu_json_str(inst.rec, "at") != NULL)
        arm_deadline(m, &inst, m->now);
}

void
mu_milestone_reached(mu_motion *m, const char *id)
{
    mu_inst_each(m, milestone_deadline, mu_strdup(m->arena, id));
}

/* Without a chain the deputy of the role that does not answer is told; he may act in its place anyway. */
static const char *
deputy(const mu_motion *m, const mu_inst *inst)
{
    const char *role = mu_inst_role(inst);

    return mu_rules(m) < 2 || role == NULL ? NULL : mu_json_str(json_object_get(m->pb->roles, role), "deputy");
}

/* The n-th role of the chain is told, and the next one gets its timer. */
static void
escalate(mu_motion *m, mu_inst *inst, int64_t n)
{
    const mu_node_deadline *d = &inst->node->deadline;
    const json_t *chain = json_object_get(inst->rec, "esc");
    const char *role = n >= 0 && (size_t)n < d->escalate_count ? d->escalate[n] : n == 0 ? deputy(m, inst) : NULL;
    mu_instant next;

    if (role == NULL || json_object_get(chain, "acknowledged") != NULL)
        return;
    json_object_set_new(inst->rec, "esc", json_pack("{s:I, s:s}", "n", (json_int_t)n, "role", role));
    mu_log_event(m, "escalated", inst, json_pack("{s:s, s:I}", "role", role, "n", (json_int_t)n));
    mu_effect_escalate(m, inst, "escalation", n, role);
    mu_dirty(m, inst);
    if ((size_t)n + 1 < d->escalate_count && later(m->now, escalate_after(m), &next))
        mu_arm(m, inst, "escalate", n + 1, next);
}

static void
deadline_due(mu_motion *m, mu_inst *inst)
{
    const mu_node_deadline *d = &inst->node->deadline;

    mu_log_event(m, "deadline_missed", inst, json_pack("{s:s?}", "due_at", mu_json_str(inst->rec, "due")));
    json_object_set_new(inst->rec, "missed", json_true());
    mu_dirty(m, inst);
    escalate(m, inst, 0);
    switch (d->then) {
    case MU_THEN_NONE:
        break;
    case MU_THEN_PROCEED:
        mu_close(m, inst, "done", "deadline", NULL, true);
        break;
    case MU_THEN_SKIP:
        mu_close(m, inst, "skipped", "deadline", NULL, true);
        break;
    case MU_THEN_FAIL:
        mu_fail_step(m, inst, "error.run.deadline");
        break;
    case MU_THEN_BLOCK:
        mu_close(m, inst, "expired", "deadline", NULL, false);
        mu_run_handler(m, inst, d->block);
        break;
    }
}

bool
mu_timer_fired(mu_motion *m, mu_inst *inst)
{
    const char *kind = mu_json_str(m->data, "timer");
    int64_t n = mu_json_int(m->data, "n", 0);
    char *name = mu_printf(m->arena, "%s/%lld", kind == NULL ? "" : kind, (long long)n);
    json_t *timers = json_object_get(inst->rec, "timers");

    if (json_object_get(timers, name) == NULL) {
        m->late = true;                           /* it lost the race against a completion */
        return true;
    }
    json_object_del(timers, name);
    if (json_object_size(timers) == 0)
        json_object_del(inst->rec, "timers");
    if (strcmp(kind, "deadline_warn") == 0) {
        mu_log_event(m, "deadline_warned", inst, json_pack("{s:s?}", "due_at", mu_json_str(inst->rec, "due")));
        mu_effect_escalate(m, inst, "reminder", 0, mu_inst_role(inst));
    } else if (strcmp(kind, "deadline") == 0) {
        deadline_due(m, inst);
    } else if (strcmp(kind, "escalate") == 0) {
        escalate(m, inst, n);
    } else if (strcmp(kind, "wait") == 0) {
        mu_close(m, inst, "done", NULL, NULL, true);
    } else if (strcmp(kind, "default") == 0) {
        return mu_decide_value(m, inst, json_object_get(json_object_get(inst->node->json, "default_after"), "value"), "default");
    } else if (strcmp(kind, "ack") == 0) {
        mu_effect_alarm(m, inst, "deadline", NULL);
    } else if (strcmp(kind, "every") == 0) {
        mu_loop_on(m, inst);
    } else if (strcmp(kind, "retry") == 0) {
        mu_request_again(m, inst);
    } else if (strcmp(kind, "inject") == 0 || strcmp(kind, "expect") == 0) {
        mu_inject_timer(m, inst, kind);
    }
    return true;
}
