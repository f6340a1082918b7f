/* What both channels share: claiming rows, the drill guard of the sender, back-off, and settling a batch in one statement. */
#ifndef MU_OUTBOX_H
#define MU_OUTBOX_H

#include "base.h"
#include "db.h"

#define MU_OUTBOX_ATTEMPTS 10           /* tries before a row is given up */
#define MU_OUTBOX_LOSSES   50           /* senders that may die with a row in their hands before it is held to be the cause */

/* A claimed row. Texts are borrowed from the arena of the claim; NULL where SQL has NULL. */
typedef struct {
    int64_t     id, token;
    int         attempt;                 /* 1 = first try since the row was made or replayed, not counting lost senders */
    const char *kind;                    /* incident, drill, rehearsal, system */
    const char *delivery;                /* send, simulate */
    const char *audience;                /* internal, customer, regulator */
    bool        once;                    /* must not happen twice */
    bool        drill_safe;              /* of the row, when it was made */
    bool        endpoint_drill_safe;     /* of the endpoint, today; false when there is none */
    bool        endpoint_disabled;
    const char *address, *language, *secret, *event_id, *ref, *severity, *purpose, *created_at;
    const char *document;                /* web hook: the body; mail: the model as JSON text */
} mu_out_row;

typedef enum { MU_OUT_SENT, MU_OUT_RETRY, MU_OUT_DEAD, MU_OUT_SIMULATED, MU_OUT_UNKNOWN, MU_OUT_REFUSED } mu_out_outcome;

typedef struct {
    int64_t     id, token;
    mu_out_outcome outcome;
    int         code;                    /* status of the receiver, 0 = none */
    const char *detail;                  /* for people; no secrets */
    int64_t     ms;
    double      after;                   /* seconds until the next try, for RETRY */
    bool        gone;                    /* the endpoint asked never to be called again */
    const char *ref;                     /* of the incident, NULL = none; for the hint */
} mu_out_result;

typedef enum { MU_GUARD_SEND, MU_GUARD_SIMULATE, MU_GUARD_REFUSE } mu_guard;

/* The sender's own judgement, by the row and by its endpoint as it is today. Pure. */
mu_guard mu_outbox_guard(const mu_out_row *row);

/* Seconds until the next try after `attempt` tries, with jitter of a fifth either way (`random` 0 … UINT32_MAX), never sooner
 * than the receiver asked (retry_after, -1 = did not). Negative: no more tries. Pure. */
double mu_outbox_after(int attempt, uint32_t random, int64_t retry_after);

/* A result for the row; RETRY becomes DEAD when no try is left, and UNKNOWN when the row is `once` and `unsure`. `detail` is copied
 * into the arena, cut to 400 bytes and cleaned of control characters. */
mu_out_result mu_outbox_result(mu_arena *arena, const mu_out_row *row, mu_out_outcome outcome, int code, const char *detail, int64_t ms,
                               int64_t retry_after, bool unsure);

/* Who sends. Borrowed for the life of the thread. */
typedef struct {
    mu_db      *db;
    const char *node;                    /* name of this process, for whoever asks who holds a row */
    const char *base;                    /* public URL without a slash at the end */
    int         lease;                   /* seconds */
} mu_outbox;

/* Claims up to `fresh` first tries and `again` retries of a channel ("email", "webhook"). */
mu_err mu_outbox_claim(const mu_outbox *outbox, mu_arena *arena, const char *channel, int fresh, int again, mu_out_row **ret, size_t *ret_count) MU_MUST;

/* Marks `once` rows as started, in a transaction of its own. may_go[i] tells for each row whether it may be sent: true for rows
 * that are not `once`. */
mu_err mu_outbox_begin(const mu_outbox *outbox, mu_arena *arena, const mu_out_row *rows, size_t count, bool *may_go) MU_MUST;

/* Records the results in one statement, then tells the runs whose effects came to an end. On an error nothing was recorded and
 * the caller may try again. */
mu_err mu_outbox_settle(const mu_outbox *outbox, mu_arena *arena, const mu_out_result *results, size_t count) MU_MUST;

/* Hints browsers and other processes that parts of an incident's page changed ("*" = any). ref NULL or "": nothing. */
void mu_outbox_hint(mu_db *db, mu_arena *arena, const char *ref, const char *parts);

/* Tells the run how its effects of one step ended; nothing when some row is still on its way. */
mu_err mu_outbox_answer(mu_db *db, mu_arena *arena, const char *run, const char *path, const char *occ) MU_MUST;

#endif
