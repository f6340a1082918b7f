#include "connect.h"

#include <string.h>
#include "log.h"

/* No just-in-time compiling: our statements are short, and it costs more than they do. */
#define MU_CONNECT_SETTINGS "SET jit = off; SET statement_timeout = '15s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '30s'"

static void on_notice(void *closure, const char *message)
{
    (void)closure;
    mu_log(MU_LOG_DEBUG, "db.notice", "text=%.*s", (int)strcspn(message, "\n"), message);
}

PGconn *mu_connect(const char *url, const char *application_name)
{
    /* What stands before dbname is a default the string may change; what stands after it holds in any case. */
    const char *const keys[] = { "connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout", "fallback_application_name", "dbname", "client_encoding", NULL };
    const char *const values[] = { "5", "20", "5", "3", "10000", application_name, url, "UTF8", NULL };
    PGconn *conn = PQconnectdbParams(keys, values, 1);

    PQsetNoticeProcessor(conn, on_notice, NULL);
    if (PQstatus(conn) == CONNECTION_OK) {
        PGresult *result = PQexec(conn, "SET TimeZone = 'UTC'");
        PQclear(result);
    }
    return conn;
}

bool mu_connect_limits(PGconn *conn)
{
    PGresult *result = PQexec(conn, MU_CONNECT_SETTINGS);
    const bool good = PQresultStatus(result) == PGRES_COMMAND_OK;

    PQclear(result);
    return good;
}

const char *mu_connect_error(PGconn *conn, char *buffer, size_t n)
{
    const char *text = PQerrorMessage(conn);
    size_t length = strcspn(text, "\n");

    if (length >= n)
        length = n - 1;
    memcpy(buffer, text, length);
    buffer[length] = '\0';
    return buffer;
}
