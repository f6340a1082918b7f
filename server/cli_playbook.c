/* muster playbook import and export: files in any format into drafts, versions out of the database as files. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cacao.h"
#include "cli.h"
#include "clock.h"
#include "crypto.h"
#include "json.h"
#include "playbook.h"
#include "str.h"

static const char *argument(const void *closure, const char *name)
{
    return mu_json_str(closure, name);
}

static void print_findings(const char *file, const json_t *list)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one) {
        printf("%s:%lld:%lld: %s %s: ", file, (long long)mu_json_int(one, "line", 0), (long long)mu_json_int(one, "column", 0), mu_json_str(one, "level"), mu_json_str(one, "id"));
        mu_cli_words(stdout, mu_json_str(one, "message"), argument, mu_json_at(one, "args"));
        putchar('\n');
    }
}

typedef struct {
    const char *file, *text;
    const mu_import *in;
    const char *slug, *version, *made;
} draft;

static mu_err store_draft(mu_tx *tx, void *closure)
{
    draft *d = closure;
    mu_arena *arena = mu_tx_arena(tx);
    const char *hash = mu_playbook_hash(arena, d->in->document), *source = d->in->secrets > 0 ? mu_seal(arena, d->text) : d->text;
    const mu_rows *rows;

    if (hash == NULL || source == NULL)
        return mu_fail(mu_tx_problem(tx), MU_INVALID, "", "error.playbook.unreadable", NULL);
    TRY(mu_one(tx, Q_playbook_store, ARGS(d->slug, mu_json_text(arena, d->in->document), hash, d->in->source_format, source, mu_json_text(arena, d->in->findings), "draft"), &rows));
    d->version = mu_strdup(arena, mu_col(rows, "version"));
    d->made = mu_strdup(arena, mu_col(rows, "made"));
    return MU_OK;
}

/* One file is one transaction: a bad file does not keep the good ones out. */
static bool import_file(mu_cli *cli, mu_db *db, const char *file, const mu_import_options *options)
{
    mu_import in;
    char *text;
    size_t n;
    mu_err err = mu_cli_read(cli, file, &text, &n);

    if (err != MU_OK) {
        mu_cli_report(cli, err);
        return false;
    }
    (void)mu_playbook_import(cli->arena, text, n, options, &in);
    print_findings(file, in.findings);
    const char *slug = mu_json_str(in.document, "id");
    if (in.document == NULL || slug == NULL || !mu_is_slug(slug)) {
        printf("%s: %s\n", file, mu_err_code(MU_INVALID));
        return false;
    }
    draft d = { .file = file, .text = text, .in = &in, .slug = slug };
    cli->problem = (mu_problem){ .arena = cli->arena };
    if ((err = mu_tx_run(db, cli->arena, &cli->problem, store_draft, &d)) != MU_OK) {
        mu_cli_report(cli, err);
        return false;
    }
    printf("%s: %s@%s%s\n", file, slug, d.version, mu_same(d.made, "t") ? "" : " =");
    return true;
}

int mu_cmd_playbook_import(mu_cli *cli)
{
    const mu_import_options options = { .strict = mu_cli_flag(cli, "--strict"), .completion_on_failure = mu_cli_flag(cli, "--completion-on-failure"),
                                        .now = mu_time_format(cli->arena, mu_wall_now()) };
    bool good = true;
    mu_err err;

    if (cli->argc == 0)
        return mu_cli_usage("playbook import");
    if ((err = mu_cli_database(cli)) != MU_OK)
        return mu_cli_report(cli, err);
    if ((err = mu_cli_data(cli)) == MU_OK && !mu_seal_key_load(mu_printf(cli->arena, "%s/key", cli->data_dir)))
        err = mu_failf(&cli->problem, MU_INVALID, "%s/key cannot be read or made", cli->data_dir);
    if (err != MU_OK)
        return mu_cli_report(cli, err);
    mu_db *db = mu_db_new(cli->direct_url, "muster");
    for (int i = 0; i < cli->argc; i++)
        good = import_file(cli, db, cli->argv[i], &options) && good;
    mu_db_close(db);
    return good ? MU_CLI_OK : MU_CLI_FAILED;
}

typedef struct { char *slug; const char *version, *document, *format, *source, *number, *created, *modified; } stored;

static mu_err load_version(mu_tx *tx, void *closure)
{
    stored *s = closure;
    mu_arena *arena = mu_tx_arena(tx);
    const mu_rows *rows;

    TRY(mu_one(tx, Q_playbook_source, ARGS(s->slug, s->version), &rows));
    s->document = mu_strdup(arena, mu_col(rows, "document"));
    s->format = mu_strdup(arena, mu_col(rows, "format"));
    s->source = mu_col(rows, "source") != NULL ? mu_strdup(arena, mu_col(rows, "source")) : NULL;
    s->number = mu_strdup(arena, mu_col(rows, "version"));
    s->created = mu_strdup(arena, mu_col(rows, "created"));
    s->modified = mu_strdup(arena, mu_col(rows, "modified"));
    return MU_OK;
}

static mu_err write_version(mu_cli *cli, const stored *s, const char *format, mu_audience audience)
{
    const mu_version version = { s->document, s->format, s->source, (unsigned)strtoul(s->number, NULL, 10), s->created, s->modified };
    const char *text;

    if (s->source != NULL && mu_starts(s->source, "s1:")) {
        TRY(mu_cli_data(cli));
        (void)mu_seal_key_load(mu_printf(cli->arena, "%s/key", cli->data_dir));
    }
    TRY(mu_version_text(cli->arena, &version, format, audience, &cli->problem, &text));
    fputs(text, stdout);
    return MU_OK;
}

int mu_cmd_playbook_export(mu_cli *cli)
{
    const char *format = mu_cli_option(cli, "--format"), *readers = mu_cli_option(cli, "--audience");
    mu_audience audience = MU_AUDIENCE_ORGANISATION;
    stored s = { .slug = NULL };
    int64_t version;
    char *at;
    mu_err err;

    format = format != NULL ? format : "yaml";
    if (cli->argc != 1 || (!mu_same(format, "yaml") && !mu_same(format, "json") && !mu_same(format, "cacao")) || (readers != NULL && !mu_audience_find(readers, &audience)))
        return mu_cli_usage("playbook export");
    s.slug = mu_strdup(cli->arena, cli->argv[0]);
    if ((at = strchr(s.slug, '@')) != NULL) {
        s.version = at + 1;
        *at = '\0';
    }
    if (!mu_is_slug(s.slug) || (s.version != NULL && !mu_parse_int(s.version, 1, INT32_MAX, &version)))
        return mu_cli_usage("playbook export");
    if ((err = mu_cli_database(cli)) != MU_OK)
        return mu_cli_report(cli, err);
    mu_db *db = mu_db_new(cli->direct_url, "muster");
    err = mu_tx_run(db, cli->arena, &cli->problem, load_version, &s);
    mu_db_close(db);
    if (err == MU_OK)
        err = write_version(cli, &s, format, audience);
    return mu_cli_report(cli, err);
}
