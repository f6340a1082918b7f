/* Reports to regulators around the pure rules of domain/: opening a draft, and judging drafts again when facts, times or earlier
 * reports changed. Everything else about a report (edit, approve, send, file) is SQL alone: sql/functions/210_report.sql. */
#ifndef MU_REPORT_H
#define MU_REPORT_H

#include "base.h"
#include "db.h"

typedef struct {
    const char *incident;      /* uuid */
    const char *profile;       /* id of a loaded profile */
    const char *stage;         /* NULL or "": the profile's first */
    const char *run, *path;    /* the step of a playbook that asks for it; NULL for a report opened by hand */
    int         occ;
    bool        next;          /* of a stage that repeats: another one when the last has gone out */
    bool        by_hand;       /* the person of the session opens it, and so cannot approve it */
} mu_report_wanted;

/* Opens the draft, or finds the one that is there, and judges it: level, limit, clock, pre-filled fields. *ret_report = its uuid
 * (arena of the transaction). MU_INVALID for an unknown profile or stage, with the pointer of the field. */
mu_err mu_report_open(mu_tx *tx, const mu_report_wanted *wanted, const char **ret_report);

/* Judges the drafts of one incident (uuid) again, in the caller's transaction. Locks the incident's row. */
mu_err mu_report_refresh(mu_tx *tx, const char *incident);

/* After a report went out: opens the next one of every stage that repeats, as long as its clock runs. */
mu_err mu_report_follow(mu_tx *tx, const char *incident, const char *profile);

/* Judges drafts whose time has come, at most 20 incidents. For the work process, in a transaction of its own. */
mu_err mu_report_tick(mu_tx *tx);

#endif
