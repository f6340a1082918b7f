/* muster migrate, muster db …: the database from the command line. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "cli.h"
#include "conf.h"
#include "migrate.h"

int mu_cmd_migrate(mu_cli *cli)
{
    const bool dry_run = mu_cli_flag(cli, "--dry-run");

    if (cli->argc > 0)
        return mu_cli_usage("migrate");
    mu_err err = mu_cli_database(cli);
    if (err == MU_OK)
        err = mu_migrate(cli->direct_url, dry_run, &cli->problem);
    return mu_cli_report(cli, err);
}

/* MU_INVALID with a text when a database.url is set: then there is no private cluster to speak of. */
static mu_err private_cluster(mu_cli *cli)
{
    TRY(mu_cli_locate(cli));
    if (!cli->embedded)
        return mu_failf(&cli->problem, MU_INVALID, "database.url is set: the database is not ours to start or stop");
    return MU_OK;
}

int mu_cmd_db_init(mu_cli *cli)
{
    mu_err err = private_cluster(cli);

    if (err == MU_OK)
        err = mu_cli_database(cli);
    if (err == MU_OK)
        err = mu_migrate(cli->direct_url, false, &cli->problem);
    return mu_cli_report(cli, err);
}

int mu_cmd_db_start(mu_cli *cli)
{
    mu_err err = private_cluster(cli);

    if (err == MU_OK)
        err = mu_cli_database(cli);
    cli->cluster_ours = false;   /* it stays when we leave */
    return mu_cli_report(cli, err);
}

int mu_cmd_db_stop(mu_cli *cli)
{
    mu_err err = private_cluster(cli);

    if (err == MU_OK)
        err = mu_cluster_stop(&cli->cluster, &cli->problem);
    return mu_cli_report(cli, err);
}

/* One "name: value" per line; exit status 0 only when all is well. */
int mu_cmd_db_status(mu_cli *cli)
{
    const mu_err located = mu_cli_locate(cli);

    if (located != MU_OK)
        return mu_cli_report(cli, located);
    if (cli->embedded)
        printf("cluster: %s\ndata: %s\nsocket: %s\nuser: %s\nprograms: %s\n", mu_cluster_running(&cli->cluster) ? "running" : "stopped",
               cli->cluster.data, cli->cluster.socket, cli->cluster.user, cli->cluster.bin);
    const mu_err err = mu_migrate_check(cli->direct_url, &cli->problem);
    printf("schema: %s\n", err == MU_OK ? "ready" : cli->problem.detail != NULL ? cli->problem.detail : mu_err_code(err));
    return err == MU_OK ? MU_CLI_OK : MU_CLI_FAILED;
}

int mu_cmd_db_shell(mu_cli *cli)
{
    mu_err err = mu_cli_locate(cli);

    if (err == MU_OK && cli->embedded) {
        bool ours = false;
        err = mu_cluster_start(&cli->cluster, &ours, &cli->problem);   /* psql takes our place: nobody stops it afterwards */
    }
    if (err != MU_OK)
        return mu_cli_report(cli, err);
    char **argv = mu_alloc(cli->arena, ((size_t)cli->argc + 3) * sizeof *argv);
    argv[0] = mu_strdup(cli->arena, "psql");
    argv[1] = mu_strdup(cli->arena, cli->direct_url);
    for (int i = 0; i < cli->argc; i++)
        argv[i + 2] = cli->argv[i];
    if (cli->embedded)   /* the one beside the server, if it is there */
        (void)execv(mu_printf(cli->arena, "%s/psql", cli->cluster.bin), argv);
    (void)execvp("psql", argv);
    return mu_cli_report(cli, mu_failf(&cli->problem, MU_NOT_FOUND, "psql: %s", strerror(errno)));
}
