/* Parsed playbook versions, shared by the threads of a process and named by the hash of their body. Private to this folder. */
#ifndef MU_PLAYBOOK_CACHE_H
#define MU_PLAYBOOK_CACHE_H

#include "db.h"
#include "playbook.h"

#define MU_PLAYBOOKS_KEPT 64

/* The playbook with that hash if this process has it, else NULL. It stays valid until `arena` is freed or reset. */
const mu_playbook *mu_playbook_cached(mu_arena *arena, const char *hash);

/* Parses `text` (canonical JSON of a stored version) and keeps it under the hash. MU_INTERNAL when it does not parse: a stored
 * version has been checked before. */
mu_err mu_playbook_keep(mu_arena *arena, mu_problem *problem, const char *hash, const char *text, const mu_playbook **ret);

#endif
