/* muster playbook pull DIR, push DIR: one file per playbook, for keeping them in git. Pulling and pushing again changes nothing. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"
#include "json.h"
#include "migrate.h"
#include "playbook.h"
#include "playbook_around.h"
#include "run.h"
#include "str.h"

#define FILES_MOST 2000

typedef struct { const char *slug, *version, *state, *text; bool json; } stored;
typedef struct { mu_cli *cli; const char *file, *login; char *text; size_t n; int status; } pushed;
typedef struct { mu_cli *cli; stored *list; int count; bool published; } pulled;

static mu_err read_stored(mu_tx *tx, void *closure)
{
    pulled *p = closure;
    mu_arena *arena = p->cli->arena;
    const mu_rows *rows;

    TRY(mu_query(tx, Q_playbook_files, ARGS(p->published ? "true" : "false"), &rows));
    p->count = mu_rows_count(rows);
    p->list = mu_alloc(arena, sizeof *p->list * (size_t)(p->count + 1));
    for (int i = 0; i < p->count; i++) {
        const char *format = mu_cell(rows, i, mu_rows_column(rows, "format")), *text = mu_cell(rows, i, mu_rows_column(rows, "source")), *body;
        json_t *document = NULL;
        p->list[i] = (stored){ mu_strdup(arena, mu_cell(rows, i, 0)), mu_strdup(arena, mu_cell(rows, i, 1)), mu_strdup(arena, mu_cell(rows, i, 2)), NULL, mu_same(format, "muster-json") };
        if (text == NULL || mu_same(format, "cacao-2.0")) {
            /* A file of another format became a playbook: that is what is kept in git. */
            body = mu_cell(rows, i, mu_rows_column(rows, "document"));
            TRY(mu_json_parse(mu_tx_arena(tx), body, strlen(body), mu_tx_problem(tx), &document));
            text = mu_playbook_yaml(mu_tx_arena(tx), document);
        }
        p->list[i].text = mu_strdup(arena, text != NULL ? text : "");
    }
    return MU_OK;
}

/* Texts end with one line end, so that git shows no difference that means nothing. */
static mu_err write_text(mu_cli *cli, const char *path, const char *text)
{
    const size_t n = strlen(text);
    const char *temporary = mu_printf(cli->arena, "%s.new", path);
    FILE *file = fopen(temporary, "we");
    bool good = file != NULL && fwrite(text, 1, n, file) == n && (n == 0 || text[n - 1] == '\n' || fputc('\n', file) == '\n');

    if (file != NULL)
        good = fclose(file) == 0 && good;
    good = good && rename(temporary, path) == 0;
    return good ? MU_OK : mu_failf(&cli->problem, MU_INTERNAL, "%s: %s", path, strerror(errno));
}

int mu_cmd_playbook_pull(mu_cli *cli)
{
    pulled p = { .cli = cli, .published = mu_cli_flag(cli, "--published") };
    mu_err err;

    if (cli->argc != 1)
        return mu_cli_usage("playbook pull");
    if (mkdir(cli->argv[0], 0777) != 0 && errno != EEXIST)
        return mu_cli_report(cli, mu_failf(&cli->problem, MU_INVALID, "%s: %s", cli->argv[0], strerror(errno)));
    if ((err = mu_cli_database(cli)) != MU_OK)
        return mu_cli_report(cli, err);
    mu_db *db = mu_db_new(cli->direct_url, "muster");
    err = mu_tx_run(db, cli->arena, &cli->problem, read_stored, &p);
    mu_db_close(db);
    for (int i = 0; err == MU_OK && i < p.count; i++) {
        const char *path = mu_printf(cli->arena, "%s/%s.%s", cli->argv[0], p.list[i].slug, p.list[i].json ? "json" : "yaml");
        err = write_text(cli, path, p.list[i].text);
        if (err == MU_OK)
            printf("%s %s %s\n", path, p.list[i].version, p.list[i].state);
    }
    return mu_cli_report(cli, err);
}

static const char *member(const void *closure, const char *name)
{
    return mu_json_str(closure, name);
}

static void say_findings(const char *file, const json_t *list)
{
    const json_t *finding;
    size_t i;

    json_array_foreach(list, i, finding) {
        printf("%s:%lld:%lld: %s %s: ", file, (long long)mu_json_int(finding, "line", 0), (long long)mu_json_int(finding, "column", 0),
               mu_json_str(finding, "level"), mu_json_str(finding, "id"));
        mu_cli_words(stdout, mu_json_str(finding, "message"), member, mu_json_at(finding, "args"));
        putchar('\n');
    }
}

/* The same content as the newest version: nothing is made of it. What is new becomes a draft, errors and all, unless it has no name. */
static mu_err push_one(mu_tx *tx, void *closure)
{
    pushed *p = closure;
    mu_arena *arena = mu_tx_arena(tx);
    mu_findings findings;
    mu_playbook *playbook;
    const mu_rows *rows;
    json_t *doc;

    p->status = MU_CLI_OK;
    TRY(mu_one(tx, Q_playbook_act_as, ARGS(p->login), &rows));
    TRY(mu_playbook_look(tx, NULL, false, p->text, p->n, &findings, &doc, &playbook));
    const char *slug = mu_json_str(doc, "id"), *sha = doc != NULL ? mu_playbook_hash(arena, doc) : NULL;
    const json_t *list = mu_findings_json(&findings);
    if (slug == NULL || !mu_is_slug(slug) || sha == NULL) {
        say_findings(p->file, list);
        printf("%s: ", p->file);
        mu_cli_words(stdout, "error.playbook.unreadable", member, NULL);
        putchar('\n');
        p->status = MU_CLI_FAILED;
        return MU_OK;
    }
    TRY(mu_one(tx, Q_playbook_newest, ARGS(slug), &rows));
    if (mu_same(mu_col(rows, "sha256"), sha) && !mu_same(mu_col(rows, "state"), "retired")) {
        printf("%s: %s %s unchanged\n", p->file, slug, mu_col(rows, "version"));
        return MU_OK;
    }
    TRY(mu_one(tx, Q_playbook_store, ARGS(slug, mu_json_text(arena, doc), sha, p->text[strspn(p->text, " \t\r\n")] == '{' ? "muster-json" : "muster-yaml", p->text,
                                          mu_json_text(arena, list), "draft"), &rows));
    say_findings(p->file, list);
    printf("%s: %s %s draft\n", p->file, slug, mu_col(rows, "version"));
    p->status = findings.errors > 0 ? MU_CLI_FAILED : MU_CLI_OK;
    return MU_OK;
}

static int is_playbook_file(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');

    return entry->d_name[0] != '.' && dot != NULL && (mu_same(dot, ".yaml") || mu_same(dot, ".yml") || mu_same(dot, ".json"));
}

static const char *take_login(mu_cli *cli)
{
    for (int i = 0; i + 1 < cli->argc; i++)
        if (mu_same(cli->argv[i], "--as")) {
            const char *login = cli->argv[i + 1];
            memmove(&cli->argv[i], &cli->argv[i + 2], (size_t)(cli->argc - i - 2) * sizeof *cli->argv);
            cli->argc -= 2;
            return login;
        }
    return NULL;
}

int mu_cmd_playbook_push(mu_cli *cli)
{
    const char *login = take_login(cli);
    struct dirent **entries = NULL;
    int status = MU_CLI_OK, n;
    mu_err err;

    if (cli->argc != 1 || login == NULL)
        return mu_cli_usage("playbook push");
    if ((n = scandir(cli->argv[0], &entries, is_playbook_file, alphasort)) < 0)
        return mu_cli_report(cli, mu_failf(&cli->problem, MU_INVALID, "%s: %s", cli->argv[0], strerror(errno)));
    err = n > FILES_MOST ? mu_failf(&cli->problem, MU_TOO_LARGE, "more than %d files", FILES_MOST) : mu_cli_database(cli);
    mu_db *db = err == MU_OK ? mu_db_new(cli->direct_url, "muster") : NULL;
    for (int i = 0; i < n; i++) {
        MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new((size_t)256 << 20);
        pushed p = { .cli = cli, .file = mu_printf(arena, "%s/%s", cli->argv[0], entries[i]->d_name), .login = login };
        if (err == MU_OK)
            err = mu_cli_read(cli, p.file, &p.text, &p.n);
        if (err == MU_OK)
            err = mu_tx_run(db, arena, &cli->problem, push_one, &p);
        if (p.status != MU_CLI_OK)
            status = p.status;
        free(entries[i]);
    }
    free(entries);
    if (db != NULL)
        mu_db_close(db);
    return err != MU_OK ? mu_cli_report(cli, err) : status;
}
