#include "db.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "conf.h"
#include "connect.h"
#include "crypto.h"
#include "failpoint.h"
#include "fault.h"
#include "log.h"
#include "metrics.h"
#include "words.h"

/* The server ends a statement after 15 s; when nothing comes for this long, the server itself is gone. */
#define ANSWER_MS 20000
#define BACKOFF_FIRST_MS 100
#define BACKOFF_MOST_MS 5000
#define ATTEMPTS 3
#define HINT_EVERY_MS 50
#define HINT_BYTES 7999   /* PostgreSQL's limit of a NOTIFY payload is below 8,000 */

struct mu_db {
    PGconn *conn;            /* NULL while there is none */
    char *url, *name;
    int64_t next_try;        /* monotonic ms; no attempt to connect before */
    unsigned failures;
    bool ever;               /* was connected before: the next time is a reconnect */
    bool pooled;             /* behind a transaction pool: nothing may live longer than a transaction */
    bool in_flight;          /* something was sent whose answer has not been read */
    bool stale;              /* the server forgot our statements, or their tables changed */
    int syncs;               /* Sync messages not yet answered */
    int64_t answer_ms;       /* how long an answer is waited for, of the present transaction */
    unsigned char prepared[(MU_QUERY_MAX + 7) / 8];
};

typedef enum { SENT_BEGIN, SENT_LIMITS, SENT_PREPARE, SENT_QUERY, SENT_COMMIT } sent_kind;

typedef struct sent {
    sent_kind kind;
    enum mu_query_id query;
    int index;               /* of a SENT_QUERY among the transaction's queries */
    struct sent *next;
} sent;

struct mu_tx {
    mu_db *db;
    mu_arena *arena;
    mu_problem *problem;
    sent *first, *last;      /* queued or sent, not yet answered */
    mu_rows **rows;          /* by index */
    int nrows, caprows;
    bool open;               /* BEGIN queued, neither COMMIT nor ROLLBACK seen */
    bool commit_sent, committed;
    mu_err err;
    int64_t waited_us;
};

/* ---- the connection ---- */

mu_db *mu_db_new(const char *url, const char *application_name)
{
    mu_db *db = calloc(1, sizeof *db);

    if (db == NULL)
        abort();
    db->url = strdup(url);
    db->name = strdup(application_name);
    if (db->url == NULL || db->name == NULL)
        abort();
    db->pooled = !mu_conf_bool(MU_CONF_DATABASE_PREPARED);
    db->answer_ms = ANSWER_MS;
    (void)mu_db_alive(db);
    return db;
}

static void disconnect(mu_db *db)
{
    if (db->conn != NULL)
        PQfinish(db->conn);
    db->conn = NULL;
    db->in_flight = db->stale = false;
    db->syncs = 0;
    memset(db->prepared, 0, sizeof db->prepared);
}

void mu_db_close(mu_db *db)
{
    if (db == NULL)
        return;
    disconnect(db);
    free(db->url);
    free(db->name);
    free(db);
}

static void back_off(mu_db *db)
{
    uint32_t random = 0;
    int64_t wait = BACKOFF_FIRST_MS << (db->failures < 6 ? db->failures : 6);

    if (wait > BACKOFF_MOST_MS)
        wait = BACKOFF_MOST_MS;
    mu_random(&random, sizeof random);
    db->failures++;
    db->next_try = mu_monotonic_ms() + wait / 2 + (int64_t)(random % (uint32_t)(wait / 2 + 1));
}

static bool connect_now(mu_db *db)
{
    char text[256];

    if (mu_monotonic_ms() < db->next_try)
        return false;
    db->conn = mu_connect(db->url, db->name);
    if (PQstatus(db->conn) != CONNECTION_OK || (!db->pooled && !mu_connect_limits(db->conn))
        || PQsetnonblocking(db->conn, 1) != 0 || PQenterPipelineMode(db->conn) != 1) {
        if (db->failures == 0)
            mu_log(MU_LOG_WARN, "db.away", "error=%s", mu_connect_error(db->conn, text, sizeof text));
        disconnect(db);
        back_off(db);
        return false;
    }
    if (db->ever) {
        mu_count(MU_METRIC_DB_RECONNECTS, 0, 1);
        mu_log(MU_LOG_INFO, "db.back", "pid=%d", PQbackendPID(db->conn));
    }
    db->ever = true;
    db->failures = 0;
    db->next_try = 0;
    return true;
}

bool mu_db_alive(mu_db *db)
{
    if (db->conn != NULL && db->in_flight)
        disconnect(db);
    if (db->conn != NULL) {
        /* An idle connection has nothing to say but that it ends. */
        struct pollfd fd = { .fd = PQsocket(db->conn), .events = POLLIN };
        if (poll(&fd, 1, 0) > 0 && (PQconsumeInput(db->conn) == 0 || (fd.revents & (POLLHUP | POLLERR)) != 0))
            disconnect(db);
        else if (PQstatus(db->conn) != CONNECTION_OK)
            disconnect(db);
    }
    return db->conn != NULL || connect_now(db);
}

int mu_db_socket(mu_db *db)
{
    return db->conn != NULL ? PQsocket(db->conn) : -1;
}

/* Everything queued goes out, while answers that come meanwhile are taken in: neither side can block the other. */
static bool send_all(PGconn *conn)
{
    for (;;) {
        const int left = PQflush(conn);
        if (left <= 0)
            return left == 0;
        struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN | POLLOUT };
        const int ready = poll(&fd, 1, ANSWER_MS);
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return false;
        if (ready > 0 && (fd.revents & (POLLIN | POLLHUP | POLLERR)) != 0 && PQconsumeInput(conn) == 0)
            return false;
    }
}

/* The next result, NULL at the end of one query's results. *lost: the connection is no longer usable. */
static PGresult *next_result(const mu_db *db, bool *lost)
{
    PGconn *const conn = db->conn;
    const int64_t until = mu_monotonic_ms() + db->answer_ms;

    while (PQisBusy(conn)) {
        struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };
        const int64_t left = until - mu_monotonic_ms();
        const int ready = left > 0 ? poll(&fd, 1, (int)left) : 0;
        if (ready == 0 || (ready < 0 && errno != EINTR)) {
            *lost = true;
            return NULL;
        }
        if (ready > 0 && PQconsumeInput(conn) == 0)
            break;   /* PQgetResult() tells the server's last words, if there were any */
    }
    return PQgetResult(conn);
}

/* ---- errors ---- */

/* Records a server error. A violated constraint has words of its own when web/i18n knows "constraint.NAME". */
static mu_err record(mu_tx *tx, const PGresult *result, const char *query)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE), *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    mu_err code = mu_err_of_sqlstate(state);

    state = state != NULL ? state : "?????";
    text = text != NULL ? text : PQresultErrorMessage(result);
    if (strncmp(state, "MU", 2) == 0)
        return mu_db_fault(tx->problem, code, PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL), text, PQresultErrorField(result, PG_DIAG_MESSAGE_HINT));
    if (strcmp(state, "26000") == 0 || (strcmp(state, "0A000") == 0 && strstr(text, "cached plan") != NULL)) {
        tx->db->stale = true;
        code = MU_RETRY;
    }
    if (code == MU_INTERNAL)
        mu_log(MU_LOG_ERROR, "db.error", "query=%s state=%s text=%s", query, state, text);
    if (constraint != NULL) {
        const char *key = mu_printf(tx->arena, "constraint.%s", constraint);
        if (mu_word("en", key) != NULL)
            (void)mu_fail(tx->problem, code, "", key, NULL);
    }
    return mu_failf(tx->problem, code, "%s: %s %s", query, state, text);
}

static mu_err lost(mu_tx *tx)
{
    char text[256];

    if (tx->db->conn != NULL)
        (void)mu_failf(tx->problem, MU_UNAVAILABLE, "connection lost: %s", mu_connect_error(tx->db->conn, text, sizeof text));
    disconnect(tx->db);
    tx->open = false;
    tx->first = tx->last = NULL;
    return tx->err = mu_fail(tx->problem, MU_UNAVAILABLE, NULL, NULL, NULL);
}

/* ---- a transaction ---- */

static void roll_back_object(void *tx)
{
    mu_rollback(tx);
}

static void clear_rows(void *object)
{
    mu_rows *rows = object;

    PQclear(rows->result);
    rows->result = NULL;
}

static void note_sent(mu_tx *tx, sent_kind kind, enum mu_query_id query, int index)
{
    sent *row = mu_alloc(tx->arena, sizeof *row);

    *row = (sent){ .kind = kind, .query = query, .index = index };
    if (tx->last != NULL)
        tx->last->next = row;
    else
        tx->first = row;
    tx->last = row;
}

static bool send_text(mu_tx *tx, sent_kind kind, const char *sql)
{
    note_sent(tx, kind, Q_none, -1);
    tx->db->in_flight = true;
    return PQsendQueryParams(tx->db->conn, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

mu_err mu_tx_begin(mu_db *db, mu_arena *arena, mu_problem *problem, mu_tx **ret)
{
    mu_tx *tx = mu_alloc(arena, sizeof *tx);

    *ret = NULL;
    tx->db = db;
    tx->arena = arena;
    tx->problem = problem;
    if (!mu_db_alive(db))
        return mu_failf(problem, MU_UNAVAILABLE, "the database is away");
    mu_defer(arena, roll_back_object, tx);
    db->answer_ms = ANSWER_MS;
    tx->open = true;
    if (!send_text(tx, SENT_BEGIN, "BEGIN"))
        return lost(tx);
    if (db->pooled && !send_text(tx, SENT_LIMITS, "SELECT set_config('statement_timeout', '15s', true), set_config('lock_timeout', '5s', true), "
                                 "set_config('idle_in_transaction_session_timeout', '30s', true), set_config('TimeZone', 'UTC', true), set_config('jit', 'off', true)"))
        return lost(tx);
    *ret = tx;
    return MU_OK;
}

void mu_tx_patience(mu_tx *tx, int seconds)
{
    tx->db->answer_ms = INT64_C(1000) * seconds;
}

static bool is_prepared(const mu_db *db, enum mu_query_id query)
{
    return (db->prepared[query / 8] >> (query % 8) & 1) != 0;
}

static bool queued_prepare(const mu_tx *tx, enum mu_query_id query)
{
    for (const sent *row = tx->first; row != NULL; row = row->next)
        if (row->kind == SENT_PREPARE && row->query == query)
            return true;
    return false;
}

static bool send_query(mu_tx *tx, enum mu_query_id query, const char *const *params, int index)
{
    const mu_query_row *info = &mu_query_info[query];
    PGconn *conn = tx->db->conn;

    if (tx->db->pooled) {
        note_sent(tx, SENT_QUERY, query, index);
        return PQsendQueryParams(conn, info->sql, info->nparams, NULL, params, NULL, NULL, 0) == 1;
    }
    if (!is_prepared(tx->db, query) && !queued_prepare(tx, query)) {
        note_sent(tx, SENT_PREPARE, query, -1);
        if (PQsendPrepare(conn, info->name, info->sql, 0, NULL) != 1)
            return false;
    }
    note_sent(tx, SENT_QUERY, query, index);
    return PQsendQueryPrepared(conn, info->name, info->nparams, params, NULL, NULL, 0) == 1;
}

int mu_tx_queue(mu_tx *tx, enum mu_query_id query, const char *const *params)
{
    const int index = tx->nrows;

    if (tx->nrows == tx->caprows) {
        mu_rows **more = mu_alloc(tx->arena, (size_t)(tx->caprows + 16) * sizeof *more);
        if (tx->nrows > 0)
            memcpy(more, tx->rows, (size_t)tx->nrows * sizeof *more);
        tx->rows = more;
        tx->caprows += 16;
    }
    tx->rows[index] = mu_alloc(tx->arena, sizeof **tx->rows);
    mu_defer(tx->arena, clear_rows, tx->rows[index]);
    tx->nrows++;
    if (tx->err == MU_OK && tx->open && !send_query(tx, query, params, index))
        (void)lost(tx);
    return index;
}

/* Reads what is left up to the last Sync and throws it away. */
static void drain(mu_db *db)
{
    bool gone = false;

    while (db->syncs > 0 && !gone) {
        PGresult *result = next_result(db, &gone);
        if (result != NULL && PQresultStatus(result) == PGRES_PIPELINE_SYNC)
            db->syncs--;
        PQclear(result);
        gone = gone || PQstatus(db->conn) != CONNECTION_OK;
    }
    if (gone)
        disconnect(db);
    else
        db->in_flight = false;
}

/* A statement outside any mu_tx whose answer does not matter. */
static bool run_aside(mu_db *db, const char *sql, const char *param)
{
    db->in_flight = true;
    if (PQsendQueryParams(db->conn, sql, param != NULL ? 1 : 0, NULL, &param, NULL, NULL, 0) != 1 || PQpipelineSync(db->conn) != 1) {
        disconnect(db);
        return false;
    }
    db->syncs++;
    if (!send_all(db->conn))
        disconnect(db);
    else
        drain(db);
    return db->conn != NULL;
}

void mu_rollback(mu_tx *tx)
{
    mu_db *db = tx->db;

    if (!tx->open)
        return;
    tx->open = false;
    tx->first = tx->last = NULL;
    /* The first ROLLBACK is skipped by the server when something queued before it fails; the second is not. */
    for (int i = 0; i < 2 && db->conn != NULL && (db->in_flight || PQtransactionStatus(db->conn) != PQTRANS_IDLE); i++)
        if (!run_aside(db, "ROLLBACK", NULL))
            return;
    if (db->conn != NULL && PQtransactionStatus(db->conn) != PQTRANS_IDLE)
        disconnect(db);
    if (db->conn != NULL && db->stale && run_aside(db, "DEALLOCATE ALL", NULL)) {
        memset(db->prepared, 0, sizeof db->prepared);
        db->stale = false;
    }
    mu_observe(MU_METRIC_DB_SECONDS, 0, (double)tx->waited_us / 1e6);
}

static void take_good(mu_tx *tx, const sent *row, PGresult *result)
{
    switch (row->kind) {
    case SENT_PREPARE:
        tx->db->prepared[row->query / 8] |= (unsigned char)(1u << (row->query % 8));
        break;
    case SENT_QUERY:
        tx->rows[row->index]->result = result;
        return;
    case SENT_COMMIT:
        /* COMMIT of a failed transaction is a ROLLBACK that calls itself a success. */
        tx->committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
        break;
    case SENT_BEGIN:
    case SENT_LIMITS:
        break;
    }
    PQclear(result);
}

/* The answer to one thing sent. False: the connection is lost. */
static bool take_answer(mu_tx *tx, const sent *row)
{
    bool gone = false;
    PGresult *result;

    while ((result = next_result(tx->db, &gone)) != NULL) {
        const ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK || status == PGRES_EMPTY_QUERY) {
            take_good(tx, row, result);
            continue;
        }
        if (status != PGRES_PIPELINE_ABORTED && tx->err == MU_OK)
            tx->err = record(tx, result, mu_query_info[row->query].name);
        PQclear(result);
    }
    return !gone && PQstatus(tx->db->conn) == CONNECTION_OK;
}

static mu_err exchange(mu_tx *tx)
{
    mu_db *db = tx->db;
    bool gone = false;

    if (PQpipelineSync(db->conn) != 1)
        return lost(tx);
    db->syncs++;
    if (!send_all(db->conn))
        return lost(tx);
    for (const sent *row = tx->first; row != NULL; row = row->next)
        if (!take_answer(tx, row))
            return lost(tx);
    tx->first = tx->last = NULL;
    PGresult *result = next_result(db, &gone);
    const bool synced = result != NULL && PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    PQclear(result);
    if (!synced)
        return lost(tx);
    db->syncs--;
    db->in_flight = false;
    return tx->err;
}

mu_err mu_tx_flush(mu_tx *tx)
{
    if (tx->err != MU_OK || tx->first == NULL)
        return tx->err;
    const mu_instant start = mu_wall_now();
    const mu_err err = exchange(tx);
    tx->waited_us += mu_wall_now() - start;
    if (err != MU_OK) {
        mu_rollback(tx);
        if (err == MU_UNAVAILABLE)
            disconnect(tx->db);   /* a server that is stopping, starting or read-only: another one may answer */
    }
    return err;
}

mu_err mu_query(mu_tx *tx, enum mu_query_id query, const char *const *params, const mu_rows **ret)
{
    const int index = mu_tx_queue(tx, query, params);

    *ret = tx->rows[index];
    return mu_tx_flush(tx);
}

mu_err mu_one(mu_tx *tx, enum mu_query_id query, const char *const *params, const mu_rows **ret)
{
    TRY(mu_query(tx, query, params, ret));
    if (mu_rows_count(*ret) != 1)
        return mu_failf(tx->problem, MU_NOT_FOUND, "%s: %d rows", mu_query_info[query].name, mu_rows_count(*ret));
    return MU_OK;
}

mu_err mu_commit(mu_tx *tx)
{
    if (tx->err != MU_OK)
        return tx->err;
    if (!tx->open)
        return mu_failf(tx->problem, MU_INTERNAL, "commit without a transaction");
    if (!send_text(tx, SENT_COMMIT, "COMMIT"))
        return lost(tx);
    MU_FP(db_commit_before);
    tx->commit_sent = true;
    TRY(mu_tx_flush(tx));
    MU_FP(db_commit_after);
    tx->open = false;
    mu_observe(MU_METRIC_DB_SECONDS, 0, (double)tx->waited_us / 1e6);
    if (!tx->committed)
        return tx->err = mu_failf(tx->problem, MU_INTERNAL, "the transaction was rolled back at COMMIT");
    return MU_OK;
}

static bool again(const mu_tx *tx, mu_err err, int attempt)
{
    if (err == MU_RETRY)
        return attempt < ATTEMPTS;
    return err == MU_UNAVAILABLE && tx != NULL && !tx->commit_sent && attempt == 1;
}

mu_err mu_tx_run(mu_db *db, mu_arena *arena, mu_problem *problem, mu_err (*body)(mu_tx *tx, void *closure), void *closure)
{
    const mu_mark mark = mu_arena_mark(arena);
    const mu_problem before = *problem;

    for (int attempt = 1; ; attempt++) {
        mu_tx *tx = NULL;
        mu_err err = mu_tx_begin(db, arena, problem, &tx);
        if (err == MU_OK)
            err = body(tx, closure);
        if (err == MU_OK && !tx->committed)
            err = mu_commit(tx);
        if (err != MU_OK && tx != NULL)
            mu_rollback(tx);
        if (err == MU_OK || !again(tx, err, attempt))
            return err;
        mu_log(MU_LOG_DEBUG, "db.again", "attempt=%d code=%s", attempt, mu_err_code(err));
        mu_arena_reset(arena, mark);
        *problem = before;
    }
}

mu_problem *mu_tx_problem(mu_tx *tx)
{
    return tx->problem;
}

mu_arena *mu_tx_arena(mu_tx *tx)
{
    return tx->arena;
}

const mu_rows *mu_tx_rows(const mu_tx *tx, int index)
{
    return index >= 0 && index < tx->nrows ? tx->rows[index] : NULL;
}

/* ---- hints ---- */

void mu_hint(mu_db *db, const char *payload)
{
    static _Atomic int64_t last;
    const int64_t now = mu_monotonic_ms();
    int64_t before = atomic_load(&last);

    if (strlen(payload) > HINT_BYTES || mu_hint_keep(payload))
        return;
    if (now - before < HINT_EVERY_MS || !atomic_compare_exchange_strong(&last, &before, now) || !mu_db_alive(db))
        return;
    (void)run_aside(db, "SELECT pg_notify('muster', $1::text)", payload);
}
