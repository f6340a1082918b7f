/* Report profiles as they are read from playbooks/regulators: the loader's check. Pure. */
#ifndef MU_PROFILE_H
#define MU_PROFILE_H

#include <jansson.h>
#include "base.h"

/* Checks the shape: id, name, stages with ids and deadlines, classification, fields with keys, labels and requirements, and that
 * each source named is listed. Collects all faults by JSON Pointer; MU_INVALID if any. */
mu_err mu_profile_check(mu_arena *arena, const json_t *profile, mu_problem *problem);

/* Field keys of a stage with requirement "M" (mandatory), "C" (when known) or "O": [{"key","required"}]. Owner: the arena. */
json_t *mu_profile_fields(mu_arena *arena, const json_t *profile, const char *stage);

/* Severity words of incidents, highest first: I II III IV. -1 when not a severity; smaller is worse. */
int mu_severity_rank(const char *severity);

#endif
