#include "bell.h"

#include <time.h>

#include "clock.h"

void
mu_bell_make(mu_bell *bell)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&bell->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&bell->rung, &attributes);
    pthread_condattr_destroy(&attributes);
    bell->count = 0;
    atomic_init(&bell->stop, false);
}

void
mu_bell_ring(mu_bell *bell)
{
    pthread_mutex_lock(&bell->lock);
    bell->count++;
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
}

void
mu_bell_stop(mu_bell *bell)
{
    atomic_store(&bell->stop, true);
    mu_bell_ring(bell);
}

bool
mu_bell_stopped(mu_bell *bell)
{
    return atomic_load(&bell->stop);
}

bool
mu_bell_heard(mu_bell *bell, uint64_t *seen)
{
    bool heard;

    pthread_mutex_lock(&bell->lock);
    heard = bell->count != *seen;
    *seen = bell->count;
    pthread_mutex_unlock(&bell->lock);
    return heard;
}

void
mu_bell_wait(mu_bell *bell, uint64_t *seen, int64_t ms)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += ms / 1000;
    end.tv_nsec += ms % 1000 * 1000000;
    if (end.tv_nsec >= 1000000000) {
        end.tv_sec++;
        end.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&bell->lock);
    while (bell->count == *seen && !atomic_load(&bell->stop) && pthread_cond_timedwait(&bell->rung, &bell->lock, &end) == 0) { }
    *seen = bell->count;
    pthread_mutex_unlock(&bell->lock);
}

bool
mu_bell_due(int64_t *last, int64_t every)
{
    int64_t now = mu_monotonic_ms();

    if (*last != 0 && now - *last < every)
        return false;
    *last = now;
    return true;
}
