/* Web hooks: signed CloudEvents to other systems, many in flight on one thread. */
#ifndef MU_HOOKS_H
#define MU_HOOKS_H

#include <stdatomic.h>
#include "bell.h"
#include "fetch.h"
#include "outbox.h"

/* Standard Webhooks: "v1,…" for each secret ("whsec_" + base64; several are separated by spaces while a key is changed) over
 * id.timestamp.body. NULL when a secret is malformed or shorter than 16 bytes. Pure. */
char *mu_hook_signature(mu_arena *arena, const char *secrets, const char *id, int64_t timestamp, const char *body, size_t n);

/* What an answer means: 2xx sent; 410 dead and the endpoint gone; a refused URL or address dead; everything else, redirects
 * included, another try. Pure. */
mu_out_outcome mu_hook_outcome(const mu_fetch_answer *answer, bool *ret_gone);

/* The loop of a hook thread: returns when the bell stops and nothing is under way. *waker is the loop's mu_fetch while it runs
 * (for mu_fetch_wake), NULL before and after. */
void mu_hooks_loop(const mu_outbox *outbox, const mu_fetch_policy *policy, mu_bell *bell, int poll_ms, _Atomic(mu_fetch *) *waker);

#endif
