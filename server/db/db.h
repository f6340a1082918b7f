/* One connection, one thread. A transaction is a pipeline: what is queued goes out together and comes back together.
 * Queries are named (sql/queries); the generator makes enum mu_query_id from them, and nothing else can be run. */
#ifndef MU_DB_H
#define MU_DB_H

#include <stdbool.h>
#include <stdint.h>
#include "base.h"
#include "queries.h"   /* generated: enum mu_query_id { Q_incident_get, … }, and mu_query_info[] */

typedef struct mu_db mu_db;
typedef struct mu_tx mu_tx;
typedef struct mu_rows mu_rows;

/* Connects (blocking, connect_timeout from the string or 5 s), sets keep-alives, statement_timeout 15 s, lock_timeout 5 s,
 * idle_in_transaction_session_timeout 30 s, time zone UTC. *ret is made even when the server is away: every later call tries
 * again with jittered back-off and returns MU_UNAVAILABLE meanwhile. The caller frees it with mu_db_close(). */
mu_db *mu_db_new(const char *url, const char *application_name);
void   mu_db_close(mu_db *db);
bool   mu_db_alive(mu_db *db);                /* connects when needed; true when a query can be sent */
int    mu_db_socket(mu_db *db);               /* -1 when not connected */

/* Begins a transaction: BEGIN is queued, nothing is sent yet. On a lost connection (57P0x, 08xxx, 25006) it reconnects. */
mu_err mu_tx_begin(mu_db *db, mu_arena *arena, mu_problem *problem, mu_tx **ret);

/* How long an answer of this transaction is waited for (20 s otherwise). For the few that are meant to take long; the server's own
 * limit is a setting of the transaction and the caller's business. */
void mu_tx_patience(mu_tx *tx, int seconds);

/* Queues a query. Parameters are text or NULL, as many as the query's header names. Returns its index in this transaction. */
int mu_tx_queue(mu_tx *tx, enum mu_query_id query, const char *const *params);

/* Sends all that is queued with one Sync and reads the results. On an error the transaction is rolled back at once and the
 * error recorded: SQLSTATE MUxxx gives code, key (message), pointer (detail) and args (hint as flat JSON). */
mu_err mu_tx_flush(mu_tx *tx);
const mu_rows *mu_tx_rows(const mu_tx *tx, int index);   /* after a flush; owner: the arena */

/* Queue and flush in one. mu_one: exactly one row, else MU_NOT_FOUND. */
mu_err mu_query(mu_tx *tx, enum mu_query_id query, const char *const *params, const mu_rows **ret);
mu_err mu_one(mu_tx *tx, enum mu_query_id query, const char *const *params, const mu_rows **ret);

/* Queues COMMIT, flushes, and returns MU_OK only after the COMMIT's own result has been read. A transaction that is not
 * committed when its arena ends is rolled back by a defer. */
mu_err mu_commit(mu_tx *tx);
void   mu_rollback(mu_tx *tx);
mu_problem *mu_tx_problem(mu_tx *tx);
mu_arena   *mu_tx_arena(mu_tx *tx);

/* BEGIN, body, COMMIT with up to 3 attempts on MU_RETRY; the arena is reset between attempts. */
mu_err mu_tx_run(mu_db *db, mu_arena *arena, mu_problem *problem, mu_err (*body)(mu_tx *tx, void *closure), void *closure);

/* A hint after a commit, outside any transaction: NOTIFY muster. At most one every 50 ms per process; may be lost. */
void mu_hint(mu_db *db, const char *payload);

int         mu_rows_count(const mu_rows *rows);
int         mu_rows_column(const mu_rows *rows, const char *name);     /* -1 when absent */
const char *mu_cell(const mu_rows *rows, int row, int column);         /* NULL for SQL NULL or no such column; borrowed from the arena */
size_t      mu_cell_size(const mu_rows *rows, int row, int column);
const char *mu_col(const mu_rows *rows, const char *name);             /* of row 0 */

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define NO_ARGS   ((const char *const[]){ NULL })

/* Generated table, one row per named query. */
typedef struct { const char *name, *sql; int nparams; const char *const *params; const char *result; } mu_query_row;
extern const mu_query_row mu_query_info[];
#endif
