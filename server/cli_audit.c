/* muster audit …, status export: proofs and copies for people who must not depend on the running system. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "buf.h"
#include "chain.h"
#include "cli.h"
#include "http.h"
#include "json.h"
#include "run.h"
#include "str.h"
#include "words.h"

#define FILE_MOST (256u << 20)

mu_err mu_cli_read(mu_cli *cli, const char *path, char **ret, size_t *ret_n)
{
    const bool standard = mu_same(path, "-");
    FILE *in = standard ? stdin : fopen(path, "re");
    MU_CLEAN(mu_buf_free) mu_buf buf = MU_BUF(FILE_MOST);
    char block[65536];
    size_t n;

    if (in == NULL)
        return mu_failf(&cli->problem, MU_NOT_FOUND, "%s: %s", path, strerror(errno));
    while ((n = fread(block, 1, sizeof block, in)) > 0)
        if (!mu_buf_add(&buf, block, n))
            break;
    const bool bad = ferror(in) != 0;
    if (!standard)
        fclose(in);
    if (bad || buf.over)
        return mu_failf(&cli->problem, MU_TOO_LARGE, "%s: %s", path, bad ? strerror(errno) : "too large");
    *ret_n = buf.n;
    *ret = mu_buf_take(&buf);
    if (*ret == NULL)
        *ret = calloc(1, 1);
    mu_defer(cli->arena, free, *ret);
    return MU_OK;
}

int mu_cmd_audit_verify(mu_cli *cli)
{
    mu_chain_report report;
    char *text;
    size_t n;

    if (cli->argc != 1)
        return mu_cli_usage("audit verify");
    mu_err err = mu_cli_read(cli, cli->argv[0], &text, &n);
    if (err == MU_OK)
        err = mu_chain_verify(cli->arena, text, n, &cli->problem, &report);
    if (err != MU_OK)
        return mu_cli_report(cli, err);
    if (report.good) {
        printf("%s: good, %lld events, last hash %s\n", report.ref != NULL ? report.ref : "audit log", (long long)report.events, report.last_hash);
        return MU_CLI_OK;
    }
    printf("%s: BROKEN", report.ref != NULL ? report.ref : "audit log");
    if (report.bad_seq > 0)
        printf(" at event %lld", (long long)report.bad_seq);
    printf(": %s\n", mu_word("en", report.what) != NULL ? mu_word("en", report.what) : report.what);
    return MU_CLI_FAILED;
}

typedef struct { const char *ref; int runs, broken; } replay;

static mu_err replay_runs(mu_tx *tx, void *closure)
{
    replay *r = closure;
    const mu_rows *runs;

    r->runs = r->broken = 0;
    TRY(mu_query(tx, Q_runs_of, ARGS(r->ref), &runs));
    for (int i = 0; i < mu_rows_count(runs); i++) {
        json_t *result = NULL;
        TRY(mu_run_replay(tx, mu_cell(runs, i, 0), &result));
        const bool equal = mu_json_bool(result, "equal", false);
        printf("%s: %s, %lld events\n", mu_cell(runs, i, 0), equal ? "good" : "BROKEN", (long long)mu_json_int(result, "events", 0));
        if (!equal)
            printf("%s\n", mu_json_text(mu_tx_arena(tx), mu_json_at(result, "differences")));
        r->runs++;
        r->broken += equal ? 0 : 1;
    }
    if (r->runs == 0)
        return mu_failf(mu_tx_problem(tx), MU_NOT_FOUND, "%s: no run", r->ref);
    return MU_OK;
}

int mu_cmd_audit_verify_run(mu_cli *cli)
{
    replay r = { 0 };

    if (cli->argc != 1)
        return mu_cli_usage("audit verify-run");
    r.ref = cli->argv[0];
    mu_err err = mu_cli_database(cli);
    if (err != MU_OK)
        return mu_cli_report(cli, err);
    mu_db *db = mu_db_new(cli->direct_url, "muster");
    err = mu_tx_run(db, cli->arena, &cli->problem, replay_runs, &r);
    mu_db_close(db);
    if (err != MU_OK)
        return mu_cli_report(cli, err);
    return r.broken == 0 ? MU_CLI_OK : MU_CLI_FAILED;
}

int mu_cmd_status_export(mu_cli *cli)
{
    if (cli->argc != 1)
        return mu_cli_usage("status export");
    mu_err err = mu_cli_data(cli);
    if (err == MU_OK)
        err = mu_cli_database(cli);
    if (err == MU_OK)
        err = mu_status_export(cli->direct_url, cli->argv[0], &cli->problem);
    return mu_cli_report(cli, err);
}
