#include "cluster.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <libpq-fe.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "clock.h"
#include "connect.h"
#include "crypto.h"
#include "log.h"

#define OLDEST_MAJOR 13
#define NEWEST_MAJOR 19
#define SOCKET_FILE "/.s.PGSQL.5432"
#define SOCKET_MOST 107   /* sun_path holds 108 bytes */

#define APT_LINE "apt-get install postgresql-15 (or any PostgreSQL from 13 on)"

/* Small machine first: a bank's own server is tuned by its own people. jit costs more than it gives with short queries. */
static const char settings[] =
    "# Written by muster at the start of this cluster; put your own settings into postgresql.conf, below the include.\n"
    "listen_addresses = ''\nunix_socket_permissions = 0700\nmax_connections = 80\nshared_buffers = 64MB\nmax_wal_size = 256MB\n"
    "jit = off\ntimezone = 'UTC'\nlog_timezone = 'UTC'\nlogging_collector = on\nlog_directory = 'log'\nlog_filename = 'postgresql-%a.log'\n"
    "log_rotation_age = 1d\nlog_truncate_on_rotation = on\nlog_min_messages = warning\n";

/* ---- where things are ---- */

static bool has_programs(const char *folder)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/initdb", folder);
    if (access(path, X_OK) != 0)
        return false;
    snprintf(path, sizeof path, "%s/pg_ctl", folder);
    return access(path, X_OK) == 0;
}

/* The major version of the cluster in `data`, 0 when there is none. */
static int major_of(const char *data)
{
    char path[PATH_MAX], text[16] = "";

    snprintf(path, sizeof path, "%s/PG_VERSION", data);
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return 0;
    const bool got = fgets(text, sizeof text, in) != NULL;
    fclose(in);
    return got ? (int)strtol(text, NULL, 10) : 0;
}

static bool in_version(int major, char *bin, size_t n)
{
    snprintf(bin, n, "/usr/lib/postgresql/%d/bin", major);   /* Debian and its kin */
    if (has_programs(bin))
        return true;
    snprintf(bin, n, "/usr/pgsql-%d/bin", major);            /* Red Hat and its kin */
    return has_programs(bin);
}

static bool in_path(char *bin, size_t n)
{
    const char *path = getenv("PATH");

    for (const char *at = path; at != NULL && *at != '\0'; ) {
        const size_t length = strcspn(at, ":");
        if (length > 0 && length < n) {
            memcpy(bin, at, length);
            bin[length] = '\0';
            if (bin[0] == '/' && has_programs(bin))
                return true;
        }
        at += length + (at[length] == ':');
    }
    return false;
}

static mu_err find_programs(mu_cluster *c, mu_problem *problem)
{
    const int major = major_of(c->data);

    if (major > 0) {
        if (in_version(major, c->bin, sizeof c->bin) || in_path(c->bin, sizeof c->bin))
            return MU_OK;
        return mu_failf(problem, MU_NOT_FOUND, "the data in %s belong to PostgreSQL %d, whose server programs are not here: apt-get install postgresql-%d", c->data, major, major);
    }
    for (int i = NEWEST_MAJOR; i >= OLDEST_MAJOR; i--)
        if (in_version(i, c->bin, sizeof c->bin))
            return MU_OK;
    if (in_path(c->bin, sizeof c->bin))
        return MU_OK;
    return mu_failf(problem, MU_NOT_FOUND, "no PostgreSQL server programs found: %s, or set database.url", APT_LINE);
}

static bool name_of(uid_t uid, char *ret, size_t n)
{
    const struct passwd *pw = getpwuid(uid);

    if (pw == NULL || strlen(pw->pw_name) >= n)
        return false;
    snprintf(ret, n, "%s", pw->pw_name);
    return true;
}

/* PostgreSQL refuses to run as root, and rightly: then it runs as the owner of its data, or a system user made for such work. */
static mu_err find_user(mu_cluster *c, const char *data_dir, mu_problem *problem)
{
    static const char *const users[] = { "muster", "postgres" };
    struct stat st;

    if (geteuid() != 0) {
        if (name_of(geteuid(), c->user, sizeof c->user))
            return MU_OK;
        return mu_failf(problem, MU_NOT_FOUND, "user id %u has no name on this system, and PostgreSQL needs one", (unsigned)geteuid());
    }
    if (stat(c->data, &st) == 0 && st.st_uid != 0 && name_of(st.st_uid, c->user, sizeof c->user))
        return MU_OK;
    for (size_t i = 0; i < MU_COUNT(users); i++)
        if (getpwnam(users[i]) != NULL) {
            snprintf(c->user, sizeof c->user, "%s", users[i]);
            return MU_OK;
        }
    if (stat(data_dir, &st) == 0 && st.st_uid != 0 && name_of(st.st_uid, c->user, sizeof c->user))
        return MU_OK;
    return mu_failf(problem, MU_NOT_FOUND, "PostgreSQL does not run as root and there is no user muster or postgres: useradd --system muster");
}

/* A short place that depends on the data directory alone: a socket's path holds few bytes. */
static mu_err find_socket(mu_cluster *c, mu_problem *problem)
{
    uint8_t hash[32];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    char tail[32];

    mu_sha256(c->data, strlen(c->data), hash);
    snprintf(tail, sizeof tail, "%02x%02x%02x%02x", hash[0], hash[1], hash[2], hash[3]);
    if (geteuid() == 0)
        snprintf(c->socket, sizeof c->socket, "/run/muster-%s", tail);
    else if (runtime != NULL && runtime[0] == '/' && strlen(runtime) < 60 && strpbrk(runtime, " '\\") == NULL && access(runtime, W_OK) == 0)
        snprintf(c->socket, sizeof c->socket, "%s/muster-%s", runtime, tail);
    else
        snprintf(c->socket, sizeof c->socket, "/tmp/muster-%u-%s", (unsigned)geteuid(), tail);
    if (strlen(c->socket) + sizeof SOCKET_FILE - 1 > SOCKET_MOST)
        return mu_failf(problem, MU_INVALID, "the socket directory %s is too long", c->socket);
    snprintf(c->url, sizeof c->url, "host=%s port=5432 dbname=muster user=muster", c->socket);
    return MU_OK;
}

mu_err mu_cluster_locate(const char *data_dir, mu_cluster *ret, mu_problem *problem)
{
    char full[PATH_MAX];

    memset(ret, 0, sizeof *ret);
    if (mkdir(data_dir, 0700) != 0 && errno != EEXIST)
        return mu_failf(problem, MU_INVALID, "data directory %s: %s", data_dir, strerror(errno));
    if (realpath(data_dir, full) == NULL)
        return mu_failf(problem, MU_INVALID, "data directory %s: %s", data_dir, strerror(errno));
    if (strlen(full) + sizeof "/postgres.new" > sizeof ret->data)
        return mu_failf(problem, MU_INVALID, "data directory %s: the name is too long", full);
    snprintf(ret->data, sizeof ret->data, "%.*s/postgres", (int)(sizeof ret->data - sizeof "/postgres.new"), full);
    TRY(find_programs(ret, problem));
    TRY(find_user(ret, full, problem));
    return find_socket(ret, problem);
}

/* ---- running its programs ---- */

static const struct passwd *user_of(const mu_cluster *c)
{
    return getpwnam(c->user);
}

static MU_NORETURN void child(const mu_cluster *c, char *const argv[], int log)
{
    char home[600];
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8", zone[] = "TZ=UTC";
    char *const env[] = { path, lang, zone, home, NULL };
    const struct passwd *pw = user_of(c);
    sigset_t none;

    snprintf(home, sizeof home, "HOME=%s", c->data);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (geteuid() == 0 && (pw == NULL || initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0))
        _exit(126);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 || chdir("/") != 0)
        _exit(126);
    execve(argv[0], argv, env);
    _exit(127);
}

/* Runs one of PostgreSQL's programs as its user, output to the log beside the data. Returns its exit code, -1 when it could not run. */
static int run(const mu_cluster *c, char *const argv[])
{
    char log_path[600];
    int status = 0;

    snprintf(log_path, sizeof log_path, "%s.log", c->data);
    const int log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (log < 0)
        return -1;
    const struct passwd *pw = user_of(c);
    if (geteuid() == 0 && pw != NULL && fchown(log, pw->pw_uid, pw->pw_gid) != 0)
        mu_log(MU_LOG_WARN, "cluster.log", "error=%s", strerror(errno));
    const pid_t pid = fork();
    if (pid == 0)
        child(c, argv, log);
    close(log);
    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* ---- making and starting ---- */

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static bool write_text(const char *folder, const char *name, const char *flags, const char *text, const struct passwd *pw)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *out = fopen(path, flags);
    if (out == NULL)
        return false;
    bool good = fputs(text, out) >= 0;
    good = fchmod(fileno(out), 0600) == 0 && good;
    if (geteuid() == 0 && pw != NULL)
        good = fchown(fileno(out), pw->pw_uid, pw->pw_gid) == 0 && good;
    return fclose(out) == 0 && good;
}

/* root may always come in: it could become the server's user anyway. */
static bool configure(const mu_cluster *c, const char *folder)
{
    const struct passwd *pw = user_of(c);
    char ident[256];

    snprintf(ident, sizeof ident, "muster root muster\nmuster %s muster\n", c->user);
    return write_text(folder, "muster.conf", "we", settings, pw)
        && write_text(folder, "postgresql.conf", "ae", "\ninclude_if_exists = 'muster.conf'\n", pw)
        && write_text(folder, "pg_hba.conf", "we", "local all all peer map=muster\n", pw)
        && write_text(folder, "pg_ident.conf", "we", ident, pw);
}

/* The server's user must be able to walk to its data. Names the first directory that stops it. */
static mu_err check_way(const mu_cluster *c, const struct passwd *pw, mu_problem *problem)
{
    char path[PATH_MAX];
    struct stat st;

    snprintf(path, sizeof path, "%s", c->data);
    for (char *p = path + 1; *p != '\0'; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (stat(path, &st) == 0 && (st.st_mode & S_IXOTH) == 0 && st.st_uid != pw->pw_uid && !((st.st_mode & S_IXGRP) != 0 && st.st_gid == pw->pw_gid))
            return mu_failf(problem, MU_INVALID, "user %s, as which PostgreSQL runs, may not enter %s: choose a data directory elsewhere, for example /var/lib/muster", c->user, path);
        *p = '/';
    }
    return MU_OK;
}

/* Made beside its place and renamed when it is complete, so that a half-made cluster is never taken for one. */
static mu_err make_cluster(const mu_cluster *c, const struct passwd *pw, mu_problem *problem)
{
    char fresh[600], program[300];

    snprintf(fresh, sizeof fresh, "%s.new", c->data);
    snprintf(program, sizeof program, "%s/initdb", c->bin);
    (void)nftw(fresh, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (mkdir(fresh, 0700) != 0)
        return mu_failf(problem, MU_INTERNAL, "%s: %s", fresh, strerror(errno));
    if (geteuid() == 0 && chown(fresh, pw->pw_uid, pw->pw_gid) != 0)
        return mu_failf(problem, MU_INTERNAL, "%s: %s", fresh, strerror(errno));
    char d[] = "-D", u[] = "-U", name[] = "muster", e[] = "-E", utf8[] = "UTF8", locale[] = "--locale=C.UTF-8", sums[] = "--data-checksums",
         local[] = "--auth-local=peer", host[] = "--auth-host=scram-sha-256";
    char *const argv[] = { program, d, fresh, u, name, e, utf8, locale, sums, local, host, NULL };
    if (run(c, argv) != 0)
        return mu_failf(problem, MU_INTERNAL, "initdb failed; its words are in %s.log", c->data);
    if (!configure(c, fresh) || rename(fresh, c->data) != 0)
        return mu_failf(problem, MU_INTERNAL, "%s: %s", c->data, strerror(errno));
    mu_log(MU_LOG_INFO, "cluster.made", "data=%s user=%s", c->data, c->user);
    return MU_OK;
}

/* Nobody else's directory under a name we shall trust. */
static mu_err make_socket_folder(const mu_cluster *c, const struct passwd *pw, mu_problem *problem)
{
    struct stat st;

    if (mkdir(c->socket, 0700) == 0) {
        if (geteuid() == 0 && chown(c->socket, pw->pw_uid, pw->pw_gid) != 0)
            return mu_failf(problem, MU_INTERNAL, "%s: %s", c->socket, strerror(errno));
        return MU_OK;
    }
    if (errno != EEXIST || lstat(c->socket, &st) != 0)
        return mu_failf(problem, MU_INTERNAL, "%s: %s", c->socket, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != pw->pw_uid || (st.st_mode & 077) != 0)
        return mu_failf(problem, MU_FORBIDDEN, "%s exists and is not a private directory of user %s; remove it", c->socket, c->user);
    return MU_OK;
}

static bool ping(const mu_cluster *c)
{
    const PGPing answer = PQping(c->url);

    return answer == PQPING_OK || answer == PQPING_REJECT;
}

bool mu_cluster_running(const mu_cluster *c)
{
    return ping(c);
}

static mu_err start_server(const mu_cluster *c, mu_problem *problem)
{
    char program[300], data[512], options[160];
    char d[] = "-D", w[] = "-w", t[] = "-t", seconds[] = "60", s[] = "-s", o[] = "-o", start[] = "start";

    snprintf(program, sizeof program, "%s/pg_ctl", c->bin);
    snprintf(data, sizeof data, "%s", c->data);
    snprintf(options, sizeof options, "-k %s -c listen_addresses=", c->socket);
    char *const argv[] = { program, d, data, w, t, seconds, s, o, options, start, NULL };
    if (run(c, argv) != 0)
        return mu_failf(problem, MU_INTERNAL, "PostgreSQL did not start; its words are in %s.log and %s/log", c->data, c->data);
    return MU_OK;
}

static mu_err ensure_database(const mu_cluster *c, mu_problem *problem)
{
    char text[256], url[400];
    PGconn *conn = mu_connect(c->url, "muster db");
    const bool there = PQstatus(conn) == CONNECTION_OK;

    PQfinish(conn);
    if (there)
        return MU_OK;
    snprintf(url, sizeof url, "host=%s port=5432 dbname=postgres user=muster", c->socket);
    conn = mu_connect(url, "muster db");
    PGresult *result = PQexec(conn, "CREATE DATABASE muster");
    const mu_err err = PQresultStatus(result) == PGRES_COMMAND_OK ? MU_OK
        : mu_failf(problem, MU_INTERNAL, "the database could not be made: %s", mu_connect_error(conn, text, sizeof text));
    PQclear(result);
    PQfinish(conn);
    return err;
}

static mu_err start_locked(mu_cluster *c, bool *ret_started, mu_problem *problem)
{
    const struct passwd *pw = user_of(c);

    if (pw == NULL)
        return mu_failf(problem, MU_NOT_FOUND, "there is no user %s", c->user);
    if (!ping(c)) {
        if (geteuid() == 0)
            TRY(check_way(c, pw, problem));
        if (major_of(c->data) == 0)
            TRY(make_cluster(c, pw, problem));
        TRY(make_socket_folder(c, pw, problem));
        TRY(start_server(c, problem));
        *ret_started = true;
    }
    return ensure_database(c, problem);
}

mu_err mu_cluster_start(mu_cluster *c, bool *ret_started, mu_problem *problem)
{
    char path[600];

    *ret_started = false;
    snprintf(path, sizeof path, "%s.lock", c->data);
    const int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0)
        return mu_failf(problem, MU_INTERNAL, "%s: %s", path, strerror(errno));
    if (geteuid() == 0) {   /* root's private directory would keep the server's user out; what lies in it is private by itself */
        char *slash = strrchr(path, '/');
        *slash = '\0';
        if (chmod(path, 0711) != 0)
            mu_log(MU_LOG_WARN, "cluster.data", "error=%s", strerror(errno));
    }
    while (flock(lock, LOCK_EX) != 0 && errno == EINTR)
        continue;
    const mu_err err = start_locked(c, ret_started, problem);
    close(lock);
    return err;
}

mu_err mu_cluster_stop(mu_cluster *c, mu_problem *problem)
{
    char program[300], data[512];
    char d[] = "-D", m[] = "-m", fast[] = "fast", w[] = "-w", t[] = "-t", seconds[] = "60", s[] = "-s", stop[] = "stop";

    if (!ping(c))
        return MU_OK;
    snprintf(program, sizeof program, "%s/pg_ctl", c->bin);
    snprintf(data, sizeof data, "%s", c->data);
    char *const argv[] = { program, d, data, m, fast, w, t, seconds, s, stop, NULL };
    if (run(c, argv) != 0)
        return mu_failf(problem, MU_INTERNAL, "PostgreSQL did not stop; its words are in %s.log", c->data);
    return MU_OK;
}
