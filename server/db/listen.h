/* The one LISTEN connection of a process: hints on the channel "muster". A reconnect counts as "anything may have changed". */
#ifndef MU_LISTEN_H
#define MU_LISTEN_H

#include <stdbool.h>
#include "base.h"

typedef struct mu_listener mu_listener;

/* Starts a thread that calls on_hint(closure, payload) for every notification, on_hint(closure, NULL) after each (re)connect,
 * and on_hint(closure, "") at least every `poll_ms` when nothing came. */
mu_listener *mu_listen_start(const char *url, int poll_ms, void (*on_hint)(void *closure, const char *payload), void *closure);
void mu_listen_stop(mu_listener *listener);   /* joins the thread */

/* The parts of an incident's page that change when deliveries are recorded. While many leave, such a hint comes many times a second
 * and is for open pages only: it brings no work to a sender and does not touch the public status. NULL is never one. */
#define MU_PARTS_DELIVERED "deliveries,deliverytable,told"
bool mu_hint_delivered(const char *payload);

#endif
