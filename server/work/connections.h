/* Calls that playbooks make to registered systems: one attempt for each time the engine asks, many in flight on one thread. */
#ifndef MU_CONNECTIONS_H
#define MU_CONNECTIONS_H

#include <stdatomic.h>
#include <jansson.h>
#include "bell.h"
#include "fetch.h"
#include "outbox.h"

/* The address of a call: `base` (without a slash at the end) and what a playbook put after it, which is nothing, or begins with / or ?.
 * NULL when it would lead out of the base: another beginning, a `..` segment, plain or encoded. Pure. */
char *mu_call_url(mu_arena *arena, const char *base, const char *rest);

/* Replaces each {{name}} that is a member of `clear` (name: value), written for `place`: 'j' inside a JSON string, 'f' in a form body,
 * anything else as it is. Other braces stay. Pure. */
char *mu_call_fill(mu_arena *arena, const char *text, const json_t *clear, char place);

/* What the engine is given: {status, headers {lower-case: value}, body: JSON when it says so and is, else text, else null}. Values of
 * `clear` that the other side sends back are blotted out, and cookies are left out: an event is kept for ever. Owner: the arena. */
json_t *mu_call_result(mu_arena *arena, const mu_fetch_answer *answer, const json_t *clear);

/* The loop of the thread: returns when the bell stops and nothing is under way, or ten seconds later. *waker as in hooks.h. */
void mu_calls_loop(const mu_outbox *outbox, const mu_fetch_policy *policy, mu_bell *bell, int poll_ms, _Atomic(mu_fetch *) *waker);

#endif
