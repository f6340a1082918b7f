/* Steps of a run: a form becomes one event of the engine. */
#include <string.h>
#include "handlers.h"
#include "json.h"
#include "run.h"
#include "str.h"

/* What each act is called by the engine, and which members of the body become its data. */
static const struct act { const char *act, *kind; bool reason, values, evidence; const char *members[5]; } acts[] = {
    { "done",        "task_done",      false, true,  true,  { "note" } },
    { "item",        "item_check",     true,  true,  false, { "item", "state", "reason", "value" } },
    { "decide",      "decide",         false, true,  false, { "value" } },
    { "approve",     "approve",        false, false, false, { "note" } },
    { "refuse",      "refuse",         true,  false, false, { NULL } },
    { "skip",        "skip",           true,  false, false, { NULL } },
    { "override",    "override",       true,  false, false, { NULL } },
    { "retry",       "retry",          true,  false, false, { NULL } },
    { "reopen",      "reopen",         true,  false, false, { NULL } },
    { "evidence",    "evidence_added", false, false, true,  { NULL } },
    { "acknowledge", "acknowledge",    false, false, false, { NULL } },
    { "signal",      "signal",         false, false, false, { "name" } },
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
        TRY(mu_json_parse(mu_req_arena(rq), mu_col(rows, "evidence"), strlen(mu_col(rows, "evidence")), mu_req_problem(rq), &item));
        json_array_append(list, item);
    }
    if (json_array_size(list) == 0)
        json_object_del(data, "evidence");
    return MU_OK;
}

static mu_err fill_data(mu_req *rq, mu_tx *tx, const struct act *act, const mu_rows *run, const mu_rows *step, json_t *data)
{
    const char *values = mu_col(step, "values");
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
    return act->evidence ? add_evidence(rq, tx, mu_col(run, "incident"), data) : MU_OK;
}

static mu_err answer(mu_req *rq, mu_tx *tx, const mu_rows *run, const char *path, const char *occ)
{
    const mu_rows *rows;

    TRY(mu_one(tx, Q_step_after, ARGS(mu_path(rq, "run"), path, occ), &rows));
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s *", mu_col(run, "ref")));
    return mu_reply_rows(rq, tx, rows);
}

mu_err mu_api_step_act(mu_req *rq)
{
    const struct act *act = act_named(mu_body(rq, "act"));
    json_t *event = mu_json_own(mu_req_arena(rq), json_object()), *data = json_object();
    const mu_rows *run, *step;
    int64_t occ;
    mu_tx *tx;

    json_object_set_new(event, "data", data);
    if (act == NULL)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/act", "error.step.act", NULL);
    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_run_open, mu_bind(rq, Q_run_open), &run));
    TRY(mu_one(tx, Q_step_open, mu_bind(rq, Q_step_open), &step));
    TRY(fill_data(rq, tx, act, run, step, data));
    json_object_set_new(event, "kind", json_string(act->kind));
    json_object_set_new(event, "path", json_string(mu_body(rq, "path")));
    if (!mu_parse_int(mu_col(step, "occ"), 1, INT32_MAX, &occ))
        occ = 1;
    json_object_set_new(event, "occ", json_integer(occ));
    if (act->reason && mu_body(rq, "reason") != NULL)
        json_object_set_new(event, "reason", json_string(mu_body(rq, "reason")));
    TRY(mu_run_event(tx, mu_path(rq, "run"), event, NULL, NULL, NULL));
    return answer(rq, tx, run, mu_body(rq, "path"), mu_col(step, "occ"));
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
