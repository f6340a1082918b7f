/* Schema changes: sql/migrations/NNNN_*.sql, forward only, one transaction each, under one advisory lock, with their SHA-256 kept;
 * then every file of sql/functions, created anew when their hash changed. */
#ifndef MU_MIGRATE_H
#define MU_MIGRATE_H

#include "base.h"

/* Brings the database at `url` to this program's schema. dry_run only prints what would be done. Errors: the database is newer,
 * a past migration's hash differs, SQL failed (file and line in the detail). */
mu_err mu_migrate(const char *url, bool dry_run, mu_problem *problem);
/* MU_OK when the schema is exactly ours; MU_UNAVAILABLE when the database is away; MU_CONFLICT when older or newer. */
mu_err mu_migrate_check(const char *url, mu_problem *problem);
/* Runs the scripts of sql/demo that were not run in this database before, each in a transaction. *ret = how many ran now. */
mu_err mu_demo_load(const char *url, int *ret, mu_problem *problem);

#endif
