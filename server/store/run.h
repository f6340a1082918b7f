/* The durable store around the engine: lock the run row, apply, write everything in one statement. Any node may do it for any
 * run; the row lock orders them. Nothing here sends anything: effects become outbox rows, and others carry them out. */
#ifndef MU_RUN_H
#define MU_RUN_H

#include <jansson.h>
#include "base.h"
#include "db.h"

/* Starts a run inside the caller's transaction. `run` = the new run's id (UUID); the row itself, with kind, playbook version and
 * clock, must have been inserted by the caller's SQL before. `data` = data of run_created as described in engine/README.md, as far
 * as the caller knows it: {"vars":{…},"roles":{role:[uuid…]}}; the rest (run, incident, org, playbook, people's names, profile)
 * is filled in from the database. `actor`: {"kind","id","name","commander"}, or NULL for the person of the session.
 * *ret (may be NULL): {"run","status","seq","events":[…],"steps":[…]}. */
mu_err mu_run_start(mu_tx *tx, const char *run, const json_t *data, const json_t *actor, const char *key, json_t **ret);

/* Applies one event: {"kind","path","occ","reason","data"}; `at` and `actor` are filled in (actor NULL: the person of the session).
 * `key` (may be NULL) makes it idempotent: the same key and body gives the recorded answer again, another body MU_CONFLICT with
 * error.key_reused. A refusal of the engine is recorded in the problem: its key, its pointer, and the code it carries. */
mu_err mu_run_event(mu_tx *tx, const char *run, const json_t *event, const json_t *actor, const char *key, json_t **ret);

/* Rebuilds the run from its events and compares state, steps, armed timers, open effects and the hash chain.
 * *ret = {"run","equal":bool,"events":n,"differences":[{"what","expected","found"}]}; at most 20 differences. */
mu_err mu_run_replay(mu_tx *tx, const char *run, json_t **ret);

/* Drops every parsed playbook kept by this process (tests; a bounded number is kept otherwise). Before threads end. */
void mu_run_cache_clear(void);

#endif
