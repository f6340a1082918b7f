#include "mail.h"

#include <string.h>

#include "conf.h"
#include "mail_child.h"
#include "str.h"

static const char *const security_words[] = { [MU_SMTP_NONE] = "none", [MU_SMTP_STARTTLS] = "starttls", [MU_SMTP_TLS] = "tls" };

static int
word_index(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count; i++)
        if (mu_same(words[i], word))
            return (int)i;
    return -1;
}

mu_mail_outcome
mu_mail_outcome_of(int code)
{
    if (code >= 200 && code < 300)
        return MU_MAIL_SENT;
    /* 530, 534, 535, 538: our sign-in, not the recipient, is wrong; an administrator can mend that while the row waits. */
    if (code >= 500 && code < 600 && code != 530 && code != 534 && code != 535 && code != 538)
        return MU_MAIL_DEAD;
    return MU_MAIL_RETRY;
}

bool
mu_smtp_security_of(const char *word, mu_smtp_security *ret)
{
    int found = word_index(security_words, MU_COUNT(security_words), word);

    if (found >= 0)
        *ret = (mu_smtp_security)found;
    return found >= 0;
}

mu_err
mu_mail_server_load(mu_arena *arena, mu_problem *problem, mu_mail_server *ret)
{
    int security = word_index(security_words, MU_COUNT(security_words), mu_conf_text(MU_CONF_SMTP_SECURITY));

    ret->host = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_HOST));
    ret->port = (int)mu_conf_int(MU_CONF_SMTP_PORT);
    ret->security = security < 0 ? MU_SMTP_STARTTLS : (mu_smtp_security)security;
    ret->user = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_USER));
    ret->password = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_PASSWORD));
    ret->ca_file = mu_strdup(arena, mu_conf_text(MU_CONF_SMTP_CA));
    ret->timeout = mu_conf_int(MU_CONF_SMTP_TIMEOUT);
    /* All of it is filled in even so: a server may be named on the screen instead. */
    return ret->host[0] != '\0' ? MU_OK : mu_fail(problem, MU_UNAVAILABLE, "smtp.host", "error.mail.no_server", NULL);
}

char *
mu_mail_answer(mu_arena *arena, const char *text)
{
    char *made = mu_strndup(arena, text != NULL ? text : "", text != NULL ? strnlen(text, 300) : 0);

    for (char *c = made; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
            *c = *c == '\n' || *c == '\r' || *c == '\t' ? ' ' : '?';
    for (size_t n = strlen(made); n > 0 && made[n - 1] == ' '; n--)
        made[n - 1] = '\0';
    return made;
}

void
mu_mail_settle(mu_arena *arena, mu_mail_job *job, mu_mail_outcome outcome, int code, const char *answer)
{
    job->result = (mu_mail_result){ outcome, code, mu_mail_answer(arena, answer), outcome == MU_MAIL_RETRY && job->given && code == 0 };
    job->settled = true;
}
