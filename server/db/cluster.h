/* The embedded PostgreSQL: a private cluster in the data directory, reached over a Unix socket only. root is never its user. */
#ifndef MU_CLUSTER_H
#define MU_CLUSTER_H

#include "base.h"

typedef struct {
    char data[512];     /* DIR/postgres */
    char socket[100];   /* a short private directory; a socket path holds 107 bytes at most */
    char url[400];      /* libpq connection string */
    char bin[256];      /* directory of initdb, pg_ctl */
    char user[64];      /* system user it runs as */
} mu_cluster;

/* Finds the server programs and works out where everything is. MU_NOT_FOUND: no PostgreSQL; the detail names the apt line. */
mu_err mu_cluster_locate(const char *data_dir, mu_cluster *ret, mu_problem *problem);
/* initdb when there is no cluster yet (UTF8, C.UTF-8, checksums, peer on the socket), start when it does not run, create database
 * "muster" when missing. *ret_started says whether we started it. Under a lock file against a double start. */
mu_err mu_cluster_start(mu_cluster *cluster, bool *ret_started, mu_problem *problem);
mu_err mu_cluster_stop(mu_cluster *cluster, mu_problem *problem);
bool   mu_cluster_running(const mu_cluster *cluster);

#endif
