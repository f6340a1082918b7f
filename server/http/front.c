/* What is decided on the HTTP thread: guards, what needs no database, and which row is meant. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "conf.h"
#include "crypto.h"
#include "req.h"

/* ---- guards: message framing that two readers could understand differently is refused ---- */

typedef struct { unsigned lengths, codings, hosts; bool odd_coding; long long length; bool bad_length; } framing;

static enum MHD_Result look(void *closure, enum MHD_ValueKind kind, const char *name, const char *value)
{
    framing *f = closure;

    (void)kind;
    if (value == NULL)
        value = "";
    if (strcasecmp(name, "Content-Length") == 0) {
        int64_t n;
        f->lengths++;
        f->bad_length = f->bad_length || !mu_parse_int(value, 0, INT64_MAX, &n) || !isdigit((unsigned char)value[0]);
        f->length = f->bad_length ? 0 : n;
    } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
        f->codings++;
        f->odd_coding = f->odd_coding || strcasecmp(value, "chunked") != 0;
    } else if (strcasecmp(name, "Host") == 0) {
        f->hosts++;
    }
    return MHD_YES;
}

static bool refuse(mu_req *rq, mu_err code, const char *key)
{
    mu_req_prepare(rq);
    mu_fail(&rq->problem, code, NULL, key, NULL);
    mu_reply_problem(rq);
    mu_out_field(rq, "Connection", "close");
    return false;
}

/* A row that takes files takes more, but only from somebody who at least claims to be signed in. */
static size_t body_max(mu_req *rq)
{
    const size_t usual = (size_t)mu_conf_int(MU_CONF_HTTP_BODY), upload = (size_t)mu_conf_int(MU_CONF_HTTP_UPLOAD);
    const char *media = mu_header(rq, "Content-Type");
    const mu_route *route;
    unsigned allow;

    if (upload <= usual || rq->method != MU_POST || media == NULL || strncasecmp(media, "multipart/form-data", 19) != 0
        || (mu_header(rq, "Cookie") == NULL && mu_header(rq, "Authorization") == NULL))
        return usual;
    rq->bytes_max = upload;
    mu_req_prepare(rq);
    if (!mu_path_split(rq->arena, rq->path, rq->segments, &rq->segments_n))
        return usual;
    route = mu_route_match(rq, MU_POST, &allow);
    return route != NULL && (route->flags & MU_R_MULTIPART) != 0 ? upload : usual;
}

bool mu_guard(mu_req *rq)
{
    framing f = { 0 };

    MHD_get_connection_values(rq->con, MHD_HEADER_KIND, look, &f);
    if (f.lengths > 1 || f.bad_length || (f.lengths > 0 && f.codings > 0) || f.codings > 1 || f.odd_coding || f.hosts > 1)
        return refuse(rq, MU_MALFORMED, "error.framing");
    if (rq->target == NULL || rq->target[0] != '/')
        return rq->method == MU_OPTIONS ? true : refuse(rq, MU_MALFORMED, "error.path");
    if (strlen(rq->target) > MU_TARGET_MAX)
        return refuse(rq, MU_MALFORMED, "error.path");
    rq->bytes_max = body_max(rq);
    if (f.length > (long long)rq->bytes_max)
        return refuse(rq, MU_TOO_LARGE, "error.too_large");
    return true;
}

/* ---- what every request has ---- */

static bool id_ok(const char *id)
{
    const size_t n = id != NULL ? strlen(id) : 0;

    return n >= 8 && n <= 64 && strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

/* W3C Trace Context, version 00; anything else is as if it were not there. */
static const char *trace_of(mu_req *rq)
{
    const char *given = mu_header(rq, "traceparent");
    static const char shape[] = "00-hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh-hhhhhhhhhhhhhhhh-hh";

    if (given == NULL || strlen(given) != sizeof shape - 1 || strspn(given + 3, "0") >= 32 || strspn(given + 36, "0") >= 16)
        return NULL;
    for (size_t i = 0; i < sizeof shape - 1; i++)
        if (shape[i] == 'h' ? strchr("0123456789abcdef", given[i]) == NULL : given[i] != shape[i])
            return NULL;
    return mu_strdup(rq->arena, given);
}

/* The value of one name of a raw query string, when it is plain text. */
static const char *asked(mu_req *rq, const char *name)
{
    const size_t n = strlen(name);

    for (const char *at = rq->query_text; *at != '\0';) {
        const char *end = strchrnul(at, '&');
        if (strncmp(at, name, n) == 0 && at[n] == '=')
            return mu_strndup(rq->arena, at + n + 1, (size_t)(end - at) - n - 1);
        at = *end == '&' ? end + 1 : end;
    }
    return NULL;
}

static void split_target(mu_req *rq)
{
    const char *target = rq->target != NULL && rq->target[0] == '/' ? rq->target : "/";
    const size_t n = strcspn(target, "?#");

    rq->query_text = mu_strndup(rq->arena, target + n + (target[n] == '?'), target[n] == '?' ? strcspn(target + n + 1, "#") : 0);
    rq->face = strncmp(target, "/api/v1", 7) == 0 && (target[7] == '/' || n == 7) ? MU_FACE_JSON : MU_FACE_PAGE;
    rq->path = rq->face == MU_FACE_JSON ? mu_strndup(rq->arena, target + 7, n - 7) : mu_strndup(rq->arena, target, n);
    if (rq->path[0] == '\0')
        rq->path = mu_strdup(rq->arena, "/");
}

void mu_req_prepare(mu_req *rq)
{
    const char *id = mu_header(rq, "X-Request-Id"), *language, *cookie;

    if (rq->arena != NULL)
        return;
    rq->arena = mu_arena_new((8u << 20) + (rq->bytes_max > 0 ? rq->bytes_max : (size_t)mu_conf_int(MU_CONF_HTTP_BODY)) * 24);
    rq->problem = (mu_problem){ .arena = rq->arena };
    split_target(rq);
    mu_client_of(rq);
    snprintf(rq->id, sizeof rq->id, "%s", id_ok(id) ? id : mu_uuid7(rq->arena));
    rq->trace = trace_of(rq);
    language = asked(rq, "lang");
    cookie = mu_cookie(rq->arena, mu_header(rq, "Cookie"), "lang");
    rq->language = mu_language_of(mu_header(rq, "Accept-Language"), cookie, language, mu_conf_text(MU_CONF_SITE_LANGUAGE));
}

/* ---- rows ---- */

static const char *allow_text(mu_req *rq, unsigned allow)
{
    static const char *const words[] = { "GET, HEAD", "POST", "PUT", "PATCH", "DELETE" };
    const char *out = "OPTIONS";

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if ((allow & (1u << i)) != 0)
            out = mu_printf(rq->arena, "%s, %s", out, words[i]);
    /* Forms reach the other methods by POST. */
    if (rq->face == MU_FACE_PAGE && (allow & (1u << MU_POST)) == 0 && (allow & (1u << MU_PUT | 1u << MU_PATCH | 1u << MU_DELETE)) != 0)
        out = mu_printf(rq->arena, "%s, POST", out);
    return out;
}

/* What is answered besides the rows; all of it is only read. */
static bool is_builtin(const mu_req *rq)
{
    static const char *const paths[] = { "/healthz", "/readyz", "/version", "/metrics", "/robots.txt", "/openapi.json", "/status", "/history.atom", "/history.rss",
                                         "/.well-known/change-password" };

    for (size_t i = 0; rq->face == MU_FACE_PAGE && i < MU_COUNT(paths); i++)
        if (mu_same(paths[i], rq->path))
            return true;
    return (rq->face == MU_FACE_JSON && mu_same(rq->path, "/stream")) || mu_starts(rq->path, "/static/") || mu_starts(rq->path, "/problems/");
}

static bool not_here(mu_req *rq, unsigned allow)
{
    if (allow == 0 && rq->method != MU_GET && is_builtin(rq))
        allow = 1u << MU_GET;
    if (allow == 0) {
        mu_fail(&rq->problem, MU_NOT_FOUND, NULL, NULL, NULL);
        mu_reply_problem(rq);
    } else if (rq->method == MU_OPTIONS) {
        rq->out = (mu_output){ .status = 204, .bytes = "" };
        mu_out_field(rq, "Allow", allow_text(rq, allow));
    } else {
        mu_fail(&rq->problem, MU_METHOD, NULL, NULL, NULL);
        mu_reply_problem(rq);
        mu_out_field(rq, "Allow", allow_text(rq, allow));
    }
    return true;
}

/* How much a media range of Accept wants us: 3 the type itself, 2 its family, 1 anything, 0 something else. */
static int range_fits(const char *at, size_t n, const char *type)
{
    const size_t family = (size_t)(strchr(type, '/') - type) + 1;

    if (n == strlen(type) && strncasecmp(at, type, n) == 0)
        return 3;
    if (n == family + 1 && strncasecmp(at, type, family) == 0 && at[family] == '*')
        return 2;
    return n == 3 && strncmp(at, "*/*", 3) == 0 ? 1 : 0;
}

static bool wanted(const char *from, const char *end)
{
    const char *q = memmem(from, (size_t)(end - from), "q=", 2);

    return q == NULL || strtod(q + 2, NULL) > 0;
}

/* RFC 9110, 12.5.1: the narrowest range that fits decides. */
bool mu_accepts(const char *accept, const char *type)
{
    int best = 0;
    bool yes = accept == NULL || accept[strspn(accept, " \t,")] == '\0';

    while (accept != NULL && *accept != '\0') {
        const char *at = accept + strspn(accept, " \t"), *end = strchrnul(at, ',');
        const size_t n = strcspn(at, "; \t,");
        const int fit = range_fits(at, n, type);
        if (fit > best) {
            best = fit;
            yes = wanted(at + n, end);
        }
        accept = *end == ',' ? end + 1 : end;
    }
    return yes;
}

/* The JSON face speaks JSON; a caller that cannot take it hears so before anything is done. */
static bool acceptable(mu_req *rq)
{
    const char *accept = mu_header(rq, "Accept");

    return rq->face != MU_FACE_JSON || (rq->route->flags & MU_R_DOWNLOAD) != 0 || mu_accepts(accept, "application/json")
        || (strcasestr(accept, "application/problem+json") != NULL && mu_accepts(accept, "application/problem+json"));
}

static bool front_route(mu_req *rq)
{
    unsigned allow;

    if (!mu_path_split(rq->arena, rq->path, rq->segments, &rq->segments_n)) {
        mu_fail(&rq->problem, MU_MALFORMED, NULL, "error.path", NULL);
        mu_reply_problem(rq);
        return true;
    }
    rq->route = mu_route_match(rq, rq->method, &allow);
    if (rq->route != NULL && !acceptable(rq)) {
        mu_fail(&rq->problem, MU_NOT_ACCEPTABLE, NULL, "error.accept", NULL);
        mu_reply_problem(rq);
        return true;
    }
    if (rq->route != NULL)
        return false;
    if (rq->method == MU_POST && rq->face == MU_FACE_PAGE && (allow & (1u << MU_PUT | 1u << MU_PATCH | 1u << MU_DELETE)) != 0)
        return false;   /* the form says which method it means */
    return not_here(rq, allow);
}

bool mu_front(mu_req *rq)
{
    if (mu_static_answer(rq) || mu_status_answer(rq))
        return true;
    mu_req_prepare(rq);
    if (mu_probe_answer(rq) || mu_openapi_answer(rq))
        return true;
    if (rq->method == MU_GET && mu_same(rq->path, "/readyz") && rq->face == MU_FACE_PAGE) {
        rq->job = MU_JOB_READY;
        return false;
    }
    if (rq->method == MU_GET && mu_same(rq->path, "/metrics") && rq->face == MU_FACE_PAGE) {
        rq->job = MU_JOB_METRICS;
        return false;
    }
    if (rq->method == MU_GET && mu_same(rq->path, "/stream") && rq->face == MU_FACE_JSON) {
        rq->job = MU_JOB_STREAM;
        return false;
    }
    return front_route(rq);
}
