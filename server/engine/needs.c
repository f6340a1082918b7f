/* What a playbook names outside itself, for whoever publishes or starts it. */
#include "model.h"

#include <string.h>

#include "json.h"
#include "str.h"

static void
add_once(json_t *list, const char *text)
{
    size_t i;
    json_t *one;

    if (text == NULL)
        return;
    json_array_foreach(list, i, one)
        if (mu_same(json_string_value(one), text))
            return;
    json_array_append_new(list, json_string(text));
}

static void
receivers(json_t *needs, const mu_node *node)
{
    static const struct { const char *prefix, *list; } kinds[] = { { "group.", "groups" }, { "user.", "users" }, { "contact.", "contacts" } };
    const json_t *ref;
    size_t i, j;

    json_array_foreach(json_object_get(node->json, "to"), i, ref)
        for (j = 0; j < MU_COUNT(kinds); j++)
            if (json_is_string(ref) && mu_starts(json_string_value(ref), kinds[j].prefix))
                add_once(json_object_get(needs, kinds[j].list), json_string_value(ref) + strlen(kinds[j].prefix));
    json_array_foreach(node->kind == MU_K_NOTIFY ? json_object_get(node->json, "via") : NULL, i, ref)
        add_once(json_object_get(needs, "channels"), json_string_value(ref));
}

static json_t *
var_row(const mu_var *var)
{
    const json_t *json = var->json;
    bool required = var->initial == NULL && (var->param || mu_same(var->from, "trigger") || mu_same(var->from, "form"));
    json_t *row = json_pack("{s:s, s:O?, s:O?, s:O?, s:O?, s:O?, s:b}", "name", var->name, "type", json_object_get(json, "type"),
        "title", json_object_get(json, "title"), "from", json_object_get(json, "from"), "values", json_object_get(json, "values"),
        "default", var->secret ? NULL : json_object_get(json, "default"), "required", required);

    return row;
}

json_t *
mu_playbook_needs(mu_arena *arena, const mu_playbook *pb)
{
    static const char *const lists[] = { "groups", "users", "contacts", "channels", "profiles", "components", "connections", "playbooks", "secrets" };
    json_t *needs = mu_json_own(arena, json_object()), *vars = json_array();

    json_object_set_new(needs, "roles", pb->roles == NULL ? json_object() : json_incref((json_t *)(uintptr_t)pb->roles));
    for (size_t i = 0; i < MU_COUNT(lists); i++)
        json_object_set_new(needs, lists[i], json_array());
    for (size_t i = 0; i < pb->node_count; i++) {
        const mu_node *node = pb->nodes[i];
        if (node->kind == MU_K_NOTIFY || node->kind == MU_K_INJECT)
            receivers(needs, node);
        if (node->kind == MU_K_HTTP)
            add_once(json_object_get(needs, "connections"), node->http->connection);
        if (node->kind == MU_K_CALL)
            add_once(json_object_get(needs, "playbooks"), node->playbook);
        if (node->kind == MU_K_REPORT)
            add_once(json_object_get(needs, "profiles"), mu_json_str(node->json, "profile"));
        if (node->kind == MU_K_STATUS)
            add_once(json_object_get(needs, "components"), mu_json_str(node->json, "component"));
    }
    json_object_set_new(needs, "vars", vars);
    for (size_t i = 0; i < pb->var_count; i++) {
        json_array_append_new(vars, var_row(&pb->vars[i]));
        if (pb->vars[i].type.kind == MU_T_SECRET)
            add_once(json_object_get(needs, "secrets"), pb->vars[i].name);
    }
    return needs;
}

/* A call of a playbook, and whether anything in it reaches people or machines outside: seen in the document as it is written, so that
 * a playbook with errors can still be looked at by those who call it. */
static void
summary_step(json_t *calls, bool *outside, const json_t *json)
{
    const char *method = mu_json_str(json_object_get(json, "request"), "method");
    bool reads = mu_same(method, "GET") || mu_same(method, "HEAD");
    const json_t *to;
    size_t i;

    if (mu_json_str(json, "call") != NULL && mu_json_str(json, "playbook") != NULL)
        add_once(calls, mu_json_str(json, "playbook"));
    *outside = *outside || (mu_json_str(json, "http") != NULL && !reads) || mu_json_str(json, "status") != NULL;
    json_array_foreach(mu_json_str(json, "notify") == NULL ? NULL : json_object_get(json, "to"), i, to)
        *outside = *outside || (json_is_string(to) && mu_starts(json_string_value(to), "contact."));
}

static void
summary_walk(json_t *calls, bool *outside, const json_t *json, unsigned depth)
{
    const char *key;
    json_t *value;
    size_t i;

    if (depth > 2 * MU_PLAYBOOK_DEPTH)
        return;
    if (json_is_object(json))
        summary_step(calls, outside, json);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        summary_walk(calls, outside, value, depth + 1);
    json_array_foreach(json, i, value)
        summary_walk(calls, outside, value, depth + 1);
}

json_t *
mu_playbook_summary(mu_arena *arena, const json_t *doc)
{
    json_t *calls = json_array(), *params = json_object_get(doc, "params"), *vars = json_object_get(doc, "vars");
    bool outside = false;

    summary_walk(calls, &outside, doc, 0);
    return mu_json_own(arena, json_pack("{s:O?, s:O?, s:o, s:b}", "params", json_is_object(params) ? params : NULL, "vars",
        json_is_object(vars) ? vars : NULL, "calls", calls, "outside", (int)outside));
}
