/* Calls of other playbooks: circles (V04), how deep they go (V05), whether the one called is there (V12), gets what it asks for (V11) and
 * gives back what is taken (V07, V09). A circle through oneself is seen in the document; all else needs the surroundings. */
#include "check.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define CALL_DEPTH 8

int64_t
mu_call_split(mu_arena *arena, const char *text, const char **ret_slug)
{
    const char *at = strchr(text, '@');
    int64_t version;

    *ret_slug = at == NULL ? text : mu_strndup(arena, text, (size_t)(at - text));
    if (at == NULL)
        return -1;
    return mu_parse_int(at + 1, 1, 1000000, &version) ? version : -2;
}

const json_t *
mu_call_summary(const mu_reader *r, const char *text)
{
    const char *slug;
    int64_t version = mu_call_split(r->arena, text, &slug);
    const json_t *playbook = json_object_get(mu_around(r, "playbooks"), slug), *versions = json_object_get(playbook, "versions");

    if (json_object_get(versions, "*") != NULL)
        return json_object_get(versions, "*");
    if (version == -1)
        version = mu_json_int(playbook, "latest", 0);
    return json_object_get(versions, mu_printf(r->arena, "%lld", (long long)version));
}

/* -- circles and depth ------------------------------------------------------------------------------------------------------- */

typedef struct { mu_reader *r; const char *stack[CALL_DEPTH + 1]; json_t *seen; const char *circle; bool deep; } walk;

static char *
way(const walk *w, size_t depth)
{
    char *text = mu_strdup(w->r->arena, w->r->pb->id == NULL ? "" : w->r->pb->id);

    for (size_t i = 0; i < depth; i++)
        text = mu_printf(w->r->arena, "%s → %s", text, w->stack[i]);
    return text;
}

/* Follows the calls of the playbook called, at most eight deep. Each is looked into once for each depth, so that many calls of few
 * playbooks stay cheap. */
static void
follow(walk *w, const char *text, size_t depth)
{
    const json_t *calls, *call;
    const char *slug, *mark = mu_printf(w->r->arena, "%zu %s", depth, text);
    size_t i;

    (void)mu_call_split(w->r->arena, text, &slug);
    if (json_object_get(w->seen, mark) != NULL || w->circle != NULL)
        return;
    json_object_set_new(w->seen, mark, json_true());
    if (depth == CALL_DEPTH) {
        w->deep = true;
        return;
    }
    w->stack[depth] = slug;
    if (mu_same(slug, w->r->pb->id)) {
        w->circle = way(w, depth + 1);
        return;
    }
    for (i = 0; i < depth; i++)
        if (strcmp(w->stack[i], slug) == 0)
            return;                               /* a circle of others: said where they are checked */
    calls = json_object_get(mu_call_summary(w->r, text), "calls");
    json_array_foreach(calls, i, call)
        if (json_is_string(call))
            follow(w, json_string_value(call), depth + 1);
}

static void
check_circle(mu_reader *r, const mu_node *node, const char *text, const char *pointer)
{
    walk w = { .r = r, .seen = mu_json_own(r->arena, json_object()) };

    follow(&w, text, 0);
    if (w.circle != NULL)
        mu_find(r, "V04", "playbooks", MU_FINDING_ERROR, node->path, pointer, "way", w.circle, NULL);
    else if (w.deep)
        mu_find(r, "V05", "call_depth", MU_FINDING_ERROR, node->path, pointer, "most", "8", NULL);
}

/* -- what goes in and comes out ------------------------------------------------------------------------------------------------ */

static bool
known_to_callers(const json_t *summary, const char *name)
{
    return json_object_get(json_object_get(summary, "params"), name) != NULL;
}

/* As mu_playbook reads it; MU_T_ANY for what it would not accept, which is said where that playbook is checked. */
static mu_type
declared_type(const json_t *json)
{
    static const struct { const char *name; mu_type_kind kind; } types[] = {
        { "string", MU_T_TEXT }, { "int", MU_T_INT }, { "decimal", MU_T_DECIMAL }, { "bool", MU_T_BOOL }, { "enum", MU_T_ENUM },
        { "duration", MU_T_DURATION }, { "datetime", MU_T_DATETIME }, { "user", MU_T_USER }, { "list", MU_T_LIST } };
    mu_type type = { .kind = MU_T_ANY, .of = MU_T_ANY, .values = json_object_get(json, "values") };

    for (size_t i = 0; i < MU_COUNT(types); i++)
        if (mu_same(types[i].name, mu_json_str(json, "type")))
            type.kind = types[i].kind;
    return type;
}

static void
check_param_type(mu_reader *r, const mu_node *node, const json_t *param, size_t i)
{
    mu_seen seen = { r->pb, node };
    mu_names names = { .type = mu_seen_type, .closure = &seen };
    mu_type want = declared_type(param), type;
    mu_expression_error why;

    if (node->given[i] != NULL && mu_expression_check(node->given[i], &names, &type, &why) && !mu_type_fits(&type, &want))
        mu_find(r, "V09", "param", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, mu_pointer(r->arena, node->pointer, "with"), node->with[i]),
            "name", node->with[i], NULL);
}

static void
check_given(mu_reader *r, const mu_node *node, const json_t *summary, const char *pointer)
{
    const json_t *with = json_object_get(node->json, "with"), *params = json_object_get(summary, "params"), *vars = json_object_get(summary, "vars");
    const char *name, *from;
    json_t *one;

    json_object_foreach((json_t *)(uintptr_t)params, name, one)
        if (json_object_get(one, "default") == NULL && json_object_get(with, name) == NULL)
            mu_find(r, "V11", "param", MU_FINDING_ERROR, node->path, pointer, "name", name, NULL);
    json_object_foreach((json_t *)(uintptr_t)vars, name, one) {
        from = mu_json_str(one, "from");
        if ((mu_same(from, "trigger") || mu_same(from, "form")) && json_object_get(one, "default") == NULL && !known_to_callers(summary, name))
            mu_find(r, "V11", "external", MU_FINDING_ERROR, node->path, pointer, "name", name, NULL);
    }
    for (size_t i = 0; i < node->with_count; i++) {
        if (known_to_callers(summary, node->with[i]))
            check_param_type(r, node, json_object_get(params, node->with[i]), i);
        else
            mu_find(r, "V07", "no_param", MU_FINDING_ERROR, node->path,
                mu_pointer(r->arena, mu_pointer(r->arena, node->pointer, "with"), node->with[i]), "name", node->with[i], NULL);
    }
}

/* Both as written: their type into ours. */
static bool
fits(const json_t *theirs, const json_t *ours)
{
    const char *from = mu_json_str(theirs, "type"), *to = mu_json_str(ours, "type");
    bool whole = mu_same(from, "int") && mu_same(to, "decimal"), word = mu_same(from, "enum") && mu_same(to, "string");

    return from == NULL || to == NULL || whole || word || strcmp(from, to) == 0;
}

static void
check_taken(mu_reader *r, const mu_node *node, const json_t *summary)
{
    const json_t *save = json_object_get(node->json, "save");
    const char *name;
    json_t *theirs;

    json_object_foreach((json_t *)(uintptr_t)save, name, theirs) {
        const char *pointer = mu_pointer(r->arena, mu_pointer(r->arena, node->pointer, "save"), name), *other = json_string_value(theirs);
        const json_t *declared = other == NULL ? NULL : json_object_get(json_object_get(summary, "vars"), other);
        const json_t *ours = json_object_get(json_object_get(r->pb->doc, "vars"), name);
        if (declared == NULL && other != NULL)
            declared = json_object_get(json_object_get(summary, "params"), other);
        if (other == NULL)
            continue;
        if (declared == NULL)
            mu_find(r, "V07", "not_theirs", MU_FINDING_ERROR, node->path, pointer, "name", other, NULL);
        else if (!fits(declared, ours))
            mu_find(r, "V09", "save", MU_FINDING_ERROR, node->path, pointer, "name", name, NULL);
    }
}

static void
check_call(mu_reader *r, const mu_node *node, const char *text)
{
    const char *pointer = mu_pointer(r->arena, node->pointer, "playbook"), *slug;
    const json_t *playbooks = mu_around(r, "playbooks"), *summary;
    int64_t version = mu_call_split(r->arena, text, &slug);

    check_circle(r, node, text, pointer);
    if (playbooks == NULL || mu_same(slug, r->pb->id))
        return;
    if (json_object_get(playbooks, slug) == NULL) {
        if (mu_json_bool(r->findings->around, "closed", false))
            mu_find(r, "V12", "playbook", MU_FINDING_ERROR, node->path, pointer, "name", slug, NULL);
        return;
    }
    summary = mu_call_summary(r, text);
    if (summary == NULL) {
        mu_find(r, "V12", "version", MU_FINDING_ERROR, node->path, pointer, "name", slug, "version",
            version < 0 ? "" : mu_printf(r->arena, "%lld", (long long)version), NULL);
        return;
    }
    check_given(r, node, summary, pointer);
    check_taken(r, node, summary);
}

void
mu_check_calls(mu_reader *r)
{
    for (size_t i = 0; i < r->pb->node_count; i++) {
        const char *text = r->pb->nodes[i]->kind == MU_K_CALL ? mu_json_str(r->pb->nodes[i]->json, "playbook") : NULL;
        if (text != NULL)
            check_call(r, r->pb->nodes[i], text);
    }
}
