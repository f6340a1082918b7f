/* One call of mu_apply() on its way: the working copy of the state and what has come of it so far. Private to this folder. */
#ifndef MU_MOTION_H
#define MU_MOTION_H

#include "apply.h"
#include "clock.h"
#include "model.h"

/* Steps that may be entered in one call. Loops take their share and then go on in the next transaction; without them the largest
 * playbook needs less than the rest, so that passing the budget means a fault of ours. */
#define MU_MOTION_BUDGET 40000u
#define MU_LOOP_SHARE    500u
#define MU_OCCURRENCES   10000         /* of one path: rounds, items, retries of what encloses it, reopening */
#define MU_ATTEMPTS      100           /* of one instance */
#define MU_ADHOC_MOST    100           /* steps the commander may add to one run */

typedef struct {
    mu_arena    *arena;
    const mu_playbook *pb;
    mu_node *const *nodes;             /* of the playbook, then those the commander has added */
    size_t       node_count;
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
    bool         lean;                 /* the state has no room: no loop begins a round */
    size_t       size;                 /* of the state, when it was last measured; 0: not yet */
    unsigned     measured;             /* budget left at that time */
    bool         late;
} mu_motion;

/* One step instance. rec = its record in state.steps; open while it has no "end". */
typedef struct { const mu_node *node; const char *key; int64_t occ; json_t *rec; } mu_inst;

/* -- state.c -- */
char   *mu_key(mu_arena *arena, const char *path, int64_t occ);
const mu_node *mu_path_node(const mu_motion *m, const char *path);           /* NULL: there is none */
int64_t mu_rules(const mu_motion *m);                                        /* engine version the run was started with */
bool    mu_drilled(const mu_motion *m);                                      /* drill or rehearsal */
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
void mu_enter(mu_motion *m, const mu_node *node, const char *up, int64_t item);   /* item: of a for_each; -1: none */
void mu_enter_block(mu_motion *m, const mu_block *block, const char *up, int64_t item);
void mu_begin(mu_motion *m, mu_inst *inst);                    /* guard, deadlines, then what its kind does first */
/* Closes with a status; timers, effects and children go with it. `next`: whoever follows is entered. */
void mu_close(mu_motion *m, mu_inst *inst, const char *status, const char *cause, json_t *result, bool next);
void mu_fail_step(mu_motion *m, mu_inst *inst, const char *error);
void mu_ask(mu_motion *m, mu_inst *inst, const char *error);
void mu_run_handler(mu_motion *m, mu_inst *inst, const mu_block *block);
void mu_end_run(mu_motion *m, const char *status, const char *outcome);
void mu_dirty_below(mu_motion *m, const mu_node *top);
void mu_cancel_below(mu_motion *m, const mu_inst *top, const char *cause);
void mu_settle(mu_motion *m);                                  /* works the agenda off */

/* -- kinds.c -- */
void mu_kind_start(mu_motion *m, mu_inst *inst);
void mu_reject(mu_motion *m, mu_inst *inst);
bool mu_fit(mu_motion *m, const mu_type *type, mu_value *value);
/* if, switch: goes that way. block NULL: there is nothing on it. name NULL: no case fits. */
void mu_take_branch(mu_motion *m, mu_inst *inst, const mu_block *block, const char *name);

/* -- loop.c -- */
void mu_loop_start(mu_motion *m, mu_inst *inst);
void mu_loop_on(mu_motion *m, mu_inst *inst);                  /* after a pause */
void mu_round_done(mu_motion *m, mu_inst *inst);               /* the body is through once more */

/* -- request.c -- */
void mu_request_start(mu_motion *m, mu_inst *inst);
void mu_request_again(mu_motion *m, mu_inst *inst);               /* the timer of a retry */
void mu_request_settled(mu_motion *m, mu_inst *inst, bool good);

/* -- answer.c -- */
const char *mu_answer_wrong(mu_motion *m, const mu_node *node, const json_t *result);     /* error key; NULL: as expected */
bool mu_save(mu_motion *m, mu_inst *inst, const json_t *(*find)(mu_motion *m, const json_t *from, const char *path), const json_t *from);
const json_t *mu_answer_part(mu_motion *m, const json_t *result, const char *path);

/* -- child.c -- */
void mu_child_start(mu_motion *m, mu_inst *inst);
bool mu_on_child_started(mu_motion *m, mu_inst *inst);
bool mu_on_child_ended(mu_motion *m, mu_inst *inst);

/* -- inject.c -- */
void mu_injects_create(mu_motion *m);                          /* those beside the flow, when a drill begins */
void mu_injects_plan(mu_motion *m);                            /* arms those whose time is known by now */
void mu_injects_end(mu_motion *m);
void mu_inject_start(mu_motion *m, mu_inst *inst);
void mu_inject_timer(mu_motion *m, mu_inst *inst, const char *kind);
void mu_expectations(mu_motion *m, const mu_node *done);       /* a step has been done that injects may have asked for */
bool mu_on_inject_deliver(mu_motion *m, mu_inst *inst);
bool mu_on_inject_judged(mu_motion *m, mu_inst *inst);

/* -- adhoc.c -- */
void mu_adhoc_nodes(mu_motion *m);                             /* sets m->nodes */
bool mu_on_adhoc(mu_motion *m, mu_inst *inst);
bool mu_on_adhoc_run(mu_motion *m);

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
void mu_effect_inject(mu_motion *m, mu_inst *inst);
/* The part every effect has: run, incident, step. Owner: the arena. */
json_t     *mu_effect_data(mu_motion *m, const mu_inst *inst);
const char *mu_effect_key(mu_motion *m, const mu_inst *inst, const char *name);
/* `awaited`: the step waits for the answer. */
void mu_emit(mu_motion *m, mu_inst *inst, const char *kind, const char *key, const char *how, json_t *data, bool awaited);
const char *mu_delivery(const mu_motion *m, const mu_node *node, bool outside);
const char *mu_delivery_inside(const mu_motion *m);            /* to the people of the run */
void mu_effect_people(mu_motion *m, json_t *people, const char *ref);
void mu_simulated(mu_motion *m, mu_inst *inst);                /* closes with the pretended result */
void mu_effects_cancel(mu_motion *m, mu_inst *inst);
bool mu_effect_settled(mu_motion *m, mu_inst *inst, bool good);

/* -- people.c -- */
bool mu_is_commander(const mu_motion *m);
bool mu_is_controller(const mu_motion *m);
bool mu_is_person(const mu_motion *m);
const char *mu_inst_role(const mu_inst *inst);                 /* after reassigning */
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
bool mu_on_choose_branch(mu_motion *m, mu_inst *inst);
bool mu_on_reassign(mu_motion *m, mu_inst *inst);
bool mu_on_hand_over(mu_motion *m);
bool mu_on_stop_drill(mu_motion *m);
bool mu_may_command(mu_motion *m);                             /* refuses others, and a missing reason */
bool mu_decide_value(mu_motion *m, mu_inst *inst, const json_t *value, const char *cause);

/* -- project.c -- */
json_t *mu_project_inst(mu_motion *m, mu_inst inst);           /* a row, new reference */
json_t *mu_project_pending(mu_motion *m, const mu_node *node); /* NULL when such a row is not shown */
json_t *mu_project_all(mu_motion *m);
/* Of a step that has not been entered: pending, or on the way not taken, or too late. */
const char *mu_pending_status(mu_motion *m, const mu_node *node, const char **ret_cause);
/* Texts with {{x}} are filled in once, when the step is entered, and kept: a row never changes behind its step's back. */
void    mu_freeze_texts(mu_motion *m, mu_inst *inst);

#endif
