/* The parent's side: children that are kept, and batches that go to them. */
#include <string.h>

#include "clock.h"
#include "log.h"
#include "mail_child.h"
#include "mail_frame.h"
#include "process.h"

#define SLACK_MS  5000           /* the child's own time-outs come first, the kill after them */
#define KEEP_MS   10000          /* how long the others wait for more work before only one is left */
#define AGE_MS    (10 * 60000)   /* what a child has read of the system (certificates, resolver) is at most this old */

struct mu_mail_pool {
    mu_process *children;
    int64_t    *born, *used;
    size_t      count;
};

static bool
answered(const mu_buf *output)
{
    size_t need;

    return mu_frame_whole(output, &need);
}

mu_mail_pool *
mu_mail_pool_new(mu_arena *arena, int sessions)
{
    static char name[] = "muster", verb[] = "mail-child", path[] = "PATH=/usr/bin:/bin", lang[] = "LANG=C.UTF-8", home[] = "HOME=/nonexistent";
    static char *const argv[] = { name, verb, NULL }, *const env[] = { path, lang, home, NULL };
    mu_mail_pool *pool = mu_alloc(arena, sizeof *pool);

    pool->count = sessions > 0 ? (size_t)sessions : 1;
    pool->children = mu_alloc(arena, sizeof *pool->children * pool->count);
    pool->born = mu_alloc(arena, sizeof *pool->born * pool->count);
    pool->used = mu_alloc(arena, sizeof *pool->used * pool->count);
    for (size_t i = 0; i < pool->count; i++)
        pool->children[i] = (mu_process){ .program = mu_process_self(), .argv = argv, .env = env, .output_max = MU_MAIL_ANSWER_MAX, .answered = answered };
    return pool;
}

void
mu_mail_pool_close(mu_mail_pool *pool)
{
    for (size_t i = 0; i < pool->count; i++)
        mu_process_stop(&pool->children[i]);
}

/* A child that is new, or young enough. */
static void
ready(mu_mail_pool *pool, size_t i, int64_t now)
{
    mu_process *child = &pool->children[i];
    int pid = child->pid;

    if (pid > 0 && now - pool->born[i] > AGE_MS)
        mu_process_stop(child);
    mu_process_ready(child);
    if (child->pid != pid)
        pool->born[i] = now;
}

void
mu_mail_pool_rest(mu_mail_pool *pool)
{
    const int64_t now = mu_monotonic_ms();

    ready(pool, 0, now);
    for (size_t i = 1; i < pool->count; i++)
        if (now - pool->used[i] > KEEP_MS)
            mu_process_stop(&pool->children[i]);
}

static bool
write_batch(mu_buf *out, const mu_mail_server *server, const mu_mail *mails, size_t count)
{
    const char *const texts[] = { server->host, server->user, server->password, server->ca_file };

    mu_frame_begin(out);
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        mu_frame_put_text(out, texts[i], strlen(texts[i]));
    mu_frame_put_number(out, server->security);
    mu_frame_put_number(out, server->port);
    mu_frame_put_number(out, server->timeout);
    mu_frame_put_number(out, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        mu_frame_put_text(out, mails[i].from, strlen(mails[i].from));
        mu_frame_put_text(out, mails[i].to, strlen(mails[i].to));
        mu_frame_put_text(out, mails[i].bytes, mails[i].n);
    }
    return mu_frame_end(out);
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
    if (p->errors.n > 0)
        mu_log(MU_LOG_WARN, "mail.child", "end=%d code=%d errors=%s", (int)p->end, p->code, mu_mail_answer(arena, p->errors.at));
    if (p->end == MU_PROCESS_ANSWERED) {
        mu_frame answer = mu_frame_open(&p->output);
        for (size_t i = 0; i < count; i++) {
            int64_t outcome = mu_frame_number(&answer), code = mu_frame_number(&answer), unsure = mu_frame_number(&answer);
            const char *text = mu_frame_text(&answer, NULL);
            ret[i] = (mu_mail_result){ (mu_mail_outcome)outcome, (int)code, mu_mail_answer(arena, text), unsure != 0 };
        }
        if (!answer.bad && answer.at == answer.end)
            return;
    }
    all_retry(arena, ret, count, p->end == MU_PROCESS_DEADLINE ? "the mail server did not finish in time" : "the mail session broke off",
              p->end == MU_PROCESS_EXITED || p->end == MU_PROCESS_DEADLINE || p->end == MU_PROCESS_ANSWERED);
}

/* As many sessions side by side as there are children. */
static void
send_wave(mu_mail_pool *pool, mu_arena *arena, const mu_mail_server *server, const mu_mail *mails, size_t count, size_t per, mu_mail_result *ret)
{
    const size_t children = (count + per - 1) / per;
    const int64_t now = mu_monotonic_ms();
    mu_buf *inputs = mu_alloc(arena, sizeof *inputs * children);
    bool over = false;

    for (size_t i = 0; i < children; i++) {
        size_t n = count - i * per < per ? count - i * per : per;
        inputs[i] = (mu_buf)MU_BUF(MU_MAIL_BATCH_MAX);
        over = !write_batch(&inputs[i], server, mails + i * per, n) || over;
        ready(pool, i, now);
        pool->children[i].input = inputs[i].at;
        pool->children[i].input_n = inputs[i].n;
        pool->children[i].deadline_ms = server->timeout * 1000 + SLACK_MS;
    }
    if (over)
        all_retry(arena, ret, count, "the batch is too large", false);
    else
        mu_process_run(pool->children, children);
    for (size_t i = 0; i < children; i++) {
        size_t n = count - i * per < per ? count - i * per : per;
        mu_process *child = &pool->children[i];
        if (!over) {
            read_answer(arena, child, ret + i * per, n);
            mu_buf_free(&child->output);
            mu_buf_free(&child->errors);
        }
        mu_buf_free(&inputs[i]);
        child->input = NULL;
        pool->used[i] = mu_monotonic_ms();
    }
}

void
mu_mail_send(mu_mail_pool *pool, mu_arena *arena, const mu_mail_server *server, const mu_mail *mails, size_t count, mu_mail_result *ret)
{
    for (size_t done = 0; done < count;) {
        size_t left = count - done;
        size_t per = (left + pool->count - 1) / pool->count;
        per = per < MU_MAIL_PER_SESSION ? per : MU_MAIL_PER_SESSION;
        size_t n = left < per * pool->count ? left : per * pool->count;
        send_wave(pool, arena, server, mails + done, n, per, ret + done);
        done += n;
    }
}
