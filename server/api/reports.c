/* Reports: the acts that need the rules of domain/ or the engine besides their SQL. */
#include <string.h>
#include "handlers.h"
#include "json.h"
#include "report.h"
#include "run.h"
#include "str.h"

/* One event to the playbook step that asked for the report, if there is one. `rows` has run, path, occ. */
static mu_err tell_run(mu_req *rq, mu_tx *tx, const mu_rows *rows, const char *kind, const char *reason, json_t *data)
{
    json_t *event = mu_json_own(mu_req_arena(rq), json_object());
    const char *run = mu_col(rows, "run"), *occ = mu_col(rows, "occ");
    int64_t number;

    json_object_set_new(event, "data", data);
    if (run == NULL)
        return MU_OK;
    if (occ == NULL || !mu_parse_int(occ, 1, INT32_MAX, &number))
        number = 1;
    json_object_set_new(event, "kind", json_string(kind));
    json_object_set_new(event, "path", json_string(mu_col(rows, "path")));
    json_object_set_new(event, "occ", json_integer(number));
    if (reason != NULL)
        json_object_set_new(event, "reason", json_string(reason));
    return mu_run_event(tx, run, event, NULL, NULL, NULL);
}

/* Ends an act on a report: the report as it is now; listeners of its incident are told. */
static mu_err reply_report(mu_req *rq, mu_tx *tx)
{
    const char *report = mu_path(rq, "report");
    const mu_rows *rows, *incident;
    mu_err err = mu_one(tx, Q_report_incident_ref, ARGS(report), &incident);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_changed, ARGS(report), &rows);
    if (err != MU_OK)
        return err;
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s * 0", mu_col(incident, "ref")));
    return mu_reply_rows(rq, tx, rows);
}

static json_t *members(mu_req *rq, const char *const *names)
{
    json_t *data = json_object();

    for (; *names != NULL; names++)
        if (mu_body(rq, *names) != NULL)
            json_object_set_new(data, *names, json_string(mu_body(rq, *names)));
    return data;
}

mu_err mu_api_report_create(mu_req *rq)
{
    mu_report_wanted wanted = { .profile = mu_body(rq, "profile"), .stage = mu_body(rq, "stage"), .next = true, .by_hand = true };
    const char *report;
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_may_open, mu_bind(rq, Q_report_may_open), &rows);
    if (err != MU_OK)
        return err;
    wanted.incident = mu_col(rows, "incident");
    if ((err = mu_report_open(tx, &wanted, &report)) != MU_OK)
        return err;
    if ((err = mu_one(tx, Q_report_created, ARGS(report), &rows)) != MU_OK)
        return err;
    return mu_reply_rows(rq, tx, rows);
}

mu_err mu_api_report_facts(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_facts_save, mu_bind(rq, Q_report_facts_save), &rows);
    if (err == MU_OK)
        err = mu_report_refresh(tx, mu_col(rows, "incident"));
    return err == MU_OK ? reply_report(rq, tx) : err;
}

mu_err mu_api_report_approve(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_approve, mu_bind(rq, Q_report_approve), &rows);
    if (err == MU_OK)
        err = tell_run(rq, tx, rows, "approve", NULL, members(rq, ARGS("note")));
    return err == MU_OK ? reply_report(rq, tx) : err;
}

mu_err mu_api_report_reopen(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_reopen, mu_bind(rq, Q_report_reopen), &rows);
    if (err == MU_OK)
        err = tell_run(rq, tx, rows, "refuse", mu_body(rq, "reason"), json_object());
    if (err == MU_OK)
        err = mu_report_refresh(tx, mu_col(rows, "incident"));
    return err == MU_OK ? reply_report(rq, tx) : err;
}

/* A report went out: clocks that hang on it start, and what repeats is opened again. */
static mu_err went_out(mu_req *rq, mu_tx *tx, const mu_rows *rows)
{
    mu_err err = mu_report_refresh(tx, mu_col(rows, "incident"));

    if (err == MU_OK)
        err = mu_report_follow(tx, mu_col(rows, "incident"), mu_col(rows, "profile"));
    return err == MU_OK ? reply_report(rq, tx) : err;
}

mu_err mu_api_report_send(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_send, mu_bind(rq, Q_report_send), &rows);
    return err == MU_OK ? went_out(rq, tx, rows) : err;
}

mu_err mu_api_report_filing(mu_req *rq)
{
    const mu_rows *rows;
    json_t *data;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_file, mu_bind(rq, Q_report_file), &rows);
    if (err != MU_OK)
        return err;
    data = members(rq, ARGS("number", "channel", "note"));
    json_object_set_new(data, "at", json_string(mu_col(rows, "filed_at")));
    err = tell_run(rq, tx, rows, "report_filed", NULL, data);
    return err == MU_OK ? went_out(rq, tx, rows) : err;
}

mu_err mu_api_report_decline(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_decline, mu_bind(rq, Q_report_decline), &rows);
    return err == MU_OK ? reply_report(rq, tx) : err;
}

mu_err mu_api_report_download(mu_req *rq)
{
    const mu_rows *rows;
    void *bytes;
    size_t n;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_report_download, mu_bind(rq, Q_report_download), &rows);
    if (err != MU_OK)
        return err;
    if (mu_col(rows, "media") == NULL)
        return mu_reply_rows(rq, tx, rows);
    if (!mu_unbase64(mu_req_arena(rq), mu_col(rows, "body"), &bytes, &n))
        return mu_failf(mu_req_problem(rq), MU_INTERNAL, "a document is not base64");
    if ((err = mu_commit(tx)) != MU_OK)
        return err;
    return mu_reply_bytes(rq, 200, mu_col(rows, "media"), mu_col(rows, "file_name"), bytes, n);
}
