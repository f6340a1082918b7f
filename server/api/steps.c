/* Steps of a run: a form becomes one event of the engine. */
#include <string.h>
#include "handlers.h"
#include "bind.h"
#include "json.h"
#include "run.h"
#include "str.h"

/* What each act is called by the engine, and which members of the body become its data. `whole`: it needs no step. */
static const struct act { const char *act, *kind; bool reason, values, evidence, whole; const char *members[5]; } acts[] = {
    { "done",           "task_done",      false, true,  true,  false, { "note" } },
    { "item",           "item_check",     true,  true,  false, false, { "item", "state", "reason", "value" } },
    { "decide",         "decide",         false, true,  false, false, { "value" } },
    { "approve",        "approve",        false, false, false, false, { "note" } },
    { "refuse",         "refuse",         true,  false, false, false, { NULL } },
    { "skip",           "skip",           true,  false, false, false, { NULL } },
    { "override",       "override",       true,  false, false, true,  { NULL } },
    { "retry",          "retry",          true,  false, false, false, { NULL } },
    { "reopen",         "reopen",         true,  false, false, false, { NULL } },
    { "evidence",       "evidence_added", false, false, true,  false, { NULL } },
    { "acknowledge",    "acknowledge",    false, false, false, false, { NULL } },
    { "signal",         "signal",         false, false, false, true,  { "name" } },
    { "choose_branch",  "choose_branch",  true,  false, false, false, { "branch" } },
    { "reassign",       "reassign",       true,  false, false, false, { NULL } },
    { "adhoc",          "adhoc_step",     true,  false, false, true,  { NULL } },
    { "hand_over",      "hand_over",      true,  false, false, true,  { NULL } },
    { "inject_deliver", "inject_deliver", false, false, false, false, { NULL } },
    { "inject_judge",   "inject_judged",  false, false, false, false, { "verdict", "note" } },
};

static const struct act *act_named(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(acts); i++)
        if (mu_same(acts[i].act, name))
            return &acts[i];
    return NULL;
}

/* A link, and a file that is kept with the incident, as the engine's list of evidence. */
static mu_err add_evidence(mu_req *rq, mu_tx *tx, const char *incident, json_t *data)
{
    const char *link = mu_body(rq, "link"), *file = mu_body(rq, "file");
    json_t *list = json_array(), *item;
    const mu_rows *rows;

    json_object_set_new(data, "evidence", list);
    if (link != NULL)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "kind", "link", "name", link, "ref", link));
    if (file != NULL) {
        TRY(mu_one(tx, Q_run_attach, ARGS(incident, file), &rows));
        TRY(mu_column_json(rq, rows, "evidence", &item));
        json_array_append(list, item);
    }
    if (json_array_size(list) == 0)
        json_object_del(data, "evidence");
    return MU_OK;
}

/* What SQL makes of the names in the body: a person for a login, a value for its text, an ad-hoc step's texts and receivers. */
static mu_err add_named(mu_req *rq, mu_tx *tx, const struct act *act, json_t *data)
{
    const mu_rows *rows;
    json_t *more;

    TRY(mu_one(tx, Q_step_data, ARGS(mu_path(rq, "run"), act->act, mu_json_text(mu_req_arena(rq), mu_body_json(rq))), &rows));
    TRY(mu_column_json(rq, rows, "data", &more));
    json_object_update(data, more);
    return MU_OK;
}

static mu_err fill_data(mu_req *rq, mu_tx *tx, const struct act *act, const char *incident, const char *values, json_t *data)
{
    json_t *tree;

    for (size_t i = 0; i < MU_COUNT(act->members) && act->members[i] != NULL; i++)
        if (mu_body(rq, act->members[i]) != NULL)
            json_object_set_new(data, act->members[i], json_string(mu_body(rq, act->members[i])));
    if (mu_same(act->act, "item") && mu_body(rq, "state") == NULL)
        json_object_set_new(data, "state", json_string("done"));
    if (mu_json_bool(mu_body_json(rq), "anew", false))
        json_object_set_new(data, "anew", json_true());
    if (mu_json_bool(mu_body_json(rq), "break_glass", false))
        json_object_set_new(data, "break_glass", json_true());
    if (act->values && values != NULL) {
        TRY(mu_json_parse(mu_req_arena(rq), values, strlen(values), mu_req_problem(rq), &tree));
        if (json_object_size(tree) > 0)
            json_object_set(data, "values", tree);
    }
    TRY(add_named(rq, tx, act, data));
    return act->evidence ? add_evidence(rq, tx, incident, data) : MU_OK;
}

static mu_err answer(mu_req *rq, mu_tx *tx, const mu_rows *run, const char *path, const char *occ)
{
    const mu_rows *rows;

    TRY(mu_one(tx, Q_step_after, ARGS(mu_path(rq, "run"), path, occ), &rows));
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s *", mu_col(run, "ref")));
    return mu_reply_rows(rq, tx, rows);
}

/* The occurrence a form means, and its values as the step types them. Nothing for an act on the whole run. */
static mu_err find_step(mu_req *rq, mu_tx *tx, const struct act *act, json_t *event, const char **ret_occ, const char **ret_values)
{
    const mu_rows *step;
    int64_t occ;

    *ret_occ = *ret_values = NULL;
    if (mu_body(rq, "path") == NULL)
        return act->whole ? MU_OK : mu_fail(mu_req_problem(rq), MU_INVALID, "/path", "error.required", NULL);
    TRY(mu_one(tx, Q_step_open, mu_bind(rq, Q_step_open), &step));
    *ret_occ = mu_col(step, "occ");
    *ret_values = mu_col(step, "values");
    json_object_set_new(event, "path", json_string(mu_body(rq, "path")));
    json_object_set_new(event, "occ", json_integer(mu_parse_int(*ret_occ, 1, INT32_MAX, &occ) ? occ : 1));
    return MU_OK;
}

mu_err mu_api_step_act(mu_req *rq)
{
    const struct act *act = act_named(mu_body(rq, "act"));
    json_t *event = mu_json_own(mu_req_arena(rq), json_object()), *data = json_object();
    const char *occ, *values;
    const mu_rows *run;
    mu_tx *tx;

    json_object_set_new(event, "data", data);
    if (act == NULL)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/act", "error.step.act", NULL);
    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_run_open, mu_bind(rq, Q_run_open), &run));
    TRY(find_step(rq, tx, act, event, &occ, &values));
    TRY(fill_data(rq, tx, act, mu_col(run, "incident"), values, data));
    json_object_set_new(event, "kind", json_string(act->kind));
    if (act->reason && mu_body(rq, "reason") != NULL)
        json_object_set_new(event, "reason", json_string(mu_body(rq, "reason")));
    TRY(mu_run_event(tx, mu_path(rq, "run"), event, NULL, NULL, NULL));
    return answer(rq, tx, run, mu_body(rq, "path"), occ);
}

mu_err mu_api_run_act(mu_req *rq)
{
    json_t *event = mu_json_own(mu_req_arena(rq), json_object()), *data = json_object();
    const mu_rows *run;
    mu_tx *tx;

    json_object_set_new(event, "data", data);
    json_object_set_new(event, "kind", json_string(mu_body(rq, "act")));
    json_object_set_new(event, "reason", json_string(mu_body(rq, "reason")));
    if (mu_json_bool(mu_body_json(rq), "break_glass", false))
        json_object_set_new(data, "break_glass", json_true());
    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_run_open, mu_bind(rq, Q_run_open), &run));
    TRY(mu_run_event(tx, mu_path(rq, "run"), event, NULL, NULL, NULL));
    return answer(rq, tx, run, NULL, NULL);
}

/* The clock of a drill: SQL moves it, each run that shares it keeps that it was moved. */
mu_err mu_api_run_clock(mu_req *rq)
{
    const mu_rows *run, *rows;
    const json_t *one;
    json_t *events;
    size_t i;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_run_open, mu_bind(rq, Q_run_open), &run));
    TRY(mu_one(tx, Q_run_clock, mu_bind(rq, Q_run_clock), &rows));
    TRY(mu_column_json(rq, rows, "events", &events));
    json_array_foreach(events, i, one)
        TRY(mu_run_event(tx, mu_json_str(one, "run"), json_object_get(one, "event"), NULL, NULL, NULL));
    return answer(rq, tx, run, NULL, NULL);
}
