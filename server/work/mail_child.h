/* Between the two halves of the mail child: what to send and how it went. Private to mail*.c. */
#ifndef MU_MAIL_CHILD_H
#define MU_MAIL_CHILD_H

#include "mail.h"

#define MU_MAIL_BATCH_MAX  (64u << 20)   /* bytes of a batch */
#define MU_MAIL_ANSWER_MAX (1u << 20)

typedef struct {
    mu_mail     mail;
    mu_mail_result result;
    bool        settled;         /* result is final */
    bool        given;           /* some of the text was handed over */
    bool        ended;           /* libESMTP came back for more and was told the end */
    void       *message, *recipient; /* libESMTP's */
} mu_mail_job;

/* Each sends over one connection and settles every job. False when the session did not go to its end as it should: the libraries
 * may have something left over, and this process is not to be used again. */
bool mu_mail_esmtp(mu_arena *arena, const mu_mail_server *server, mu_mail_job *jobs, size_t count);
bool mu_mail_curl(mu_arena *arena, const mu_mail_server *server, mu_mail_job *jobs, size_t count);

/* Printable ASCII of at most 300 bytes; "" for NULL. */
char *mu_mail_answer(mu_arena *arena, const char *text);
void  mu_mail_settle(mu_arena *arena, mu_mail_job *job, mu_mail_outcome outcome, int code, const char *answer);

#endif
