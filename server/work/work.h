/* `muster work`: sends what waits, fires what is due, makes documents. Any number of such processes share one database. */
#ifndef MU_WORK_H
#define MU_WORK_H

/* Runs until SIGTERM or SIGINT, then ends what is under way and returns the exit status. The configuration is loaded, the words
 * and keys are ready, libcurl is started (mu_fetch_start_library) and no thread runs yet. */
int mu_work_run(void);

/* Seconds a claim must last with the configured smtp.timeout and hooks.timeout; a shorter work.lease is not followed. */
int mu_work_lease_least(void);

#endif
