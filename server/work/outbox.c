#include "outbox.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "crypto.h"
#include "failpoint.h"
#include "json.h"
#include "listen.h"
#include "log.h"
#include "metrics.h"
#include "run.h"
#include "str.h"

/* Seconds between tries. The sum is about eight hours: longer than any maintenance of a mail server, shorter than a shift. */
static const int delays[MU_OUTBOX_ATTEMPTS - 1] = { 5, 30, 120, 300, 900, 1800, 3600, 7200, 14400 };

static const char *const outcome_words[] = { [MU_OUT_SENT] = "sent", [MU_OUT_RETRY] = "retry", [MU_OUT_DEAD] = "dead",
                                             [MU_OUT_SIMULATED] = "simulated", [MU_OUT_UNKNOWN] = "unknown", [MU_OUT_REFUSED] = "refused" };

mu_guard
mu_outbox_guard(const mu_out_row *row)
{
    bool drill = mu_same(row->kind, "drill");

    if (mu_same(row->delivery, "simulate"))
        return MU_GUARD_SIMULATE;
    if (!mu_same(row->delivery, "send"))
        return MU_GUARD_REFUSE;
    if (mu_same(row->kind, "incident") || mu_same(row->kind, "system"))
        return MU_GUARD_SEND;
    if (drill && row->drill_safe && row->endpoint_drill_safe && mu_same(row->audience, "internal"))
        return MU_GUARD_SEND;
    return MU_GUARD_REFUSE;
}

double
mu_outbox_after(int attempt, uint32_t random, int64_t retry_after)
{
    if (attempt >= MU_OUTBOX_ATTEMPTS)
        return -1;
    double seconds = delays[attempt > 0 ? attempt - 1 : 0];
    seconds *= 0.8 + 0.4 * ((double)random / UINT32_MAX);
    return retry_after > 0 && (double)retry_after > seconds ? (double)retry_after : seconds;
}

static char *
clean(mu_arena *arena, const char *text)
{
    size_t n = strlen(text), keep = mu_utf8_valid(text, n) ? mu_utf8_cut(text, n, 400) : 0;
    char *made = mu_strndup(arena, text, keep);

    for (char *c = made; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return made;
}

mu_out_result
mu_outbox_result(mu_arena *arena, const mu_out_row *row, mu_out_outcome outcome, int code, const char *detail, int64_t ms, int64_t retry_after,
                 bool unsure)
{
    mu_out_result r = { .id = row->id, .token = row->token, .outcome = outcome, .code = code, .detail = clean(arena, detail), .ms = ms,
                        .ref = row->ref != NULL ? mu_strdup(arena, row->ref) : NULL };
    uint32_t random;

    if (outcome != MU_OUT_RETRY)
        return r;
    mu_random(&random, sizeof random);
    r.after = mu_outbox_after(row->attempt, random, retry_after);
    if (row->once && unsure)
        r.outcome = MU_OUT_UNKNOWN;
    else if (r.after < 0)
        r.outcome = MU_OUT_DEAD;
    return r;
}

/* ---- claim ---- */

static int64_t
number(const char *text)
{
    int64_t n = 0;

    return text != NULL && mu_parse_int(text, INT64_MIN, INT64_MAX, &n) ? n : 0;
}

static mu_out_row
row_of(const mu_rows *rows, int i)
{
    /* The order of the columns is the query's. */
    const char *c[19];

    for (int k = 0; k < 19; k++)
        c[k] = mu_cell(rows, i, k);
    return (mu_out_row){ .id = number(c[0]), .token = number(c[1]), .attempt = (int)number(c[2]), .kind = c[3], .delivery = c[4],
                         .once = mu_same(c[5], "once"), .audience = c[6], .drill_safe = mu_same(c[7], "t"), .endpoint_drill_safe = mu_same(c[8], "t"),
                         .endpoint_disabled = mu_same(c[9], "t"), .address = c[10], .language = c[11], .secret = c[12], .event_id = c[13],
                         .ref = c[14], .severity = c[15], .purpose = c[16], .created_at = c[17], .document = c[18] };
}

mu_err
mu_outbox_claim(const mu_outbox *outbox, mu_arena *arena, const char *channel, int fresh, int again, mu_out_row **ret, size_t *ret_count)
{
    mu_problem problem = { .arena = arena };
    const mu_rows *rows;
    mu_tx *tx;

    *ret_count = 0;
    TRY(mu_tx_begin(outbox->db, arena, &problem, &tx));
    int index = mu_tx_queue(tx, Q_outbox_claim, ARGS(outbox->node, channel, mu_printf(arena, "%d", fresh), mu_printf(arena, "%d", again),
                                                     mu_printf(arena, "%d", outbox->lease), outbox->base));
    TRY(mu_commit(tx));
    rows = mu_tx_rows(tx, index);
    int count = mu_rows_count(rows);
    if (count > 0)
        MU_FP(outbox_claimed);
    *ret = mu_alloc(arena, sizeof **ret * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        (*ret)[i] = row_of(rows, i);
    *ret_count = (size_t)count;
    return MU_OK;
}

mu_err
mu_outbox_begin(const mu_outbox *outbox, mu_arena *arena, const mu_out_row *rows, size_t count, bool *may_go)
{
    mu_problem problem = { .arena = arena };
    MU_BUF_AUTO(claims, 1 << 20);
    size_t once = 0;
    mu_tx *tx;

    for (size_t i = 0; i < count; i++) {
        may_go[i] = !rows[i].once;
        if (rows[i].once)
            mu_buf_addf(&claims, "%s{\"id\":%lld,\"token\":%lld}", once++ == 0 ? "[" : ",", (long long)rows[i].id, (long long)rows[i].token);
    }
    if (once == 0)
        return MU_OK;
    mu_buf_addc(&claims, ']');
    TRY(mu_tx_begin(outbox->db, arena, &problem, &tx));
    int index = mu_tx_queue(tx, Q_outbox_start, ARGS(claims.at));
    TRY(mu_commit(tx));
    const mu_rows *started = mu_tx_rows(tx, index);
    for (int k = 0; k < mu_rows_count(started); k++)
        for (size_t i = 0; i < count; i++)
            if (rows[i].id == number(mu_cell(started, k, 0)))
                may_go[i] = true;
    MU_FP(outbox_started);
    return MU_OK;
}

/* ---- settle ---- */

static void
write_results(mu_buf *out, const mu_out_result *results, size_t count)
{
    mu_buf_addc(out, '[');
    for (size_t i = 0; i < count; i++) {
        const mu_out_result *r = &results[i];
        mu_buf_addf(out, "%s{\"id\":%lld,\"token\":%lld,\"outcome\":\"%s\",\"code\":%d,\"ms\":%lld,\"after\":%.3f,\"gone\":%s,\"detail\":", i == 0 ? "" : ",",
                    (long long)r->id, (long long)r->token, outcome_words[r->outcome], r->code, (long long)r->ms, r->after > 0 ? r->after : 0.0,
                    r->gone ? "true" : "false");
        mu_buf_add_json(out, r->detail, strlen(r->detail));
        mu_buf_addc(out, '}');
    }
    mu_buf_addc(out, ']');
}

static void
count_results(const mu_out_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++)
        switch (results[i].outcome) {
        case MU_OUT_SENT:      mu_count(MU_METRIC_DELIVERIES, 0, 1); break;
        case MU_OUT_RETRY:     mu_count(MU_METRIC_DELIVERIES, 1, 1); break;
        case MU_OUT_DEAD:
        case MU_OUT_REFUSED:
        case MU_OUT_UNKNOWN:   mu_count(MU_METRIC_DELIVERIES, 2, 1); break;
        case MU_OUT_SIMULATED: mu_count(MU_METRIC_DELIVERIES, 3, 1); break;
        }
}

void
mu_outbox_hint(mu_db *db, mu_arena *arena, const char *ref, const char *parts)
{
    if (ref != NULL && ref[0] != '\0')
        mu_hint(db, mu_printf(arena, "incident:%s %s", ref, parts));
}

/* One hint for each incident of the batch; beyond a few, pages find out by themselves. */
static void
hint_all(mu_db *db, mu_arena *arena, const mu_out_result *results, size_t count, const char *parts)
{
    const char *told[16];
    size_t n = 0;

    for (size_t i = 0; i < count && n < MU_COUNT(told); i++) {
        bool known = results[i].ref == NULL;
        for (size_t k = 0; k < n && !known; k++)
            known = mu_same(told[k], results[i].ref);
        if (known)
            continue;
        told[n++] = results[i].ref;
        mu_outbox_hint(db, arena, results[i].ref, parts);
    }
}

mu_err
mu_outbox_settle(const mu_outbox *outbox, mu_arena *arena, const mu_out_result *results, size_t count)
{
    mu_problem problem = { .arena = arena };
    MU_BUF_AUTO(text, 16 << 20);
    mu_tx *tx;

    if (count == 0)
        return MU_OK;
    write_results(&text, results, count);
    MU_FP(outbox_sent);
    TRY(mu_tx_begin(outbox->db, arena, &problem, &tx));
    int index = mu_tx_queue(tx, Q_outbox_settle, ARGS(text.at));
    TRY(mu_commit(tx));
    MU_FP(outbox_settled);
    count_results(results, count);
    const mu_rows *steps = mu_tx_rows(tx, index);
    for (int i = 0; i < mu_rows_count(steps); i++)
        if (mu_outbox_answer(outbox->db, arena, mu_cell(steps, i, 0), mu_cell(steps, i, 1), mu_cell(steps, i, 2)) != MU_OK)
            mu_log(MU_LOG_WARN, "outbox.answer", "run=%s path=%s", mu_cell(steps, i, 0), mu_cell(steps, i, 1)); /* the sweep finds it again */
    hint_all(outbox->db, arena, results, count, mu_rows_count(steps) > 0 ? "*" : MU_PARTS_DELIVERED);
    return MU_OK;
}

/* ---- answers to runs ---- */

static json_t *
answer_event(mu_arena *arena, const mu_rows *rows, int i, const char *path, const char *occ)
{
    int64_t reached = number(mu_cell(rows, i, 2)), simulated = number(mu_cell(rows, i, 3)), dead = number(mu_cell(rows, i, 4)),
            unknown = number(mu_cell(rows, i, 5));
    const char *error = mu_cell(rows, i, 6);
    json_t *data = json_object(), *event = json_object();

    json_object_set_new(data, "key", json_string(mu_cell(rows, i, 0)));
    if (reached + simulated > 0 || dead + unknown == 0)
        json_object_set_new(data, "result", json_pack("{s:I,s:I,s:I,s:I}", "sent", (json_int_t)reached, "simulated", (json_int_t)simulated, "failed",
                                                      (json_int_t)dead, "unknown", (json_int_t)unknown));
    else {
        json_object_set_new(data, "error", json_string(error != NULL ? error : "not delivered"));
        json_object_set_new(data, "unknown", json_boolean(unknown > 0));
    }
    json_object_set_new(event, "kind", json_string(json_object_get(data, "result") != NULL ? "effect_done" : "effect_failed"));
    json_object_set_new(event, "path", json_string(path));
    json_object_set_new(event, "occ", json_integer(number(occ)));
    json_object_set_new(event, "data", data);
    return mu_json_own(arena, event);
}

mu_err
mu_outbox_answer(mu_db *db, mu_arena *arena, const char *run, const char *path, const char *occ)
{
    mu_problem problem = { .arena = arena };
    json_t *actor = mu_json_own(arena, json_pack("{s:s}", "kind", "effect"));
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_tx_begin(db, arena, &problem, &tx));
    TRY(mu_query(tx, Q_outbox_effect, ARGS(run, path, occ), &rows));
    for (int i = 0; i < mu_rows_count(rows); i++) {
        char *key = mu_printf(arena, "effect/%s/%s", mu_cell(rows, i, 0), mu_cell(rows, i, 1));
        mu_err err = mu_run_event(tx, run, answer_event(arena, rows, i, path, occ), actor, key, NULL);
        if (err != MU_OK) {
            mu_log(MU_LOG_WARN, "outbox.answer", "run=%s path=%s occ=%s error=%s detail=%s", run, path, occ, mu_err_code(err),
                   problem.detail != NULL ? problem.detail : problem.first != NULL ? problem.first->key : "");
            mu_rollback(tx);
            return err;
        }
    }
    return mu_commit(tx);
}
