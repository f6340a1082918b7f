/* Texts with {{x}}: a placeholder takes a variable or a run fact, and its value is encoded for where it stands. There is no raw form. */
#include "model.h"

#include <string.h>

#include "buf.h"
#include "str.h"

/* The next placeholder from `at`: its name, and where the text goes on. NULL name: none left; *bad: malformed. */
static const char *
next_name(mu_arena *arena, const char *at, const char **ret_open, const char **ret_rest, bool *bad)
{
    const char *open = strstr(at, "{{"), *close, *from, *to;

    *bad = false;
    if (open == NULL)
        return NULL;
    close = strstr(open, "}}");
    *bad = close == NULL;
    if (*bad)
        return NULL;
    for (from = open + 2; *from == ' '; from++)
        ;
    for (to = close; to > from && to[-1] == ' '; to--)
        ;
    *ret_open = open;
    *ret_rest = close + 2;
    for (const char *c = from; c < to; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '.'))
            *bad = true;
    if (from == to)
        *bad = true;
    return *bad ? NULL : mu_strndup(arena, from, (size_t)(to - from));
}

bool
mu_text_names(mu_arena *arena, const char *text, void (*fn)(void *closure, const char *name), void *closure)
{
    const char *open, *rest = text, *name;
    bool bad;

    while ((name = next_name(arena, rest, &open, &rest, &bad)) != NULL)
        fn(closure, name);
    return !bad;
}

/* No value can open a line, hide text or, in Markdown, become markup. */
static void
add_value(mu_buf *out, const char *value, mu_fill how)
{
    for (const char *c = value; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            mu_buf_addc(out, ' ');
        else if (how == MU_FILL_MARKDOWN && strchr("\\`*_{}[]()<>#+-.!|~&", *c) != NULL) {
            mu_buf_addc(out, '\\');
            mu_buf_addc(out, *c);
        } else
            mu_buf_addc(out, *c);
    }
}

char *
mu_text_fill(mu_arena *arena, const char *text, const mu_names *names, mu_fill how)
{
    mu_buf out = MU_BUF(256 * 1024);
    const char *open = text, *rest = text, *name, *from = text;
    char *filled;
    bool bad;

    while ((name = next_name(arena, rest, &open, &rest, &bad)) != NULL) {
        mu_value value = { .kind = MU_T_UNSET };
        mu_buf_add(&out, from, (size_t)(open - from));
        if (names->value(names->closure, arena, name, &value))
            add_value(&out, mu_value_text(arena, &value), how);
        from = rest;
    }
    mu_buf_adds(&out, from);
    filled = mu_strndup(arena, out.at == NULL ? "" : out.at, out.n);
    mu_buf_free(&out);
    return filled;
}

/* -- parts of a request ---------------------------------------------------------------------------------------------------- */

typedef struct {
    mu_buf   out;
    mu_place where;
    bool     query;           /* URL: behind the question mark */
    bool     quoted, escaped; /* JSON: inside a string, behind a backslash */
    bool     bad;
    json_t  *secrets;
} filling;

static bool
unreserved(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
}

static bool control(unsigned char c) { return c < 0x20 || c == 0x7f; }

/* What the author wrote stays, but for bytes that no address has. */
static void
add_written(filling *f, const char *from, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)from[i];
        if (f->where == MU_PLACE_JSON) {
            if (c == '"' && !f->escaped)
                f->quoted = !f->quoted;
            f->escaped = f->quoted && c == '\\' && !f->escaped;
        }
        f->query = f->query || c == '?';
        if (f->where == MU_PLACE_URL && (control(c) || c == ' ' || c >= 0x80))
            mu_buf_addf(&f->out, "%%%02X", c);
        else
            mu_buf_addc(&f->out, from[i]);
        f->bad = f->bad || (f->where == MU_PLACE_HEADER && control(c));
    }
}

static void
add_percent(filling *f, const char *value)
{
    f->bad = f->bad || (f->where == MU_PLACE_URL && !f->query && *value == '\0');
    for (; *value != '\0'; value++) {
        if (unreserved((unsigned char)*value))
            mu_buf_addc(&f->out, *value);
        else
            mu_buf_addf(&f->out, "%%%02X", (unsigned char)*value);
    }
}

/* Outside a string only what needs no quotes may stand. */
static void
add_json(filling *f, const char *value, mu_type_kind kind)
{
    if (!f->quoted) {
        f->bad = f->bad || (kind != MU_T_INT && kind != MU_T_DECIMAL && kind != MU_T_BOOL);
        mu_buf_adds(&f->out, value);
        return;
    }
    for (; *value != '\0'; value++) {
        if (control((unsigned char)*value) || *value == '"' || *value == '\\' || *value == '{')
            mu_buf_addf(&f->out, "\\u%04x", (unsigned char)*value);
        else
            mu_buf_addc(&f->out, *value);
    }
}

static void
add_text(filling *f, const char *value)
{
    size_t n = strlen(value);

    /* nothing that could become, or become part of, the placeholder of a secret */
    f->bad = f->bad || strstr(value, "{{") != NULL || *value == '{' || (n > 0 && value[n - 1] == '{');
    for (; *value != '\0'; value++) {
        f->bad = f->bad || (f->where == MU_PLACE_HEADER && control((unsigned char)*value));
        mu_buf_addc(&f->out, *value);
    }
}

static void
add_placed(mu_arena *arena, filling *f, const char *name, const mu_value *value)
{
    size_t i;
    json_t *one;

    if (value->kind == MU_T_SECRET) {
        f->bad = f->bad || f->where == MU_PLACE_URL || (f->where == MU_PLACE_JSON && !f->quoted);
        mu_buf_addf(&f->out, "{{%s}}", name);
        json_array_foreach(f->secrets, i, one)
            if (mu_same(json_string_value(one), name))
                return;
        json_array_append_new(f->secrets, json_string(name));
        return;
    }
    switch (f->where) {
    case MU_PLACE_URL:
    case MU_PLACE_FORM:   add_percent(f, mu_value_text(arena, value)); break;
    case MU_PLACE_JSON:   add_json(f, mu_value_text(arena, value), value->kind); break;
    case MU_PLACE_HEADER:
    case MU_PLACE_TEXT:   add_text(f, mu_value_text(arena, value)); break;
    }
}

/* A path part of dots would lead somewhere else. */
static bool
dotted(const char *url)
{
    for (const char *at = url; *at == '/'; ) {
        size_t n = strcspn(at + 1, "/?");
        if ((n == 1 && at[1] == '.') || (n == 2 && at[1] == '.' && at[2] == '.'))
            return true;
        at += 1 + n;
    }
    return false;
}

char *
mu_place_fill(mu_arena *arena, const char *text, const mu_names *names, mu_place where, json_t *secrets)
{
    filling f = { .out = MU_BUF(256 * 1024), .where = where, .secrets = secrets };
    const char *open = text, *rest = text, *name, *from = text;
    char *filled = NULL;
    bool bad;

    while ((name = next_name(arena, rest, &open, &rest, &bad)) != NULL) {
        mu_value value = { .kind = MU_T_UNSET };
        add_written(&f, from, (size_t)(open - from));
        if (names->value(names->closure, arena, name, &value))
            add_placed(arena, &f, name, &value);
        else
            f.bad = true;
        from = rest;
    }
    add_written(&f, from, strlen(from));
    if (!bad && !f.bad && !f.out.over)
        filled = mu_strndup(arena, f.out.at == NULL ? "" : f.out.at, f.out.n);
    mu_buf_free(&f.out);
    return filled != NULL && where == MU_PLACE_URL && dotted(filled) ? NULL : filled;
}
