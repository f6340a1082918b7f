/* The writer: one pass over the tree, keys sorted by the format's own order. */
#include "yaml_write.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "str.h"

enum { DEPTH_MAX = 24, KEY_MAX = 256, LINE = 140 };

typedef struct {
    mu_arena *arena;
    const mu_yaml_style *style;
    mu_buf *out;
} writer;

typedef struct { const char *key; const json_t *value; size_t rank; } member;

static bool listed(const char *const *list, const char *word, size_t *ret_rank)
{
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        if (strcmp(list[i], word) == 0) {
            *ret_rank = i;
            return true;
        }
    return false;
}

static int by_rank(const void *a, const void *b)
{
    const member *x = a, *y = b;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* The members in the order they are written. */
static member *members(writer *w, const json_t *object, bool chosen, size_t *ret_n)
{
    size_t n = 0;
    member *list = mu_alloc(w->arena, (json_object_size(object) + 1) * sizeof *list);
    json_t *open = (json_t *)(uintptr_t)object, *value;
    const char *key;

    json_object_foreach(open, key, value) {
        size_t rank;
        if (chosen || !listed(w->style != NULL ? w->style->order : NULL, key, &rank))
            rank = 100000 + n;
        list[n++] = (member){ .key = key, .value = value, .rank = rank };
    }
    qsort(list, n, sizeof *list, by_rank);
    *ret_n = n;
    return list;
}

static bool number_like(const char *text)
{
    return strchr("0123456789+-.", text[0]) != NULL && strspn(text, "0123456789+-.,_:eExXoOaAbBcCdDfFiInN") == strlen(text);
}

/* Words that a reader of YAML 1.1 or 1.2 takes for something else than text. */
static bool special_word(const char *text)
{
    static const char *const words[] = { "null", "true", "false", "yes", "no", "on", "off", "y", "n", "~" };

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return number_like(text);
}

/* 25m, 2h, 180d: a number and one letter, which nothing takes for a number. */
static bool duration_like(const char *text)
{
    const size_t digits = strspn(text, "0123456789");

    return digits > 0 && strlen(text) == digits + 1 && strchr("smhd", text[digits]) != NULL;
}

/* Characters that only a double-quoted scalar can carry: controls, the line breaks of Unicode, and what YAML calls not printable. */
static bool needs_escape(const char *text)
{
    const unsigned char *c = (const unsigned char *)text;

    for (; *c != '\0'; c++) {
        if (*c < 0x20 || *c == 0x7F || (c[0] == 0xC2 && c[1] < 0xA0))
            return true;
        if ((c[0] == 0xE2 && c[1] == 0x80 && (c[2] == 0xA8 || c[2] == 0xA9)) || (c[0] == 0xEF && ((c[1] == 0xBB && c[2] == 0xBF) || (c[1] == 0xBF && c[2] >= 0xBE))))
            return true;
    }
    return false;
}

/* Text that needs no quotes. `flow`: it stands inside {} or []. */
static bool plain(const char *text, bool flow, bool key)
{
    const size_t n = strlen(text);

    if (n == 0 || strchr("-?:,[]{}#&*!|>'\"%@`=< ", text[0]) != NULL || text[n - 1] == ' ' || text[n - 1] == ':' || needs_escape(text))
        return false;
    if (strstr(text, ": ") != NULL || strstr(text, " #") != NULL || (flow && strpbrk(text, ",[]{}:?") != NULL))
        return false;
    return key || duration_like(text) || !special_word(text);
}

static bool double_quoted(writer *w, const char *text)
{
    mu_buf_addc(w->out, '"');
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        unsigned code = 0, more = 0;
        if (*c == '"' || *c == '\\') {
            mu_buf_addc(w->out, '\\');
            mu_buf_addc(w->out, (char)*c);
        } else if (*c == '\n' || *c == '\t' || *c == '\r') {
            mu_buf_adds(w->out, *c == '\n' ? "\\n" : *c == '\t' ? "\\t" : "\\r");
        } else if (*c < 0x20 || *c == 0x7F) {
            mu_buf_addf(w->out, "\\x%02X", *c);
        } else if (*c >= 0x80 && needs_escape((const char[]){ (char)c[0], (char)c[1], c[1] != 0 && c[0] >= 0xE0 ? (char)c[2] : '\0', '\0' })) {
            more = c[0] >= 0xE0 ? 2 : 1;
            code = more == 1 ? (c[0] & 0x1Fu) << 6 | (c[1] & 0x3Fu) : (c[0] & 0x0Fu) << 12 | (c[1] & 0x3Fu) << 6 | (c[2] & 0x3Fu);
            mu_buf_addf(w->out, "\\u%04X", code);
            c += more;
        } else {
            mu_buf_addc(w->out, (char)*c);
        }
    }
    return mu_buf_addc(w->out, '"');
}

static bool text_scalar(writer *w, const char *text, bool flow, bool key)
{
    if (plain(text, flow, key))
        return mu_buf_adds(w->out, text);
    if (strchr(text, '\'') == NULL && !needs_escape(text)) {
        mu_buf_addc(w->out, '\'');
        mu_buf_adds(w->out, text);
        return mu_buf_addc(w->out, '\'');
    }
    return double_quoted(w, text);
}

static bool scalar(writer *w, const json_t *json, bool flow)
{
    if (json_is_string(json))
        return strlen(json_string_value(json)) == json_string_length(json) && text_scalar(w, json_string_value(json), flow, false);
    if (json_is_integer(json))
        return mu_buf_addf(w->out, "%lld", (long long)json_integer_value(json));
    if (json_is_real(json)) {
        char digits[32];
        if (!isfinite(json_real_value(json)))
            return false;
        mu_json_real(json_real_value(json), digits);
        mu_buf_adds(w->out, digits);
        return strpbrk(digits, ".e") != NULL || mu_buf_adds(w->out, ".0");   /* or it would be read as an integer */
    }
    return mu_buf_adds(w->out, json_is_null(json) ? "null" : json_is_true(json) ? "true" : "false");
}

/* Lines that a literal block carries as they are. */
static bool literal_fits(const char *text)
{
    const size_t n = strlen(text);

    if (n == 0 || strchr(text, '\n') == NULL || strchr(" \n", text[0]) != NULL || (n > 1 && text[n - 1] == '\n' && text[n - 2] == '\n'))
        return false;
    for (const char *line = text; *line != '\0'; ) {
        const size_t length = strcspn(line, "\n");
        if (length > 0 && strspn(line, " ") == length)   /* a line of blanks would lose them */
            return false;
        char *copy = strndup(line, length);
        const bool bad = copy == NULL || needs_escape(copy);
        free(copy);
        if (bad)
            return false;
        line += length + (line[length] == '\n' ? 1 : 0);
    }
    return true;
}

static bool is_container(const json_t *json)
{
    return json_is_object(json) || json_is_array(json);
}

static size_t size_of(const json_t *json)
{
    return json_is_object(json) ? json_object_size(json) : json_array_size(json);
}

/* May stand on one line: scalars, and below them at most two levels of small maps or lists of scalars; never a list of maps. */
static bool may_flow(const json_t *json, unsigned levels)
{
    json_t *open = (json_t *)(uintptr_t)json, *value;
    const char *key;
    size_t i;

    if (!is_container(json) || size_of(json) == 0)
        return !json_is_string(json) || strchr(json_string_value(json), '\n') == NULL;
    if (levels == 0)
        return false;
    json_array_foreach(json, i, value)
        if (json_is_object(value) || !may_flow(value, levels - 1))
            return false;
    json_object_foreach(open, key, value)
        if (!may_flow(value, levels - 1))
            return false;
    return true;
}

static bool chooses(const writer *w, const char *name)
{
    size_t rank;

    return name != NULL && w->style != NULL && listed(w->style->maps, name, &rank);
}

static bool key_fits(const char *key)
{
    return strlen(key) <= KEY_MAX;
}

static bool flow(writer *w, const json_t *json, const char *name)
{
    if (!is_container(json))
        return scalar(w, json, true);
    if (json_is_array(json)) {
        mu_buf_addc(w->out, '[');
        for (size_t i = 0; i < json_array_size(json); i++) {
            mu_buf_adds(w->out, i > 0 ? ", " : "");
            if (!flow(w, json_array_get(json, i), NULL))
                return false;
        }
        return mu_buf_addc(w->out, ']');
    }
    size_t n;
    const member *list = members(w, json, chooses(w, name), &n);
    mu_buf_addc(w->out, '{');
    for (size_t i = 0; i < n; i++) {
        mu_buf_adds(w->out, i > 0 ? ", " : "");
        if (!key_fits(list[i].key) || !text_scalar(w, list[i].key, true, strcmp(list[i].key, "<<") != 0) || !mu_buf_adds(w->out, ": ")
            || !flow(w, list[i].value, list[i].key))
            return false;
    }
    return mu_buf_addc(w->out, '}');
}

/* A map the author fills with things of their own (roles, variables) has a line for each. */
static bool one_each(const writer *w, const json_t *json, const char *name)
{
    json_t *open = (json_t *)(uintptr_t)json, *value;
    const char *key;

    if (chooses(w, name))
        json_object_foreach(open, key, value)
            if (is_container(value) && size_of(value) > 0)
                return true;
    return false;
}

/* Tries one line; takes it back when it is too long. */
static bool one_line(writer *w, const json_t *json, const char *name, size_t start, bool *ret_failed)
{
    const size_t before = w->out->n;

    if (!may_flow(json, 3) || one_each(w, json, name))
        return false;
    if (!flow(w, json, name)) {
        *ret_failed = true;
        return true;
    }
    if (size_of(json) == 0 || w->out->n - start <= LINE)
        return true;
    w->out->n = before;
    w->out->at[before] = '\0';
    return false;
}

static bool indent(writer *w, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        mu_buf_adds(w->out, "  ");
    return !w->out->over;
}

static bool literal(writer *w, const char *text, unsigned depth)
{
    mu_buf_adds(w->out, text[strlen(text) - 1] == '\n' ? "|\n" : "|-\n");
    for (const char *line = text; *line != '\0'; ) {
        const size_t length = strcspn(line, "\n");
        if (length > 0) {
            indent(w, depth);
            mu_buf_add(w->out, line, length);
        }
        mu_buf_addc(w->out, '\n');
        line += length + (line[length] == '\n' ? 1 : 0);
    }
    return !w->out->over;
}

static bool block(writer *w, const json_t *json, const char *name, unsigned depth, unsigned level, bool first_placed);

/* What follows "key:" or "-": on the same line when it can. `start` = where the line begins in the buffer. */
static bool value_of(writer *w, const json_t *json, const char *name, unsigned depth, unsigned level, size_t start, bool item)
{
    bool failed = false;

    if (!is_container(json)) {
        mu_buf_addc(w->out, ' ');
        if (json_is_string(json) && literal_fits(json_string_value(json)))
            return literal(w, json_string_value(json), depth + 1);
        return scalar(w, json, false) && mu_buf_addc(w->out, '\n');
    }
    mu_buf_addc(w->out, ' ');
    if (one_line(w, json, name, start, &failed))
        return !failed && mu_buf_addc(w->out, '\n');
    if (item)
        return block(w, json, name, depth + 1, level + 1, true);
    w->out->at[w->out->n - 1] = '\n';
    return block(w, json, name, depth + 1, level + 1, false);
}

/* A map or list in block form. `first_placed`: its first line goes on behind a dash that stands already. */
static bool block(writer *w, const json_t *json, const char *name, unsigned depth, unsigned level, bool first_placed)
{
    size_t n;

    if (level > DEPTH_MAX)
        return false;
    if (json_is_array(json)) {
        for (size_t i = 0; i < json_array_size(json); i++) {
            const size_t start = w->out->n;
            if (i > 0 || !first_placed)
                indent(w, depth);
            mu_buf_addc(w->out, '-');
            if (!value_of(w, json_array_get(json, i), NULL, depth, level, start, true))
                return false;
        }
        return !w->out->over;
    }
    const member *list = members(w, json, chooses(w, name), &n);
    for (size_t i = 0; i < n; i++) {
        const size_t start = w->out->n;
        if (i > 0 || !first_placed)
            indent(w, depth);
        if (!key_fits(list[i].key) || !text_scalar(w, list[i].key, false, strcmp(list[i].key, "<<") != 0) || !mu_buf_addc(w->out, ':')
            || !value_of(w, list[i].value, list[i].key, depth, level, start, false))
            return false;
    }
    return !w->out->over;
}

/* How deep the tree is, as the reader counts: a scalar is 0. */
static unsigned depth_of(const json_t *json, unsigned most)
{
    json_t *open = (json_t *)(uintptr_t)json, *value;
    unsigned deepest = 0;
    const char *key;
    size_t i;

    if (!is_container(json) || most == 0)
        return is_container(json) ? 1 : 0;
    json_array_foreach(json, i, value) {
        const unsigned below = depth_of(value, most - 1);
        deepest = below > deepest ? below : deepest;
    }
    json_object_foreach(open, key, value) {
        const unsigned below = depth_of(value, most - 1);
        deepest = below > deepest ? below : deepest;
    }
    return deepest + 1;
}

bool mu_yaml_write(mu_arena *arena, const json_t *json, const mu_yaml_style *style, mu_buf *out)
{
    writer w = { .arena = arena, .style = style, .out = out };
    bool good;

    if (json == NULL || depth_of(json, DEPTH_MAX + 1) > DEPTH_MAX)
        return false;
    if (!is_container(json) || size_of(json) == 0)
        good = flow(&w, json, NULL) && mu_buf_addc(out, '\n');
    else
        good = block(&w, json, NULL, 0, 1, false);
    return good && !out->over;
}
