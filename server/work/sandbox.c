/* The child that becomes a document program. Everything here is done between two execs, by one thread. */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "documents.h"

static void
limit(int which, rlim_t most)
{
    struct rlimit l = { most, most };

    if (setrlimit(which, &l) != 0)
        fprintf(stderr, "sandbox: limit %d: %s\n", which, strerror(errno));
}

static bool
write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (fd >= 0)
        close(fd);
    return good;
}

/* No network: a name space of its own has not even a loopback that is up. */
static void
leave_network(void)
{
    char map[64];
    uid_t user = getuid();
    gid_t group = getgid();

    if (unshare(CLONE_NEWNET) == 0)
        return;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        fprintf(stderr, "sandbox: network stays reachable: %s\n", strerror(errno));
        return;
    }
    write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "%u %u 1", (unsigned)user, (unsigned)user);
    write_file("/proc/self/uid_map", map);
    snprintf(map, sizeof map, "%u %u 1", (unsigned)group, (unsigned)group);
    write_file("/proc/self/gid_map", map);
}

#define READ_ACCESS  (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ALL_ACCESS   (READ_ACCESS | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE \
                      | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK \
                      | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define FILE_ACCESS  (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE)

static void
permit(int rules, const char *path, uint64_t access, bool is_file)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = is_file ? access & FILE_ACCESS : access };

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return; /* what is not there need not be permitted */
    syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
}

/* The system's programs and fonts for reading, the work directory for writing, nothing else: no other report, no key, no data. */
static void
lock_files(const char *directory)
{
    static const char *const readable[] = { "/usr", "/lib", "/lib64", "/bin", "/etc/fonts", "/etc/alternatives", "/etc/python3", "/var/cache/fontconfig",
                                            "/etc/ssl/openssl.cnf" };
    static const char *const files[] = { "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types", "/etc/passwd", "/etc/nsswitch.conf", "/dev/null",
                                         "/dev/urandom", "/dev/zero" };
    struct landlock_ruleset_attr attr = { .handled_access_fs = ALL_ACCESS };
    int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);

    if (rules < 0) {
        fprintf(stderr, "sandbox: no Landlock: %s\n", strerror(errno));
        return;
    }
    for (size_t i = 0; i < MU_COUNT(readable); i++)
        permit(rules, readable[i], READ_ACCESS, false);
    for (size_t i = 0; i < MU_COUNT(files); i++)
        permit(rules, files[i], LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE, true);
    permit(rules, directory, ALL_ACCESS, false);
    if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        fprintf(stderr, "sandbox: Landlock: %s\n", strerror(errno));
    close(rules);
}

int
mu_document_child(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (chdir(argv[1]) != 0) {
        fprintf(stderr, "sandbox: %s: %s\n", argv[1], strerror(errno));
        return 2;
    }
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)setpriority(PRIO_PROCESS, 0, 10); /* a report can wait; requests and mails cannot */
    limit(RLIMIT_AS, (rlim_t)2 << 30);
    limit(RLIMIT_CPU, 120);
    limit(RLIMIT_FSIZE, (rlim_t)64 << 20);
    limit(RLIMIT_NOFILE, 256);
    limit(RLIMIT_CORE, 0);
    leave_network();
    lock_files(argv[1]);
    execvp(argv[2], argv + 2);
    int why = errno;
    fprintf(stderr, "%s: %s\n", argv[2], strerror(why));
    return why == ENOENT ? 127 : 126;
}
