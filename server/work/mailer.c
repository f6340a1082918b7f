#include "mailer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "assets.h"
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "json.h"
#include "log.h"
#include "mustache.h"
#include "str.h"
#include "words.h"

#define MESSAGE_MAX (8u << 20)
#define BODY_MAX    (1u << 20)
#define RETRY_SHARE 4        /* a quarter of a batch may be retries */

typedef struct { const char *path; const mu_template *template; } kept;

struct mu_mailer {
    mu_arena   *arena;
    kept       *templates;
    size_t      count;
};

/* ---- templates ---- */

static const mu_template *
find(const mu_mailer *mailer, const char *purpose, const char *ending)
{
    for (size_t i = 0; i < mailer->count; i++) {
        const char *name = mailer->templates[i].path + strlen("web/mail/");
        size_t n = strlen(purpose);
        if (strncmp(name, purpose, n) == 0 && mu_same(name + n, ending))
            return mailer->templates[i].template;
    }
    return NULL;
}

typedef struct { const mu_mailer *mailer; const char *ending; } partials;

static const mu_template *
on_partial(void *closure, const char *name)
{
    const partials *p = closure;

    return find(p->mailer, name, p->ending);
}

static void
keep_template(mu_mailer *mailer, const mu_asset *asset)
{
    size_t n = strlen(asset->path);
    bool plain = n > 4 && mu_same(asset->path + n - 4, ".txt");
    mu_problem problem = { .arena = mailer->arena };
    mu_template *template;

    if (!plain && !(n > 5 && mu_same(asset->path + n - 5, ".html")))
        return;
    if (mu_template_parse(mailer->arena, asset->raw, asset->raw_n, plain ? MU_TPL_PLAIN : 0, &problem, &template) != MU_OK) {
        mu_log(MU_LOG_ERROR, "mail.template", "path=%s", asset->path);
        return;
    }
    mailer->templates[mailer->count++] = (kept){ asset->path, template };
}

mu_mailer *
mu_mailer_new(void)
{
    mu_arena *arena = mu_arena_new(32u << 20);
    mu_mailer *mailer = mu_alloc(arena, sizeof *mailer);
    size_t count = 0;

    mailer->arena = arena;
    for (size_t i = 0; i < mu_assets_count; i++)
        count += mu_starts(mu_assets[i].path, "web/mail/");
    mailer->templates = mu_alloc(arena, sizeof(kept) * (count + 1));
    for (size_t i = 0; i < mu_assets_count; i++)
        if (mu_starts(mu_assets[i].path, "web/mail/"))
            keep_template(mailer, &mu_assets[i]);
    return mailer;
}

void
mu_mailer_free(mu_mailer *mailer)
{
    if (mailer != NULL)
        mu_arena_free(mailer->arena); /* the mailer lives in it */
}

/* ---- one message ---- */

/* The text in the reader's language, else in the other one. */
static const char *
text_of(const json_t *texts, const char *language)
{
    const char *text = json_is_string(texts) ? json_string_value(texts) : mu_json_str(texts, language);

    if (text == NULL || text[0] == '\0')
        text = mu_json_str(texts, mu_same(language, "en") ? "zh" : "en");
    return text != NULL ? text : "";
}

static void
add_paragraphs(json_t *model, const char *language)
{
    json_t *list = json_array();
    const char *at = text_of(json_object_get(model, "text"), language);

    for (;;) {
        size_t n = strcspn(at, "\n");
        if (n > 0)
            json_array_append_new(list, json_stringn(at, n));
        if (at[n] == '\0')
            break;
        at += n + 1;
    }
    json_object_set_new(model, "paragraphs", list);
}

/* Rendered text, or NULL when there is no such template. */
static mu_err
render(const mu_mailer *mailer, mu_arena *arena, const json_t *model, const mu_out_row *row, const char *ending, const char **ret)
{
    const mu_template *template = row->purpose != NULL ? find(mailer, row->purpose, ending) : NULL;
    partials closure = { mailer, ending };
    mu_render how = { .language = row->language, .word = mu_word, .partial = on_partial, .closure = &closure, .now = mu_wall_now() };
    MU_BUF_AUTO(out, BODY_MAX);

    if (template == NULL)
        template = find(mailer, "notification", ending);
    *ret = NULL;
    if (template == NULL)
        return MU_OK;
    TRY(mu_template_render(template, model, &how, &out));
    *ret = mu_strndup(arena, out.at != NULL ? out.at : "", out.n);
    return MU_OK;
}

/* Without templates the words themselves still go out: a missing file must not silence an alarm. */
static const char *
bare_text(mu_arena *arena, const json_t *model, const char *language)
{
    const char *url = mu_json_str(mu_json_at(model, "incident"), "url"), *ack = mu_json_str(model, "ack_url");

    return mu_printf(arena, "%s\n%s%s\n%s\n", text_of(json_object_get(model, "text"), language), url != NULL ? "\n" : "", url != NULL ? url : "", ack != NULL ? ack : "");
}

static char *
lower(mu_arena *arena, const char *text)
{
    char *made = mu_strdup(arena, text);

    for (char *c = made; *c != '\0'; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return made;
}

static char *
one_line(mu_arena *arena, const char *text)
{
    char *made = mu_strdup(arena, text);

    for (char *c = made; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return made;
}

mu_err
mu_mailer_write(const mu_mailer *mailer, mu_arena *arena, const mu_out_row *row, const char *from, mu_problem *problem, mu_mail *ret)
{
    json_t *model;
    const char *ref, *thread_of, *subject, *at = strrchr(from, '@'), *domain = at != NULL ? at + 1 : "localhost";
    char *to;
    MU_BUF_AUTO(out, MESSAGE_MAX);

    TRY(mu_mail_address(arena, row->address, problem, "/to", &to));
    TRY(mu_json_parse(arena, row->document, strlen(row->document), problem, &model));
    add_paragraphs(model, row->language);
    ref = row->ref;
    thread_of = ref != NULL ? lower(arena, ref) : "system";
    subject = text_of(json_object_get(model, "subject"), row->language);
    mu_mime m = {
        .message_id = mu_printf(arena, "%s.%s@%s", thread_of, row->event_id, domain),
        .thread = ref != NULL ? mu_printf(arena, "%s@%s", thread_of, domain) : NULL,
        .from = from, .from_name = one_line(arena, text_of(mu_json_at(model, "site.name"), row->language)), .to = to,
        .to_name = one_line(arena, text_of(mu_json_at(model, "recipient.name"), row->language)),
        .subject = one_line(arena, ref != NULL ? mu_printf(arena, "[%s] %s", ref, subject) : subject),
        .language = row->language, .drill = !mu_same(row->kind, "incident") && !mu_same(row->kind, "system"),
        .urgent = mu_same(row->severity, "I") || mu_same(row->severity, "II"), .incident = ref, .severity = row->severity,
    };
    if (!mu_time_parse(row->created_at, &m.at)) /* the same Date on every attempt */
        m.at = mu_wall_now();
    TRY(render(mailer, arena, model, row, ".txt", &m.text));
    TRY(render(mailer, arena, model, row, ".html", &m.html));
    if (m.text == NULL)
        m.text = bare_text(arena, model, row->language);
    TRY(mu_mime_write(arena, &m, problem, &out));
    *ret = (mu_mail){ .from = from, .to = to, .bytes = mu_strndup(arena, out.at, out.n), .n = out.n };
    return MU_OK;
}

/* ---- the loop ---- */

typedef struct {
    const mu_outbox *outbox;
    const mu_mailer *mailer;
    mu_mail_server   server;
    bool             have_server;
    const char      *from;
    int              sessions;
    mu_mail_pool    *pool;
} sender;

static const char *
given(const char *setting, const char *otherwise)
{
    return setting != NULL && setting[0] != '\0' ? setting : otherwise;
}

/* Settings made on the screen win over the configuration file. A password goes with its user: one from the file is never sent to a
 * server named on the screen. */
static void
overlay(sender *s, mu_arena *arena, const mu_rows *row)
{
    const char *host = mu_col(row, "host"), *sealed = mu_col(row, "password_sealed"), *user = mu_col(row, "username");
    mu_smtp_security security;
    int64_t port;

    s->from = given(mu_col(row, "sender"), s->from);
    if (host == NULL || host[0] == '\0')
        return;
    s->server.host = host;
    s->have_server = true;
    if (mu_col(row, "port") != NULL && mu_parse_int(mu_col(row, "port"), 1, 65535, &port))
        s->server.port = (int)port;
    if (mu_col(row, "security") != NULL && mu_smtp_security_of(mu_col(row, "security"), &security))
        s->server.security = security;
    s->server.user = user != NULL ? user : "";
    const char *password = sealed != NULL ? mu_unseal(arena, sealed) : "";
    s->server.password = password != NULL ? password : "";
}

static void
read_server(sender *s, mu_arena *arena)
{
    mu_problem problem = { .arena = arena };
    mu_tx *tx;

    s->have_server = mu_mail_server_load(arena, &problem, &s->server) == MU_OK;
    s->from = mu_conf_text(MU_CONF_SMTP_FROM);
    if (mu_tx_begin(s->outbox->db, arena, &problem, &tx) == MU_OK) {
        int index = mu_tx_queue(tx, Q_setting_mail, NO_ARGS);
        if (mu_commit(tx) == MU_OK && mu_rows_count(mu_tx_rows(tx, index)) == 1)
            overlay(s, arena, mu_tx_rows(tx, index));
    }
    if (s->from[0] == '\0')
        s->from = mu_printf(arena, "muster@%s", s->have_server ? s->server.host : "localhost");
}

/* Decides what becomes of a row without sending it; true when it is to be sent. */
static bool
admit(const sender *s, mu_arena *arena, const mu_out_row *row, bool may_go, mu_mail *mail, mu_out_result *result)
{
    mu_problem problem = { .arena = arena };

    switch (mu_outbox_guard(row)) {
    case MU_GUARD_SIMULATE:
        *result = mu_outbox_result(arena, row, MU_OUT_SIMULATED, 0, "", 0, -1, false);
        return false;
    case MU_GUARD_REFUSE:
        mu_log(MU_LOG_ERROR, "outbox.refused", "id=%lld kind=%s", (long long)row->id, row->kind);
        *result = mu_outbox_result(arena, row, MU_OUT_REFUSED, 0, "drill guard", 0, -1, false);
        return false;
    case MU_GUARD_SEND:
        break;
    }
    if (!may_go || !s->have_server)
        *result = mu_outbox_result(arena, row, MU_OUT_RETRY, 0, may_go ? "no mail server is configured (smtp.host)" : "lease lost", 0, -1, false);
    else if (row->endpoint_disabled)
        *result = mu_outbox_result(arena, row, MU_OUT_REFUSED, 0, "the endpoint is disabled", 0, -1, false);
    else if (mu_mailer_write(s->mailer, arena, row, s->from, &problem, mail) != MU_OK)
        *result = mu_outbox_result(arena, row, MU_OUT_DEAD, 0,
                                   mu_printf(arena, "the message could not be written: %s %s", problem.first != NULL && problem.first->key != NULL ? problem.first->key : "",
                                             problem.first != NULL && problem.first->pointer != NULL ? problem.first->pointer : ""),
                                   0, -1, false);
    else
        return true;
    return false;
}

static mu_out_result
result_of(mu_arena *arena, const mu_out_row *row, const mu_mail_result *r, int64_t ms)
{
    switch (r->outcome) {
    case MU_MAIL_SENT:
        return mu_outbox_result(arena, row, MU_OUT_SENT, r->code, r->answer, ms, -1, false);
    case MU_MAIL_DEAD:
        return mu_outbox_result(arena, row, MU_OUT_DEAD, r->code, r->answer, ms, -1, false);
    case MU_MAIL_RETRY:
        break;
    }
    return mu_outbox_result(arena, row, MU_OUT_RETRY, r->code, r->answer, ms, -1, r->unsure);
}

static void
deliver(const sender *s, mu_arena *arena, const mu_out_row *rows, size_t count, const bool *may_go, mu_out_result *results)
{
    mu_mail *mails = mu_alloc(arena, sizeof *mails * count);
    mu_mail_result *answers = mu_alloc(arena, sizeof *answers * count);
    size_t *which = mu_alloc(arena, sizeof *which * count), n = 0;
    int64_t began = mu_monotonic_ms();

    for (size_t i = 0; i < count; i++)
        if (admit(s, arena, &rows[i], may_go[i], &mails[n], &results[i]))
            which[n++] = i;
    if (n > 0)
        mu_mail_send(s->pool, arena, &s->server, mails, n, answers);
    for (size_t k = 0; k < n; k++)
        results[which[k]] = result_of(arena, &rows[which[k]], &answers[k], mu_monotonic_ms() - began);
}

/* One batch: as much as all sessions take in one wave, so that the lease is longer than the wave. */
static size_t
turn(sender *s, mu_bell *bell)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(1u << 30);
    int wave = s->sessions * MU_MAIL_PER_SESSION;
    mu_out_row *rows = NULL;
    size_t count = 0;

    if (mu_outbox_claim(s->outbox, arena, "email", wave - wave / RETRY_SHARE, wave / RETRY_SHARE, &rows, &count) != MU_OK || count == 0)
        return 0;
    bool *may_go = mu_alloc(arena, count);
    mu_out_result *results = mu_alloc(arena, sizeof *results * count);
    uint64_t seen = 0;

    read_server(s, arena);
    if (mu_outbox_begin(s->outbox, arena, rows, count, may_go) != MU_OK)
        memset(may_go, 0, count);
    deliver(s, arena, rows, count, may_go, results);
    /* The database may be away for a moment; what was sent should be written down before the lease runs out. */
    for (int tries = 0; tries < 20 && mu_outbox_settle(s->outbox, arena, results, count) != MU_OK; tries++)
        mu_bell_wait(bell, &seen, 1000);
    return count;
}

void
mu_mailer_loop(const mu_outbox *outbox, mu_bell *bell, int poll_ms, int sessions)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(0);
    mu_mailer *mailer = mu_mailer_new();
    sender s = { .outbox = outbox, .mailer = mailer, .sessions = sessions, .pool = mu_mail_pool_new(arena, sessions) };
    uint64_t seen = 0;

    while (!mu_bell_stopped(bell))
        if (turn(&s, bell) == 0) {
            mu_mail_pool_rest(s.pool);
            mu_bell_wait(bell, &seen, poll_ms);
        }
    mu_mail_pool_close(s.pool);
    mu_mailer_free(mailer);
}
