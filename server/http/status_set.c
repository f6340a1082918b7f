/* From a snapshot to finished responses and files. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "log.h"
#include "status_set.h"

#define HTML "text/html; charset=utf-8"

static char *zip(const char *bytes, size_t n, size_t *ret_n)
{
    z_stream z = { 0 };
    const size_t most = n + n / 1000 + 64;
    char *out = malloc(most);

    if (out == NULL || deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(out);
        return NULL;
    }
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)most;
    const bool done = deflate(&z, Z_FINISH) == Z_STREAM_END;
    *ret_n = z.total_out;
    deflateEnd(&z);
    if (!done || *ret_n >= n) {
        free(out);
        return NULL;
    }
    return out;
}

static struct MHD_Response *response_of(const mu_status_item *it, void *bytes, size_t n, enum MHD_ResponseMemoryMode mode, bool gzip)
{
    struct MHD_Response *out = MHD_create_response_from_buffer(n, bytes, mode);

    if (out == NULL)
        abort();
    mu_head_fields(out, it->kind);
    MHD_add_response_header(out, "Content-Type", it->media);
    if (gzip)
        MHD_add_response_header(out, "Content-Encoding", "gzip");
    if (it->language[0] != '\0')
        MHD_add_response_header(out, "Content-Language", strcmp(it->language, "zh") == 0 ? "zh-CN" : "en");
    MHD_add_response_header(out, "Vary", it->language[0] != '\0' ? "Accept-Encoding, Accept-Language, Cookie" : "Accept-Encoding");
    MHD_add_response_header(out, "ETag", it->etag);
    MHD_add_response_header(out, "Cache-Control", it->status == 200 ? "public, max-age=15, stale-if-error=86400" : "no-store");
    if (it->status == 503)
        MHD_add_response_header(out, "Retry-After", "10");
    return out;
}

/* Characters that XML 1.0 forbids; alert texts do contain them. */
static size_t without_controls(char *text, size_t n)
{
    size_t out = 0;

    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] >= 32 || text[i] == '\t' || text[i] == '\n' || text[i] == '\r')
            text[out++] = text[i];
    text[out] = '\0';
    return out;
}

/* Takes over `bytes` (malloc). */
static void add_item(mu_status_set *to, const char *path, const char *file, const char *language, const char *media, mu_head_kind kind, int code, char *bytes, size_t n)
{
    mu_status_item *it = &to->items[to->n];
    char *packed;
    size_t packed_n;
    uint8_t sum[32];

    if (to->n == MU_STATUS_ITEMS_MAX) {
        free(bytes);
        return;
    }
    to->n++;
    n = without_controls(bytes, n);
    *it = (mu_status_item){ .media = media, .bytes = bytes, .n = n, .status = code, .kind = kind };
    snprintf(it->path, sizeof it->path, "%s", path);
    snprintf(it->file, sizeof it->file, "%s", file);
    snprintf(it->language, sizeof it->language, "%s", language);
    mu_sha256(bytes, n, sum);
    it->etag[0] = '"';
    for (int i = 0; i < 12; i++)
        snprintf(it->etag + 1 + 2 * i, 3, "%02x", sum[i]);
    memcpy(it->etag + 25, "\"", 2);
    packed = zip(bytes, n, &packed_n);
    it->plain = response_of(it, bytes, n, MHD_RESPMEM_MUST_FREE, false);
    it->gzip = packed != NULL ? response_of(it, packed, packed_n, MHD_RESPMEM_MUST_FREE, true) : NULL;
    it->same = response_of(it, (void *)(uintptr_t)"", 0, MHD_RESPMEM_PERSISTENT, false);
}

void mu_status_free(mu_status_set *s)
{
    for (unsigned i = 0; s != NULL && i < s->n; i++) {
        MHD_destroy_response(s->items[i].plain);
        if (s->items[i].gzip != NULL)
            MHD_destroy_response(s->items[i].gzip);
        MHD_destroy_response(s->items[i].same);
    }
    free(s);
}

static json_t *ui_of(mu_arena *arena, const char *language, const char *route, const char *path)
{
    const bool zh = strcmp(language, "zh") == 0;
    json_t *ui = json_pack("{s:s,s:b,s:b,s:s,s:s,s:s,s:s,s:s,s:b,s:{s:b}}", "lang", language, "lang_zh", zh, "lang_en", !zh, "path", path,
        "url_zh", mu_printf(arena, "%s?lang=zh", path), "url_en", mu_printf(arena, "%s?lang=en", path), "route", route,
        "now", mu_time_format(arena, mu_wall_now()), "public", 1, "is", route, 1);

    json_object_set_new(ui, "site_name", json_string(mu_conf_text(MU_CONF_SITE_NAME)));
    json_object_set(ui, "assets", mu_page_assets());
    json_object_set_new(ui, "base_url", json_string(mu_conf_text(MU_CONF_HTTP_PUBLIC_URL)));
    return ui;
}

/* `stem` and `ext` make the file's name: stem.LANGUAGE.ext. */
typedef struct { const char *template, *path, *stem, *ext, *media; } page;

static void add_page(mu_status_set *to, mu_arena *arena, const json_t *document, const page *p, const char *language, int code, const json_t *stale)
{
    mu_problem problem = { .arena = arena };
    mu_buf out = MU_BUF(MU_STATUS_BYTES_MAX);
    json_t *model = json_copy((json_t *)(uintptr_t)document);

    json_object_set_new(model, "ui", ui_of(arena, language, p->template, p->path));
    if (stale != NULL)
        json_object_set(model, "stale", (json_t *)(uintptr_t)stale);
    if (mu_page_render(p->template, model, language, &out, &problem) == MU_OK && out.n > 0) {
        const size_t n = out.n;
        char *bytes = mu_buf_take(&out);
        add_item(to, p->path, mu_printf(arena, "%s.%s.%s", p->stem, language, p->ext), language, p->media,
                 strcmp(p->ext, "html") == 0 ? MU_HEAD_STATUS : MU_HEAD_OPEN, code, bytes, n);
    } else {
        mu_log(MU_LOG_ERROR, "status.render", "template=%s language=%s detail=\"%s\"", p->template, language, problem.detail != NULL ? problem.detail : mu_err_code(problem.code));
        mu_buf_free(&out);
    }
    json_decref(model);
}

static void add_both(mu_status_set *to, mu_arena *arena, const json_t *document, const page *p, int code, const json_t *stale)
{
    if (!mu_page_exists(p->template))
        return;
    add_page(to, arena, document, p, "zh", code, stale);
    add_page(to, arena, document, p, "en", code, stale);
}

/* A page for each incident of the feed, so that the links of the status page work while the database is away. */
static void add_incidents(mu_status_set *to, mu_arena *arena, const json_t *snapshot, int code, const json_t *stale)
{
    json_t *entries = json_object_get(json_object_get(snapshot, "feed"), "entries"), *entry;
    size_t i;

    json_array_foreach(entries, i, entry) {
        const char *name = json_string_value(json_object_get(entry, "code"));
        json_t *document;
        if (name == NULL || strlen(name) > 40 || strpbrk(name, "/.%?#") != NULL)
            continue;
        document = json_copy(entry);
        json_object_set(document, "site", json_object_get(snapshot, "site"));
        add_both(to, arena, document, &(page){ "status_incident", mu_printf(arena, "/status/incidents/%s", name), mu_printf(arena, "status/incidents/%s/index", name),
                                               "html", HTML }, code, stale);
        json_decref(document);
    }
}

static void add_documents(mu_status_set *to, const json_t *snapshot, int code)
{
    json_t *documents = json_object_get(snapshot, "documents"), *document;
    const char *name;

    json_object_foreach(documents, name, document) {
        char path[64], file[64], *text = json_dumps(document, JSON_COMPACT);
        if (text == NULL || strstr(name, "..") != NULL) {
            free(text);
            continue;
        }
        snprintf(path, sizeof path, "/api/v2/%.48s", name);
        snprintf(file, sizeof file, "api/v2/%.48s", name);
        add_item(to, path, file, "", "application/json; charset=utf-8", MU_HEAD_OPEN, code, text, strlen(text));
    }
}

mu_status_set *mu_status_make(mu_arena *arena, const json_t *snapshot, int code, const json_t *stale)
{
    static const page pages[] = {
        { "status", "/status", "status/index", "html", HTML },
        { "status_history", "/status/history", "status/history/index", "html", HTML },
        { "history.atom", "/history.atom", "history", "atom", "application/atom+xml; charset=utf-8" },
        { "history.rss", "/history.rss", "history", "rss", "application/rss+xml; charset=utf-8" },
    };
    mu_status_set *out = calloc(1, sizeof *out);

    if (out == NULL)
        abort();
    for (size_t i = 0; i < MU_COUNT(pages); i++)
        add_both(out, arena, snapshot, &pages[i], code, stale);
    add_documents(out, snapshot, code);
    add_incidents(out, arena, snapshot, code, stale);
    return out;
}

/* Whether the file holds just these bytes already. */
static bool is_same(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "re");
    char *text = file != NULL ? malloc(n + 1) : NULL;
    const bool same = text != NULL && fread(text, 1, n + 1, file) == n && memcmp(text, bytes, n) == 0;

    free(text);
    if (file != NULL)
        fclose(file);
    return same;
}

bool mu_status_write_file(const char *folder, const char *name, const char *bytes, size_t n)
{
    char path[1024], temporary[1040];
    FILE *file;
    bool good;

    snprintf(path, sizeof path, "%s/%s", folder, name);
    for (char *at = path + strlen(folder) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        (void)mkdir(path, 0755);
        *at = '/';
    }
    if (is_same(path, bytes, n))
        return true;
    snprintf(temporary, sizeof temporary, "%s.new", path);
    file = fopen(temporary, "we");
    if (file == NULL)
        return false;
    good = fwrite(bytes, 1, n, file) == n && fflush(file) == 0 && fsync(fileno(file)) == 0;
    good = fclose(file) == 0 && good;
    return good && rename(temporary, path) == 0;
}

bool mu_status_write(const char *folder, const mu_status_set *s)
{
    const char *main = mu_conf_text(MU_CONF_SITE_LANGUAGE);
    bool good = true;

    (void)mkdir(folder, 0755);
    for (unsigned i = 0; i < s->n; i++) {
        const mu_status_item *it = &s->items[i];
        const char *mark;
        char plain[sizeof it->file];
        good = mu_status_write_file(folder, it->file, it->bytes, it->n) && good;
        if (strcmp(it->language, main) != 0)
            continue;
        /* The site's own language also under the name without a language. */
        mark = strrchr(it->file, '.') - strlen(it->language) - 1;
        snprintf(plain, sizeof plain, "%.*s%s", (int)(mark - it->file), it->file, strrchr(it->file, '.'));
        good = mu_status_write_file(folder, plain, it->bytes, it->n) && good;
        if (strcmp(it->path, "/status") == 0)
            good = mu_status_write_file(folder, "index.html", it->bytes, it->n) && good;
    }
    return good;
}
