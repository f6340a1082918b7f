/* A walk through a playbook in simulated time, with nobody told: every role played, every message kept instead of sent. The page
 * and `muster playbook rehearse` show it; tests walk the library with it. Pure: the time is invented, chance comes from a seed. */
#ifndef MU_REHEARSE_H
#define MU_REHEARSE_H

#include "playbook.h"

#define MU_REHEARSAL_EVENTS 3000       /* of one walk, called playbooks included; a longer one is cut and says so */

/* Finds the playbook that a `call` names; version 0: the latest. NULL: there is none. */
typedef const mu_playbook *mu_playbook_find(void *closure, const char *slug, int64_t version);

typedef struct {
    uint64_t      seed;                /* 0: everybody does the first thing offered, in good time; else chance decides, always alike */
    const json_t *choices;             /* {"path" or "path.field": value}; README.md, "Rehearsal"; may be NULL */
    const json_t *vars;                /* of run_created; what is missing and needed is made up by type; may be NULL */
    const json_t *profile;             /* limits of regulators, as in run_created; may be NULL */
    const json_t *roles;               /* {role: [{id, name}]}; a role that is missing is played by invented people and reported; may be NULL */
    const char   *severity;            /* I to IV; NULL: II */
    const char   *start;               /* RFC 3339; NULL: 2026-01-05T01:00:00.000Z, a Monday morning */
    mu_playbook_find *find;            /* may be NULL: called playbooks are taken as done */
    void         *closure;
} mu_rehearsal;

/* *ret (owner: the arena), as README.md describes it. Returns MU_OK, also when the walk came to no good end; MU_INVALID when the
 * engine refuses to start the run, *ret then holds {"refused", "pointer"}. */
mu_err mu_rehearse(mu_arena *arena, const mu_playbook *playbook, const mu_rehearsal *how, json_t **ret);

#endif
