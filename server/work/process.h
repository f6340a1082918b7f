/* Runs helper programs with a hard deadline. They are started by posix_spawn in a process group of their own, with an empty
 * signal mask, nothing open but standard input, output and error, and only the environment that is given.
 *
 * Most do one piece of work and end. A child with `answered` set is kept: it stays when it has answered and takes the next
 * input, so that the start is paid once. It must end by itself when its standard input does. */
#ifndef MU_PROCESS_H
#define MU_PROCESS_H

#include "base.h"
#include "buf.h"

typedef enum {
    MU_PROCESS_EXITED,      /* by itself; `code` is its exit status, 128 + n when a signal ended it */
    MU_PROCESS_ANSWERED,    /* it is kept and waits for the next input */
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
    int64_t     deadline_ms;        /* from the start, or from the moment a kept one is given its input */
    size_t      output_max;         /* bytes; of standard error the last 64 KiB are kept */
    bool      (*answered)(const mu_buf *output); /* is this a whole answer? NULL: the child is not kept */
    /* out */
    mu_process_end end;
    int         code;
    mu_buf      output, errors;     /* the caller frees both */
    /* private */
    int         pid, in_fd, out_fd, err_fd;  /* pid 0 or below: not running */
    size_t      sent;
    int64_t     kill_at;
} mu_process;

/* Runs all of them side by side and returns when the last has ended or, if it is kept, answered; no other child is left behind. A
 * kept one that is running already gets its input at once; one that died meanwhile is replaced first. */
void mu_process_run(mu_process *list, size_t count);

/* A kept child, ahead of its first input; nothing when it is running and well. */
void mu_process_ready(mu_process *p);

/* Ends a kept child, kindly first, and waits for it; nothing when it is not running. */
void mu_process_stop(mu_process *p);

/* The path of the running program itself, for children that are subcommands of it. Static. */
const char *mu_process_self(void);

#endif
