/* /static/NAME.HASH.EXT: the files that were compiled in, as finished responses, plain and gzip. The name changes with the
 * content, so a browser never asks twice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "assets.h"
#include "conf.h"
#include "req.h"

/* `other`: for a name that is not the present one, so never kept under it. */
typedef struct { char *url; struct MHD_Response *plain, *gzip, *same, *other; char etag[24]; const mu_asset *asset; } file;

static struct { file *files; size_t n; bool from_disk; } served;

static bool for_browsers(const char *path)
{
    static const char *const kinds[] = { ".css", ".js", ".svg", ".png", ".ico", ".woff2", ".webmanifest" };
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; i < MU_COUNT(kinds); i++)
        if (strncmp(path, "web/", 4) == 0 && strncmp(path, "web/mail/", 9) != 0 && dot != NULL && strcmp(dot, kinds[i]) == 0)
            return true;
    return false;
}

static struct MHD_Response *make(const file *f, const char *bytes, size_t n, bool gzip, bool fixed)
{
    struct MHD_Response *out = MHD_create_response_from_buffer(n, (void *)(uintptr_t)bytes, MHD_RESPMEM_PERSISTENT);

    if (out == NULL)
        abort();
    mu_head_fields(out, MU_HEAD_STATIC);
    if (bytes[0] != '\0' || n > 0)
        MHD_add_response_header(out, "Content-Type", f->asset->media);
    if (gzip)
        MHD_add_response_header(out, "Content-Encoding", "gzip");
    MHD_add_response_header(out, "Vary", "Accept-Encoding");
    MHD_add_response_header(out, "ETag", f->etag);
    MHD_add_response_header(out, "Cache-Control", fixed ? "public, max-age=31536000, immutable" : "no-cache");
    return out;
}

static char *url_of(const mu_asset *asset)
{
    const char *path = asset->path + 4, *dot = strrchr(path, '.');
    char *url;

    /* The service worker's address is its scope: it stays at the root, unhashed. */
    if (strcmp(path, "js/sw.js") == 0 || strcmp(path, "sw.js") == 0)
        return strdup("/sw.js");
    if (asprintf(&url, "/static/%.*s.%.12s%s", (int)(dot - path), path, asset->hash, dot) < 0)
        abort();
    return url;
}

mu_err mu_static_start(mu_problem *problem)
{
    (void)problem;
    served.from_disk = mu_conf_text(MU_CONF_WEB_DIR)[0] != '\0';
    served.files = calloc(mu_assets_count + 1, sizeof *served.files);
    if (served.files == NULL)
        abort();
    for (size_t i = 0; i < mu_assets_count; i++) {
        file *f = &served.files[served.n];
        if (!for_browsers(mu_assets[i].path))
            continue;
        f->asset = &mu_assets[i];
        f->url = url_of(f->asset);
        snprintf(f->etag, sizeof f->etag, "\"%.16s\"", f->asset->hash);
        const bool fixed = strncmp(f->url, "/static/", 8) == 0;
        f->plain = make(f, f->asset->raw, f->asset->raw_n, false, fixed);
        f->gzip = f->asset->gzip != NULL ? make(f, f->asset->gzip, f->asset->gzip_n, true, fixed) : NULL;
        f->same = make(f, "", 0, false, fixed);
        f->other = make(f, f->asset->raw, f->asset->raw_n, false, false);
        served.n++;
    }
    return MU_OK;
}

void mu_static_stop(void)
{
    for (size_t i = 0; i < served.n; i++) {
        MHD_destroy_response(served.files[i].plain);
        if (served.files[i].gzip != NULL)
            MHD_destroy_response(served.files[i].gzip);
        MHD_destroy_response(served.files[i].same);
        MHD_destroy_response(served.files[i].other);
        free(served.files[i].url);
    }
    free(served.files);
    served.files = NULL;
    served.n = 0;
}

static bool is_present_name(const file *f, const char *target, size_t n)
{
    return strlen(f->url) == n && memcmp(f->url, target, n) == 0;
}

const char *mu_page_asset(const char *path)
{
    for (size_t i = 0; i < served.n; i++)
        if (strcmp(served.files[i].asset->path + 4, path) == 0)
            return served.files[i].url;
    return "";
}

/* Also the unhashed names /static/app.css and old hashes: a page kept open over an upgrade still finds its style. */
static const file *find(const char *target, size_t n)
{
    const char *name = target + 8, *ext = memrchr(target, '.', n), *hash;

    for (size_t i = 0; i < served.n; i++)
        if (is_present_name(&served.files[i], target, n))
            return &served.files[i];
    if (strncmp(target, "/static/", 8) != 0 || ext == NULL || ext <= name)
        return NULL;
    hash = memrchr(name, '.', (size_t)(ext - name));
    for (size_t i = 0; i < served.n; i++) {
        const char *path = served.files[i].asset->path + 4;
        const size_t stem = (size_t)((hash != NULL ? hash : ext) - name), tail = (size_t)(target + n - ext);
        if (strlen(path) == stem + tail && memcmp(path, name, stem) == 0 && memcmp(path + stem, ext, tail) == 0)
            return &served.files[i];
    }
    return NULL;
}

static void from_disk(mu_req *rq, const file *f)
{
    FILE *in;
    char *text;
    size_t n;

    mu_req_prepare(rq);
    in = fopen(mu_printf(rq->arena, "%s/%s", mu_conf_text(MU_CONF_WEB_DIR), f->asset->path + 4), "re");
    if (in == NULL)
        return;
    text = mu_alloc(rq->arena, 1u << 20);
    n = fread(text, 1, 1u << 20, in);
    fclose(in);
    rq->out = (mu_output){ .status = 200, .media = f->asset->media, .bytes = text, .size = n, .file = true };
}

bool mu_static_answer(mu_req *rq)
{
    const size_t n = rq->target != NULL ? strcspn(rq->target, "?#") : 0;
    const file *f;
    const char *accept;

    if (rq->method != MU_GET || n == 0 || (strncmp(rq->target, "/static/", 8) != 0 && !(n == 6 && memcmp(rq->target, "/sw.js", 6) == 0)))
        return false;
    f = find(rq->target, n);
    if (f == NULL)
        return false;
    if (served.from_disk) {
        from_disk(rq, f);
        if (rq->out.status != 0)
            return true;
    }
    accept = mu_header(rq, "Accept-Encoding");
    rq->out.status = mu_etag_matches(mu_header(rq, "If-None-Match"), f->etag) ? 304 : 200;
    if (!is_present_name(f, rq->target, n))
        rq->out = (mu_output){ .status = 200, .finished = f->other };
    else
        rq->out.finished = rq->out.status == 304 ? f->same : f->gzip != NULL && accept != NULL && strstr(accept, "gzip") != NULL ? f->gzip : f->plain;
    return true;
}
