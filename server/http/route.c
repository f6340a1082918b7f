/* The table of routes, compiled once into patterns, and the matcher over the raw path. */
#include <stdlib.h>
#include <string.h>
#include "req.h"

typedef enum { SEG_LITERAL, SEG_REF, SEG_UUID, SEG_INT, SEG_SLUG, SEG_WORD } seg_type;
typedef struct { seg_type type; const char *name, *before, *after; } segment;   /* before, after: fixed text around a parameter */
typedef struct { const mu_route *route; unsigned n; segment seg[MU_SEGMENTS_MAX]; } pattern;

static struct { mu_arena *arena; pattern *rows; size_t count; } table;

static const struct { const char *word; seg_type type; } types[] = {
    { "ref", SEG_REF }, { "uuid", SEG_UUID }, { "int", SEG_INT }, { "slug", SEG_SLUG }, { "word", SEG_WORD },
};

/* "{incident:ref}" or "{token:word}.ics" or plain text. */
static bool parse_segment(mu_arena *arena, const char *text, size_t n, segment *ret)
{
    const char *open = memchr(text, '{', n), *close, *colon;

    if (open == NULL) {
        *ret = (segment){ SEG_LITERAL, NULL, mu_strndup(arena, text, n), "" };
        return n > 0;
    }
    close = memchr(open, '}', n - (size_t)(open - text));
    colon = memchr(open, ':', n - (size_t)(open - text));
    if (close == NULL || colon == NULL || colon > close || colon == open + 1)
        return false;
    ret->before = mu_strndup(arena, text, (size_t)(open - text));
    ret->name = mu_strndup(arena, open + 1, (size_t)(colon - open) - 1);
    ret->after = mu_strndup(arena, close + 1, n - (size_t)(close + 1 - text));
    for (size_t i = 0; i < MU_COUNT(types); i++)
        if (strlen(types[i].word) == (size_t)(close - colon) - 1 && memcmp(types[i].word, colon + 1, (size_t)(close - colon) - 1) == 0) {
            ret->type = types[i].type;
            return true;
        }
    return false;
}

static bool parse_pattern(mu_arena *arena, const mu_route *route, pattern *ret)
{
    const char *at = route->path;
    unsigned params = 0;

    *ret = (pattern){ .route = route };
    if (*at != '/')
        return false;
    while (*at == '/' && at[1] != '\0') {
        const char *end = strchrnul(++at, '/');
        if (ret->n == MU_SEGMENTS_MAX || !parse_segment(arena, at, (size_t)(end - at), &ret->seg[ret->n]))
            return false;
        params += ret->seg[ret->n++].type != SEG_LITERAL;
        at = end;
    }
    return params <= MU_PARAMS_MAX && (*at == '\0' || ret->n == 0);
}

/* Literal text comes before parameters, the narrower type before the wider one. */
static int compare_segments(const segment *a, const segment *b)
{
    int by_text;

    if (a->type != b->type)
        return (int)a->type - (int)b->type;
    by_text = strcmp(b->before, a->before);   /* longer fixed text first */
    return by_text != 0 ? by_text : strcmp(b->after, a->after);
}

static int compare_patterns(const void *left, const void *right)
{
    const pattern *a = left, *b = right;

    if (a->n != b->n)
        return a->n < b->n ? -1 : 1;
    for (unsigned i = 0; i < a->n; i++) {
        const int by = compare_segments(&a->seg[i], &b->seg[i]);
        if (by != 0)
            return by;
    }
    return (int)a->route->method - (int)b->route->method;
}

static mu_err check_row(const mu_route *route, mu_problem *problem)
{
    const bool write = route->method != MU_GET;

    if (route->name == NULL || route->summary == NULL || *route->summary == '\0')
        return mu_failf(problem, MU_INTERNAL, "route %s: no name or no summary", route->path);
    if (route->fn == NULL && route->sql == Q_none)
        return mu_failf(problem, MU_INTERNAL, "route %s: neither a query nor a function", route->name);
    if (!write && route->page[0] != '\0' && !mu_page_exists(route->page))
        return mu_failf(problem, MU_INTERNAL, "route %s: there is no template %s", route->name, route->page);
    if (write && route->page[0] != '\0') {
        const mu_route *page = mu_route_named(route->page);
        if (page == NULL || page->method != MU_GET || page->page[0] == '\0')
            return mu_failf(problem, MU_INTERNAL, "route %s: %s is not the name of a page", route->name, route->page);
    }
    return MU_OK;
}

mu_err mu_routes_build(const mu_route *rows, size_t count, mu_problem *problem)
{
    mu_arena_free(table.arena);
    table.arena = mu_arena_new(0);
    table.rows = mu_alloc(table.arena, (count + 1) * sizeof *table.rows);
    table.count = count;
    for (size_t i = 0; i < count; i++)
        if (!parse_pattern(table.arena, &rows[i], &table.rows[i]))
            return mu_failf(problem, MU_INTERNAL, "route %s: bad path %s", rows[i].name, rows[i].path);
    qsort(table.rows, count, sizeof *table.rows, compare_patterns);
    for (size_t i = 1; i < count; i++)
        if (compare_patterns(&table.rows[i - 1], &table.rows[i]) == 0)
            return mu_failf(problem, MU_INTERNAL, "routes %s and %s match the same requests", table.rows[i - 1].route->name, table.rows[i].route->name);
    for (size_t i = 0; i < count; i++) {
        TRY(check_row(&rows[i], problem));
        for (size_t k = 0; k < i; k++)
            if (mu_same(rows[i].name, rows[k].name))
                return mu_failf(problem, MU_INTERNAL, "two routes are called %s", rows[i].name);
    }
    return MU_OK;
}

const mu_route *mu_route_named(const char *name)
{
    for (size_t i = 0; i < table.count; i++)
        if (mu_same(table.rows[i].route->name, name))
            return table.rows[i].route;
    return NULL;
}

bool mu_path_split(mu_arena *arena, const char *path, const char *segments[MU_SEGMENTS_MAX], unsigned *ret_n)
{
    unsigned n = 0;

    *ret_n = 0;
    if (*path != '/')
        return false;
    while (*path == '/' && path[1] != '\0') {
        const char *end = strchrnul(++path, '/');
        char *text;
        size_t text_n;
        if (n == MU_SEGMENTS_MAX || !mu_url_decode(arena, (mu_slice){ path, (size_t)(end - path) }, false, &text, &text_n))
            return false;
        if (text_n == 0 || strlen(text) != text_n || strchr(text, '/') != NULL || mu_same(text, ".") || mu_same(text, "..") || !mu_utf8_valid(text, text_n))
            return false;
        segments[n++] = text;
        path = end;
    }
    *ret_n = n;
    return true;
}

static bool is_word(const char *text)
{
    const size_t n = strlen(text);

    return n > 0 && n <= 200 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:-") == n;
}

static bool value_fits(seg_type type, const char *value)
{
    int64_t number;

    switch (type) {
    case SEG_REF:     return mu_is_ref(value);
    case SEG_UUID:    return mu_is_uuid(value);
    case SEG_INT:     return mu_parse_int(value, 0, INT64_MAX, &number) && value[0] != '-' && value[0] != '+';
    case SEG_SLUG:    return mu_is_slug(value);
    case SEG_WORD:    return is_word(value);
    case SEG_LITERAL: break;
    }
    return false;
}

/* The parameter's value inside `text`, or NULL. */
static const char *segment_value(mu_arena *arena, const segment *seg, const char *text)
{
    const size_t n = strlen(text), before = strlen(seg->before), after = strlen(seg->after);
    const char *value;

    if (n <= before + after || strncmp(text, seg->before, before) != 0 || strcmp(text + n - after, seg->after) != 0)
        return NULL;
    value = before + after == 0 ? text : mu_strndup(arena, text + before, n - before - after);
    return value_fits(seg->type, value) ? value : NULL;
}

static bool pattern_fits(mu_req *rq, const pattern *row)
{
    if (row->n != rq->segments_n)
        return false;
    for (unsigned i = 0; i < row->n; i++)
        if (row->seg[i].type == SEG_LITERAL && strcmp(row->seg[i].before, rq->segments[i]) != 0)
            return false;
    rq->params_n = 0;
    for (unsigned i = 0; i < row->n; i++) {
        const char *value;
        if (row->seg[i].type == SEG_LITERAL)
            continue;
        if ((value = segment_value(rq->arena, &row->seg[i], rq->segments[i])) == NULL)
            return false;
        rq->param_names[rq->params_n] = row->seg[i].name;
        rq->param_values[rq->params_n++] = value;
    }
    return true;
}

/* Whether the row answers on the face that the path chose. */
static bool face_fits(const mu_req *rq, const mu_route *route)
{
    if (rq->face == MU_FACE_JSON)
        return (route->flags & (MU_R_PAGE_ONLY | MU_R_ROOT)) == 0;
    if ((route->flags & (MU_R_ROOT | MU_R_DOWNLOAD)) != 0)
        return true;
    return (route->flags & MU_R_JSON_ONLY) == 0 && (route->method != MU_GET || route->page[0] != '\0');
}

const mu_route *mu_route_match(mu_req *rq, int method, unsigned *ret_allow)
{
    *ret_allow = 0;
    for (size_t i = 0; i < table.count; i++) {
        const pattern *row = &table.rows[i];
        if (row->n != rq->segments_n || !face_fits(rq, row->route) || !pattern_fits(rq, row))
            continue;
        if ((int)row->route->method == method)
            return row->route;
        *ret_allow |= 1u << row->route->method;
    }
    rq->params_n = 0;
    return NULL;
}

char *mu_route_path(mu_req *rq, const mu_route *route)
{
    char *out = mu_strdup(rq->arena, "");

    for (size_t i = 0; i < table.count; i++) {
        const pattern *row = &table.rows[i];
        if (row->route != route)
            continue;
        for (unsigned k = 0; k < row->n; k++) {
            const char *value = row->seg[k].type == SEG_LITERAL ? "" : mu_path(rq, row->seg[k].name);
            if (value == NULL)
                return NULL;
            out = mu_printf(rq->arena, "%s/%s%s%s", out, row->seg[k].before, value[0] != '\0' ? mu_url_encode(rq->arena, value) : "", row->seg[k].after);
        }
        return row->n == 0 ? mu_strdup(rq->arena, "/") : out;
    }
    return NULL;
}

const char *mu_role_word(mu_role role)
{
    switch (role) {
    case MU_ROLE_PUBLIC:    return "public";
    case MU_ROLE_ANY:       return "any";
    case MU_ROLE_VIEWER:    return "viewer";
    case MU_ROLE_RESPONDER: return "responder";
    case MU_ROLE_COMMANDER: return "commander";
    case MU_ROLE_RISK:      return "risk";
    case MU_ROLE_APPROVER:  return "approver";
    case MU_ROLE_AUDITOR:   return "auditor";
    case MU_ROLE_ADMIN:     return "admin";
    }
    return "";
}
