/* Incidents: the acts that also concern the engine. Everything else about incidents is SQL alone. */
#include <string.h>
#include "handlers.h"
#include "json.h"
#include "run.h"

static mu_err read_json(mu_req *rq, const char *text, json_t **ret)
{
    *ret = NULL;
    return text == NULL ? MU_OK : mu_json_parse(mu_req_arena(rq), text, strlen(text), mu_req_problem(rq), ret);
}

static json_t *event_new(mu_req *rq, const char *kind, const char *reason, json_t *data)
{
    json_t *event = mu_json_own(mu_req_arena(rq), json_object());

    json_object_set_new(event, "kind", json_string(kind));
    json_object_set_new(event, "data", data);
    if (reason != NULL)
        json_object_set_new(event, "reason", json_string(reason));
    return event;
}

/* The same event to every run of the incident that is still open. `rows` has runs (a list of ids) and actor. */
static mu_err tell_runs(mu_req *rq, mu_tx *tx, const mu_rows *rows, const json_t *event)
{
    json_t *runs, *actor;
    const json_t *run;
    size_t i;

    TRY(read_json(rq, mu_col(rows, "runs"), &runs));
    TRY(read_json(rq, mu_col(rows, "actor"), &actor));
    json_array_foreach(runs, i, run)
        TRY(mu_run_event(tx, json_string_value(run), event, actor, NULL, NULL));
    return MU_OK;
}

static mu_err start_run(mu_req *rq, mu_tx *tx, const mu_rows *rows)
{
    json_t *data;

    if (mu_col(rows, "run") == NULL)
        return MU_OK;
    TRY(read_json(rq, mu_col(rows, "start"), &data));
    return mu_run_start(tx, mu_col(rows, "run"), data, NULL, NULL, NULL);
}

mu_err mu_api_incident_declare(mu_req *rq)
{
    const mu_rows *made, *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_incident_declare, mu_bind(rq, Q_incident_declare), &made));
    TRY(start_run(rq, tx, made));
    TRY(mu_one(tx, Q_incident_declared, ARGS(mu_col(made, "ref")), &rows));
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s *", mu_col(made, "ref")));
    return mu_reply_rows(rq, tx, rows);
}

mu_err mu_api_incident_run(mu_req *rq)
{
    const mu_rows *made, *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_incident_run, mu_bind(rq, Q_incident_run), &made));
    TRY(start_run(rq, tx, made));
    TRY(mu_one(tx, Q_run_started, ARGS(mu_col(made, "run")), &rows));
    return mu_reply_rows(rq, tx, rows);
}

/* The engine wants ten characters for a reason; the words of the change itself stand before what was typed. */
mu_err mu_api_incident_severity(mu_req *rq)
{
    const mu_rows *rows;
    json_t *event;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_incident_severity, mu_bind(rq, Q_incident_severity), &rows));
    event = event_new(rq, "severity_changed",
                      mu_printf(mu_req_arena(rq), "severity %s > %s: %s", mu_col(rows, "was"), mu_body(rq, "severity"), mu_body(rq, "reason")),
                      json_pack("{s:s}", "severity", mu_body(rq, "severity")));
    TRY(tell_runs(rq, tx, rows, event));
    return mu_reply_rows(rq, tx, rows);
}

/* Handover and roles: the runs learn who fills the role now. */
mu_err mu_api_incident_people(mu_req *rq)
{
    const enum mu_query_id query = strcmp(mu_req_route(rq)->name, "incident_handover") == 0 ? Q_incident_handover : Q_incident_roles;
    const mu_rows *rows;
    json_t *people, *event;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, query, mu_bind(rq, query), &rows));
    TRY(read_json(rq, mu_col(rows, "people"), &people));
    event = event_new(rq, "role_filled", mu_printf(mu_req_arena(rq), "role %s: %s", mu_col(rows, "role"), mu_col(rows, "why")),
                      json_pack("{s:s, s:O}", "role", mu_col(rows, "role"), "people", people));
    TRY(tell_runs(rq, tx, rows, event));
    return mu_reply_rows(rq, tx, rows);
}

/* An event whose refusal takes nothing from what else is done: the step or the run may have ended, or been paused, meanwhile. */
static mu_err try_event(mu_req *rq, mu_tx *tx, const char *run, const json_t *event, const json_t *actor)
{
    mu_problem kept = *mu_req_problem(rq);
    mu_err err = mu_run_event(tx, run, event, actor, NULL, NULL);

    if (err == MU_CONFLICT || err == MU_INVALID || err == MU_FORBIDDEN || err == MU_NOT_FOUND) {
        *mu_req_problem(rq) = kept;
        err = MU_OK;
    }
    return err;
}

static mu_err acknowledge(mu_req *rq, mu_tx *tx, const char *run, const char *event_text, const char *actor_text)
{
    json_t *event, *actor;

    TRY(read_json(rq, event_text, &event));
    TRY(read_json(rq, actor_text, &actor));
    return try_event(rq, tx, run, event, actor);
}

/* "Stop the drill, this is real": the drill's runs pause, the real incident is declared and told as any other. */
mu_err mu_api_incident_real(mu_req *rq)
{
    const mu_rows *made, *rows;
    json_t *runs, *stop;
    const json_t *run;
    size_t i;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_incident_real, mu_bind(rq, Q_incident_real), &made));
    TRY(read_json(rq, mu_col(made, "runs"), &runs));
    TRY(read_json(rq, mu_col(made, "stop"), &stop));
    json_array_foreach(runs, i, run)
        TRY(try_event(rq, tx, json_string_value(run), stop, NULL));
    TRY(start_run(rq, tx, made));
    TRY(mu_one(tx, Q_incident_declared, ARGS(mu_col(made, "ref")), &rows));
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s *", mu_path(rq, "incident")));
    return mu_reply_rows(rq, tx, rows);
}

/* Acknowledges a message; when steps of a run wait for it, the run is told too. */
mu_err mu_api_ack_post(mu_req *rq)
{
    const mu_rows *rows, *steps;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_ack_post, mu_bind(rq, Q_ack_post), &rows));
    if (mu_col(rows, "run") != NULL)
        TRY(acknowledge(rq, tx, mu_col(rows, "run"), mu_col(rows, "event"), mu_col(rows, "actor")));
    TRY(mu_query(tx, Q_ack_steps, ARGS(mu_path(rq, "token")), &steps));
    for (int i = 0; i < mu_rows_count(steps); i++)
        TRY(acknowledge(rq, tx, mu_cell(steps, i, 0), mu_cell(steps, i, 1), mu_cell(steps, i, 2)));
    return mu_reply_rows(rq, tx, rows);
}
