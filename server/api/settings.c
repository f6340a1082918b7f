/* Saving the settings: the mail password is sealed before it goes anywhere. */
#include "handlers.h"
#include "bind.h"
#include "crypto.h"
#include "json.h"

mu_err mu_api_settings_put(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *password = mu_body(rq, "smtp_password");
    json_t *doc = mu_json_own(arena, json_copy((json_t *)(uintptr_t)mu_body_json(rq)));
    const mu_rows *rows;
    mu_tx *tx;

    json_object_del(doc, "smtp_password");
    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_settings_put, mu_bind_with(rq, Q_settings_put,
        ARGS("body", mu_json_text(arena, doc), "sealed", password != NULL ? mu_seal(arena, password) : NULL)), &rows));
    return mu_reply_rows(rq, tx, rows);
}
