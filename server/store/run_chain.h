/* The hash chain of a run's events: hash = SHA-256(previous hash, hex || canonical JSON of the event), hex. The first previous hash is
 * the playbook version's. Private to this folder. */
#ifndef MU_RUN_CHAIN_H
#define MU_RUN_CHAIN_H

#include <jansson.h>
#include "base.h"

/* One hash for each event; *ret_last = the last of them, or `prev` when there is none. Owner: the arena. */
json_t *mu_run_hashes(mu_arena *arena, const char *prev, const json_t *events, const char **ret_last);

#endif
