/* The tree behind mu_expression; private to the expression_*.c files. */
#ifndef MU_EXPRESSION_TREE_H
#define MU_EXPRESSION_TREE_H

#include "expression.h"

#define MU_DECIMAL_ONE INT64_C(1000000)
#define MU_EXPRESSION_DEPTH 64

typedef enum {
    MU_OP_LITERAL, MU_OP_NAME, MU_OP_EXISTS, MU_OP_LIST, MU_OP_NOT, MU_OP_NEGATE, MU_OP_AND, MU_OP_OR,
    MU_OP_EQ, MU_OP_NE, MU_OP_LT, MU_OP_LE, MU_OP_GT, MU_OP_GE, MU_OP_IN, MU_OP_ADD, MU_OP_SUB, MU_OP_MUL, MU_OP_DIV
} mu_op;

struct mu_expression {
    mu_op       op;
    unsigned    column;
    const char *name;
    mu_value    literal;
    const mu_expression *left, *right;
    const mu_expression **items;
    size_t      count;
};

/* Is `text` one of a list of texts? */
bool mu_word_among(const json_t *values, const char *text);

#endif
