/* The members each object of a playbook may have, from fields.def: unknown and ill-typed ones are found here, once for all. */
#include "json.h"
#include "model.h"

#include <string.h>

#include "clock.h"
#include "str.h"

typedef struct { const char *object, *member, *kinds; bool required; } field;

static const field fields[] = {
#define F(object, member, kinds, required) { object, member, kinds, required },
#include "fields.def"
#undef F
};

static const struct { const char *name; bool person; } kinds[] = {
#define K(id, name, person) { name, person },
#include "kinds.def"
#undef K
};
_Static_assert(MU_COUNT(kinds) == MU_K_COUNT, "one row for each kind");

const char *mu_kind_name(mu_kind kind) { return kinds[kind].name; }
bool        mu_kind_person(mu_kind kind) { return kinds[kind].person; }

bool
mu_kind_find(const char *name, mu_kind *ret)
{
    for (size_t i = 0; i < MU_COUNT(kinds); i++)
        if (strcmp(kinds[i].name, name) == 0) {
            *ret = (mu_kind)i;
            return true;
        }
    return false;
}

static const field *
lookup(const char *object, const char *member)
{
    for (size_t i = 0; i < MU_COUNT(fields); i++)
        if (strcmp(fields[i].object, object) == 0 && strcmp(fields[i].member, member) == 0)
            return &fields[i];
    return NULL;
}

static bool
language_text(const json_t *json)
{
    const char *key;
    json_t *value;

    if (json_is_string(json))
        return true;
    if (!json_is_object(json) || json_object_size(json) == 0)
        return false;
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        if ((strcmp(key, "zh") != 0 && strcmp(key, "en") != 0) || !json_is_string(value))
            return false;
    return true;
}

static bool
fits(char kind, const json_t *json)
{
    int64_t seconds;

    switch (kind) {
    case 's': case 'e': return json_is_string(json);
    case 'g': return json_is_string(json) && mu_is_slug(json_string_value(json));
    case 'l': return language_text(json);
    case 'i': return json_is_integer(json) && json_integer_value(json) >= 0 && json_integer_value(json) <= 1000000;
    case 'n': return json_is_number(json) && json_number_value(json) >= 0 && json_number_value(json) <= 1000000;
    case 'b': return json_is_boolean(json);
    case 'o': return json_is_object(json);
    case 'a': return json_is_array(json);
    case 'd': return json_is_string(json)
        && (mu_duration_parse(json_string_value(json), &seconds) || mu_is_slug(json_string_value(json)));
    case '*': return true;
    }
    return false;
}

static bool
fits_any(const char *letters, const json_t *json)
{
    for (const char *c = letters; *c != '\0'; c++)
        if (fits(*c, json))
            return true;
    return false;
}

/* The nearest known member, for "did you mean": same first letters or one inside the other. */
static const char *
nearest(const char *object, const char *member)
{
    for (size_t i = 0; i < MU_COUNT(fields); i++) {
        bool here = strcmp(fields[i].object, object) == 0;
        if (here && (strstr(fields[i].member, member) != NULL || strncmp(fields[i].member, member, 3) == 0))
            return fields[i].member;
    }
    return "";
}

/* The member that names the kind of a step: it must be there, as an id. */
static bool
kind_member(const char *object, const char *member)
{
    mu_kind kind;

    return mu_kind_find(object, &kind) && strcmp(object, member) == 0;
}

/* A milestone is an id; so is everything else. `end` may be written without a name of its own being useful, but needs one too. */
void
mu_fields_check(mu_reader *r, const char *name, const json_t *object, const char *path, const char *pointer)
{
    mu_kind kind;
    bool step = mu_kind_find(name, &kind);
    const char *member;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, member, value) {
        const field *known = lookup(name, member);
        const char *at = mu_pointer(r->arena, pointer, member);

        if (kind_member(name, member))
            continue;
        if (known == NULL && step)
            known = lookup("step", member);
        if (known == NULL)
            MU_BREAK(r, "V01", "unknown_field", MU_FINDING_ERROR, path, at, "field", member, "near", nearest(name, member), NULL);
        else if (!fits_any(known->kinds, value))
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, path, at, "field", member, NULL);
    }
    for (size_t i = 0; i < MU_COUNT(fields); i++)
        if (fields[i].required && strcmp(fields[i].object, name) == 0 && json_object_get(object, fields[i].member) == NULL)
            MU_BREAK(r, "V01", "missing_field", MU_FINDING_ERROR, path, pointer, "field", fields[i].member, NULL);
}
