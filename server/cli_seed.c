/* muster seed: the starter playbooks and report profiles, compiled in, into the database. What a house has changed stays:
 * a playbook it already has only gains a draft when ours differs. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "assets.h"
#include "cli.h"
#include "json.h"
#include "migrate.h"
#include "mu_yaml.h"
#include "playbook.h"
#include "profile.h"
#include "run.h"
#include "str.h"

typedef struct { int playbooks, profiles, plans; } counts;

static bool is_playbook(const char *path)
{
    const size_t n = strlen(path);

    return (mu_starts(path, "playbooks/incident/") || mu_starts(path, "playbooks/drill/") || mu_starts(path, "playbooks/blocks/"))
        && n > 5 && mu_same(path + n - 5, ".yaml");
}

static mu_err store_playbook(mu_tx *tx, const mu_asset *asset, counts *c)
{
    mu_arena *arena = mu_tx_arena(tx);
    const mu_rows *rows;
    mu_findings findings;
    mu_playbook *playbook = NULL;
    json_t *doc = NULL;

    mu_findings_start(&findings, arena);
    if (mu_playbook_read(arena, asset->raw, asset->raw_n, &findings, &doc, &playbook) != MU_OK || playbook == NULL)
        return mu_failf(mu_tx_problem(tx), MU_INTERNAL, "%s does not pass its own check: muster playbook check %s", asset->path, asset->path);
    const char *slug = mu_playbook_id(playbook), *hash = mu_playbook_hash(arena, doc);
    TRY(mu_one(tx, Q_playbook_known, ARGS(slug), &rows));
    const char *state = mu_same(mu_col(rows, "known"), "t") ? "draft" : "published";
    TRY(mu_one(tx, Q_playbook_store, ARGS(slug, mu_json_text(arena, doc), hash, "muster-yaml", asset->raw, mu_json_text(arena, mu_findings_json(&findings)), state), &rows));
    c->playbooks += mu_same(mu_col(rows, "made"), "t");
    return MU_OK;
}

static mu_err store_profile(mu_tx *tx, const mu_asset *asset, counts *c)
{
    mu_arena *arena = mu_tx_arena(tx);
    const mu_rows *rows;
    json_t *profile = NULL;

    TRY(mu_json_parse(arena, asset->raw, asset->raw_n, mu_tx_problem(tx), &profile));
    if (mu_profile_check(arena, profile, mu_tx_problem(tx)) != MU_OK)
        return mu_failf(mu_tx_problem(tx), MU_INTERNAL, "%s does not pass its own check", asset->path);
    TRY(mu_one(tx, Q_profile_store, ARGS(asset->raw), &rows));
    c->profiles++;
    return MU_OK;
}

static mu_err store_plan(mu_tx *tx, const mu_asset *asset, counts *c)
{
    mu_arena *arena = mu_tx_arena(tx);
    const mu_rows *rows;
    json_t *template = NULL;

    if (mu_yaml_parse(arena, asset->raw, asset->raw_n, mu_tx_problem(tx), &template, NULL) != MU_OK)
        return mu_failf(mu_tx_problem(tx), MU_INTERNAL, "%s is not the YAML it should be", asset->path);
    TRY(mu_one(tx, Q_plan_template_store, ARGS(mu_json_text(arena, template)), &rows));
    c->plans++;
    return MU_OK;
}

static mu_err store_all(mu_tx *tx, void *closure)
{
    counts *c = closure;

    *c = (counts){ 0 };
    for (const mu_asset *asset = mu_assets; asset->path != NULL; asset++) {
        if (is_playbook(asset->path))
            TRY(store_playbook(tx, asset, c));
        else if (mu_starts(asset->path, "playbooks/regulators/") && strstr(asset->path, ".json") != NULL)
            TRY(store_profile(tx, asset, c));
        else if (mu_starts(asset->path, "playbooks/plans/") && strstr(asset->path, ".yaml") != NULL)
            TRY(store_plan(tx, asset, c));
    }
    return MU_OK;
}

/* The running drill of the sample data gets its playbook here, for the engine is not SQL. */
static mu_err start_sample_runs(mu_tx *tx, void *closure)
{
    const mu_rows *open, *rows;
    int *started = closure;

    *started = 0;
    TRY(mu_query(tx, Q_demo_open, NO_ARGS, &open));
    for (int i = 0; i < mu_rows_count(open); i++) {
        const char *incident = mu_cell(open, i, 0);
        json_t *data = NULL;
        TRY(mu_one(tx, Q_demo_act, ARGS(incident), &rows));
        TRY(mu_one(tx, Q_demo_run, ARGS(incident, mu_cell(open, i, 1)), &rows));
        const char *run = mu_col(rows, "run");
        TRY(mu_one(tx, Q_demo_run_data, ARGS(run), &rows));
        TRY(mu_json_parse(mu_tx_arena(tx), mu_col(rows, "data"), strlen(mu_col(rows, "data")), mu_tx_problem(tx), &data));
        TRY(mu_run_start(tx, run, data, NULL, NULL, NULL));
        (*started)++;
    }
    return MU_OK;
}

int mu_cmd_seed(mu_cli *cli)
{
    const bool demo = mu_cli_flag(cli, "--demo");
    counts c = { 0 };
    int scripts = 0, runs = 0;

    if (cli->argc > 0)
        return mu_cli_usage("seed");
    mu_err err = mu_cli_database(cli);
    if (err != MU_OK)
        return mu_cli_report(cli, err);
    mu_db *db = mu_db_new(cli->direct_url, "muster");
    err = mu_tx_run(db, cli->arena, &cli->problem, store_all, &c);
    if (err == MU_OK && demo)
        err = mu_demo_load(cli->direct_url, &scripts, &cli->problem);
    if (err == MU_OK && scripts > 0)
        err = mu_tx_run(db, cli->arena, &cli->problem, start_sample_runs, &runs);
    mu_run_cache_clear();
    mu_db_close(db);
    if (err == MU_OK)
        printf("playbooks: %d\nprofiles: %d\nplan templates: %d\nsample scripts: %d\nsample runs: %d\n", c.playbooks, c.profiles, c.plans, scripts, runs);
    return mu_cli_report(cli, err);
}
