/* What becomes due by itself: timers of runs, clocks of incidents, effects that came to an end, lost senders, alarms for what was
 * not delivered, drafts of reports to be looked at again, and housekeeping. */
#ifndef MU_TIMERS_H
#define MU_TIMERS_H

#include "bell.h"
#include "outbox.h"

/* The loop of the timer thread. `late` = seconds after which an undelivered row raises an alarm. */
void mu_timers_loop(const mu_outbox *outbox, mu_bell *bell, int poll_ms, int late);

/* Fires what is due now, in order of due time; returns how many fired. One transaction per timer; a timer of a run that somebody
 * else holds is left for the next call. Also for tests. */
int mu_timers_fire(mu_db *db, mu_arena *arena);

#endif
