/* muster playbook check FILE|DIRECTORY…: what the checker finds, for people or as JSON. Files given together know of each other: calls
 * between them are followed, and report profiles among them are the profiles there are. Nothing here changes anything. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cacao.h"
#include "cli.h"
#include "json.h"
#include "playbook.h"
#include "queries.h"
#include "str.h"
#include "words.h"

#define FILES_MOST   2000
#define FOLDERS_DEEP 8
#define FILE_MEMORY  ((size_t)512 << 20)

typedef struct { const char *name; char *text; size_t n; bool is_other, is_cacao; const char *slug; } input;

typedef struct {
    mu_cli  *cli;
    input    files[FILES_MOST];
    int      count;
    json_t  *around;                    /* from --around and the files; per playbook also from --database */
    bool     json, strict, database;
    json_t  *out;
    unsigned errors, warnings;
} checking;

/* -- which files ------------------------------------------------------------------------------------------------------------- */

static bool is_text_of_ours(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot != NULL && (mu_same(dot, ".yaml") || mu_same(dot, ".yml") || mu_same(dot, ".json"));
}

static mu_err take_file(checking *c, const char *name)
{
    input *file = &c->files[c->count];

    if (c->count == FILES_MOST)
        return mu_failf(&c->cli->problem, MU_TOO_LARGE, "more than %d files", FILES_MOST);
    *file = (input){ .name = name };
    TRY(mu_cli_read(c->cli, name, &file->text, &file->n));
    c->count++;
    return MU_OK;
}

static mu_err take(checking *c, const char *name, int depth)
{
    struct stat info;
    struct dirent **entries;
    mu_err err = MU_OK;
    int n;

    if (mu_same(name, "-") || stat(name, &info) != 0 || !S_ISDIR(info.st_mode))
        return take_file(c, name);
    if (depth == FOLDERS_DEEP)
        return mu_failf(&c->cli->problem, MU_TOO_LARGE, "%s: more than %d folders deep", name, FOLDERS_DEEP);
    if ((n = scandir(name, &entries, NULL, alphasort)) < 0)
        return mu_failf(&c->cli->problem, MU_NOT_FOUND, "%s: %s", name, strerror(errno));
    for (int i = 0; i < n; i++) {
        const char *path = mu_printf(c->cli->arena, "%s/%s", name, entries[i]->d_name);
        const bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
        if (err == MU_OK && entries[i]->d_name[0] != '.' && (folder || is_text_of_ours(path)))
            err = take(c, path, depth + 1);
        free(entries[i]);
    }
    free(entries);
    return err;
}

/* -- what they say of each other ------------------------------------------------------------------------------------------------ */

static json_t *member_object(json_t *object, const char *name)
{
    if (!json_is_object(json_object_get(object, name)))
        json_object_set_new(object, name, json_object());
    return json_object_get(object, name);
}

static void know_profile(checking *c, const json_t *profile)
{
    const json_t *stage;
    json_t *stages = json_array();
    size_t i;

    json_array_foreach(json_object_get(profile, "stages"), i, stage)
        if (mu_json_str(stage, "id") != NULL)
            json_array_append(stages, json_object_get(stage, "id"));
    if (mu_json_str(profile, "id") != NULL)
        json_object_set(member_object(c->around, "profiles"), mu_json_str(profile, "id"), stages);
    json_decref(stages);
}

/* The first reading: only for what others must know. Its findings are those of the second. */
static void know(checking *c, input *file)
{
    mu_arena *arena = mu_arena_new(FILE_MEMORY);
    mu_findings findings;
    mu_playbook *playbook;
    json_t *doc = NULL;

    file->is_cacao = mu_cacao_looks(file->text, file->n);
    mu_findings_start(&findings, arena);
    if (!file->is_cacao)
        (void)mu_playbook_read(arena, file->text, file->n, &findings, &doc, &playbook);
    const bool is_profile = mu_same(mu_json_str(doc, "format"), "report-profile/1");
    file->is_other = is_profile || mu_same(mu_json_str(doc, "format"), "muster-plan/1");   /* of the house, and no playbook */
    if (is_profile) {
        know_profile(c, doc);
    } else if (!file->is_other && mu_json_str(doc, "id") != NULL) {
        file->slug = mu_strdup(c->cli->arena, mu_json_str(doc, "id"));
        json_object_set_new(member_object(c->around, "playbooks"), file->slug,
                            json_pack("{s:{s:o}}", "versions", "*", json_deep_copy(mu_playbook_summary(arena, doc))));
    }
    mu_arena_free(arena);
}

typedef struct { const char *slug; json_t *around; } ask;

static mu_err ask_database(mu_tx *tx, void *closure)
{
    ask *a = closure;
    const mu_rows *rows;

    TRY(mu_one(tx, Q_playbook_around, ARGS(a->slug, "false"), &rows));
    return mu_json_parse(mu_tx_arena(tx), mu_col(rows, "around"), strlen(mu_col(rows, "around")), mu_tx_problem(tx), &a->around);
}

/* What the database knows, and over it what the files and --around say. */
static mu_err surroundings(checking *c, mu_db *db, const char *slug, const json_t **ret)
{
    ask a = { .slug = slug == NULL ? "" : slug };
    json_t *own;
    const char *name;

    *ret = c->around;
    if (db == NULL)
        return MU_OK;
    TRY(mu_tx_run(db, c->cli->arena, &c->cli->problem, ask_database, &a));
    json_object_foreach(c->around, name, own)
        if (mu_same(name, "playbooks") && json_is_object(json_object_get(a.around, name)))
            json_object_update(json_object_get(a.around, name), own);
        else
            json_object_set(a.around, name, own);
    *ret = a.around;
    return MU_OK;
}

/* -- saying it ------------------------------------------------------------------------------------------------------------------ */

static const char *member(const void *closure, const char *name)
{
    return mu_json_str(closure, name);
}

static void say_finding(const char *file, const json_t *finding)
{
    const char *path = mu_json_str(finding, "path");

    printf("%s:%lld:%lld: %s %s: ", file, (long long)mu_json_int(finding, "line", 0), (long long)mu_json_int(finding, "column", 0),
           mu_json_str(finding, "level"), mu_json_str(finding, "id"));
    mu_cli_words(stdout, mu_json_str(finding, "message"), member, mu_json_at(finding, "args"));
    if (path != NULL && *path != '\0')
        printf(" [%s]", path);
    printf("\n    ");
    mu_cli_words(stdout, mu_json_str(finding, "hint"), member, mu_json_at(finding, "args"));
    putchar('\n');
}

/* The words of a key in one language, with {name} filled in. */
static char *words(mu_arena *arena, const char *language, const char *key, const json_t *args)
{
    const char *text = mu_word(language, key), *end, *value;
    char *out = mu_strdup(arena, "");

    for (text = text == NULL ? key : text; *text != '\0'; text = end) {
        end = *text == '{' && strchr(text, '}') != NULL ? strchr(text, '}') + 1 : text + 1 + strcspn(text + 1, "{");
        value = end[-1] == '}' && *text == '{' ? mu_json_str(args, mu_strndup(arena, text + 1, (size_t)(end - text) - 2)) : NULL;
        out = value != NULL ? mu_printf(arena, "%s%s", out, value) : mu_printf(arena, "%s%.*s", out, (int)(end - text), text);
    }
    return out;
}

static json_t *both(mu_arena *arena, const char *key, const json_t *args)
{
    return json_pack("{s:s, s:s}", "zh", words(arena, "zh", key, args), "en", words(arena, "en", key, args));
}

/* `verdict`: the word for a file of another format; NULL for our own. */
static void say_file(checking *c, mu_arena *arena, const input *file, const json_t *list, unsigned errors, unsigned warnings, const char *verdict)
{
    json_t *finding;
    size_t i;

    c->errors += errors;
    c->warnings += warnings;
    if (!c->json) {
        json_array_foreach(list, i, finding)
            say_finding(file->name, finding);
        if (verdict != NULL)
            printf("%s: %s\n", file->name, verdict);
        else if (errors + warnings == 0)
            printf("%s: ok\n", file->name);
        return;
    }
    json_array_foreach(list, i, finding) {
        json_object_set_new(finding, "text", both(arena, mu_json_str(finding, "message"), json_object_get(finding, "args")));
        json_object_set_new(finding, "hint_text", both(arena, mu_json_str(finding, "hint"), json_object_get(finding, "args")));
    }
    json_array_append_new(c->out, json_pack("{s:s, s:s?, s:s?, s:i, s:i, s:o}", "file", file->name, "id", file->slug, "verdict", verdict,
                                            "errors", (int)errors, "warnings", (int)warnings, "findings", json_deep_copy(list)));
}

/* A file of CACAO has its own rules; only its rejection is an error of the file. */
static void check_cacao(checking *c, mu_arena *arena, const input *file)
{
    json_t *list;
    const mu_cacao_verdict verdict = mu_cacao_check(arena, file->text, file->n, &list, NULL);

    say_file(c, arena, file, list, verdict == MU_CACAO_REJECT ? 1 : 0, verdict == MU_CACAO_WARN ? 1 : 0, mu_cacao_verdict_word(verdict));
}

static mu_err check_file(checking *c, mu_db *db, const input *file)
{
    mu_arena *arena = mu_arena_new(FILE_MEMORY);
    mu_findings findings;
    mu_playbook *playbook;
    const json_t *around;
    mu_err err = MU_OK;

    if (file->is_cacao) {
        check_cacao(c, arena, file);
    } else if ((err = surroundings(c, db, file->slug, &around)) == MU_OK) {
        mu_findings_start(&findings, arena);
        findings.around = around;
        if (mu_playbook_read(arena, file->text, file->n, &findings, NULL, &playbook) != MU_OK && findings.errors == 0)
            err = mu_failf(&c->cli->problem, MU_INTERNAL, "%s: refused without a finding", file->name);
        say_file(c, arena, file, mu_findings_json(&findings), findings.errors, findings.warnings, NULL);
    }
    mu_arena_free(arena);
    return err;
}

/* -- the command ---------------------------------------------------------------------------------------------------------------- */

/* --around FILE, taken out of argv. */
static mu_err take_around(checking *c)
{
    mu_cli *cli = c->cli;
    json_t *around = NULL;
    char *text;
    size_t n;

    c->around = mu_json_own(cli->arena, json_object());
    for (int i = 0; i + 1 < cli->argc; i++) {
        if (!mu_same(cli->argv[i], "--around"))
            continue;
        TRY(mu_cli_read(cli, cli->argv[i + 1], &text, &n));
        TRY(mu_json_parse(cli->arena, text, n, &cli->problem, &around));
        if (!json_is_object(around))
            return mu_failf(&cli->problem, MU_INVALID, "%s: not an object", cli->argv[i + 1]);
        json_object_update(c->around, around);
        memmove(&cli->argv[i], &cli->argv[i + 2], (size_t)(cli->argc - i - 2) * sizeof *cli->argv);
        cli->argc -= 2;
        i--;
    }
    return MU_OK;
}

static mu_err check_all(checking *c)
{
    mu_db *db = NULL;
    mu_err err = MU_OK;

    for (int i = 0; i < c->cli->argc; i++)
        TRY(take(c, c->cli->argv[i], 0));
    for (int i = 0; i < c->count; i++)
        know(c, &c->files[i]);
    if (c->database) {
        TRY(mu_cli_database(c->cli));
        db = mu_db_new(c->cli->direct_url, "muster");
    }
    for (int i = 0; i < c->count && err == MU_OK; i++)
        if (!c->files[i].is_other)
            err = check_file(c, db, &c->files[i]);
    if (db != NULL)
        mu_db_close(db);
    return err;
}

int mu_cmd_playbook_check(mu_cli *cli)
{
    checking *c = mu_alloc(cli->arena, sizeof *c);
    mu_err err;

    *c = (checking){ .cli = cli, .out = mu_json_own(cli->arena, json_array()) };
    c->json = mu_cli_flag(cli, "--json");
    c->strict = mu_cli_flag(cli, "--strict");
    c->database = mu_cli_flag(cli, "--database");
    err = take_around(c);
    if (err == MU_OK && (cli->argc == 0 || (cli->argv[0][0] == '-' && cli->argv[0][1] == '-')))
        return mu_cli_usage("playbook check");
    if (err == MU_OK)
        err = check_all(c);
    if (err != MU_OK) {
        (void)mu_cli_report(cli, err);
        return MU_CLI_USAGE;                      /* unreadable, which is neither good nor bad */
    }
    if (c->json)
        printf("%s\n", mu_json_text(cli->arena, mu_json_own(cli->arena, json_pack("{s:b, s:i, s:i, s:O}", "ok", c->errors == 0, "errors",
               (int)c->errors, "warnings", (int)c->warnings, "files", c->out))));
    return c->errors > 0 || (c->strict && c->warnings > 0) ? MU_CLI_FAILED : MU_CLI_OK;
}
