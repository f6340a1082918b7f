/* libmicrohttpd in a loop of our own: it waits, we watch. Its own epoll thread stalls when exactly 128, 256, 512 … connections
 * are ready at once (0.9.75), and without that thread a resumed connection is seen only when our event descriptor says so. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clock.h"
#include "conf.h"
#include "listen.h"
#include "log.h"
#include "metrics.h"
#include "req.h"
#include "routes.h"

#define IDLE_S 75           /* silence allowed on a kept connection */
#define TURN_MS 1000
#define DRAIN_MS 5000       /* for answers to leave after the last handler has ended */
#define BACKLOG 1024
#define CONNECTION_BYTES 9216    /* kept for every open page, cleared at every request: 6 KB of header fit */
#define TLS_VERSIONS "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define HELD_MAX (512u << 20)   /* bytes of bodies in memory, all requests together */

mu_http_setup mu_setup;

static struct {
    struct MHD_Daemon *daemon;
    pthread_t   thread;
    int         epoll, wake, listen, port;
    bool        running;
    _Atomic bool stopping;
    mu_conn    *conns;          /* HTTP thread only */
    int64_t     next_watch;
    size_t      held;           /* bytes of bodies in memory; HTTP thread only */
    unsigned    in_flight;      /* requests whose answer has not left; HTTP thread only */
    mu_listener *listener;
    char       *certificate, *key;
} loop = { .epoll = -1, .wake = -1, .listen = -1 };

bool mu_loop_is_open(void)
{
    return !atomic_load(&loop.stopping);
}

void mu_loop_wake(void)
{
    const uint64_t one = 1;

    if (loop.wake >= 0)
        (void)!write(loop.wake, &one, sizeof one);
}

void mu_loop_resume(mu_req *rq)
{
    MHD_resume_connection(rq->con);
    mu_loop_wake();
}

/* ---- connections ---- */

static void on_connection(void *closure, struct MHD_Connection *con, void **context, enum MHD_ConnectionNotificationCode code)
{
    mu_conn *conn = *context;

    (void)closure;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(con, MHD_CONNECTION_INFO_CONNECTION_FD);
        if ((conn = calloc(1, sizeof *conn)) == NULL)
            abort();
        conn->fd = info != NULL ? info->connect_fd : -1;
        conn->deadline_ms = mu_monotonic_ms() + mu_conf_int(MU_CONF_HTTP_DEADLINE) * 1000;
        conn->next = loop.conns;
        if (loop.conns != NULL)
            loop.conns->prev = conn;
        loop.conns = conn;
        *context = conn;
    } else if (conn != NULL) {
        if (conn->prev != NULL)
            conn->prev->next = conn->next;
        else
            loop.conns = conn->next;
        if (conn->next != NULL)
            conn->next->prev = conn->prev;
        free(conn);
        *context = NULL;
    }
}

/* The library's own time-out counts silence only; a client that sends a byte a second would stay for ever. */
static void watch(int64_t now)
{
    for (mu_conn *conn = loop.conns; conn != NULL; conn = conn->next)
        if (conn->deadline_ms != 0 && now > conn->deadline_ms && conn->fd >= 0) {
            shutdown(conn->fd, SHUT_RDWR);
            conn->deadline_ms = 0;
        }
}

static mu_conn *conn_of(struct MHD_Connection *con)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(con, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

/* ---- requests ---- */

/* Called with the target as it was sent, before anything is decoded: the only copy that can be trusted for routing. */
static void *on_target(void *closure, const char *target, struct MHD_Connection *con)
{
    mu_req *rq = calloc(1, sizeof *rq);

    (void)closure;
    if (rq == NULL || (rq->target = strdup(target)) == NULL)
        abort();
    rq->con = con;
    rq->conn = conn_of(con);
    rq->at_start = mu_monotonic_ms();
    if (rq->conn != NULL && rq->conn->deadline_ms == 0)
        rq->conn->deadline_ms = rq->at_start + mu_conf_int(MU_CONF_HTTP_DEADLINE) * 1000;
    loop.in_flight++;
    return rq;
}

/* Leaves everything as it is: %2f and %00 must stay what they are until the path has been split. */
static size_t unescape_nothing(void *closure, struct MHD_Connection *con, char *text)
{
    (void)closure;
    (void)con;
    return strlen(text);
}

static int method_of(const char *word, bool *ret_head)
{
    static const struct { const char *word; int method; } words[] = {
        { "GET", MU_GET }, { "HEAD", MU_GET }, { "POST", MU_POST }, { "PUT", MU_PUT }, { "PATCH", MU_PATCH }, { "DELETE", MU_DELETE }, { "OPTIONS", MU_OPTIONS },
    };

    *ret_head = strcmp(word, "HEAD") == 0;
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].method;
    return MU_OTHER_METHOD;
}

static void collect(mu_req *rq, const char *bytes, size_t n)
{
    if (rq->overrun || rq->bytes_n + n > rq->bytes_max || loop.held + n > HELD_MAX) {
        rq->overrun = true;
        return;
    }
    loop.held += n;
    if (rq->bytes_n + n + 1 > rq->bytes_cap) {
        rq->bytes_cap = (rq->bytes_n + n + 1) * 2;
        if ((rq->bytes = realloc(rq->bytes, rq->bytes_cap)) == NULL)
            abort();
    }
    memcpy(rq->bytes + rq->bytes_n, bytes, n);
    rq->bytes_n += n;
    rq->bytes[rq->bytes_n] = '\0';
}

static enum MHD_Result answer(mu_req *rq)
{
    rq->phase = MU_PHASE_DONE;
    return rq->stream != NULL ? mu_sse_send(rq) : mu_send(rq);
}

static enum MHD_Result complete(mu_req *rq)
{
    rq->at_complete = rq->at_run = rq->at_done = mu_monotonic_ms();
    if (rq->conn != NULL)
        rq->conn->deadline_ms = 0;
    if (mu_front(rq))
        return answer(rq);
    /* Suspended first: once it is in the queue, a handler may resume it at any moment. */
    rq->phase = MU_PHASE_WAITING;
    MHD_suspend_connection(rq->con);
    if (!mu_pool_push(rq)) {
        mu_pool_busy(rq);
        mu_loop_resume(rq);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *closure, struct MHD_Connection *con, const char *url, const char *method, const char *version,
                                  const char *upload, size_t *upload_n, void **context)
{
    mu_req *rq = *context;

    (void)closure;
    (void)con;
    (void)url;
    (void)version;
    if (rq == NULL)
        return MHD_NO;
    if (rq->phase == MU_PHASE_NEW) {
        rq->phase = MU_PHASE_BODY;
        rq->method = method_of(method, &rq->head);
        /* An answer in the first call closes the connection, which is what a refused framing asks for. Nothing else does it. */
        return mu_guard(rq) ? MHD_YES : answer(rq);
    }
    if (*upload_n > 0) {
        if (rq->phase == MU_PHASE_BODY)
            collect(rq, upload, *upload_n);
        *upload_n = 0;
        return MHD_YES;
    }
    if (rq->phase == MU_PHASE_WAITING)
        return answer(rq);
    return rq->phase == MU_PHASE_BODY ? complete(rq) : MHD_YES;
}

static void account(const mu_req *rq, enum MHD_RequestTerminationCode code)
{
    const int64_t now = mu_monotonic_ms();
    const bool quiet = rq->out.finished != NULL;

    if (rq->phase != MU_PHASE_DONE || rq->out.status < 100)
        return;
    mu_count(MU_METRIC_HTTP_REQUESTS, (unsigned)(rq->out.status / 100 - 1), 1);
    if (rq->stream == NULL && rq->at_complete > 0)
        mu_observe(MU_METRIC_HTTP_SECONDS, 0, (double)(rq->at_done - rq->at_complete) / 1000.0);
    mu_log(quiet ? MU_LOG_DEBUG : MU_LOG_INFO, "http.request", "id=%s route=%s face=%s method=%d status=%d person=%s ms=%lld queue_ms=%lld bytes=%zu cut=%d%s%s",
           rq->id, rq->route != NULL ? rq->route->name : "-", rq->face == MU_FACE_JSON ? "json" : "page", rq->method, rq->out.status,
           rq->me != NULL ? rq->me : "-", (long long)(now - (rq->at_complete > 0 ? rq->at_complete : rq->at_start)),
           (long long)(rq->at_run > rq->at_complete ? rq->at_run - rq->at_complete : 0), rq->out.size,
           code != MHD_REQUEST_TERMINATED_COMPLETED_OK, rq->trace != NULL ? " trace=" : "", rq->trace != NULL ? rq->trace : "");
}

static void on_completed(void *closure, struct MHD_Connection *con, void **context, enum MHD_RequestTerminationCode code)
{
    mu_req *rq = *context;

    (void)closure;
    (void)con;
    if (rq == NULL)
        return;
    account(rq, code);
    loop.held -= rq->bytes_n;
    if (rq->stream != NULL && rq->phase != MU_PHASE_DONE)
        mu_sse_discard(rq->stream);
    mu_arena_free(rq->arena);
    free(rq->bytes);
    free(rq->target);
    free(rq);
    loop.in_flight--;
    *context = NULL;
}

/* ---- the loop ---- */

static void on_log(void *closure, const char *format, va_list args)
{
    char line[512];
    size_t n;

    (void)closure;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    vsnprintf(line, sizeof line, format, args);
#pragma GCC diagnostic pop
    n = strcspn(line, "\r\n");
    line[n] = '\0';
    mu_log(MU_LOG_DEBUG, "http.library", "detail=\"%s\"", line);
}

static void on_panic(void *closure, const char *file, unsigned line, const char *reason)
{
    (void)closure;
    mu_log(MU_LOG_ERROR, "http.panic", "at=%s:%u detail=\"%s\"", file, line, reason != NULL ? reason : "");
    abort();
}

static void turn(void)
{
    struct epoll_event events[4];
    MHD_UNSIGNED_LONG_LONG left;
    uint64_t count;
    int ms = MHD_get_timeout(loop.daemon, &left) == MHD_YES ? (left > TURN_MS ? TURN_MS : (int)left) : TURN_MS;
    int64_t now;

    if (ms > 0)
        (void)epoll_wait(loop.epoll, events, MU_COUNT(events), ms);
    (void)!read(loop.wake, &count, sizeof count);   /* before the run: what comes later wakes the next wait */
    (void)MHD_run(loop.daemon);
    now = mu_monotonic_ms();
    if (now >= loop.next_watch) {
        loop.next_watch = now + TURN_MS;
        watch(now);
        mu_pool_expire(now);
        mu_sse_beat(now);
    }
}

/* Order matters: no new connections, streams end, handlers finish what is queued, answers leave, and only then, with no
 * connection suspended, the library may stop: it aborts otherwise. */
static void wind_down(void)
{
    const MHD_socket socket = MHD_quiesce_daemon(loop.daemon);
    int64_t until;

    if (socket != MHD_INVALID_SOCKET)
        close(socket);
    mu_sse_end_all();
    mu_pool_stop();
    until = mu_monotonic_ms() + DRAIN_MS;
    while (loop.in_flight > 0 && mu_monotonic_ms() < until) {
        mu_sse_end_all();
        turn();
    }
    MHD_run(loop.daemon);
    MHD_stop_daemon(loop.daemon);
    loop.daemon = NULL;
}

static void *run(void *unused)
{
    (void)unused;
    while (!atomic_load(&loop.stopping))
        turn();
    wind_down();
    return NULL;
}

/* ---- start and stop ---- */

static mu_err open_socket(mu_problem *problem)
{
    const char *address = mu_conf_text(MU_CONF_HTTP_ADDRESS);
    const int port = (int)mu_conf_int(MU_CONF_HTTP_PORT), on = 1;
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE, .ai_socktype = SOCK_STREAM }, *found = NULL;
    struct sockaddr_storage bound = { 0 };
    socklen_t size = sizeof bound;
    char service[8];
    int rc;

    snprintf(service, sizeof service, "%d", port);
    rc = getaddrinfo(address[0] != '\0' ? address : NULL, service, &hints, &found);
    if (rc != 0)
        return mu_failf(problem, MU_INVALID, "http.address %s: %s", address, gai_strerror(rc));
    loop.listen = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (loop.listen >= 0)
        setsockopt(loop.listen, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (loop.listen < 0 || bind(loop.listen, found->ai_addr, found->ai_addrlen) != 0 || listen(loop.listen, BACKLOG) != 0) {
        const int why = errno;
        char text[128];
        freeaddrinfo(found);
        if (loop.listen >= 0)
            close(loop.listen);
        loop.listen = -1;
        return mu_failf(problem, why == EADDRINUSE ? MU_CONFLICT : MU_INTERNAL, "cannot listen on %s port %d: %s", address, port, strerror_r(why, text, sizeof text));
    }
    freeaddrinfo(found);
    getsockname(loop.listen, (struct sockaddr *)(void *)&bound, &size);
    loop.port = ntohs(bound.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)(void *)&bound)->sin6_port : ((struct sockaddr_in *)(void *)&bound)->sin_port);
    return MU_OK;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, 65536);

    if (text == NULL)
        abort();
    if (file == NULL || fread(text, 1, 65535, file) == 0) {
        free(text);
        text = NULL;
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static mu_err start_daemon(mu_problem *problem)
{
    const char *certificate = mu_conf_text(MU_CONF_HTTP_CERTIFICATE), *key = mu_conf_text(MU_CONF_HTTP_KEY);
    const unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
    struct MHD_OptionItem tls[4] = { { MHD_OPTION_END, 0, NULL } };
    bool with_tls = certificate[0] != '\0';

    if (with_tls) {
        loop.certificate = read_file(certificate);
        loop.key = read_file(key);
        if (loop.certificate == NULL || loop.key == NULL)
            return mu_failf(problem, MU_INVALID, "http.certificate or http.key cannot be read");
        tls[0] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_CERT, 0, loop.certificate };
        tls[1] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_MEM_KEY, 0, loop.key };
        tls[2] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, (char *)(uintptr_t)TLS_VERSIONS };
        tls[3] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
    }
    MHD_set_panic_func(on_panic, NULL);
    loop.daemon = MHD_start_daemon(flags | (with_tls ? MHD_USE_TLS : 0u), 0, NULL, NULL, on_request, NULL,
        MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, loop.listen,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_LIMIT, (unsigned)mu_conf_int(MU_CONF_HTTP_CONNECTIONS), MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL, MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL,
        MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    return loop.daemon != NULL ? MU_OK : mu_failf(problem, MU_INTERNAL, "the HTTP library did not start (a bad certificate or key?)");
}

static mu_err start_loop(mu_problem *problem)
{
    struct epoll_event in = { .events = EPOLLIN };
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(loop.daemon, MHD_DAEMON_INFO_EPOLL_FD);

    loop.epoll = epoll_create1(EPOLL_CLOEXEC);
    loop.wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (info == NULL || loop.epoll < 0 || loop.wake < 0 || epoll_ctl(loop.epoll, EPOLL_CTL_ADD, info->epoll_fd, &in) != 0
        || epoll_ctl(loop.epoll, EPOLL_CTL_ADD, loop.wake, &in) != 0)
        return mu_failf(problem, MU_INTERNAL, "no event loop: errno %d", errno);
    return MU_OK;
}

static void on_hint(void *closure, const char *payload)
{
    (void)closure;
    mu_sse_publish(payload);
    if (payload == NULL || (payload[0] != '\0' && !mu_hint_delivered(payload)))
        mu_status_poke();
}

static unsigned thread_count(void)
{
    const int64_t wanted = mu_conf_int(MU_CONF_HTTP_THREADS);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);

    /* Handlers mostly wait for the database; a few slow queries must not hold up everybody. */
    return wanted > 0 ? (unsigned)wanted : cores > 4 ? (unsigned)cores * 2 : 8;
}

mu_err mu_http_start(const mu_http_setup *setup, mu_problem *problem)
{
    mu_setup = (mu_http_setup){ strdup(setup->url), strdup(setup->direct_url != NULL ? setup->direct_url : setup->url), strdup(setup->data_dir != NULL ? setup->data_dir : ".") };
    mu_routes_prepare();
    TRY(mu_client_start(problem));
    TRY(mu_pages_start(problem));
    TRY(mu_routes_build(mu_routes, mu_routes_count, problem));
    TRY(mu_static_start(problem));
    TRY(mu_openapi_start(problem));
    (void)mu_page_assets();
    mu_gauge(MU_METRIC_LAST_BACKUP, 0, -1);
    TRY(open_socket(problem));
    TRY(start_daemon(problem));
    TRY(start_loop(problem));
    mu_sse_start();
    TRY(mu_status_start(&mu_setup, problem));
    TRY(mu_pool_start(thread_count(), (unsigned)mu_conf_int(MU_CONF_HTTP_QUEUE), mu_setup.url, problem));
    atomic_store(&loop.stopping, false);
    if (pthread_create(&loop.thread, NULL, run, NULL) != 0)
        return mu_failf(problem, MU_INTERNAL, "the HTTP thread did not start");
    loop.running = true;
    loop.listener = mu_listen_start(mu_setup.direct_url, 5000, on_hint, NULL);
    return MU_OK;
}

int mu_http_port(void)
{
    return loop.port;
}

void mu_http_tick(void)
{
    mu_loop_wake();   /* the loop keeps its own time; a turn a second keeps it honest when the clock was stopped */
}

void mu_http_stop(void)
{
    if (!loop.running)
        return;
    loop.running = false;
    atomic_store(&loop.stopping, true);
    mu_loop_wake();
    pthread_join(loop.thread, NULL);
    mu_listen_stop(loop.listener);
    mu_status_stop();
    mu_static_stop();
    mu_openapi_stop();
    close(loop.epoll);
    close(loop.wake);
    loop.epoll = loop.wake = -1;
    free(loop.certificate);
    free(loop.key);
}
