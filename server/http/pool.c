/* Handler threads, each with its own connection to the database, behind one bounded queue. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "req.h"

#define QUEUE_AGE_MS 5000   /* older than this, a request is refused: its caller has most likely given up */
#define THREADS_MAX 64

static struct {
    pthread_mutex_t lock;
    pthread_cond_t  more;
    mu_req        **ring;
    size_t          cap, head, n;
    bool            stopping;
    unsigned        threads;
    pthread_t       thread[THREADS_MAX];
    char           *url;
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER };

void mu_pool_busy(mu_req *rq)
{
    mu_count(MU_METRIC_HTTP_REFUSED, 0, 1);
    rq->out = (mu_output){ 0 };
    rq->problem = (mu_problem){ .arena = rq->arena };
    mu_fail(&rq->problem, MU_UNAVAILABLE, NULL, "error.busy", NULL);
    mu_reply_problem(rq);
}

static mu_req *take(void)
{
    mu_req *rq;

    while (pool.n == 0 && !pool.stopping)
        pthread_cond_wait(&pool.more, &pool.lock);
    if (pool.n == 0)
        return NULL;
    rq = pool.ring[pool.head];
    pool.head = (pool.head + 1) % pool.cap;
    pool.n--;
    mu_gauge(MU_METRIC_HTTP_QUEUE, 0, (int64_t)pool.n);
    return rq;
}

static void *work(void *number)
{
    char name[32];
    mu_db *db;

    snprintf(name, sizeof name, "muster serve %u", (unsigned)(uintptr_t)number);
    db = mu_db_new(pool.url, name);
    for (;;) {
        mu_req *rq;
        pthread_mutex_lock(&pool.lock);
        rq = take();
        pthread_mutex_unlock(&pool.lock);
        if (rq == NULL)
            break;
        if (mu_monotonic_ms() - rq->at_complete > QUEUE_AGE_MS)
            mu_pool_busy(rq);
        else
            mu_flow(rq, db);
        mu_loop_resume(rq);
    }
    mu_db_close(db);
    return NULL;
}

bool mu_pool_push(mu_req *rq)
{
    bool taken = false;

    pthread_mutex_lock(&pool.lock);
    if (pool.n < pool.cap && !pool.stopping) {
        pool.ring[(pool.head + pool.n++) % pool.cap] = rq;
        taken = true;
        mu_gauge(MU_METRIC_HTTP_QUEUE, 0, (int64_t)pool.n);
        pthread_cond_signal(&pool.more);
    }
    pthread_mutex_unlock(&pool.lock);
    return taken;
}

/* When every handler is held up by the database, the HTTP thread itself answers those that wait too long. */
void mu_pool_expire(int64_t now_ms)
{
    for (;;) {
        mu_req *rq = NULL;
        pthread_mutex_lock(&pool.lock);
        if (pool.n > 0 && now_ms - pool.ring[pool.head]->at_complete > QUEUE_AGE_MS)
            rq = take();
        pthread_mutex_unlock(&pool.lock);
        if (rq == NULL)
            return;
        mu_pool_busy(rq);
        mu_loop_resume(rq);
    }
}

mu_err mu_pool_start(unsigned threads, unsigned queue, const char *url, mu_problem *problem)
{
    pool.cap = queue;
    pool.head = pool.n = 0;
    pool.stopping = false;
    pool.ring = calloc(queue, sizeof *pool.ring);
    pool.url = strdup(url);
    if (pool.ring == NULL || pool.url == NULL)
        abort();
    for (pool.threads = 0; pool.threads < threads && pool.threads < THREADS_MAX; pool.threads++)
        if (pthread_create(&pool.thread[pool.threads], NULL, work, (void *)(uintptr_t)(pool.threads + 1)) != 0)
            break;
    return pool.threads > 0 ? MU_OK : mu_failf(problem, MU_INTERNAL, "no handler thread could be started");
}

void mu_pool_stop(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.stopping = true;
    pthread_cond_broadcast(&pool.more);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < pool.threads; i++)
        pthread_join(pool.thread[i], NULL);
    pool.threads = 0;
    free(pool.ring);
    free(pool.url);
    pool.ring = NULL;
    pool.url = NULL;
}
