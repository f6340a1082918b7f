#include "listen.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "clock.h"
#include "connect.h"
#include "crypto.h"
#include "log.h"

#define HEARTBEAT_MS 30000
#define HINT_EVERY_MS 20     /* on the average */
#define HINT_BURST_MS 100    /* so much of it may be used at once, so that the one hint of a quiet house never waits */
#define HINTS_MOST 64

struct mu_listener {
    char *url;
    int poll_ms, wake;
    void (*on_hint)(void *closure, const char *payload);
    void *closure;
    pthread_t thread;
    atomic_bool stop;
};

/* Hints this process wants told. A burst of commits becomes one statement, because NOTIFY takes a lock of the whole server. */
static struct {
    pthread_mutex_t lock;
    int wake;                     /* eventfd of the listener, -1 when none runs */
    size_t n;
    char *payload[HINTS_MOST];
} hints = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = -1 };

static void nudge(int fd)
{
    const uint64_t one = 1;
    ssize_t done;

    do
        done = write(fd, &one, sizeof one);
    while (done < 0 && errno == EINTR);
}

bool mu_hint_keep(const char *payload)
{
    bool known = false;

    pthread_mutex_lock(&hints.lock);
    const int wake = hints.wake;
    for (size_t i = 0; i < hints.n && !known; i++)
        known = strcmp(hints.payload[i], payload) == 0;
    if (wake >= 0 && !known && hints.n < HINTS_MOST) {
        char *copy = strdup(payload);
        if (copy != NULL)
            hints.payload[hints.n++] = copy;
    }
    pthread_mutex_unlock(&hints.lock);
    if (wake >= 0)
        nudge(wake);
    return wake >= 0;
}

static size_t take_hints(char **ret)
{
    pthread_mutex_lock(&hints.lock);
    const size_t n = hints.n;
    if (n > 0)
        memcpy(ret, hints.payload, n * sizeof *ret);
    hints.n = 0;
    pthread_mutex_unlock(&hints.lock);
    return n;
}

static bool command(PGconn *conn, const char *sql, int n, const char *const *params)
{
    PGresult *result = PQexecParams(conn, sql, n, NULL, params, NULL, NULL, 0);
    const bool good = PQresultStatus(result) == PGRES_COMMAND_OK || PQresultStatus(result) == PGRES_TUPLES_OK;

    PQclear(result);
    return good;
}

/* All in one transaction. A failure is no loss of facts: everybody polls too. */
static bool tell_hints(PGconn *conn)
{
    char *payload[HINTS_MOST];
    const size_t n = take_hints(payload);
    bool good = n <= 1 || command(conn, "BEGIN", 0, NULL);

    for (size_t i = 0; i < n; i++) {
        const char *const params[] = { payload[i] };
        good = good && command(conn, "SELECT pg_notify('muster', $1::text)", 1, params);
        free(payload[i]);
    }
    return n <= 1 ? good : good && command(conn, "COMMIT", 0, NULL);
}

/* Waits for the socket (when there is one) and for the eventfd. True when there is something to read. */
static bool wait_for(mu_listener *l, PGconn *conn, int64_t ms)
{
    struct pollfd fds[2] = { { .fd = l->wake, .events = POLLIN }, { .fd = conn != NULL ? PQsocket(conn) : -1, .events = POLLIN } };
    uint64_t count;

    if (poll(fds, 2, ms > 0 ? (int)ms : 0) <= 0)
        return false;
    if ((fds[0].revents & POLLIN) != 0 && read(l->wake, &count, sizeof count) < 0)
        return false;
    return fds[1].revents != 0;
}

/* True when at least one came. */
static bool hand_out(mu_listener *l, PGconn *conn)
{
    PGnotify *note;
    bool any = false;

    while ((note = PQnotifies(conn)) != NULL) {
        if (!atomic_load(&l->stop))
            l->on_hint(l->closure, note->extra);
        PQfreemem(note);
        any = true;
    }
    return any;
}

static bool waiting_hints(void)
{
    pthread_mutex_lock(&hints.lock);
    const bool any = hints.n > 0;
    pthread_mutex_unlock(&hints.lock);
    return any;
}

/* Until the connection breaks or the listener stops. */
static void attend(mu_listener *l, PGconn *conn)
{
    int64_t quiet = mu_monotonic_ms(), beat = quiet, used = 0;

    while (!atomic_load(&l->stop)) {
        int64_t now = mu_monotonic_ms(), until = quiet + l->poll_ms;
        if (waiting_hints() && now + HINT_BURST_MS >= used + HINT_EVERY_MS) {
            used = (used > now ? used : now) + HINT_EVERY_MS;
            if (!tell_hints(conn))
                return;
        } else if (waiting_hints() && used + HINT_EVERY_MS - HINT_BURST_MS < until) {
            until = used + HINT_EVERY_MS - HINT_BURST_MS;
        }
        if (hand_out(l, conn))   /* notifications that came with an answer */
            quiet = now;
        if (wait_for(l, conn, until - now) && PQconsumeInput(conn) == 0)
            return;
        if (PQstatus(conn) != CONNECTION_OK)
            return;
        now = mu_monotonic_ms();
        if (hand_out(l, conn)) {
            quiet = now;
        } else if (now - quiet >= l->poll_ms) {
            quiet = now;
            l->on_hint(l->closure, "");
        }
        if (now - beat >= HEARTBEAT_MS) {
            beat = now;
            if (!command(conn, "SELECT 1", 0, NULL))
                return;
        }
    }
}

static int64_t pause_ms(unsigned failures)
{
    uint32_t random = 0;
    int64_t ms = INT64_C(200) << (failures < 5 ? failures : 5);

    if (ms > 5000)
        ms = 5000;
    mu_random(&random, sizeof random);
    return ms / 2 + (int64_t)(random % (uint32_t)(ms / 2));
}

/* While the database is away the polls go on: the one who listens must notice that, too. */
static void wait_away(mu_listener *l, int64_t ms)
{
    const int64_t end = mu_monotonic_ms() + ms;
    int64_t poll_at = mu_monotonic_ms() + l->poll_ms;

    while (!atomic_load(&l->stop) && mu_monotonic_ms() < end) {
        const int64_t now = mu_monotonic_ms();
        (void)wait_for(l, NULL, (end < poll_at ? end : poll_at) - now);
        if (mu_monotonic_ms() >= poll_at) {
            poll_at = mu_monotonic_ms() + l->poll_ms;
            l->on_hint(l->closure, "");
        }
    }
}

static void *listen_thread(void *object)
{
    mu_listener *l = object;
    unsigned failures = 0;
    char text[256];

    while (!atomic_load(&l->stop)) {
        PGconn *conn = mu_connect(l->url, "muster listen");
        if (PQstatus(conn) == CONNECTION_OK && command(conn, "LISTEN muster", 0, NULL)) {
            failures = 0;
            l->on_hint(l->closure, NULL);
            attend(l, conn);
        }
        if (!atomic_load(&l->stop) && failures == 0)
            mu_log(MU_LOG_WARN, "listen.away", "error=%s", mu_connect_error(conn, text, sizeof text));
        PQfinish(conn);
        if (!atomic_load(&l->stop))
            wait_away(l, pause_ms(failures++));
    }
    return NULL;
}

mu_listener *mu_listen_start(const char *url, int poll_ms, void (*on_hint)(void *closure, const char *payload), void *closure)
{
    mu_listener *l = calloc(1, sizeof *l);

    if (l == NULL || (l->url = strdup(url)) == NULL)
        abort();
    l->poll_ms = poll_ms > 0 ? poll_ms : 1000;
    l->on_hint = on_hint;
    l->closure = closure;
    l->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (l->wake < 0 || pthread_create(&l->thread, NULL, listen_thread, l) != 0)
        abort();
    pthread_mutex_lock(&hints.lock);
    if (hints.wake < 0)
        hints.wake = l->wake;
    pthread_mutex_unlock(&hints.lock);
    return l;
}

void mu_listen_stop(mu_listener *l)
{
    char *left[HINTS_MOST];

    if (l == NULL)
        return;
    pthread_mutex_lock(&hints.lock);
    const bool ours = hints.wake == l->wake;
    if (ours)
        hints.wake = -1;
    pthread_mutex_unlock(&hints.lock);
    atomic_store(&l->stop, true);
    nudge(l->wake);
    pthread_join(l->thread, NULL);
    if (ours)
        for (size_t i = take_hints(left); i > 0; i--)
            free(left[i - 1]);
    close(l->wake);
    free(l->url);
    free(l);
}

bool
mu_hint_delivered(const char *payload)
{
    const char *parts = payload != NULL ? strchr(payload, ' ') : NULL;

    return parts != NULL && strcmp(parts + 1, MU_PARTS_DELIVERED) == 0;
}
