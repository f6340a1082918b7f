#include <string.h>
#include "report.h"
#include "deadline.h"
#include "decision.h"
#include "json.h"
#include "str.h"

/* A cell that holds a JSON object; the database made it, so anything else is our own fault. */
static mu_err cell_json(mu_tx *tx, const mu_rows *rows, int row, const char *name, json_t **ret)
{
    const char *text = mu_cell(rows, row, mu_rows_column(rows, name));

    if (text == NULL)
        return mu_failf(mu_tx_problem(tx), MU_INTERNAL, "column %s of a report is empty", name);
    return mu_json_parse(mu_tx_arena(tx), text, strlen(text), mu_tx_problem(tx), ret);
}

/* Level and clocks of one profile. A stage may hang on the level, so the level comes first and becomes a fact. */
static mu_err judge(mu_tx *tx, const json_t *profile, json_t *facts, const json_t *anchors, json_t **ret)
{
    mu_arena *arena = mu_tx_arena(tx);
    json_t *found, *classification;
    const char *level;
    mu_err err = mu_decision_classify(arena, json_object_get(profile, "classification"), facts, mu_tx_problem(tx), &classification);

    if (err != MU_OK)
        return err;
    level = mu_json_str(classification, "level");
    if (level != NULL)
        json_object_set_new(facts, "incident.level", json_string(level));
    found = mu_json_own(arena, json_object());
    json_object_set(found, "classification", classification);
    json_object_set(found, "stages", mu_deadline_stages(arena, profile, anchors, facts));
    *ret = found;
    return MU_OK;
}

/* Reads row `row` of report_work() and judges it. */
static mu_err judge_row(mu_tx *tx, const mu_rows *rows, int row, json_t **ret)
{
    json_t *profile, *facts, *anchors;
    mu_err err;

    if ((err = cell_json(tx, rows, row, "profile", &profile)) != MU_OK)
        return err;
    if ((err = cell_json(tx, rows, row, "facts", &facts)) != MU_OK)
        return err;
    if ((err = cell_json(tx, rows, row, "anchors", &anchors)) != MU_OK)
        return err;
    return judge(tx, profile, facts, anchors, ret);
}

static mu_err refresh(mu_tx *tx, const char *incident, const char *report)
{
    const mu_rows *rows, *none;
    mu_err err = mu_query(tx, Q_report_work, ARGS(incident, report), &rows);

    for (int row = 0; err == MU_OK && row < mu_rows_count(rows); row++) {
        json_t *found;

        if ((err = judge_row(tx, rows, row, &found)) != MU_OK)
            break;
        err = mu_query(tx, Q_report_write, ARGS(mu_cell(rows, row, mu_rows_column(rows, "id")), mu_json_text(mu_tx_arena(tx), found)), &none);
    }
    return err;
}

mu_err mu_report_refresh(mu_tx *tx, const char *incident)
{
    return refresh(tx, incident, NULL);
}

mu_err mu_report_open(mu_tx *tx, const mu_report_wanted *wanted, const char **ret_report)
{
    const char *occ = wanted->run != NULL ? mu_printf(mu_tx_arena(tx), "%d", wanted->occ) : NULL;
    const mu_rows *rows;
    const char *report;
    mu_err err = mu_one(tx, Q_report_begin, ARGS(wanted->incident, wanted->profile, wanted->stage, wanted->run, wanted->path, occ,
                                                 wanted->next ? "true" : "false", wanted->by_hand ? "true" : "false"), &rows);

    if (err != MU_OK)
        return err;
    report = mu_col(rows, "id");
    if (ret_report != NULL)
        *ret_report = report;
    return refresh(tx, wanted->incident, report);
}

mu_err mu_report_follow(mu_tx *tx, const char *incident, const char *profile)
{
    const mu_rows *rows;
    json_t *body, *found;
    const json_t *stage;
    size_t i;
    mu_err err = mu_query(tx, Q_report_profile_of, ARGS(incident, profile), &rows);

    if (err != MU_OK || mu_rows_count(rows) == 0)
        return err;
    if ((err = cell_json(tx, rows, 0, "profile", &body)) != MU_OK || (err = judge_row(tx, rows, 0, &found)) != MU_OK)
        return err;
    json_array_foreach(json_object_get(found, "stages"), i, stage) {
        const mu_report_wanted wanted = { .incident = incident, .profile = profile, .stage = mu_json_str(stage, "stage"), .next = true };

        if (!mu_json_bool(stage, "repeats", false) || mu_json_bool(stage, "uncertain", false) || !mu_same(mu_json_str(stage, "state"), "at"))
            continue;
        if ((err = mu_report_open(tx, &wanted, NULL)) != MU_OK)
            return err;
    }
    return MU_OK;
}

mu_err mu_report_tick(mu_tx *tx)
{
    const mu_rows *rows;
    mu_err err = mu_query(tx, Q_report_due, NO_ARGS, &rows);

    for (int row = 0; err == MU_OK && row < mu_rows_count(rows); row++)
        err = refresh(tx, mu_cell(rows, row, 0), NULL);
    return err;
}
