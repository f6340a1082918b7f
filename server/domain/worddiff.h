/* What changed between two texts, word by word. Pure. */
#ifndef MU_WORDDIFF_H
#define MU_WORDDIFF_H

#include <jansson.h>
#include "base.h"

/* [{"text", "added"?: true, "removed"?: true}]: the pieces that are not added are `older` again, those that are not removed are `newer`,
 * both in order. A word is a run of letters and digits of an alphabet, a run of white space, or one sign: Chinese text differs by
 * character. The fewest words change (Myers 1986) up to a thousand of them; beyond that the middle is one piece removed and one added.
 * Both texts valid UTF-8. Owner: the arena. */
json_t *mu_worddiff(mu_arena *arena, const char *older, const char *newer);

#endif
