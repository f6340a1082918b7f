/* Expressions: evaluation. Total: what cannot be computed is a value of type error, and errors are contagious. */
#include "expression_tree.h"

#include <string.h>

/* 0000-01-01 to 9999-12-31: what RFC 3339 can write. */
#define INSTANT_LEAST INT64_C(-62167219200000000)
#define INSTANT_MOST  INT64_C(253402300799999999)

static mu_value wrong(const char *key) { return (mu_value){ .kind = MU_T_ERROR, .text = key }; }
static mu_value truth(bool value) { return (mu_value){ .kind = MU_T_BOOL, .number = value }; }
static bool     is_number(const mu_value *v) { return v->kind == MU_T_INT || v->kind == MU_T_DECIMAL; }
static bool
is_word(const mu_value *v)
{
    return v->kind == MU_T_TEXT || v->kind == MU_T_ENUM || v->kind == MU_T_USER;
}

/* a * b / c, rounded half to even, without losing the high half of the product. */
static bool
scale(int64_t a, int64_t b, int64_t c, int64_t *ret)
{
    __extension__ typedef __int128 wide;
    wide product = (wide)a * b, quotient, rest;

    if (c == 0)
        return false;
    if (c < 0) {
        product = -product;
        if (c == INT64_MIN)
            return false;
        c = -c;
    }
    quotient = product / c;
    rest = product % c;
    if (rest < 0)
        rest = -rest;
    if (rest * 2 > c || (rest * 2 == c && quotient % 2 != 0))
        quotient += product < 0 ? -1 : 1;
    if (quotient > INT64_MAX || quotient < INT64_MIN)
        return false;
    *ret = (int64_t)quotient;
    return true;
}

static bool
as_decimal(const mu_value *v, int64_t *ret)
{
    if (v->kind == MU_T_DECIMAL) {
        *ret = v->number;
        return true;
    }
    return !__builtin_mul_overflow(v->number, MU_DECIMAL_ONE, ret);
}

static mu_value
numbers(mu_op op, const mu_value *a, const mu_value *b)
{
    bool decimal = op == MU_OP_DIV || a->kind == MU_T_DECIMAL || b->kind == MU_T_DECIMAL, fits;
    int64_t x = a->number, y = b->number, result = 0;

    if (decimal && (!as_decimal(a, &x) || !as_decimal(b, &y)))
        return wrong("error.expression.overflow");
    if (op == MU_OP_DIV && y == 0)
        return wrong("error.expression.zero");
    if (op == MU_OP_ADD)
        fits = !__builtin_add_overflow(x, y, &result);
    else if (op == MU_OP_SUB)
        fits = !__builtin_sub_overflow(x, y, &result);
    else if (op == MU_OP_DIV)
        fits = scale(x, MU_DECIMAL_ONE, y, &result);
    else
        fits = decimal ? scale(x, y, MU_DECIMAL_ONE, &result) : !__builtin_mul_overflow(x, y, &result);
    if (!fits)
        return wrong("error.expression.overflow");
    return (mu_value){ .kind = decimal ? MU_T_DECIMAL : MU_T_INT, .number = result };
}

static mu_value
shift(const mu_value *instant, int64_t seconds)
{
    int64_t micro, result;

    if (__builtin_mul_overflow(seconds, MU_SECOND, &micro) || __builtin_add_overflow(instant->number, micro, &result)
        || result < INSTANT_LEAST || result > INSTANT_MOST)
        return wrong("error.expression.overflow");
    return (mu_value){ .kind = MU_T_DATETIME, .number = result };
}

static mu_value
durations(mu_op op, int64_t a, int64_t b)
{
    int64_t result = 0;
    bool fits = true;

    if (op == MU_OP_ADD)
        fits = !__builtin_add_overflow(a, b, &result);
    else if (op == MU_OP_SUB)
        fits = !__builtin_sub_overflow(a, b, &result);
    else if (op == MU_OP_MUL)
        fits = !__builtin_mul_overflow(a, b, &result);
    else if (b == 0)
        return wrong("error.expression.zero");
    else if (a == INT64_MIN && b == -1)
        fits = false;
    else
        result = a / b;
    if (!fits)
        return wrong("error.expression.overflow");
    return (mu_value){ .kind = MU_T_DURATION, .number = result };
}

static mu_value
arithmetic(mu_op op, const mu_value *a, const mu_value *b)
{
    bool sum = op == MU_OP_ADD || op == MU_OP_SUB;
    int64_t seconds;

    if (is_number(a) && is_number(b))
        return numbers(op, a, b);
    if (sum && a->kind == MU_T_DURATION && b->kind == MU_T_DURATION)
        return durations(op, a->number, b->number);
    if (!sum && a->kind == MU_T_DURATION && b->kind == MU_T_INT)
        return durations(op, a->number, b->number);
    if (op == MU_OP_MUL && a->kind == MU_T_INT && b->kind == MU_T_DURATION)
        return durations(op, b->number, a->number);
    if (sum && a->kind == MU_T_DATETIME && b->kind == MU_T_DURATION) {
        if (op == MU_OP_SUB && b->number == INT64_MIN)
            return wrong("error.expression.overflow");
        return shift(a, op == MU_OP_ADD ? b->number : -b->number);
    }
    if (op == MU_OP_SUB && a->kind == MU_T_DATETIME && b->kind == MU_T_DATETIME) {
        if (__builtin_sub_overflow(a->number, b->number, &seconds))
            return wrong("error.expression.overflow");
        return (mu_value){ .kind = MU_T_DURATION, .number = seconds / MU_SECOND };
    }
    return wrong("error.expression.type");
}

/* -1, 0, 1, or 2 when the two cannot be compared. */
static int
order(const mu_value *a, const mu_value *b)
{
    int64_t x = a->number, y = b->number;

    if (is_number(a) && is_number(b)) {
        if (a->kind != b->kind && (!as_decimal(a, &x) || !as_decimal(b, &y))) {
            /* an int too large for a decimal is larger than any decimal of its sign */
            int64_t big = a->kind == MU_T_INT ? a->number : b->number;
            return (big > 0) == (a->kind == MU_T_INT) ? 1 : -1;
        }
    } else if (a->kind != b->kind || (a->kind != MU_T_DURATION && a->kind != MU_T_DATETIME && a->kind != MU_T_BOOL)) {
        return 2;
    }
    return x < y ? -1 : x > y;
}

bool
mu_value_equal(const mu_value *a, const mu_value *b)
{
    if (is_word(a) && is_word(b))
        return strcmp(a->text, b->text) == 0;
    if (a->kind == MU_T_LIST && b->kind == MU_T_LIST) {
        if (a->count != b->count)
            return false;
        for (size_t i = 0; i < a->count; i++)
            if (!mu_value_equal(&a->items[i], &b->items[i]))
                return false;
        return true;
    }
    return order(a, b) == 0;
}

static mu_value
comparison(mu_op op, const mu_value *a, const mu_value *b)
{
    int sign;

    if (op == MU_OP_EQ || op == MU_OP_NE) {
        if (!(is_word(a) && is_word(b)) && order(a, b) == 2)
            return wrong("error.expression.type");
        return truth(mu_value_equal(a, b) == (op == MU_OP_EQ));
    }
    sign = order(a, b);
    if (sign == 2 || a->kind == MU_T_BOOL)
        return wrong("error.expression.type");
    if (op == MU_OP_LT)
        return truth(sign < 0);
    if (op == MU_OP_LE)
        return truth(sign <= 0);
    return truth(op == MU_OP_GT ? sign > 0 : sign >= 0);
}

static mu_value
membership(const mu_value *a, const mu_value *b)
{
    if (b->kind == MU_T_LIST) {
        for (size_t i = 0; i < b->count; i++)
            if (mu_value_equal(a, &b->items[i]))
                return truth(true);
        return truth(false);
    }
    if (is_word(a) && is_word(b))
        return truth(strstr(b->text, a->text) != NULL);
    return wrong("error.expression.type");
}

static mu_value
read_name(mu_arena *arena, const mu_expression *e, const mu_names *names)
{
    mu_value value = { .kind = MU_T_UNSET };

    if (names == NULL || !names->value(names->closure, arena, e->name, &value))
        value.kind = MU_T_UNSET;
    if (e->op == MU_OP_EXISTS)
        return truth(value.kind != MU_T_UNSET && value.kind != MU_T_ERROR);
    return value.kind == MU_T_UNSET ? wrong("error.expression.unset") : value;
}

static mu_value
evaluate_list(mu_arena *arena, const mu_expression *e, const mu_names *names)
{
    mu_value list = { .kind = MU_T_LIST, .items = mu_alloc(arena, (e->count + 1) * sizeof(mu_value)), .count = e->count };

    for (size_t i = 0; i < e->count; i++) {
        list.items[i] = mu_expression_evaluate(arena, e->items[i], names);
        if (list.items[i].kind == MU_T_ERROR)
            return list.items[i];
    }
    return list;
}

static mu_value
negative(const mu_value *v)
{
    mu_value result = *v;

    if (!is_number(v) && v->kind != MU_T_DURATION)
        return wrong("error.expression.type");
    if (__builtin_sub_overflow((int64_t)0, v->number, &result.number))
        return wrong("error.expression.overflow");
    return result;
}

static mu_value
evaluate_one(mu_arena *arena, const mu_expression *e, const mu_names *names)
{
    mu_value left = mu_expression_evaluate(arena, e->left, names);

    if (left.kind == MU_T_ERROR)
        return left;
    if (e->op == MU_OP_NEGATE)
        return negative(&left);
    if (left.kind != MU_T_BOOL)
        return wrong("error.expression.type");
    if (e->op == MU_OP_NOT)
        return truth(left.number == 0);
    if ((e->op == MU_OP_AND) != (left.number != 0))     /* and with false, or with true: decided */
        return left;
    left = mu_expression_evaluate(arena, e->right, names);
    return left.kind == MU_T_BOOL || left.kind == MU_T_ERROR ? left : wrong("error.expression.type");
}

static mu_value
evaluate_two(mu_arena *arena, const mu_expression *e, const mu_names *names)
{
    mu_value left = mu_expression_evaluate(arena, e->left, names), right;

    if (left.kind == MU_T_ERROR)
        return left;
    right = mu_expression_evaluate(arena, e->right, names);
    if (right.kind == MU_T_ERROR)
        return right;
    if (e->op == MU_OP_IN)
        return membership(&left, &right);
    if (e->op >= MU_OP_EQ && e->op <= MU_OP_GE)
        return comparison(e->op, &left, &right);
    return arithmetic(e->op, &left, &right);
}

mu_value
mu_expression_evaluate(mu_arena *arena, const mu_expression *e, const mu_names *names)
{
    switch (e->op) {
    case MU_OP_LITERAL:
        return e->literal;
    case MU_OP_NAME: case MU_OP_EXISTS:
        return read_name(arena, e, names);
    case MU_OP_LIST:
        return evaluate_list(arena, e, names);
    case MU_OP_NOT: case MU_OP_NEGATE: case MU_OP_AND: case MU_OP_OR:
        return evaluate_one(arena, e, names);
    case MU_OP_EQ: case MU_OP_NE: case MU_OP_LT: case MU_OP_LE: case MU_OP_GT: case MU_OP_GE: case MU_OP_IN:
    case MU_OP_ADD: case MU_OP_SUB: case MU_OP_MUL: case MU_OP_DIV:
        return evaluate_two(arena, e, names);
    }
    return wrong("error.expression.type");
}
