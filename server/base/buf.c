#include "buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for n more bytes and the NUL behind them. */
static bool room(mu_buf *buf, size_t n)
{
    if (buf->over)
        return false;
    if (buf->n > buf->max || n > buf->max - buf->n) {
        buf->over = true;
        return false;
    }
    size_t need = buf->n + n + 1;
    if (need > buf->cap) {
        size_t cap = buf->cap < 128 ? 256 : buf->cap * 2;
        if (cap < need)
            cap = need;
        char *at = realloc(buf->at, cap);
        if (at == NULL) {
            fputs("<2>out of memory\n", stderr);
            abort();
        }
        buf->at = at;
        buf->cap = cap;
    }
    return true;
}

bool mu_buf_add(mu_buf *buf, const void *bytes, size_t n)
{
    if (!room(buf, n))
        return false;
    if (n > 0)
        memcpy(buf->at + buf->n, bytes, n);
    buf->n += n;
    buf->at[buf->n] = '\0';
    return true;
}

char *mu_buf_grow(mu_buf *buf, size_t n)
{
    if (!room(buf, n))
        return NULL;
    char *at = buf->at + buf->n;
    buf->n += n;
    buf->at[buf->n] = '\0';
    return at;
}

bool mu_buf_adds(mu_buf *buf, const char *text)
{
    return mu_buf_add(buf, text, strlen(text));
}

bool mu_buf_addc(mu_buf *buf, char c)
{
    return mu_buf_add(buf, &c, 1);
}

bool mu_buf_addf(mu_buf *buf, const char *format, ...)
{
    char small[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0)
        return false;
    if ((size_t)n < sizeof small)
        return mu_buf_add(buf, small, (size_t)n);
    if (!room(buf, (size_t)n))
        return false;
    va_start(args, format);
    int again = vsnprintf(buf->at + buf->n, (size_t)n + 1, format, args);
    va_end(args);
    if (again != n) {
        buf->at[buf->n] = '\0';
        return false;
    }
    buf->n += (size_t)n;
    return true;
}

static const char *html_escape(char c)
{
    switch (c) {
    case '&':  return "&amp;";
    case '<':  return "&lt;";
    case '>':  return "&gt;";
    case '"':  return "&quot;";
    case '\'': return "&#39;";
    }
    return NULL;
}

/* Which bytes need an escape, so that the common byte costs one look-up. */
static const uint8_t html_special[256] = { ['&'] = 5, ['<'] = 4, ['>'] = 4, ['"'] = 6, ['\''] = 5 };

bool mu_buf_add_html(mu_buf *buf, const char *text, size_t n)
{
    size_t extra = 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t special = html_special[(unsigned char)text[i]];
        extra += special > 0 ? special - 1u : 0u;
    }
    if (extra == 0)
        return mu_buf_add(buf, text, n);
    if (!room(buf, n + extra))
        return false;
    char *to = buf->at + buf->n;
    for (size_t i = 0; i < n; i++) {
        uint8_t special = html_special[(unsigned char)text[i]];
        if (special == 0) {
            *to++ = text[i];
        } else {
            memcpy(to, html_escape(text[i]), special);
            to += special;
        }
    }
    *to = '\0';
    buf->n += n + extra;
    return true;
}

static size_t json_escape(unsigned char c, char to[8])
{
    const char *pair = NULL;
    switch (c) {
    case '"':  pair = "\\\""; break;
    case '\\': pair = "\\\\"; break;
    case '\b': pair = "\\b"; break;
    case '\f': pair = "\\f"; break;
    case '\n': pair = "\\n"; break;
    case '\r': pair = "\\r"; break;
    case '\t': pair = "\\t"; break;
    }
    if (pair != NULL) {
        memcpy(to, pair, 2);
        return 2;
    }
    static const char digits[] = "0123456789abcdef";
    memcpy(to, "\\u00", 4);
    to[4] = digits[c >> 4];
    to[5] = digits[c & 15];
    return 6;
}

bool mu_buf_add_json(mu_buf *buf, const char *text, size_t n)
{
    char escape[8];
    size_t extra = 2;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == '"' || c == '\\')
            extra += json_escape(c, escape) - 1;
    }
    if (!room(buf, n + extra))
        return false;
    char *to = buf->at + buf->n;
    *to++ = '"';
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 0x20 || c == '"' || c == '\\') {
            size_t length = json_escape(c, escape);
            memcpy(to, escape, length);
            to += length;
        } else {
            *to++ = (char)c;
        }
    }
    *to++ = '"';
    *to = '\0';
    buf->n += n + extra;
    return true;
}

void mu_buf_free(mu_buf *buf)
{
    free(buf->at);
    buf->at = NULL;
    buf->n = buf->cap = 0;
}

char *mu_buf_take(mu_buf *buf)
{
    if (buf->at == NULL && !buf->over)
        (void)mu_buf_add(buf, "", 0);
    char *at = buf->at;
    if (at == NULL) {
        at = calloc(1, 1);
        if (at == NULL)
            abort();
    }
    buf->at = NULL;
    buf->n = buf->cap = 0;
    return at;
}
