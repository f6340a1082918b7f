#include "mail.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "conf.h"
#include "json.h"
#include "log.h"
#include "mail_child.h"
#include "process.h"
#include "str.h"

#define BATCH_MAX (64u << 20)
#define ANSWER_MAX (1u << 20)
#define SLACK_MS 5000 /* the child's own time-outs come first, the kill after them */

static const char *const security_words[] = { [MU_SMTP_NONE] = "none", [MU_SMTP_STARTTLS] = "starttls", [MU_SMTP_TLS] = "tls" };
static const char *const outcome_words[] = { [MU_MAIL_SENT] = "sent", [MU_MAIL_RETRY] = "retry", [MU_MAIL_DEAD] = "dead" };

static int
word_index(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (mu_same(words[i], word))
            return (int)i;
    return -1;
}

mu_mail_outcome
mu_mail_outcome_of(int code)
{
    if (code >= 200 && code < 300)
        return MU_MAIL_SENT;
    /* 530, 534, 535, 538: our sign-in, not the recipient, is wrong; an administrator can mend that while the row waits. */
    if (code >= 500 && code < 600 && code != 530 && code != 534 && code != 535 && code != 538)
        return MU_MAIL_DEAD;
    return MU_MAIL_RETRY;
}

bool
mu_smtp_security_of(const char *word, mu_smtp_security *ret)
{
    int found = word_index(security_words, MU_COUNT(security_words), word);

    if (found >= 0)
        *ret = (mu_smtp_security)found;
    return found >= 0;
}

mu_err
mu_mail_server_load(mu_arena *arena, mu_problem *problem, mu_mail_server *ret)
{
    int security = word_index(security_words, MU_COUNT(security_words), mu_conf_text(MU_CONF_SMTP_SECURITY));

    ret->host = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_HOST));
    ret->port = (int)mu_conf_int(MU_CONF_SMTP_PORT);
    ret->security = security < 0 ? MU_SMTP_STARTTLS : (mu_smtp_security)security;
    ret->user = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_USER));
    ret->password = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_PASSWORD));
    ret->ca_file = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_CA));
    ret->sessions = (int)mu_conf_int(MU_CONF_SMTP_SESSIONS);
    ret->timeout = mu_conf_int(MU_CONF_SMTP_TIMEOUT);
    /* All of it is filled in even so: a server may be named on the screen instead. */
    return ret->host[0] != '\0' ? MU_OK : mu_fail(problem, MU_UNAVAILABLE, "smtp.host", "error.mail.no_server", NULL);
}

/* ---- the parent ---- */

static void
add_member(mu_buf *out, const char *name, const char *value, size_t n)
{
    mu_buf_add_json(out, name, strlen(name));
    mu_buf_addc(out, ':');
    mu_buf_add_json(out, value, n);
}

static void
write_batch(mu_buf *out, const mu_mail_server *server, const mu_mail *mails, size_t count)
{
    mu_buf_addc(out, '{');
    add_member(out, "host", server->host, strlen(server->host));
    mu_buf_addc(out, ',');
    add_member(out, "user", server->user, strlen(server->user));
    mu_buf_addc(out, ',');
    add_member(out, "password", server->password, strlen(server->password));
    mu_buf_addc(out, ',');
    add_member(out, "ca_file", server->ca_file, strlen(server->ca_file));
    mu_buf_addf(out, ",\"security\":\"%s\",\"port\":%d,\"timeout\":%lld,\"mails\":[", security_words[server->security], server->port,
                (long long)server->timeout);
    for (size_t i = 0; i < count; i++) {
        mu_buf_adds(out, i == 0 ? "{" : ",{");
        add_member(out, "from", mails[i].from, strlen(mails[i].from));
        mu_buf_addc(out, ',');
        add_member(out, "to", mails[i].to, strlen(mails[i].to));
        mu_buf_addc(out, ',');
        add_member(out, "text", mails[i].bytes, mails[i].n);
        mu_buf_addc(out, '}');
    }
    mu_buf_adds(out, "]}");
}

static void
all_retry(mu_arena *arena, mu_mail_result *ret, size_t count, const char *reason, bool unsure)
{
    for (size_t i = 0; i < count; i++)
        ret[i] = (mu_mail_result){ .outcome = MU_MAIL_RETRY, .answer = mu_mail_answer(arena, reason), .unsure = unsure };
}

static void
read_answer(mu_arena *arena, const mu_process *p, mu_mail_result *ret, size_t count)
{
    mu_problem problem = { .arena = arena };
    json_t *answer = NULL;
    const json_t *results;

    all_retry(arena, ret, count, p->end == MU_PROCESS_DEADLINE ? "the mail server did not finish in time" : "the mail session broke off",
              p->end == MU_PROCESS_EXITED || p->end == MU_PROCESS_DEADLINE);
    if (p->errors.n > 0)
        mu_log(MU_LOG_WARN, "mail.child", "end=%d code=%d errors=%s", (int)p->end, p->code, mu_mail_answer(arena, p->errors.at));
    if (p->end != MU_PROCESS_EXITED || p->output.n == 0 || mu_json_parse(arena, p->output.at, p->output.n, &problem, &answer) != MU_OK)
        return;
    results = json_object_get(answer, "results");
    for (size_t i = 0; i < count && i < json_array_size(results); i++) {
        const json_t *one = json_array_get(results, i);
        int outcome = word_index(outcome_words, MU_COUNT(outcome_words), mu_json_str(one, "outcome"));
        const char *text = mu_json_str(one, "answer");
        if (outcome >= 0)
            ret[i] = (mu_mail_result){ (mu_mail_outcome)outcome, (int)mu_json_int(one, "code", 0), text != NULL ? mu_strdup(arena, text) : "",
                                       mu_json_bool(one, "unsure", false) };
    }
}

/* As many sessions side by side as configured. */
static void
send_wave(mu_arena *arena, const mu_mail_server *server, const mu_mail *mails, size_t count, size_t per, mu_mail_result *ret)
{
    static char name[] = "muster", verb[] = "mail-child", path[] = "PATH=/usr/bin:/bin", lang[] = "LANG=C.UTF-8", home[] = "HOME=/nonexistent";
    char *const argv[] = { name, verb, NULL }, *const env[] = { path, lang, home, NULL };
    size_t children = (count + per - 1) / per;
    mu_process *list = mu_alloc(arena, sizeof *list * children);
    mu_buf *inputs = mu_alloc(arena, sizeof *inputs * children);

    for (size_t i = 0; i < children; i++) {
        size_t n = count - i * per < per ? count - i * per : per;
        inputs[i] = (mu_buf)MU_BUF(BATCH_MAX);
        write_batch(&inputs[i], server, mails + i * per, n);
        list[i] = (mu_process){ .program = mu_process_self(), .argv = argv, .env = env, .input = inputs[i].at, .input_n = inputs[i].n,
                                .deadline_ms = server->timeout * 1000 + SLACK_MS, .output_max = ANSWER_MAX };
    }
    mu_process_run(list, children);
    for (size_t i = 0; i < children; i++) {
        size_t n = count - i * per < per ? count - i * per : per;
        if (inputs[i].over)
            all_retry(arena, ret + i * per, n, "the batch is too large", false);
        else
            read_answer(arena, &list[i], ret + i * per, n);
        mu_buf_free(&inputs[i]);
        mu_buf_free(&list[i].output);
        mu_buf_free(&list[i].errors);
    }
}

void
mu_mail_send(mu_arena *arena, const mu_mail_server *server, const mu_mail *mails, size_t count, mu_mail_result *ret)
{
    size_t sessions = server->sessions > 0 ? (size_t)server->sessions : 1;

    for (size_t done = 0; done < count;) {
        size_t left = count - done;
        size_t per = (left + sessions - 1) / sessions;
        per = per < MU_MAIL_PER_SESSION ? per : MU_MAIL_PER_SESSION;
        size_t n = left < per * sessions ? left : per * sessions;
        send_wave(arena, server, mails + done, n, per, ret + done);
        done += n;
    }
}

/* ---- the child ---- */

char *
mu_mail_answer(mu_arena *arena, const char *text)
{
    char *made = mu_strndup(arena, text != NULL ? text : "", text != NULL ? strnlen(text, 300) : 0);

    for (char *c = made; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = *c == '\n' || *c == '\r' || *c == '\t' ? ' ' : '?';
    for (size_t n = strlen(made); n > 0 && made[n - 1] == ' '; n--)
        made[n - 1] = '\0';
    return made;
}

void
mu_mail_settle(mu_arena *arena, mu_mail_job *job, mu_mail_outcome outcome, int code, const char *answer)
{
    job->result = (mu_mail_result){ outcome, code, mu_mail_answer(arena, answer), outcome == MU_MAIL_RETRY && job->given && code == 0 };
    job->settled = true;
}

static bool
read_input(mu_buf *in)
{
    char bytes[65536];

    for (;;) {
        ssize_t n = read(0, bytes, sizeof bytes);
        if (n == 0)
            return true;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || !mu_buf_add(in, bytes, (size_t)n))
            return false;
    }
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

static const char *
text_of(const json_t *object, const char *key)
{
    const char *text = mu_json_str(object, key);

    return text != NULL ? text : "";
}

/* The envelope is checked here once more: whatever the caller did, no line end reaches the protocol. */
static void
take_jobs(mu_arena *arena, const json_t *mails, mu_mail_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_array_get(mails, i);
        mu_mail *mail = &jobs[i].mail;
        mail->from = text_of(one, "from");
        mail->to = text_of(one, "to");
        mail->bytes = text_of(one, "text");
        mail->n = strlen(mail->bytes);
        if (!mu_is_email(mail->from) || !mu_is_email(mail->to) || mail->n == 0)
            mu_mail_settle(arena, &jobs[i], MU_MAIL_DEAD, 0, "malformed address or empty message");
    }
}

static void
write_results(mu_buf *out, const mu_mail_job *jobs, size_t count)
{
    mu_buf_adds(out, "{\"results\":[");
    for (size_t i = 0; i < count; i++) {
        const mu_mail_result *r = &jobs[i].result;
        mu_buf_addf(out, "%s{\"outcome\":\"%s\",\"code\":%d,\"unsure\":%s,", i == 0 ? "" : ",", outcome_words[r->outcome], r->code,
                    r->unsure ? "true" : "false");
        add_member(out, "answer", r->answer, strlen(r->answer));
        mu_buf_addc(out, '}');
    }
    mu_buf_adds(out, "]}\n");
}

static bool
is_local(const char *host)
{
    return mu_same(host, "localhost") || mu_same(host, "127.0.0.1") || mu_same(host, "::1");
}

static void
send_jobs(mu_arena *arena, const mu_mail_server *server, mu_mail_job *jobs, size_t count)
{
    if (server->security == MU_SMTP_NONE && server->user[0] != '\0' && !is_local(server->host)) {
        for (size_t i = 0; i < count; i++)
            if (!jobs[i].settled)
                mu_mail_settle(arena, &jobs[i], MU_MAIL_RETRY, 0, "smtp.user needs smtp.security = starttls or tls");
        return;
    }
    switch (server->security) {
    case MU_SMTP_NONE:
    case MU_SMTP_STARTTLS:
        mu_mail_esmtp(arena, server, jobs, count);
        break;
    case MU_SMTP_TLS:
        mu_mail_curl(arena, server, jobs, count);
        break;
    }
}

int
mu_mail_child(void)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(4 * (size_t)BATCH_MAX);
    mu_buf in MU_CLEAN(mu_buf_free) = MU_BUF(BATCH_MAX), out MU_CLEAN(mu_buf_free) = MU_BUF(ANSWER_MAX);
    mu_problem problem = { .arena = arena };
    json_t *batch = NULL;

    if (!read_input(&in) || in.n == 0 || mu_json_parse(arena, in.at, in.n, &problem, &batch) != MU_OK)
        return 2;
    const json_t *mails = json_object_get(batch, "mails");
    size_t count = json_array_size(mails);
    mu_mail_job *jobs = mu_alloc(arena, sizeof *jobs * (count + 1));
    int security = word_index(security_words, MU_COUNT(security_words), mu_json_str(batch, "security"));
    mu_mail_server server = { .host = text_of(batch, "host"), .port = (int)mu_json_int(batch, "port", 25), .user = text_of(batch, "user"),
                              .password = text_of(batch, "password"), .ca_file = text_of(batch, "ca_file"),
                              .security = security < 0 ? MU_SMTP_STARTTLS : (mu_smtp_security)security,
                              .timeout = mu_json_int(batch, "timeout", 60), .sessions = 1 };

    take_jobs(arena, mails, jobs, count);
    send_jobs(arena, &server, jobs, count);
    write_results(&out, jobs, count);
    return !out.over && write_all(out.at, out.n) ? 0 : 3;
}
