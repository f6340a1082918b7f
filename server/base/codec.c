/* Percent-encoding, base64 and hexadecimal. */
#include "str.h"

#include <string.h>

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool mu_url_decode(mu_arena *arena, mu_slice in, bool form, char **ret, size_t *ret_n)
{
    char *out = mu_alloc(arena, in.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.at[i];
        if (c == '+' && form) {
            c = ' ';
        } else if (c == '%') {
            if (in.n - i < 3)
                return false;
            int high = hex_value(in.at[i + 1]), low = hex_value(in.at[i + 2]);
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            if (c == '/' && !form)
                return false;
            i += 2;
        }
        out[n++] = c;
    }
    if (!mu_utf8_valid(out, n)) /* also refuses NUL */
        return false;
    if (!form && (strcmp(out, ".") == 0 || strcmp(out, "..") == 0))
        return false;
    *ret = out;
    if (ret_n != NULL)
        *ret_n = n;
    return true;
}

char *mu_url_encode(mu_arena *arena, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = strlen(text);
    char *out = mu_alloc(arena, n * 3 + 1), *to = out;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)text[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
                  || c == '-' || c == '.' || c == '_' || c == '~';
        if (plain) {
            *to++ = (char)c;
        } else {
            *to++ = '%';
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
        }
    }
    return out;
}

static char *encode64(mu_arena *arena, const void *bytes, size_t n, const char *alphabet, bool padded)
{
    const uint8_t *in = bytes;
    char *out = mu_alloc(arena, (n + 2) / 3 * 4 + 1), *to = out;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        *to++ = alphabet[v >> 18];
        *to++ = alphabet[v >> 12 & 63];
        if (left > 1)
            *to++ = alphabet[v >> 6 & 63];
        else if (padded)
            *to++ = '=';
        if (left > 2)
            *to++ = alphabet[v & 63];
        else if (padded)
            *to++ = '=';
    }
    return out;
}

char *mu_base64(mu_arena *arena, const void *bytes, size_t n)
{
    return encode64(arena, bytes, n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

char *mu_base64url(mu_arena *arena, const void *bytes, size_t n)
{
    return encode64(arena, bytes, n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

static int value64(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

bool mu_unbase64(mu_arena *arena, const char *text, void **ret, size_t *ret_n)
{
    size_t n = strlen(text), padding = 0;
    while (padding < 2 && n > 0 && text[n - 1] == '=') {
        n--;
        padding++;
    }
    if (n % 4 == 1 || (padding > 0 && (n + padding) % 4 != 0))
        return false;
    uint8_t *out = mu_alloc(arena, n / 4 * 3 + 3);
    size_t m = 0;
    uint32_t v = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        int d = value64(text[i]);
        if (d < 0)
            return false;
        v = (v << 6 | (uint32_t)d) & 0xFFFFFF;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            out[m++] = (uint8_t)(v >> bits);
        }
    }
    if ((v & ((1u << bits) - 1)) != 0) /* stray bits: two texts would mean the same bytes */
        return false;
    *ret = out;
    *ret_n = m;
    return true;
}

char *mu_hex(mu_arena *arena, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *in = bytes;
    char *out = mu_alloc(arena, n * 2 + 1);
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[in[i] >> 4];
        out[2 * i + 1] = digits[in[i] & 15];
    }
    return out;
}

bool mu_unhex(mu_arena *arena, const char *text, void **ret, size_t *ret_n)
{
    size_t n = strlen(text);
    if (n % 2 != 0)
        return false;
    uint8_t *out = mu_alloc(arena, n / 2 + 1);
    for (size_t i = 0; i < n / 2; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high * 16 + low);
    }
    *ret = out;
    *ret_n = n / 2;
    return true;
}
