/* The limits that a playbook's variables may take from regulator profiles. */
#ifndef MU_FIGURES_H
#define MU_FIGURES_H

#include <jansson.h>
#include "base.h"

/* `facts`: {"profiles": [profile…], "facts": {…}}. Gives what `from: profile.…` can name, as durations: ID.STAGE, ID.first_report_due
 * (the shortest first limit of that profile) and first_report_due (the shortest of all). A limit whose condition is known to be false
 * is not among them. New reference. */
json_t *mu_profile_figures(mu_arena *arena, const json_t *facts);

#endif
