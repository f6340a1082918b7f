/* One walk on its way; private to rehearse*.c. */
#ifndef MU_WALK_H
#define MU_WALK_H

#include "apply.h"
#include "clock.h"
#include "model.h"
#include "rehearse.h"

typedef struct {
    mu_arena     *arena;
    const mu_playbook *pb;
    const mu_rehearsal *how;
    uint64_t      chance;
    mu_instant    start, now;
    json_t       *state, *result;      /* borrowed from the arena */
    json_t       *rows, *timers;       /* "path#occ" -> row; "path#occ/kind/n" -> timer, as the database would hold them */
    json_t       *plans;               /* "path#occ" -> {"at": microseconds, "tries"}: when somebody will act */
    json_t       *children;            /* key of the effect -> {"path","occ","at","ended": data of child_ended} */
    json_t       *ret;                 /* what is told */
    unsigned      events, depth;
} mu_walk;

/* -- rehearse_people.c: what somebody would do at a step -- */
/* The next number below n by chance; 0 without a seed. */
size_t  mu_walk_pick(mu_walk *w, size_t n);
/* What the caller chose for this step (or field of it), NULL: nothing. */
const json_t *mu_walk_choice(const mu_walk *w, const json_t *row, const char *field);
/* An event that brings the row on, with path, actor, data; NULL: nobody has to do anything here. New reference for the arena. */
json_t *mu_walk_act(mu_walk *w, const json_t *row, const char **ret_what, json_t **ret_value);
/* A value of the type: {"type","values"}; what the caller chose, or by chance. Owner: the arena. */
json_t *mu_walk_value(mu_walk *w, const json_t *row, const char *field, const json_t *spec);
/* Someone of the role who is not in `not` (array of {id}); invented when the role is empty. Owner: the arena. */
json_t *mu_walk_person(mu_walk *w, const char *role, const json_t *not_these);

#endif
