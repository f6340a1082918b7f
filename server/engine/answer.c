/* Answers from outside: are they what was expected, and what of them is kept in variables. An answer is data of strangers: every
 * value is read as the type of its variable or not at all. */
#include "motion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "str.h"

#define SAVE_MOST (16u * 1024u)        /* bytes of one value */

/* a.b.0: members of objects, places in lists. */
static const json_t *
walk(mu_arena *arena, const json_t *json, const char *path)
{
    while (json != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        char *part = mu_strndup(arena, path, n);
        int64_t index;
        if (json_is_array(json))
            json = mu_parse_int(part, 0, INT32_MAX, &index) ? json_array_get(json, (size_t)index) : NULL;
        else
            json = json_object_get(json, part);
        path += n + (path[n] == '.');
    }
    return json;
}

static char *
lower(mu_arena *arena, const char *text)
{
    char *copy = mu_strdup(arena, text);

    for (char *c = copy; *c != '\0'; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
    return copy;
}

const json_t *
mu_answer_part(mu_motion *m, const json_t *result, const char *path)
{
    if (strcmp(path, "response.status") == 0)
        return json_object_get(result, "status");
    if (mu_starts(path, "response.headers."))
        return json_object_get(json_object_get(result, "headers"), lower(m->arena, path + strlen("response.headers.")));
    if (strcmp(path, "response.body") == 0)
        return json_object_get(result, "body");
    return mu_starts(path, "response.body.") ? walk(m->arena, json_object_get(result, "body"), path + strlen("response.body.")) : NULL;
}

/* 1 and 1.0 are one number. */
static bool
same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return fabs(json_number_value(a) - json_number_value(b)) < 1e-9;
    return json_equal(a, b) == 1;
}

static bool
status_good(const json_t *wanted, int64_t status)
{
    size_t i;
    json_t *one;

    if (wanted == NULL)
        return status >= 200 && status <= 299;
    if (json_is_integer(wanted))
        return json_integer_value(wanted) == status;
    json_array_foreach(wanted, i, one)
        if (json_integer_value(one) == status)
            return true;
    return false;
}

const char *
mu_answer_wrong(mu_motion *m, const mu_node *node, const json_t *result)
{
    const json_t *status = json_object_get(result, "status"), *body = json_object_get(result, "body"), *found;
    const char *path;
    json_t *value;

    if (!json_is_integer(status) || !status_good(node->http->status, json_integer_value(status)))
        return "error.run.http_status";
    json_object_foreach((json_t *)(uintptr_t)node->http->json, path, value) {
        found = walk(m->arena, body, mu_starts(path, "response.body.") ? path + strlen("response.body.") : path);
        if (found == NULL || !same(found, value))
            return "error.run.http_body";
    }
    return NULL;
}

/* What comes over the wire has few types: numbers and truth may be written as text, a text variable takes numbers. NULL: it does not fit. */
static const json_t *
loosened(mu_motion *m, const json_t *json, mu_type_kind kind)
{
    const char *text = json_string_value(json);
    int64_t number;

    if (text != NULL && kind == MU_T_INT && mu_parse_int(text, INT64_MIN, INT64_MAX, &number))
        return mu_json_own(m->arena, json_integer(number));
    if (text != NULL && kind == MU_T_BOOL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
        return mu_json_own(m->arena, json_boolean(strcmp(text, "true") == 0));
    if (json_is_real(json) && kind == MU_T_INT && fabs(json_real_value(json)) < 9e15 && floor(json_real_value(json)) >= json_real_value(json))
        return mu_json_own(m->arena, json_integer((json_int_t)json_real_value(json)));
    if (kind == MU_T_TEXT && (json_is_number(json) || json_is_boolean(json))) {
        char *dump = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
        json_t *made = mu_json_own(m->arena, json_string(dump == NULL ? "" : dump));
        free(dump);
        return made;
    }
    return json;
}

/* All are read before any is set: an answer is taken whole or not at all. */
bool
mu_save(mu_motion *m, mu_inst *inst, const json_t *(*find)(mu_motion *m, const json_t *from, const char *path), const json_t *from)
{
    size_t n = inst->node->save_count;
    mu_value *values = mu_alloc(m->arena, (n + 1) * sizeof *values);

    for (size_t i = 0; i < n; i++) {
        const mu_var *var = mu_var_find(m->pb, inst->node->save[i]);
        const json_t *json = find(m, from, inst->node->saved_from[i]);
        if (var == NULL || var->constant || json == NULL || json_dumpb(json, NULL, 0, JSON_ENCODE_ANY | JSON_COMPACT) > SAVE_MOST
            || !mu_value_from_json(m->arena, loosened(m, json, var->type.kind), &var->type, &values[i]))
            return false;
    }
    for (size_t i = 0; i < n; i++)
        mu_var_set(m, inst, mu_var_find(m->pb, inst->node->save[i]), &values[i]);
    return true;
}
