/* Clocks of report stages: anchor + offset, with the anchor's event, a condition, repetition, a cap. Pure. */
#ifndef MU_DEADLINE_H
#define MU_DEADLINE_H

#include <jansson.h>
#include "base.h"
#include "clock.h"

typedef enum {
    MU_DUE_NONE,        /* the stage has no number: as soon as possible, or by another rule */
    MU_DUE_NOT_YET,     /* its anchor has not happened or is not known */
    MU_DUE_NOT_APPLICABLE,
    MU_DUE_AT
} mu_due_state;

typedef struct {
    mu_due_state state;
    mu_instant   at;            /* MU_DUE_AT only */
    const char  *anchor;        /* borrowed from the stage; NULL for none */
    int64_t      offset;        /* seconds; 0 when none */
    bool         uncertain;     /* its condition depends on facts that are not known */
    bool         repeats;
} mu_due;

/* `stage` = one of a profile's stages; `anchors` = {"incident.occurred_at": RFC 3339, …}; `facts` as for mu_decision_classify().
 * `business_days` is reserved for profiles that count working days: NULL, or an object {date: true} of the days off. */
mu_due mu_deadline_due(const json_t *stage, const json_t *anchors, const json_t *facts, const json_t *business_days);

/* All stages of a profile: [{"stage","name","state":"none|not_yet|not_applicable|at","due_at","anchor","offset","uncertain","repeats",
 * "source","confidence"}]. Owner: the arena. */
json_t *mu_deadline_stages(mu_arena *arena, const json_t *profile, const json_t *anchors, const json_t *facts);

/* The shortest first limit of a profile as a duration text ("30m"), counted over stages whose anchor is an event of the incident
 * and whose condition is not known to be false; NULL when it has none. It feeds `from: profile.first_report_due`. Owner: the arena. */
char *mu_deadline_first_report(mu_arena *arena, const json_t *profile, const json_t *facts);

#endif
