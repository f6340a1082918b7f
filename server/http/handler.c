/* What a handler may ask of its request. */
#include <stdlib.h>
#include <string.h>
#include "json.h"
#include "req.h"

const mu_route *mu_req_route(const mu_req *rq) { return rq->route; }
mu_arena   *mu_req_arena(mu_req *rq) { return rq->arena; }
mu_problem *mu_req_problem(mu_req *rq) { return &rq->problem; }
mu_face     mu_req_face(const mu_req *rq) { return rq->face; }
const char *mu_req_id(const mu_req *rq) { return rq->id; }
const char *mu_req_language(const mu_req *rq) { return rq->language; }
const json_t *mu_body_json(const mu_req *rq) { return rq->body; }
const char *mu_client_address(const mu_req *rq) { return rq->address; }
const char *mu_me(const mu_req *rq) { return rq->me; }

const char *mu_path(const mu_req *rq, const char *name)
{
    for (unsigned i = 0; i < rq->params_n; i++)
        if (mu_same(rq->param_names[i], name))
            return rq->param_values[i];
    return NULL;
}

/* A value as a text parameter: strings as they are, everything else as JSON. */
static const char *as_text(mu_arena *arena, const json_t *value)
{
    if (value == NULL || json_is_null(value))
        return NULL;
    if (json_is_string(value))
        return json_string_value(value);
    return mu_json_text(arena, value);
}

const char *mu_body(const mu_req *rq, const char *name)
{
    return as_text(rq->arena, json_object_get(rq->body, name));
}

const char *mu_query_field(const mu_req *rq, const char *name)
{
    return as_text(rq->arena, json_object_get(rq->query, name));
}

const char *mu_header(const mu_req *rq, const char *name)
{
    return MHD_lookup_connection_value(rq->con, MHD_HEADER_KIND, name);
}

static const char *implicit(mu_req *rq, const char *name)
{
    if (mu_same(name, "body"))
        return as_text(rq->arena, rq->body);
    if (mu_same(name, "form"))
        return as_text(rq->arena, rq->form);
    if (mu_same(name, "key"))
        return rq->key;
    if (mu_same(name, "etag"))
        return rq->etag_in;
    if (mu_same(name, "request"))
        return rq->id;
    if (mu_same(name, "lang"))
        return rq->language;
    return NULL;
}

const char *const *mu_bind(mu_req *rq, enum mu_query_id query)
{
    const mu_query_row *row = &mu_query_info[query];
    const char **out = mu_alloc(rq->arena, ((size_t)row->nparams + 1) * sizeof *out);

    for (int i = 0; i < row->nparams; i++) {
        const char *name = row->params[i], *value = mu_path(rq, name);
        if (value == NULL)
            value = as_text(rq->arena, json_object_get(rq->query, name));
        if (value == NULL)
            value = as_text(rq->arena, json_object_get(rq->body, name));
        out[i] = value != NULL ? value : implicit(rq, name);
    }
    return out;
}

void mu_req_hint(mu_req *rq, const char *payload)
{
    rq->hint = payload;
}

/* ---- answers ---- */

static int status_of(const mu_req *rq, const char *column, const char *location)
{
    int64_t status;

    if (column != NULL && mu_parse_int(column, 200, 599, &status))
        return (int)status;
    return rq->route->method == MU_POST && location != NULL ? 201 : 200;
}

mu_err mu_req_keep(mu_req *rq, mu_tx *tx, int status, const char *body, const char *location)
{
    if (!rq->keeping)
        return MU_OK;
    rq->keeping = false;
    mu_tx_queue(tx, Q_idem_end, ARGS(rq->me != NULL ? rq->me : mu_printf(rq->arena, "public:%s", rq->address), rq->key,
                                     mu_printf(rq->arena, "%d", status), body, location));
    return MU_OK;
}

/* A file that comes out of the database as bytea is text in hexadecimal. */
static void take_file(mu_req *rq, const mu_rows *rows, const char *media)
{
    const char *body = mu_col(rows, "body");
    void *bytes;
    size_t n;

    rq->answer.media = media;
    rq->answer.file_name = mu_col(rows, "file_name");
    if (body != NULL && body[0] == '\\' && body[1] == 'x' && mu_unhex(rq->arena, body + 2, &bytes, &n)) {
        rq->answer.body = bytes;
        rq->answer.size = n;
    }
}

mu_err mu_reply_rows(mu_req *rq, mu_tx *tx, const mu_rows *rows)
{
    mu_answer *answer = &rq->answer;
    const char *media;

    if (mu_rows_count(rows) == 0 && mu_rows_column(rows, "body") >= 0)
        return mu_fail(&rq->problem, MU_NOT_FOUND, NULL, NULL, NULL);
    *answer = (mu_answer){ .ready = true };
    if (mu_rows_count(rows) > 0) {
        const int body = mu_rows_column(rows, "body");
        answer->location = mu_col(rows, "location");
        answer->status = status_of(rq, mu_col(rows, "status"), answer->location);
        answer->body = mu_cell(rows, 0, body);
        answer->size = answer->body != NULL ? mu_cell_size(rows, 0, body) : 0;
        answer->etag = mu_col(rows, "etag");
        answer->next = mu_col(rows, "next");
        answer->hint = mu_col(rows, "hint");
        if ((media = mu_col(rows, "media")) != NULL)
            take_file(rq, rows, media);
    } else {
        answer->status = 200;
    }
    if (tx != NULL) {
        TRY(mu_req_keep(rq, tx, answer->status, answer->media == NULL ? answer->body : NULL, answer->location));
        TRY(mu_commit(tx));
    }
    return MU_OK;
}

mu_err mu_reply_json(mu_req *rq, int status, json_t *body, const char *location)
{
    rq->answer = (mu_answer){ .ready = true, .status = status, .tree = mu_json_own(rq->arena, body) };
    rq->answer.body = mu_json_text(rq->arena, rq->answer.tree);
    rq->answer.size = strlen(rq->answer.body);
    rq->answer.location = location != NULL ? mu_strdup(rq->arena, location) : NULL;
    return MU_OK;
}

mu_err mu_reply_bytes(mu_req *rq, int status, const char *media, const char *file_name, const void *bytes, size_t n)
{
    char *copy = mu_alloc(rq->arena, n + 1);

    if (n > 0)
        memcpy(copy, bytes, n);
    rq->answer = (mu_answer){ .ready = true, .status = status, .body = copy, .size = n, .media = mu_strdup(rq->arena, media),
                              .file_name = file_name != NULL ? mu_strdup(rq->arena, file_name) : NULL };
    return MU_OK;
}

void mu_reply_header(mu_req *rq, const char *name, const char *value)
{
    mu_out_field(rq, name, value);
}

void mu_reply_cookie(mu_req *rq, const char *name, const char *value, int64_t max_age_s)
{
    const bool session = mu_same(name, "muster");
    const char *age = max_age_s < 0 ? "" : mu_printf(rq->arena, "; Max-Age=%lld", (long long)max_age_s);

    mu_out_field(rq, "Set-Cookie", mu_printf(rq->arena, "%s=%s; Path=/%s%s%s; SameSite=Lax", session ? mu_auth_cookie() : name, value, age,
                                             session ? "; HttpOnly" : "", mu_auth_secure() ? "; Secure" : ""));
}
