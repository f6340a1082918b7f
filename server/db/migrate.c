#include "migrate.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>
#include "connect.h"
#include "db.h"
#include "log.h"
#include "migrations.h"
#include "version.h"

#define LOCK_TRIES 12   /* a migration waits 5 s for a table lock, this many times */

/* The work of one mu_migrate(). */
typedef struct {
    PGconn *conn;
    PGresult *applied;      /* name, number, sha256; NULL when the database is empty */
    mu_problem *problem;
    bool dry_run;
} work;

static void finish(work *w)
{
    PQclear(w->applied);
    PQfinish(w->conn);
}

static PGresult *ask(work *w, enum mu_query_id query, const char *const *params)
{
    return PQexecParams(w->conn, mu_query_info[query].sql, mu_query_info[query].nparams, NULL, params, NULL, NULL, 0);
}

static mu_err failed(work *w, const PGresult *result, const char *doing)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    return mu_failf(w->problem, state == NULL ? MU_UNAVAILABLE : MU_INTERNAL, "%s: %s", doing, PQresultErrorMessage(result));
}

/* "file:line: message" for an error inside a script; the server counts characters from its beginning. */
static mu_err script_failed(work *w, const mu_script *script, const PGresult *result)
{
    const char *position = PQresultErrorField(result, PG_DIAG_STATEMENT_POSITION), *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    const char *context = PQresultErrorField(result, PG_DIAG_CONTEXT);
    long at = 0, line = 1;

    if (position != NULL)
        for (const char *p = position; *p >= '0' && *p <= '9'; p++)
            at = at * 10 + (*p - '0');
    for (const char *p = script->sql; *p != '\0' && at > 1; p++) {
        if (((unsigned char)*p & 0xC0) != 0x80)
            at--;
        if (*p == '\n')
            line++;
    }
    return mu_failf(w->problem, MU_INTERNAL, "sql/%s:%ld: %s%s%s", script->name, position != NULL ? line : 0, text != NULL ? text : PQresultErrorMessage(result),
                    context != NULL ? " in " : "", context != NULL ? context : "");
}

/* The recorded hash of a script, NULL when it was never applied. */
static const char *recorded(const work *w, const char *name)
{
    const int n = w->applied != NULL ? PQntuples(w->applied) : 0;

    for (int i = 0; i < n; i++)
        if (strcmp(PQgetvalue(w->applied, i, 0), name) == 0)
            return PQgetvalue(w->applied, i, 2);
    return NULL;
}

static const mu_script *known(const mu_script *table, const char *name)
{
    for (const mu_script *script = table; script->name != NULL; script++)
        if (strcmp(script->name, name) == 0)
            return script;
    return NULL;
}

/* Refuses a database this program does not know. */
static mu_err compare(work *w)
{
    const int n = w->applied != NULL ? PQntuples(w->applied) : 0;

    for (int i = 0; i < n; i++) {
        const char *name = PQgetvalue(w->applied, i, 0);
        if (strcmp(PQgetvalue(w->applied, i, 1), "0") == 0)
            continue;
        const mu_script *ours = known(mu_migrations, name);
        if (ours == NULL)
            return mu_failf(w->problem, MU_CONFLICT, "the database is newer than this program: it has %s, which %s does not know", name, mu_version);
        if (strcmp(ours->sha256, PQgetvalue(w->applied, i, 2)) != 0)
            return mu_failf(w->problem, MU_CONFLICT, "%s was changed after it had been applied", name);
    }
    return MU_OK;
}

static mu_err open_database(work *w, const char *url)
{
    char text[256];

    w->conn = mu_connect(url, "muster migrate");
    if (PQstatus(w->conn) != CONNECTION_OK)
        return mu_failf(w->problem, MU_UNAVAILABLE, "%s", mu_connect_error(w->conn, text, sizeof text));
    return MU_OK;
}

static mu_err load_applied(work *w)
{
    PGresult *result = ask(w, Q_schema_exists, NULL);
    mu_err err = MU_OK;

    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        err = failed(w, result, "reading the schema");
    const bool exists = err == MU_OK && PQgetvalue(result, 0, 0)[0] == 't';
    if (err == MU_OK && !exists && PQgetvalue(result, 0, 1)[0] == 't')
        err = mu_failf(w->problem, MU_CONFLICT, "this database has tables that are not ours; give Muster a database of its own");
    PQclear(result);
    if (err != MU_OK || !exists)
        return err;
    w->applied = ask(w, Q_schema_list, NULL);
    if (PQresultStatus(w->applied) != PGRES_TUPLES_OK)
        return failed(w, w->applied, "reading the schema");
    return compare(w);
}

static mu_err plain(work *w, const char *sql)
{
    PGresult *result = PQexec(w->conn, sql);
    mu_err err = PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK ? MU_OK : failed(w, result, sql);

    PQclear(result);
    return err;
}

static mu_err note_done(work *w, const mu_script *script)
{
    char number[16];

    snprintf(number, sizeof number, "%d", script->number);
    PGresult *result = ask(w, Q_schema_done, ARGS(script->name, number, script->sha256, mu_version));
    const mu_err err = PQresultStatus(result) == PGRES_COMMAND_OK ? MU_OK : failed(w, result, script->name);
    PQclear(result);
    return err;
}

/* Runs a script; *locked tells that a table lock could not be had in time, which is worth another try. */
static mu_err run_script(work *w, const mu_script *script, bool *locked)
{
    *locked = false;
    TRY(plain(w, script->transaction ? "BEGIN; SET LOCAL lock_timeout = '5s'; SET LOCAL check_function_bodies = off" : "SET lock_timeout = '5s'"));
    PGresult *result = PQexec(w->conn, script->sql);
    const ExecStatusType status = PQresultStatus(result);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    mu_err err = MU_OK;

    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK && status != PGRES_EMPTY_QUERY) {
        *locked = state != NULL && strcmp(state, "55P03") == 0;
        err = *locked ? MU_RETRY : script_failed(w, script, result);
    }
    PQclear(result);
    if (err == MU_OK && (script->number > 0 || script->name[0] != 'm'))
        err = note_done(w, script);
    if (!script->transaction)
        return err;
    if (err == MU_OK)
        return plain(w, "COMMIT");
    result = PQexec(w->conn, "ROLLBACK");
    PQclear(result);
    return err;
}

static mu_err apply(work *w, const mu_script *script)
{
    bool locked = true;
    mu_err err = MU_OK;

    if (w->dry_run) {
        printf("would apply sql/%s\n", script->name);
        return MU_OK;
    }
    for (int i = 0; i < LOCK_TRIES && locked; i++)
        err = run_script(w, script, &locked);
    if (locked)
        return mu_failf(w->problem, MU_TIMEOUT, "sql/%s: a table it changes stays locked by somebody else", script->name);
    if (err == MU_OK && script->number > 0)
        mu_log(MU_LOG_INFO, "migrate.applied", "script=%s", script->name);
    return err;
}

static mu_err migrate(work *w, const char *url)
{
    TRY(open_database(w, url));
    if (!w->dry_run) {
        TRY(plain(w, mu_query_info[Q_schema_lock].sql));
        TRY(load_applied(w));
        for (const mu_script *script = mu_migrations; script->name != NULL; script++)
            if (script->number == 0)
                TRY(apply(w, script));
    } else {
        TRY(load_applied(w));
    }
    for (const mu_script *script = mu_migrations; script->name != NULL; script++)
        if (script->number > 0 && recorded(w, script->name) == NULL)
            TRY(apply(w, script));
    for (const mu_script *script = mu_functions; script->name != NULL; script++) {
        const char *hash = recorded(w, script->name);
        if (hash == NULL || strcmp(hash, script->sha256) != 0)
            TRY(apply(w, script));
    }
    return MU_OK;
}

mu_err mu_migrate(const char *url, bool dry_run, mu_problem *problem)
{
    work w = { .problem = problem, .dry_run = dry_run };
    const mu_err err = migrate(&w, url);

    finish(&w);   /* also gives the lock back */
    return err;
}

static mu_err check(work *w, const char *url)
{
    TRY(open_database(w, url));
    TRY(load_applied(w));
    for (const mu_script *script = mu_migrations; script->name != NULL; script++)
        if (script->number > 0 && recorded(w, script->name) == NULL)
            return mu_failf(w->problem, MU_CONFLICT, "the database is older than this program: %s is not applied; run muster migrate", script->name);
    for (const mu_script *script = mu_functions; script->name != NULL; script++) {
        const char *hash = recorded(w, script->name);
        if (hash == NULL || strcmp(hash, script->sha256) != 0)
            return mu_failf(w->problem, MU_CONFLICT, "%s differs from this program's; run muster migrate", script->name);
    }
    return MU_OK;
}

mu_err mu_migrate_check(const char *url, mu_problem *problem)
{
    work w = { .problem = problem };
    const mu_err err = check(&w, url);

    finish(&w);
    return err;
}

static mu_err load_demo(work *w, const char *url, int *ret)
{
    TRY(open_database(w, url));
    TRY(plain(w, mu_query_info[Q_schema_lock].sql));
    TRY(load_applied(w));
    for (const mu_script *script = mu_demo; script->name != NULL; script++) {
        if (recorded(w, script->name) != NULL)
            continue;
        TRY(apply(w, script));
        (*ret)++;
    }
    return MU_OK;
}

mu_err mu_demo_load(const char *url, int *ret, mu_problem *problem)
{
    work w = { .problem = problem };

    *ret = 0;
    const mu_err err = load_demo(&w, url, ret);
    finish(&w);
    return err;
}
