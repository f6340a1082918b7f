/* Templates to operations. One pass over the text; sections are closed by patching `jump`. */
#include "mustache_private.h"

#include <stdio.h>
#include <string.h>

#include "str.h"

enum { OPS_MAX = 100000, DELIMITER_MAX = 16, PATH_PARTS_MAX = 16 };

typedef struct {
    mu_arena *arena;
    mu_problem *problem;
    const char *start, *at, *end; /* at: behind the last tag; text before it is done */
    char open[DELIMITER_MAX], close[DELIMITER_MAX];
    mu_op *ops;
    size_t n, cap;
    size_t nest[MU_TPL_DEPTH];    /* open sections */
    const char *names[MU_TPL_DEPTH];
    unsigned depth, flags;
    bool fresh;
} parser;

typedef struct {
    const char *begin, *after;   /* the tag with its delimiters */
    const char *name;            /* arena */
    char sigil;                  /* 0 for an escaped value; '{' for {{{x}}} */
    unsigned line;
    bool standalone;
} tag;

static mu_err refuse(parser *p, const char *where, const char *key, const char *name)
{
    unsigned line = 1;
    for (const char *c = p->start; c < where; c++)
        line += *c == '\n';
    char number[16];
    snprintf(number, sizeof number, "%u", line);
    (void)mu_failf(p->problem, MU_INVALID, "template line %u: %s %s", line, key, name);
    return mu_fail(p->problem, MU_INVALID, "", key, "line", number, "name", name, NULL);
}

static mu_op *add_op(parser *p, mu_op_kind kind)
{
    if (p->n == p->cap) {
        size_t cap = p->cap == 0 ? 32 : p->cap * 2;
        mu_op *ops = mu_alloc(p->arena, cap * sizeof *ops);
        if (p->n > 0)
            memcpy(ops, p->ops, p->n * sizeof *ops);
        p->ops = ops;
        p->cap = cap;
    }
    mu_op *op = &p->ops[p->n++];
    *op = (mu_op){ .kind = kind };
    return op;
}

static void add_text(parser *p, const char *from, const char *to)
{
    if (from == to)
        return;
    mu_op *op = add_op(p, OP_TEXT);
    op->text = mu_strndup(p->arena, from, (size_t)(to - from));
    op->n = (size_t)(to - from);
    op->fresh = p->fresh;
    p->fresh = to[-1] == '\n';
}

static const char *find(const char *from, const char *end, const char *what)
{
    return memmem(from, (size_t)(end - from), what, strlen(what));
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* The text between, trimmed. */
static const char *trimmed(parser *p, const char *from, const char *to)
{
    while (from < to && blank(*from))
        from++;
    while (to > from && blank(to[-1]))
        to--;
    return mu_strndup(p->arena, from, (size_t)(to - from));
}

/* Splits a dotted name; false when it is empty or has an empty part. */
static bool split_path(parser *p, const char *name, mu_op *op)
{
    if (strcmp(name, ".") == 0)
        return true;
    size_t parts = 1;
    for (const char *c = name; *c != '\0'; c++) {
        if (blank(*c) || (unsigned char)*c < 0x20)
            return false;
        parts += *c == '.';
    }
    if (parts > PATH_PARTS_MAX)
        return false;
    const char **path = mu_alloc(p->arena, parts * sizeof *path);
    for (size_t i = 0; i < parts; i++) {
        size_t n = strcspn(name, ".");
        if (n == 0)
            return false;
        path[i] = mu_strndup(p->arena, name, n);
        name += n + (name[n] == '.');
    }
    op->path = path;
    op->parts = (unsigned)parts;
    return true;
}

/* Reads the tag at `begin`, where the opening delimiter stands. */
static mu_err read_tag(parser *p, const char *begin, tag *ret)
{
    const char *at = begin + strlen(p->open);
    ret->begin = begin;
    ret->sigil = 0;
    while (at < p->end && blank(*at))
        at++;
    if (at < p->end && strchr("#^/>!=&{", *at) != NULL && *at != '\0')
        ret->sigil = *at++;
    char closing[DELIMITER_MAX + 2];
    snprintf(closing, sizeof closing, "%s%s", ret->sigil == '{' ? "}" : ret->sigil == '=' ? "=" : "", p->close);
    const char *close = find(at, p->end, closing);
    if (close == NULL)
        return refuse(p, begin, "error.template.unclosed_tag", "");
    ret->name = ret->sigil == '!' ? "" : trimmed(p, at, close);
    ret->after = close + strlen(closing);
    return MU_OK;
}

/* A tag alone on its line takes the line with it. Returns where the text before it ends. */
static const char *standalone(parser *p, tag *t)
{
    t->standalone = false;
    if (t->sigil == 0 || t->sigil == '&' || t->sigil == '{')
        return t->begin;
    const char *before = t->begin, *after = t->after;
    while (before > p->start && (before[-1] == ' ' || before[-1] == '\t'))
        before--;
    if (before > p->start && before[-1] != '\n')
        return t->begin;
    while (after < p->end && (*after == ' ' || *after == '\t'))
        after++;
    if (after < p->end && *after == '\r' && after + 1 < p->end && after[1] == '\n')
        after++;
    if (after < p->end && *after != '\n')
        return t->begin;
    if (before < p->at) /* another tag stands on this line */
        return t->begin;
    t->standalone = true;
    t->after = after < p->end ? after + 1 : after;
    return before;
}

static mu_err set_delimiters(parser *p, const tag *t)
{
    size_t n = strcspn(t->name, " \t\r\n");
    const char *second = t->name + n + strspn(t->name + n, " \t\r\n");
    size_t m = strcspn(second, " \t\r\n");
    if (n == 0 || m == 0 || n >= DELIMITER_MAX || m >= DELIMITER_MAX || second[m] != '\0'
        || memchr(t->name, '=', n) != NULL || strchr(second, '=') != NULL)
        return refuse(p, t->begin, "error.template.delimiters", t->name);
    snprintf(p->open, sizeof p->open, "%.*s", (int)n, t->name);
    snprintf(p->close, sizeof p->close, "%s", second);
    return MU_OK;
}

static mu_err open_section(parser *p, const tag *t)
{
    if (p->depth == MU_TPL_DEPTH)
        return refuse(p, t->begin, "error.template.depth", t->name);
    mu_op *op = add_op(p, t->sigil == '#' ? OP_SECTION : OP_INVERTED);
    op->fresh = p->fresh && !t->standalone;
    if (!split_path(p, t->name, op))
        return refuse(p, t->begin, "error.template.name", t->name);
    if (op->kind == OP_SECTION && strcmp(t->name, "t") == 0)
        op->kind = OP_WORD;
    p->names[p->depth] = t->name;
    p->nest[p->depth++] = p->n - 1;
    return MU_OK;
}

static bool format_of(const char *name, mu_format *ret)
{
    static const char *const names[] = { "time", "date", "clock", "relative", "duration", "local", "md" };
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (mu_format)i;
            return true;
        }
    }
    return false;
}

/* {{#time}}at{{/time}}: the inside is the name of a value. */
static mu_err close_format(parser *p, const tag *t, mu_op *op, const mu_op *inside, size_t inner, mu_format format)
{
    const char *name = "";
    if (inner == 1 && inside->kind == OP_TEXT)
        name = trimmed(p, inside->text, inside->text + inside->n);
    op->kind = OP_FORMAT;
    op->format = format;
    op->path = NULL;
    op->parts = 0;
    if (inner != 1 || !split_path(p, name, op))
        return refuse(p, t->begin, "error.template.formatter", t->name);
    return MU_OK;
}

static mu_err close_section(parser *p, const tag *t)
{
    if (p->depth == 0 || strcmp(p->names[p->depth - 1], t->name) != 0)
        return refuse(p, t->begin, "error.template.close", t->name);
    size_t opened = p->nest[--p->depth];
    size_t inner = p->n - opened - 1;
    mu_op *op = &p->ops[opened], *inside = op + 1;
    mu_format format;
    if (op->kind == OP_SECTION && format_of(t->name, &format)) {
        TRY(close_format(p, t, op, inside, inner, format));
        p->n = opened + 1;
        return MU_OK;
    }
    if (op->kind == OP_WORD && inner <= 1 && (inner == 0 || inside->kind == OP_TEXT)) {
        op->text = inner == 0 ? "" : trimmed(p, inside->text, inside->text + inside->n);
        if (*op->text == '\0')
            return refuse(p, t->begin, "error.template.word", t->name);
        p->n = opened + 1;
        return MU_OK;
    }
    bool fresh = p->fresh && !t->standalone;
    op->jump = p->n; /* before add_op(), which may move the operations */
    add_op(p, OP_END)->fresh = fresh;
    return MU_OK;
}

static bool raw_allowed(const parser *p, const char *name)
{
    size_t n = strlen(name);
    return (p->flags & (MU_TPL_PLAIN | MU_TPL_RAW)) != 0 || (n > 5 && strcmp(name + n - 5, "_html") == 0)
        || (n > 4 && strcmp(name + n - 4, "_svg") == 0);
}

static mu_err add_value(parser *p, const tag *t)
{
    if (t->sigil != 0 && !raw_allowed(p, t->name))
        return refuse(p, t->begin, "error.template.raw", t->name);
    mu_op *op = add_op(p, t->sigil == 0 ? OP_VALUE : OP_RAW);
    op->fresh = p->fresh;
    return split_path(p, t->name, op) ? MU_OK : refuse(p, t->begin, "error.template.name", t->name);
}

static mu_err add_partial(parser *p, const tag *t, const char *text_end)
{
    if (*t->name == '\0' || strlen(t->name) >= MU_TPL_NAME || strpbrk(t->name, " \t\r\n") != NULL)
        return refuse(p, t->begin, "error.template.name", t->name);
    mu_op *op = add_op(p, OP_PARTIAL);
    op->text = t->name;
    op->standalone = t->standalone;
    op->indent = t->standalone ? mu_strndup(p->arena, text_end, (size_t)(t->begin - text_end)) : "";
    op->fresh = p->fresh && !t->standalone;
    return MU_OK;
}

static mu_err add_tag(parser *p, const tag *t, const char *text_end)
{
    switch (t->sigil) {
    case '!': return MU_OK;
    case '=': return set_delimiters(p, t);
    case '#':
    case '^': return open_section(p, t);
    case '/': return close_section(p, t);
    case '>': return add_partial(p, t, text_end);
    }
    return add_value(p, t);
}

static mu_err parse(parser *p)
{
    for (;;) {
        const char *begin = find(p->at, p->end, p->open);
        if (begin == NULL)
            break;
        tag t = { 0 };
        TRY(read_tag(p, begin, &t));
        const char *text_end = standalone(p, &t);
        add_text(p, p->at, text_end);
        TRY(add_tag(p, &t, text_end));
        if (t.standalone)
            p->fresh = true;
        else if (t.sigil != '!' && t.sigil != '=')
            p->fresh = false;
        p->at = t.after;
        if (p->n > OPS_MAX)
            return refuse(p, begin, "error.template.large", "");
    }
    add_text(p, p->at, p->end);
    if (p->depth > 0)
        return refuse(p, p->end, "error.template.unclosed_section", p->names[p->depth - 1]);
    return MU_OK;
}

mu_err mu_template_parse(mu_arena *arena, const char *text, size_t n, unsigned flags, mu_problem *problem, mu_template **ret)
{
    if (!mu_utf8_valid(text, n))
        return mu_fail(problem, MU_INVALID, "", "error.template.utf8", NULL);
    parser p = { .arena = arena, .problem = problem, .start = text, .at = text, .end = text + n, .open = "{{", .close = "}}",
                 .flags = flags, .fresh = true };
    TRY(parse(&p));
    mu_template *tpl = mu_alloc(arena, sizeof *tpl);
    tpl->ops = p.ops;
    tpl->n = p.n;
    tpl->plain = (flags & MU_TPL_PLAIN) != 0;
    *ret = tpl;
    return MU_OK;
}

void mu_template_walk(const mu_template *tpl, void (*fn)(void *closure, const char *kind, const char *name), void *closure)
{
    for (size_t i = 0; i < tpl->n; i++) {
        const mu_op *op = &tpl->ops[i];
        if (op->kind == OP_PARTIAL)
            fn(closure, "partial", op->text);
        else if (op->kind == OP_WORD && op->text != NULL)
            fn(closure, "word", op->text);
    }
}
