/* What the threads of `work` share: one stop flag, and a bell that is rung when something may have become due. */
#ifndef MU_BELL_H
#define MU_BELL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t  rung;          /* CLOCK_MONOTONIC */
    uint64_t        count;
    atomic_bool     stop;
} mu_bell;

void mu_bell_make(mu_bell *bell);
void mu_bell_ring(mu_bell *bell);
void mu_bell_stop(mu_bell *bell);          /* sets the flag and rings */
bool mu_bell_stopped(mu_bell *bell);

/* Whether it was rung since *seen; updates *seen. */
bool mu_bell_heard(mu_bell *bell, uint64_t *seen);

/* Waits until the bell was rung since *seen, at most `ms` milliseconds; updates *seen. */
void mu_bell_wait(mu_bell *bell, uint64_t *seen, int64_t ms);

/* True once every `every` milliseconds of this process; the first time at once. *last starts as 0. */
bool mu_bell_due(int64_t *last, int64_t every);

#endif
