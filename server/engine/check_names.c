/* Checks that need the whole tree: names, types, roles, deadlines, reports. */
#include "expression_tree.h"
#include "model.h"

#include <string.h>

#include "json.h"
#include "str.h"

typedef struct { mu_reader *r; const mu_node *node; const char *pointer; } place;

static const char *
at(const place *p, const char *member)
{
    return mu_pointer(p->r->arena, p->node->pointer, member);
}

static void
check_role(const place *p, const char *role, const char *pointer)
{
    if (role != NULL && !mu_role_known(p->r->pb, role))
        MU_BREAK(p->r, "V12", "role", MU_FINDING_ERROR, p->node->path, pointer, "name", role, NULL);
}

static void
check_expression(const place *p, const mu_expression *e, const char *pointer, const mu_type *want)
{
    mu_seen seen = { p->r->pb, p->node };
    mu_names names = { .type = mu_seen_type, .closure = &seen };
    mu_expression_error why;
    mu_type type;
    char *column;
    bool fits;

    if (e == NULL)
        return;
    if (!mu_expression_check(e, &names, &type, &why)) {
        column = mu_printf(p->r->arena, "%u", why.column);
        if (strcmp(why.key, "error.expression.unknown") == 0)
            MU_BREAK(p->r, "V07", "undefined", MU_FINDING_ERROR, p->node->path, pointer, "name", why.name, NULL);
        else
            MU_BREAK(p->r, "V09", why.key, MU_FINDING_ERROR, p->node->path, pointer, "column", column, "name", why.name == NULL ? "" : why.name, NULL);
        return;
    }
    fits = want->kind == type.kind || type.kind == MU_T_ANY || (want->kind == MU_T_DECIMAL && type.kind == MU_T_INT)
        || (type.kind == MU_T_TEXT && (want->kind == MU_T_ENUM || want->kind == MU_T_USER))
        || (want->kind == MU_T_TEXT && (type.kind == MU_T_ENUM || type.kind == MU_T_USER));
    if (!fits)
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

    if (var == NULL)
        MU_BREAK(p->r, "V07", "undefined", MU_FINDING_ERROR, p->node->path, pointer, "name", name, NULL);
    else if (var->constant)
        mu_find(p->r, "V11", "constant", MU_FINDING_ERROR, p->node->path, pointer, "name", name, NULL);
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
            check_role(p, name + 5, pointer);
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

static void
check_escalation(const place *p)
{
    const mu_node_deadline *d = &p->node->deadline;
    const char *pointer = at(p, "deadline");
    const json_t *json = json_object_get(p->node->json, "deadline");

    if (!d->given)
        return;
    if (d->from != NULL && mu_milestone_find(p->r->pb, d->from) == NULL)
        MU_BREAK(p->r, "V12", "milestone", MU_FINDING_ERROR, p->node->path, mu_pointer(p->r->arena, pointer, "from"), "name", d->from, NULL);
    if (json_object_get(json, "escalate") != NULL && d->escalate_count == 0)
        mu_find(p->r, "V17", "empty", MU_FINDING_ERROR, p->node->path, mu_pointer(p->r->arena, pointer, "escalate"), NULL);
    for (size_t i = 0; i < d->escalate_count; i++) {
        const char *here = mu_pointer_at(p->r->arena, mu_pointer(p->r->arena, pointer, "escalate"), i);
        check_role(p, d->escalate[i], here);
        if (mu_same(d->escalate[i], p->node->role))
            mu_find(p->r, "V17", "self", MU_FINDING_ERROR, p->node->path, here, "role", d->escalate[i], NULL);
        for (size_t j = 0; j < i; j++)
            if (strcmp(d->escalate[i], d->escalate[j]) == 0)
                mu_find(p->r, "V17", "circular", MU_FINDING_ERROR, p->node->path, here, "role", d->escalate[i], NULL);
    }
}

static void
check_approve(const place *p)
{
    const json_t *role = json_object_get(p->r->pb->roles, p->node->role == NULL ? "" : p->node->role), *name;
    const json_t *no = json_object_get(json_object_get(p->node->json, "by"), "not");
    const char *pointer = mu_pointer(p->r->arena, at(p, "by"), "count");
    char *count = mu_printf(p->r->arena, "%lld", (long long)p->node->count);
    size_t i;

    if (role != NULL && mu_json_int(role, "max", INT64_MAX) < p->node->count)
        mu_find(p->r, "V13", "too_few", MU_FINDING_ERROR, p->node->path, pointer, "role", p->node->role, "count", count, NULL);
    else if (role != NULL && json_object_get(role, "min") != NULL && mu_json_int(role, "min", 0) < p->node->count)
        mu_find(p->r, "V13", "maybe_too_few", MU_FINDING_WARNING, p->node->path, pointer, "role", p->node->role, "count", count, NULL);
    json_array_foreach(no, i, name) {
        const char *text = json_string_value(name);
        const char *here = mu_pointer_at(p->r->arena, mu_pointer(p->r->arena, at(p, "by"), "not"), i);
        if (text == NULL || (strcmp(text, "requester") != 0 && !mu_is_uuid(text) && !mu_role_known(p->r->pb, text)))
            MU_BREAK(p->r, "V12", "role", MU_FINDING_ERROR, p->node->path, here, "name", text == NULL ? "" : text, NULL);
        else if (mu_same(text, p->node->role))
            mu_find(p->r, "V13", "never_filled", MU_FINDING_ERROR, p->node->path, here, "role", text, NULL);
    }
}

/* Can `before` have happened when `node` starts? True when it stands earlier, or in another branch of a parallel. */
static bool
can_precede(const mu_node *before, const mu_node *node)
{
    for (const mu_node *a = before; a != NULL; a = a->block->owner)
        for (const mu_node *b = node; b != NULL; b = b->block->owner) {
            bool siblings = a != b && a->block != b->block && a->block->owner != NULL && a->block->owner == b->block->owner;
            if (siblings)
                return a->block->owner->kind == MU_K_PARALLEL || b->block->kind == MU_BLOCK_HANDLER;
            if (a->block == b->block && a != b)
                return a->index < b->index;
        }
    return false;
}

static void
check_report(const place *p)
{
    const mu_node_deadline *d = &p->node->deadline;
    bool possible = d->from == NULL;

    if (mu_json_str(p->node->json, "profile") == NULL)
        mu_find(p->r, "V19", "no_profile", MU_FINDING_ERROR, p->node->path, p->node->pointer, NULL);
    if (!d->given)
        mu_find(p->r, "V19", "no_deadline", MU_FINDING_ERROR, p->node->path, p->node->pointer, NULL);
    if (d->given && d->after.variable == NULL)
        mu_find(p->r, "V19", "literal", MU_FINDING_WARNING, p->node->path, mu_pointer(p->r->arena, at(p, "deadline"), "after"), NULL);
    for (size_t i = 0; i < p->r->pb->node_count && !possible; i++) {
        const mu_node *other = p->r->pb->nodes[i];
        possible = other->kind == MU_K_MILESTONE && strcmp(other->id, d->from) == 0 && can_precede(other, p->node);
    }
    if (!possible && mu_milestone_find(p->r->pb, d->from) != NULL)
        mu_find(p->r, "V19", "never_starts", MU_FINDING_ERROR, p->node->path, mu_pointer(p->r->arena, at(p, "deadline"), "from"),
            "name", d->from, NULL);
    check_role(p, p->node->sign_role, mu_pointer(p->r->arena, at(p, "sign"), "role"));
}

/* {{x}} in titles, texts and items. */
static void
check_placeholder(void *closure, const char *name)
{
    const place *p = closure;
    mu_seen seen = { p->r->pb, p->node };
    mu_type type;

    if (!mu_seen_type(&seen, name, &type))
        MU_BREAK(p->r, "V07", "undefined", MU_FINDING_ERROR, p->node->path, p->pointer, "name", name, NULL);
}

static void
check_texts(place *p, const json_t *json, const char *pointer)
{
    const char *key;
    json_t *value;

    p->pointer = pointer;
    if (json_is_string(json)) {
        if (!mu_text_names(p->r->arena, json_string_value(json), check_placeholder, p))
            MU_BREAK(p->r, "V01", "placeholder", MU_FINDING_ERROR, p->node->path, pointer, NULL);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        if (json_is_string(value))
            check_texts(p, value, mu_pointer(p->r->arena, pointer, key));
}

static void
check_node_texts(place *p)
{
    const json_t *item;
    size_t i;

    check_texts(p, json_object_get(p->node->json, "title"), at(p, "title"));
    check_texts(p, json_object_get(p->node->json, "text"), at(p, "text"));
    json_array_foreach(json_object_get(p->node->json, "items"), i, item) {
        const char *here = mu_pointer_at(p->r->arena, at(p, "items"), i);
        check_texts(p, json_object_get(item, "zh"), mu_pointer(p->r->arena, here, "zh"));
        check_texts(p, json_object_get(item, "en"), mu_pointer(p->r->arena, here, "en"));
    }
}

static void
check_node(mu_reader *r, const mu_node *node)
{
    static const mu_type truth = { .kind = MU_T_BOOL }, instant = { .kind = MU_T_DATETIME };
    place p = { .r = r, .node = node };
    const char *role_pointer = node->kind == MU_K_APPROVE ? mu_pointer(r->arena, at(&p, "by"), "role") : at(&p, "role");

    check_expression(&p, node->when, at(&p, "when"), &truth);
    check_role(&p, node->role, role_pointer);
    if (mu_kind_person(node->kind) && node->role == NULL)
        mu_find(r, "V16", "no_role", MU_FINDING_ERROR, node->path, node->pointer, NULL);
    if (node->critical && !node->deadline.given)
        mu_find(r, "V16", "no_deadline", MU_FINDING_WARNING, node->path, node->pointer, NULL);
    check_escalation(&p);
    check_forms(&p);
    check_node_texts(&p);
    if (node->kind == MU_K_SET)
        check_set(&p);
    if (node->kind == MU_K_DECIDE)
        check_decide(&p);
    if (node->kind == MU_K_NOTIFY)
        check_to(&p);
    if (node->kind == MU_K_APPROVE)
        check_approve(&p);
    if (node->kind == MU_K_REPORT)
        check_report(&p);
    if (node->kind == MU_K_IF)
        check_expression(&p, node->cond, at(&p, "cond"), &truth);
    if (node->kind == MU_K_WAIT)
        check_expression(&p, node->cond, at(&p, "until"), &instant);
}

void
mu_check_names(mu_reader *r)
{
    for (size_t i = 0; i < r->pb->node_count; i++)
        check_node(r, r->pb->nodes[i]);
}
