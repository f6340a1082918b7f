#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

enum { BODY_DEPTH = 32, WRITE_DEPTH = 64, PATH_PART = 128 };
#define TEXT_MAX ((size_t)256 * 1024 * 1024)

static const int64_t largest_integer = INT64_C(9007199254740992); /* 2^53: every number a browser can hold */

/* Jansson recurses; the depth is known before it starts. */
static bool shallow(const char *text, size_t n)
{
    int depth = 0;
    bool inside = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (inside) {
            if (c == '\\')
                i++;
            else if (c == '"')
                inside = false;
        } else if (c == '"') {
            inside = true;
        } else if (c == '{' || c == '[') {
            if (++depth > BODY_DEPTH)
                return false;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return true;
}

static bool integers_fit(const json_t *json)
{
    if (json_is_integer(json))
        return json_integer_value(json) >= -largest_integer && json_integer_value(json) <= largest_integer;
    if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++)
            if (!integers_fit(json_array_get(json, i)))
                return false;
    } else if (json_is_object(json)) {
        void *iter = json_object_iter((json_t *)(uintptr_t)json);
        for (; iter != NULL; iter = json_object_iter_next((json_t *)(uintptr_t)json, iter))
            if (!integers_fit(json_object_iter_value(iter)))
                return false;
    }
    return true;
}

static void release(void *json)
{
    json_decref(json);
}

json_t *mu_json_own(mu_arena *arena, json_t *json)
{
    if (json == NULL) { /* Jansson fails only for lack of memory or for text that is not UTF-8 */
        fputs("<2>a JSON value could not be made\n", stderr);
        abort();
    }
    mu_defer(arena, release, json);
    return json;
}

mu_err mu_json_parse(mu_arena *arena, const char *text, size_t n, mu_problem *problem, json_t **ret)
{
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        return mu_fail(problem, MU_MALFORMED, "", "error.json.bom", NULL);
    if (!shallow(text, n))
        return mu_fail(problem, MU_MALFORMED, "", "error.json.depth", "most", "32", NULL);
    json_error_t error;
    json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        char line[16], column[16];
        snprintf(line, sizeof line, "%d", error.line > 0 ? error.line : 1);
        snprintf(column, sizeof column, "%d", error.column > 0 ? error.column : 1);
        bool duplicate = json_error_code(&error) == json_error_duplicate_key;
        (void)mu_failf(problem, MU_MALFORMED, "%s", error.text);
        return mu_fail(problem, MU_MALFORMED, "", duplicate ? "error.json.duplicate" : "error.json.syntax",
                       "line", line, "column", column, NULL);
    }
    mu_json_own(arena, json);
    if (!integers_fit(json))
        return mu_fail(problem, MU_MALFORMED, "", "error.json.integer", NULL);
    *ret = json;
    return MU_OK;
}

void mu_json_real(double value, char ret[32])
{
    /* ECMAScript's Number::toString: the fewest digits that read back as the same number, then its own layout. */
    char digits[32];
    int precision = 1;
    do {
        snprintf(digits, sizeof digits, "%.*e", precision - 1, value);
    } while (strtod(digits, NULL) != value && ++precision <= 17);
    if (value == 0.0) {
        memcpy(ret, "0", 2);
        return;
    }
    const char *in = digits;
    char *out = ret, figures[20];
    if (*in == '-')
        *out++ = *in++;
    int k = 0;
    for (; *in != '\0' && *in != 'e'; in++)
        if (*in != '.' && k < 18)
            figures[k++] = *in;
    int point = (int)strtol(in + 1, NULL, 10) + 1; /* digits before the decimal point */
    if (k <= point && point <= 21) {
        memcpy(out, figures, (size_t)k);
        memset(out + k, '0', (size_t)(point - k));
        out[point] = '\0';
    } else if (point > 0 && point <= 21) {
        memcpy(out, figures, (size_t)point);
        out[point] = '.';
        memcpy(out + point + 1, figures + point, (size_t)(k - point));
        out[k + 1] = '\0';
    } else if (point > -6 && point <= 0) {
        memcpy(out, "0.", 2);
        memset(out + 2, '0', (size_t)-point);
        memcpy(out + 2 - point, figures, (size_t)k);
        out[2 - point + k] = '\0';
    } else {
        *out++ = figures[0];
        if (k > 1) {
            *out++ = '.';
            memcpy(out, figures + 1, (size_t)(k - 1));
            out += k - 1;
        }
        snprintf(out, 8, "e%c%d", point < 1 ? '-' : '+', abs(point - 1) % 1000); /* the exponent of a double has three digits */
    }
}

/* UTF-16 order differs from the order of UTF-8 bytes only where characters above U+FFFF (lead byte F0 and up) meet
 * U+E000 to U+FFFF (lead byte EE or EF): the former are written as surrogates, which sort first. */
static int utf16_compare(const char *a, const char *b)
{
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    unsigned char x = (unsigned char)*a, y = (unsigned char)*b;
    if ((x >= 0xF0 && (y == 0xEE || y == 0xEF)) || (y >= 0xF0 && (x == 0xEE || x == 0xEF)))
        return x < y ? 1 : -1;
    return (x > y) - (x < y);
}

static int key_order(const void *a, const void *b)
{
    return utf16_compare(*(const char *const *)a, *(const char *const *)b);
}

static bool write_value(const json_t *json, mu_buf *out, bool sorted, int depth);

static bool write_member(const json_t *object, const char *key, mu_buf *out, bool sorted, int depth)
{
    return mu_buf_add_json(out, key, strlen(key)) && mu_buf_addc(out, ':')
        && write_value(json_object_get(object, key), out, sorted, depth);
}

static bool write_object(const json_t *json, mu_buf *out, bool sorted, int depth)
{
    json_t *object = (json_t *)(uintptr_t)json; /* Jansson's iterators want a mutable pointer and change nothing */
    size_t n = json_object_size(json), i = 0;
    const char **keys = malloc((n + 1) * sizeof *keys);
    if (keys == NULL)
        abort();
    for (void *iter = json_object_iter(object); iter != NULL; iter = json_object_iter_next(object, iter))
        keys[i++] = json_object_iter_key(iter);
    if (sorted)
        qsort(keys, n, sizeof *keys, key_order);
    bool fine = mu_buf_addc(out, '{');
    for (i = 0; fine && i < n; i++)
        fine = (i == 0 || mu_buf_addc(out, ',')) && write_member(json, keys[i], out, sorted, depth);
    free(keys);
    return fine && mu_buf_addc(out, '}');
}

static bool write_array(const json_t *json, mu_buf *out, bool sorted, int depth)
{
    bool fine = mu_buf_addc(out, '[');
    for (size_t i = 0; fine && i < json_array_size(json); i++)
        fine = (i == 0 || mu_buf_addc(out, ',')) && write_value(json_array_get(json, i), out, sorted, depth);
    return fine && mu_buf_addc(out, ']');
}

static bool write_real(double value, mu_buf *out)
{
    char text[32];
    if (!isfinite(value))
        return false;
    mu_json_real(value, text);
    return mu_buf_adds(out, text);
}

static bool write_value(const json_t *json, mu_buf *out, bool sorted, int depth)
{
    if (json == NULL || depth > WRITE_DEPTH)
        return false;
    switch (json_typeof(json)) {
    case JSON_OBJECT:  return write_object(json, out, sorted, depth + 1);
    case JSON_ARRAY:   return write_array(json, out, sorted, depth + 1);
    case JSON_STRING:  return mu_buf_add_json(out, json_string_value(json), json_string_length(json));
    case JSON_REAL:    return write_real(json_real_value(json), out);
    case JSON_TRUE:    return mu_buf_adds(out, "true");
    case JSON_FALSE:   return mu_buf_adds(out, "false");
    case JSON_NULL:    return mu_buf_adds(out, "null");
    case JSON_INTEGER: {
        /* As a number of ECMAScript: beyond 2^53 it is the double that counts. */
        json_int_t value = json_integer_value(json);
        if (sorted && (value > largest_integer || value < -largest_integer))
            return write_real((double)value, out);
        return mu_buf_addf(out, "%lld", (long long)value);
    }
    }
    return false;
}

bool mu_json_canonical(const json_t *json, mu_buf *out)
{
    return write_value(json, out, true, 0);
}

char *mu_json_text(mu_arena *arena, const json_t *json)
{
    MU_BUF_AUTO(out, TEXT_MAX);
    if (!write_value(json, &out, false, 0))
        return NULL;
    return mu_strndup(arena, out.at, out.n);
}

const char *mu_json_str(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

int64_t mu_json_int(const json_t *object, const char *key, int64_t fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : fallback;
}

bool mu_json_bool(const json_t *object, const char *key, bool fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

const json_t *mu_json_at(const json_t *object, const char *dotted_path)
{
    char part[PATH_PART];
    const json_t *at = object;
    for (;;) {
        size_t n = strcspn(dotted_path, ".");
        if (n >= sizeof part)
            return NULL;
        memcpy(part, dotted_path, n);
        part[n] = '\0';
        at = json_object_get(at, part);
        if (at == NULL || dotted_path[n] == '\0')
            return at;
        dotted_path += n + 1;
    }
}

char *mu_pointer(mu_arena *arena, const char *base, const char *member)
{
    const size_t n = strlen(base);
    char *pointer = mu_alloc(arena, n + 2 + 2 * strlen(member)), *to = pointer + n;   /* each character may become two */

    memcpy(pointer, base, n);
    *to++ = '/';
    for (; *member != '\0'; member++) {
        if (*member == '~' || *member == '/')
            *to++ = '~';
        *to++ = *member == '~' ? '0' : *member == '/' ? '1' : *member;
    }
    *to = '\0';
    return pointer;
}

char *mu_pointer_at(mu_arena *arena, const char *base, size_t index)
{
    return mu_printf(arena, "%s/%zu", base, index);
}
