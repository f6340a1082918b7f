/* Checks of names and types, once the whole tree is known: V07, V09, V11, V12, and where secrets may stand (V25). */
#include "expression_tree.h"
#include "check.h"

#include <string.h>

#include "json.h"
#include "str.h"

typedef struct { mu_reader *r; const mu_node *node; const char *pointer; bool secrets; } place;

static const char *
at(const place *p, const char *member)
{
    return mu_pointer(p->r->arena, p->node->pointer, member);
}

/* False: there is none, or it has no type, which has been said. */
static bool
type_of(const place *p, const mu_expression *e, const char *pointer, mu_type *ret)
{
    mu_seen seen = { p->r->pb, p->node };
    mu_names names = { .type = mu_seen_type, .closure = &seen };
    mu_expression_error why;
    char *column;

    if (e == NULL || mu_expression_check(e, &names, ret, &why))
        return e != NULL;
    column = mu_printf(p->r->arena, "%u", why.column);
    if (strcmp(why.key, "error.expression.unknown") == 0)
        MU_BREAK(p->r, "V07", "undefined", MU_FINDING_ERROR, p->node->path, pointer, "name", why.name, NULL);
    else
        MU_BREAK(p->r, "V09", why.key, MU_FINDING_ERROR, p->node->path, pointer, "column", column, "name", why.name == NULL ? "" : why.name, NULL);
    return false;
}

bool
mu_type_fits(const mu_type *type, const mu_type *want)
{
    return want->kind == type->kind || type->kind == MU_T_ANY || want->kind == MU_T_ANY || (want->kind == MU_T_DECIMAL && type->kind == MU_T_INT)
        || (type->kind == MU_T_TEXT && (want->kind == MU_T_ENUM || want->kind == MU_T_USER))
        || (want->kind == MU_T_TEXT && (type->kind == MU_T_ENUM || type->kind == MU_T_USER));
}

static void
check_expression(const place *p, const mu_expression *e, const char *pointer, const mu_type *want)
{
    mu_type type;

    if (type_of(p, e, pointer, &type) && !mu_type_fits(&type, want))
        MU_BREAK(p->r, "V09", "result", MU_FINDING_ERROR, p->node->path, pointer, NULL);
}

/* A constant text given to an enum variable must be one of its values. */
static void
check_enum_literal(const place *p, const mu_expression *e, const mu_var *var, const char *pointer)
{
    mu_value ignored;
    json_t *json;

    if (e == NULL || e->op != MU_OP_LITERAL || var->type.kind != MU_T_ENUM || e->literal.kind != MU_T_TEXT)
        return;
    json = mu_json_own(p->r->arena, json_string(e->literal.text));
    if (!mu_value_from_json(p->r->arena, json, &var->type, &ignored))
        MU_BREAK(p->r, "V09", "enum", MU_FINDING_ERROR, p->node->path, pointer, "name", var->name, "value", e->literal.text, NULL);
}

/* A variable that a step writes to. */
static const mu_var *
check_target(const place *p, const char *name, const char *pointer)
{
    const mu_var *var = mu_var_find(p->r->pb, name);

    if (mu_item_owner(p->node, name) != NULL)
        MU_BREAK(p->r, "V11", "item", MU_FINDING_ERROR, p->node->path, pointer, "name", name, NULL);
    else if (var == NULL)
        MU_BREAK(p->r, "V07", "undefined", MU_FINDING_ERROR, p->node->path, pointer, "name", name, NULL);
    else if (var->constant)
        mu_find(p->r, "V11", "constant", MU_FINDING_ERROR, p->node->path, pointer, "name", name, NULL);
    else if (var->type.kind == MU_T_SECRET)
        MU_BREAK(p->r, "V11", "secret", MU_FINDING_ERROR, p->node->path, pointer, "name", name, NULL);
    if (var != NULL && var->type.kind == MU_T_SECRET)
        return NULL;                              /* nothing fits it */
    return var;
}

static void
check_set(const place *p)
{
    for (size_t i = 0; i < p->node->name_count; i++) {
        const char *pointer = mu_pointer(p->r->arena, at(p, "values"), p->node->names[i]);
        const mu_var *var = check_target(p, p->node->names[i], pointer);
        if (var == NULL)
            continue;
        check_expression(p, p->node->values[i], pointer, &var->type);
        check_enum_literal(p, p->node->values[i], var, pointer);
    }
}

static void
check_option(const place *p, const mu_var *var, const json_t *value, const char *pointer)
{
    mu_value ignored;

    if (var != NULL && !mu_value_from_json(p->r->arena, value, &var->type, &ignored))
        MU_BREAK(p->r, "V09", "option", MU_FINDING_ERROR, p->node->path, pointer, "name", var->name, NULL);
}

/* `grades: severity`: the choice becomes the incident's severity, so that every value must be one. */
static void
check_grades(const place *p, const mu_var *var)
{
    static const char *const levels[] = { "I", "II", "III", "IV" };
    const json_t *value;
    bool fits = p->node->name_count == 1 && var != NULL && var->type.kind == MU_T_ENUM && !var->secret;
    size_t i, j;

    if (json_object_get(p->node->json, "grades") == NULL)
        return;
    if (!mu_same(mu_json_str(p->node->json, "grades"), "severity")) {
        MU_BREAK(p->r, "V01", "wrong_value", MU_FINDING_ERROR, p->node->path, at(p, "grades"), "field", "grades", NULL);
        return;
    }
    json_array_foreach(fits ? var->type.values : NULL, i, value) {
        for (j = 0; j < MU_COUNT(levels) && !mu_same(json_string_value(value), levels[j]); j++)
            continue;
        fits = fits && j < MU_COUNT(levels);
    }
    if (!fits)
        MU_BREAK(p->r, "V09", "grades", MU_FINDING_ERROR, p->node->path, at(p, "grades"), "name", var == NULL ? "" : var->name, NULL);
}

static void
check_decide(const place *p)
{
    const json_t *options = json_object_get(p->node->json, "options"), *fallback = json_object_get(p->node->json, "default_after");
    const json_t *option;
    const mu_var *var = NULL;
    size_t i;

    for (i = 0; i < p->node->name_count; i++)
        var = check_target(p, p->node->names[i], at(p, "into"));
    check_grades(p, var);
    if (p->node->name_count != 1)
        return;
    if (options == NULL && var != NULL && var->type.kind != MU_T_ENUM && var->type.kind != MU_T_BOOL)
        MU_BREAK(p->r, "V09", "no_options", MU_FINDING_ERROR, p->node->path, at(p, "into"), "name", var->name, NULL);
    json_array_foreach(options, i, option)
        check_option(p, var, json_is_object(option) ? json_object_get(option, "value") : option,
            mu_pointer_at(p->r->arena, at(p, "options"), i));
    if (fallback != NULL)
        check_option(p, var, json_object_get(fallback, "value"), mu_pointer(p->r->arena, at(p, "default_after"), "value"));
}

static void
check_form(const place *p, const json_t *form, const char *pointer)
{
    const json_t *field;
    size_t i;

    json_array_foreach(form, i, field)
        if (mu_json_str(field, "var") != NULL)
            check_target(p, mu_json_str(field, "var"), mu_pointer(p->r->arena, mu_pointer_at(p->r->arena, pointer, i), "var"));
}

static void
check_forms(const place *p)
{
    const json_t *item;
    size_t i;

    check_form(p, json_object_get(p->node->json, "form"), at(p, "form"));
    json_array_foreach(json_object_get(p->node->json, "items"), i, item)
        check_form(p, json_object_get(item, "form"),
            mu_pointer(p->r->arena, mu_pointer_at(p->r->arena, at(p, "items"), i), "form"));
}

/* role.x must be a role; group., user., contact. are known to the organisation and checked when the version is published. */
static void
check_to(const place *p)
{
    static const char *const prefixes[] = { "group.", "user.", "contact." };
    const json_t *to;
    size_t i, j;

    json_array_foreach(json_object_get(p->node->json, "to"), i, to) {
        const char *name = json_string_value(to), *pointer = mu_pointer_at(p->r->arena, at(p, "to"), i);
        bool known = false;
        if (name == NULL)
            continue;
        for (j = 0; j < MU_COUNT(prefixes); j++)
            known = known || (mu_starts(name, prefixes[j]) && mu_is_slug(name + strlen(prefixes[j])));
        if (mu_starts(name, "role."))
            mu_check_role(p->r, p->node, name + 5, pointer);
        else if (!known)
            MU_BREAK(p->r, "V12", "receiver", MU_FINDING_ERROR, p->node->path, pointer, "name", name, NULL);
    }
    json_array_foreach(json_object_get(p->node->json, "via"), i, to) {
        const char *name = json_string_value(to);
        if (name != NULL && strcmp(name, "email") != 0 && !(mu_starts(name, "webhook.") && mu_is_slug(name + 8)))
            MU_BREAK(p->r, "V12", "channel", MU_FINDING_ERROR, p->node->path, mu_pointer_at(p->r->arena, at(p, "via"), i),
                "name", name, NULL);
    }
}

/* -- switch, loops, calls, http ------------------------------------------------------------------------------------------------ */

static bool
case_known(const mu_node *node, const char *value)
{
    for (size_t i = 0; i < node->block_count; i++)
        if (strcmp(node->blocks[i]->name, value) == 0)
            return true;
    return false;
}

/* A case is the text of a value of the type. */
static bool
case_fits(mu_arena *arena, const mu_type *type, const char *text)
{
    json_t *json = mu_json_own(arena, type->kind == MU_T_BOOL ? mu_same(text, "true") ? json_true() : mu_same(text, "false") ? json_false() : json_null() : json_string(text));
    mu_value ignored;
    int64_t number;

    if (type->kind == MU_T_INT)
        return mu_parse_int(text, INT64_MIN, INT64_MAX, &number);
    return type->kind == MU_T_ANY || mu_value_from_json(arena, json, type, &ignored);
}

bool
mu_switch_complete(const mu_playbook *pb, const mu_node *node)
{
    mu_seen seen = { pb, node };
    mu_names names = { .type = mu_seen_type, .closure = &seen };
    mu_expression_error why;
    mu_type type;
    size_t i;
    json_t *value;
    bool all = json_object_get(node->json, "default") != NULL;

    if (all || node->cond == NULL || !mu_expression_check(node->cond, &names, &type, &why))
        return all;
    if (type.kind == MU_T_BOOL)
        return case_known(node, "true") && case_known(node, "false");
    if (type.kind != MU_T_ENUM)
        return false;
    json_array_foreach(type.values, i, value)
        if (!case_known(node, json_string_value(value)))
            return false;
    return json_array_size(type.values) > 0;
}

static void
check_switch(const place *p)
{
    const json_t *cases = json_object_get(p->node->json, "cases"), *block;
    mu_type type;
    const char *value;

    if (!type_of(p, p->node->cond, at(p, "on"), &type))
        return;
    if (type.kind == MU_T_LIST || type.kind == MU_T_SECRET)
        MU_BREAK(p->r, "V09", "result", MU_FINDING_ERROR, p->node->path, at(p, "on"), NULL);
    json_object_foreach((json_t *)(uintptr_t)cases, value, block)
        if (!case_fits(p->r->arena, &type, value))
            MU_BREAK(p->r, "V09", "case", MU_FINDING_ERROR, p->node->path, mu_pointer(p->r->arena, at(p, "cases"), value), "value", value, NULL);
    if ((type.kind == MU_T_ENUM || type.kind == MU_T_BOOL) && !mu_switch_complete(p->r->pb, p->node))
        MU_BREAK(p->r, "V09", "cases", MU_FINDING_ERROR, p->node->path, at(p, "cases"), NULL);
}

static void
check_for_each(const place *p)
{
    mu_type type;

    if (type_of(p, p->node->cond, at(p, "in"), &type) && type.kind != MU_T_LIST && type.kind != MU_T_ANY)
        MU_BREAK(p->r, "V09", "list", MU_FINDING_ERROR, p->node->path, at(p, "in"), NULL);
}

static void
check_with(const place *p)
{
    mu_type type;

    for (size_t i = 0; i < p->node->with_count; i++) {
        const char *pointer = mu_pointer(p->r->arena, at(p, "with"), p->node->with[i]);
        if (type_of(p, p->node->given[i], pointer, &type) && type.kind == MU_T_SECRET)
            mu_find(p->r, "V25", "place", MU_FINDING_ERROR, p->node->path, pointer, "name", p->node->with[i], NULL);
    }
    for (size_t i = 0; i < p->node->save_count; i++)
        check_target(p, p->node->save[i], mu_pointer(p->r->arena, at(p, "save"), p->node->save[i]));
}

/* What an answer has: its status (a number), headers (texts), and a body of any shape. */
static void
check_answer(const place *p)
{
    for (size_t i = 0; i < p->node->save_count; i++) {
        const char *from = p->node->saved_from[i], *pointer = mu_pointer(p->r->arena, at(p, "save"), p->node->save[i]);
        const mu_var *var = check_target(p, p->node->save[i], pointer);
        mu_type_kind kind = var == NULL ? MU_T_ANY : var->type.kind;
        bool status = mu_same(from, "response.status"), header = mu_starts(from, "response.headers.") && from[17] != '\0';
        if (!status && !header && !mu_same(from, "response.body") && !(mu_starts(from, "response.body.") && from[14] != '\0'))
            MU_BREAK(p->r, "V07", "response", MU_FINDING_ERROR, p->node->path, pointer, "name", from, NULL);
        else if ((status && kind != MU_T_INT && kind != MU_T_DECIMAL && kind != MU_T_ANY)
            || (header && (kind == MU_T_BOOL || kind == MU_T_INT || kind == MU_T_LIST)))
            MU_BREAK(p->r, "V09", "save", MU_FINDING_ERROR, p->node->path, pointer, "name", p->node->save[i], NULL);
    }
}

static void
check_inject(const place *p)
{
    static const mu_type instant = { .kind = MU_T_DATETIME };
    const char *step = p->node->expected.step;

    check_expression(p, p->node->cond, at(p, "at"), &instant);
    check_to(p);
    if (step != NULL && json_object_get(p->r->ids, step) == NULL)
        MU_BREAK(p->r, "V12", "step", MU_FINDING_ERROR, p->node->path, mu_pointer(p->r->arena, at(p, "expect"), "step"), "name", step, NULL);
}

/* -- texts --------------------------------------------------------------------------------------------------------------------- */

/* {{x}} in texts. */
static void
check_placeholder(void *closure, const char *name)
{
    const place *p = closure;
    mu_seen seen = { p->r->pb, p->node };
    mu_type type;

    if (mu_starts(name, "conn."))
        mu_find(p->r, "V26", "conn", MU_FINDING_ERROR, p->node->path, p->pointer, "name", name, NULL);
    else if (!mu_seen_type(&seen, name, &type))
        MU_BREAK(p->r, "V07", "undefined", MU_FINDING_ERROR, p->node->path, p->pointer, "name", name, NULL);
    else if (type.kind == MU_T_SECRET && !p->secrets)
        mu_find(p->r, "V25", "place", MU_FINDING_ERROR, p->node->path, p->pointer, "name", name, NULL);
}

static void
check_texts(place *p, const json_t *json, const char *pointer)
{
    const char *key;
    json_t *value;
    size_t i;

    p->pointer = pointer;
    if (json_is_string(json) && !mu_text_names(p->r->arena, json_string_value(json), check_placeholder, p))
        MU_BREAK(p->r, "V01", "placeholder", MU_FINDING_ERROR, p->node->path, pointer, NULL);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        check_texts(p, value, mu_pointer(p->r->arena, pointer, key));
    json_array_foreach(json, i, value)
        check_texts(p, value, mu_pointer_at(p->r->arena, pointer, i));
}

/* Headers and body may hold secrets: they are put there by the sender. The address may not, for it is written into logs. */
static void
check_request(place *p)
{
    const char *pointer = at(p, "request"), *url = p->node->http->url;

    p->pointer = mu_pointer(p->r->arena, pointer, "url");
    if (!mu_text_names(p->r->arena, url, check_placeholder, p))
        MU_BREAK(p->r, "V01", "placeholder", MU_FINDING_ERROR, p->node->path, p->pointer, NULL);
    p->secrets = true;
    check_texts(p, p->node->http->headers, mu_pointer(p->r->arena, pointer, "headers"));
    check_texts(p, p->node->http->body, mu_pointer(p->r->arena, pointer, "body"));
    p->secrets = false;
}

static void
check_node_texts(place *p)
{
    static const char *const members[] = { "title", "text", "zh", "en", "from", "fields", "state" };
    const json_t *item;
    size_t i;

    for (i = 0; i < MU_COUNT(members); i++)
        check_texts(p, json_object_get(p->node->json, members[i]), at(p, members[i]));
    json_array_foreach(json_object_get(p->node->json, "items"), i, item) {
        const char *here = mu_pointer_at(p->r->arena, at(p, "items"), i);
        check_texts(p, json_object_get(item, "zh"), mu_pointer(p->r->arena, here, "zh"));
        check_texts(p, json_object_get(item, "en"), mu_pointer(p->r->arena, here, "en"));
    }
    if (p->node->http != NULL)
        check_request(p);
}

static void
check_node(mu_reader *r, const mu_node *node)
{
    static const mu_type truth = { .kind = MU_T_BOOL }, instant = { .kind = MU_T_DATETIME };
    place p = { .r = r, .node = node };

    check_expression(&p, node->when, at(&p, "when"), &truth);
    check_forms(&p);
    check_node_texts(&p);
    switch (node->kind) {
    case MU_K_SET:      check_set(&p); break;
    case MU_K_DECIDE:   check_decide(&p); break;
    case MU_K_NOTIFY:   check_to(&p); break;
    case MU_K_HTTP:     check_answer(&p); break;
    case MU_K_IF:
    case MU_K_WHILE:    check_expression(&p, node->cond, at(&p, "cond"), &truth); break;
    case MU_K_SWITCH:   check_switch(&p); break;
    case MU_K_FOR_EACH: check_for_each(&p); break;
    case MU_K_WAIT:     check_expression(&p, node->cond, at(&p, "until"), &instant); break;
    case MU_K_CALL:     check_with(&p); break;
    case MU_K_INJECT:   check_inject(&p); break;
    case MU_K_TASK: case MU_K_CHECKLIST: case MU_K_APPROVE: case MU_K_STATUS: case MU_K_REPORT: case MU_K_PARALLEL: case MU_K_MILESTONE:
    case MU_K_END: case MU_K_COUNT:
        break;
    }
}

void
mu_check_names(mu_reader *r)
{
    for (size_t i = 0; i < r->pb->node_count; i++)
        check_node(r, r->pb->nodes[i]);
}
