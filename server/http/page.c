/* Templates: parsed once, rendered with the document of a query and the members that belong to the frame. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "assets.h"
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "json.h"
#include "log.h"
#include "mustache.h"
#include "req.h"
#include "words.h"

static struct { mu_arena *arena; mu_template **by_asset; const char *from_disk; } pages;

typedef struct { mu_arena *arena; unsigned depth; } on_disk;   /* development: where templates read from disk live */

static bool is_template(const char *path)
{
    const char *dot = strrchr(path, '.');

    return strncmp(path, "web/", 4) == 0 && strncmp(path, "web/mail/", 9) != 0 && dot != NULL
        && (mu_same(dot, ".html") || mu_same(dot, ".atom") || mu_same(dot, ".rss") || mu_same(dot, ".txt"));
}

mu_err mu_pages_start(mu_problem *problem)
{
    mu_arena_free(pages.arena);
    pages.arena = mu_arena_new(64u << 20);
    pages.by_asset = mu_alloc(pages.arena, (mu_assets_count + 1) * sizeof *pages.by_asset);
    pages.from_disk = mu_conf_text(MU_CONF_WEB_DIR)[0] != '\0' ? mu_conf_text(MU_CONF_WEB_DIR) : NULL;
    for (size_t i = 0; i < mu_assets_count; i++) {
        const mu_asset *asset = &mu_assets[i];
        if (!is_template(asset->path))
            continue;
        mu_err err = mu_template_parse(pages.arena, asset->raw, asset->raw_n, 0, problem, &pages.by_asset[i]);
        if (err != MU_OK) {
            mu_log(MU_LOG_ERROR, "page.template", "file=%s detail=\"%s\"", asset->path, problem->detail != NULL ? problem->detail : "");
            return err;
        }
    }
    return MU_OK;
}

static void path_of(const char *name, char *ret, size_t size)
{
    snprintf(ret, size, "web/%s%s", name, strchr(name, '.') != NULL ? "" : ".html");
}

/* Development only: reads and parses a template at every use. */
static const mu_template *from_disk(mu_arena *arena, const char *path)
{
    mu_problem problem = { .arena = arena };
    mu_template *tpl = NULL;
    FILE *file = fopen(mu_printf(arena, "%s/%s", pages.from_disk, path + 4), "re");
    char *text;
    size_t n;

    if (file == NULL)
        return NULL;
    text = mu_alloc(arena, 512 * 1024);
    n = fread(text, 1, 512 * 1024 - 1, file);
    fclose(file);
    if (mu_template_parse(arena, text, n, 0, &problem, &tpl) != MU_OK) {
        mu_log(MU_LOG_ERROR, "page.template", "file=%s detail=\"%s\"", path, problem.detail != NULL ? problem.detail : "");
        return NULL;
    }
    return tpl;
}

static const mu_template *find(mu_arena *disk_arena, const char *name)
{
    char path[128];
    const mu_asset *asset;

    path_of(name, path, sizeof path);
    if (pages.from_disk != NULL && disk_arena != NULL) {
        const mu_template *tpl = from_disk(disk_arena, path);
        if (tpl != NULL)
            return tpl;
    }
    asset = mu_asset_find(path);
    return asset != NULL && pages.by_asset != NULL ? pages.by_asset[asset - mu_assets] : NULL;
}

bool mu_page_exists(const char *name)
{
    return find(NULL, name) != NULL;
}

/* "_timeline" and "timeline" both mean web/_timeline.html. */
static const mu_template *partial(void *closure, const char *name)
{
    const on_disk *disk = closure;
    const mu_template *tpl = find(disk->arena, name);
    char with_mark[96];

    if (tpl == NULL && name[0] != '_') {
        snprintf(with_mark, sizeof with_mark, "_%s", name);
        tpl = find(disk->arena, with_mark);
    }
    return tpl;
}

mu_err mu_page_render(const char *name, const json_t *model, const char *language, mu_buf *out, mu_problem *problem)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = pages.from_disk != NULL ? mu_arena_new(64u << 20) : NULL;
    on_disk disk = { arena, 0 };
    mu_instant now = mu_wall_now();
    const char *clock = mu_json_str(model, "now");
    const mu_template *tpl = find(arena, name);

    if (tpl == NULL)
        return mu_failf(problem, MU_NOT_FOUND, "no template %s", name);
    if (clock != NULL)
        (void)mu_time_parse(clock, &now);   /* the domain's clock, when the document has it */
    return mu_template_render(tpl, model, &(mu_render){ .language = language, .word = mu_word, .partial = partial, .closure = &disk, .now = now }, out);
}

/* Adds /static/NAME.HASH.EXT for every file of web/ that a browser loads. */
static json_t *asset_urls(void)
{
    json_t *out = json_object(), *js = json_object();

    for (size_t i = 0; i < mu_assets_count; i++) {
        const char *path = mu_assets[i].path, *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path, *dot = strrchr(base, '.');
        char name[64];
        if (strncmp(path, "web/", 4) != 0 || strncmp(path, "web/mail/", 9) == 0 || strncmp(path, "web/docx/", 9) == 0 || dot == NULL || is_template(path) || (size_t)(dot - base) >= sizeof name)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - base), base);
        if (mu_same(dot, ".js"))
            json_object_set_new(js, name, json_string(mu_page_asset(path + 4)));
        else if (mu_same(base, "app.css"))
            json_object_set_new(out, "css", json_string(mu_page_asset(path + 4)));
        else
            json_object_set_new(out, mu_same(dot, ".css") ? mu_same(name, "status") ? "status_css" : name : name, json_string(mu_page_asset(path + 4)));
    }
    json_object_set_new(out, "js", js);
    return out;
}

json_t *mu_page_assets(void)
{
    static json_t *kept;   /* made before the threads start; only read afterwards */

    if (kept == NULL)
        kept = asset_urls();
    return kept;
}

static void set_text(json_t *object, const char *name, const char *value)
{
    if (value != NULL)
        json_object_set_new(object, name, json_string(value));
}

static json_t *one_true(const char *name)
{
    json_t *out = json_object();

    if (name != NULL)
        json_object_set_new(out, name, json_true());
    return out;
}

static const char *theme_of(mu_req *rq)
{
    const char *theme = mu_cookie(rq->arena, mu_header(rq, "Cookie"), "theme");

    return theme != NULL && mu_is_slug(theme) ? theme : NULL;
}

static const char *refresh_of(mu_req *rq)
{
    const char *at = strstr(rq->query_text, "refresh=");
    int64_t seconds;

    if (at == NULL || !mu_parse_int(mu_strndup(rq->arena, at + 8, strcspn(at + 8, "&")), 5, 3600, &seconds))
        return NULL;
    return mu_printf(rq->arena, "%lld", (long long)seconds);
}

/* The path for links on a page. "//host" and "/\\host" are links to another host: a page of ours must not lead there. */
static const char *link_path(const mu_req *rq)
{
    return rq->path[0] == '/' && (rq->path[1] == '/' || rq->path[1] == '\\') ? "/" : rq->path;
}

/* The address without one name of its query string, ready to have a name appended. */
static const char *address_without(mu_req *rq, const char *name)
{
    const size_t n = strlen(name);
    const char *out = mu_printf(rq->arena, "%s?", link_path(rq));

    for (const char *at = rq->query_text; *at != '\0';) {
        const char *end = strchrnul(at, '&');
        if (end > at && !(strncmp(at, name, n) == 0 && at[n] == '='))
            out = mu_printf(rq->arena, "%s%.*s&", out, (int)(end - at), at);
        at = *end == '&' ? end + 1 : end;
    }
    return out;
}

const char *mu_page_next(mu_req *rq)
{
    if (rq->answer.next == NULL || rq->answer.next[0] == '\0')
        return NULL;
    return mu_printf(rq->arena, "%scursor=%s", address_without(rq, "cursor"), mu_cursor_sign(rq->arena, rq->route->name, rq->answer.next));
}

/* The settings page has the word, in both languages; before anybody is known, and without it, the configuration has. */
static json_t *site_name(const mu_req *rq)
{
    json_t *name = rq->site != NULL ? json_loads(rq->site, JSON_DECODE_ANY, NULL) : NULL;

    return name != NULL ? name : json_string(mu_conf_text(MU_CONF_SITE_NAME));
}

json_t *mu_page_ui(mu_req *rq)
{
    json_t *ui = json_object();
    const char *route = rq->route != NULL ? rq->route->name : NULL;

    if (rq->fresh_key[0] == '\0')
        snprintf(rq->fresh_key, sizeof rq->fresh_key, "%s", mu_uuid7(rq->arena));
    set_text(ui, "lang", rq->language);
    json_object_set_new(ui, "lang_zh", json_boolean(mu_same(rq->language, "zh")));
    json_object_set_new(ui, "lang_en", json_boolean(mu_same(rq->language, "en")));
    set_text(ui, "csrf", mu_auth_form_token(rq));
    set_text(ui, "key", rq->fresh_key);
    set_text(ui, "path", link_path(rq));
    set_text(ui, "url_here", rq->query_text[0] != '\0' ? mu_printf(rq->arena, "%s?%s", link_path(rq), rq->query_text) : link_path(rq));
    set_text(ui, "url_zh", mu_printf(rq->arena, "%slang=zh", address_without(rq, "lang")));
    set_text(ui, "url_en", mu_printf(rq->arena, "%slang=en", address_without(rq, "lang")));
    set_text(ui, "route", route);
    json_object_set_new(ui, "is", one_true(route));
    set_text(ui, "request_id", rq->id);
    snprintf(rq->now, sizeof rq->now, "%s", mu_time_format(rq->arena, mu_wall_now()));
    set_text(ui, "now", rq->now);
    json_object_set_new(ui, "site_name", site_name(rq));
    set_text(ui, "theme", theme_of(rq));
    json_object_set(ui, "assets", mu_page_assets());
    json_object_set_new(ui, "nav", one_true(rq->segments_n == 0 ? "home" : rq->segments[0]));
    set_text(ui, "refresh", refresh_of(rq));
    set_text(ui, "etag", rq->answer.etag);
    set_text(ui, "next_url", mu_page_next(rq));
    set_text(ui, "part", rq->part);
    return ui;
}

/* A word with its {placeholders} filled in; the key itself when there is no such word. */
char *mu_text(mu_arena *arena, const char *language, const char *key, const char *const *args)
{
    const char *word = mu_word(language, key);
    MU_CLEAN(mu_buf_free) mu_buf out = MU_BUF(16384);

    for (const char *at = word != NULL ? word : key; *at != '\0';) {
        const char *open = strchrnul(at, '{'), *close = *open == '{' ? strchr(open, '}') : NULL, *value = NULL;
        (void)mu_buf_add(&out, at, (size_t)(open - at));
        if (close == NULL) {
            (void)mu_buf_adds(&out, open);
            break;
        }
        for (size_t i = 0; args != NULL && args[i] != NULL && args[i + 1] != NULL && value == NULL; i += 2)
            if (strlen(args[i]) == (size_t)(close - open) - 1 && memcmp(args[i], open + 1, (size_t)(close - open) - 1) == 0)
                value = args[i + 1];
        if (value != NULL)
            (void)mu_buf_adds(&out, value);
        else
            (void)mu_buf_add(&out, open, (size_t)(close - open) + 1);
        at = close + 1;
    }
    return mu_strdup(arena, out.at != NULL ? out.at : "");
}
