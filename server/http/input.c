/* What came with a request: query string and body, in the forms of either face, made into one checked tree. */
#include <string.h>
#include <strings.h>
#include "crypto.h"
#include "form.h"
#include "json.h"
#include "req.h"

const mu_spec mu_no_spec = { "none", NULL, 0 };

/* Names in a query string that belong to the frame and not to a row. */
static const char *const frame_names[] = { "lang", "part", "refresh", "theme" };

typedef enum { BODY_NONE, BODY_JSON, BODY_FORM, BODY_MULTIPART, BODY_OTHER } body_kind;

static bool media_is(const char *media, const char *name)
{
    const size_t n = strlen(name);

    return strncasecmp(media, name, n) == 0 && (media[n] == '\0' || media[n] == ';' || media[n] == ' ');
}

static body_kind kind_of(mu_req *rq)
{
    const char *media = mu_header(rq, "Content-Type");
    size_t n;

    if (rq->bytes_n == 0)
        return BODY_NONE;
    if (media == NULL)
        return BODY_OTHER;
    n = strcspn(media, "; ");
    if (media_is(media, "application/json") || (n > 5 && strncasecmp(media, "application/", 12) == 0 && strncasecmp(media + n - 5, "+json", 5) == 0))
        return BODY_JSON;
    if (media_is(media, "application/x-www-form-urlencoded"))
        return BODY_FORM;
    return media_is(media, "multipart/form-data") ? BODY_MULTIPART : BODY_OTHER;
}

/* Takes a hidden name out of a form. Only its first value counts. */
static const char *take(mu_req *rq, json_t *form, const char *name)
{
    const json_t *value = json_object_get(form, name);
    const char *text;

    if (json_is_array(value))
        value = json_array_get(value, 0);
    text = json_is_string(value) ? mu_strdup(rq->arena, json_string_value(value)) : NULL;
    json_object_del(form, name);
    return text;
}

/* An entity tag as it is compared: without its quotes. "*" is any version there is, and goes on as it is (etag_check). */
static const char *bare_tag(mu_req *rq, const char *tag)
{
    const size_t n = tag != NULL ? strlen(tag) : 0;

    if (n == 0 || n > 200)
        return NULL;
    return n >= 2 && tag[0] == '"' && tag[n - 1] == '"' ? mu_strndup(rq->arena, tag + 1, n - 2) : tag;
}

/* A structured-field string in quotes, or bare. */
static mu_err read_key(mu_req *rq, const char *key)
{
    size_t n = key != NULL ? strlen(key) : 0;

    if (n == 0)
        return MU_OK;
    if (n >= 2 && key[0] == '"' && key[n - 1] == '"')
        key = mu_strndup(rq->arena, key + 1, n - 2), n -= 2;
    if (n == 0 || n > 200 || mu_has_control(key, n, false) || !mu_utf8_valid(key, n))
        return mu_fail(&rq->problem, MU_MALFORMED, "", "error.idempotency.key", NULL);
    rq->key = key;
    return MU_OK;
}

static mu_err read_query(mu_req *rq)
{
    json_t *query;
    const char *cursor;

    TRY(mu_form_urlencoded(rq->arena, rq->query_text, strlen(rq->query_text), &rq->problem, &query));
    rq->part = take(rq, query, "part");
    for (size_t i = 0; i < MU_COUNT(frame_names); i++)
        json_object_del(query, frame_names[i]);
    cursor = take(rq, query, "cursor");
    rq->query_raw = query;
    if (cursor != NULL) {
        char *opened = mu_cursor_open(rq->arena, rq->route->name, cursor);
        if (opened == NULL)
            return mu_fail(&rq->problem, MU_MALFORMED, "/cursor", "error.cursor", NULL);
        json_object_set_new(query, "cursor", json_string(opened));
    }
    return MU_OK;
}

static mu_err read_form(mu_req *rq, bool multipart)
{
    const char *word;

    if (multipart)
        TRY(mu_form_multipart(rq->arena, mu_header(rq, "Content-Type"), rq->bytes, rq->bytes_n, &rq->problem, &rq->body_raw));
    else
        TRY(mu_form_urlencoded(rq->arena, rq->bytes != NULL ? rq->bytes : "", rq->bytes_n, &rq->problem, &rq->body_raw));
    rq->body_was_form = true;
    rq->form_token = take(rq, rq->body_raw, "_csrf");
    rq->etag_in = bare_tag(rq, take(rq, rq->body_raw, "_etag"));
    word = take(rq, rq->body_raw, "_key");
    rq->method_word = take(rq, rq->body_raw, "_method");
    return read_key(rq, word);
}

/* The row for the method that a form means: forms know only GET and POST. */
static mu_err apply_method(mu_req *rq)
{
    static const struct { const char *word; mu_method method; } words[] = { { "PUT", MU_PUT }, { "PATCH", MU_PATCH }, { "DELETE", MU_DELETE } };
    unsigned allow;

    for (size_t i = 0; i < MU_COUNT(words) && rq->method_word != NULL; i++)
        if (strcasecmp(words[i].word, rq->method_word) == 0)
            rq->method = (int)words[i].method;
    if (rq->route == NULL || (int)rq->route->method != rq->method)
        rq->route = mu_route_match(rq, rq->method, &allow);
    return rq->route != NULL ? MU_OK : mu_fail(&rq->problem, MU_METHOD, NULL, NULL, NULL);
}

/* A row that answers outside /api/v1 has one path for both faces: what was sent decides. */
static void choose_root_face(mu_req *rq, body_kind kind)
{
    if (rq->route == NULL || (rq->route->flags & MU_R_ROOT) == 0 || rq->face == MU_FACE_JSON)
        return;
    rq->root = true;
    if ((rq->route->flags & MU_R_JSON_ONLY) != 0 || rq->route->page[0] == '\0' || kind == BODY_JSON || (rq->route->method != MU_GET && kind == BODY_OTHER))
        rq->face = MU_FACE_JSON;
}

static mu_err read_body(mu_req *rq, body_kind kind)
{
    const mu_err wrong = MU_MEDIA_TYPE;

    if (rq->overrun)
        return mu_fail(&rq->problem, MU_TOO_LARGE, NULL, NULL, NULL);
    switch (kind) {
    case BODY_NONE:
        rq->body_raw = mu_json_own(rq->arena, json_object());
        return MU_OK;
    case BODY_JSON:
        if (rq->face == MU_FACE_PAGE)
            return mu_fail(&rq->problem, wrong, NULL, "error.media_type", NULL);
        return mu_json_parse(rq->arena, rq->bytes, rq->bytes_n, &rq->problem, &rq->body_raw);
    case BODY_FORM:
    case BODY_MULTIPART:
        if (rq->face == MU_FACE_JSON)
            return mu_fail(&rq->problem, wrong, NULL, "error.media_type", NULL);
        return read_form(rq, kind == BODY_MULTIPART);
    case BODY_OTHER:
        break;
    }
    return mu_fail(&rq->problem, wrong, NULL, "error.media_type", NULL);
}

mu_err mu_input_read(mu_req *rq)
{
    const body_kind kind = kind_of(rq);

    choose_root_face(rq, kind);
    if (rq->method != MU_GET)
        TRY(read_body(rq, kind));
    TRY(apply_method(rq));
    if (rq->method != MU_GET && kind == BODY_MULTIPART && (rq->route->flags & MU_R_MULTIPART) == 0)
        return mu_fail(&rq->problem, MU_MEDIA_TYPE, NULL, "error.media_type", NULL);
    if (rq->method != MU_GET && kind == BODY_JSON && rq->face == MU_FACE_PAGE)
        return mu_fail(&rq->problem, MU_MEDIA_TYPE, NULL, "error.media_type", NULL);
    TRY(read_query(rq));
    if (!rq->body_was_form) {
        rq->etag_in = bare_tag(rq, mu_header(rq, "If-Match"));
        TRY(read_key(rq, mu_header(rq, "Idempotency-Key")));
    }
    rq->given = rq->method == MU_GET ? rq->query_raw : rq->body_raw;
    return MU_OK;
}

static bool is_secret(const mu_spec *spec, const char *name)
{
    for (size_t i = 0; spec != NULL && i < spec->count; i++)
        if (spec->fields[i].type == MU_F_SECRET && mu_same(spec->fields[i].name, name))
            return true;
    return false;
}

/* What may be shown again: no secrets, no file contents. */
json_t *mu_input_showable(mu_req *rq)
{
    json_t *out = mu_json_own(rq->arena, json_object()), *value;
    const char *name;

    json_object_foreach(rq->given, name, value)
        if (!is_secret(rq->route->body, name) && !json_is_object(value))
            json_object_set(out, name, value);
    return out;
}

/* Pages are lenient about names they do not know in an address: mail programs and portals append some. */
static void drop_unknown(mu_req *rq)
{
    const mu_spec *spec = rq->route->query;
    const char *name;
    json_t *value;
    void *next;

    json_object_foreach_safe(rq->query_raw, next, name, value) {
        bool known = mu_same(name, "cursor");
        for (size_t i = 0; spec != NULL && i < spec->count && !known; i++) {
            const size_t n = strlen(spec->fields[i].name);
            known = strncmp(name, spec->fields[i].name, n) == 0 && (name[n] == '\0' || name[n] == '.');
        }
        if (!known)
            json_object_del(rq->query_raw, name);
    }
}

static mu_err check_query(mu_req *rq)
{
    const mu_spec *spec = rq->route->query != NULL ? rq->route->query : &mu_no_spec;
    json_t *cursor = json_incref(json_object_get(rq->query_raw, "cursor"));
    mu_err err;

    json_object_del(rq->query_raw, "cursor");
    if (rq->face == MU_FACE_PAGE)
        drop_unknown(rq);
    err = json_object_size(rq->query_raw) == 0 && spec->count == 0
        ? (rq->query = mu_json_own(rq->arena, json_object()), MU_OK)
        : mu_spec_check(rq->arena, spec, rq->query_raw, true, &rq->problem, &rq->query);
    if (cursor != NULL && rq->query != NULL)
        json_object_set(rq->query, "cursor", cursor);
    json_decref(cursor);
    return err;
}

static char *digest_of(mu_req *rq)
{
    MU_CLEAN(mu_buf_free) mu_buf text = MU_BUF(64u << 20);

    if (!mu_json_canonical(rq->given, &text))
        return mu_sha256_hex(rq->arena, rq->bytes != NULL ? rq->bytes : "", rq->bytes_n);
    return mu_sha256_hex(rq->arena, text.at != NULL ? text.at : "", text.n);
}

mu_err mu_input_check(mu_req *rq)
{
    mu_err query, body = MU_OK;

    rq->form = mu_input_nested(rq->arena, mu_input_showable(rq));
    query = check_query(rq);
    if (rq->method != MU_GET) {
        /* A row without fields takes what others send: their bodies are kept as they are, unknown names and all. */
        if (rq->route->body == NULL)
            rq->body = rq->body_raw;
        else if (json_is_object(rq->body_raw))
            body = mu_spec_check(rq->arena, rq->route->body, rq->body_raw, rq->body_was_form, &rq->problem, &rq->body);
        else
            body = mu_fail(&rq->problem, MU_INVALID, "", "error.object", NULL);
        if (rq->key != NULL)
            rq->body_sha = digest_of(rq);
    }
    TRY(query);
    TRY(body);
    if ((rq->route->flags & MU_R_IF_MATCH) != 0 && rq->etag_in == NULL)
        return mu_fail(&rq->problem, MU_PRECONDITION, NULL, "error.etag_missing", NULL);
    return MU_OK;
}

json_t *mu_input_nested(mu_arena *arena, const json_t *flat)
{
    json_t *out = mu_json_own(arena, json_object()), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)flat, name, value) {
        const char *dot = strchr(name, '.');
        json_t *inner;
        if (dot == NULL || dot == name || dot[1] == '\0') {
            if (json_object_get(out, name) == NULL)
                json_object_set(out, name, value);
            continue;
        }
        const char *first = mu_strndup(arena, name, (size_t)(dot - name));
        inner = json_object_get(out, first);
        if (!json_is_object(inner)) {
            inner = json_object();
            json_object_set_new(out, first, inner);
        }
        json_object_set(inner, dot + 1, value);
    }
    return out;
}
