/* Sends complete messages (mime.h) through the site's mail server. Each session runs in a child process with a hard deadline,
 * because libESMTP is not safe in a long-lived one: its connect() has no time-out and a session can hang. A child is kept for further
 * batches as long as every message got an answer; it is killed at the deadline and replaced after anything else. */
#ifndef MU_MAIL_H
#define MU_MAIL_H

#include "base.h"

typedef enum { MU_SMTP_NONE, MU_SMTP_STARTTLS, MU_SMTP_TLS } mu_smtp_security;

typedef struct {
    const char *host;
    int         port;
    mu_smtp_security security;   /* STARTTLS is required when chosen, never optional */
    const char *user, *password; /* "" = no sign-in. Never sent over an unencrypted connection, except to this very host */
    const char *ca_file;         /* "" = the system's */
    int64_t     timeout;         /* seconds for one session with all its messages */
} mu_mail_server;

/* One message to one recipient. Borrowed. */
typedef struct {
    const char *from, *to;       /* envelope: ASCII mailboxes */
    const char *bytes;           /* the message, CRLF, ASCII */
    size_t      n;
} mu_mail;

typedef enum {
    MU_MAIL_SENT,                /* the server took responsibility (250 after the last byte) */
    MU_MAIL_RETRY,               /* not taken, may work later: 4xx, no connection, wrong password */
    MU_MAIL_DEAD                 /* refused for good: 5xx */
} mu_mail_outcome;

typedef struct {
    mu_mail_outcome outcome;
    int         code;            /* of the server, 0 = none */
    const char *answer;          /* printable ASCII, at most 300 bytes; owner: the arena */
    bool        unsure;          /* with RETRY: the text had been handed over, so it may have arrived after all */
} mu_mail_result;

/* The configuration's server. MU_UNAVAILABLE when smtp.host is not set. */
mu_err mu_mail_server_load(mu_arena *arena, mu_problem *problem, mu_mail_server *ret) MU_MUST;

/* Up to `sessions` children that send side by side. They are kept between batches: starting one takes longer than a mail. One thread's own;
 * in the arena, but to be closed before it goes. */
typedef struct mu_mail_pool mu_mail_pool;
mu_mail_pool *mu_mail_pool_new(mu_arena *arena, int sessions);
void          mu_mail_pool_rest(mu_mail_pool *pool);  /* between batches: one child stays at hand, the others go after a while */
void          mu_mail_pool_close(mu_mail_pool *pool);

/* Sends all and fills ret[0 … count-1]; never fails as a whole: what could not be tried is MU_MAIL_RETRY with the reason. */
void mu_mail_send(mu_mail_pool *pool, mu_arena *arena, const mu_mail_server *server, const mu_mail *mails, size_t count, mu_mail_result *ret);

/* `muster mail-child`: reads batches (mail_frame.h) on standard input and answers each on standard output, until the input ends or
 * a session did not go as it should. Not for people. */
int mu_mail_child(void);

/* none, starttls or tls. */
bool mu_smtp_security_of(const char *word, mu_smtp_security *ret) MU_MUST;

/* The outcome that a reply code means, by itself. */
mu_mail_outcome mu_mail_outcome_of(int code);

#define MU_MAIL_PER_SESSION 100

#endif
