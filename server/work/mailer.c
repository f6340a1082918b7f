#include "mailer.h"

#include <string.h>

#include "conf.h"
#include "clock.h"
#include "crypto.h"
#include "letter.h"
#include "log.h"
#include "mail.h"
#include "mime.h"
#include "str.h"

#define MESSAGE_MAX (8u << 20)
#define RETRY_SHARE 4        /* a quarter of a batch may be retries */

/* ---- one message ---- */

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

/* The message of a row, complete. `from` = the sender's mailbox. Faults: bad address, model or template. */
static mu_err
write_mail(mu_letters *letters, mu_arena *arena, const mu_out_row *row, const char *from, mu_problem *problem, mu_mail *ret)
{
    const char *ref = row->ref, *thread_of = ref != NULL ? lower(arena, ref) : "system", *at = strrchr(from, '@'),
               *domain = at != NULL ? at + 1 : "localhost";
    mu_letter letter;
    char *to;
    MU_BUF_AUTO(out, MESSAGE_MAX);

    TRY(mu_mail_address(arena, row->address, problem, "/to", &to));
    TRY(mu_letter_write(letters, arena, row, problem, &letter));
    mu_mime m = {
        .message_id = mu_printf(arena, "%s.%s@%s", thread_of, row->event_id, domain),
        .thread = ref != NULL ? mu_printf(arena, "%s@%s", thread_of, domain) : NULL,
        .from = from, .from_name = one_line(arena, letter.site), .to = to, .to_name = one_line(arena, letter.reader),
        .subject = one_line(arena, ref != NULL ? mu_printf(arena, "[%s] %s", ref, letter.subject) : letter.subject),
        .text = letter.text, .html = letter.html,
        .language = row->language, .drill = !mu_same(row->kind, "incident") && !mu_same(row->kind, "system"),
        .urgent = mu_same(row->severity, "I") || mu_same(row->severity, "II"), .incident = ref, .severity = row->severity,
    };
    if (!mu_time_parse(row->created_at, &m.at)) /* the same Date on every attempt */
        m.at = mu_wall_now();
    TRY(mu_mime_write(arena, &m, problem, &out));
    *ret = (mu_mail){ .from = from, .to = to, .bytes = mu_strndup(arena, out.at, out.n), .n = out.n };
    return MU_OK;
}

/* ---- the loop ---- */

typedef struct {
    const mu_outbox *outbox;
    mu_letters      *letters;
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
    if (!may_go)
        *result = mu_outbox_result(arena, row, MU_OUT_RETRY, 0, "lease lost", 0, -1, false);
    else if (!s->have_server)   /* waiting would not help, and a step that waits with it would hold up its run */
        *result = mu_outbox_result(arena, row, MU_OUT_DEAD, 0, "no mail server is configured (smtp.host)", 0, -1, false);
    else if (row->endpoint_disabled)
        *result = mu_outbox_result(arena, row, MU_OUT_REFUSED, 0, "the endpoint is disabled", 0, -1, false);
    else if (write_mail(s->letters, arena, row, s->from, &problem, mail) != MU_OK)
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

    mu_letters_forget(s->letters);
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
    sender s = { .outbox = outbox, .letters = mu_letters_new(), .sessions = sessions, .pool = mu_mail_pool_new(arena, sessions) };
    uint64_t seen = 0;

    while (!mu_bell_stopped(bell))
        if (turn(&s, bell) == 0) {
            mu_mail_pool_rest(s.pool);
            mu_bell_wait(bell, &seen, poll_ms);
        }
    mu_mail_pool_close(s.pool);
    mu_letters_free(s.letters);
}
