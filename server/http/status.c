/* The public status page, its JSON and its feeds: rendered once per change into finished responses, which the HTTP thread
 * gives out without a queue, a query or a copy. A copy on disk is what a start without a database serves; and while the
 * database is away the page says how old it is. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "assets.h"
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "json.h"
#include "log.h"
#include "status_set.h"

#define POLL_S      30
#define STALE_MS    60000
#define KEEP_MS     60000
#define SNAPSHOT    "snapshot.json"

static struct {
    pthread_t thread;
    bool      running;
    pthread_mutex_t lock;
    pthread_cond_t  poked;
    bool      poke, stopping;
    _Atomic(mu_status_set *) fresh;       /* made by the refresher, taken over by the HTTP thread */
    mu_status_set *shown;            /* HTTP thread only */
    char     *folder;
    /* the refresher's own */
    char     *document;         /* the last good snapshot */
    char      digest[65];
    int64_t   good_ms;          /* when it was last known to be true; 0: it came from disk */
    int64_t   stale_made_ms, kept_ms;
    bool      stale;
} status = { .lock = PTHREAD_MUTEX_INITIALIZER, .poked = PTHREAD_COND_INITIALIZER };

static void publish(mu_status_set *fresh)
{
    mu_status_free(atomic_exchange(&status.fresh, fresh));
}

/* ---- disk ---- */

static char *read_snapshot(const char *folder)
{
    char path[1024];
    FILE *file;
    char *text;
    size_t n;

    snprintf(path, sizeof path, "%s/%s", folder, SNAPSHOT);
    if ((file = fopen(path, "re")) == NULL || (text = malloc(MU_STATUS_BYTES_MAX)) == NULL) {
        if (file != NULL)
            fclose(file);
        return NULL;
    }
    n = fread(text, 1, MU_STATUS_BYTES_MAX - 1, file);
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
    mu_status_set *made;

    if (!json_is_object(snapshot)) {
        json_decref(snapshot);
        mu_log(MU_LOG_ERROR, "status.snapshot", "detail=\"not an object\"");
        return;
    }
    digest_of(arena, snapshot, digest);
    status.good_ms = mu_monotonic_ms();
    if (strcmp(digest, status.digest) != 0 || status.stale) {
        made = mu_status_make(arena, snapshot, 200, NULL);
        if (!mu_status_write(status.folder, made))
            mu_log(MU_LOG_WARN, "status.disk", "folder=\"%s\" errno=%d", status.folder, errno);
        publish(made);
        status.kept_ms = 0;
        snprintf(status.digest, sizeof status.digest, "%s", digest);
        status.stale = false;
    }
    /* Also without a change now and then, so that a later start without a database knows how long ago this was true. */
    if (status.kept_ms == 0 || status.good_ms - status.kept_ms > KEEP_MS) {
        status.kept_ms = status.good_ms;
        if (!mu_status_write_file(status.folder, SNAPSHOT, text, strlen(text)))
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
    publish(mu_status_make(arena, snapshot, status.document != NULL ? 200 : 503, stale));
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
    mu_status_free(atomic_exchange(&status.fresh, NULL));
    mu_status_free(status.shown);
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
    mu_status_set *made;
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
    made = mu_status_make(problem->arena, snapshot, 200, NULL);
    good = mu_status_write(folder, made);
    for (size_t i = 0; i < mu_assets_count && good; i++) {
        const char *address = strncmp(mu_assets[i].path, "web/", 4) == 0 ? mu_page_asset(mu_assets[i].path + 4) : "";
        if (mu_starts(address, "/static/") && strstr(mu_assets[i].path, ".js") == NULL)
            good = mu_status_write_file(folder, address + 1, mu_assets[i].raw, mu_assets[i].raw_n);
    }
    mu_status_free(made);
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

static const mu_status_item *find(mu_req *rq, const char *path, size_t n, const char *query)
{
    const char *language = NULL;

    for (unsigned i = 0; i < status.shown->n; i++) {
        const mu_status_item *it = &status.shown->items[i];
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

static bool is_below(const char *path, size_t n, const char *prefix)
{
    const size_t width = strlen(prefix);

    return n >= width && memcmp(path, prefix, width) == 0;
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
    mu_status_set *fresh;
    const size_t n = rq->target != NULL ? strcspn(rq->target, "?#") : 0;
    const char *path = rq->target, *accept;
    const bool root = n == 1, page = n == 7 && memcmp(path, "/status", 7) == 0;
    size_t path_n = n;
    const mu_status_item *it;

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
    if (rq->method != MU_GET || n == 0 || !(page || is_below(path, n, "/status/history") || is_below(path, n, "/status/incidents/") || (root && !signed_in(rq)) || strncmp(path, "/api/v2/", 8) == 0 || strncmp(path, "/history.", 9) == 0))
        return false;
    if ((fresh = atomic_exchange(&status.fresh, NULL)) != NULL) {
        mu_status_free(status.shown);   /* those still being sent keep their own reference */
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
