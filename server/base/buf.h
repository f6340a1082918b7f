/* Growable bytes with a mandatory maximum. The content is always followed by a NUL that does not count. */
#ifndef MU_BUF_H
#define MU_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct { char *at; size_t n, cap, max; bool over; } mu_buf;

#define MU_BUF(limit) { .at = NULL, .n = 0, .cap = 0, .max = (limit), .over = false }
/* A local buffer that is freed with its block. */
#define MU_BUF_AUTO(name, limit) __attribute__((cleanup(mu_buf_free))) mu_buf name = MU_BUF(limit)

/* Each returns false, and sets `over` for good, when the maximum would be passed; nothing is appended then. */
bool mu_buf_add(mu_buf *buf, const void *bytes, size_t n);
bool mu_buf_adds(mu_buf *buf, const char *text);
bool mu_buf_addc(mu_buf *buf, char c);
bool mu_buf_addf(mu_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Room for n more bytes, which count at once and which the caller sets, all of them; NULL when the maximum would be passed. */
char *mu_buf_grow(mu_buf *buf, size_t n);
/* Text with & < > " ' escaped for HTML and XML. */
bool mu_buf_add_html(mu_buf *buf, const char *text, size_t n);
/* A JSON string with its quotes. `text` must be valid UTF-8. */
bool mu_buf_add_json(mu_buf *buf, const char *text, size_t n);

void  mu_buf_free(mu_buf *buf);        /* also for MU_CLEAN */
char *mu_buf_take(mu_buf *buf);        /* the caller frees the result with free() */

#endif
