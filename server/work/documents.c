#include "documents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "assets.h"
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "json.h"
#include "log.h"
#include "mime.h"
#include "mustache.h"
#include "pictures.h"
#include "process.h"
#include "qr.h"
#include "str.h"
#include "words.h"
#include "zip.h"

#define PAGE_MAX     (16u << 20)
#define FILE_MAX     (32u << 20)
#define LEASE        400         /* seconds; longer than the longest conversion */
#define STYLE        "web/document.css"

typedef struct { const char *kind, *media, *magic; size_t magic_n; int64_t deadline_ms; const char *missing; } format;

static const format formats[] = {
    { "pdf", "application/pdf", "%PDF-", 5, 240000, "error.document.no_pdf" },
    { "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "PK\x03\x04", 4, 30000, "error.document.no_docx" },
    { "html", "text/html; charset=utf-8", "<!DOCTYPE html>", 15, 0, NULL }, /* allowed: what the page begins with */
};

/* The paper a model asks for ("paper"); a report where it asks for none. */
static const struct { const char *paper, *page; } papers[] = { { "report", "web/report_document.html" }, { "plan", "web/plan_document.html" } };

typedef struct {
    const char *id, *token, *subject, *incident, *ordered_at, *model;
    const format *format;
    bool        drill;
} order;

/* ---- nothing from outside ---- */

static bool
name_is(const char *at, size_t n, const char *name)
{
    return n == strlen(name) && strncasecmp(at, name, n) == 0;
}

static const char *
cut(mu_arena *arena, const char *at, size_t n)
{
    return mu_strndup(arena, at, n < 80 ? n : 80);
}

/* An address inside a style sheet or a style attribute. */
static const char *
style_outside(mu_arena *arena, const char *at, size_t n)
{
    for (size_t i = 0; i + 4 <= n; i++) {
        if (i + 7 <= n && strncasecmp(at + i, "@import", 7) == 0)
            return cut(arena, at + i, n - i);
        if (strncasecmp(at + i, "url(", 4) != 0)
            continue;
        size_t k = i + 4;
        while (k < n && (at[k] == ' ' || at[k] == '"' || at[k] == '\''))
            k++;
        if (k >= n || (at[k] != '#' && !(k + 5 <= n && strncasecmp(at + k, "data:", 5) == 0)))
            return cut(arena, at + i, n - i);
    }
    return NULL;
}

static const char *
attribute_outside(mu_arena *arena, const char *name, size_t name_n, const char *value, size_t n, bool link)
{
    static const char *const fetched[] = { "src", "srcset", "poster", "background", "data", "xlink:href", "action", "formaction" };
    bool fetches = link && name_is(name, name_n, "href");

    if (name_is(name, name_n, "style"))
        return style_outside(arena, value, n);
    for (size_t i = 0; i < MU_COUNT(fetched); i++)
        fetches = fetches || name_is(name, name_n, fetched[i]);
    if (!fetches || n == 0 || value[0] == '#' || (n >= 5 && strncasecmp(value, "data:", 5) == 0))
        return NULL;
    return cut(arena, value, n);
}

/* Attributes of one tag, from behind its name; *end is set behind the closing >. */
static const char *
tag_outside(mu_arena *arena, const char *at, bool link, const char **end)
{
    while (*at != '\0' && *at != '>') {
        at += strspn(at, " \t\r\n\f/");
        size_t name_n = strcspn(at, " \t\r\n\f/=>"), n = 0;
        const char *name = at, *value = "", *found;
        at += name_n;
        if (name_n == 0 && *at == '=') { /* stray sign */
            at++;
            continue;
        }
        const char *equals = at + strspn(at, " \t\r\n\f");
        if (*equals == '=') {
            at = equals + 1;
            at += strspn(at, " \t\r\n\f");
            char quote = *at == '"' || *at == '\'' ? *at : '\0';
            value = quote != '\0' ? at + 1 : at;
            n = quote != '\0' ? strcspn(value, quote == '"' ? "\"" : "'") : strcspn(value, " \t\r\n\f>");
            at = value + n + (quote != '\0' && value[n] != '\0');
        }
        found = attribute_outside(arena, name, name_n, value, n, link);
        if (found != NULL)
            return found;
    }
    *end = *at == '>' ? at + 1 : at;
    return NULL;
}

const char *
mu_document_outside(mu_arena *arena, const char *html)
{
    static const char *const forbidden[] = { "script", "iframe", "frame", "object", "embed", "base", "form", "audio", "video" };

    for (const char *at = strchr(html, '<'); at != NULL; at = strchr(at, '<')) {
        const char *name = ++at, *found, *end = at;
        size_t n = strcspn(name, " \t\r\n\f/>");
        if (strncmp(at, "!--", 3) == 0) {
            at = strstr(at, "-->");
            if (at == NULL)
                return NULL;
            continue;
        }
        for (size_t i = 0; i < MU_COUNT(forbidden); i++)
            if (name_is(name, n, forbidden[i]))
                return cut(arena, name, n);
        /* <a href> only points; <link href> and <image href> are fetched. */
        found = tag_outside(arena, name + n, name_is(name, n, "link") || name_is(name, n, "image") || name_is(name, n, "use"), &end);
        if (found != NULL)
            return found;
        at = end;
        if (name_is(name, n, "style")) {
            const char *close = strcasestr(at, "</style"); /* allowed: looked for, not written */
            found = style_outside(arena, at, close != NULL ? (size_t)(close - at) : strlen(at));
            if (found != NULL)
                return found;
            at = close != NULL ? close : at + strlen(at);
        }
    }
    return NULL;
}

/* ---- the page ---- */

static const mu_template *
on_partial(void *closure, const char *name)
{
    mu_arena *arena = closure;
    const mu_asset *asset = mu_asset_find(mu_printf(arena, "web/%s%s.html", name[0] == '_' ? "" : "_", name));
    mu_problem problem = { .arena = arena };
    mu_template *template;

    if (asset == NULL)
        asset = mu_asset_find(mu_printf(arena, "web/%s.html", name));
    if (asset == NULL || mu_template_parse(arena, asset->raw, asset->raw_n, 0, &problem, &template) != MU_OK)
        return NULL;
    return template;
}

/* The page of a paper; NULL: no such paper. */
static const char *
page_of(const json_t *model)
{
    const char *paper = mu_json_str(model, "paper") != NULL ? mu_json_str(model, "paper") : papers[0].paper;

    for (size_t i = 0; i < MU_COUNT(papers); i++)
        if (mu_same(paper, papers[i].paper))
            return papers[i].page;
    return NULL;
}

/* What a copy is checked with goes onto it as a code that a telephone can read. */
static void
add_code(mu_arena *arena, json_t *model)
{
    const char *address = mu_json_str(model, "check_url");
    int side = 0;
    const char *path = address != NULL ? mu_qr_path(arena, address, &side) : NULL;

    if (path != NULL)
        json_object_set_new(model, "qr", json_pack("{s:s, s:i}", "path", path, "side", side));
}

/* `from`: the template; NULL: that of the model's paper. */
static mu_err
render(mu_arena *arena, const order *job, const char *from, mu_problem *problem, mu_buf *page)
{
    const mu_asset *asset, *style = mu_asset_find(STYLE);
    json_t *model, *ui = json_object();
    mu_template *template;
    mu_instant now = mu_wall_now();

    TRY(mu_json_parse(arena, job->model, strlen(job->model), problem, &model));
    const char *language = mu_json_str(model, "lang") != NULL ? mu_json_str(model, "lang") : mu_conf_text(MU_CONF_SITE_LANGUAGE);
    from = from != NULL ? from : page_of(model);
    asset = from != NULL ? mu_asset_find(from) : NULL;
    if (asset == NULL)
        return mu_failf(problem, MU_INTERNAL, "no template %s", from != NULL ? from : "for this paper");
    add_code(arena, model);
    json_object_set_new(ui, "lang", json_string(language));
    json_object_set_new(ui, mu_same(language, "en") ? "lang_en" : "lang_zh", json_true());
    json_object_set_new(ui, "document", json_true());
    if (mu_same(job->format->kind, "html") && style != NULL)
        json_object_set_new(ui, "style_html", json_string(style->raw));
    json_object_set_new(model, "ui", ui);
    TRY(mu_template_parse(arena, asset->raw, asset->raw_n, 0, problem, &template));
    (void)mu_time_parse(job->ordered_at, &now);
    return mu_template_render(template, model,
                              &(mu_render){ .language = language, .word = mu_word, .partial = on_partial, .closure = arena, .now = now }, page);
}

/* ---- files ---- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void
remove_tree(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static bool
write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wxe");
    bool good = file != NULL && fwrite(bytes, 1, n, file) == n;

    return file != NULL && fclose(file) == 0 && good;
}

static bool
read_file(mu_arena *arena, const char *path, char **ret, size_t *ret_n)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    size_t n = 0;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > (off_t)FILE_MAX) {
        close(fd);
        return false;
    }
    *ret = mu_alloc(arena, (size_t)st.st_size + 1);
    for (ssize_t got; n < (size_t)st.st_size && (got = read(fd, *ret + n, (size_t)st.st_size - n)) > 0;)
        n += (size_t)got;
    close(fd);
    *ret_n = n;
    return n == (size_t)st.st_size;
}

/* ---- the conversion ---- */

typedef struct { const char *key, *text; bool again; } failure;

static char *const *
arguments(mu_arena *arena, const char *directory, const order *job)
{
    bool pdf = mu_same(job->format->kind, "pdf");
    const char *program = mu_conf_text(pdf ? MU_CONF_REPORT_WEASYPRINT : MU_CONF_REPORT_PANDOC);
    const char *const pdf_words[] = { "muster", "document-child", directory, program, "-q", "-e", "utf8", "-s", "document.css", "page.html", "out.pdf", NULL };
    const char *const docx_words[] = { "muster", "document-child", directory, program, "-f", "html", "-t", "docx", "--reference-doc=reference.docx",
                                       "-o", "out.docx", "page.html", NULL };
    const char *const *words = pdf ? pdf_words : docx_words;
    size_t count = pdf ? MU_COUNT(pdf_words) : MU_COUNT(docx_words);
    char **argv = mu_alloc(arena, sizeof *argv * count);

    for (size_t i = 0; i + 1 < count; i++)
        argv[i] = mu_strdup(arena, words[i]);
    return argv;
}

/* The same data gives the same bytes: every clock and every random seed of the programs is pinned. */
static char *const *
environment(mu_arena *arena, const char *directory, const order *job)
{
    char **env = mu_alloc(arena, sizeof *env * 8);
    mu_instant at = 0;

    (void)mu_time_parse(job->ordered_at, &at);
    env[0] = mu_strdup(arena, "PATH=/usr/local/bin:/usr/bin:/bin");
    env[1] = mu_strdup(arena, "LANG=C.UTF-8");
    env[2] = mu_printf(arena, "HOME=%s", directory);
    env[3] = mu_printf(arena, "XDG_CACHE_HOME=%s", directory);
    env[4] = mu_printf(arena, "TMPDIR=%s", directory);
    env[5] = mu_printf(arena, "SOURCE_DATE_EPOCH=%lld", (long long)(at / MU_SECOND));
    env[6] = mu_strdup(arena, "PYTHONHASHSEED=0");
    return env;
}

static bool
run_program(mu_arena *arena, const char *directory, const order *job, failure *ret)
{
    mu_process p = { .program = mu_process_self(), .argv = arguments(arena, directory, job), .env = environment(arena, directory, job),
                     .deadline_ms = job->format->deadline_ms, .output_max = 65536 };
    bool good;

    mu_process_run(&p, 1);
    good = p.end == MU_PROCESS_EXITED && p.code == 0;
    if (!good) {
        *ret = (failure){ "error.document.failed", mu_strndup(arena, p.errors.at != NULL ? p.errors.at : "", p.errors.n), true };
        if (p.end == MU_PROCESS_EXITED && p.code == 127)
            *ret = (failure){ job->format->missing, "", false };
        else if (p.end == MU_PROCESS_DEADLINE)
            ret->key = "error.document.too_slow";
    }
    mu_buf_free(&p.output);
    mu_buf_free(&p.errors);
    return good;
}

/* The Word file takes its paper, fonts, header and footer from a file of ours, zipped anew for each order: its header has the number. */
static bool
write_reference(mu_arena *arena, const char *directory, const order *job)
{
    static const struct { const char *name, *asset; } parts[] = {
        { "[Content_Types].xml", "web/docx/content_types.xml" }, { "_rels/.rels", "web/docx/package_rels.xml" },
        { "word/document.xml", "web/docx/document.xml" }, { "word/_rels/document.xml.rels", "web/docx/document_rels.xml" },
        { "word/styles.xml", "web/docx/styles.xml" }, { "word/header1.xml", "web/docx/header.xml" }, { "word/footer1.xml", "web/docx/footer.xml" } };
    mu_problem problem = { .arena = arena };
    mu_zip_member members[MU_COUNT(parts)];
    mu_buf filled[MU_COUNT(parts)];
    MU_BUF_AUTO(file, 1u << 20);
    bool good = true;

    for (size_t i = 0; i < MU_COUNT(parts); i++) {
        filled[i] = (mu_buf)MU_BUF(1u << 18);
        good = good && render(arena, job, parts[i].asset, &problem, &filled[i]) == MU_OK;
        members[i] = (mu_zip_member){ parts[i].name, filled[i].at, filled[i].n };
    }
    good = good && mu_zip_write(&file, members, MU_COUNT(parts))
        && write_file(mu_printf(arena, "%s/reference.docx", directory), file.at, file.n);
    for (size_t i = 0; i < MU_COUNT(parts); i++)
        mu_buf_free(&filled[i]);
    return good;
}

/* Makes the file in a directory of its own. */
static bool
convert(mu_arena *arena, const char *directory, const order *job, char **ret, size_t *ret_n, failure *why)
{
    mu_problem problem = { .arena = arena };
    MU_BUF_AUTO(page, PAGE_MAX);
    const mu_asset *style = mu_asset_find(STYLE);
    const char *outside;
    char *path = mu_printf(arena, "%s/out.%s", directory, job->format->kind);

    if (render(arena, job, NULL, &problem, &page) != MU_OK) {
        *why = (failure){ "error.document.template", problem.detail != NULL ? problem.detail : "", false };
        return false;
    }
    outside = mu_document_outside(arena, page.at);
    if (outside != NULL || (job->drill && strstr(page.at, MU_DRILL_MARK) == NULL && strstr(page.at, "\xe3\x80\x90\xe6\xbc\x94\xe7\xbb\x83\xe3\x80\x91") == NULL
                            && strstr(page.at, "[DRILL]") == NULL)) {
        *why = (failure){ outside != NULL ? "error.document.outside" : "error.document.unmarked", outside != NULL ? outside : "", false };
        return false;
    }
    if (mu_same(job->format->kind, "html")) {
        *ret = mu_strndup(arena, page.at, page.n);
        *ret_n = page.n;
        return true;
    }
    if (!write_file(mu_printf(arena, "%s/page.html", directory), page.at, page.n)
        || !write_file(mu_printf(arena, "%s/document.css", directory), style != NULL ? style->raw : "", style != NULL ? style->raw_n : 0)
        || (mu_same(job->format->kind, "docx") && !write_reference(arena, directory, job))) {
        *why = (failure){ "error.document.failed", strerror(errno), true };
        return false;
    }
    if (!run_program(arena, directory, job, why))
        return false;
    if (!read_file(arena, path, ret, ret_n) || *ret_n < job->format->magic_n || memcmp(*ret, job->format->magic, job->format->magic_n) != 0) {
        *why = (failure){ "error.document.failed", "no usable file was made", true };
        return false;
    }
    return true;
}

/* ---- the loop ---- */

static mu_err
finish(const mu_outbox *outbox, mu_arena *arena, const order *job, const char *bytes, size_t n, int64_t ms)
{
    mu_problem problem = { .arena = arena };
    char *name = mu_printf(arena, "%s%s.%s", job->drill ? "DRILL-" : "", job->subject, job->format->kind);
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_tx_begin(outbox->db, arena, &problem, &tx));
    TRY(mu_query(tx, Q_job_done, ARGS(job->id, job->token, name, job->format->media, mu_printf(arena, "%zu", n), mu_sha256_hex(arena, bytes, n),
                                      mu_base64(arena, bytes, n), mu_printf(arena, "%lld", (long long)ms)), &rows));
    return mu_commit(tx);
}

static mu_err
give_up(const mu_outbox *outbox, mu_arena *arena, const order *job, const failure *why, int64_t ms)
{
    mu_problem problem = { .arena = arena };
    size_t n = strlen(why->text), keep = mu_utf8_valid(why->text, n) ? mu_utf8_cut(why->text, n, 8000) : 0;
    mu_tx *tx;

    mu_log(MU_LOG_WARN, "document.failed", "subject=%s kind=%s key=%s", job->subject, job->format->kind, why->key);
    TRY(mu_tx_begin(outbox->db, arena, &problem, &tx));
    mu_tx_queue(tx, Q_job_failed, ARGS(job->id, job->token, why->key, mu_strndup(arena, why->text, keep), mu_printf(arena, "%lld", (long long)ms),
                                       why->again ? "true" : "false"));
    return mu_commit(tx);
}

static bool
claim(const mu_outbox *outbox, mu_arena *arena, order *ret)
{
    mu_problem problem = { .arena = arena };
    const mu_rows *rows;
    mu_tx *tx;

    if (mu_tx_begin(outbox->db, arena, &problem, &tx) != MU_OK)
        return false;
    int index = mu_tx_queue(tx, Q_job_claim, ARGS(mu_printf(arena, "%d", LEASE)));
    if (mu_commit(tx) != MU_OK)
        return false;
    rows = mu_tx_rows(tx, index);
    if (mu_rows_count(rows) == 0)
        return false;
    *ret = (order){ .id = mu_col(rows, "id"), .token = mu_col(rows, "token"), .subject = mu_col(rows, "subject"), .incident = mu_col(rows, "incident"),
                    .ordered_at = mu_col(rows, "ordered_at"), .model = mu_col(rows, "model"), .drill = mu_same(mu_col(rows, "drill"), "t") };
    for (size_t i = 0; i < MU_COUNT(formats); i++)
        if (mu_same(formats[i].kind, mu_col(rows, "kind")))
            ret->format = &formats[i];
    return ret->format != NULL;
}

static bool
make_one(const mu_outbox *outbox, const char *root)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(512u << 20);
    order job = { .id = NULL };
    failure why = { NULL, "", false };
    char *bytes = NULL, *directory;
    int64_t began = mu_monotonic_ms();
    size_t n = 0;

    if (!claim(outbox, arena, &job))
        return false;
    directory = mu_printf(arena, "%s/job-XXXXXX", root); /* allowed: the pattern mkdtemp() fills in */
    if (mkdtemp(directory) == NULL)
        why = (failure){ "error.document.failed", strerror(errno), true };
    else
        (void)convert(arena, directory, &job, &bytes, &n, &why);
    mu_err err = why.key == NULL ? finish(outbox, arena, &job, bytes, n, mu_monotonic_ms() - began) : give_up(outbox, arena, &job, &why, mu_monotonic_ms() - began);
    if (err == MU_OK)
        mu_hint(outbox->db, mu_printf(arena, "report:%s *", job.subject));
    remove_tree(directory);
    return err == MU_OK;
}

/* Work directories of processes that are gone: a killed one leaves its own behind. */
static void
remove_old(const char *parent)
{
    DIR *list = opendir(parent);
    char path[PATH_MAX];

    if (list == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        int64_t pid;
        if (!mu_parse_int(entry->d_name, 2, INT32_MAX, &pid) || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        snprintf(path, sizeof path, "%s/%lld", parent, (long long)pid);
        remove_tree(path);
    }
    closedir(list);
}

void
mu_documents_loop(const mu_outbox *outbox, mu_bell *bell, int poll_ms)
{
    const char *data = mu_conf_text(MU_CONF_DATA_DIR);
    char parent[PATH_MAX - 32], root[PATH_MAX];
    uint64_t seen = 0;

    snprintf(parent, sizeof parent, "%s/documents", data[0] != '\0' ? data : "/tmp");
    snprintf(root, sizeof root, "%s/%ld", parent, (long)getpid());
    remove_old(parent);
    remove_tree(root);
    if ((mkdir(parent, 0700) != 0 && errno != EEXIST) || mkdir(root, 0700) != 0)
        mu_log(MU_LOG_ERROR, "document.directory", "path=%s error=%s", root, strerror(errno));
    while (!mu_bell_stopped(bell))
        if (!mu_picture_one(outbox, root) && !make_one(outbox, root))
            mu_bell_wait(bell, &seen, poll_ms);
    remove_tree(root);
}
