/* Runs helper programs with a hard deadline. They are started by posix_spawn in a process group of their own, with an empty
 * signal mask, nothing open but standard input, output and error, and only the environment that is given. */
#ifndef MU_PROCESS_H
#define MU_PROCESS_H

#include "base.h"
#include "buf.h"

typedef enum {
    MU_PROCESS_EXITED,      /* by itself; `code` is its exit status, 128 + n when a signal ended it */
    MU_PROCESS_DEADLINE,    /* killed: too slow */
    MU_PROCESS_TOO_MUCH,    /* killed: more output than allowed */
    MU_PROCESS_NOT_FOUND,   /* no such program */
    MU_PROCESS_FAILED       /* could not be started */
} mu_process_end;

typedef struct {
    /* in, borrowed */
    const char *program;            /* path, or a name looked up in PATH */
    char *const *argv, *const *env; /* NULL-terminated */
    const void *input;
    size_t      input_n;
    int64_t     deadline_ms;        /* from the start */
    size_t      output_max;         /* bytes; of standard error the last 64 KiB are kept */
    /* out */
    mu_process_end end;
    int         code;
    mu_buf      output, errors;     /* the caller frees both */
    /* private */
    int         pid, in_fd, out_fd, err_fd;
    size_t      sent;
    int64_t     kill_at;
} mu_process;

/* Runs all of them side by side and returns when the last has ended; no child is left behind. */
void mu_process_run(mu_process *list, size_t count);

/* The path of the running program itself, for children that are subcommands of it. Static. */
const char *mu_process_self(void);

#endif
