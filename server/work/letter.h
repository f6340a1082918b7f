/* The words of a mail: an outbox row's model through the templates of web/mail. One message goes to many people, and nothing but
 * their name and their link differs: what was rendered last is kept, and a reader of the same message in the same language gets it
 * with a link of their own. */
#ifndef MU_LETTER_H
#define MU_LETTER_H

#include "outbox.h"

typedef struct mu_letters mu_letters;

/* Texts are borrowed from the arena that mu_letter_write() was given. */
typedef struct {
    const char *subject, *site;    /* in the reader's language */
    const char *reader;            /* name of the recipient; "" where the row has none */
    const char *text, *html;       /* html NULL: no such template */
} mu_letter;

/* Reads the templates. */
mu_letters *mu_letters_new(void);
void        mu_letters_free(mu_letters *letters);   /* NULL is allowed */

/* What was rendered before is kept for as long as the arena given with it: to be called before that goes. */
void        mu_letters_forget(mu_letters *letters);

/* Faults: bad model or template. */
mu_err mu_letter_write(mu_letters *letters, mu_arena *arena, const mu_out_row *row, mu_problem *problem, mu_letter *ret) MU_MUST;

#endif
