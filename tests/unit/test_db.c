/* Against a real PostgreSQL: MUSTER_TEST_URL (name=value form) is where a database of its own is made, and dropped at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "db.h"
#include "listen.h"
#include "log.h"
#include "migrate.h"

static const char *url;
static char own_url[600], own_name[64];

typedef struct { mu_arena *arena; mu_problem problem; mu_db *db; } fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    *state = f;
    if (url == NULL)
        return 0;
    f->arena = mu_arena_new(0);
    f->problem.arena = f->arena;
    f->db = mu_db_new(url, "test");
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    mu_arena_free(f->arena);
    mu_db_close(f->db);
    free(f);
    return 0;
}

static fixture *need(void **state)
{
    if (url == NULL)
        skip();
    return *state;
}

static char *on(const char *where, const char *sql)
{
    static char text[256];
    PGconn *conn = PQconnectdb(where);
    PGresult *result = PQexec(conn, sql);
    const ExecStatusType status = PQresultStatus(result);

    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        fail_msg("%s: %s", sql, PQerrorMessage(conn));
    snprintf(text, sizeof text, "%s", status == PGRES_TUPLES_OK && PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    PQfinish(conn);
    return text;
}

static char *outside(const char *sql)
{
    return on(url, sql);
}

static int make_database(void **state)
{
    char sql[128];

    (void)state;
    if (url == NULL)
        return 0;
    snprintf(own_name, sizeof own_name, "t_unit_db_%d", (int)getpid());
    snprintf(sql, sizeof sql, "create database %s", own_name);
    on(url, sql);
    snprintf(own_url, sizeof own_url, "%s dbname=%s", url, own_name);
    url = own_url;
    return 0;
}

static int drop_database(void **state)
{
    char sql[128];

    (void)state;
    url = getenv("MUSTER_TEST_URL");
    if (url == NULL)
        return 0;
    snprintf(sql, sizeof sql, "drop database %s with (force)", own_name);
    on(url, sql);
    return 0;
}

static void test_migrates_twice(void **state)
{
    fixture *f = need(state);
    assert_int_equal(mu_migrate_check(url, &f->problem), MU_CONFLICT);
    f->problem.code = MU_OK;
    f->problem.detail = NULL;
    if (mu_migrate(url, false, &f->problem) != MU_OK)
        fail_msg("%s", f->problem.detail);
    assert_int_equal(mu_migrate(url, false, &f->problem), MU_OK);
    assert_int_equal(mu_migrate_check(url, &f->problem), MU_OK);
}

/* Every named query fits the schema: names, types, functions. */
static void test_prepares_all(void **state)
{
    unsigned bad = 0;

    (void)need(state);
    PGconn *conn = PQconnectdb(url);
    for (int i = Q_none + 1; i < MU_QUERY_MAX; i++) {
        PGresult *result = PQprepare(conn, mu_query_info[i].name, mu_query_info[i].sql, 0, NULL);
        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            print_error("%s: %s", mu_query_info[i].name, PQerrorMessage(conn));
            bad++;
        }
        PQclear(result);
    }
    PQfinish(conn);
    assert_int_equal(bad, 0);
}

static void test_refuses_newer_and_rewritten(void **state)
{
    fixture *f = need(state);
    outside("insert into schema_change(name, number, sha256, program) values ('migrations/9999_future.sql', 9999, 'x', 'later')");
    assert_int_equal(mu_migrate(url, false, &f->problem), MU_CONFLICT);
    assert_non_null(strstr(f->problem.detail, "9999_future"));
    outside("delete from schema_change where number = 9999");
    outside("update schema_change set sha256 = 'x' || sha256 where number = 1");
    f->problem.detail = NULL;
    assert_int_equal(mu_migrate_check(url, &f->problem), MU_CONFLICT);
    assert_non_null(strstr(f->problem.detail, "changed after"));
    outside("update schema_change set sha256 = substr(sha256, 2) where number = 1");
    assert_int_equal(mu_migrate_check(url, &f->problem), MU_OK);
}

static void test_commits_in_one_go(void **state)
{
    fixture *f = need(state);
    mu_tx *tx;
    assert_int_equal(mu_tx_begin(f->db, f->arena, &f->problem, &tx), MU_OK);
    const int first = mu_tx_queue(tx, Q_schema_done, ARGS("t/one", "0", "h1", "test"));
    const int second = mu_tx_queue(tx, Q_schema_list, NO_ARGS);
    assert_int_equal(mu_commit(tx), MU_OK);
    assert_int_equal(mu_rows_count(mu_tx_rows(tx, first)), 0);
    assert_true(mu_rows_count(mu_tx_rows(tx, second)) > 0);
    assert_non_null(mu_col(mu_tx_rows(tx, second), "sha256"));
    assert_null(mu_col(mu_tx_rows(tx, second), "nothing"));
    assert_string_equal(outside("select sha256 from schema_change where name = 't/one'"), "h1");
}

static void test_rolls_back_unfinished(void **state)
{
    fixture *f = need(state);
    mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };
    mu_tx *tx;
    const mu_rows *rows;

    assert_int_equal(mu_tx_begin(f->db, arena, &problem, &tx), MU_OK);
    assert_int_equal(mu_query(tx, Q_schema_done, ARGS("t/two", "0", "h2", "test"), &rows), MU_OK);
    mu_arena_free(arena);
    assert_string_equal(outside("select count(*) from schema_change where name = 't/two'"), "0");
    /* queued, never sent */
    arena = mu_arena_new(0);
    problem = (mu_problem){ .arena = arena };
    assert_int_equal(mu_tx_begin(f->db, arena, &problem, &tx), MU_OK);
    (void)mu_tx_queue(tx, Q_schema_done, ARGS("t/three", "0", "h3", "test"));
    mu_arena_free(arena);
    assert_string_equal(outside("select count(*) from schema_change where name = 't/three'"), "0");
    test_commits_in_one_go(state);
}

static void test_reports_errors_and_goes_on(void **state)
{
    fixture *f = need(state);
    mu_tx *tx;
    const mu_rows *rows;

    assert_int_equal(mu_tx_begin(f->db, f->arena, &f->problem, &tx), MU_OK);
    (void)mu_tx_queue(tx, Q_schema_done, ARGS("t/four", "0", "h4", "test"));
    (void)mu_tx_queue(tx, Q_schema_done, ARGS("t/five", "0", NULL, "test"));   /* not null */
    assert_int_equal(mu_commit(tx), MU_INVALID);
    assert_int_equal(f->problem.code, MU_INVALID);
    assert_string_equal(outside("select count(*) from schema_change where name = 't/four'"), "0");
    assert_int_equal(mu_query(tx, Q_schema_list, NO_ARGS, &rows), MU_INVALID);   /* the transaction is over */
    assert_int_equal(mu_rows_count(rows), 0);

    mu_problem problem = { .arena = f->arena };
    assert_int_equal(mu_tx_begin(f->db, f->arena, &problem, &tx), MU_OK);
    assert_int_equal(mu_query(tx, Q_schema_done, ARGS("t/six", "six", "h", "test"), &rows), MU_INVALID);
    problem = (mu_problem){ .arena = f->arena };
    assert_int_equal(mu_tx_begin(f->db, f->arena, &problem, &tx), MU_OK);
    assert_int_equal(mu_query(tx, Q_schema_exists, NO_ARGS, &rows), MU_OK);
    assert_string_equal(mu_col(rows, "exists"), "t");
    assert_int_equal(mu_commit(tx), MU_OK);
}

/* A raised error carries key, pointer and placeholders. */
static void test_raised_errors(void **state)
{
    fixture *f = need(state);
    mu_tx *tx;
    const mu_rows *rows;

    outside("create or replace function t_raise() returns trigger language plpgsql as $$ begin "
            "raise exception using errcode = 'MU409', message = 'error.test.key', detail = '/severity', hint = '{\"n\":3,\"who\":\"x\"}'; end $$;"
            "create or replace trigger t_raise before insert or update on schema_change for each row when (new.name = 't/raise') execute function t_raise()");
    assert_int_equal(mu_tx_begin(f->db, f->arena, &f->problem, &tx), MU_OK);
    assert_int_equal(mu_query(tx, Q_schema_done, ARGS("t/raise", "0", "h", "test"), &rows), MU_CONFLICT);
    assert_non_null(f->problem.first);
    assert_string_equal(f->problem.first->key, "error.test.key");
    assert_string_equal(f->problem.first->pointer, "/severity");
    assert_string_equal(f->problem.first->args[0], "n");
    assert_string_equal(f->problem.first->args[1], "3");
    assert_string_equal(f->problem.first->args[3], "x");
    assert_null(f->problem.first->args[4]);
    outside("drop trigger t_raise on schema_change; drop function t_raise()");
}

static void test_reconnects(void **state)
{
    fixture *f = need(state);
    mu_tx *tx;
    const mu_rows *rows;

    assert_int_equal(mu_tx_begin(f->db, f->arena, &f->problem, &tx), MU_OK);
    assert_int_equal(mu_query(tx, Q_schema_list, NO_ARGS, &rows), MU_OK);
    outside("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'test' and datname = current_database()");
    assert_int_equal(mu_query(tx, Q_schema_list, NO_ARGS, &rows), MU_UNAVAILABLE);
    mu_problem problem = { .arena = f->arena };
    assert_int_equal(mu_tx_begin(f->db, f->arena, &problem, &tx), MU_OK);
    assert_int_equal(mu_query(tx, Q_schema_list, NO_ARGS, &rows), MU_OK);
    assert_int_equal(mu_commit(tx), MU_OK);
    outside("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'test' and datname = current_database()");   /* while idle */
    assert_int_equal(mu_tx_begin(f->db, f->arena, &problem, &tx), MU_OK);
    assert_int_equal(mu_commit(tx), MU_OK);
}

typedef struct { int calls; } counter;

static mu_err list_twice(mu_tx *tx, void *closure)
{
    counter *c = closure;
    const mu_rows *rows;

    c->calls++;
    TRY(mu_query(tx, Q_schema_list, NO_ARGS, &rows));
    if (c->calls == 1)
        return MU_RETRY;
    return MU_OK;
}

static void test_tries_again(void **state)
{
    fixture *f = need(state);
    counter c = { 0 };

    assert_int_equal(mu_tx_run(f->db, f->arena, &f->problem, list_twice, &c), MU_OK);
    assert_int_equal(c.calls, 2);
    /* tables changed under a prepared statement */
    outside("alter table schema_change alter column sha256 type varchar(200)");
    c.calls = 1;
    assert_int_equal(mu_tx_run(f->db, f->arena, &f->problem, list_twice, &c), MU_OK);
    assert_int_equal(c.calls, mu_conf_bool(MU_CONF_DATABASE_PREPARED) ? 3 : 2);
    assert_int_equal(f->problem.code, MU_OK);
    outside("alter table schema_change alter column sha256 type text");
}

static void test_large_both_ways(void **state)
{
    fixture *f = need(state);
    mu_arena *arena = mu_arena_new(64 << 20);
    mu_problem problem = { .arena = arena };
    const size_t n = 3 << 20;
    char *text = mu_alloc(arena, n + 1);
    mu_tx *tx;

    memset(text, 'x', n);
    assert_int_equal(mu_tx_begin(f->db, arena, &problem, &tx), MU_OK);
    for (int i = 0; i < 4; i++) {
        (void)mu_tx_queue(tx, Q_schema_done, ARGS("t/large", "0", text, "test"));
        (void)mu_tx_queue(tx, Q_schema_list, NO_ARGS);
    }
    assert_int_equal(mu_tx_flush(tx), MU_OK);
    mu_arena_free(arena);
}

static void test_away(void **state)
{
    fixture *f = need(state);
    mu_db *db = mu_db_new("host=/nonexistent dbname=x", "test");
    mu_tx *tx = NULL;

    assert_int_equal(mu_tx_begin(db, f->arena, &f->problem, &tx), MU_UNAVAILABLE);
    assert_null(tx);
    assert_int_equal(mu_db_socket(db), -1);
    mu_hint(db, "x");
    mu_db_close(db);
}

typedef struct { sem_t sem; pthread_mutex_t lock; char heard[64]; int connects; } ear;

static void on_hint(void *closure, const char *payload)
{
    ear *e = closure;

    pthread_mutex_lock(&e->lock);
    if (payload == NULL)
        e->connects++;
    else if (payload[0] != '\0')
        snprintf(e->heard, sizeof e->heard, "%s", payload);
    pthread_mutex_unlock(&e->lock);
    if (payload == NULL || payload[0] != '\0')
        sem_post(&e->sem);
}

static void await(ear *e)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    assert_int_equal(sem_timedwait(&e->sem, &until), 0);
}

static void test_listens(void **state)
{
    fixture *f = need(state);
    ear e = { .lock = PTHREAD_MUTEX_INITIALIZER };

    sem_init(&e.sem, 0, 0);
    mu_hint(f->db, "nobody listens");
    mu_listener *l = mu_listen_start(url, 100, on_hint, &e);
    await(&e);
    assert_int_equal(e.connects, 1);
    mu_hint(f->db, "incident:INC-2026-0001 header 1");
    await(&e);
    assert_string_equal(e.heard, "incident:INC-2026-0001 header 1");
    outside("select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'muster listen' and datname = current_database()");
    await(&e);
    assert_int_equal(e.connects, 2);
    outside("select pg_notify('muster', 'from outside')");
    await(&e);
    assert_string_equal(e.heard, "from outside");
    mu_listen_stop(l);
    sem_destroy(&e.sem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_migrates_twice, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prepares_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refuses_newer_and_rewritten, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commits_in_one_go, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rolls_back_unfinished, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reports_errors_and_goes_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_raised_errors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reconnects, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tries_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_listens, set_up, tear_down),
    };

    url = getenv("MUSTER_TEST_URL");
    if (url == NULL)
        print_message("[ SKIPPED  ] MUSTER_TEST_URL is not set\n");
    mu_log_setup("text", MU_LOG_ERROR, "test_db");
    if (!mu_crypto_start())
        return 1;
    const int direct = cmocka_run_group_tests(tests, make_database, drop_database);
    mu_conf_set(MU_CONF_DATABASE_PREPARED, "off", "test");   /* as behind a transaction pool */
    url = getenv("MUSTER_TEST_URL");
    return cmocka_run_group_tests_name("pooled", tests, make_database, drop_database) + direct;
}
