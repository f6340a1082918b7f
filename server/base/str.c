#include "str.h"

#include <string.h>

bool mu_same(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool mu_starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* Length of the character at text (RFC 3629, table 3-7 of Unicode), 0 when it is not well formed. */
static size_t utf8_length(const unsigned char *text, size_t n)
{
    unsigned char c = text[0];
    if (c < 0x80)
        return c == 0 ? 0 : 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    size_t length = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (n < length)
        return 0;
    unsigned char low = 0x80, high = 0xBF;
    if (c == 0xE0)
        low = 0xA0;
    else if (c == 0xED)
        high = 0x9F;
    else if (c == 0xF0)
        low = 0x90;
    else if (c == 0xF4)
        high = 0x8F;
    if (text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return length;
}

bool mu_utf8_valid(const char *text, size_t n)
{
    const unsigned char *at = (const unsigned char *)text;
    while (n > 0) {
        uint64_t eight;
        if (n >= sizeof eight) { /* most text is ASCII: eight at once, none of them 0x00 or above 0x7F */
            memcpy(&eight, at, sizeof eight);
            if (((eight | (eight - UINT64_C(0x0101010101010101))) & UINT64_C(0x8080808080808080)) == 0) {
                at += sizeof eight;
                n -= sizeof eight;
                continue;
            }
        }
        size_t length = utf8_length(at, n);
        if (length == 0)
            return false;
        at += length;
        n -= length;
    }
    return true;
}

size_t mu_utf8_count(const char *text, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (((unsigned char)text[i] & 0xC0) != 0x80)
            count++;
    return count;
}

size_t mu_utf8_cut(const char *text, size_t n, size_t max)
{
    if (n <= max)
        return n;
    while (max > 0 && ((unsigned char)text[max] & 0xC0) == 0x80)
        max--;
    return max;
}

/* U+061C, U+200E, U+200F, U+202A-202E, U+2066-2069: they can make a text read otherwise than it is stored. */
static bool is_bidi_control(const unsigned char *at, size_t n)
{
    if (n >= 2 && at[0] == 0xD8 && at[1] == 0x9C)
        return true;
    if (n < 3 || at[0] != 0xE2)
        return false;
    if (at[1] == 0x80)
        return at[2] == 0x8E || at[2] == 0x8F || (at[2] >= 0xAA && at[2] <= 0xAE);
    return at[1] == 0x81 && at[2] >= 0xA6 && at[2] <= 0xA9;
}

bool mu_has_control(const char *text, size_t n, bool multiline)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = at[i];
        if (c < 0x20 && !(multiline && (c == '\t' || c == '\n')))
            return true;
        if (c == 0x7F)
            return true;
        if (c == 0xC2 && i + 1 < n && at[i + 1] >= 0x80 && at[i + 1] <= 0x9F) /* C1 */
            return true;
        if (c >= 0xD8 && is_bidi_control(at + i, n - i))
            return true;
    }
    return false;
}

bool mu_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    bool negative = *text == '-';
    if (negative)
        text++;
    if (*text == '\0')
        return false;
    int64_t value = 0; /* built downwards, because the negative range is the larger one */
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_sub_overflow(value, *text - '0', &value))
            return false;
    }
    if (!negative && __builtin_sub_overflow((int64_t)0, value, &value))
        return false;
    if (value < min || value > max)
        return false;
    *ret = value;
    return true;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_lower(char c) { return c >= 'a' && c <= 'z'; }
static bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool mu_is_uuid(const char *text)
{
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? text[i] != '-' : !is_hex(text[i]))
            return false;
    }
    return text[36] == '\0';
}

bool mu_is_slug(const char *text)
{
    if (!is_lower(text[0]))
        return false;
    size_t n = 1;
    while (is_lower(text[n]) || is_digit(text[n]) || text[n] == '_' || text[n] == '-')
        n++;
    return text[n] == '\0' && n <= 64;
}

bool mu_is_ref(const char *text)
{
    size_t n = 0;
    while (n < 4 && is_upper(text[n]))
        n++;
    if (n < 2 || text[n] != '-')
        return false;
    text += n + 1;
    for (n = 0; n < 4 && is_digit(text[n]); )
        n++;
    if (n != 4 || text[n] != '-')
        return false;
    text += n + 1;
    for (n = 0; n < 7 && is_digit(text[n]); )
        n++;
    return n >= 4 && n <= 6 && text[n] == '\0';
}

static bool is_atext(char c)
{
    return is_digit(c) || is_lower(c) || is_upper(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* Labels of letters, digits and inner hyphens; the whole at most 253 characters. */
static bool is_domain(const char *text)
{
    size_t label = 0, whole = strlen(text);
    if (whole == 0 || whole > 253)
        return false;
    for (size_t i = 0; i < whole; i++) {
        char c = text[i];
        if (c == '.') {
            if (label == 0 || text[i - 1] == '-')
                return false;
            label = 0;
        } else if (is_digit(c) || is_lower(c) || is_upper(c) || (c == '-' && label > 0)) {
            if (++label > 63)
                return false;
        } else {
            return false;
        }
    }
    return label > 0 && text[whole - 1] != '-';
}

bool mu_is_email(const char *text)
{
    size_t n = strlen(text);
    const char *at = strrchr(text, '@');
    if (n > 254 || at == NULL || at == text || at - text > 64)
        return false;
    bool dot = true; /* neither first, last nor doubled */
    for (const char *c = text; c < at; c++) {
        if (*c == '.') {
            if (dot)
                return false;
            dot = true;
        } else if (is_atext(*c)) {
            dot = false;
        } else {
            return false;
        }
    }
    return !dot && is_domain(at + 1);
}
