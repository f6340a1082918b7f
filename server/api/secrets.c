/* What is told once and never again: tokens, one-time passwords, signing secrets of web hooks; and sealed
 * values, which are not told at all. */
#include <string.h>
#include "handlers.h"
#include "bind.h"
#include "crypto.h"
#include "json.h"
#include "str.h"

/* Standard Webhooks: "whsec_" and 32 random bytes in base64. */
static char *hook_secret(mu_arena *arena)
{
    unsigned char bytes[32];

    mu_random(bytes, sizeof bytes);
    return mu_printf(arena, "whsec_%s", mu_base64(arena, bytes, sizeof bytes));
}

static char *body_without_value(mu_req *rq)
{
    json_t *body = mu_json_own(mu_req_arena(rq), json_copy((json_t *)(uintptr_t)mu_body_json(rq)));

    json_object_del(body, "value");
    return mu_json_text(mu_req_arena(rq), body);
}

mu_err mu_api_token_create(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *token = mu_token(arena, "mus_");
    const mu_rows *rows;
    json_t *reply;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_token_create, mu_bind_with(rq, Q_token_create,
        ARGS("hash", mu_sha256_hex(arena, token, strlen(token)), "last_four", token + strlen(token) - 4)), &rows));
    TRY(mu_json_parse(arena, mu_col(rows, "body"), strlen(mu_col(rows, "body")), mu_req_problem(rq), &reply));
    TRY(mu_commit(tx));
    json_object_set_new(reply, "token", json_string(token));
    return mu_reply_json(rq, 201, json_incref(reply), NULL);
}

mu_err mu_api_person_password(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *password = mu_password_make(arena), *login;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_person_password, mu_bind_with(rq, Q_person_password, ARGS("hash", mu_password_hash(arena, password))), &rows));
    login = mu_col(rows, "login");
    TRY(mu_commit(tx));
    return mu_reply_json(rq, 200, json_pack("{s:s, s:s}", "login", login, "password", password), NULL);
}

mu_err mu_api_endpoint_create(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const bool hook = mu_same(mu_body(rq, "kind"), "webhook");
    const char *secret = hook ? hook_secret(arena) : NULL, *location;
    const mu_rows *rows;
    json_t *reply;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_endpoint_create, mu_bind_with(rq, Q_endpoint_create, ARGS("sealed", hook ? mu_seal(arena, secret) : NULL)), &rows));
    TRY(mu_json_parse(arena, mu_col(rows, "body"), strlen(mu_col(rows, "body")), mu_req_problem(rq), &reply));
    location = mu_col(rows, "location");
    TRY(mu_commit(tx));
    if (hook)
        json_object_set_new(reply, "secret", json_string(secret));
    return mu_reply_json(rq, 201, json_incref(reply), hook ? NULL : location);
}

mu_err mu_api_endpoint_secret(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *secret = hook_secret(arena), *slug;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_endpoint_secret, mu_bind_with(rq, Q_endpoint_secret, ARGS("sealed", mu_seal(arena, secret))), &rows));
    slug = mu_col(rows, "slug");
    TRY(mu_commit(tx));
    return mu_reply_json(rq, 200, json_pack("{s:s, s:s}", "slug", slug, "secret", secret), NULL);
}

/* The value is sealed before it goes anywhere; SQL never sees it. */
mu_err mu_api_secret_create(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_secret_create, ARGS(body_without_value(rq), mu_seal(mu_req_arena(rq), mu_body(rq, "value"))), &rows));
    return mu_reply_rows(rq, tx, rows);
}

mu_err mu_api_secret_put(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_secret_put, mu_bind_with(rq, Q_secret_put, ARGS("sealed", mu_seal(mu_req_arena(rq), mu_body(rq, "value")))), &rows));
    return mu_reply_rows(rq, tx, rows);
}
