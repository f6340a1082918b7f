/* Checks of people and their times: who does it (V16), whom it is escalated to (V17), who may approve (V13), and reports (V19). */
#include "check.h"

#include <string.h>

#include "json.h"
#include "str.h"

static const char *
at(const mu_reader *r, const mu_node *node, const char *member)
{
    return mu_pointer(r->arena, node->pointer, member);
}

void
mu_check_role(mu_reader *r, const mu_node *node, const char *role, const char *pointer)
{
    if (role != NULL && !mu_role_known(r->pb, role))
        MU_BREAK(r, "V12", "role", MU_FINDING_ERROR, node->path, pointer, "name", role, NULL);
}

static void
check_escalation(mu_reader *r, const mu_node *node)
{
    const mu_node_deadline *d = &node->deadline;
    const char *pointer = at(r, node, "deadline");
    const json_t *json = json_object_get(node->json, "deadline");

    if (!d->given)
        return;
    if (d->from != NULL && mu_milestone_find(r->pb, d->from) == NULL)
        MU_BREAK(r, "V12", "milestone", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, pointer, "from"), "name", d->from, NULL);
    if (json_object_get(json, "escalate") != NULL && d->escalate_count == 0)
        mu_find(r, "V17", "empty", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, pointer, "escalate"), NULL);
    for (size_t i = 0; i < d->escalate_count; i++) {
        const char *here = mu_pointer_at(r->arena, mu_pointer(r->arena, pointer, "escalate"), i);
        mu_check_role(r, node, d->escalate[i], here);
        if (mu_same(d->escalate[i], node->role))
            mu_find(r, "V17", "self", MU_FINDING_ERROR, node->path, here, "role", d->escalate[i], NULL);
        for (size_t j = 0; j < i; j++)
            if (strcmp(d->escalate[i], d->escalate[j]) == 0)
                mu_find(r, "V17", "circular", MU_FINDING_ERROR, node->path, here, "role", d->escalate[i], NULL);
    }
}

static void
check_approve(mu_reader *r, const mu_node *node)
{
    const json_t *role = json_object_get(r->pb->roles, node->role == NULL ? "" : node->role), *name;
    const json_t *no = json_object_get(json_object_get(node->json, "by"), "not");
    const char *pointer = mu_pointer(r->arena, at(r, node, "by"), "count");
    char *count = mu_printf(r->arena, "%lld", (long long)node->count);
    size_t i;

    if (role != NULL && mu_json_int(role, "max", INT64_MAX) < node->count)
        mu_find(r, "V13", "too_few", MU_FINDING_ERROR, node->path, pointer, "role", node->role, "count", count, NULL);
    else if (role != NULL && json_object_get(role, "min") != NULL && mu_json_int(role, "min", 0) < node->count)
        mu_find(r, "V13", "maybe_too_few", MU_FINDING_WARNING, node->path, pointer, "role", node->role, "count", count, NULL);
    json_array_foreach(no, i, name) {
        const char *text = json_string_value(name);
        const char *here = mu_pointer_at(r->arena, mu_pointer(r->arena, at(r, node, "by"), "not"), i);
        if (text == NULL || (strcmp(text, "requester") != 0 && !mu_is_uuid(text) && !mu_role_known(r->pb, text)))
            MU_BREAK(r, "V12", "role", MU_FINDING_ERROR, node->path, here, "name", text == NULL ? "" : text, NULL);
        else if (mu_same(text, node->role))
            mu_find(r, "V13", "never_filled", MU_FINDING_ERROR, node->path, here, "role", text, NULL);
    }
}

static bool
repeated(const mu_block *block)
{
    for (const mu_node *n = block->owner; n != NULL; n = n->block->owner)
        if (n->kind == MU_K_WHILE || n->kind == MU_K_FOR_EACH)
            return true;
    return false;
}

/* True when it stands earlier, in another branch of a parallel, or anywhere in the same loop. */
bool
mu_can_precede(const mu_node *before, const mu_node *node)
{
    for (const mu_node *a = before; a != NULL; a = a->block->owner)
        for (const mu_node *b = node; b != NULL; b = b->block->owner) {
            bool siblings = a != b && a->block != b->block && a->block->owner != NULL && a->block->owner == b->block->owner;
            if (siblings)
                return a->block->owner->kind == MU_K_PARALLEL || b->block->kind == MU_BLOCK_HANDLER;
            if (a->block == b->block && a != b)
                return a->index < b->index || repeated(a->block);
        }
    return false;
}

static void
check_report(mu_reader *r, const mu_node *node)
{
    const mu_node_deadline *d = &node->deadline;
    bool possible = d->from == NULL;

    if (mu_json_str(node->json, "profile") == NULL)
        mu_find(r, "V19", "no_profile", MU_FINDING_ERROR, node->path, node->pointer, NULL);
    if (!d->given)
        mu_find(r, "V19", "no_deadline", MU_FINDING_ERROR, node->path, node->pointer, NULL);
    if (d->given && d->after.variable == NULL)
        mu_find(r, "V19", "literal", MU_FINDING_WARNING, node->path, mu_pointer(r->arena, at(r, node, "deadline"), "after"), NULL);
    for (size_t i = 0; i < r->pb->node_count && !possible; i++) {
        const mu_node *other = r->pb->nodes[i];
        possible = other->kind == MU_K_MILESTONE && strcmp(other->id, d->from) == 0 && mu_can_precede(other, node);
    }
    if (!possible && mu_milestone_find(r->pb, d->from) != NULL)
        mu_find(r, "V19", "never_starts", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, at(r, node, "deadline"), "from"),
            "name", d->from, NULL);
    mu_check_role(r, node, node->sign_role, mu_pointer(r->arena, at(r, node, "sign"), "role"));
}

static void
check_node(mu_reader *r, const mu_node *node)
{
    const char *role_at = node->kind == MU_K_APPROVE ? mu_pointer(r->arena, at(r, node, "by"), "role") : at(r, node, "role");

    mu_check_role(r, node, node->role, role_at);
    if (mu_kind_person(node->kind) && node->role == NULL)
        mu_find(r, "V16", "no_role", MU_FINDING_ERROR, node->path, node->pointer, NULL);
    if (node->critical && !node->deadline.given)
        mu_find(r, "V16", "no_deadline", MU_FINDING_WARNING, node->path, node->pointer, NULL);
    check_escalation(r, node);
    if (node->kind == MU_K_APPROVE)
        check_approve(r, node);
    if (node->kind == MU_K_REPORT)
        check_report(r, node);
}

void
mu_check_people(mu_reader *r)
{
    for (size_t i = 0; i < r->pb->node_count; i++)
        check_node(r, r->pb->nodes[i]);
}
