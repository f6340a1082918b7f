/* The first event of a run: variables, roles and facts come in with it. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

/* What a variable starts with: what was given, a profile's figure, or its default. NULL: nothing. */
static const json_t *
initial(mu_motion *m, const mu_var *var)
{
    const json_t *given = json_object_get(json_object_get(m->data, "vars"), var->name);

    if (var->param && json_object_get(json_object_get(m->data, "params"), var->name) != NULL)
        given = json_object_get(json_object_get(m->data, "params"), var->name);
    if (given != NULL && !var->constant)
        return given;
    if (var->from != NULL && mu_starts(var->from, "profile.")) {
        const json_t *figure = json_object_get(json_object_get(m->data, "profile"), var->from + 8);
        if (figure != NULL && !json_is_null(figure))
            return figure;
    }
    return var->initial;
}

static bool
set_vars(mu_motion *m)
{
    const json_t *given = json_object_get(m->data, "vars");
    json_t *vars = json_object_get(m->state, "vars"), *ignored;
    const char *name;
    mu_value value;

    json_object_foreach((json_t *)(uintptr_t)given, name, ignored)
        if (mu_var_find(m->pb, name) == NULL)
            return mu_refuse(m, "invalid", "error.run.var", mu_pointer(m->arena, "/vars", name));
    json_object_foreach(json_object_get(m->data, "params"), name, ignored)
        if (mu_var_find(m->pb, name) == NULL || !mu_var_find(m->pb, name)->param)
            return mu_refuse(m, "invalid", "error.run.var", mu_pointer(m->arena, "/params", name));
    for (size_t i = 0; i < m->pb->var_count; i++) {
        const mu_var *var = &m->pb->vars[i];
        const json_t *json = initial(m, var);
        if (json == NULL || json_is_null(json)) {
            if (var->type.kind != MU_T_SECRET && (var->param || mu_same(var->from, "trigger") || mu_same(var->from, "form")))
                return mu_refuse(m, "invalid", "error.required", mu_pointer(m->arena, var->param ? "/params" : "/vars", var->name));
            continue;
        }
        if (!mu_value_from_json(m->arena, json, &var->type, &value))
            return mu_refuse(m, "invalid", "error.run.value", mu_pointer(m->arena, "/vars", var->name));
        json_object_set_new(vars, var->name, json_pack("{s:o, s:I}", "value", mu_value_to_json(m->arena, &value), "seq", (json_int_t)1));
    }
    return true;
}

static bool
set_roles(mu_motion *m)
{
    const json_t *given = json_object_get(m->data, "roles");
    json_t *roles = json_object_get(m->state, "roles"), *people, *person;
    const char *role;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)given, role, people) {
        json_t *members = json_array();
        json_object_set_new(roles, role, members);        /* more roles than the playbook names do no harm */
        json_array_foreach(people, i, person)
            if (mu_json_str(person, "id") != NULL && i < 100)
                json_array_append_new(members, json_pack("{s:s, s:O?}", "id", mu_json_str(person, "id"), "name",
                    json_object_get(person, "name")));
    }
    return true;
}

static bool
known_mode(const char *mode)
{
    return mu_same(mode, "real") || mu_same(mode, "drill") || mu_same(mode, "rehearsal");
}

bool
mu_on_run_created(mu_motion *m)
{
    int64_t rules = mu_json_int(m->data, "engine", 1);
    static const char *const copied[] = { "incident", "org", "playbook", "settings" };
    const json_t *run = json_object_get(m->data, "run");
    json_t *mine;

    if (!known_mode(mu_json_str(run, "mode")))
        return mu_refuse(m, "invalid", "error.run.mode", "/run/mode");
    if (mu_json_str(run, "id") == NULL)
        return mu_refuse(m, "invalid", "error.required", "/run/id");
    json_object_set_new(m->state, "v", json_integer(rules < 1 ? 1 : rules > MU_ENGINE_VERSION ? MU_ENGINE_VERSION : rules));
    mine = json_deep_copy(run);
    json_object_set_new(m->state, "run", mine);
    json_object_set_new(mine, "started_at", json_string(m->at));
    if (mu_json_str(m->actor, "id") != NULL)
        json_object_set_new(mine, "by", json_string(mu_json_str(m->actor, "id")));
    for (size_t i = 0; i < MU_COUNT(copied); i++)
        if (json_object_get(m->data, copied[i]) != NULL)
            json_object_set_new(m->state, copied[i], json_deep_copy(json_object_get(m->data, copied[i])));
    if (!set_vars(m) || !set_roles(m))
        return false;
    for (size_t i = 0; i < m->node_count; i++)
        json_object_set_new(m->dirty, m->nodes[i]->path, json_true());
    mu_injects_create(m);
    mu_enter_block(m, m->pb->main, "", -1);
    return true;
}
