/* Checks against the world outside the document, as far as it is known (README.md, "Surroundings"): names (V12), who fills the roles
 * (V13), kinds of the version before (V02), methods of connections (V22), four eyes (V14), and when it was last drilled (V33). What is not known is not judged. */
#include "check.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "str.h"

const json_t *
mu_around(const mu_reader *r, const char *member)
{
    return json_object_get(r->findings->around, member);
}

bool
mu_among(const json_t *names, const char *name)
{
    size_t i;
    json_t *one;

    if (json_is_object(names))
        return json_object_get(names, name) != NULL;
    json_array_foreach(names, i, one)
        if (mu_same(json_string_value(one), name))
            return true;
    return false;
}

/* -- V12: names ----------------------------------------------------------------------------------------------------------- */

static void
check_name(mu_reader *r, const char *member, const char *what, const char *name, const char *path, const char *pointer)
{
    const json_t *names = mu_around(r, member);

    if (names != NULL && name != NULL && strstr(name, "{{") == NULL && !mu_among(names, name))
        mu_find(r, "V12", what, MU_FINDING_ERROR, path, pointer, "name", name, NULL);
}

static void
check_receivers(mu_reader *r, const mu_node *node, const char *member)
{
    static const struct { const char *prefix, *member, *what; } kinds[] = {
        { "group.", "groups", "group" }, { "user.", "users", "user" }, { "contact.", "contacts", "contact" } };
    const json_t *ref;
    size_t i, j;

    json_array_foreach(json_object_get(node->json, member), i, ref) {
        const char *pointer = mu_pointer_at(r->arena, mu_pointer(r->arena, node->pointer, member), i), *name = json_string_value(ref);
        for (j = 0; j < MU_COUNT(kinds) && name != NULL; j++)
            if (mu_starts(name, kinds[j].prefix))
                check_name(r, kinds[j].member, kinds[j].what, name + strlen(kinds[j].prefix), node->path, pointer);
        if (strcmp(member, "via") == 0 && !mu_same(name, "email"))
            check_name(r, "channels", "no_channel", name, node->path, pointer);
    }
}

/* profile.ID.STAGE and a report's profile and stage. */
static void
check_profile(mu_reader *r, const char *profile, const char *stage, const char *path, const char *profile_at, const char *stage_at)
{
    const json_t *profiles = mu_around(r, "profiles"), *stages = profile == NULL ? NULL : json_object_get(profiles, profile);

    if (profiles == NULL || profile == NULL)
        return;
    if (stages == NULL)
        mu_find(r, "V12", "profile", MU_FINDING_ERROR, path, profile_at, "name", profile, NULL);
    else if (stage != NULL && json_is_array(stages) && !mu_among(stages, stage))
        mu_find(r, "V12", "stage", MU_FINDING_ERROR, path, stage_at, "name", stage, "profile", profile, NULL);
}

static void
check_var(mu_reader *r, const mu_var *var)
{
    const char *pointer = mu_pointer(r->arena, mu_pointer(r->arena, "/vars", var->name), "from"), *profile, *dot, *stage;

    if (var->type.kind == MU_T_SECRET)
        check_name(r, "secrets", "secret", var->name, "", mu_pointer(r->arena, "/vars", var->name));
    if (var->from == NULL || !mu_starts(var->from, "profile."))
        return;
    profile = var->from + strlen("profile.");
    dot = strchr(profile, '.');
    if (dot == NULL)
        return;                                   /* profile.first_report_due: of all profiles that apply */
    stage = strcmp(dot + 1, "first_report_due") == 0 ? NULL : dot + 1;
    check_profile(r, mu_strndup(r->arena, profile, (size_t)(dot - profile)), stage, "", pointer, pointer);
}

/* A connection is registered for some methods only. */
static void
check_connection(mu_reader *r, const mu_node *node)
{
    const char *request = mu_pointer(r->arena, node->pointer, "request"), *name = node->http->connection;
    const json_t *methods = json_object_get(mu_around(r, "connections"), name);

    check_name(r, "connections", "connection", name, node->path, mu_pointer(r->arena, request, "url"));
    if (json_is_array(methods) && node->http->method != NULL && !mu_among(methods, node->http->method))
        mu_find(r, "V22", "method", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, request, "method"), "name", name, "method", node->http->method, NULL);
}

static void
check_node_names(mu_reader *r, const mu_node *node)
{
    const char *component_at = mu_pointer(r->arena, node->pointer, "component");

    check_receivers(r, node, "to");
    if (node->kind == MU_K_NOTIFY)
        check_receivers(r, node, "via");
    if (node->kind == MU_K_HTTP && *node->http->connection != '\0')
        check_connection(r, node);
    if (node->kind == MU_K_STATUS)
        check_name(r, "components", "component", mu_json_str(node->json, "component"), node->path, component_at);
    if (node->kind == MU_K_REPORT)
        check_profile(r, mu_json_str(node->json, "profile"), mu_json_str(node->json, "stage"), node->path,
            mu_pointer(r->arena, node->pointer, "profile"), mu_pointer(r->arena, node->pointer, "stage"));
}

/* -- V13: who fills the roles ------------------------------------------------------------------------------------------------ */

/* How many people come into a role: those the organisation holds ready, and those the playbook names itself. -1: not known. */
static int64_t
members(const mu_reader *r, const char *name)
{
    const json_t *role = json_object_get(r->pb->roles, name), *resolve = json_object_get(role, "resolve");
    const char *team = mu_json_str(resolve, "team");
    int64_t n = mu_json_int(mu_around(r, "roles"), name, 0);

    if (json_object_get(resolve, "user") != NULL)
        n++;
    if (team != NULL && mu_around(r, "groups") == NULL)
        return -1;
    if (team != NULL)
        n += mu_json_int(mu_around(r, "groups"), team, 0);
    for (const char *const *other = (const char *const[]){ "oncall", "rota", "contact", NULL }; *other != NULL; other++)
        if (json_object_get(resolve, *other) != NULL)
            return -1;
    return n;
}

/* A role with nobody is taken over by its deputy, and that one by its own; a circle of deputies ends where it began. */
static int64_t
members_or_deputy(const mu_reader *r, const char *name)
{
    for (size_t i = 0; name != NULL && i <= json_object_size(r->pb->roles); i++) {
        int64_t n = members(r, name);
        if (n != 0)
            return n;
        name = mu_json_str(json_object_get(r->pb->roles, name), "deputy");
    }
    return 0;
}

static void
check_role_filled(mu_reader *r, const char *name)
{
    mu_finding_level level = mu_json_bool(r->findings->around, "publishing", false) ? MU_FINDING_ERROR : MU_FINDING_WARNING;
    const char *pointer = mu_pointer(r->arena, "/roles", name);
    int64_t own = members(r, name), any = members_or_deputy(r, name);
    int64_t least = mu_json_int(json_object_get(r->pb->roles, name), "min", 0);

    if (any == 0)
        mu_find(r, "V13", "nobody", level, "", pointer, "role", name, NULL);
    else if (own > 0 && own < least)
        mu_find(r, "V13", "fewer", level, "", pointer, "role", name, "count", mu_printf(r->arena, "%lld", (long long)own), "least",
            mu_printf(r->arena, "%lld", (long long)least), NULL);
}

static void
check_voices(mu_reader *r, const mu_node *node, const char *role, const char *member)
{
    mu_finding_level level = mu_json_bool(r->findings->around, "publishing", false) ? MU_FINDING_ERROR : MU_FINDING_WARNING;
    int64_t have = role == NULL || !mu_role_known(r->pb, role) ? -1 : members_or_deputy(r, role);

    if (have > 0 && have < node->count)
        mu_find(r, "V13", "too_few_people", level, node->path, mu_pointer(r->arena, node->pointer, member), "role", role,
            "have", mu_printf(r->arena, "%lld", (long long)have), "count", mu_printf(r->arena, "%lld", (long long)node->count), NULL);
}

static void
check_roles(mu_reader *r)
{
    size_t n;
    const char **names = mu_sorted_keys(r->arena, r->pb->roles, &n);

    if (mu_around(r, "roles") == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        check_role_filled(r, names[i]);
    for (size_t i = 0; i < r->pb->node_count; i++) {
        const mu_node *node = r->pb->nodes[i];
        if (node->kind == MU_K_APPROVE)
            check_voices(r, node, node->role, "by");
        if (node->kind == MU_K_REPORT)
            check_voices(r, node, node->sign_role, "sign");
    }
}

/* -- V14: four eyes ---------------------------------------------------------------------------------------------------------- */

/* Two voices are never one person's; a single voice must not be that of whoever started the run. */
static void
check_four_eyes(mu_reader *r, const mu_node *node)
{
    const json_t *by = json_object_get(node->json, "by");

    if (node->count < 2 && !mu_among(json_object_get(by, "not"), "requester"))
        mu_find(r, "V14", "requester", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, node->pointer, "by"), NULL);
}

/* -- V02: a step keeps its kind ------------------------------------------------------------------------------------------------ */

static void
check_kind(mu_reader *r, const mu_node *node)
{
    const char *before = mu_json_str(mu_around(r, "kinds"), node->id), *kind = mu_kind_name(node->kind);

    if (before != NULL && strcmp(before, kind) != 0)
        mu_find(r, "V02", "kind_changed", MU_FINDING_WARNING, node->path, mu_pointer(r->arena, node->pointer, kind), "name", node->id,
            "before", before, "kind", kind, NULL);
}

/* -- V33: drilled within the review cycle --------------------------------------------------------------------------------------- */

static void
check_drilled(mu_reader *r)
{
    const json_t *drilled = mu_around(r, "drilled"), *roles = json_object_get(drilled, "roles");
    const char *last = mu_json_str(drilled, "at"), *cycle = mu_json_str(json_object_get(r->pb->doc, "plan"), "review");
    const char *today = mu_json_str(r->findings->around, "now");
    mu_instant at, now;
    int64_t seconds;
    size_t n;
    const char **names = mu_sorted_keys(r->arena, r->pb->roles, &n);

    if (drilled == NULL)
        return;
    if (last == NULL) {
        if (cycle != NULL)
            mu_find(r, "V33", "never", MU_FINDING_WARNING, "", "/plan/review", NULL);
        return;
    }
    if (cycle != NULL && today != NULL && mu_duration_parse(cycle, &seconds) && mu_time_parse(last, &at) && mu_time_parse(today, &now)
        && (now - at) / MU_SECOND > seconds)
        mu_find(r, "V33", "long_ago", MU_FINDING_WARNING, "", "/plan/review", "days",
            mu_printf(r->arena, "%lld", (long long)((now - at) / MU_SECOND / 86400)), "cycle", mu_duration_format(r->arena, seconds), NULL);
    for (size_t i = 0; i < n && json_is_array(roles); i++)
        if (!mu_among(roles, names[i]))
            mu_find(r, "V33", "role", MU_FINDING_WARNING, "", mu_pointer(r->arena, "/roles", names[i]), "role", names[i], NULL);
}

void
mu_check_around(mu_reader *r)
{
    bool four_eyes = mu_json_bool(mu_around(r, "policy"), "four_eyes", false);

    if (r->findings->around == NULL)
        return;
    for (size_t i = 0; i < r->pb->var_count; i++)
        check_var(r, &r->pb->vars[i]);
    for (size_t i = 0; i < r->pb->node_count; i++) {
        const mu_node *node = r->pb->nodes[i];
        check_node_names(r, node);
        check_kind(r, node);
        if (four_eyes && node->kind == MU_K_APPROVE)
            check_four_eyes(r, node);
    }
    check_roles(r);
    check_drilled(r);
}
