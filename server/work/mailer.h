/* E-mail: outbox rows become messages, and messages go out in sessions. */
#ifndef MU_MAILER_H
#define MU_MAILER_H

#include "bell.h"
#include "mail.h"
#include "mime.h"
#include "outbox.h"

typedef struct mu_mailer mu_mailer;

/* Reads the templates. */
mu_mailer *mu_mailer_new(void);
void       mu_mailer_free(mu_mailer *mailer);     /* NULL is allowed */

/* The message of a row, complete, ready for mu_mail_send(). `from` = the sender's mailbox, borrowed. Faults: bad address, model or template. Owner: the arena. */
mu_err mu_mailer_write(const mu_mailer *mailer, mu_arena *arena, const mu_out_row *row, const char *from, mu_problem *problem,
                       mu_mail *ret) MU_MUST;

/* The loop of a mail thread. The mail server is read again for every batch, from the settings in the database and, where they say
 * nothing, from the configuration; returns when the bell stops and the batch under way has ended. `sessions` = how many of the
 * configured ones are this thread's, from 1. */
void mu_mailer_loop(const mu_outbox *outbox, mu_bell *bell, int poll_ms, int sessions);

#endif
