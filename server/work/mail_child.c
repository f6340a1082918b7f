/* The child's side: takes batches until its input ends or something went wrong, and sends each over one connection. */
#include "mail_child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "mail_frame.h"
#include "str.h"

/* True when a whole batch has come; false at the end of the input. */
static bool
read_batch(mu_buf *in)
{
    size_t need;
    char bytes[65536];

    while (!mu_frame_whole(in, &need)) {
        ssize_t n = read(0, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || !mu_buf_add(in, bytes, (size_t)n))
            return false;
    }
    return in->n == need;
}

static bool
write_all(const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(1, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

/* The envelope is checked here once more: whatever the caller did, no line end reaches the protocol. */
static void
take_jobs(mu_arena *arena, mu_frame *in, mu_mail_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mu_mail *mail = &jobs[i].mail;
        mail->from = mu_frame_text(in, NULL);
        mail->to = mu_frame_text(in, NULL);
        mail->bytes = mu_frame_text(in, &mail->n);
        if (!mu_is_email(mail->from) || !mu_is_email(mail->to) || mail->n == 0)
            mu_mail_settle(arena, &jobs[i], MU_MAIL_DEAD, 0, "malformed address or empty message");
    }
}

static bool
is_local(const char *host)
{
    return mu_same(host, "localhost") || mu_same(host, "127.0.0.1") || mu_same(host, "::1");
}

static bool
send_jobs(mu_arena *arena, const mu_mail_server *server, mu_mail_job *jobs, size_t count)
{
    if (server->security == MU_SMTP_NONE && server->user[0] != '\0' && !is_local(server->host)) {
        for (size_t i = 0; i < count; i++)
            if (!jobs[i].settled)
                mu_mail_settle(arena, &jobs[i], MU_MAIL_RETRY, 0, "smtp.user needs smtp.security = starttls or tls");
        return true;
    }
    switch (server->security) {
    case MU_SMTP_NONE:
    case MU_SMTP_STARTTLS:
        return mu_mail_esmtp(arena, server, jobs, count);
    case MU_SMTP_TLS:
        return mu_mail_curl(arena, server, jobs, count);
    }
    return false;
}

/* One batch. *ret_good: this process may take another. */
static bool
serve(const mu_buf *in, mu_buf *out, bool *ret_good)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(MU_MAIL_BATCH_MAX);
    mu_frame frame = mu_frame_open(in);
    mu_mail_server server = { 0 };

    server.host = mu_frame_text(&frame, NULL);
    server.user = mu_frame_text(&frame, NULL);
    server.password = mu_frame_text(&frame, NULL);
    server.ca_file = mu_frame_text(&frame, NULL);
    server.security = (mu_smtp_security)mu_frame_number(&frame);
    server.port = (int)mu_frame_number(&frame);
    server.timeout = mu_frame_number(&frame);
    int64_t count = mu_frame_number(&frame);
    if (frame.bad || count < 1 || count > MU_MAIL_PER_SESSION)
        return false;
    mu_mail_job *jobs = mu_alloc(arena, sizeof *jobs * (size_t)count);
    take_jobs(arena, &frame, jobs, (size_t)count);
    if (frame.bad)
        return false;
    *ret_good = send_jobs(arena, &server, jobs, (size_t)count);
    mu_frame_begin(out);
    for (int64_t i = 0; i < count; i++) {
        const mu_mail_result *r = &jobs[i].result;
        mu_frame_put_number(out, r->outcome);
        mu_frame_put_number(out, r->code);
        mu_frame_put_number(out, r->unsure);
        mu_frame_put_text(out, r->answer, strlen(r->answer));
    }
    return mu_frame_end(out);
}

int
mu_mail_child(void)
{
    mu_buf in MU_CLEAN(mu_buf_free) = MU_BUF(MU_MAIL_BATCH_MAX), out MU_CLEAN(mu_buf_free) = MU_BUF(MU_MAIL_ANSWER_MAX);
    bool good = true;

    signal(SIGPIPE, SIG_IGN);
    while (good) {
        in.n = out.n = 0;
        if (!read_batch(&in))
            return in.n == 0 ? 0 : 2;
        if (!serve(&in, &out, &good) || !write_all(out.at, out.n))
            return 3;
    }
    return 0;
}
