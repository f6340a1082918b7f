/* Signing in and out, changing one's password, choosing language and colours. */
#include <string.h>
#include "handlers.h"
#include "bind.h"
#include "crypto.h"
#include "json.h"
#include "str.h"

#define PASSWORD_LEAST    12     /* characters */
#define PASSWORD_DISTINCT 5      /* different characters */
#define COOKIE_YEAR       (365 * 86400)

/* The hash of a random password that nobody knows: an unknown login costs the same time as a known one. */
static const char nobody[] = "$argon2id$v=19$m=65536,t=2,p=1$AgyjNebJYMmG2zpZan0W4Q$LjMlWlLIdnsP/reIuOVxoizPVM2wfABKkDxq/baAHsk";

static const char *const common[] = {
#define P(word) word,
#include "common_passwords.inc"
#undef P
};

static char *lower(mu_arena *arena, const char *text)
{
    char *out = mu_strdup(arena, text);

    for (char *at = out; *at != '\0'; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at - 'A' + 'a');
    return out;
}

static mu_err must_wait(mu_req *rq, const mu_rows *rows)
{
    const char *wait = mu_col(rows, "wait");

    return mu_same(wait, "0") ? MU_OK : mu_fail(mu_req_problem(rq), MU_TOO_MANY, "", "error.signin.wait", "seconds", wait, NULL);
}

mu_err mu_api_sign_in(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *login = lower(arena, mu_body(rq, "login")), *address = mu_client_address(rq), *agent = mu_header(rq, "User-Agent");
    const char *token = mu_token(arena, "ms_"), *hash;
    const mu_rows *rows;
    mu_tx *tx;
    bool good, change;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_sign_in_begin, ARGS(login, address), &rows));
    TRY(must_wait(rq, rows));
    hash = mu_col(rows, "password_hash");
    good = mu_password_matches(hash != NULL ? hash : nobody, mu_body(rq, "password")) && hash != NULL;
    if (agent != NULL && !mu_utf8_valid(agent, strlen(agent)))
        agent = NULL;
    TRY(mu_one(tx, Q_sign_in_end, ARGS(login, address, good ? "t" : "f", mu_sha256_hex(arena, token, strlen(token)), agent), &rows));
    change = mu_same(mu_col(rows, "must_change"), "t");
    TRY(mu_commit(tx));
    if (!good)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "", "error.signin.bad", NULL);
    mu_reply_cookie(rq, "muster", token, -1);
    if (!change && mu_reply_kept(rq, token, mu_body(rq, "kept")) == MU_OK)
        return MU_OK;
    return mu_reply_json(rq, 200, json_object(), change ? "/password" : mu_own_path(mu_body(rq, "next"), "/"));
}

mu_err mu_api_sign_out(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_query(tx, Q_sign_out, NO_ARGS, &rows));
    TRY(mu_commit(tx));
    mu_reply_cookie(rq, "muster", "", 0);
    mu_reply_header(rq, "Clear-Site-Data", "\"cache\", \"storage\"");
    return mu_reply_json(rq, 200, json_object(), "/signin?out=1");
}

/* Letters and digits in lower case; what people put between them to please a rule does not make a word rarer. */
static char *bare(mu_arena *arena, const char *password)
{
    char *out = lower(arena, password), *to = out;

    for (const char *at = out; *at != '\0'; at++)
        if ((*at >= 'a' && *at <= 'z') || (*at >= '0' && *at <= '9') || (unsigned char)*at >= 0x80)
            *to++ = *at;
    *to = '\0';
    return out;
}

static bool is_common(mu_arena *arena, const char *password)
{
    const char *word = bare(arena, password);
    bool seen[256] = { false };
    unsigned distinct = 0;

    for (const char *at = password; *at != '\0'; at++)
        if (!seen[(unsigned char)*at]) {
            seen[(unsigned char)*at] = true;
            distinct++;
        }
    if (distinct < PASSWORD_DISTINCT || word[strspn(word, "0123456789")] == '\0')
        return true;
    for (size_t i = 0; i < MU_COUNT(common); i++)
        if (strcmp(word, common[i]) == 0)
            return true;
    return false;
}

static mu_err check_new(mu_req *rq, const char *password, const char *login)
{
    mu_problem *problem = mu_req_problem(rq);
    mu_arena *arena = mu_req_arena(rq);

    if (mu_utf8_count(password, strlen(password)) < PASSWORD_LEAST)
        return mu_fail(problem, MU_INVALID, "/password", "error.password.short", "n", mu_printf(arena, "%d", PASSWORD_LEAST), NULL);
    if (mu_same(password, mu_body(rq, "current")))
        return mu_fail(problem, MU_INVALID, "/password", "error.password.same", NULL);
    if (login != NULL && login[0] != '\0' && strstr(lower(arena, password), lower(arena, login)) != NULL)
        return mu_fail(problem, MU_INVALID, "/password", "error.password.login", NULL);
    if (is_common(arena, password))
        return mu_fail(problem, MU_INVALID, "/password", "error.password.common", NULL);
    if (!mu_same(password, mu_body(rq, "again")))
        return mu_fail(problem, MU_INVALID, "/again", "error.password.again", NULL);
    return MU_OK;
}

mu_err mu_api_password_change(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *password = mu_body(rq, "password"), *login, *hash;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_password_hash_mine, NO_ARGS, &rows));
    login = mu_col(rows, "login");
    hash = mu_col(rows, "password_hash");
    TRY(mu_one(tx, Q_sign_in_begin, ARGS(login, mu_client_address(rq)), &rows));
    TRY(must_wait(rq, rows));
    if (!mu_password_matches(hash, mu_body(rq, "current"))) {
        TRY(mu_one(tx, Q_sign_in_end, ARGS(login, mu_client_address(rq), "f", NULL, NULL), &rows));
        TRY(mu_commit(tx));
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/current", "error.password.current", NULL);
    }
    TRY(check_new(rq, password, login));
    TRY(mu_query(tx, Q_password_set_mine, ARGS(mu_password_hash(arena, password)), &rows));
    TRY(mu_commit(tx));
    return mu_reply_json(rq, 200, json_object(), "/me");
}

static mu_err choose(mu_req *rq, const char *name)
{
    mu_reply_cookie(rq, mu_same(name, "language") ? "lang" : name, mu_body(rq, name), COOKIE_YEAR);
    return mu_reply_json(rq, 200, json_object(), mu_own_path(mu_body(rq, "back"), "/"));
}

mu_err mu_api_language(mu_req *rq)
{
    return choose(rq, "language");
}

mu_err mu_api_theme(mu_req *rq)
{
    return choose(rq, "theme");
}
