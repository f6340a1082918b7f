/* muster user …, muster token create: the first way in, and the way back in. Only the secret goes to standard output. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "cli.h"
#include "crypto.h"
#include "json.h"
#include "str.h"

#define TOKEN_DAYS_MOST 3650

typedef struct {
    const char *login, *name, *mail, *hash, *days, *last_four;
    json_t *words;             /* roles or scopes */
} wish;

static json_t *take_words(mu_cli *cli, const char *option)
{
    json_t *words = mu_json_own(cli->arena, json_array());
    const char *word;

    while ((word = mu_cli_option(cli, option)) != NULL)
        json_array_append_new(words, json_string(word));
    return words;
}

/* Runs `body` on the database of the options; the schema must be ours already. */
static mu_err on_database(mu_cli *cli, mu_err (*body)(mu_tx *tx, void *closure), void *closure)
{
    TRY(mu_cli_database(cli));
    mu_db *db = mu_db_new(cli->direct_url, "muster");
    const mu_err err = mu_tx_run(db, cli->arena, &cli->problem, body, closure);
    mu_db_close(db);
    return err;
}

static mu_err create_user(mu_tx *tx, void *closure)
{
    const wish *w = closure;
    mu_arena *arena = mu_tx_arena(tx);
    const mu_rows *rows;
    json_t *name = mu_json_own(arena, json_pack("{s:s, s:s}", "zh", w->name, "en", w->name));

    if (name == NULL)
        return mu_failf(mu_tx_problem(tx), MU_INVALID, "the name is not UTF-8");
    return mu_one(tx, Q_user_create, ARGS(w->login, mu_json_text(arena, name), mu_json_text(arena, w->words), w->mail, w->hash), &rows);
}

static mu_err set_password(mu_tx *tx, void *closure)
{
    const wish *w = closure;
    const mu_rows *rows;

    return mu_one(tx, Q_account_set, ARGS(w->login, w->hash, "true"), &rows);
}

static mu_err create_token(mu_tx *tx, void *closure)
{
    const wish *w = closure;
    const mu_rows *rows;

    return mu_one(tx, Q_token_create_for, ARGS(w->login, w->name, mu_json_text(mu_tx_arena(tx), w->words), w->days, w->hash, w->last_four), &rows);
}

int mu_cmd_user_create(mu_cli *cli)
{
    wish w = { .words = take_words(cli, "--role"), .name = mu_cli_option(cli, "--name"), .mail = mu_cli_option(cli, "--mail") };

    if (cli->argc != 1 || cli->argv[0][0] == '-')
        return mu_cli_usage("user create");
    w.login = cli->argv[0];
    w.name = w.name != NULL ? w.name : w.login;
    const char *password = mu_password_make(cli->arena);
    w.hash = mu_password_hash(cli->arena, password);
    const mu_err err = on_database(cli, create_user, &w);
    if (err == MU_OK)
        printf("%s\n", password);
    return mu_cli_report(cli, err);
}

int mu_cmd_user_password(mu_cli *cli)
{
    wish w = { 0 };

    if (cli->argc != 1 || cli->argv[0][0] == '-')
        return mu_cli_usage("user password");
    w.login = cli->argv[0];
    const char *password = mu_password_make(cli->arena);
    w.hash = mu_password_hash(cli->arena, password);
    const mu_err err = on_database(cli, set_password, &w);
    if (err == MU_OK)
        printf("%s\n", password);
    return mu_cli_report(cli, err);
}

int mu_cmd_token_create(mu_cli *cli)
{
    wish w = { .words = take_words(cli, "--scope"), .days = mu_cli_option(cli, "--days") };
    int64_t days = 0;

    if (cli->argc != 2 || (w.days != NULL && !mu_parse_int(w.days, 1, TOKEN_DAYS_MOST, &days)))
        return mu_cli_usage("token create");
    w.login = cli->argv[0];
    w.name = cli->argv[1];
    const char *token = mu_token(cli->arena, "mus_");
    const size_t n = strlen(token);
    w.hash = mu_sha256_hex(cli->arena, token, n);
    w.last_four = token + n - 4;
    const mu_err err = on_database(cli, create_token, &w);
    if (err == MU_OK)
        printf("%s\n", token);
    return mu_cli_report(cli, err);
}
