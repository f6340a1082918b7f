/* Inside db/ only: how every connection of ours is opened, and the hints waiting to be sent. */
#ifndef MU_CONNECT_H
#define MU_CONNECT_H

#include <libpq-fe.h>
#include "base.h"

/* One query's result; cleared by a defer of the transaction's arena. */
struct mu_rows { PGresult *result; };

/* Opens a connection (blocking). Time-outs and keep-alives are defaults that the string may override. Never NULL; the caller
 * looks at PQstatus() and calls PQfinish(). */
PGconn *mu_connect(const char *url, const char *application_name);
/* The time-outs of a session that answers people; false when they could not be set. Not for migrations or LISTEN. */
bool mu_connect_limits(PGconn *conn);
/* The first line of the connection's last error; owner: the connection. */
const char *mu_connect_error(PGconn *conn, char *buffer, size_t n);

/* Hints of this process (listen.c). mu_hint_keep() keeps one for the listener's thread; false when no listener runs. */
bool mu_hint_keep(const char *payload);

#endif
