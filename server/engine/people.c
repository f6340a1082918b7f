/* Who may do what: roles and their deputies, the commander's powers, reasons, and the second person. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define BREAK_GLASS_SECONDS 120        /* how long one waits before acting without a second person */

bool
mu_role_members(const mu_motion *m, const char *role, const json_t **ret_members)
{
    const json_t *roles = json_object_get(m->state, "roles");
    const char *deputy = mu_json_str(json_object_get(m->pb->roles, role), "deputy");

    *ret_members = json_object_get(roles, role);
    if (json_array_size(*ret_members) == 0 && deputy != NULL)
        *ret_members = json_object_get(roles, deputy);
    return json_array_size(*ret_members) > 0;
}

static bool
among(const json_t *people, const char *id)
{
    const json_t *person;
    size_t i;

    json_array_foreach(people, i, person)
        if (id != NULL && mu_same(mu_json_str(person, "id"), id))
            return true;
    return false;
}

static bool
of_role(const mu_motion *m, const char *role)
{
    const json_t *roles = json_object_get(m->state, "roles");
    const char *id = mu_json_str(m->actor, "id"), *deputy = mu_json_str(json_object_get(m->pb->roles, role), "deputy");

    return among(json_object_get(roles, role), id) || (deputy != NULL && among(json_object_get(roles, deputy), id));
}

const char *
mu_inst_role(const mu_inst *inst)
{
    const char *role = mu_json_str(inst->rec, "role");

    return role == NULL ? inst->node->role : role;
}

bool
mu_is_person(const mu_motion *m)
{
    const char *kind = mu_json_str(m->actor, "kind");

    return (mu_same(kind, "user") || mu_same(kind, "api")) && mu_json_str(m->actor, "id") != NULL;
}

bool
mu_is_commander(const mu_motion *m)
{
    return mu_is_person(m) && (mu_json_bool(m->actor, "commander", false) || of_role(m, "commander"));
}

/* Who judges what people did in a drill. */
bool
mu_is_controller(const mu_motion *m)
{
    return mu_is_commander(m) || (mu_is_person(m) && (mu_json_bool(m->actor, "controller", false) || of_role(m, "controller")));
}

/* A step given to one person is theirs alone; the commander may always help. */
static bool
is_other(const mu_motion *m, const mu_inst *inst)
{
    const json_t *who = json_object_get(inst->rec, "who");

    return who != NULL && !mu_same(mu_json_str(who, "id"), mu_json_str(m->actor, "id"));
}

bool
mu_may_act(mu_motion *m, const mu_inst *inst)
{
    const json_t *members;

    if (!mu_is_person(m))
        return mu_refuse(m, "forbidden", "error.run.person", "");
    if (json_object_get(inst->rec, "who") != NULL)
        return !is_other(m, inst) || mu_is_commander(m) || mu_refuse(m, "forbidden", "error.run.assigned", "");
    if (mu_inst_role(inst) == NULL || mu_is_commander(m) || of_role(m, mu_inst_role(inst)))
        return true;
    if (!mu_role_members(m, mu_inst_role(inst), &members))      /* nobody has the role: whoever is there may help */
        return true;
    return mu_refuse(m, "forbidden", "error.run.role", "");
}

/* `not` may name people, roles, or the requester: who started the run. */
static bool
excluded(const mu_motion *m, const mu_inst *inst)
{
    const json_t *no = json_object_get(json_object_get(inst->node->json, "by"), "not"), *name;
    const char *id = mu_json_str(m->actor, "id");
    size_t i;

    json_array_foreach(no, i, name) {
        const char *text = json_string_value(name);
        if (mu_same(text, "requester") && mu_same(mu_json_str(json_object_get(m->state, "run"), "by"), id))
            return true;
        if (mu_same(text, id) || (text != NULL && among(json_object_get(json_object_get(m->state, "roles"), text), id)))
            return true;
    }
    return false;
}

bool
mu_may_approve(mu_motion *m, const mu_inst *inst, const char *role)
{
    const json_t *members;

    if (!mu_is_person(m))
        return mu_refuse(m, "forbidden", "error.run.person", "");
    if (excluded(m, inst))
        return mu_refuse(m, "forbidden", "error.run.excluded", "");
    if (json_object_get(inst->rec, "who") != NULL)
        return !is_other(m, inst) || mu_refuse(m, "forbidden", "error.run.assigned", "");
    if (role == NULL || of_role(m, role))
        return true;
    if (!mu_role_members(m, role, &members) && mu_is_commander(m))
        return true;
    return mu_refuse(m, "forbidden", "error.run.role", "");
}

bool
mu_reason(mu_motion *m)
{
    const char *reason = mu_json_str(m->event, "reason");

    if (reason == NULL || mu_utf8_count(reason, strlen(reason)) < MU_REASON_LEAST)
        return mu_refuse(m, "invalid", "error.run.reason", "/reason");
    return true;
}

/* The first person asks, another carries it out; alone only after a wait, and that is an event of its own. */
bool
mu_second_person(mu_motion *m, const mu_inst *inst, const char *power)
{
    json_t *requests = json_object_get(m->state, "second");
    char *key = inst == NULL ? mu_strdup(m->arena, power) : mu_printf(m->arena, "%s:%s", power, inst->key);
    const json_t *asked = json_object_get(requests, key);
    const char *id = mu_json_str(m->actor, "id");
    mu_instant since;
    bool other, waited;

    if (asked == NULL) {
        json_object_set_new(requests, key, json_pack("{s:o, s:s, s:s}", "by", mu_person(m->actor), "at", m->at, "power", power));
        mu_log_event(m, "second_needed", inst, json_pack("{s:s}", "power", power));
        if (inst != NULL)
            mu_dirty(m, inst);
        return false;
    }
    other = !mu_same(mu_json_str(json_object_get(asked, "by"), "id"), id);
    waited = mu_time_parse(mu_json_str(asked, "at"), &since) && m->now - since >= BREAK_GLASS_SECONDS * MU_SECOND;
    if (!other && !(waited && mu_json_bool(m->data, "break_glass", false)))
        return mu_refuse(m, "conflict", "error.run.second_person", "");
    if (!other)
        mu_log_event(m, "break_glass", inst, json_pack("{s:s}", "power", power));
    json_object_del(requests, key);
    return true;
}
