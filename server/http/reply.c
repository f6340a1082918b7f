/* From what a handler said, or from what went wrong, to what goes out: documents, pages, forms shown again, problem documents. */
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "crypto.h"
#include "json.h"
#include "log.h"
#include "req.h"
#include "words.h"

#define PAGE_MAX (16u << 20)

void mu_out_field(mu_req *rq, const char *name, const char *value)
{
    mu_field_line *line = mu_alloc(rq->arena, sizeof *line);

    if (strpbrk(value, "\r\n") != NULL)
        return;
    *line = (mu_field_line){ name, value, rq->out.fields };
    rq->out.fields = line;
}

static void out_bytes(mu_req *rq, int status, const char *media, const void *bytes, size_t n)
{
    rq->out.status = status;
    rq->out.media = media;
    rq->out.bytes = bytes;
    rq->out.size = n;
}

void mu_out_text(mu_req *rq, int status, const char *text)
{
    out_bytes(rq, status, "text/plain; charset=utf-8", text, strlen(text));
}

void mu_out_redirect(mu_req *rq, int status, const char *location)
{
    out_bytes(rq, status, NULL, "", 0);
    mu_out_field(rq, "Location", location);
}

/* ---- entity tags ---- */

bool mu_etag_matches(const char *if_none_match, const char *etag)
{
    const size_t n = strlen(etag);

    while (if_none_match != NULL && *if_none_match != '\0') {
        if_none_match += strspn(if_none_match, " \t,");
        if (*if_none_match == '*')
            return true;
        if (strncmp(if_none_match, "W/", 2) == 0)
            if_none_match += 2;
        if (strncmp(if_none_match, etag, n) == 0 && strchr(" \t,", if_none_match[n]) != NULL)
            return true;
        if_none_match = *if_none_match == '"' ? strchrnul(if_none_match + 1, '"') : strchrnul(if_none_match, ',');
        if_none_match += *if_none_match != '\0';
    }
    return false;
}

/* Sets ETag; turns the answer into a 304 when the caller has it already. */
static void apply_etag(mu_req *rq, const char *etag)
{
    mu_out_field(rq, "ETag", etag);
    if (rq->method == MU_GET && rq->out.status == 200 && mu_etag_matches(mu_header(rq, "If-None-Match"), etag))
        out_bytes(rq, 304, NULL, "", 0);
}

/* A page carries values that are new each time it is made; they are left out, or no page would ever be the same again. */
static char *page_etag(mu_req *rq, const char *text, size_t n)
{
    const char *const fresh[] = { rq->fresh_key, rq->id, rq->now };
    char *copy = mu_alloc(rq->arena, n + 1);

    memcpy(copy, text, n);
    for (size_t i = 0; i < MU_COUNT(fresh); i++) {
        const size_t width = strlen(fresh[i]);
        for (char *at = copy; width > 0 && (at = memmem(at, n - (size_t)(at - copy), fresh[i], width)) != NULL; at += width)
            memset(at, '-', width);
    }
    return mu_printf(rq->arena, "\"%s\"", mu_digest_hex(rq->arena, copy, n));
}

/* ---- models ---- */

/* Documents come from our own queries: well formed, so only the shape is looked at. */
static json_t *document(mu_req *rq)
{
    json_error_t where;
    json_t *tree = rq->answer.tree != NULL ? json_incref(rq->answer.tree)
        : rq->answer.body != NULL ? json_loadb(rq->answer.body, rq->answer.size, 0, &where) : json_object(), *model;

    if (tree == NULL) {
        mu_log(MU_LOG_ERROR, "page.document", "route=%s at=%d detail=\"%s\"", rq->route->name, where.position, where.text);
        tree = json_object();
    }
    if (json_is_object(tree)) {
        model = rq->answer.tree != NULL ? json_copy(tree) : json_incref(tree);
        json_decref(tree);
        return model;
    }
    model = json_object();
    json_object_set_new(model, "items", tree);
    return model;
}

static json_t *parsed_or_text(const char *text)
{
    json_t *tree = json_loads(text, JSON_DECODE_ANY, NULL);

    return tree != NULL ? tree : json_string(text);
}

static json_t *me_of(mu_req *rq)
{
    json_t *me = json_object(), *roles = rq->me_roles != NULL ? json_loads(rq->me_roles, 0, NULL) : NULL, *words = json_object(), *role;
    size_t i;

    json_object_set_new(me, "id", json_string(rq->me));
    json_object_set_new(me, "name", rq->me_name != NULL ? parsed_or_text(rq->me_name) : json_null());
    json_object_set_new(me, "login", rq->me_login != NULL ? json_string(rq->me_login) : json_null());
    json_array_foreach(roles, i, role)
        if (json_is_string(role))
            json_object_set_new(words, json_string_value(role), json_true());
    json_decref(roles);
    json_object_set_new(me, "roles", words);
    json_object_set_new(me, "must_change_password", json_boolean(rq->must_change));
    return me;
}

static bool is_drill(const json_t *model)
{
    const char *kind = mu_json_str(model, "kind");

    if (kind == NULL)
        kind = mu_json_str(json_object_get(model, "incident"), "kind");
    return mu_same(kind, "drill") || mu_same(kind, "rehearsal");
}

static const char *fault_text(mu_req *rq, const mu_fault *fault)
{
    const char *key = fault->key != NULL ? fault->key : mu_printf(rq->arena, "problem.%s", mu_err_code(rq->problem.code));

    return mu_text(rq->arena, rq->language, key, fault->args);
}

/* "/services/0/impact" -> "services.0.impact", the name a form field would have. */
static char *field_name(mu_req *rq, const char *pointer)
{
    char *name = mu_strdup(rq->arena, pointer != NULL && pointer[0] == '/' ? pointer + 1 : "");

    for (char *at = name; *at != '\0'; at++)
        if (*at == '/')
            *at = '.';
    return name;
}

/* Which options are the chosen ones: a template cannot compare. chosen.severity.II is true. */
static json_t *chosen_of(const json_t *values)
{
    json_t *out = json_object(), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)values, name, value) {
        json_t *set = json_object(), *item;
        size_t i;
        if (json_is_string(value) && json_string_length(value) < 80)
            json_object_set_new(set, json_string_value(value), json_true());
        json_array_foreach(value, i, item)
            if (json_is_string(item))
                json_object_set_new(set, json_string_value(item), json_true());
        json_object_set_new(out, name, set);
    }
    return out;
}

static json_t *form_of(mu_req *rq, bool failed)
{
    json_t *form = json_object(), *errors = json_object(), *list = json_array(), *is = json_object();

    for (const mu_fault *fault = failed ? rq->problem.first : NULL; fault != NULL; fault = fault->next) {
        const char *name = field_name(rq, fault->pointer), *text = fault_text(rq, fault);
        json_array_append_new(list, json_pack("{s:s,s:s}", "field", name, "message", text));
        if (name[0] != '\0' && json_object_get(errors, name) == NULL)
            json_object_set_new(errors, name, json_string(text));
    }
    if (failed && rq->problem.first == NULL)
        json_array_append_new(list, json_pack("{s:s,s:s}", "field", "", "message",
            mu_text(rq->arena, rq->language, mu_printf(rq->arena, "problem.%s", mu_err_code(rq->problem.code)), NULL)));
    if (rq->route != NULL && rq->method != MU_GET)
        json_object_set_new(is, rq->route->name, json_true());
    json_object_set_new(form, "is", is);
    if (rq->form != NULL) {
        json_object_set(form, "values", rq->form);
        json_object_set_new(form, "chosen", chosen_of(rq->form));
    }
    json_object_set(form, "errors", mu_input_nested(rq->arena, errors));
    json_decref(errors);
    if (failed)
        json_object_set_new(form, "failed", json_true());
    if (rq->kept != NULL)
        json_object_set_new(form, "kept", json_true());
    json_object_set_new(form, "list", list);
    return form;
}

/* ---- pages ---- */

static void free_text(void *text)
{
    free(text);
}

mu_err mu_show_named(mu_req *rq, const char *name, json_t *model, int status)
{
    mu_buf out = MU_BUF(PAGE_MAX);
    mu_err err = mu_page_render(name, model, rq->language, &out, &rq->problem);
    char *text;

    if (err != MU_OK) {
        mu_buf_free(&out);
        mu_log(MU_LOG_ERROR, "page.render", "name=%s detail=\"%s\"", name, rq->problem.detail != NULL ? rq->problem.detail : mu_err_code(err));
        return err;
    }
    const size_t n = out.n;
    text = n > 0 ? mu_buf_take(&out) : NULL;
    mu_defer(rq->arena, free_text, text);
    out_bytes(rq, status, "text/html; charset=utf-8", text != NULL ? text : "", n);
    mu_out_field(rq, "Content-Language", mu_same(rq->language, "zh") ? "zh-CN" : "en");
    mu_out_field(rq, "Vary", "Accept-Language, Cookie");
    return MU_OK;
}

static json_t *page_model(mu_req *rq, const mu_route *route, bool failed)
{
    json_t *model = document(rq), *ui = mu_page_ui(rq);

    if (route != rq->route) {
        json_t *is = json_object();
        json_object_set_new(is, route->name, json_true());
        json_object_set_new(ui, "is", is);
        json_object_set_new(ui, "route", json_string(route->name));
    }
    if (is_drill(model))
        json_object_set_new(ui, "drill", json_true());
    json_object_set_new(model, "ui", ui);
    if (rq->me != NULL)
        json_object_set_new(model, "me", me_of(rq));
    json_object_set_new(model, "form", form_of(rq, failed));
    return model;
}

mu_err mu_show_page(mu_req *rq, const mu_route *route, int status, bool failed)
{
    const char *name = route->page;
    json_t *model;
    mu_err err;

    if (rq->part != NULL && !failed) {
        name = mu_printf(rq->arena, "_%s", rq->part);
        if (!mu_is_slug(rq->part) || !mu_page_exists(name))
            return mu_fail(&rq->problem, MU_NOT_FOUND, "/part", NULL, NULL);
        mu_out_field(rq, "Muster-Fragment", rq->part);
    }
    model = page_model(rq, route, failed);
    err = mu_show_named(rq, name, model, status);
    json_decref(model);
    TRY(err);
    if (status == 200 && rq->method == MU_GET)
        apply_etag(rq, page_etag(rq, rq->out.bytes, rq->out.size));
    return MU_OK;
}

/* A write without a place to go shows its page again with what came out of it: a secret that is told only once, a check. */
static mu_err show_result(mu_req *rq)
{
    const mu_route *page = rq->route->page[0] != '\0' ? mu_route_named(rq->route->page) : NULL;
    const int status = rq->answer.status;
    json_t *result, *model, *form;
    mu_err err;

    if (page == NULL)
        return MU_NOT_FOUND;
    result = document(rq);
    err = mu_flow_page(rq, page);
    if (err != MU_OK) {
        json_decref(result);
        return err;
    }
    model = page_model(rq, page, false);
    form = json_object_get(model, "form");
    json_object_set_new(form, "done", json_true());
    json_object_set_new(form, "result", result);
    err = mu_show_named(rq, page->page, model, status == 201 || status == 204 ? 200 : status);
    json_decref(model);
    return err;
}

static bool is_own_path(const char *referer, const char *host, const char **ret_path)
{
    const char *at = referer != NULL ? strstr(referer, "://") : NULL;

    if (at == NULL || host == NULL || strncmp(at + 3, host, strlen(host)) != 0 || at[3 + strlen(host)] != '/')
        return false;
    *ret_path = at + 3 + strlen(host);
    return mu_auth_next_ok(*ret_path);
}

static mu_err finish_write(mu_req *rq)
{
    const mu_route *page = rq->route->page[0] != '\0' ? mu_route_named(rq->route->page) : NULL;
    const char *back = NULL;

    if (rq->answer.location == NULL && rq->answer.body != NULL && page != NULL)
        return show_result(rq);
    if (rq->answer.location == NULL && page != NULL)
        back = mu_route_path(rq, page);
    if (rq->answer.location == NULL && back == NULL && !is_own_path(mu_header(rq, "Referer"), mu_header(rq, "Host"), &back))
        back = "/";
    mu_out_redirect(rq, 303, rq->answer.location != NULL ? rq->answer.location : back);
    return MU_OK;
}

/* ---- files and documents ---- */

static void finish_file(mu_req *rq)
{
    const mu_answer *answer = &rq->answer;

    out_bytes(rq, answer->status, answer->media, answer->body != NULL ? answer->body : "", answer->size);
    rq->out.file = true;
    if (answer->file_name != NULL) {
        char *plain = mu_strdup(rq->arena, answer->file_name);
        for (char *at = plain; *at != '\0'; at++)
            if ((unsigned char)*at < 32 || (unsigned char)*at > 126 || strchr("\"\\/%", *at) != NULL)
                *at = '_';
        mu_out_field(rq, "Content-Disposition", mu_printf(rq->arena, "attachment; filename=\"%s\"; filename*=UTF-8''%s", plain, mu_url_encode(rq->arena, answer->file_name)));
    }
    if (answer->etag != NULL)
        apply_etag(rq, mu_printf(rq->arena, "\"%s\"", answer->etag));
}

static void finish_document(mu_req *rq)
{
    const mu_answer *answer = &rq->answer;
    const char *next = mu_page_next(rq), *prefix = rq->root ? "" : "/api/v1";

    if (answer->body == NULL)
        out_bytes(rq, answer->status == 200 ? 204 : answer->status, NULL, "", 0);
    else
        out_bytes(rq, answer->status, "application/json", answer->body, answer->size);
    if (answer->location != NULL)
        mu_out_field(rq, "Location", mu_starts(answer->location, "/") ? mu_printf(rq->arena, "%s%s", prefix, answer->location) : answer->location);
    if (next != NULL)
        mu_out_field(rq, "Link", mu_printf(rq->arena, "<%s%s>; rel=\"next\"", prefix, next));
    mu_out_field(rq, "Vary", "Accept-Language, Cookie, Authorization");
    if (answer->etag != NULL)
        apply_etag(rq, mu_printf(rq->arena, "\"%s\"", answer->etag));
}

/* ---- problems ---- */

static const char *fault_argument(const mu_problem *problem, const char *name)
{
    const char *const *args = problem->first != NULL ? problem->first->args : NULL;

    for (; args != NULL && args[0] != NULL && args[1] != NULL; args += 2)
        if (mu_same(args[0], name))
            return args[1];
    return NULL;
}

static void problem_fields(mu_req *rq)
{
    const mu_err code = rq->problem.code;
    const char *wait = fault_argument(&rq->problem, "seconds"), *etag = fault_argument(&rq->problem, "etag");
    int64_t seconds;

    if (wait == NULL || !mu_parse_int(wait, 0, 86400, &seconds))
        wait = code == MU_TOO_MANY ? "30" : "2";
    if (mu_err_status(code) == 503 || code == MU_TOO_MANY)
        mu_out_field(rq, "Retry-After", wait);
    if (code == MU_TOO_MANY) {   /* sign_in_wait() is the only limit there is */
        mu_out_field(rq, "RateLimit-Policy", "\"signin\";q=5;w=900");
        mu_out_field(rq, "RateLimit", mu_printf(rq->arena, "\"signin\";r=0;t=%s", wait));
    }
    if (code == MU_STALE && etag != NULL)
        mu_out_field(rq, "ETag", mu_printf(rq->arena, "\"%s\"", etag));
    if (code == MU_UNAUTHORIZED && rq->face == MU_FACE_JSON)
        mu_out_field(rq, "WWW-Authenticate", "Bearer realm=\"Muster\"");
}

static const char *title_of(mu_req *rq)
{
    return mu_text(rq->arena, rq->language, mu_printf(rq->arena, "problem.%s", mu_err_code(rq->problem.code)), NULL);
}

static json_t *problem_document(mu_req *rq)
{
    const char *code = mu_err_code(rq->problem.code);
    json_t *out = json_object(), *errors = json_array();

    for (const mu_fault *fault = rq->problem.first; fault != NULL; fault = fault->next)
        json_array_append_new(errors, json_pack("{s:s,s:s,s:s}", "pointer", fault->pointer != NULL ? fault->pointer : "",
            "code", fault->key != NULL ? fault->key : code, "detail", fault_text(rq, fault)));
    json_object_set_new(out, "type", json_string(mu_printf(rq->arena, "/problems/%s", code)));
    json_object_set_new(out, "title", json_string(title_of(rq)));
    json_object_set_new(out, "status", json_integer(mu_err_status(rq->problem.code)));
    json_object_set_new(out, "detail", json_string(rq->problem.first != NULL ? fault_text(rq, rq->problem.first) : title_of(rq)));
    json_object_set_new(out, "instance", json_string(rq->id));
    json_object_set_new(out, "code", json_string(code));
    json_object_set_new(out, "errors", errors);
    return out;
}

static void problem_page(mu_req *rq)
{
    json_t *model = json_object(), *error = problem_document(rq), *is = json_object(), *again = mu_again_form(rq);
    const int status = mu_err_status(rq->problem.code);
    const bool missing = status == 404 && mu_page_exists("notfound");

    json_object_set_new(is, mu_err_code(rq->problem.code), json_true());
    json_object_set_new(error, "is", is);
    json_object_set_new(error, "request_id", json_string(rq->id));
    if (again != NULL)
        json_object_set_new(error, "again", again);
    json_object_set_new(model, "error", error);
    json_object_set_new(model, "ui", mu_page_ui(rq));
    json_object_set_new(json_object_get(model, "ui"), "route", json_string(missing ? "notfound" : "error"));
    if (rq->me != NULL)
        json_object_set_new(model, "me", me_of(rq));
    if (!mu_page_exists("error") || mu_show_named(rq, missing ? "notfound" : "error", model, status) != MU_OK)
        mu_out_text(rq, status, mu_printf(rq->arena, "%d %s\n%s\n", status, title_of(rq), rq->id));
    json_decref(model);
}

/* The log has the developer's detail; the caller never has it. */
static void log_problem(mu_req *rq)
{
    if (mu_err_status(rq->problem.code) >= 500 && (rq->problem.code != MU_UNAVAILABLE || rq->problem.detail != NULL))
        mu_log(MU_LOG_ERROR, "http.problem", "route=%s code=%s detail=\"%s\"", rq->route != NULL ? rq->route->name : "", mu_err_code(rq->problem.code),
               rq->problem.detail != NULL ? rq->problem.detail : "");
    else if (rq->problem.detail != NULL)
        mu_log(MU_LOG_DEBUG, "http.problem", "route=%s code=%s detail=\"%s\"", rq->route != NULL ? rq->route->name : "", mu_err_code(rq->problem.code), rq->problem.detail);
}

void mu_reply_problem(mu_req *rq)
{
    if (rq->problem.code == MU_OK)
        rq->problem.code = MU_INTERNAL;
    log_problem(rq);
    problem_fields(rq);
    if (rq->face == MU_FACE_PAGE) {
        problem_page(rq);
        return;
    }
    json_t *tree = mu_json_own(rq->arena, problem_document(rq));
    const char *text = mu_json_text(rq->arena, tree);
    out_bytes(rq, mu_err_status(rq->problem.code), "application/problem+json", text, strlen(text));
    mu_out_field(rq, "Content-Language", mu_same(rq->language, "zh") ? "zh-CN" : "en");
    mu_out_field(rq, "Vary", "Accept-Language, Cookie, Authorization");
}

static bool must_change_first(const mu_req *rq)
{
    return rq->problem.code == MU_FORBIDDEN && rq->problem.first != NULL && mu_same(rq->problem.first->key, "error.password.change");
}

/* The same form with what was typed and what is wrong with it. */
static bool form_again(mu_req *rq)
{
    const mu_route *page;
    const int status = mu_err_status(rq->problem.code);

    if (rq->route == NULL || rq->route->method == MU_GET || rq->route->page[0] == '\0' || status >= 500 || status == 404)
        return false;
    page = mu_route_named(rq->route->page);
    if (page == NULL || mu_flow_page(rq, page) != MU_OK)
        return false;
    problem_fields(rq);
    return mu_show_page(rq, page, status, true) == MU_OK;
}

static void finish_problem(mu_req *rq, mu_err err)
{
    if (rq->problem.code == MU_OK)
        rq->problem.code = err;
    if (rq->face == MU_FACE_PAGE && rq->problem.code == MU_UNAUTHORIZED && (rq->route == NULL || rq->route->role != MU_ROLE_PUBLIC)) {
        if (mu_kept_sign_in(rq))
            return;
        const bool back = rq->method == MU_GET && rq->part == NULL;
        const char *here = rq->query_text[0] != '\0' ? mu_printf(rq->arena, "%s?%s", rq->path, rq->query_text) : rq->path;
        mu_out_redirect(rq, 303, back && !mu_same(here, "/") ? mu_printf(rq->arena, "/signin?next=%s", mu_url_encode(rq->arena, here)) : "/signin");
    } else if (rq->face == MU_FACE_PAGE && must_change_first(rq)) {
        mu_out_redirect(rq, 303, "/password");
    } else if (rq->face != MU_FACE_PAGE || !form_again(rq)) {
        mu_reply_problem(rq);
    }
}

void mu_reply_finish(mu_req *rq, mu_err err)
{
    if (err == MU_OK && rq->answer.media != NULL)
        finish_file(rq);
    else if (err == MU_OK && rq->face == MU_FACE_JSON)
        finish_document(rq);
    else if (err == MU_OK && rq->kept != NULL && mu_kept_show(rq))
        return;
    else if (err == MU_OK && rq->method == MU_GET && rq->answer.location != NULL)
        mu_out_redirect(rq, 303, rq->answer.location);
    else if (err == MU_OK && rq->method == MU_GET && rq->route->page[0] != '\0')
        err = mu_show_page(rq, rq->route, rq->answer.status, false);
    else if (err == MU_OK && rq->method == MU_GET)
        finish_document(rq);
    else if (err == MU_OK)
        err = finish_write(rq);
    if (err != MU_OK)
        finish_problem(rq, err);
}
