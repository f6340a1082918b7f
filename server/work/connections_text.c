/* What a call says and what is kept of its answer: no input, no output. */
#include "connections.h"

#include <string.h>
#include <strings.h>

#include "buf.h"
#include "json.h"
#include "str.h"

#define TEXT_MOST     (1u << 20)
#define HEADERS_MOST  64
#define VALUE_MOST    1024
#define BLOT          "[sealed]"
#define BLOT_LEAST    4               /* a shorter value would blot out half of any text */

/* The path as a careless server reads it: dots and slashes decoded, a slash at the end. */
static char *
careless(mu_arena *arena, const char *rest, size_t n)
{
    static const struct { const char *code, *plain; } codes[] = { { "%2e", "." }, { "%2f", "/" }, { "%5c", "/" }, { "\\", "/" } };
    MU_BUF_AUTO(out, TEXT_MOST);

    for (size_t at = 0; at < n;) {
        size_t i = 0;
        while (i < MU_COUNT(codes) && strncasecmp(rest + at, codes[i].code, strlen(codes[i].code)) != 0)
            i++;
        mu_buf_add(&out, i < MU_COUNT(codes) ? codes[i].plain : rest + at, 1);
        at += i < MU_COUNT(codes) ? strlen(codes[i].code) : 1;
    }
    mu_buf_addc(&out, '/');
    return mu_strdup(arena, out.at);
}

char *
mu_call_url(mu_arena *arena, const char *base, const char *rest)
{
    if (rest[0] != '\0' && rest[0] != '/' && rest[0] != '?')
        return NULL;
    if (strchr(rest, '#') != NULL || strstr(careless(arena, rest, strcspn(rest, "?")), "/../") != NULL)
        return NULL;
    return mu_printf(arena, "%s%s", base, rest);
}

static void
add_for(mu_buf *out, const char *value, char place)
{
    static const char hex[] = "0123456789ABCDEF";
    MU_BUF_AUTO(quoted, TEXT_MOST);

    if (place == 'j') {                           /* the quotes are there already */
        if (mu_buf_add_json(&quoted, value, strlen(value)) && quoted.n >= 2)
            mu_buf_add(out, quoted.at + 1, quoted.n - 2);
    } else if (place != 'f') {
        mu_buf_adds(out, value);
    } else {
        for (const unsigned char *c = (const unsigned char *)value; *c != '\0'; c++)
            if ((*c >= '0' && *c <= '9') || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || strchr("-._~", *c) != NULL) {
                mu_buf_addc(out, (char)*c);
            } else {
                char code[3] = { '%', hex[*c >> 4], hex[*c & 15] };
                mu_buf_add(out, code, sizeof code);
            }
    }
}

char *
mu_call_fill(mu_arena *arena, const char *text, const json_t *clear, char place)
{
    MU_BUF_AUTO(out, TEXT_MOST);

    for (const char *at = text;;) {
        const char *open = strstr(at, "{{"), *close = open == NULL ? NULL : strstr(open + 2, "}}");
        if (close == NULL) {
            mu_buf_adds(&out, at);
            return mu_strdup(arena, out.at == NULL ? "" : out.at);
        }
        const char *from = open + 2, *to = close;
        while (from < to && *from == ' ')
            from++;
        while (to > from && to[-1] == ' ')
            to--;
        const char *value = json_string_value(json_object_get(clear, mu_strndup(arena, from, (size_t)(to - from))));
        mu_buf_add(&out, at, (size_t)(open - at));
        if (value != NULL)
            add_for(&out, value, place);
        else
            mu_buf_add(&out, open, (size_t)(close + 2 - open));
        at = close + 2;
    }
}

/* Every place where `what` stands in `text`. Owner: the arena. */
static char *
replaced(mu_arena *arena, const char *text, const char *what)
{
    MU_BUF_AUTO(out, TEXT_MOST);
    size_t n = strlen(what);
    const char *at = text;

    if (n < BLOT_LEAST || strstr(text, what) == NULL)
        return mu_strdup(arena, text);
    for (const char *hit; (hit = strstr(at, what)) != NULL; at = hit + n) {
        mu_buf_add(&out, at, (size_t)(hit - at));
        mu_buf_adds(&out, BLOT);
    }
    mu_buf_adds(&out, at);
    return mu_strdup(arena, out.at);
}

static char *
written(mu_arena *arena, const char *value, char place)
{
    MU_BUF_AUTO(out, TEXT_MOST);

    add_for(&out, value, place);
    return mu_strdup(arena, out.at == NULL ? "" : out.at);
}

/* `n` bytes with every sealed value replaced: plain, as JSON writes it, as JSON within JSON does, and as a form does. */
static char *
blotted(mu_arena *arena, const char *text, size_t n, const json_t *clear)
{
    char *now = mu_strndup(arena, text, n);
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)clear, name, value) {
        char *json = written(arena, json_string_value(value), 'j');
        now = replaced(arena, now, json_string_value(value));
        now = replaced(arena, now, json);
        now = replaced(arena, now, written(arena, json, 'j'));
        now = replaced(arena, now, written(arena, json_string_value(value), 'f'));
    }
    return now;
}

static json_t *
headers_of(mu_arena *arena, const mu_fetch_answer *answer, const json_t *clear)
{
    json_t *headers = json_object();
    const char *at = answer->headers;

    while (*at != '\0' && json_object_size(headers) < HEADERS_MOST) {
        size_t line = strcspn(at, "\n"), name_n = strcspn(at, ":\n");
        const char *value = at + name_n + 1;
        if (name_n < line) {
            char *name = mu_strndup(arena, at, name_n);
            for (char *c = name; *c != '\0'; c++)
                *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
            while (*value == ' ' || *value == '\t')
                value++;
            size_t value_n = (size_t)(at + line - value);
            if (!mu_same(name, "set-cookie") && mu_utf8_valid(name, name_n) && mu_utf8_valid(value, value_n)) {
                char *kept = blotted(arena, value, value_n, clear);
                json_object_set_new(headers, name, json_stringn(kept, mu_utf8_cut(kept, strlen(kept), VALUE_MOST)));
            }
        }
        at += line + (at[line] == '\n');
    }
    return headers;
}

json_t *
mu_call_result(mu_arena *arena, const mu_fetch_answer *answer, const json_t *clear)
{
    json_t *result = mu_json_own(arena, json_object()), *headers = headers_of(arena, answer, clear), *body = NULL;
    const char *type = mu_json_str(headers, "content-type");
    mu_problem ignored = { .arena = arena };

    json_object_set_new(result, "status", json_integer(answer->status));
    json_object_set_new(result, "headers", headers);
    if (answer->body_n > 0 && mu_utf8_valid(answer->body, mu_utf8_cut(answer->body, answer->body_n, answer->body_n))) {
        size_t n = mu_utf8_cut(answer->body, answer->body_n, answer->body_n);
        const char *text = blotted(arena, answer->body, n, clear);
        bool json = type != NULL && (strstr(type, "/json") != NULL || strstr(type, "+json") != NULL);
        if (json && !answer->cut && mu_json_parse(arena, text, strlen(text), &ignored, &body) == MU_OK)
            json_object_set(result, "body", body);
        else
            json_object_set_new(result, "body", json_string(text));
    }
    if (json_object_get(result, "body") == NULL)
        json_object_set_new(result, "body", json_null());
    return result;
}
