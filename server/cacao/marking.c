/* Traffic Light Protocol markings: kept, shown, and an export to more readers than they allow refused. */
#include "cacao_private.h"

#include <string.h>

#include "json.h"
#include "str.h"

/* From narrow to wide, with the audience each allows and the id under which it is published. */
static const struct { const char *level, *id; mu_audience widest; } levels[] = {
    { "TLP:RED",          "marking-tlp--e828b379-4e03-4974-9ac4-e53a884c97c1", MU_AUDIENCE_RECIPIENTS },
    { "TLP:AMBER+STRICT", "marking-tlp--939a9414-2ddd-4d32-a0cd-375ea402b003", MU_AUDIENCE_ORGANISATION },
    { "TLP:AMBER",        "marking-tlp--55d920b0-5e8b-4f79-9ee9-91f868d9b421", MU_AUDIENCE_CLIENTS },
    { "TLP:GREEN",        "marking-tlp--bab4a63c-aed9-4cf5-a766-dfca5abac2bb", MU_AUDIENCE_COMMUNITY },
    { "TLP:CLEAR",        "marking-tlp--94868c89-83c2-464b-929b-a1a8aa3c8487", MU_AUDIENCE_PUBLIC },
};

bool mu_audience_find(const char *word, mu_audience *ret)
{
    static const char *const words[] = { "recipients", "organisation", "clients", "community", "public" };

    for (size_t i = 0; word != NULL && i < MU_COUNT(words); i++)
        if (strcmp(word, words[i]) == 0) {
            *ret = (mu_audience)i;
            return true;
        }
    return false;
}

/* A marking that calls itself one of TLP and is none we know is taken for the narrowest. */
static bool level_of(const json_t *file, const char *id, size_t *ret)
{
    const json_t *known = json_object_get(json_object_get(file, "data_marking_definitions"), id);
    const char *level = mu_json_str(known, "tlpv2_level");

    for (size_t i = 0; i < MU_COUNT(levels); i++)
        if (mu_same(level, levels[i].level) || (known == NULL && strcmp(id, levels[i].id) == 0)) {
            *ret = i;
            return true;
        }
    *ret = 0;
    return mu_starts(id, "marking-tlp--") || mu_same(mu_json_str(known, "type"), "marking-tlp");
}

static bool narrowest(const json_t *file, size_t *ret)
{
    const json_t *id;
    bool found = false;
    size_t i, level;

    json_array_foreach(json_object_get(file, "markings"), i, id)
        if (json_is_string(id) && level_of(file, json_string_value(id), &level) && (!found || level < *ret)) {
            *ret = level;
            found = true;
        }
    return found;
}

const char *mu_cacao_tlp(const json_t *file)
{
    size_t level;

    return narrowest(file, &level) ? levels[level].level : NULL;
}

mu_err mu_cacao_allows(const json_t *file, mu_audience audience, mu_problem *problem)
{
    size_t level;

    if (narrowest(file, &level) && audience > levels[level].widest)
        return mu_fail(problem, MU_FORBIDDEN, "/audience", "error.cacao.marking", "name", levels[level].level, NULL);
    return MU_OK;
}

mu_err mu_cacao_export_source(mu_arena *arena, const char *source, size_t n, mu_audience audience, mu_problem *problem)
{
    json_t *file;

    TRY(mu_json_parse(arena, source, n, problem, &file));
    return mu_cacao_allows(file, audience, problem);
}
