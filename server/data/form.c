/* Form bodies, decoded by hand: bounded, without recursion, and every odd byte refused by name. */
#include "form.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "str.h"

enum { HEADERS_MAX = 8192, BOUNDARY_MAX = 70 };

static mu_err malformed(mu_problem *problem, const char *key, const char *name)
{
    return mu_fail(problem, MU_MALFORMED, "", key, "name", name, NULL);
}

/* A repeated name makes an array. Takes the reference. */
static void add(json_t *form, const char *name, json_t *value)
{
    json_t *old = json_object_get(form, name);
    if (old == NULL) {
        json_object_set_new(form, name, value);
    } else if (json_is_array(old)) {
        json_array_append_new(old, value);
    } else {
        json_t *both = json_array();
        json_array_append(both, old);
        json_array_append_new(both, value);
        json_object_set_new(form, name, both);
    }
}

static mu_err too_many(mu_problem *problem)
{
    return mu_fail(problem, MU_MALFORMED, "", "error.form.fields", "most", "2000", NULL);
}

mu_err mu_form_urlencoded(mu_arena *arena, const char *body, size_t n, mu_problem *problem, json_t **ret)
{
    json_t *form = mu_json_own(arena, json_object());
    const char *at = body, *end = body + n;
    for (unsigned fields = 0; at < end; ) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        const char *stop = next != NULL ? next : end;
        const char *equals = memchr(at, '=', (size_t)(stop - at));
        const char *name_end = equals != NULL ? equals : stop;
        mu_slice name = { at, (size_t)(name_end - at) };
        mu_slice value = { equals != NULL ? equals + 1 : stop, equals != NULL ? (size_t)(stop - equals) - 1 : 0 };
        at = next != NULL ? next + 1 : end;
        if (name.n == 0 && value.n == 0)
            continue;
        if (++fields > MU_FORM_FIELDS_MAX)
            return too_many(problem);
        char *key, *text;
        size_t key_n, text_n;
        if (!mu_url_decode(arena, name, true, &key, &key_n))
            return malformed(problem, "error.form.encoding", "");
        if (key_n == 0)
            return malformed(problem, "error.form.name", "");
        if (!mu_url_decode(arena, value, true, &text, &text_n))
            return malformed(problem, "error.form.encoding", key);
        if (text_n > 0)
            add(form, key, json_stringn(text, text_n));
    }
    *ret = form;
    return MU_OK;
}

/* --- multipart/form-data --- */

/* The value of `name=` in a header's parameters, a token or a quoted string; NULL when absent. In a quoted string a
 * backslash stands before a quote only: browsers send file names of Windows with plain backslashes. */
static char *parameter(mu_arena *arena, const char *header, size_t n, const char *name)
{
    size_t name_n = strlen(name);
    const char *end = header + n;
    const char *at = memchr(header, ';', n);
    while (at != NULL && at < end) {
        at++;
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        const char *key = at;
        while (at < end && *at != '=' && *at != ';')
            at++;
        size_t key_n = (size_t)(at - key);
        if (at >= end || *at == ';')
            continue;
        at++;
        char *value = mu_alloc(arena, (size_t)(end - at) + 1), *to = value;
        if (at < end && *at == '"') {
            for (at++; at < end && *at != '"'; at++) {
                if (*at == '\\' && at + 1 < end && at[1] == '"')
                    at++;
                *to++ = *at;
            }
            if (at >= end) /* the quote is not closed */
                return NULL;
            at++;
        } else {
            while (at < end && *at != ';' && *at != ' ' && *at != '\t')
                *to++ = *at++;
        }
        if (key_n == name_n && strncasecmp(key, name, name_n) == 0)
            return value;
        while (at < end && *at != ';')
            at++;
    }
    return NULL;
}

/* What browsers escape in names: %22, %0D, %0A. */
static void unescape_name(char *text)
{
    char *to = text;
    for (; *text != '\0'; text++) {
        if (strncmp(text, "%22", 3) == 0) {
            *to++ = '"';
            text += 2;
        } else if (strncmp(text, "%0D", 3) == 0 || strncmp(text, "%0A", 3) == 0) {
            *to++ = '\n';
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = '\0';
}

/* Only the last part of a path is a file's name; some old clients send the whole. */
static const char *base_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if (*c == '/' || *c == '\\')
            name = c + 1;
    return name;
}

typedef struct {
    char *name, *file_name;
    const char *type;
} part_head;

static mu_err read_head(mu_arena *arena, const char *at, size_t n, mu_problem *problem, part_head *ret)
{
    const char *end = at + n;
    *ret = (part_head){ .type = "application/octet-stream" };
    while (at < end) {
        const char *line = memmem(at, (size_t)(end - at), "\r\n", 2);
        const char *stop = line != NULL ? line : end;
        size_t length = (size_t)(stop - at);
        if (length > 20 && strncasecmp(at, "content-disposition:", 20) == 0) {
            const char *value = at + 20;
            while (value < stop && (*value == ' ' || *value == '\t'))
                value++;
            if (stop - value < 9 || strncasecmp(value, "form-data", 9) != 0)
                return malformed(problem, "error.form.part", "");
            ret->name = parameter(arena, value, (size_t)(stop - value), "name");
            ret->file_name = parameter(arena, value, (size_t)(stop - value), "filename");
        } else if (length > 13 && strncasecmp(at, "content-type:", 13) == 0) {
            const char *value = at + 13;
            while (value < stop && (*value == ' ' || *value == '\t'))
                value++;
            ret->type = mu_strndup(arena, value, (size_t)(stop - value));
        }
        at = line != NULL ? line + 2 : end;
    }
    if (ret->name == NULL || *ret->name == '\0')
        return malformed(problem, "error.form.part", "");
    if (!mu_utf8_valid(ret->name, strlen(ret->name)) || mu_has_control(ret->name, strlen(ret->name), false))
        return malformed(problem, "error.form.name", "");
    unescape_name(ret->name);
    return MU_OK;
}

static mu_err add_part(mu_arena *arena, json_t *form, const part_head *head, const char *data, size_t n, mu_problem *problem)
{
    if (head->file_name == NULL) {
        if (!mu_utf8_valid(data, n))
            return malformed(problem, "error.form.encoding", head->name);
        if (n > 0)
            add(form, head->name, json_stringn(data, n));
        return MU_OK;
    }
    unescape_name(head->file_name);
    const char *name = base_name(head->file_name);
    if (*name == '\0' && n == 0) /* a file field left empty */
        return MU_OK;
    if (!mu_utf8_valid(name, strlen(name)) || mu_has_control(name, strlen(name), false) || *name == '\0'
        || !mu_utf8_valid(head->type, strlen(head->type)) || mu_has_control(head->type, strlen(head->type), false))
        return malformed(problem, "error.form.file_name", head->name);
    add(form, head->name, json_pack("{s:s, s:s, s:I, s:s}", "name", name, "type", head->type, "size", (json_int_t)n,
                                    "base64", mu_base64(arena, data, n)));
    return MU_OK;
}

/* The boundary as it stands in the body, with its two hyphens. */
static const char *delimiter_of(mu_arena *arena, const char *content_type)
{
    char *boundary = parameter(arena, content_type, strlen(content_type), "boundary");
    if (strncasecmp(content_type, "multipart/form-data", 19) != 0 || boundary == NULL || *boundary == '\0'
        || strlen(boundary) > BOUNDARY_MAX)
        return NULL;
    for (const char *c = boundary; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7F)
            return NULL;
    return mu_printf(arena, "\r\n--%s", boundary);
}

/* What follows a delimiter: "--" after the last one, else blanks and a line end. False when it only began like one. */
static bool delimiter_ends(const char *at, const char *end, const char **ret_after, bool *ret_last)
{
    *ret_last = end - at >= 2 && memcmp(at, "--", 2) == 0;
    if (!*ret_last) {
        while (at < end && (*at == ' ' || *at == '\t'))
            at++;
        if (end - at < 2 || memcmp(at, "\r\n", 2) != 0)
            return false;
    }
    *ret_after = at + 2;
    return true;
}

/* The next delimiter at or behind `at`, NULL when there is none. */
static const char *find_delimiter(const char *at, const char *end, const char *delimiter, const char **ret_after, bool *ret_last)
{
    size_t n = strlen(delimiter);
    for (;;) {
        const char *found = memmem(at, (size_t)(end - at), delimiter, n);
        if (found == NULL || delimiter_ends(found + n, end, ret_after, ret_last))
            return found;
        at = found + 2;
    }
}

mu_err mu_form_multipart(mu_arena *arena, const char *content_type, const char *body, size_t n, mu_problem *problem, json_t **ret)
{
    const char *delimiter = delimiter_of(arena, content_type);
    if (delimiter == NULL)
        return malformed(problem, "error.form.boundary", "");
    json_t *form = mu_json_own(arena, json_object());
    const char *at, *end = body + n, *after = body;
    bool last = false;
    size_t skip = strlen(delimiter) - 2;
    bool first = n >= skip && memcmp(body, delimiter + 2, skip) == 0; /* the first one has no line end before it */
    if (!(first && delimiter_ends(body + skip, end, &after, &last)) && find_delimiter(body, end, delimiter, &after, &last) == NULL)
        return malformed(problem, "error.form.boundary", "");
    at = after;
    for (unsigned fields = 0; !last; ) {
        if (++fields > MU_FORM_FIELDS_MAX)
            return too_many(problem);
        part_head head;
        size_t window = (size_t)(end - at) < HEADERS_MAX ? (size_t)(end - at) : HEADERS_MAX;
        const char *blank = memmem(at, window, "\r\n\r\n", 4);
        if (blank == NULL)
            return malformed(problem, "error.form.part", "");
        TRY(read_head(arena, at, (size_t)(blank - at), problem, &head));
        const char *data = blank + 4;
        const char *stop = find_delimiter(blank + 2, end, delimiter, &after, &last); /* an empty part has its line end only once */
        if (stop == NULL)
            return malformed(problem, "error.form.unfinished", head.name);
        TRY(add_part(arena, form, &head, data, stop > data ? (size_t)(stop - data) : 0, problem));
        at = after;
    }
    *ret = form;
    return MU_OK;
}
