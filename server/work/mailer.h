/* E-mail: outbox rows become messages, and messages go out in sessions. */
#ifndef MU_MAILER_H
#define MU_MAILER_H

#include "bell.h"
#include "outbox.h"

/* The loop of a mail thread. The mail server is read again for every batch, from the settings in the database and, where they say
 * nothing, from the configuration; returns when the bell stops and the batch under way has ended. `sessions` = how many of the
 * configured ones are this thread's, from 1. */
void mu_mailer_loop(const mu_outbox *outbox, mu_bell *bell, int poll_ms, int sessions);

#endif
