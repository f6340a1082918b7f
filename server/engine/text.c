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
