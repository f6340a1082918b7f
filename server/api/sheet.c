/* What was written on the run sheet while the screens were dark, typed back in: one event for each box, in the order of the sheet, all
 * or nothing. A box whose step has ended meanwhile is a fault of that box, so that nobody's work is written over. */
#include <string.h>
#include "handlers.h"
#include "bind.h"
#include "json.h"
#include "run.h"
#include "str.h"

static const char *typed(const mu_req *rq, const char *list, const char *number)
{
    const char *text = mu_json_str(json_object_get(mu_body_json(rq), list), number);

    return text == NULL || text[0] == '\0' ? NULL : text;
}

/* "14:05, 420 ms": when it was done by the paper's clock, and what was seen. */
static const char *remark(mu_req *rq, const char *number)
{
    const char *at = typed(rq, "at", number), *value = typed(rq, "value", number);

    if (at != NULL && value != NULL)
        return mu_printf(mu_req_arena(rq), "%s, %s", at, value);
    return at != NULL ? at : value;
}

static json_t *event_of(mu_req *rq, const json_t *row)
{
    const char *number = mu_json_str(row, "number"), *kind = mu_json_str(row, "kind"), *item = mu_json_str(row, "item"), *note = remark(rq, number);
    json_t *data = json_object();
    const char *what = "task_done";

    if (item != NULL) {
        what = "item_check";
        json_object_set_new(data, "item", json_string(item));
        json_object_set_new(data, "state", json_string("done"));
        json_object_set_new(data, "value", json_string(note == NULL ? "" : note));
    } else if (mu_same(kind, "decide")) {
        what = "decide";
        json_object_set_new(data, "value", json_string(typed(rq, "value", number) == NULL ? "" : typed(rq, "value", number)));
    } else if (note != NULL) {
        json_object_set_new(data, "note", json_string(note));
    }
    return mu_json_own(mu_req_arena(rq), json_pack("{s:s, s:O, s:O, s:o}", "kind", what, "path", json_object_get(row, "path"), "occ", json_object_get(row, "occ"), "data", data));
}

/* The engine's refusal belongs to its box on the sheet, whatever member of the event it names: the sheet comes back as it was typed. */
static mu_err one_box(mu_req *rq, mu_tx *tx, const json_t *row)
{
    mu_problem *problem = mu_req_problem(rq);
    const mu_err err = mu_run_event(tx, mu_path(rq, "run"), event_of(rq, row), NULL, NULL, NULL);

    if ((err != MU_NOT_FOUND && err != MU_CONFLICT && err != MU_INVALID) || problem->last == NULL)
        return err;
    problem->last->pointer = mu_printf(mu_req_arena(rq), "/done/%s", mu_json_str(row, "number"));
    return problem->code = MU_INVALID;
}

static bool has_row(const json_t *rows, const char *number)
{
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row)
        if (mu_same(mu_json_str(row, "number"), number))
            return true;
    return false;
}

/* Boxes come before the step that holds them: a checklist is done after its items. */
static mu_err all_boxes(mu_req *rq, mu_tx *tx, const json_t *rows)
{
    json_t *done = json_object_get(mu_body_json(rq), "done"), *value;
    const json_t *row;
    const char *number;
    size_t i, k;

    json_object_foreach(done, number, value)
        if (!has_row(rows, number))
            return mu_fail(mu_req_problem(rq), MU_INVALID, mu_printf(mu_req_arena(rq), "/done/%s", number), "error.sheet.number", NULL);
    json_array_foreach(rows, i, row) {
        const json_t *item;
        if (mu_json_str(row, "item") != NULL)
            continue;
        for (k = i + 1; k < json_array_size(rows); k++) {   /* its items follow it on paper */
            item = json_array_get(rows, k);
            if (mu_json_str(item, "item") == NULL)
                break;
            if (typed(rq, "done", mu_json_str(item, "number")) != NULL)
                TRY(one_box(rq, tx, item));
        }
        if (typed(rq, "done", mu_json_str(row, "number")) != NULL)
            TRY(one_box(rq, tx, row));
    }
    return MU_OK;
}

mu_err mu_api_sheet_type(mu_req *rq)
{
    const mu_rows *run, *found;
    json_t *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_run_open, mu_bind(rq, Q_run_open), &run));
    TRY(mu_one(tx, Q_sheet_rows, ARGS(mu_path(rq, "run")), &found));
    if (json_object_size(json_object_get(mu_body_json(rq), "done")) == 0)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/done", "error.sheet.empty", NULL);
    TRY(mu_column_json(rq, found, "rows", &rows));
    TRY(all_boxes(rq, tx, rows));
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s *", mu_col(run, "ref")));
    TRY(mu_one(tx, Q_run_sheet, ARGS(mu_path(rq, "run"), NULL), &found));
    return mu_reply_rows(rq, tx, found);
}
