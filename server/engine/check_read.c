/* From text to findings: what the readers of YAML and JSON refuse, said as findings (V01, V30); then all checks in their order. */
#include "check.h"

#include <string.h>

#include "json.h"
#include "str.h"

static const char *
argument(const mu_fault *fault, const char *name)
{
    for (const char *const *at = fault == NULL ? NULL : fault->args; at != NULL && at[0] != NULL && at[1] != NULL; at += 2)
        if (strcmp(at[0], name) == 0)
            return at[1];
    return "";
}

static unsigned
number(const char *text)
{
    int64_t value;

    return mu_parse_int(text, 1, UINT32_MAX, &value) ? (unsigned)value : 1;
}

/* Both readers stop at the first fault and name its place. Their limits are limits of size, the rest is syntax. */
static void
syntax_finding(mu_reader *r, const mu_problem *problem)
{
    const mu_fault *fault = problem->first;
    const char *key = fault == NULL || fault->key == NULL ? "error.yaml.syntax" : fault->key;
    bool deep = strcmp(key, "error.yaml.depth") == 0 || strcmp(key, "error.json.depth") == 0;
    bool size = deep || strcmp(key, "error.yaml.large") == 0;

    mu_find(r, size ? "V30" : "V01", deep ? "depth" : key, MU_FINDING_ERROR, "", "", "line", argument(fault, "line"),
        "column", argument(fault, "column"), "name", argument(fault, "name"), "most", "24", NULL);
    if (r->findings->last != NULL)
        r->findings->last->at = (mu_position){ number(argument(fault, "line")), number(argument(fault, "column")) };
}

mu_err
mu_playbook_read(mu_arena *arena, const char *text, size_t n, mu_findings *findings, json_t **ret_doc, mu_playbook **ret)
{
    mu_problem problem = { .arena = arena }, ignored = { .arena = arena };
    mu_reader r = { .arena = arena, .findings = findings };
    mu_marks *marks = NULL;
    json_t *doc = NULL, *same;
    mu_err err;

    *ret = NULL;
    if (ret_doc != NULL)
        *ret_doc = NULL;
    if (n > MU_PLAYBOOK_BYTES) {
        mu_find(&r, "V30", "bytes", MU_FINDING_ERROR, "", "", "most", "1 MiB", NULL);
        findings->last->at = (mu_position){ 1, 1 };
        return MU_INVALID;
    }
    if (n > 0 && text[0] == '{') {
        err = mu_json_parse(arena, text, n, &problem, &doc);
        if (err == MU_OK && mu_yaml_parse(arena, text, n, &ignored, &same, &marks) != MU_OK)
            marks = NULL;                         /* JSON is YAML but for a few rare forms; only the places are lost with those */
    } else {
        err = mu_yaml_parse(arena, text, n, &problem, &doc, &marks);
    }
    if (err != MU_OK) {
        syntax_finding(&r, &problem);
        return MU_INVALID;
    }
    if (ret_doc != NULL)
        *ret_doc = doc;
    return mu_playbook_parse(arena, doc, marks, findings, ret);
}

/* Bytes a value takes as text, more or less. */
static size_t
weight(const json_t *json)
{
    size_t n = 4 + (json_is_string(json) ? json_string_length(json) : 0), i;
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        n += strlen(key) + weight(value);
    json_array_foreach(json, i, value)
        n += weight(value);
    return n;
}

/* A small file can call one large block a thousand times; every call reads all of it again. */
bool
mu_room_for_block(mu_reader *r, const char *name, const json_t *steps)
{
    const json_t *known = json_object_get(r->called, name);
    json_int_t size = known == NULL ? (json_int_t)weight(steps) : json_integer_value(known);

    if (known == NULL)
        json_object_set_new(r->called, name, json_integer(size));
    if (r->inlined <= MU_PLAYBOOK_INLINED)
        r->inlined += (size_t)size;
    if (r->inlined <= MU_PLAYBOOK_INLINED)
        return true;
    MU_BREAK(r, "V30", "inlined", MU_FINDING_ERROR, "", "/blocks", "most", "1 MiB", NULL);
    return false;
}

void
mu_check_all(mu_reader *r)
{
    if (r->pb->main != NULL) {
        mu_check_names(r);
        mu_check_people(r);
        mu_check_flow(r);
        mu_check_loops(r);
        mu_check_calls(r);
        mu_check_outside(r);
        mu_check_around(r);
    }
    mu_check_text(r);
}
