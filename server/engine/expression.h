/* Expressions of playbooks: parsed once, type-checked once, evaluated many times. Evaluation is total: a bad operation gives
 * a value of type error, never a crash, and takes time linear in the length of the expression (at most 1 KiB).
 * Numbers: int is int64; decimal is a count of millionths in an int64 (six places, rounded half to even). */
#ifndef MU_EXPRESSION_H
#define MU_EXPRESSION_H

#include <jansson.h>
#include "base.h"
#include "clock.h"

#define MU_EXPRESSION_BYTES 1024

typedef enum {
    MU_T_ERROR,      /* only as a result of evaluation; `text` is the key of the reason */
    MU_T_UNSET,      /* a variable without a value; every use but exists() turns it into an error */
    MU_T_BOOL, MU_T_INT, MU_T_DECIMAL, MU_T_TEXT, MU_T_ENUM, MU_T_DURATION, MU_T_DATETIME, MU_T_USER, MU_T_LIST,
    MU_T_SECRET,     /* the name of a sealed value; nothing can be done with it here */
    MU_T_ANY         /* only while checking: unknown because of an earlier finding */
} mu_type_kind;

typedef struct {
    mu_type_kind  kind;
    mu_type_kind  of;         /* element type of a list */
    const json_t *values;     /* enum: list of its texts; borrowed */
} mu_type;

typedef struct mu_value {
    mu_type_kind kind;
    int64_t      number;      /* bool 0/1, int, decimal in millionths, duration in seconds, datetime in microseconds */
    const char  *text;        /* text, enum, user; the reason key of an error */
    struct mu_value *items;   /* list */
    size_t       count;
} mu_value;

typedef struct mu_expression mu_expression;

/* Why an expression was refused; `column` counts bytes from 1. */
typedef struct { const char *key; unsigned column; const char *name; } mu_expression_error;

/* Names: while checking, gives the type of a name (false: unknown); while evaluating, its value. */
typedef struct {
    bool (*type)(void *closure, const char *name, mu_type *ret);
    bool (*value)(void *closure, mu_arena *arena, const char *name, mu_value *ret);
    void  *closure;
} mu_names;

/* NULL on failure, with *why filled in. Owner: the arena. */
mu_expression *mu_expression_parse(mu_arena *arena, const char *text, mu_expression_error *why);
/* The type of the whole. False: *why names the problem (error.expression.unknown with the name, or error.expression.type). */
bool mu_expression_check(const mu_expression *expression, const mu_names *names, mu_type *ret, mu_expression_error *why);
mu_value mu_expression_evaluate(mu_arena *arena, const mu_expression *expression, const mu_names *names);
/* Calls fn for every name read, except inside exists(). */
void mu_expression_reads(const mu_expression *expression, void (*fn)(void *closure, const char *name), void *closure);
/* True when the expression has no names and its value is that bool. */
bool mu_expression_constant(const mu_expression *expression, bool value);

/* A JSON value as a value of the type, and back. false: it does not fit. Decimals are strings ("12.50"), durations strings in
 * the short form ("1h30m"), datetimes RFC 3339 strings. */
bool    mu_value_from_json(mu_arena *arena, const json_t *json, const mu_type *type, mu_value *ret);
json_t *mu_value_to_json(mu_arena *arena, const mu_value *value);   /* new reference; null for error and unset */
char   *mu_value_text(mu_arena *arena, const mu_value *value);      /* for people: inside a template */
bool    mu_value_equal(const mu_value *a, const mu_value *b);

#endif
