/* The life of a request on a handler thread: who, what, one transaction, an answer. */
#include <string.h>
#include "clock.h"
#include "json.h"
#include "log.h"
#include "req.h"

#define ATTEMPTS 3

static int queue_session(mu_req *rq, mu_tx *tx, mu_role role)
{
    return mu_tx_queue(tx, Q_session_open, ARGS(rq->token_hash, rq->bearer ? "bearer" : "cookie", role == MU_ROLE_ANY ? "" : mu_role_word(role), rq->language, rq->id, rq->address));
}

/* Looking and nothing else: what a token with the role of a viewer is for. Its person may fill a role of an incident, which is
 * enough to act on a step; the token must not be more than its scopes say. */
static bool only_reads(const mu_req *rq)
{
    return mu_same(rq->me_roles, "[]") || mu_same(rq->me_roles, "[\"viewer\"]");
}

static void know(mu_req *rq, const mu_rows *rows)
{
    rq->me = mu_col(rows, "person");
    rq->me_name = mu_col(rows, "name");
    rq->site = mu_col(rows, "site");
    rq->me_login = mu_col(rows, "login");
    rq->me_roles = mu_col(rows, "roles");
    rq->session = mu_col(rows, "session");
    rq->must_change = !rq->bearer && mu_same(mu_col(rows, "must_change"), "t");   /* a token is not the password's business */
}

/* After a read that failed: the page that says so still knows who reads it, when the session itself was answered. */
static void know_again(mu_req *rq, const mu_rows *rows)
{
    if (rows != NULL && mu_rows_count(rows) == 1)
        know(rq, rows);
}

/* Takes over who it is, and refuses whom the row does not admit. */
static mu_err take_session(mu_req *rq, const mu_tx *tx, int index)
{
    know(rq, mu_tx_rows(tx, index));
    if (rq->route != NULL && rq->route->role == MU_ROLE_PUBLIC && !(rq->must_change && mu_same(rq->route->path, "/")))
        return MU_OK;
    if (rq->me == NULL)
        return mu_fail(&rq->problem, MU_UNAUTHORIZED, NULL, "error.signin.needed", NULL);
    if (rq->must_change && (rq->route == NULL || (rq->route->flags & MU_R_PASSWORD_OK) == 0))
        return mu_fail(&rq->problem, MU_FORBIDDEN, NULL, "error.password.change", NULL);
    if (rq->bearer && rq->route != NULL && rq->route->method != MU_GET && only_reads(rq))
        return mu_fail(&rq->problem, MU_FORBIDDEN, NULL, "error.token.read_only", NULL);
    return MU_OK;
}

static void forget(mu_req *rq)
{
    rq->problem = (mu_problem){ .arena = rq->arena };
    rq->me = rq->me_name = rq->me_login = rq->me_roles = rq->session = rq->site = NULL;
    rq->must_change = rq->replayed = rq->keeping = false;
    rq->answer = (mu_answer){ 0 };
    rq->out = (mu_output){ 0 };
    rq->hint = NULL;
}

void mu_flow_end(mu_req *rq)
{
    if (rq->tx != NULL)
        mu_rollback(rq->tx);
    rq->tx = NULL;
}

/* BEGIN and session, answered before anything else is sent. On a public row a token that no longer counts is no token. */
mu_err mu_flow_begin(mu_req *rq, mu_role role)
{
    for (;;) {
        int index;
        mu_err err = mu_tx_begin(rq->db, rq->arena, &rq->problem, &rq->tx);
        if (err != MU_OK)
            return err;
        index = queue_session(rq, rq->tx, role);
        err = mu_tx_flush(rq->tx);
        if (err == MU_UNAUTHORIZED && role == MU_ROLE_PUBLIC && rq->token_hash != NULL) {
            mu_flow_end(rq);
            rq->token = rq->token_hash = NULL;
            rq->problem = (mu_problem){ .arena = rq->arena };
            continue;
        }
        return err != MU_OK ? err : take_session(rq, rq->tx, index);
    }
}

/* The same key with the same content gets the first answer again. */
static mu_err begin_keyed(mu_req *rq)
{
    const char *caller = rq->me != NULL ? rq->me : mu_printf(rq->arena, "public:%s", rq->address), *status;
    const mu_rows *rows;
    int64_t number;

    TRY(mu_query(rq->tx, Q_idem_begin, ARGS(caller, rq->key, mu_printf(rq->arena, "%s %s", rq->route->name, rq->path), rq->body_sha), &rows));
    rq->keeping = true;
    status = mu_col(rows, "status");
    if (mu_rows_count(rows) == 0 || status == NULL)
        return MU_OK;
    rq->keeping = false;
    rq->replayed = true;
    rq->answer = (mu_answer){ .ready = true, .status = mu_parse_int(status, 200, 599, &number) ? (int)number : 200,
                              .body = mu_col(rows, "body"), .location = mu_col(rows, "location") };
    rq->answer.size = rq->answer.body != NULL ? strlen(rq->answer.body) : 0;
    return MU_CONFLICT;   /* only to leave the handler; mu_flow() sees `replayed` */
}

mu_err mu_req_tx(mu_req *rq, mu_tx **ret)
{
    *ret = NULL;
    mu_flow_end(rq);
    TRY(mu_flow_begin(rq, rq->route->role));
    *ret = rq->tx;
    if (rq->key != NULL && (rq->route->flags & MU_R_IDEMPOTENT) != 0)
        return begin_keyed(rq);
    return MU_OK;
}

/* A read: everything goes out at once and comes back at once. */
static mu_err run_read(mu_req *rq)
{
    int session, query;

    TRY(mu_tx_begin(rq->db, rq->arena, &rq->problem, &rq->tx));
    session = queue_session(rq, rq->tx, rq->route->role);
    query = mu_tx_queue(rq->tx, rq->route->sql, mu_bind(rq, rq->route->sql));
    const mu_err err = mu_commit(rq->tx);
    if (err != MU_OK) {
        know_again(rq, mu_tx_rows(rq->tx, session));
        return err;
    }
    TRY(take_session(rq, rq->tx, session));
    return mu_reply_rows(rq, NULL, mu_tx_rows(rq->tx, query));
}

/* A write is committed only after the session's row has been looked at. */
static mu_err run_write(mu_req *rq)
{
    const bool apart = (rq->key != NULL && (rq->route->flags & MU_R_IDEMPOTENT) != 0) || (rq->route->role == MU_ROLE_PUBLIC && rq->token_hash != NULL);
    int session = -1, query;
    mu_tx *tx;

    if (apart) {
        TRY(mu_req_tx(rq, &tx));
    } else {
        TRY(mu_tx_begin(rq->db, rq->arena, &rq->problem, &rq->tx));
        tx = rq->tx;
        session = queue_session(rq, tx, rq->route->role);
    }
    query = mu_tx_queue(tx, rq->route->sql, mu_bind(rq, rq->route->sql));
    TRY(mu_tx_flush(tx));
    if (session >= 0)
        TRY(take_session(rq, tx, session));
    return mu_reply_rows(rq, tx, mu_tx_rows(tx, query));
}

static mu_err run_once(mu_req *rq)
{
    if (rq->route->fn != NULL)
        return rq->route->fn(rq);
    if (rq->route->method != MU_GET)
        return run_write(rq);
    if (rq->route->role == MU_ROLE_PUBLIC && rq->token_hash != NULL) {
        mu_tx *tx;
        const mu_rows *rows;
        TRY(mu_req_tx(rq, &tx));
        TRY(mu_query(tx, rq->route->sql, mu_bind(rq, rq->route->sql), &rows));
        return mu_reply_rows(rq, tx, rows);
    }
    return run_read(rq);
}

/* Again after a serialization failure or a deadlock; a read also after a lost connection, since it has no effect. */
static mu_err run(mu_req *rq)
{
    const mu_mark mark = mu_arena_mark(rq->arena);
    mu_err err = MU_OK;

    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        err = run_once(rq);
        mu_flow_end(rq);
        if (rq->replayed)
            return MU_OK;
        if (err == MU_OK && !rq->answer.ready)
            return mu_failf(&rq->problem, MU_INTERNAL, "%s gave no answer", rq->route->name);
        if (attempt == ATTEMPTS || (err != MU_RETRY && (err != MU_UNAVAILABLE || rq->route->method != MU_GET)))
            break;
        forget(rq);
        mu_arena_reset(rq->arena, mark);
    }
    return err;
}

/* The page of another row, for the same person and path parameters. Its problem is kept apart from the one that led here. */
mu_err mu_flow_page(mu_req *rq, const mu_route *page)
{
    const mu_problem kept = rq->problem;
    const mu_route *route = rq->route;
    json_t *body = rq->body, *query = rq->query;
    mu_field_line *fields = rq->out.fields;
    mu_err err;

    rq->route = page;
    rq->body = NULL;
    rq->problem = (mu_problem){ .arena = rq->arena };
    rq->answer = (mu_answer){ 0 };
    err = run_once(rq);
    mu_flow_end(rq);
    rq->route = route;
    rq->body = body;
    rq->query = query;
    rq->problem = kept;
    rq->out.fields = fields;
    return err == MU_OK && rq->answer.ready && rq->answer.media == NULL ? MU_OK : err != MU_OK ? err : MU_INTERNAL;
}

/* A bad body is answered only to somebody who may send a good one. */
static mu_err only_admitted(mu_req *rq, mu_err err)
{
    const mu_problem kept = rq->problem;
    mu_err admitted;

    rq->problem = (mu_problem){ .arena = rq->arena };
    admitted = mu_flow_begin(rq, rq->route->role);
    mu_flow_end(rq);
    if (admitted != MU_OK)
        return admitted;
    rq->problem = kept;
    return err;
}

static void send_hint(mu_req *rq)
{
    const char *payload = rq->hint != NULL ? rq->hint : rq->answer.hint, *incident = mu_path(rq, "incident");

    if (payload == NULL && (rq->route->flags & MU_R_HINT) == 0)
        return;
    if (payload == NULL)
        payload = incident != NULL ? mu_printf(rq->arena, "incident:%s *", incident) : "home *";
    mu_sse_publish_own(payload);
    mu_hint(rq->db, payload);
    mu_status_poke();
}

static mu_err route_flow(mu_req *rq)
{
    mu_err err;

    mu_auth_token(rq);
    if (rq->token == NULL && rq->route != NULL && rq->route->role != MU_ROLE_PUBLIC) {
        (void)mu_input_read(rq);   /* for the face and the page to come back to; what is wrong in it does not matter */
        rq->problem = (mu_problem){ .arena = rq->arena };
        return mu_fail(&rq->problem, MU_UNAUTHORIZED, NULL, "error.signin.needed", NULL);
    }
    TRY(mu_input_read(rq));
    if (rq->token == NULL && rq->route->role != MU_ROLE_PUBLIC)
        return mu_fail(&rq->problem, MU_UNAUTHORIZED, NULL, "error.signin.needed", NULL);
    TRY(mu_auth_origin(rq));
    err = mu_input_check(rq);
    if (err != MU_OK)
        return only_admitted(rq, err);
    err = run(rq);
    if (err == MU_OK && !rq->replayed && rq->route->method != MU_GET)
        send_hint(rq);
    return err;
}

static void overflow_answer(mu_req *rq)
{
    static const char body[] = "{\"type\":\"/problems/too_large\",\"title\":\"Too large\",\"status\":500,\"code\":\"too_large\"}\n";

    rq->out = (mu_output){ .status = 500, .media = "application/problem+json", .bytes = body, .size = sizeof body - 1 };
}

void mu_flow(mu_req *rq, mu_db *db)
{
    jmp_buf out_of_arena;

    rq->db = db;
    rq->at_run = mu_monotonic_ms();
    mu_log_request(rq->id);
    if (setjmp(out_of_arena) != 0) {
        mu_log(MU_LOG_ERROR, "http.arena", "route=%s used=%zu", rq->route != NULL ? rq->route->name : "", mu_arena_used(rq->arena));
        mu_arena_overflow(rq->arena, NULL);
        mu_flow_end(rq);
        overflow_answer(rq);
    } else {
        mu_arena_overflow(rq->arena, &out_of_arena);
        switch (rq->job) {
        case MU_JOB_ROUTE:  mu_reply_finish(rq, route_flow(rq)); break;
        case MU_JOB_STREAM: mu_sse_open(rq); break;
        case MU_JOB_READY:  mu_probe_ready(rq); break;
        case MU_JOB_METRICS: mu_probe_metrics(rq); break;
        }
        mu_flow_end(rq);
        mu_arena_overflow(rq->arena, NULL);
    }
    mu_log_request(NULL);
    rq->db = NULL;
    rq->at_done = mu_monotonic_ms();
}
