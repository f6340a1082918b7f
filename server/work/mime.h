/* Writes one complete RFC 5322 message: CRLF lines of at most 76 bytes, ASCII only, everything else encoded. The mark of a drill
 * is placed here and nowhere else, so that no template can leave it out. Pure: no clock, no random, no I/O. */
#ifndef MU_MIME_H
#define MU_MIME_H

#include "base.h"
#include "buf.h"
#include "clock.h"

/* Said in both languages, as the reader's is not always known; never translated, filters rely on it. */
#define MU_DRILL_MARK "\xe3\x80\x90\xe6\xbc\x94\xe7\xbb\x83\xe3\x80\x91[DRILL]"

typedef struct {
    const char *name;         /* file name, UTF-8 */
    const char *type;         /* media type, ASCII */
    const void *bytes;
    size_t      n;
} mu_mime_file;

/* All borrowed. NULL or 0 where "optional" is said. */
typedef struct {
    const char *message_id;   /* without < >; the same for every attempt at the same message */
    const char *thread;       /* optional: id of the incident's virtual root message, so that one incident is one thread */
    const char *from, *from_name;       /* mailbox (mu_mail_address() made it ASCII); the name is optional */
    const char *to, *to_name;
    const char *reply_to;     /* optional mailbox */
    const char *subject;      /* one line, without the mark */
    const char *text;         /* plain text, LF lines, without the mark */
    const char *html;         /* optional: a whole page; the mark goes right behind <body …> */
    const char *language;     /* "zh", "en": Content-Language */
    bool        drill;
    bool        urgent;       /* severity I and II: priority headers */
    const char *incident;     /* optional: X-Muster-Incident */
    const char *severity;     /* optional: X-Muster-Severity */
    const char *unsubscribe;  /* optional URL: RFC 8058 one-click headers, for subscribers of the status page */
    const char *list_id;      /* optional: List-Id and Precedence: bulk */
    mu_instant  at;           /* Date */
    const mu_mime_file *files;
    size_t      file_count;
} mu_mime;

/* Appends the message. CR, LF or NUL in any header value, a mailbox or id that is not plain ASCII, invalid UTF-8: a fault
 * (MU_INVALID) that names the member as /subject, /to, …; out's maximum passed: MU_TOO_LARGE. */
mu_err mu_mime_write(mu_arena *arena, const mu_mime *message, mu_problem *problem, mu_buf *out) MU_MUST;

/* The mailbox with its domain as A-labels (IDNA 2008). A local part outside ASCII, CR, LF and everything mu_is_email() refuses
 * is a fault on `pointer`. */
mu_err mu_mail_address(mu_arena *arena, const char *text, mu_problem *problem, const char *pointer, char **ret) MU_MUST;

/* RFC 2047: text as B-encoded words of at most 75 bytes, no character split, folded by CRLF SPACE; plain ASCII that fits is left
 * as it is. `used` is how much of the first line is taken already. */
bool mu_mime_words(mu_buf *out, const char *text, size_t used);

#endif
