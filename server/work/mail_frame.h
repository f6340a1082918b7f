/* What goes through the pipes between `work` and its mail children: frames of a length and as many bytes, in the order in which
 * both sides put and take them. Both are the same program on the same machine, so numbers are in its own byte order. Private to mail*.c. */
#ifndef MU_MAIL_FRAME_H
#define MU_MAIL_FRAME_H

#include "base.h"
#include "buf.h"

/* ---- writing: begin, put, end ---- */

void mu_frame_begin(mu_buf *out);                          /* `out` is empty */
void mu_frame_put_number(mu_buf *out, int64_t number);
void mu_frame_put_text(mu_buf *out, const char *text, size_t n);
bool mu_frame_end(mu_buf *out) MU_MUST;                    /* false: larger than the buffer's maximum */

/* Whether `in` holds a whole frame; *ret_need = its length with the head, as far as that is known, else 0. */
bool mu_frame_whole(const mu_buf *in, size_t *ret_need);

/* ---- reading a whole frame ---- */

typedef struct { const char *at, *end; bool bad; } mu_frame; /* bad: something was asked for that is not there */

mu_frame    mu_frame_open(const mu_buf *in);
int64_t     mu_frame_number(mu_frame *frame);              /* 0 when bad */
const char *mu_frame_text(mu_frame *frame, size_t *ret_n); /* borrowed from the buffer, NUL behind it; "" when bad; ret_n NULL: not asked */

#endif
