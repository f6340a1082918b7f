/* The references between the steps of a file, the conditions and variables in its texts, and where secrets stand. */
#include "cacao_private.h"

#include <ctype.h>
#include <string.h>

#include "json.h"
#include "str.h"

bool mu_cacao_type_is(const json_t *step, const char *type)
{
    return mu_same(mu_json_str(step, "type"), type);
}

bool mu_cacao_is_end(const json_t *step)
{
    return mu_cacao_type_is(step, "end");
}

const char *mu_cacao_next(const json_t *step)
{
    const char *next = mu_json_str(step, "on_completion");

    return next != NULL ? next : mu_json_str(step, "on_success");
}

void mu_cacao_references(mu_arena *arena, const json_t *step, reference_fn each, void *closure)
{
    static const char *const single[] = { "on_completion", "on_success", "on_failure", "on_true", "on_false" };
    const json_t *list = json_object_get(step, "next_steps");
    json_t *cases = json_object_get(step, "cases"), *value;
    const char *name;
    size_t i;

    for (i = 0; i < MU_COUNT(single); i++) {
        const char *id = mu_json_str(step, single[i]);
        if (id != NULL)
            each(closure, single[i], id);
    }
    json_array_foreach(list, i, value)
        if (json_is_string(value))
            each(closure, mu_printf(arena, "next_steps/%zu", i), json_string_value(value));
    json_object_foreach(cases, name, value)
        if (json_is_string(value))
            each(closure, mu_pointer(arena, "cases", name), json_string_value(value));
}

/* ---- variables in texts ------------------------------------------------------------------------------------------ */

static size_t name_length(const char *at)   /* __name__ at `at`, closed by the first __ that is followed by :value or by the end of a word */
{
    size_t n = 2;

    if (strncmp(at, "__", 2) != 0 || !(isalpha((unsigned char)at[2]) || at[2] == '_'))
        return 0;
    while (isalnum((unsigned char)at[n]) || at[n] == '_' || at[n] == '-')
        n++;
    return n >= 5 && at[n - 1] == '_' && at[n - 2] == '_' && n <= 204 ? n : 0;
}

bool mu_cacao_variable_name(const char *name)
{
    const size_t n = name_length(name);

    return n > 0 && name[n] == '\0';
}

const char *mu_cacao_variable(mu_arena *arena, const char *text, char **ret_name, const char **ret_rest)
{
    for (const char *at = text; (at = strstr(at, "__")) != NULL; ) {
        const size_t n = name_length(at);
        if (n > 0 && strncmp(at + n, ":value", 6) == 0) {
            *ret_name = mu_strndup(arena, at + 2, n - 4);
            *ret_rest = at + n + 6;
            return at;
        }
        at += n > 0 ? n : 1;
    }
    return NULL;
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

typedef struct { mu_arena *arena; const char *at; unsigned nodes; } parser;

enum { CONDITION_NODES = 200 };

static void blanks(parser *p)
{
    p->at += strspn(p->at, " \t\r\n");
}

static bool word(parser *p, const char *text)
{
    const size_t n = strlen(text);

    blanks(p);
    if (strncmp(p->at, text, n) != 0 || !(p->at[n] == ' ' || p->at[n] == '\t' || p->at[n] == '\n'))
        return false;
    p->at += n;
    return true;
}

static condition *fresh(parser *p, const condition *as)
{
    if (++p->nodes > CONDITION_NODES)
        return NULL;
    condition *c = mu_alloc(p->arena, sizeof *c);
    *c = *as;
    return c;
}

static condition *comparison(parser *p)
{
    static const char *const ops[] = { "!=", "<=", ">=", "=", "<", ">" };
    condition made = { .kind = COND_BARE };
    const char *rest;
    char *name;

    blanks(p);
    if (mu_cacao_variable(p->arena, p->at, &name, &rest) != p->at)
        return NULL;
    made.variable = name;
    p->at = rest;
    blanks(p);
    for (size_t i = 0; i < MU_COUNT(ops) && made.op == NULL; i++)
        if (strncmp(p->at, ops[i], strlen(ops[i])) == 0)
            made.op = ops[i];
    if (made.op == NULL)
        return fresh(p, &made);
    made.kind = COND_COMPARE;
    p->at += strlen(made.op);
    blanks(p);
    if (*p->at == '\'') {
        const char *end = strchr(p->at + 1, '\'');
        if (end == NULL)
            return NULL;
        made.literal = mu_strndup(p->arena, p->at + 1, (size_t)(end - p->at - 1));
        p->at = end + 1;
    } else {
        const size_t n = strcspn(p->at, " \t\r\n'\"()=<>!");
        if (n == 0)
            return NULL;
        made.literal = mu_strndup(p->arena, p->at, n);
        p->at += n;
    }
    if (*p->at != '\0' && strchr(" \t\r\n", *p->at) == NULL)
        return NULL;
    return fresh(p, &made);
}

static condition *negation(parser *p)
{
    bool not = false;

    while (word(p, "NOT"))
        not = !not;
    condition *inner = comparison(p);
    return inner == NULL || !not ? inner : fresh(p, &(condition){ .kind = COND_NOT, .left = inner });
}

static condition *joined(parser *p, bool or)
{
    condition *left = or ? joined(p, false) : negation(p);

    while (left != NULL && word(p, or ? "OR" : "AND")) {
        condition *right = or ? joined(p, false) : negation(p);
        left = right == NULL ? NULL : fresh(p, &(condition){ .kind = or ? COND_OR : COND_AND, .left = left, .right = right });
    }
    return left;
}

const condition *mu_cacao_condition(mu_arena *arena, const char *text)
{
    parser p = { .arena = arena, .at = text != NULL ? text : "" };
    const condition *tree = joined(&p, true);

    blanks(&p);
    return *p.at == '\0' ? tree : NULL;
}

/* ---- secrets ----------------------------------------------------------------------------------------------------- */

static bool secret_member(const char *name)
{
    static const char *const names[] = { "password", "token", "private_key", "passphrase", "client_secret", "api_key" };

    for (size_t i = 0; i < MU_COUNT(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

void mu_cacao_secrets(mu_arena *arena, json_t *file, secret_fn each, void *closure)
{
    json_t *infos = json_object_get(file, "authentication_info_definitions"), *info, *value;
    const char *id, *member, *rest;
    char *name;
    void *next;

    json_object_foreach(infos, id, info) {
        const char *base = mu_pointer(arena, "/authentication_info_definitions", id);
        json_object_foreach_safe(info, next, member, value) {
            if (!secret_member(member) || !json_is_string(value) || json_string_length(value) == 0)
                continue;
            if (mu_cacao_variable(arena, json_string_value(value), &name, &rest) == NULL)
                each(closure, mu_pointer(arena, base, member), info, member);
        }
    }
}

const json_t *mu_cacao_extension(const json_t *step)
{
    const json_t *ours = json_object_get(json_object_get(step, "step_extensions"), MU_CACAO_EXTENSION);

    return json_is_object(ours) ? ours : NULL;
}
