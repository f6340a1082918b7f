#include "timers.h"

#include <jansson.h>
#include <string.h>

#include "clock.h"
#include "failpoint.h"
#include "json.h"
#include "log.h"
#include "metrics.h"
#include "report.h"
#include "run.h"
#include "str.h"
#include "version.h"

#define FIRE_MOST 100

/* ---- timers of runs ---- */

/* {"kind":"timer_fired","path","occ","data":{"timer","n","due"}} */
static json_t *
timer_event(mu_arena *arena, const mu_rows *row)
{
    mu_problem ignored = { .arena = arena };
    const char *extra = mu_col(row, "data");
    int64_t occ = 1;
    json_t *data, *event = mu_json_own(arena, json_object());

    if (extra == NULL || mu_json_parse(arena, extra, strlen(extra), &ignored, &data) != MU_OK || !json_is_object(data))
        data = mu_json_own(arena, json_object());
    mu_parse_int(mu_col(row, "occ"), 1, INT32_MAX, &occ);
    json_object_set_new(data, "timer", json_string(mu_col(row, "kind")));
    json_object_set_new(data, "due", json_string(mu_col(row, "due")));
    json_object_set_new(event, "kind", json_string("timer_fired"));
    json_object_set_new(event, "path", json_string(mu_col(row, "path")));
    json_object_set_new(event, "occ", json_integer(occ));
    json_object_set(event, "data", data);
    return event;
}

/* A refused firing is a timer that lost its step: it is put aside, or it would come back for ever. Anything else is tried again. */
static mu_err
put_aside(mu_db *db, mu_arena *arena, const char *timer, mu_err why, const mu_problem *problem)
{
    mu_problem other = { .arena = arena };
    mu_tx *tx;

    if (mu_err_passes(why))
        return why;
    mu_log(MU_LOG_WARN, "timer.refused", "timer=%s error=%s key=%s detail=%s", timer, mu_err_code(why),
           problem->first != NULL && problem->first->key != NULL ? problem->first->key : "", problem->detail != NULL ? problem->detail : "");
    if (why == MU_INTERNAL)
        return why;
    TRY(mu_tx_begin(db, arena, &other, &tx));
    mu_tx_queue(tx, Q_timer_done, ARGS(timer, "cancelled"));
    return mu_commit(tx);
}

/* Firing and its consequences are one transaction: a timer fires once, whatever dies. */
static mu_err
fire(mu_db *db, mu_arena *arena, const char *timer, bool *ret_fired)
{
    mu_problem problem = { .arena = arena };
    json_t *actor = mu_json_own(arena, json_pack("{s:s}", "kind", "timer"));
    const mu_rows *row;
    mu_tx *tx;

    *ret_fired = false;
    TRY(mu_tx_begin(db, arena, &problem, &tx));
    TRY(mu_query(tx, Q_timer_take, ARGS(timer), &row));
    if (mu_rows_count(row) == 0) {
        mu_rollback(tx);
        return MU_OK;
    }
    MU_FP(timer_taken);
    mu_err err = mu_run_event(tx, mu_col(row, "run"), timer_event(arena, row), actor, mu_printf(arena, "timer/%s", timer), NULL);
    if (err != MU_OK) {
        mu_rollback(tx);
        return put_aside(db, arena, timer, err, &problem);
    }
    mu_tx_queue(tx, Q_timer_done, ARGS(timer, "fired"));
    TRY(mu_commit(tx));
    MU_FP(timer_fired);
    *ret_fired = true;
    mu_outbox_hint(db, arena, mu_col(row, "ref"), "*");
    return MU_OK;
}

int
mu_timers_fire(mu_db *db, mu_arena *arena)
{
    mu_problem problem = { .arena = arena };
    const mu_rows *due;
    int fired = 0;
    mu_tx *tx;

    if (mu_tx_begin(db, arena, &problem, &tx) != MU_OK)
        return 0;
    int index = mu_tx_queue(tx, Q_timers_due, ARGS(mu_printf(arena, "%d", FIRE_MOST)));
    if (mu_commit(tx) != MU_OK)
        return 0;
    due = mu_tx_rows(tx, index);
    for (int i = 0; i < mu_rows_count(due); i++) {
        mu_mark mark = mu_arena_mark(arena);
        bool one = false;
        if (fire(db, arena, mu_cell(due, i, 0), &one) == MU_OK && one)
            fired++;
        mu_arena_reset(arena, mark);
    }
    if (fired > 0)
        mu_count(MU_METRIC_TIMERS_FIRED, 0, (uint64_t)fired);
    return fired;
}

/* ---- the other chores; each is one short transaction ---- */

static const mu_rows *
simple(mu_db *db, mu_arena *arena, enum mu_query_id query, const char *const *params, const char *what)
{
    mu_problem problem = { .arena = arena };
    mu_tx *tx;

    if (mu_tx_begin(db, arena, &problem, &tx) != MU_OK)
        return NULL;
    int index = mu_tx_queue(tx, query, params);
    mu_err err = mu_commit(tx);
    if (err != MU_OK && err != MU_RETRY && err != MU_UNAVAILABLE)
        mu_log(MU_LOG_ERROR, "work.chore", "chore=%s error=%s detail=%s", what, mu_err_code(err), problem.detail != NULL ? problem.detail : "");
    return err == MU_OK ? mu_tx_rows(tx, index) : NULL;
}

static void
tick_clocks(const mu_outbox *outbox, mu_arena *arena)
{
    const mu_rows *row = simple(outbox->db, arena, Q_clocks_tick, NO_ARGS, "clocks");
    const char *text = row != NULL && mu_rows_count(row) == 1 ? mu_cell(row, 0, 0) : NULL;
    mu_problem ignored = { .arena = arena };
    json_t *changed = NULL;
    const json_t *one;
    size_t i;

    if (text == NULL || mu_same(text, "[]") || mu_json_parse(arena, text, strlen(text), &ignored, &changed) != MU_OK)
        return;
    json_array_foreach(changed, i, one)
        mu_outbox_hint(outbox->db, arena, mu_json_str(one, "incident"), "header,clocks,timeline,deliveries");
}

static void
sweep(const mu_outbox *outbox, mu_arena *arena)
{
    const mu_rows *due = simple(outbox->db, arena, Q_outbox_effects_due, ARGS("100"), "effects");

    simple(outbox->db, arena, Q_outbox_rescue, ARGS(mu_printf(arena, "%d", MU_OUTBOX_LOSSES)), "rescue");
    for (int i = 0; due != NULL && i < mu_rows_count(due); i++) {
        mu_mark mark = mu_arena_mark(arena);
        mu_err err = mu_outbox_answer(outbox->db, arena, mu_cell(due, i, 0), mu_cell(due, i, 1), mu_cell(due, i, 2));
        if (err == MU_OK)
            mu_outbox_hint(outbox->db, arena, mu_cell(due, i, 3), "*");
        mu_arena_reset(arena, mark);
        if (err == MU_UNAVAILABLE)
            return;
    }
}

static void
raise_alarms(const mu_outbox *outbox, mu_arena *arena, int late)
{
    const mu_rows *told = simple(outbox->db, arena, Q_outbox_alarm, ARGS(mu_printf(arena, "%d", late)), "alarm");

    for (int i = 0; told != NULL && i < mu_rows_count(told); i++) {
        mu_log(MU_LOG_WARN, "outbox.alarm", "incident=%s", mu_cell(told, i, 0));
        mu_outbox_hint(outbox->db, arena, mu_cell(told, i, 0), "timeline,deliveries,deliverytable");
    }
}

/* Drafts of reports whose facts or times changed. */
static void
look_at_reports(const mu_outbox *outbox, mu_arena *arena)
{
    mu_problem problem = { .arena = arena };
    mu_tx *tx;

    if (mu_tx_begin(outbox->db, arena, &problem, &tx) != MU_OK)
        return;
    mu_err err = mu_report_tick(tx);
    if (err == MU_OK)
        err = mu_commit(tx);
    else
        mu_rollback(tx);
    if (err != MU_OK && err != MU_RETRY && err != MU_UNAVAILABLE)
        mu_log(MU_LOG_ERROR, "work.chore", "chore=reports error=%s detail=%s", mu_err_code(err), problem.detail != NULL ? problem.detail : "");
}

static void
gauge(mu_metric metric, const char *text)
{
    int64_t n = 0;

    if (text != NULL && mu_parse_int(text, 0, INT64_MAX, &n))
        mu_gauge(metric, 0, n);
}

/* What was counted here since the last time, added to the counters in the database: the servers show them. */
static void
share_counters(const mu_outbox *outbox, mu_arena *arena, int64_t shared[MU_SHARED_COUNTERS])
{
    json_t *names = mu_json_own(arena, json_array()), *values = mu_json_own(arena, json_array());
    int64_t now[MU_SHARED_COUNTERS], news = 0;

    for (size_t i = 0; i < MU_SHARED_COUNTERS; i++) {
        now[i] = mu_metric_value(mu_shared_counters[i].metric, mu_shared_counters[i].label);
        json_array_append_new(names, json_string(mu_shared_counters[i].name));
        json_array_append_new(values, json_integer(now[i] - shared[i]));
        news += now[i] - shared[i];
    }
    if (news > 0 && simple(outbox->db, arena, Q_counters_add, ARGS(mu_json_text(arena, names), mu_json_text(arena, values)), "counters") != NULL)
        memcpy(shared, now, sizeof now);
}

static void
measure(const mu_outbox *outbox, mu_arena *arena)
{
    const mu_rows *row = simple(outbox->db, arena, Q_outbox_numbers, NO_ARGS, "numbers");

    simple(outbox->db, arena, Q_instance_beat, ARGS(outbox->node, mu_version), "instance");
    if (row == NULL || mu_rows_count(row) != 1)
        return;
    gauge(MU_METRIC_OUTBOX_PENDING, mu_cell(row, 0, 0));
    gauge(MU_METRIC_OUTBOX_AGE, mu_cell(row, 0, 1));
    gauge(MU_METRIC_OUTBOX_DEAD, mu_cell(row, 0, 2));
}

void
mu_timers_loop(const mu_outbox *outbox, mu_bell *bell, int poll_ms, int late)
{
    int64_t ticked = 0, swept = 0, alarmed = 0, looked = 0, measured = 0, planned = 0, tidied = 0;
    uint64_t seen = 0;
    bool unfolded = false;
    int64_t shared[MU_SHARED_COUNTERS] = { 0 };

    while (!mu_bell_stopped(bell)) {
        mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);
        int fired = mu_timers_fire(outbox->db, arena);

        /* Warnings that were late wait for their fellows, which come with the next turns: folded once nothing more is due. */
        if (fired == 0 && unfolded)
            simple(outbox->db, arena, Q_warnings_fold, NO_ARGS, "fold");
        unfolded = fired > 0;
        if (mu_bell_due(&ticked, 500))
            tick_clocks(outbox, arena);
        if (mu_bell_due(&swept, 2000))
            sweep(outbox, arena);
        if (mu_bell_due(&alarmed, 2000))
            raise_alarms(outbox, arena, late);
        if (mu_bell_due(&looked, 5000))
            look_at_reports(outbox, arena);
        if (mu_bell_due(&measured, 10000)) {
            measure(outbox, arena);
            share_counters(outbox, arena, shared);
        }
        if (mu_bell_due(&planned, 60000))
            simple(outbox->db, arena, Q_plan_look, NO_ARGS, "plans");
        if (mu_bell_due(&tidied, 300000))
            simple(outbox->db, arena, Q_housekeeping, NO_ARGS, "housekeeping");
        if (fired == 0)
            mu_bell_wait(bell, &seen, poll_ms);
    }
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(1u << 20);
    share_counters(outbox, arena, shared);
}
