/* What a playbook fills of an emergency plan document. The sections are those of the banks' plans for important information systems; a
 * section with nothing from this playbook still stands, so that the reader sees what has to come from elsewhere. */
#include "document.h"

#include <string.h>

#include "json.h"
#include "str.h"

/* Members of `plan` go into a section by name. */
static const struct { const char *section, *member; } facts[] = {
    { "general", "basis" }, { "general", "scope" }, { "general", "principles" }, { "general", "department" }, { "general", "category" },
    { "support", "services" }, { "warning", "warning" }, { "recovery", "rto" }, { "recovery", "rpo" }, { "revision", "review" },
};
static const char *const sections[] = { "general", "organisation", "warning", "grading", "process", "reporting", "recovery", "summary", "support", "revision" };

static json_t *
section_of(json_t *out, const char *name)
{
    json_t *section;
    size_t i;

    json_array_foreach(out, i, section)
        if (mu_same(mu_json_str(section, "section"), name))
            return section;
    return NULL;
}

static void
put(json_t *out, const char *section, const char *list, json_t *value)
{
    json_t *at = section_of(out, section), *rows = json_object_get(at, list);

    if (rows == NULL) {
        rows = json_array();
        json_object_set_new(at, list, rows);
        json_object_set_new(at, mu_same(list, "facts") ? "has_facts" : mu_same(list, "steps") ? "has_steps" : "has_rows", json_true());
    }
    json_array_append_new(rows, value);
    json_object_set_new(at, "empty", json_false());
}

/* A fact is one text or a list of them; signals of a warning have names of their own. */
static void
put_fact(json_t *out, const char *section, const char *name, const json_t *value)
{
    json_t *values = json_array();
    const json_t *one;
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_array(value)) {
        json_array_foreach(value, i, one)
            json_array_append(values, (json_t *)(uintptr_t)(mu_json_at(one, "text") != NULL ? mu_json_at(one, "text") : one));
    } else if (json_is_object(value) && json_object_get(value, "zh") == NULL && json_object_get(value, "en") == NULL) {
        json_object_foreach((json_t *)(uintptr_t)value, key, member) {
            json_t *inner;
            size_t k;
            if (!json_is_array(member))
                json_array_append(values, member);
            json_array_foreach(member, k, inner)
                json_array_append(values, inner);
        }
    } else {
        json_array_append(values, (json_t *)(uintptr_t)value);
    }
    put(out, section, "facts", json_pack("{s:s, s:o}", "name", name, "values", values));
}

static json_t *
row(const mu_written_step *step, unsigned number)
{
    static const char *const members[] = { "role", "text", "items", "to", "profile", "stage", "component", "state", "clock", "when" };
    json_t *out = json_pack("{s:s, s:s, s:{s:b}, s:i, s:i}", "id", step->id, "kind", step->kind, "is", step->kind, true, "number", (int)number,
                            "depth", (int)(step->depth < 3 ? step->depth : 3));
    json_t *title = json_object_get(step->json, "title"), *deadline = json_object_get(step->json, "deadline");

    json_object_set_new(out, "title", title != NULL ? json_incref(title) : json_string(step->id));
    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(step->json, members[i]) != NULL)
            json_object_set(out, members[i], json_object_get(step->json, members[i]));
    if (json_object_get(step->json, "by") != NULL)
        json_object_set(out, "role", json_object_get(json_object_get(step->json, "by"), "role"));
    if (mu_json_str(deadline, "after") != NULL)
        json_object_set(out, "after", json_object_get(deadline, "after"));
    return out;
}

/* Where a step belongs besides the process it is part of. */
static const char *
also_in(const mu_written_step *step)
{
    if (mu_same(step->kind, "report") || mu_same(step->kind, "notify") || mu_same(step->kind, "status"))
        return "reporting";
    if (mu_same(step->kind, "decide"))
        return "grading";
    if (mu_same(step->kind, "milestone"))
        return "recovery";
    return mu_same(step->kind, "end") ? "summary" : mu_same(step->kind, "inject") ? "revision" : NULL;
}

json_t *
mu_document_plan(mu_arena *arena, const json_t *doc)
{
    const json_t *plan = json_object_get(doc, "plan"), *roles = json_object_get(doc, "roles"), *value;
    json_t *out = mu_json_own(arena, json_array()), *role;
    mu_written_step *steps;
    const size_t n = mu_document_steps(arena, doc, &steps);
    const char *id;
    unsigned number = 0;

    for (size_t i = 0; i < MU_COUNT(sections); i++)
        json_array_append_new(out, json_pack("{s:s, s:i, s:b, s:{s:b}}", "section", sections[i], "number", (int)i + 1, "empty", true, "is", sections[i], true));
    for (size_t i = 0; i < MU_COUNT(facts); i++)
        if ((value = json_object_get(plan, facts[i].member)) != NULL)
            put_fact(out, facts[i].section, facts[i].member, value);
    json_object_foreach((json_t *)(uintptr_t)roles, id, role)
        put(out, "organisation", "rows", json_pack("{s:s, s:O, s:O?, s:O?, s:O?}", "id", id, "name", json_object_get(role, "zh") != NULL || json_object_get(role, "en") != NULL ? role : json_object_get(doc, "id"),
                                                   "min", json_object_get(role, "min"), "max", json_object_get(role, "max"), "deputy", json_object_get(role, "deputy")));
    for (size_t i = 0; i < n; i++) {
        const char *also = also_in(&steps[i]);
        if (!mu_same(steps[i].kind, "inject"))
            put(out, "process", "steps", row(&steps[i], ++number));
        if (also != NULL)
            put(out, also, "steps", row(&steps[i], number));
    }
    return out;
}
