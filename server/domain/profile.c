/* The loader's check of a report profile. */
#include "profile.h"

#include <string.h>

#include "clock.h"
#include "decision.h"
#include "json.h"
#include "str.h"

typedef struct { mu_arena *arena; mu_problem *problem; const json_t *profile; mu_err err; } checker;

static void
fault(checker *c, const char *pointer, const char *key)
{
    c->err = mu_fail(c->problem, MU_INVALID, pointer, key, NULL);
}

static bool
language_text(const json_t *json)
{
    return mu_json_str(json, "zh") != NULL && mu_json_str(json, "en") != NULL;
}

/* Whoever gives a figure names a source of the list and how sure it is. */
static void
check_source(checker *c, const json_t *object, const char *pointer)
{
    const char *name = mu_json_str(object, "source");
    const json_t *source;
    size_t i;
    bool found = name == NULL;

    json_array_foreach(json_object_get(c->profile, "sources"), i, source)
        found = found || mu_same(mu_json_str(source, "id"), name);
    if (!found)
        fault(c, mu_printf(c->arena, "%s/source", pointer), "error.profile.source");
    if (name != NULL && mu_json_str(object, "confidence") == NULL)
        fault(c, mu_printf(c->arena, "%s/confidence", pointer), "error.required");
}

static void
check_stages(checker *c)
{
    const json_t *stages = json_object_get(c->profile, "stages"), *stage;
    size_t i, j;

    if (json_array_size(stages) == 0)
        fault(c, "/stages", "error.required");
    json_array_foreach(stages, i, stage) {
        char *pointer = mu_printf(c->arena, "/stages/%zu", i);
        const json_t *offset = json_object_get(json_object_get(stage, "deadline"), "offset");
        int64_t seconds;
        if (mu_json_str(stage, "id") == NULL || !mu_is_slug(mu_json_str(stage, "id")))
            fault(c, mu_printf(c->arena, "%s/id", pointer), "error.slug");
        if (!language_text(json_object_get(stage, "name")))
            fault(c, mu_printf(c->arena, "%s/name", pointer), "error.profile.languages");
        if (!json_is_object(json_object_get(stage, "deadline")))
            fault(c, mu_printf(c->arena, "%s/deadline", pointer), "error.required");
        else if (json_is_string(offset) && !mu_duration_parse(json_string_value(offset), &seconds))
            fault(c, mu_printf(c->arena, "%s/deadline/offset", pointer), "error.duration");
        for (j = 0; j < i; j++)
            if (mu_same(mu_json_str(json_array_get(stages, j), "id"), mu_json_str(stage, "id")))
                fault(c, mu_printf(c->arena, "%s/id", pointer), "error.twice");
        check_source(c, stage, pointer);
    }
}

static void
check_rules(checker *c)
{
    const json_t *level, *rule;
    size_t i, j;

    json_array_foreach(json_object_get(json_object_get(c->profile, "classification"), "levels"), i, level)
        json_array_foreach(json_object_get(level, "rules"), j, rule)
            check_source(c, rule, mu_printf(c->arena, "/classification/levels/%zu/rules/%zu", i, j));
}

static void
check_fields(checker *c)
{
    const json_t *field;
    size_t i;

    json_array_foreach(json_object_get(c->profile, "fields"), i, field) {
        char *pointer = mu_printf(c->arena, "/fields/%zu", i);
        if (mu_json_str(field, "key") == NULL)
            fault(c, mu_printf(c->arena, "%s/key", pointer), "error.required");
        if (!language_text(json_object_get(field, "label")))
            fault(c, mu_printf(c->arena, "%s/label", pointer), "error.profile.languages");
        if (!json_is_object(json_object_get(field, "required")))
            fault(c, mu_printf(c->arena, "%s/required", pointer), "error.required");
        check_source(c, field, pointer);
    }
}

mu_err
mu_profile_check(mu_arena *arena, const json_t *profile, mu_problem *problem)
{
    checker c = { .arena = arena, .problem = problem, .profile = profile, .err = MU_OK };
    mu_problem inner = { .arena = arena };
    json_t *ignored;

    if (!json_is_object(profile))
        return mu_fail(problem, MU_INVALID, "", "error.type", NULL);
    if (!mu_same(mu_json_str(profile, "format"), "report-profile/1"))
        fault(&c, "/format", "error.profile.format");
    if (mu_json_str(profile, "id") == NULL || !mu_is_slug(mu_json_str(profile, "id")))
        fault(&c, "/id", "error.slug");
    if (!language_text(json_object_get(profile, "name")))
        fault(&c, "/name", "error.profile.languages");
    check_stages(&c);
    check_rules(&c);
    check_fields(&c);
    if (mu_decision_classify(arena, json_object_get(profile, "classification"), NULL, &inner, &ignored) != MU_OK)
        for (const mu_fault *f = inner.first; f != NULL; f = f->next)
            fault(&c, mu_printf(arena, "/classification%s", f->pointer), f->key);
    return c.err;
}

json_t *
mu_profile_fields(mu_arena *arena, const json_t *profile, const char *stage)
{
    json_t *rows = mu_json_own(arena, json_array());
    const json_t *field;
    size_t i;

    json_array_foreach(json_object_get(profile, "fields"), i, field) {
        const char *required = mu_json_str(json_object_get(field, "required"), stage);
        if (required != NULL && mu_json_str(field, "key") != NULL)
            json_array_append_new(rows, json_pack("{s:s, s:s}", "key", mu_json_str(field, "key"), "required", required));
    }
    return rows;
}

int
mu_severity_rank(const char *severity)
{
    static const char *const severities[] = { "I", "II", "III", "IV" };

    for (int i = 0; i < (int)MU_COUNT(severities); i++)
        if (mu_same(severities[i], severity))
            return i;
    return -1;
}
