#include "mail_frame.h"

#include <string.h>

typedef uint64_t length;

void
mu_frame_begin(mu_buf *out)
{
    const length nothing = 0;

    mu_buf_add(out, &nothing, sizeof nothing);
}

void
mu_frame_put_number(mu_buf *out, int64_t number)
{
    mu_buf_add(out, &number, sizeof number);
}

void
mu_frame_put_text(mu_buf *out, const char *text, size_t n)
{
    mu_frame_put_number(out, (int64_t)n);
    mu_buf_add(out, text, n);
    mu_buf_add(out, "", 1);
}

bool
mu_frame_end(mu_buf *out)
{
    const length n = out->n;

    if (out->over)
        return false;
    memcpy(out->at, &n, sizeof n);
    return true;
}

bool
mu_frame_whole(const mu_buf *in, size_t *ret_need)
{
    length n = 0;

    if (in->n >= sizeof n)
        memcpy(&n, in->at, sizeof n);
    *ret_need = (size_t)n;
    return n >= sizeof n && in->n >= n;
}

mu_frame
mu_frame_open(const mu_buf *in)
{
    return (mu_frame){ .at = in->at + sizeof(length), .end = in->at + in->n, .bad = false };
}

int64_t
mu_frame_number(mu_frame *frame)
{
    int64_t number;

    if (frame->bad || (size_t)(frame->end - frame->at) < sizeof number) {
        frame->bad = true;
        return 0;
    }
    memcpy(&number, frame->at, sizeof number);
    frame->at += sizeof number;
    return number;
}

const char *
mu_frame_text(mu_frame *frame, size_t *ret_n)
{
    int64_t n = mu_frame_number(frame);
    const char *text = frame->at;

    frame->bad = frame->bad || n < 0 || n >= frame->end - frame->at || text[n] != '\0';
    if (ret_n != NULL)
        *ret_n = frame->bad ? 0 : (size_t)n;
    if (frame->bad)
        return "";
    frame->at += n + 1;
    return text;
}
