/* Expressions: types, checked when a playbook is published, so that evaluation meets few surprises. */
#include "expression_tree.h"

#include <string.h>

static bool
complain(mu_expression_error *why, const mu_expression *e, const char *key, const char *name)
{
    *why = (mu_expression_error){ .key = key, .column = e->column, .name = name };
    return false;
}

static bool number(mu_type_kind kind) { return kind == MU_T_INT || kind == MU_T_DECIMAL || kind == MU_T_ANY; }

static bool
wordlike(mu_type_kind kind)
{
    return kind == MU_T_TEXT || kind == MU_T_ENUM || kind == MU_T_USER;
}

/* One type on both sides; int and decimal may mix; an enum compares with the text of one of its values. */
static bool
comparable(const mu_type *a, const mu_type *b)
{
    if (a->kind == MU_T_ANY || b->kind == MU_T_ANY)
        return true;
    if (number(a->kind) && number(b->kind))
        return true;
    if (wordlike(a->kind) && wordlike(b->kind))
        return true;
    return a->kind == b->kind && a->kind != MU_T_SECRET;
}

/* A text literal against an enum must be one of its values: `level == 'V'` is a slip of the pen. */
static bool
literal_fits(const mu_expression *e, const mu_type *type, mu_expression_error *why)
{
    if (type->kind != MU_T_ENUM || type->values == NULL)
        return true;
    if (e->op == MU_OP_LITERAL && e->literal.kind == MU_T_TEXT && !mu_word_among(type->values, e->literal.text))
        return complain(why, e, "error.expression.enum", e->literal.text);
    for (size_t i = 0; i < e->count; i++)
        if (!literal_fits(e->items[i], type, why))
            return false;
    return true;
}

static bool
check_in(const mu_expression *e, const mu_type *left, const mu_type *right, mu_expression_error *why)
{
    mu_type element = { .kind = right->of, .values = right->values };

    if (right->kind == MU_T_ANY || left->kind == MU_T_ANY)
        return true;
    if (right->kind == MU_T_TEXT && left->kind == MU_T_TEXT)
        return true;
    if (right->kind == MU_T_LIST && comparable(left, &element))
        return literal_fits(e->right, left, why);
    return complain(why, e, "error.expression.type", NULL);
}

static bool
check_compare(const mu_expression *e, const mu_type *left, const mu_type *right, mu_expression_error *why)
{
    bool ordered = e->op == MU_OP_LT || e->op == MU_OP_LE || e->op == MU_OP_GT || e->op == MU_OP_GE;

    if (!comparable(left, right) || left->kind == MU_T_LIST)
        return complain(why, e, "error.expression.type", NULL);
    if (ordered && (left->kind == MU_T_BOOL || wordlike(left->kind)))
        return complain(why, e, "error.expression.order", NULL);
    return literal_fits(e->left, right, why) && literal_fits(e->right, left, why);
}

static bool
arithmetic(mu_op op, mu_type_kind a, mu_type_kind b, mu_type_kind *ret)
{
    bool sum = op == MU_OP_ADD || op == MU_OP_SUB;

    *ret = MU_T_ANY;
    if (a == MU_T_ANY || b == MU_T_ANY)
        return true;
    if (number(a) && number(b))
        *ret = op == MU_OP_DIV || a == MU_T_DECIMAL || b == MU_T_DECIMAL ? MU_T_DECIMAL : MU_T_INT;
    else if (sum && a == MU_T_DURATION && b == MU_T_DURATION)
        *ret = MU_T_DURATION;
    else if (sum && a == MU_T_DATETIME && b == MU_T_DURATION)
        *ret = MU_T_DATETIME;
    else if (op == MU_OP_SUB && a == MU_T_DATETIME && b == MU_T_DATETIME)
        *ret = MU_T_DURATION;
    else if (!sum && a == MU_T_DURATION && b == MU_T_INT)
        *ret = MU_T_DURATION;
    else if (op == MU_OP_MUL && a == MU_T_INT && b == MU_T_DURATION)
        *ret = MU_T_DURATION;
    return *ret != MU_T_ANY;
}

static bool
check_list(const mu_expression *e, const mu_names *names, mu_type *ret, mu_expression_error *why)
{
    mu_type item, first = { .kind = MU_T_ANY };

    for (size_t i = 0; i < e->count; i++) {
        if (!mu_expression_check(e->items[i], names, &item, why))
            return false;
        if (i == 0)
            first = item;
        else if (!comparable(&first, &item))
            return complain(why, e->items[i], "error.expression.type", NULL);
    }
    *ret = (mu_type){ .kind = MU_T_LIST, .of = first.kind, .values = first.values };
    return true;
}

static bool
check_one(const mu_expression *e, const mu_names *names, mu_type *ret, mu_expression_error *why)
{
    bool fits;

    if (!mu_expression_check(e->left, names, ret, why))
        return false;
    if (e->op == MU_OP_NOT)
        fits = ret->kind == MU_T_BOOL || ret->kind == MU_T_ANY;
    else
        fits = number(ret->kind) || ret->kind == MU_T_DURATION;
    return fits || complain(why, e, "error.expression.type", NULL);
}

static bool
check_two(const mu_expression *e, const mu_names *names, mu_type *ret, mu_expression_error *why)
{
    mu_type left, right;
    mu_type_kind kind;

    if (!mu_expression_check(e->left, names, &left, why) || !mu_expression_check(e->right, names, &right, why))
        return false;
    *ret = (mu_type){ .kind = MU_T_BOOL };
    switch (e->op) {
    case MU_OP_AND: case MU_OP_OR:
        if ((left.kind == MU_T_BOOL || left.kind == MU_T_ANY) && (right.kind == MU_T_BOOL || right.kind == MU_T_ANY))
            return true;
        return complain(why, e, "error.expression.type", NULL);
    case MU_OP_IN:
        return check_in(e, &left, &right, why);
    case MU_OP_EQ: case MU_OP_NE: case MU_OP_LT: case MU_OP_LE: case MU_OP_GT: case MU_OP_GE:
        return check_compare(e, &left, &right, why);
    case MU_OP_ADD: case MU_OP_SUB: case MU_OP_MUL: case MU_OP_DIV:
        if (!arithmetic(e->op, left.kind, right.kind, &kind))
            return complain(why, e, "error.expression.type", NULL);
        ret->kind = kind;
        return true;
    case MU_OP_LITERAL: case MU_OP_NAME: case MU_OP_EXISTS: case MU_OP_LIST: case MU_OP_NOT: case MU_OP_NEGATE:
        break;
    }
    return false;
}

bool
mu_expression_check(const mu_expression *e, const mu_names *names, mu_type *ret, mu_expression_error *why)
{
    mu_type ignored;

    switch (e->op) {
    case MU_OP_LITERAL:
        *ret = (mu_type){ .kind = e->literal.kind };
        return true;
    case MU_OP_NAME:
        if (!names->type(names->closure, e->name, ret))
            return complain(why, e, "error.expression.unknown", e->name);
        return true;
    case MU_OP_EXISTS:
        *ret = (mu_type){ .kind = MU_T_BOOL };
        if (!names->type(names->closure, e->name, &ignored))
            return complain(why, e, "error.expression.unknown", e->name);
        return true;
    case MU_OP_LIST:
        return check_list(e, names, ret, why);
    case MU_OP_NOT: case MU_OP_NEGATE:
        return check_one(e, names, ret, why);
    case MU_OP_AND: case MU_OP_OR: case MU_OP_EQ: case MU_OP_NE: case MU_OP_LT: case MU_OP_LE: case MU_OP_GT: case MU_OP_GE:
    case MU_OP_IN: case MU_OP_ADD: case MU_OP_SUB: case MU_OP_MUL: case MU_OP_DIV:
        return check_two(e, names, ret, why);
    }
    return false;
}
