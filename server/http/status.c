/* The public status page, its JSON and its feeds: rendered once per change into finished responses, which the HTTP thread
 * gives out without a queue, a query or a copy. A copy on disk is what a start without a database serves; and while the
 * database is away the page says how old it is. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>
#include "assets.h"
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "json.h"
#include "log.h"
#include "req.h"

#define POLL_S      30
#define STALE_MS    60000
#define KEEP_MS     60000
#define PAGE_MAX    (8u << 20)
#define ITEMS_MAX   32
#define SNAPSHOT    "snapshot.json"

/* One thing to give out. language "" means the same for every reader. */
typedef struct {
    char  path[64], file[64], language[4];
    const char *media;
    char *bytes;
    size_t n;
    int   status;
    mu_head_kind kind;
    char  etag[40];
    struct MHD_Response *plain, *gzip, *same;
} item;

typedef struct { item items[ITEMS_MAX]; unsigned n; } set;

static struct {
    pthread_t thread;
    bool      running;
    pthread_mutex_t lock;
    pthread_cond_t  poked;
    bool      poke, stopping;
    _Atomic(set *) fresh;       /* made by the refresher, taken over by the HTTP thread */
    set      *shown;            /* HTTP thread only */
    char     *folder;
    /* the refresher's own */
    char     *document;         /* the last good snapshot */
    char      digest[65];
    int64_t   good_ms;          /* when it was last known to be true; 0: it came from disk */
    int64_t   stale_made_ms, kept_ms;
    bool      stale;
} status = { .lock = PTHREAD_MUTEX_INITIALIZER, .poked = PTHREAD_COND_INITIALIZER };

/* ---- making a set ---- */

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

static struct MHD_Response *response_of(const item *it, void *bytes, size_t n, enum MHD_ResponseMemoryMode mode, bool gzip)
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
static void add_item(set *to, const char *path, const char *file, const char *language, const char *media, mu_head_kind kind, int code, char *bytes, size_t n)
{
    item *it = &to->items[to->n];
    char *packed;
    size_t packed_n;
    uint8_t sum[32];

    if (to->n == ITEMS_MAX) {
        free(bytes);
        return;
    }
    to->n++;
    n = without_controls(bytes, n);
    *it = (item){ .media = media, .bytes = bytes, .n = n, .status = code, .kind = kind };
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

static void free_set(set *s)
{
    for (unsigned i = 0; s != NULL && i < s->n; i++) {
        MHD_destroy_response(s->items[i].plain);
        if (s->items[i].gzip != NULL)
            MHD_destroy_response(s->items[i].gzip);
        MHD_destroy_response(s->items[i].same);
    }
    free(s);
}

static json_t *ui_of(mu_arena *arena, const char *language)
{
    const bool zh = strcmp(language, "zh") == 0;
    json_t *ui = json_pack("{s:s,s:b,s:b,s:s,s:s,s:s,s:s,s:s,s:b,s:{s:b}}", "lang", language, "lang_zh", zh, "lang_en", !zh, "path", "/status",
        "url_zh", "/status?lang=zh", "url_en", "/status?lang=en", "route", "status", "now", mu_time_format(arena, mu_wall_now()), "public", 1, "is", "status", 1);

    json_object_set_new(ui, "site_name", json_string(mu_conf_text(MU_CONF_SITE_NAME)));
    json_object_set(ui, "assets", mu_page_assets());
    json_object_set_new(ui, "base_url", json_string(mu_conf_text(MU_CONF_HTTP_PUBLIC_URL)));
    return ui;
}

static void add_page(set *to, mu_arena *arena, const json_t *snapshot, const char *template, const char *path, const char *file, const char *language,
                     const char *media, int code, const json_t *stale)
{
    mu_problem problem = { .arena = arena };
    mu_buf out = MU_BUF(PAGE_MAX);
    json_t *model = json_copy((json_t *)(uintptr_t)snapshot);

    json_object_set_new(model, "ui", ui_of(arena, language));
    if (stale != NULL)
        json_object_set(model, "stale", (json_t *)(uintptr_t)stale);
    if (mu_page_render(template, model, language, &out, &problem) == MU_OK && out.n > 0) {
        const size_t n = out.n;
        char *bytes = mu_buf_take(&out);
        add_item(to, path, file, language, media, strcmp(template, "status") == 0 ? MU_HEAD_STATUS : MU_HEAD_OPEN, code, bytes, n);
    } else {
        mu_log(MU_LOG_ERROR, "status.render", "template=%s language=%s detail=\"%s\"", template, language, problem.detail != NULL ? problem.detail : mu_err_code(problem.code));
        mu_buf_free(&out);
    }
    json_decref(model);
}

static void add_documents(set *to, const json_t *snapshot, int code)
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

static set *make_set(mu_arena *arena, const json_t *snapshot, int code, const json_t *stale)
{
    static const struct { const char *template, *path, *file, *media; } pages[] = {
        { "status", "/status", "status", "text/html; charset=utf-8" },
        { "history.atom", "/history.atom", "history", "application/atom+xml; charset=utf-8" },
        { "history.rss", "/history.rss", "history", "application/rss+xml; charset=utf-8" },
    };
    static const char *const languages[] = { "zh", "en" };
    set *out = calloc(1, sizeof *out);

    if (out == NULL)
        abort();
    for (size_t i = 0; i < MU_COUNT(pages); i++)
        for (size_t k = 0; k < MU_COUNT(languages) && mu_page_exists(pages[i].template); k++) {
            const char *ext = i == 0 ? "html" : strchr(pages[i].template, '.') + 1;
            add_page(out, arena, snapshot, pages[i].template, pages[i].path, mu_printf(arena, "%s.%s.%s", pages[i].file, languages[k], ext),
                     languages[k], pages[i].media, code, stale);
        }
    add_documents(out, snapshot, code);
    return out;
}

static void publish(set *fresh)
{
    free_set(atomic_exchange(&status.fresh, fresh));
}

/* ---- disk ---- */

static bool write_file(const char *folder, const char *name, const char *bytes, size_t n)
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
    snprintf(temporary, sizeof temporary, "%s.new", path);
    file = fopen(temporary, "we");
    if (file == NULL)
        return false;
    good = fwrite(bytes, 1, n, file) == n && fflush(file) == 0 && fsync(fileno(file)) == 0;
    good = fclose(file) == 0 && good;
    return good && rename(temporary, path) == 0;
}

static bool write_set(const char *folder, const set *s)
{
    const char *main = mu_conf_text(MU_CONF_SITE_LANGUAGE);
    bool good = true;

    (void)mkdir(folder, 0755);
    for (unsigned i = 0; i < s->n; i++) {
        const item *it = &s->items[i];
        good = write_file(folder, it->file, it->bytes, it->n) && good;
        if (strcmp(it->language, main) == 0)   /* the site's own language also under the plain name */
            good = write_file(folder, strcmp(it->path, "/status") == 0 ? "index.html" : it->path + 1, it->bytes, it->n) && good;
    }
    return good;
}

static char *read_snapshot(const char *folder)
{
    char path[1024];
    FILE *file;
    char *text;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", folder, SNAPSHOT);
    if ((file = fopen(path, "re")) == NULL || (text = malloc(PAGE_MAX)) == NULL) {
        if (file != NULL)
            fclose(file);
        return NULL;
    }
    n = fread(text, 1, PAGE_MAX - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

/* ---- refreshing ---- */

/* What it says without when it was asked: the same digest means that nothing has to be rendered. */
static void digest_of(mu_arena *arena, json_t *snapshot, char ret[65])
{
    json_t *at = json_incref(json_object_get(snapshot, "generated_at"));
    char *text;

    json_object_del(snapshot, "generated_at");
    text = json_dumps(snapshot, JSON_COMPACT | JSON_SORT_KEYS);
    snprintf(ret, 65, "%s", text != NULL ? mu_sha256_hex(arena, text, strlen(text)) : "");
    free(text);
    if (at != NULL)
        json_object_set_new(snapshot, "generated_at", at);
}

static mu_err fetch(mu_db *db, mu_arena *arena, mu_problem *problem, const char **ret)
{
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err;

    TRY(mu_tx_begin(db, arena, problem, &tx));
    err = mu_one(tx, Q_status_snapshot, NO_ARGS, &rows);
    if (err == MU_OK)
        err = mu_commit(tx);
    if (err != MU_OK) {
        mu_rollback(tx);
        return err;
    }
    *ret = mu_col(rows, "body");
    return *ret != NULL ? MU_OK : mu_failf(problem, MU_INTERNAL, "the status snapshot is empty");
}

static void take_good(mu_arena *arena, const char *text)
{
    json_t *snapshot = json_loads(text, 0, NULL);
    char digest[65];
    set *made;

    if (!json_is_object(snapshot)) {
        json_decref(snapshot);
        mu_log(MU_LOG_ERROR, "status.snapshot", "detail=\"not an object\"");
        return;
    }
    digest_of(arena, snapshot, digest);
    status.good_ms = mu_monotonic_ms();
    if (strcmp(digest, status.digest) != 0 || status.stale) {
        made = make_set(arena, snapshot, 200, NULL);
        if (!write_set(status.folder, made))
            mu_log(MU_LOG_WARN, "status.disk", "folder=\"%s\" errno=%d", status.folder, errno);
        publish(made);
        status.kept_ms = 0;
        snprintf(status.digest, sizeof status.digest, "%s", digest);
        status.stale = false;
    }
    /* Also without a change now and then, so that a later start without a database knows how long ago this was true. */
    if (status.kept_ms == 0 || status.good_ms - status.kept_ms > KEEP_MS) {
        status.kept_ms = status.good_ms;
        if (!write_file(status.folder, SNAPSHOT, text, strlen(text)))
            mu_log(MU_LOG_WARN, "status.disk", "folder=\"%s\" errno=%d", status.folder, errno);
    }
    free(status.document);
    status.document = strdup(text);
    json_decref(snapshot);
}

/* The last good document again, with its age; once a minute, for the age to be right. */
static void show_stale(mu_arena *arena)
{
    json_t *snapshot = status.document != NULL ? json_loads(status.document, 0, NULL) : json_pack("{s:b}", "unknown", 1), *stale;
    const char *since = mu_json_str(snapshot, "generated_at");
    const int64_t now = mu_monotonic_ms();
    mu_instant at;

    if (status.stale && now - status.stale_made_ms < 60000) {
        json_decref(snapshot);
        return;
    }
    stale = json_object();
    if (since != NULL && mu_time_parse(since, &at)) {
        json_object_set_new(stale, "since", json_string(since));
        json_object_set_new(stale, "minutes", json_integer((mu_wall_now() - at) / (60 * MU_SECOND)));
        json_object_set_new(stale, "seconds", json_integer((mu_wall_now() - at) / MU_SECOND));
    }
    publish(make_set(arena, snapshot, status.document != NULL ? 200 : 503, stale));
    status.stale = true;
    status.stale_made_ms = now;
    json_decref(stale);
    json_decref(snapshot);
}

static void refresh(mu_db *db)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(64u << 20);
    mu_problem problem = { .arena = arena };
    const char *text;

    if (fetch(db, arena, &problem, &text) == MU_OK) {
        take_good(arena, text);
        return;
    }
    mu_log(status.stale ? MU_LOG_DEBUG : MU_LOG_WARN, "status.refresh", "code=%s detail=\"%s\"", mu_err_code(problem.code), problem.detail != NULL ? problem.detail : "");
    if (status.good_ms == 0 || mu_monotonic_ms() - status.good_ms > STALE_MS)
        show_stale(arena);
}

/* Woken by a hint, otherwise every half minute, or every two seconds while the database is away. Hints that come together
 * make one refresh. */
static bool wait_for_reason(void)
{
    struct timespec until;
    bool go_on;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += status.good_ms == 0 || status.stale || mu_monotonic_ms() - status.good_ms > (POLL_S + 5) * 1000 ? 2 : POLL_S;
    pthread_mutex_lock(&status.lock);
    while (!status.poke && !status.stopping && pthread_cond_timedwait(&status.poked, &status.lock, &until) == 0)
        continue;
    if (status.poke && !status.stopping) {
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        while (!status.stopping && pthread_cond_timedwait(&status.poked, &status.lock, &until) == 0)
            continue;
    }
    status.poke = false;
    go_on = !status.stopping;
    pthread_mutex_unlock(&status.lock);
    return go_on;
}

static void *refresher(void *unused)
{
    mu_db *db;

    (void)unused;
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(64u << 20);
    status.document = read_snapshot(status.folder);
    if (status.document != NULL)
        show_stale(arena);   /* something at once; the database is asked next */
    db = mu_db_new(mu_setup.url, "muster status");
    do
        refresh(db);
    while (wait_for_reason());
    mu_db_close(db);
    return NULL;
}

void mu_status_poke(void)
{
    pthread_mutex_lock(&status.lock);
    status.poke = true;
    pthread_cond_signal(&status.poked);
    pthread_mutex_unlock(&status.lock);
}

mu_err mu_status_start(const mu_http_setup *setup, mu_problem *problem)
{
    const char *folder = mu_conf_text(MU_CONF_STATUS_DIR);

    if (asprintf(&status.folder, "%s%s", folder[0] != '\0' ? folder : setup->data_dir, folder[0] != '\0' ? "" : "/status") < 0)
        abort();
    status.stopping = false;
    if (pthread_create(&status.thread, NULL, refresher, NULL) != 0)
        return mu_failf(problem, MU_INTERNAL, "the status thread did not start");
    status.running = true;
    return MU_OK;
}

void mu_status_stop(void)
{
    if (!status.running)
        return;
    pthread_mutex_lock(&status.lock);
    status.stopping = true;
    pthread_cond_signal(&status.poked);
    pthread_mutex_unlock(&status.lock);
    pthread_join(status.thread, NULL);
    status.running = false;
    free_set(atomic_exchange(&status.fresh, NULL));
    free_set(status.shown);
    status.shown = NULL;
    free(status.document);
    free(status.folder);
    status.document = status.folder = NULL;
}

/* ---- export ---- */

mu_err mu_status_export(const char *url, const char *folder, mu_problem *problem)
{
    mu_db *db = mu_db_new(url, "muster export");
    const char *text = NULL;
    json_t *snapshot;
    set *made;
    bool good;
    mu_err err;

    err = fetch(db, problem->arena, problem, &text);
    mu_db_close(db);
    TRY(err);
    TRY(mu_static_start(problem));
    TRY(mu_pages_start(problem));
    snapshot = json_loads(text, 0, NULL);
    if (!json_is_object(snapshot)) {
        json_decref(snapshot);
        return mu_failf(problem, MU_INTERNAL, "the status snapshot is not an object");
    }
    made = make_set(problem->arena, snapshot, 200, NULL);
    good = write_set(folder, made);
    for (size_t i = 0; i < mu_assets_count && good; i++) {
        const char *address = strncmp(mu_assets[i].path, "web/", 4) == 0 ? mu_page_asset(mu_assets[i].path + 4) : "";
        if (mu_starts(address, "/static/") && strstr(mu_assets[i].path, ".js") == NULL)
            good = write_file(folder, address + 1, mu_assets[i].raw, mu_assets[i].raw_n);
    }
    free_set(made);
    json_decref(snapshot);
    return good ? MU_OK : mu_failf(problem, MU_INTERNAL, "cannot write below %s: errno %d", folder, errno);
}

/* ---- answering, on the HTTP thread ---- */

/* One word of a list such as a query string or a Cookie header, without an arena. */
static void word_of(const char *list, const char *name, const char *separators, char ret[16])
{
    const size_t n = strlen(name);

    ret[0] = '\0';
    while (list != NULL && *list != '\0') {
        list += strspn(list, separators);
        if (strncmp(list, name, n) == 0 && list[n] == '=') {
            snprintf(ret, 16, "%.*s", (int)strcspn(list + n + 1, separators), list + n + 1);
            return;
        }
        list += strcspn(list, separators);
    }
}

static const char *language_for(mu_req *rq, const char *query)
{
    char asked[16], kept[16];

    word_of(query, "lang", "&", asked);
    word_of(mu_header(rq, "Cookie"), "lang", "; ", kept);
    return mu_language_of(mu_header(rq, "Accept-Language"), kept, asked, mu_conf_text(MU_CONF_SITE_LANGUAGE));
}

static bool signed_in(mu_req *rq)
{
    char token[16];

    word_of(mu_header(rq, "Cookie"), mu_auth_cookie(), "; ", token);
    return token[0] != '\0' || mu_header(rq, "Authorization") != NULL;
}

static const item *find(mu_req *rq, const char *path, size_t n, const char *query)
{
    const char *language = NULL;

    for (unsigned i = 0; i < status.shown->n; i++) {
        const item *it = &status.shown->items[i];
        if (strlen(it->path) != n || memcmp(it->path, path, n) != 0)
            continue;
        if (it->language[0] == '\0')
            return it;
        if (language == NULL)
            language = language_for(rq, query);
        if (strcmp(it->language, language) == 0)
            return it;
    }
    return NULL;
}

static bool not_yet(mu_req *rq)
{
    mu_req_prepare(rq);
    mu_out_text(rq, 503, "503\n");
    mu_out_field(rq, "Retry-After", "2");
    return true;
}

bool mu_status_answer(mu_req *rq)
{
    set *fresh;
    const size_t n = rq->target != NULL ? strcspn(rq->target, "?#") : 0;
    const char *path = rq->target, *accept;
    const bool root = n == 1, page = n == 7 && memcmp(path, "/status", 7) == 0;
    size_t path_n = n;
    const item *it;

    if (rq->method == MU_OPTIONS && n > 8 && memcmp(path, "/api/v2/", 8) == 0) {
        mu_req_prepare(rq);
        rq->out = (mu_output){ .status = 204, .bytes = "" };
        mu_out_field(rq, "Access-Control-Allow-Origin", "*");
        mu_out_field(rq, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
        mu_out_field(rq, "Access-Control-Allow-Headers", "If-None-Match");
        mu_out_field(rq, "Access-Control-Max-Age", "86400");
        mu_out_field(rq, "Allow", "GET, HEAD, OPTIONS");
        return true;
    }
    if (rq->method != MU_GET || n == 0 || !(page || (root && !signed_in(rq)) || strncmp(path, "/api/v2/", 8) == 0 || strncmp(path, "/history.", 9) == 0))
        return false;
    if ((fresh = atomic_exchange(&status.fresh, NULL)) != NULL) {
        free_set(status.shown);   /* those still being sent keep their own reference */
        status.shown = fresh;
    }
    if (status.shown == NULL)
        return not_yet(rq);
    if (root)
        path = "/status", path_n = 7;
    it = find(rq, path, path_n, rq->target[n] == '?' ? rq->target + n + 1 : NULL);
    if (it == NULL)
        return false;
    accept = mu_header(rq, "Accept-Encoding");
    rq->out.status = it->status == 200 && mu_etag_matches(mu_header(rq, "If-None-Match"), it->etag) ? 304 : it->status;
    rq->out.finished = rq->out.status == 304 ? it->same : it->gzip != NULL && accept != NULL && strstr(accept, "gzip") != NULL ? it->gzip : it->plain;
    return true;
}
