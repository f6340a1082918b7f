/* Expressions: text to tree, by recursive descent with a bound on the depth. */
#include "expression_tree.h"

#include <string.h>

#include "str.h"

typedef enum {
    T_END, T_BAD, T_ID, T_NUMBER, T_TEXT, T_DURATION, T_EQ, T_NE, T_LE, T_GE, T_LT, T_GT, T_PLUS, T_MINUS, T_STAR, T_SLASH,
    T_OPEN, T_CLOSE, T_LIST, T_LISTEND, T_COMMA
} token;

typedef struct {
    mu_arena   *arena;
    const char *text, *at;
    token       token;
    const char *start;        /* of the token */
    size_t      size;
    unsigned    depth;
    bool        failed;
    mu_expression_error *why;
} parser;

static const mu_expression *parse_or(parser *p);

static bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool digit(char c) { return c >= '0' && c <= '9'; }

static void
fail(parser *p, const char *key, const char *at)
{
    if (p->failed)
        return;
    p->failed = true;
    p->why->key = key;
    p->why->column = (unsigned)(at - p->text) + 1;
    p->why->name = NULL;
    p->token = T_BAD;
}

static void
next_word(parser *p)
{
    while (letter(*p->at) || digit(*p->at) || (*p->at == '.' && letter(p->at[1])))
        p->at++;
    p->token = T_ID;
}

/* 12, 12.5, 25m, 1h30m: a letter after digits makes it a duration. */
static void
next_number(parser *p)
{
    p->token = T_NUMBER;
    while (digit(*p->at))
        p->at++;
    if (*p->at == '.' && digit(p->at[1])) {
        p->at++;
        while (digit(*p->at))
            p->at++;
    } else if (letter(*p->at)) {
        while (letter(*p->at) || digit(*p->at))
            p->at++;
        p->token = T_DURATION;
    }
}

static void
next_text(parser *p)
{
    p->at++;
    for (;;) {
        if (*p->at == '\0') {
            fail(p, "error.expression.quote", p->start);
            return;
        }
        if (*p->at == '\'') {
            if (p->at[1] != '\'')
                break;
            p->at++;
        }
        p->at++;
    }
    p->at++;
    p->token = T_TEXT;
}

static void
next_sign(parser *p)
{
    static const struct { char sign[3]; token token; } signs[] = {
        { "==", T_EQ }, { "!=", T_NE }, { "<=", T_LE }, { ">=", T_GE }, { "<", T_LT }, { ">", T_GT }, { "+", T_PLUS },
        { "-", T_MINUS }, { "*", T_STAR }, { "/", T_SLASH }, { "(", T_OPEN }, { ")", T_CLOSE }, { "[", T_LIST },
        { "]", T_LISTEND }, { ",", T_COMMA } };

    for (size_t i = 0; i < MU_COUNT(signs); i++)
        if (mu_starts(p->at, signs[i].sign)) {
            p->at += strlen(signs[i].sign);
            p->token = signs[i].token;
            return;
        }
    fail(p, "error.expression.sign", p->at);
}

static void
next(parser *p)
{
    if (p->failed)
        return;
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')
        p->at++;
    p->start = p->at;
    if (*p->at == '\0')
        p->token = T_END;
    else if (letter(*p->at))
        next_word(p);
    else if (digit(*p->at))
        next_number(p);
    else if (*p->at == '\'')
        next_text(p);
    else
        next_sign(p);
    p->size = (size_t)(p->at - p->start);
}

static bool
is_word(const parser *p, const char *word)
{
    return p->token == T_ID && p->size == strlen(word) && memcmp(p->start, word, p->size) == 0;
}

static mu_expression *
node(parser *p, mu_op op, const mu_expression *left, const mu_expression *right)
{
    mu_expression *made = mu_alloc(p->arena, sizeof *made);

    made->op = op;
    made->column = (unsigned)(p->start - p->text) + 1;
    made->left = left;
    made->right = right;
    return made;
}

static bool
read_number(const char *digits, mu_value *ret)
{
    const char *dot = strchr(digits, '.');
    int64_t whole = 0, part = 0, unit = MU_DECIMAL_ONE;

    for (const char *c = digits; *c != '\0' && c != dot; c++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *c - '0', &whole))
            return false;
    if (dot == NULL) {
        *ret = (mu_value){ .kind = MU_T_INT, .number = whole };
        return true;
    }
    for (const char *c = dot + 1; *c != '\0'; c++) {
        unit /= 10;
        if (unit == 0)
            return false;                         /* more places than a decimal keeps */
        part += (*c - '0') * unit;
    }
    if (__builtin_mul_overflow(whole, MU_DECIMAL_ONE, &whole) || __builtin_add_overflow(whole, part, &whole))
        return false;
    *ret = (mu_value){ .kind = MU_T_DECIMAL, .number = whole };
    return true;
}

static const mu_expression *
literal(parser *p)
{
    mu_expression *made = node(p, MU_OP_LITERAL, NULL, NULL);
    char *text = mu_strndup(p->arena, p->start, p->size);
    int64_t seconds;

    if (p->token == T_NUMBER) {
        if (!read_number(text, &made->literal))
            fail(p, "error.expression.number", p->start);
    } else if (p->token == T_DURATION) {
        if (mu_duration_parse(text, &seconds))
            made->literal = (mu_value){ .kind = MU_T_DURATION, .number = seconds };
        else
            fail(p, "error.expression.duration", p->start);
    } else {                                      /* text: drop the quotes, '' becomes ' */
        size_t n = 0;
        for (size_t i = 1; i + 1 < p->size; i++) {
            text[n++] = p->start[i];
            if (p->start[i] == '\'')
                i++;
        }
        text[n] = '\0';
        made->literal = (mu_value){ .kind = MU_T_TEXT, .text = text };
    }
    next(p);
    return made;
}

static const mu_expression *
list(parser *p)
{
    mu_expression *made = node(p, MU_OP_LIST, NULL, NULL);
    const mu_expression *items[128];

    next(p);
    while (p->token != T_LISTEND && !p->failed) {
        if (made->count == MU_COUNT(items)) {
            fail(p, "error.expression.long", p->start);
            break;
        }
        items[made->count++] = parse_or(p);
        if (p->token == T_COMMA)
            next(p);
        else if (p->token != T_LISTEND)
            fail(p, "error.expression.list", p->start);
    }
    made->items = mu_alloc(p->arena, (made->count + 1) * sizeof *made->items);
    memcpy(made->items, items, made->count * sizeof *items);
    next(p);
    return made;
}

static const mu_expression *
word(parser *p)
{
    mu_expression *made = node(p, MU_OP_NAME, NULL, NULL);
    bool exists = is_word(p, "exists");

    if (is_word(p, "true") || is_word(p, "false")) {
        made->op = MU_OP_LITERAL;
        made->literal = (mu_value){ .kind = MU_T_BOOL, .number = is_word(p, "true") };
        next(p);
        return made;
    }
    if (is_word(p, "and") || is_word(p, "or") || is_word(p, "in") || is_word(p, "not")) {
        fail(p, "error.expression.value", p->start);
        return made;
    }
    if (exists) {
        next(p);
        if (p->token != T_OPEN) {
            fail(p, "error.expression.exists", p->start);
            return made;
        }
        next(p);
        if (p->token != T_ID) {
            fail(p, "error.expression.exists", p->start);
            return made;
        }
        made->op = MU_OP_EXISTS;
    }
    made->name = mu_strndup(p->arena, p->start, p->size);
    next(p);
    if (exists) {
        if (p->token != T_CLOSE)
            fail(p, "error.expression.exists", p->start);
        next(p);
    }
    return made;
}

static const mu_expression *
primary(parser *p)
{
    const mu_expression *inner;

    switch (p->token) {
    case T_ID: return word(p);
    case T_NUMBER: case T_TEXT: case T_DURATION: return literal(p);
    case T_LIST: return list(p);
    case T_OPEN:
        next(p);
        inner = parse_or(p);
        if (p->token != T_CLOSE)
            fail(p, "error.expression.bracket", p->start);
        next(p);
        return inner;
    case T_END: case T_BAD: case T_EQ: case T_NE: case T_LE: case T_GE: case T_LT: case T_GT: case T_PLUS: case T_MINUS:
    case T_STAR: case T_SLASH: case T_CLOSE: case T_LISTEND: case T_COMMA:
        break;
    }
    fail(p, "error.expression.value", p->start);
    return node(p, MU_OP_LITERAL, NULL, NULL);
}

static const mu_expression *
unary(parser *p)
{
    mu_expression *made;

    if (p->token != T_MINUS)
        return primary(p);
    made = node(p, MU_OP_NEGATE, NULL, NULL);
    next(p);
    made->left = primary(p);
    return made;
}

/* One level of left-associative operators. */
static const mu_expression *
chain(parser *p, const mu_expression *(*below)(parser *), token a, mu_op op_a, token b, mu_op op_b)
{
    const mu_expression *left = below(p);

    while (!p->failed && (p->token == a || p->token == b)) {
        mu_expression *made = node(p, p->token == a ? op_a : op_b, left, NULL);
        next(p);
        made->right = below(p);
        left = made;
    }
    return left;
}

static const mu_expression *product(parser *p) { return chain(p, unary, T_STAR, MU_OP_MUL, T_SLASH, MU_OP_DIV); }
static const mu_expression *sum(parser *p) { return chain(p, product, T_PLUS, MU_OP_ADD, T_MINUS, MU_OP_SUB); }

static const mu_expression *
compare(parser *p)
{
    static const struct { token token; mu_op op; } ops[] = {
        { T_EQ, MU_OP_EQ }, { T_NE, MU_OP_NE }, { T_LT, MU_OP_LT }, { T_LE, MU_OP_LE }, { T_GT, MU_OP_GT }, { T_GE, MU_OP_GE } };
    const mu_expression *left = sum(p);
    mu_expression *made = NULL;

    for (size_t i = 0; i < MU_COUNT(ops); i++)
        if (p->token == ops[i].token)
            made = node(p, ops[i].op, left, NULL);
    if (is_word(p, "in"))
        made = node(p, MU_OP_IN, left, NULL);
    if (made == NULL || p->failed)
        return left;
    next(p);
    made->right = sum(p);
    return made;
}

static const mu_expression *
negation(parser *p)
{
    mu_expression *made;

    if (!is_word(p, "not"))
        return compare(p);
    made = node(p, MU_OP_NOT, NULL, NULL);
    next(p);
    made->left = compare(p);
    return made;
}

static const mu_expression *
words(parser *p, const mu_expression *(*below)(parser *), const char *name, mu_op op)
{
    const mu_expression *left = below(p);

    while (!p->failed && is_word(p, name)) {
        mu_expression *made = node(p, op, left, NULL);
        next(p);
        made->right = below(p);
        left = made;
    }
    return left;
}

static const mu_expression *conjunction(parser *p) { return words(p, negation, "and", MU_OP_AND); }

static const mu_expression *
parse_or(parser *p)
{
    const mu_expression *made;

    if (++p->depth > MU_EXPRESSION_DEPTH) {
        fail(p, "error.expression.deep", p->start);
        return node(p, MU_OP_LITERAL, NULL, NULL);
    }
    made = words(p, conjunction, "or", MU_OP_OR);
    p->depth--;
    return made;
}

mu_expression *
mu_expression_parse(mu_arena *arena, const char *text, mu_expression_error *why)
{
    parser p = { .arena = arena, .text = text, .at = text, .start = text, .why = why };
    const mu_expression *made;

    if (strlen(text) > MU_EXPRESSION_BYTES) {
        fail(&p, "error.expression.long", text);
        return NULL;
    }
    next(&p);
    made = parse_or(&p);
    if (!p.failed && p.token != T_END)
        fail(&p, "error.expression.rest", p.start);
    if (p.failed)
        return NULL;
    mu_expression *copy = mu_alloc(arena, sizeof *copy);
    *copy = *made;
    return copy;
}

void
mu_expression_reads(const mu_expression *e, void (*fn)(void *closure, const char *name), void *closure)
{
    if (e == NULL)
        return;
    if (e->op == MU_OP_NAME)
        fn(closure, e->name);
    mu_expression_reads(e->left, fn, closure);
    mu_expression_reads(e->right, fn, closure);
    for (size_t i = 0; i < e->count; i++)
        mu_expression_reads(e->items[i], fn, closure);
}

static bool
has_names(const mu_expression *e)
{
    bool found = e != NULL && (e->op == MU_OP_NAME || e->op == MU_OP_EXISTS);

    if (e == NULL || found)
        return found;
    for (size_t i = 0; i < e->count && !found; i++)
        found = has_names(e->items[i]);
    return found || has_names(e->left) || has_names(e->right);
}

bool
mu_expression_constant(const mu_expression *e, bool value)
{
    bool same;

    if (has_names(e))
        return false;
    mu_arena *arena = mu_arena_new(0);
    mu_value result = mu_expression_evaluate(arena, e, NULL);
    same = result.kind == MU_T_BOOL && (result.number != 0) == value;
    mu_arena_free(arena);
    return same;
}
