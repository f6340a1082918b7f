/* One transition of a run: apply(playbook, state, event) -> state', what to write and what to do.
 * Pure and total: no clock, no I/O, no random; never crashes, loops or allocates without bound; a meaningless event is refused.
 * Every shape is described in README.md of this folder. */
#ifndef MU_APPLY_H
#define MU_APPLY_H

#include <jansson.h>
#include "base.h"
#include "playbook.h"

#define MU_ENGINE_VERSION 2            /* of the state's shape and of the meaning of events; kept with each run */
#define MU_STATE_BYTES    (1024u * 1024u)
#define MU_REASON_LEAST   10           /* characters; every power of the commander asks for as many */

/* `state` is NULL for the event run_created and the run's state otherwise; it is not changed. *ret (owner: the arena) is either
 *   {"refused": word key, "pointer": JSON Pointer into the event's data, "code": "conflict|invalid|forbidden|not_found", "args": {…}}
 * or
 *   {"state", "events", "steps", "effects", "effects_cancelled", "timers": {"arm", "cancel"}, "status", "late"}.
 * Returns MU_OK for both; MU_MALFORMED when the event itself has not the shape of an event (a fault of the caller's code). */
mu_err mu_apply(mu_arena *arena, const mu_playbook *playbook, const json_t *state, const json_t *event, json_t **ret);

/* All step rows of a state, in order of the playbook: what run_step must hold. Owner: the arena. */
json_t *mu_apply_steps(mu_arena *arena, const mu_playbook *playbook, const json_t *state);
/* All timers that are armed in a state, sorted by path, occ, kind and n. Owner: the arena. */
json_t *mu_apply_timers(mu_arena *arena, const json_t *state);

#endif
