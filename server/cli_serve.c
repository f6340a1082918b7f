/* muster serve: the web server, its workers as a child, and the private database, from start to orderly stop. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "cli.h"
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "http.h"
#include "json.h"
#include "log.h"
#include "migrate.h"
#include "str.h"
#include "version.h"
#include "work.h"

#define RESTART_FIRST_MS 1000
#define RESTART_MOST_MS 30000
#define CLUSTER_LOOK_MS 2000
#define CHILD_STOP_MS 10000

extern char **environ;

/* A command of ours run as a child: "work", which is kept running, or "db start" after the private database died. */
typedef struct {
    const char *words[3];
    pid_t pid;              /* 0: not running */
    int64_t started, next;  /* monotonic ms */
    unsigned failures;
} kept_child;

typedef struct {
    mu_cli *cli;
    int signals, timer;
    kept_child work, cluster;
    int64_t cluster_look;
    bool migrate;
    bool stop;
    /* The look at a database that was away at the start. */
    pthread_t gate;
    bool gate_runs;
    atomic_bool ready;         /* the schema is ours: the workers may run */
    atomic_bool gate_stop;
    int gate_wake;
} server;

/* ---- telling the service manager ---- */

static void notify_manager(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path)
        return;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    const size_t n = strlen(path);
    memcpy(to.sun_path, path, n);
    if (path[0] == '@')
        to.sun_path[0] = '\0';
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
        mu_log(MU_LOG_WARN, "serve.notify", "error=%s", strerror(errno));
    close(fd);
}

/* ---- children ---- */

static bool is_setting(const char *entry, const char *name)
{
    const size_t n = strlen(name);

    return strncmp(entry, name, n) == 0 && entry[n] == '=';
}

/* Our environment, and where the database and the data are, so that a child need not find the private cluster again. */
static char **child_environment(mu_cli *cli)
{
    size_t n = 0, kept = 0;

    while (environ[n] != NULL)
        n++;
    char **env = mu_alloc(cli->arena, (n + 5) * sizeof *env);
    for (size_t i = 0; i < n; i++)
        if (!is_setting(environ[i], "MUSTER_DATABASE_URL") && !is_setting(environ[i], "MUSTER_DATABASE_DIRECT_URL") && !is_setting(environ[i], "MUSTER_DATA_DIR")
            && !is_setting(environ[i], "NOTIFY_SOCKET"))
            env[kept++] = environ[i];
    env[kept++] = mu_printf(cli->arena, "MUSTER_DATA_DIR=%s", cli->data_dir);
    return env;
}

static char **work_environment(mu_cli *cli)
{
    char **env = child_environment(cli);
    size_t n = 0;

    while (env[n] != NULL)
        n++;
    env[n++] = mu_printf(cli->arena, "MUSTER_DATABASE_URL=%s", cli->url);
    env[n] = mu_printf(cli->arena, "MUSTER_DATABASE_DIRECT_URL=%s", cli->direct_url);
    return env;
}

/* The same options as ours, under another command. */
static char **child_arguments(mu_cli *cli, const kept_child *child)
{
    char **argv = mu_alloc(cli->arena, ((size_t)cli->all_argc + 4) * sizeof *argv);
    int n = 0;

    argv[n++] = cli->all_argv[0];
    for (size_t i = 0; i < MU_COUNT(child->words) && child->words[i] != NULL; i++)
        argv[n++] = mu_strdup(cli->arena, child->words[i]);
    for (int i = 1; i < cli->all_argc; i++)
        if (!mu_same(cli->all_argv[i], "serve") && !mu_same(cli->all_argv[i], "--migrate"))
            argv[n++] = cli->all_argv[i];
    return argv;
}

static void spawn(server *s, kept_child *child)
{
    const mu_mark mark = mu_arena_mark(s->cli->arena);
    char **argv = child_arguments(s->cli, child), **env = child == &s->work ? work_environment(s->cli) : child_environment(s->cli);
    const pid_t parent = getpid(), pid = fork();
    sigset_t none;

    if (pid == 0) {   /* nothing but calls that are safe beside threads, straight to exec */
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (child == &s->work)
            prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            _exit(1);
        execve("/proc/self/exe", argv, env);
        _exit(127);
    }
    child->pid = pid > 0 ? pid : 0;
    child->started = mu_monotonic_ms();
    if (pid < 0)
        mu_log(MU_LOG_ERROR, "serve.child", "name=%s error=%s", child->words[0], strerror(errno));
    else
        mu_log(MU_LOG_INFO, "serve.child", "name=%s pid=%d", child->words[0], (int)pid);
    mu_arena_reset(s->cli->arena, mark);
}

static void ended(server *s, kept_child *child, int status)
{
    int64_t wait = RESTART_FIRST_MS;
    const int64_t now = mu_monotonic_ms();

    child->pid = 0;
    child->failures = now - child->started > RESTART_MOST_MS ? 0 : child->failures + 1;
    for (unsigned i = 1; i < child->failures && wait < RESTART_MOST_MS; i++)
        wait *= 2;
    child->next = now + (wait < RESTART_MOST_MS ? wait : RESTART_MOST_MS);
    if (child == &s->cluster && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        s->cli->cluster_ours = true;
    else if (!s->stop)
        mu_log(MU_LOG_WARN, "serve.child_ended", "name=%s status=%d signal=%d", child->words[0], WIFEXITED(status) ? WEXITSTATUS(status) : -1,
               WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void reap(server *s)
{
    kept_child *const all[] = { &s->work, &s->cluster };
    int status = 0;

    for (size_t i = 0; i < MU_COUNT(all); i++)
        if (all[i]->pid > 0 && waitpid(all[i]->pid, &status, WNOHANG) == all[i]->pid)
            ended(s, all[i], status);
}

static void stop_child(server *s, kept_child *child)
{
    const int64_t until = mu_monotonic_ms() + CHILD_STOP_MS;
    struct pollfd fd = { .fd = s->signals, .events = POLLIN };
    struct signalfd_siginfo info;

    if (child->pid <= 0)
        return;
    kill(child->pid, SIGTERM);
    for (reap(s); child->pid > 0; reap(s)) {
        const int64_t left = until - mu_monotonic_ms();
        if (left <= 0) {
            kill(child->pid, SIGKILL);
            (void)waitpid(child->pid, NULL, 0);
            child->pid = 0;
            mu_log(MU_LOG_WARN, "serve.child_killed", "name=%s", child->words[0]);
            return;
        }
        if (poll(&fd, 1, left < 1000 ? (int)left : 1000) > 0 && read(s->signals, &info, sizeof info) < 0 && errno != EAGAIN)
            return;
    }
}

/* ---- the database ---- */

static const char *scheme(void)
{
    return mu_conf_text(MU_CONF_HTTP_CERTIFICATE)[0] != '\0' ? "https" : "http";
}

/* All nodes must have one key, or what one sealed the others cannot read. The database keeps a print of the first key it met; a node
 * with another one goes on, for it may be the only node left, but says so at every start. */
static mu_err mind_key(mu_tx *tx, void *closure)
{
    mu_arena *arena = mu_tx_arena(tx);
    const mu_cli *cli = closure;
    const mu_rows *rows;
    uint8_t print[32];

    mu_derive("print", print);
    TRY(mu_one(tx, Q_setting_key_print, ARGS(mu_hex(arena, print, sizeof print)), &rows));
    if (!mu_same(mu_col(rows, "same"), "t"))
        mu_log(MU_LOG_ERROR, "key.differs", "file=%s/key remedy=%s", cli->data_dir, "\"copy the key of the other nodes; what they sealed cannot be read here\"");
    return MU_OK;
}

/* The database's copy of what the options say about the site: SQL makes the public page and the mails. */
static mu_err keep_site(mu_tx *tx, void *closure)
{
    mu_arena *arena = mu_tx_arena(tx);
    const char *url = mu_conf_text(MU_CONF_HTTP_PUBLIC_URL), *name = mu_conf_text(MU_CONF_SITE_NAME);
    const mu_rows *rows;

    (void)closure;
    if (url[0] == '\0')
        url = mu_printf(arena, "%s://%s:%s", scheme(), mu_conf_text(MU_CONF_HTTP_ADDRESS), mu_conf_text(MU_CONF_HTTP_PORT));
    json_t *site = mu_json_own(arena, json_pack("{s:s, s:s, s:s, s:s}", "public_url", url, "site_name", name, "time_zone", mu_conf_text(MU_CONF_SITE_TIME_ZONE),
                                                "language", mu_conf_text(MU_CONF_SITE_LANGUAGE)));
    if (site == NULL)
        return mu_failf(mu_tx_problem(tx), MU_INVALID, "site.name or http.public_url is not UTF-8");
    return mu_query(tx, Q_settings_configured, ARGS(mu_json_text(arena, site)), &rows);
}

static mu_err settle_schema(mu_cli *cli, bool migrate, mu_problem *problem)
{
    const char *url = cli->direct_url;

    TRY(migrate ? mu_migrate(url, false, problem) : mu_migrate_check(url, problem));
    mu_db *db = mu_db_new(url, "muster");
    mu_err err = mu_tx_run(db, problem->arena, problem, keep_site, NULL);
    if (err == MU_OK)
        err = mu_tx_run(db, problem->arena, problem, mind_key, cli);
    mu_db_close(db);
    return err;
}

/* Until the database is there and its schema ours. We serve meanwhile: the status page comes from disk. A schema that is not ours
 * is said once and looked at again, for somebody will run the migration. */
static void *watch_schema(void *object)
{
    server *s = object;
    mu_err told = MU_UNAVAILABLE;

    while (!atomic_load(&s->gate_stop)) {
        mu_arena *arena = mu_arena_new(0);
        mu_problem problem = { .arena = arena };
        const mu_err err = settle_schema(s->cli, s->migrate, &problem);
        if (err == MU_OK)
            mu_log(MU_LOG_INFO, "serve.database", "state=ready");
        else if (err != told && err != MU_UNAVAILABLE)
            mu_log(MU_LOG_ERROR, "serve.schema", "error=%s", problem.detail != NULL ? problem.detail : mu_err_code(err));
        told = err;
        mu_arena_free(arena);
        if (err == MU_OK) {
            atomic_store(&s->ready, true);
            return NULL;
        }
        struct pollfd fd = { .fd = s->gate_wake, .events = POLLIN };
        (void)poll(&fd, 1, 1000);
    }
    return NULL;
}

/* MU_OK: go on, with or without a database. */
static mu_err open_database(server *s)
{
    mu_cli *cli = s->cli;

    TRY(mu_cli_locate(cli));
    s->migrate = s->migrate || cli->embedded;
    if (cli->embedded) {
        const mu_err err = mu_cluster_start(&cli->cluster, &cli->cluster_ours, &cli->problem);
        if (err != MU_OK && err != MU_INTERNAL)
            return err;   /* nothing that mends itself */
    }
    if (cli->problem.code == MU_OK) {
        const mu_err err = settle_schema(cli, s->migrate, &cli->problem);
        if (err != MU_OK && err != MU_UNAVAILABLE)
            return err;
        if (err == MU_OK) {
            atomic_store(&s->ready, true);
            return MU_OK;
        }
    }
    mu_log(MU_LOG_WARN, "serve.database", "state=away error=%s", cli->problem.detail != NULL ? cli->problem.detail : "");
    cli->problem = (mu_problem){ .arena = cli->arena };
    s->gate_runs = pthread_create(&s->gate, NULL, watch_schema, s) == 0;
    return s->gate_runs ? MU_OK : mu_failf(&cli->problem, MU_INTERNAL, "no thread");
}

static void look_after_cluster(server *s, int64_t now)
{
    if (!s->cli->embedded || s->cluster.pid > 0 || now < s->cluster_look || now < s->cluster.next)
        return;
    s->cluster_look = now + CLUSTER_LOOK_MS;
    if (!mu_cluster_running(&s->cli->cluster))
        spawn(s, &s->cluster);
}

/* ---- the loop ---- */

static void tick(server *s)
{
    const int64_t now = mu_monotonic_ms();

    mu_http_tick();
    notify_manager("WATCHDOG=1");
    look_after_cluster(s, now);
    if (atomic_load(&s->ready) && mu_conf_bool(MU_CONF_WORK_CHILD) && s->work.pid == 0 && now >= s->work.next)
        spawn(s, &s->work);
}

static void take_signals(server *s)
{
    struct signalfd_siginfo info;

    while (read(s->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
            s->stop = true;
        else if (info.ssi_signo == SIGCHLD)
            reap(s);
    }
}

static void loop(server *s)
{
    struct pollfd fds[2] = { { .fd = s->signals, .events = POLLIN }, { .fd = s->timer, .events = POLLIN } };
    uint64_t count;

    tick(s);
    while (!s->stop) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR)
            return;
        take_signals(s);
        if (!s->stop && read(s->timer, &count, sizeof count) == (ssize_t)sizeof count)
            tick(s);
    }
}

/* "pid address" for ./quickstart and for people: DIR/serve. */
static void write_whereabouts(const mu_cli *cli, bool there)
{
    char path[600], fresh[620];

    snprintf(path, sizeof path, "%s/serve", cli->data_dir);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    if (!there) {
        (void)unlink(path);
        return;
    }
    FILE *out = fopen(fresh, "we");
    if (out == NULL)
        return;
    fprintf(out, "%d %s://%s:%d\n", (int)getpid(), scheme(), mu_conf_text(MU_CONF_HTTP_ADDRESS), mu_http_port());
    if (fclose(out) == 0 && rename(fresh, path) != 0)
        mu_log(MU_LOG_WARN, "serve.whereabouts", "error=%s", strerror(errno));
}

static bool open_descriptors(server *s)
{
    const struct itimerspec every = { .it_interval = { .tv_sec = 1 }, .it_value = { .tv_sec = 1 } };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    s->gate_wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return s->signals >= 0 && s->gate_wake >= 0 && s->timer >= 0 && timerfd_settime(s->timer, 0, &every, NULL) == 0;
}

static void stop_gate(server *s)
{
    const uint64_t one = 1;

    if (!s->gate_runs)
        return;
    atomic_store(&s->gate_stop, true);
    if (write(s->gate_wake, &one, sizeof one) < 0)
        mu_log(MU_LOG_WARN, "serve.stop", "error=%s", strerror(errno));
    pthread_join(s->gate, NULL);
    s->gate_runs = false;
}

static void stop_all(server *s)
{
    notify_manager("STOPPING=1");
    mu_log(MU_LOG_INFO, "serve.stopping", "pid=%d", (int)getpid());
    stop_child(s, &s->work);
    mu_http_stop();
    stop_child(s, &s->cluster);
    stop_gate(s);
    write_whereabouts(s->cli, false);
    mu_log(MU_LOG_INFO, "serve.stopped", "pid=%d", (int)getpid());
}

static mu_err start_all(server *s)
{
    mu_cli *cli = s->cli;

    TRY(mu_cli_data(cli));
    if (!mu_seal_key_load(mu_printf(cli->arena, "%s/key", cli->data_dir)))
        return mu_failf(&cli->problem, MU_INVALID, "%s/key cannot be read or made", cli->data_dir);
    if (!open_descriptors(s))
        return mu_failf(&cli->problem, MU_INTERNAL, "descriptors: %s", strerror(errno));
    TRY(open_database(s));
    const mu_http_setup setup = { .url = cli->url, .direct_url = cli->direct_url, .data_dir = cli->data_dir };
    return mu_http_start(&setup, &cli->problem);
}

int mu_cmd_serve(mu_cli *cli)
{
    server s = { .cli = cli, .work = { .words = { "work" } }, .cluster = { .words = { "db", "start" } } };

    s.migrate = mu_cli_flag(cli, "--migrate");
    if (cli->argc > 0)
        return mu_cli_usage("serve");
    const mu_err err = start_all(&s);
    if (err != MU_OK) {
        stop_gate(&s);
        return mu_cli_report(cli, err);
    }
    write_whereabouts(cli, true);
    mu_log(MU_LOG_INFO, "serve.ready", "address=%s port=%d version=%s", mu_conf_text(MU_CONF_HTTP_ADDRESS), mu_http_port(), mu_version);
    notify_manager("READY=1");
    loop(&s);
    stop_all(&s);
    return MU_CLI_OK;
}

/* A worker of its own. Without a database or with an older schema it has nothing to compare with; what is wrong there is said elsewhere. */
static void mind_key_at_start(mu_cli *cli)
{
    mu_db *db = mu_db_new(cli->direct_url, "muster");
    mu_problem problem = { .arena = cli->arena };

    (void)mu_tx_run(db, cli->arena, &problem, mind_key, cli);
    mu_db_close(db);
}

int mu_cmd_work(mu_cli *cli)
{
    if (cli->argc > 0)
        return mu_cli_usage("work");
    mu_err err = mu_cli_data(cli);
    if (err == MU_OK && !mu_seal_key_load(mu_printf(cli->arena, "%s/key", cli->data_dir)))
        err = mu_failf(&cli->problem, MU_INVALID, "%s/key cannot be read or made", cli->data_dir);
    if (err == MU_OK)
        err = mu_cli_database(cli);
    if (err != MU_OK)
        return mu_cli_report(cli, err);
    mind_key_at_start(cli);
    mu_conf_set(MU_CONF_DATABASE_URL, cli->url, "data directory");
    mu_conf_set(MU_CONF_DATABASE_DIRECT, cli->direct_url, "data directory");
    return mu_work_run();
}
