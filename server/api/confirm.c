/* Do, then confirm: the items of a list that were done from memory, ticked together under one name. */
#include "handlers.h"
#include "json.h"
#include "run.h"
#include "str.h"

static json_t *event_of(mu_req *rq, const char *occ, const char *item)
{
    const char *seen = mu_json_str(json_object_get(mu_body_json(rq), "seen"), item);
    int64_t number;

    if (!mu_parse_int(occ, 1, INT32_MAX, &number))
        number = 1;
    return mu_json_own(mu_req_arena(rq), json_pack("{s:s, s:s, s:I, s:{s:s, s:s, s:s}}", "kind", "item_check", "path", mu_body(rq, "path"), "occ", (json_int_t)number,
        "data", "item", item, "state", "done", "value", seen == NULL ? "" : seen));
}

mu_err mu_api_step_confirm(mu_req *rq)
{
    const json_t *items = json_object_get(mu_body_json(rq), "items"), *item;
    const mu_rows *run, *step, *rows;
    mu_tx *tx;
    size_t i;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_run_open, mu_bind(rq, Q_run_open), &run));
    TRY(mu_one(tx, Q_step_open, ARGS(mu_path(rq, "run"), mu_body(rq, "path"), mu_body(rq, "occ"), NULL), &step));
    if (json_array_size(items) == 0)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/items", "error.sheet.empty", NULL);
    json_array_foreach(items, i, item)
        TRY(mu_run_event(tx, mu_path(rq, "run"), event_of(rq, mu_col(step, "occ"), json_string_value(item)), NULL, NULL, NULL));
    TRY(mu_one(tx, Q_step_after, ARGS(mu_path(rq, "run"), mu_body(rq, "path"), mu_col(step, "occ")), &rows));
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s *", mu_col(run, "ref")));
    return mu_reply_rows(rq, tx, rows);
}
