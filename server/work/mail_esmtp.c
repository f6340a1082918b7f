/* libESMTP 1.1.0 behind its guards. The child process that runs this sends one session after another as long as each ends well;
 * the TLS context is always ours, because the library's own does not outlive its first session. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <auth-client.h>
#include <libesmtp.h>

#include "mail_child.h"
#include "str.h"

typedef struct {
    mu_arena   *arena;
    const mu_mail_server *server;
    char        tls_error[160];
} session_state;

/* The library writes 2 KB pieces and leaves Nagle on, so that the last piece of every message would wait 40 ms for an
 * acknowledgement. It keeps its socket to itself; but this process has no other. */
static void
no_delay(void)
{
    int on = 1;

    for (int fd = 3; fd < 64; fd++) {
        int type = 0;
        socklen_t n = sizeof type;
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_STREAM)
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
}

/* Hands the whole text over at once; the second call ends it. len NULL: the library starts from the beginning. */
static const char *
on_message(void **context, int *len, void *closure)
{
    mu_mail_job *job = closure;

    (void)context;
    if (len == NULL) {
        job->given = job->ended = false;
        return NULL;
    }
    if (job->given) {
        job->ended = true;
        *len = 0;
        return NULL;
    }
    job->given = true;
    *len = (int)job->mail.n;
    return job->mail.bytes;
}

static void
on_event(smtp_session_t session, int event, void *closure, ...)
{
    session_state *state = closure;
    va_list args;

    (void)session;
    va_start(args, closure);
    if (event == SMTP_EV_CONNECT)
        no_delay();
    else if (event == SMTP_EV_INVALID_PEER_CERTIFICATE) {
        long why = va_arg(args, long);
        int *accept = va_arg(args, int *);
        snprintf(state->tls_error, sizeof state->tls_error, "certificate refused: %s", X509_verify_cert_error_string(why));
        *accept = 0;
    } else if (event == SMTP_EV_WRONG_PEER_CERTIFICATE || event == SMTP_EV_NO_CLIENT_CERTIFICATE) {
        /* The first compares a name taken from the DNS; the configured name was checked in the handshake, below. */
        int *accept = va_arg(args, int *);
        *accept = 1;
    } else if (event == SMTP_EV_NO_PEER_CERTIFICATE) {
        int *accept = va_arg(args, int *);
        snprintf(state->tls_error, sizeof state->tls_error, "the server showed no certificate");
        *accept = 0;
    } else if (event == SMTP_EV_EXTNA_STARTTLS)
        snprintf(state->tls_error, sizeof state->tls_error, "the server does not offer STARTTLS");
    va_end(args);
}

/* TLS 1.2 and no more: with 1.3 a session ticket that arrives early makes the library wait for an answer it never asked for.
 * The peer is verified against the configured name, not the one the DNS calls canonical. */
static SSL_CTX *
tls_context(const mu_mail_server *server)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    X509_VERIFY_PARAM *param;
    int named;

    if (ctx == NULL)
        return NULL;
    param = SSL_CTX_get0_param(ctx);
    named = X509_VERIFY_PARAM_set1_ip_asc(param, server->host) == 1 || X509_VERIFY_PARAM_set1_host(param, server->host, 0) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (!named || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 || SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION) != 1
        || (server->ca_file[0] != '\0' ? SSL_CTX_load_verify_locations(ctx, server->ca_file, NULL) : SSL_CTX_set_default_verify_paths(ctx)) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

/* Reading the certificates of the system takes longer than a mail: the context is kept while host and file stay the same. */
static SSL_CTX *
kept_context(const mu_mail_server *server)
{
    static SSL_CTX *kept;
    static char *of;
    char *asked = NULL;

    if (asprintf(&asked, "%s\n%s", server->host, server->ca_file) < 0)
        return NULL;
    if (kept == NULL || strcmp(asked, of) != 0) {
        SSL_CTX_free(kept);
        free(of);
        kept = tls_context(server);
        of = asked;
    } else
        free(asked);
    return kept;
}

static int
on_auth(auth_client_request_t request, char **result, int fields, void *closure)
{
    session_state *state = closure;
    const mu_mail_server *server = state->server;

    for (int i = 0; i < fields; i++) {
        const char *text = request[i].flags & AUTH_PASS ? server->password : request[i].flags & AUTH_USER ? server->user : NULL;
        result[i] = text != NULL ? mu_strdup(state->arena, text) : NULL; /* kept by the library, not freed */
    }
    return 1;
}

static void
set_timeouts(smtp_session_t session, int64_t seconds)
{
    static const int which[] = { Timeout_GREETING, Timeout_ENVELOPE, Timeout_DATA, Timeout_TRANSFER, Timeout_DATA2 };
    long ms = (long)seconds * 500;

    for (size_t i = 0; i < MU_COUNT(which); i++)
        smtp_set_timeout(session, which[i] | Timeout_OVERRIDE_RFC2822_MINIMUM, ms > 1000 ? ms : 1000);
}

static bool
add_jobs(smtp_session_t session, mu_mail_job *jobs, size_t count)
{
    bool any = false;

    for (size_t i = 0; i < count; i++) {
        mu_mail_job *job = &jobs[i];
        if (job->settled)
            continue;
        smtp_message_t message = smtp_add_message(session);
        if (message == NULL || smtp_set_reverse_path(message, job->mail.from) == 0)
            return false;
        job->message = message;
        job->recipient = smtp_add_recipient(message, job->mail.to);
        if (job->recipient == NULL || smtp_set_messagecb(message, on_message, job) == 0)
            return false;
        any = true;
    }
    return any;
}

static int
code_of(const smtp_status_t *status)
{
    return status != NULL ? status->code : 0;
}

/* A message counts as sent only when everything agrees: the session ended well, the recipient and the text were answered by
 * 2xx, and the library really fetched the last byte. An attacker's answers sent ahead of STARTTLS fail the first or the last.
 * On an unencrypted connection that was lost half-way, messages answered before the loss keep their answer: there is nothing
 * to protect there, and sending them again would tell people twice. */
static void
settle(session_state *state, mu_mail_job *job, bool session_ok, bool plain, const char *error)
{
    const smtp_status_t *message = smtp_message_transfer_status(job->message), *from = smtp_reverse_path_status(job->message),
                        *to = smtp_recipient_status(job->recipient);
    int m = code_of(message), r = code_of(to), f = code_of(from);
    const char *loss = state->tls_error[0] != '\0' ? state->tls_error : error;

    if (m / 100 == 2 && r / 100 == 2 && job->ended && (session_ok || plain))
        mu_mail_settle(state->arena, job, MU_MAIL_SENT, m, message->text);
    else if (r >= 400)
        mu_mail_settle(state->arena, job, mu_mail_outcome_of(r), r, to->text);
    else if (f >= 400)
        mu_mail_settle(state->arena, job, mu_mail_outcome_of(f), f, from->text);
    else if (m >= 400 && job->ended)
        mu_mail_settle(state->arena, job, mu_mail_outcome_of(m), m, message->text);
    else
        mu_mail_settle(state->arena, job, MU_MAIL_RETRY, m >= 400 ? m : 0, m >= 400 && message->text != NULL ? message->text : loss);
}

static void
none_sent(mu_arena *arena, mu_mail_job *jobs, size_t count, const char *reason)
{
    for (size_t i = 0; i < count; i++)
        if (!jobs[i].settled)
            mu_mail_settle(arena, &jobs[i], MU_MAIL_RETRY, 0, reason);
}

static bool
run_session(session_state *state, smtp_session_t session, mu_mail_job *jobs, size_t count)
{
    char text[200] = "the mail session broke off";
    ERR_clear_error();
    bool started = smtp_start_session(session) != 0;
    int error = smtp_errno();
    bool plain = state->server->security == MU_SMTP_NONE && error == SMTP_ERR_DROPPED_CONNECTION;

    if (error != 0)
        smtp_strerror(error, text, sizeof text);
    const char *tls = ERR_reason_error_string(ERR_peek_last_error()); /* the library only says "client error" */
    if (tls != NULL && state->tls_error[0] == '\0')
        snprintf(state->tls_error, sizeof state->tls_error, "TLS: %s", tls);
    for (size_t i = 0; i < count; i++)
        if (!jobs[i].settled)
            settle(state, &jobs[i], started && error == 0, plain, text);
    return started && error == 0;
}

/* TLS and sign-in; NULL, or what cannot be used. */
static const char *
secure(session_state *state, smtp_session_t session, auth_context_t *ret_auth)
{
    static bool initialised;
    const mu_mail_server *server = state->server;

    if (server->security == MU_SMTP_STARTTLS) {
        SSL_CTX *ctx = kept_context(server);
        if (ctx == NULL || smtp_starttls_set_ctx(session, ctx) == 0 || smtp_starttls_enable(session, Starttls_REQUIRED) == 0)
            return "smtp.ca_file cannot be used";
    }
    if (server->user[0] == '\0')
        return NULL;
    if (!initialised)
        auth_client_init();
    initialised = true;
    *ret_auth = auth_create_context();
    if (*ret_auth == NULL || auth_set_mechanism_flags(*ret_auth, AUTH_PLUGIN_PLAIN, 0) == 0
        || auth_set_interact_cb(*ret_auth, on_auth, state) == 0 || smtp_auth_set_context(session, *ret_auth) == 0)
        return "sign-in to the mail server cannot be set up";
    return NULL;
}

bool
mu_mail_esmtp(mu_arena *arena, const mu_mail_server *server, mu_mail_job *jobs, size_t count)
{
    session_state state = { .arena = arena, .server = server };
    smtp_session_t session = smtp_create_session();
    auth_context_t auth = NULL;
    bool v6 = strchr(server->host, ':') != NULL, good = false;
    const char *why;

    if (session == NULL || smtp_set_server(session, mu_printf(arena, v6 ? "[%s]:%d" : "%s:%d", server->host, server->port)) == 0) {
        none_sent(arena, jobs, count, "smtp.host is malformed");
        return false;
    }
    smtp_set_eventcb(session, on_event, &state);
    set_timeouts(session, server->timeout);
    why = secure(&state, session, &auth);
    if (why == NULL && add_jobs(session, jobs, count))
        good = run_session(&state, session, jobs, count);
    none_sent(arena, jobs, count, why != NULL ? why : "the message could not be handed to the mail library");
    smtp_destroy_session(session);
    if (auth != NULL)
        auth_destroy_context(auth);
    return good;
}
