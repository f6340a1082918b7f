#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"

#define ERRORS_KEPT 65536
#define STOP_MS     1000     /* for a kept child to see the end of its input */
#define PIPE_BYTES  (1 << 20)

static void
shut(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Three pipes; the ends of ours are close-on-exec and do not block. */
static bool
pipes(int in[2], int out[2], int err[2])
{
    in[0] = in[1] = out[0] = out[1] = err[0] = err[1] = -1;
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        return false;
    (void)fcntl(in[1], F_SETPIPE_SZ, PIPE_BYTES); /* fewer turns for a large input; the ordinary size does as well */
    return fcntl(in[1], F_SETFL, O_NONBLOCK) == 0 && fcntl(out[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(err[0], F_SETFL, O_NONBLOCK) == 0;
}

static int
spawn(mu_process *p, int in, int out, int err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    pid_t pid = -1;
    int failed;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_adddup2(&actions, in, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    posix_spawn_file_actions_adddup2(&actions, err, 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    failed = posix_spawnp(&pid, p->program, &actions, &attributes, p->argv, p->env);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    p->pid = failed == 0 ? pid : -1;
    return failed;
}

static void
launch(mu_process *p)
{
    int in[2], out[2], err[2], failed = EMFILE;

    p->pid = -1;
    if (pipes(in, out, err))
        failed = spawn(p, in[0], out[1], err[1]);
    shut(&in[0]);
    shut(&out[1]);
    shut(&err[1]);
    p->in_fd = in[1];
    p->out_fd = out[0];
    p->err_fd = err[0];
    p->end = failed == 0 ? MU_PROCESS_EXITED : failed == ENOENT ? MU_PROCESS_NOT_FOUND : MU_PROCESS_FAILED;
    if (p->pid < 0) {
        shut(&p->in_fd);
        shut(&p->out_fd);
        shut(&p->err_fd);
    }
}

static void
kill_group(mu_process *p, mu_process_end why)
{
    kill(-p->pid, SIGKILL);
    kill(p->pid, SIGKILL); /* in case it had not yet become the leader of its group */
    p->end = why;
    shut(&p->in_fd);
    shut(&p->out_fd);
    shut(&p->err_fd);
}

static void
feed(mu_process *p)
{
    const char *bytes = p->input;
    ssize_t n = write(p->in_fd, bytes + p->sent, p->input_n - p->sent);

    if (n > 0)
        p->sent += (size_t)n;
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || (p->sent == p->input_n && p->answered == NULL))
        shut(&p->in_fd);
}

/* Keeps the end of a text that may be long. */
static void
keep_tail(mu_buf *buf)
{
    if (buf->n <= ERRORS_KEPT)
        return;
    memmove(buf->at, buf->at + (buf->n - ERRORS_KEPT), ERRORS_KEPT);
    buf->n = ERRORS_KEPT;
    buf->at[buf->n] = '\0';
}

static bool
drain(int *fd, mu_buf *into)
{
    char bytes[16384];
    ssize_t n = read(*fd, bytes, sizeof bytes);

    if (n > 0)
        return mu_buf_add(into, bytes, (size_t)n);
    if (n == 0 || (errno != EAGAIN && errno != EINTR))
        shut(fd);
    return true;
}

/* Whether there is still something to wait for. */
static bool
busy(const mu_process *p)
{
    return p->end != MU_PROCESS_ANSWERED && (p->in_fd >= 0 || p->out_fd >= 0 || p->err_fd >= 0);
}

/* One turn of one child, by what poll said about its three descriptors. */
static void
serve(mu_process *p, const struct pollfd *fds)
{
    if (p->err_fd >= 0 && fds[2].revents != 0) {
        drain(&p->err_fd, &p->errors);
        keep_tail(&p->errors);
    }
    if (p->in_fd >= 0 && fds[0].revents != 0)
        feed(p);
    if (p->out_fd >= 0 && fds[1].revents != 0 && !drain(&p->out_fd, &p->output))
        kill_group(p, MU_PROCESS_TOO_MUCH);
    else if (p->answered != NULL && p->in_fd >= 0 && p->sent == p->input_n && p->answered(&p->output))
        p->end = MU_PROCESS_ANSWERED;
    else if (p->out_fd < 0)
        shut(&p->in_fd); /* no answer can come any more */
}

/* When its pipes are closed a child has until its deadline to end by itself. */
static void
reap(mu_process *p)
{
    siginfo_t info;
    int status = 0, pidfd;

    if (p->pid <= 0)
        return;
    pidfd = pidfd_open(p->pid, 0);
    if (p->end == MU_PROCESS_EXITED && pidfd >= 0) {
        struct pollfd fd = { .fd = pidfd, .events = POLLIN };
        int64_t left = p->kill_at - mu_monotonic_ms();
        if (poll(&fd, 1, left > 0 ? (int)left : 0) == 0)
            kill_group(p, MU_PROCESS_DEADLINE);
    }
    shut(&pidfd);
    while (waitid(P_PID, (id_t)p->pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) { }
    kill(-p->pid, SIGKILL); /* what it may have started itself, while its number is still ours */
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR) { }
    p->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    p->pid = -1;
}

static void
wait_turn(mu_process *list, size_t count, struct pollfd *fds)
{
    int64_t now = mu_monotonic_ms(), next = now + 1000;

    for (size_t i = 0; i < count; i++) {
        mu_process *p = &list[i];
        bool waits = busy(p);
        fds[3 * i] = (struct pollfd){ .fd = waits && p->sent < p->input_n ? p->in_fd : -1, .events = POLLOUT };
        fds[3 * i + 1] = (struct pollfd){ .fd = waits ? p->out_fd : -1, .events = POLLIN };
        fds[3 * i + 2] = (struct pollfd){ .fd = waits ? p->err_fd : -1, .events = POLLIN };
        if (waits && p->kill_at < next)
            next = p->kill_at;
    }
    if (poll(fds, 3 * count, next > now ? (int)(next - now) : 0) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        serve(&list[i], fds + 3 * i);
}

/* A kept child says nothing of its own accord: whatever there is to read between two inputs is its end. */
static bool
well(const mu_process *p)
{
    struct pollfd fd = { .fd = p->out_fd, .events = POLLIN };

    return p->pid > 0 && p->in_fd >= 0 && p->out_fd >= 0 && poll(&fd, 1, 0) == 0;
}

void
mu_process_ready(mu_process *p)
{
    if (well(p))
        return;
    mu_process_stop(p);
    launch(p);
}

void
mu_process_stop(mu_process *p)
{
    if (p->pid <= 0)
        return;
    shut(&p->in_fd);
    shut(&p->out_fd);
    shut(&p->err_fd);
    p->end = MU_PROCESS_EXITED;
    p->kill_at = mu_monotonic_ms() + STOP_MS;
    reap(p);
}

static void
begin(mu_process *p)
{
    p->output = (mu_buf)MU_BUF(p->output_max);
    p->errors = (mu_buf)MU_BUF(2 * ERRORS_KEPT);
    p->sent = 0;
    if (p->answered != NULL)
        mu_process_ready(p);
    else
        launch(p);
    p->kill_at = mu_monotonic_ms() + p->deadline_ms;
    if (p->pid > 0)
        p->end = MU_PROCESS_EXITED;
    if (p->in_fd >= 0 && p->input_n == 0)
        shut(&p->in_fd);
}

void
mu_process_run(mu_process *list, size_t count)
{
    struct pollfd *fds = calloc(3 * count + 1, sizeof *fds);

    if (fds == NULL)
        abort();
    for (size_t i = 0; i < count; i++)
        begin(&list[i]);
    for (bool open = true; open;) {
        open = false;
        for (size_t i = 0; i < count; i++) {
            if (busy(&list[i]) && mu_monotonic_ms() >= list[i].kill_at)
                kill_group(&list[i], MU_PROCESS_DEADLINE);
            open = open || busy(&list[i]);
        }
        if (open)
            wait_turn(list, count, fds);
    }
    for (size_t i = 0; i < count; i++)
        if (list[i].end != MU_PROCESS_ANSWERED)
            reap(&list[i]);
    free(fds);
}

const char *
mu_process_self(void)
{
    return "/proc/self/exe";
}
