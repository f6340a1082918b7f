#ifndef MU_FAULT_H
#define MU_FAULT_H

#include "base.h"

/* Records a refusal: `hint` is NULL or a flat JSON object of placeholders; what it says is copied into the problem's arena. Anything
 * else in `hint` is ignored. Gives `code`. */
mu_err mu_db_fault(mu_problem *problem, mu_err code, const char *pointer, const char *key, const char *hint);

#endif
