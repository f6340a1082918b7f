/* One call of mu_apply() on its way: the working copy of the state and what has come of it so far. Private to this folder. */
#ifndef MU_MOTION_H
#define MU_MOTION_H

#include "apply.h"
#include "clock.h"
#include "model.h"

/* Enters and closes allowed in one call; a playbook of the largest size needs less, so that passing it means a fault of ours. */
#define MU_MOTION_BUDGET 40000u
#define MU_OCCURRENCES   100           /* of one path: a bound on reopening */

typedef struct {
    mu_arena    *arena;
    const mu_playbook *pb;
    json_t      *state, *steps;        /* steps = state.steps, borrowed */
    const json_t *event, *data, *actor;
    const char  *at;
    mu_instant   now;
    json_t      *events, *effects, *cancelled, *arm, *disarm;
    json_t      *dirty;                /* keys of instances and paths whose row changed */
    json_t      *agenda;               /* keys of instances that have closed and whose successor is to be entered */
    size_t       agenda_head;
    json_t      *refusal;
    unsigned     budget;
    bool         late;
} mu_motion;

/* One step instance. rec = its record in state.steps; open while it has no "end". */
typedef struct { const mu_node *node; const char *key; int64_t occ; json_t *rec; } mu_inst;

/* -- state.c -- */
char   *mu_key(mu_arena *arena, const char *path, int64_t occ);
mu_inst mu_inst_get(mu_motion *m, const mu_node *node, int64_t occ);         /* rec NULL: not there */
mu_inst mu_inst_key(mu_motion *m, const char *key);
bool    mu_inst_open(const mu_inst *inst);
mu_inst mu_inst_owner(mu_motion *m, const mu_inst *inst);                    /* rec NULL at the root */
/* Calls fn for every instance, in order of the playbook and then of occurrence. */
void    mu_inst_each(mu_motion *m, void (*fn)(mu_motion *m, mu_inst inst, void *closure), void *closure);
bool    mu_run_over(const mu_motion *m);
bool    mu_run_paused(const mu_motion *m);
const char *mu_run_mode(const mu_motion *m);
int64_t mu_seq(const mu_motion *m);
/* Appends an event that follows from the one in hand; `data` is taken over (NULL: {}). inst may be NULL. */
void    mu_log_event(mu_motion *m, const char *kind, const mu_inst *inst, json_t *data);
bool    mu_refuse(mu_motion *m, const char *code, const char *key, const char *pointer);   /* returns false */
void    mu_dirty(mu_motion *m, const mu_inst *inst);
void    mu_set_status(mu_motion *m, mu_inst *inst, const char *status);
bool    mu_is_status(const mu_inst *inst, const char *status);
void    mu_arm(mu_motion *m, mu_inst *inst, const char *kind, int64_t n, mu_instant due);
void    mu_disarm(mu_motion *m, mu_inst *inst, const char *timer);           /* "kind/n"; NULL: all */
void    mu_var_set(mu_motion *m, const mu_inst *inst, const mu_var *var, const mu_value *value);
bool    mu_var_get(mu_motion *m, const mu_var *var, mu_value *ret);
bool    mu_length_seconds(mu_motion *m, const mu_length *length, int64_t *ret);
json_t *mu_person(const json_t *actor);                                      /* {"id","name"}, new reference */

typedef struct { mu_motion *m; const mu_inst *inst; const char *language; json_t *reads; } mu_scope;
mu_names mu_scope_names(mu_scope *scope);
json_t  *mu_text_both(mu_motion *m, const mu_inst *inst, const json_t *text, mu_fill how);   /* new reference; null when text is NULL */

/* -- flow.c -- */
void mu_enter_block(mu_motion *m, const mu_block *block, const char *up);
void mu_begin(mu_motion *m, mu_inst *inst);                    /* guard, deadlines, then what its kind does first */
/* Closes with a status; timers, effects and children go with it. `next`: whoever follows is entered. */
void mu_close(mu_motion *m, mu_inst *inst, const char *status, const char *cause, json_t *result, bool next);
void mu_fail_step(mu_motion *m, mu_inst *inst, const char *error);
void mu_ask(mu_motion *m, mu_inst *inst, const char *error);
void mu_run_handler(mu_motion *m, mu_inst *inst, const mu_block *block);
void mu_end_run(mu_motion *m, const char *status, const char *outcome);
void mu_dirty_below(mu_motion *m, const mu_node *top);
void mu_settle(mu_motion *m);                                  /* works the agenda off */

/* -- kinds.c -- */
void mu_kind_start(mu_motion *m, mu_inst *inst);
void mu_reject(mu_motion *m, mu_inst *inst);

/* -- timer.c -- */
void mu_deadline_start(mu_motion *m, mu_inst *inst);
void mu_milestone_reached(mu_motion *m, const char *id);       /* arms deadlines that count from it */
bool mu_timer_fired(mu_motion *m, mu_inst *inst);

/* -- effects.c -- */
void mu_effect_notify(mu_motion *m, mu_inst *inst);
void mu_effect_status(mu_motion *m, mu_inst *inst);
void mu_effect_report(mu_motion *m, mu_inst *inst);
void mu_effect_escalate(mu_motion *m, mu_inst *inst, const char *level, int64_t n, const char *role);
void mu_effect_grade(mu_motion *m, mu_inst *inst);           /* a decision that says `grades: severity` */
void mu_effect_alarm(mu_motion *m, mu_inst *inst, const char *reason, const char *error);
void mu_effects_cancel(mu_motion *m, mu_inst *inst);
bool mu_effect_settled(mu_motion *m, mu_inst *inst, bool good);

/* -- people.c -- */
bool mu_is_commander(const mu_motion *m);
bool mu_role_members(const mu_motion *m, const char *role, const json_t **ret_members);   /* the deputy's when it has nobody; false: nobody at all */
bool mu_may_act(mu_motion *m, const mu_inst *inst);            /* refuses when the actor is not of the step's role */
bool mu_may_approve(mu_motion *m, const mu_inst *inst, const char *role);
bool mu_reason(mu_motion *m);                                  /* refuses when the reason is missing or short */
bool mu_second_person(mu_motion *m, const mu_inst *inst, const char *power);   /* true: carry it out now */

/* Handlers of events; false: refused. inst is NULL for events without a step. */
bool mu_on_run_created(mu_motion *m);
bool mu_on_item_check(mu_motion *m, mu_inst *inst);
bool mu_on_task_done(mu_motion *m, mu_inst *inst);
bool mu_on_decide(mu_motion *m, mu_inst *inst);
bool mu_on_approve(mu_motion *m, mu_inst *inst);
bool mu_on_refuse(mu_motion *m, mu_inst *inst);
bool mu_on_report_filed(mu_motion *m, mu_inst *inst);
bool mu_on_evidence(mu_motion *m, mu_inst *inst);
bool mu_on_acknowledge(mu_motion *m, mu_inst *inst);
bool mu_on_signal(mu_motion *m);
bool mu_on_skip(mu_motion *m, mu_inst *inst);
bool mu_on_override(mu_motion *m, mu_inst *inst);
bool mu_on_override_var(mu_motion *m);
bool mu_on_retry(mu_motion *m, mu_inst *inst);
bool mu_on_reopen(mu_motion *m, mu_inst *inst);
bool mu_on_pause(mu_motion *m);
bool mu_on_resume(mu_motion *m);
bool mu_on_severity(mu_motion *m);
bool mu_on_role_filled(mu_motion *m);
bool mu_on_note(mu_motion *m);
bool mu_on_abort(mu_motion *m);
bool mu_on_clock(mu_motion *m);
bool mu_decide_value(mu_motion *m, mu_inst *inst, const json_t *value, const char *cause);

/* -- project.c -- */
json_t *mu_project_inst(mu_motion *m, mu_inst inst);           /* a row, new reference */
json_t *mu_project_pending(mu_motion *m, const mu_node *node); /* NULL when such a row is not shown */
json_t *mu_project_all(mu_motion *m);
/* Texts with {{x}} are filled in once, when the step is entered, and kept: a row never changes behind its step's back. */
void    mu_freeze_texts(mu_motion *m, mu_inst *inst);

#endif
