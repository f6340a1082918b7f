/* Classification of an incident by a decision table of a report profile (playbooks/regulators/ *.json). Pure.
 * Every figure stays with its source and its confidence, and both are handed back with the result. */
#ifndef MU_DECISION_H
#define MU_DECISION_H

#include <jansson.h>
#include "base.h"

/* `classification` = the profile's member of that name; `facts` = flat object, fact name ("impact.downtime_minutes") to value; a missing
 * member or null means "not known". *ret (owner: the arena):
 *   {"method", "level": code or null, "certain": bool, "possible": [codes that missing facts could still reach, highest first],
 *    "hits": [{"level","id","text","source","confidence","judgement"}], "missing": [fact names that could change the result],
 *    "confidence": the weakest of the rules hit}
 * Methods: highest_level_any_rule, any_rule, judgement_any, gate_then_any_of, all, judgement, none, tolerance_breach.
 * MU_INVALID with a fault when the table has not the shape described here (unknown method or operator, value of another type). */
mu_err mu_decision_classify(mu_arena *arena, const json_t *classification, const json_t *facts, mu_problem *problem, json_t **ret);

/* One condition, also used for `applies_when`: {"fact","op","value"}, {"all":[…]}, {"any":[…]}. 1 true, 0 false, -1 not known.
 * Operators: = != < <= > >= in contains. Names of unknown facts are added to `missing` (an array, may be NULL). */
int mu_decision_holds(const json_t *condition, const json_t *facts, json_t *missing);

#endif
