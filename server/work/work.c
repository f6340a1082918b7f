#include "work.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base.h"
#include "bell.h"
#include "conf.h"
#include "connections.h"
#include "db.h"
#include "documents.h"
#include "fetch.h"
#include "hooks.h"
#include "listen.h"
#include "log.h"
#include "mailer.h"
#include "run.h"
#include "str.h"
#include "timers.h"

#define LATE 300 /* seconds after which something undelivered is worth an alarm */
#define SENDERS 2 /* threads of each kind of sender: one asks the database while the other is on the wire */

/* Everything the threads share is set before the first one starts and read only afterwards, but for the bell and the waker. */
typedef struct {
    mu_bell     bell;
    const char *url, *base;
    char        node[96];
    int         lease, poll_ms;
    mu_fetch_policy policy;
    _Atomic(mu_fetch *) wakers[SENDERS + 1];   /* the last is that of the calls */
} shared;

typedef struct { shared *all; void (*loop)(shared *all, const mu_outbox *outbox, int nth); const char *name; int nth; pthread_t thread; bool runs; } worker;

static void
hooks(shared *all, const mu_outbox *outbox, int nth)
{
    mu_hooks_loop(outbox, &all->policy, &all->bell, all->poll_ms, &all->wakers[nth]);
}

static void
calls(shared *all, const mu_outbox *outbox, int nth)
{
    (void)nth;
    mu_calls_loop(outbox, &all->policy, &all->bell, all->poll_ms, &all->wakers[SENDERS]);
}

/* The sessions are shared out; with a single one, the first thread has it and the other has nothing to do. */
static void
mails(shared *all, const mu_outbox *outbox, int nth)
{
    const int sessions = ((int)mu_conf_int(MU_CONF_SMTP_SESSIONS) + SENDERS - 1 - nth) / SENDERS;

    if (sessions > 0)
        mu_mailer_loop(outbox, &all->bell, all->poll_ms, sessions);
}

static void
timers(shared *all, const mu_outbox *outbox, int nth)
{
    (void)nth;
    mu_timers_loop(outbox, &all->bell, all->poll_ms, LATE);
}

static void
documents(shared *all, const mu_outbox *outbox, int nth)
{
    (void)nth;
    mu_documents_loop(outbox, &all->bell, all->poll_ms);
}

/* One thread: one connection, one loop. */
static void *
run_worker(void *closure)
{
    worker *w = closure;
    char name[64];

    snprintf(name, sizeof name, "muster work %s", w->name);
    mu_outbox outbox = { .db = mu_db_new(w->all->url, name), .node = w->all->node, .base = w->all->base, .lease = w->all->lease };
    w->loop(w->all, &outbox, w->nth);
    mu_db_close(outbox.db);
    return NULL;
}

static void
on_hint(void *closure, const char *payload)
{
    shared *all = closure;

    if (mu_hint_delivered(payload))
        return; /* every other hint says "look", the tables say what */
    mu_bell_ring(&all->bell);
    for (int i = 0; i <= SENDERS; i++) {
        mu_fetch *fetch = atomic_load(&all->wakers[i]);
        if (fetch != NULL)
            mu_fetch_wake(fetch);
    }
}

/* Links in mails need an address people can reach; without one they lead to this machine. */
static const char *
base_url(mu_arena *arena)
{
    const char *url = mu_conf_text(MU_CONF_HTTP_PUBLIC_URL);
    size_t n = strlen(url);

    if (n == 0)
        return mu_printf(arena, "%s://%s:%lld", mu_conf_text(MU_CONF_HTTP_CERTIFICATE)[0] != '\0' ? "https" : "http", mu_conf_text(MU_CONF_HTTP_ADDRESS), (long long)mu_conf_int(MU_CONF_HTTP_PORT));
    while (n > 0 && url[n - 1] == '/')
        n--;
    return mu_strndup(arena, url, n);
}

static int
longer(int64_t a, int64_t b)
{
    return (int)(a > b ? a : b);
}

int
mu_work_lease_least(void)
{
    return 30 + longer(mu_conf_int(MU_CONF_SMTP_TIMEOUT), 3 * mu_conf_int(MU_CONF_HOOKS_TIMEOUT));
}

static mu_err
prepare(shared *all, mu_arena *arena, mu_problem *problem)
{
    char host[64] = "localhost";

    (void)gethostname(host, sizeof host - 1);
    snprintf(all->node, sizeof all->node, "%s:%ld", host, (long)getpid());
    all->url = mu_strdup(arena, mu_conf_text(MU_CONF_DATABASE_URL));
    all->base = base_url(arena);
    /* A lease outlives the longest thing that is done under it. */
    all->lease = longer(mu_conf_int(MU_CONF_WORK_LEASE), mu_work_lease_least());
    all->poll_ms = mu_conf_int(MU_CONF_WORK_POLL) > 0 ? (int)mu_conf_int(MU_CONF_WORK_POLL) * 1000 : 50;
    for (int i = 0; i <= SENDERS; i++)
        atomic_init(&all->wakers[i], NULL);
    mu_bell_make(&all->bell);
    return mu_fetch_policy_load(arena, problem, &all->policy);
}

static void
wait_for_end(void)
{
    sigset_t set;
    int signal_number = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    while (sigwait(&set, &signal_number) != 0) { }
    mu_log(MU_LOG_INFO, "work.stop", "signal=%d", signal_number);
}

int
mu_work_run(void)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(0);
    mu_problem problem = { .arena = arena };
    shared *all = mu_alloc(arena, sizeof *all);
    worker workers[] = { { .loop = hooks, .name = "hooks" }, { .loop = hooks, .name = "hooks", .nth = 1 }, { .loop = mails, .name = "mail" },
                         { .loop = mails, .name = "mail", .nth = 1 }, { .loop = calls, .name = "calls" }, { .loop = timers, .name = "timers" }, { .loop = documents, .name = "documents" } };
    sigset_t set;
    bool good = true;

    if (prepare(all, arena, &problem) != MU_OK) {
        mu_log(MU_LOG_ERROR, "work.start", "setting=%s key=%s value=%s", problem.first->pointer, problem.first->key,
               problem.first->args != NULL && problem.first->args[0] != NULL ? problem.first->args[1] : "");
        return 1;
    }
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* inherited by every thread: signals come to wait_for_end() alone */
    const char *direct = mu_conf_text(MU_CONF_DATABASE_DIRECT);
    mu_listener *listener = mu_listen_start(direct[0] != '\0' ? direct : all->url, 5000, on_hint, all);
    for (size_t i = 0; i < MU_COUNT(workers); i++) {
        workers[i].all = all;
        workers[i].runs = pthread_create(&workers[i].thread, NULL, run_worker, &workers[i]) == 0;
        good = good && workers[i].runs;
    }
    mu_log(MU_LOG_INFO, "work.start", "node=%s lease=%d", all->node, all->lease);
    if (good)
        wait_for_end();
    mu_listen_stop(listener);
    mu_bell_stop(&all->bell);
    for (size_t i = 0; i < MU_COUNT(workers); i++)
        if (workers[i].runs)
            pthread_join(workers[i].thread, NULL);
    mu_run_cache_clear();
    return good ? 0 : 1;
}
