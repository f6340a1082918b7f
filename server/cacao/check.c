/* The rules C001 to C050. A file is read whole before anything is made of it, so that its author sees everything at once. */
#include "cacao_private.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "str.h"

typedef struct {
    reporter *r;
    json_t *file, *workflow;
    json_t *index;          /* id of a step to its number */
    const char **ids;
    const json_t **steps;
    size_t n;
    size_t **edges;         /* numbers of the steps each one names, each once */
    size_t *edge_count;
    json_t *seen;           /* variable names already complained about */
    json_t *declared;       /* names in step_variables of any step */
    const char *text, *pointer;   /* of the step in hand */
} checker;

static const char *const agent_types[] = { "group", "individual", "location", "organization", "sector", "http-api", "linux", "net-address", "security-category", "ssh", NULL };
static const char *const step_types[] = { "start", "end", "action", "playbook-action", "parallel", "if-condition", "while-condition", "switch-condition", NULL };
static const char *const command_types[] = { "manual", "bash", "caldera-cmd", "elastic", "http-api", "jupyter", "kestrel", "openc2-http", "powershell", "sigma", "ssh", "yara", NULL };

static bool among(const char *const *list, const char *word)
{
    for (; *list != NULL; list++)
        if (word != NULL && strcmp(*list, word) == 0)
            return true;
    return false;
}

bool mu_cacao_looks(const char *text, size_t n)
{
    static const char *const signs[] = { "\"spec_version\"", "\"workflow_start\"", "\"workflow\"", "\"playbook--" };
    json_error_t error;
    size_t start = n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
    bool found = false;

    while (start < n && (text[start] == ' ' || text[start] == '\t' || text[start] == '\r' || text[start] == '\n'))
        start++;
    if (start == n || text[start] != '{')
        return false;
    for (size_t i = 0; i < MU_COUNT(signs); i++)
        found = found || memmem(text, n, signs[i], strlen(signs[i])) != NULL;
    if (!found || n > MU_CACAO_BYTES)
        return found;
    json_t *file = json_loadb(text + start, n - start, 0, &error);
    const char *format = mu_json_str(file, "format");
    /* one of ours may keep parts of a file it was made of; one of theirs may carry one of ours */
    found = file == NULL ? memmem(text, n, "\"format\"", 8) == NULL || memmem(text, n, signs[1], strlen(signs[1])) != NULL : format == NULL || !mu_starts(format, "muster/");
    json_decref(file);
    return found;
}

/* ---- identifiers ------------------------------------------------------------------------------------------------- */

/* type--UUID, version 1 to 5, variant 8, 9, a or b; ret_version = the version's digit. */
static bool id_form(const char *id, char *ret_version)
{
    const char *dashes = strstr(id, "--");

    if (dashes == NULL || dashes == id || strlen(dashes + 2) != 36)
        return false;
    for (const char *c = id; c < dashes; c++)
        if (!islower((unsigned char)*c) && !isdigit((unsigned char)*c) && *c != '-')
            return false;
    const char *uuid = dashes + 2;
    for (size_t i = 0; i < 36; i++) {
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? uuid[i] != '-' : !isxdigit((unsigned char)uuid[i]))
            return false;
    }
    *ret_version = uuid[14];
    return uuid[14] >= '1' && uuid[14] <= '5' && strchr("89abAB", uuid[19]) != NULL;
}

static const char *step_pointer(const checker *c, size_t i)
{
    return mu_pointer(c->r->arena, "/workflow", c->ids[i]);
}

/* ---- references -------------------------------------------------------------------------------------------------- */

typedef struct { checker *c; size_t step; json_t *once; } walk;

static void take_reference(void *closure, const char *place, const char *id)
{
    walk *w = closure;
    const json_t *number = json_object_get(w->c->index, id);
    char key[24];

    if (number == NULL) {
        mu_cacao_find(w->c->r, "C010", ERROR, NULL, w->c->ids[w->step], mu_printf(w->c->r->arena, "%s/%s", step_pointer(w->c, w->step), place), "name", id, "from", w->c->ids[w->step], NULL);
        return;
    }
    snprintf(key, sizeof key, "%lld", (long long)json_integer_value(number));
    if (json_object_get(w->once, key) == NULL)
        json_object_set(w->once, key, (json_t *)(uintptr_t)number);
}

static void read_edges(checker *c)
{
    mu_arena *arena = c->r->arena;

    for (size_t i = 0; i < c->n; i++) {
        walk w = { c, i, json_object() };
        json_t *number;
        const char *key;
        mu_cacao_references(arena, c->steps[i], take_reference, &w);
        c->edges[i] = mu_alloc(arena, (json_object_size(w.once) + 1) * sizeof(size_t));
        json_object_foreach(w.once, key, number)
            c->edges[i][c->edge_count[i]++] = (size_t)json_integer_value(number);
        json_decref(w.once);
    }
}

static bool number_of(const checker *c, const char *id, size_t *ret)
{
    const json_t *number = id != NULL ? json_object_get(c->index, id) : NULL;

    *ret = (size_t)json_integer_value(number);
    return number != NULL;
}

static void reach(const checker *c, size_t from, bool *seen)
{
    size_t *stack = mu_alloc(c->r->arena, (c->n + 1) * sizeof *stack), depth = 0;

    if (!seen[from])
        stack[depth++] = from;
    seen[from] = true;
    while (depth > 0) {
        const size_t at = stack[--depth];
        for (size_t i = 0; i < c->edge_count[at]; i++)
            if (!seen[c->edges[at][i]]) {
                seen[c->edges[at][i]] = true;
                stack[depth++] = c->edges[at][i];
            }
    }
}

/* A way back to a step that is still open, unless that step is a while: a loop without a bound and without a condition. */
static bool circle(const checker *c, size_t *ret_at)
{
    enum { NEW, OPEN, CLOSED };
    unsigned char *state = mu_alloc(c->r->arena, c->n + 1);
    size_t *stack = mu_alloc(c->r->arena, (c->n + 1) * sizeof *stack), *edge = mu_alloc(c->r->arena, (c->n + 1) * sizeof *edge);

    for (size_t root = 0; root < c->n; root++) {
        size_t depth = 0;
        if (state[root] != NEW)
            continue;
        stack[depth++] = root;
        state[root] = OPEN;
        while (depth > 0) {
            const size_t at = stack[depth - 1];
            if (edge[at] == c->edge_count[at]) {
                state[at] = CLOSED;
                depth--;
                continue;
            }
            const size_t to = c->edges[at][edge[at]++];
            if (state[to] == OPEN && !mu_cacao_type_is(c->steps[to], "while-condition")) {
                *ret_at = at;
                return true;
            }
            if (state[to] == NEW) {
                state[to] = OPEN;
                stack[depth++] = to;
            }
        }
    }
    return false;
}

/* ---- end steps that close several branches ------------------------------------------------------------------------ */

/* The end steps on the line from a step, without those of branches it opens. */
static void line_ends(const checker *c, size_t from, bool *seen, bool *ret_ends)
{
    static const char *const along[] = { "on_completion", "on_success", "on_failure" };
    size_t *stack = mu_alloc(c->r->arena, (c->n + 1) * sizeof *stack), depth = 0, to;

    memset(seen, 0, c->n * sizeof *seen);
    memset(ret_ends, 0, c->n * sizeof *ret_ends);
    stack[depth++] = from;
    seen[from] = true;
    while (depth > 0) {
        const size_t at = stack[--depth];
        ret_ends[at] = mu_cacao_is_end(c->steps[at]);
        for (size_t i = 0; i < MU_COUNT(along); i++)
            if (number_of(c, mu_json_str(c->steps[at], along[i]), &to) && !seen[to]) {
                seen[to] = true;
                stack[depth++] = to;
            }
    }
}

typedef struct { const checker *c; size_t *opened; json_t *once; } openers;

static void take_branch(void *closure, const char *place, const char *id)
{
    openers *o = closure;
    size_t to;

    if (strncmp(place, "on_c", 4) != 0 && strncmp(place, "on_s", 4) != 0 && strcmp(place, "on_failure") != 0 && number_of(o->c, id, &to)
        && json_object_get(o->once, id) == NULL) {
        json_object_set_new(o->once, id, json_true());
        o->opened[to]++;
    }
}

static void shared_ends(checker *c)
{
    mu_arena *arena = c->r->arena;
    mu_mark mark = mu_arena_mark(arena);
    size_t *opened = mu_alloc(arena, (c->n + 1) * sizeof *opened), *closed = mu_alloc(arena, (c->n + 1) * sizeof *closed), start;
    bool *seen = mu_alloc(arena, c->n + 1), *ends = mu_alloc(arena, c->n + 1), *main_line = mu_alloc(arena, c->n + 1);

    if (number_of(c, mu_json_str(c->file, "workflow_start"), &start))
        line_ends(c, start, seen, main_line);
    for (size_t i = 0; i < c->n; i++) {
        openers o = { c, opened, json_object() };
        mu_cacao_references(arena, c->steps[i], take_branch, &o);
        json_decref(o.once);
    }
    for (size_t i = 0; i < c->n; i++) {
        mu_mark inner = mu_arena_mark(arena);
        if (opened[i] == 0)
            continue;
        line_ends(c, i, seen, ends);
        for (size_t k = 0; k < c->n; k++)
            closed[k] += ends[k] ? opened[i] : 0;
        mu_arena_reset(arena, inner);
    }
    json_t *found = json_array();
    for (size_t i = 0; i < c->n; i++)
        if (closed[i] >= 2 && !main_line[i])
            json_array_append_new(found, json_integer((json_int_t)i));
    mu_arena_reset(arena, mark);
    for (size_t k = 0; k < json_array_size(found); k++) {
        const size_t i = (size_t)json_integer_value(json_array_get(found, k));
        mu_cacao_find(c->r, "C014", NOTE, NULL, c->ids[i], step_pointer(c, i), "name", c->ids[i], NULL);
    }
    json_decref(found);
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

/* A variable of one step may be read by another, which gets it by out_args; so a declaration anywhere is one. */
static void variable_used(checker *c, const char *name, const char *step, const char *pointer)
{
    if (json_object_get(c->declared, name) != NULL || json_object_get(c->seen, name) != NULL)
        return;
    json_object_set_new(c->seen, name, json_true());
    mu_cacao_find(c->r, "C041", WARNING, NULL, step, pointer, "name", name, NULL);
}

/* Every text of the tree; the depth is that of a parsed file, at most 32. */
static void variables_in(checker *c, const json_t *json, const char *step, const char *pointer)
{
    json_t *open = (json_t *)(uintptr_t)json, *value;
    const char *key, *rest;
    char *name;
    size_t i;

    if (json_is_string(json))
        for (const char *at = json_string_value(json); mu_cacao_variable(c->r->arena, at, &name, &rest) != NULL; at = rest)
            variable_used(c, mu_printf(c->r->arena, "__%s__", name), step, pointer);
    json_array_foreach(json, i, value)
        variables_in(c, value, step, pointer);
    json_object_foreach(open, key, value)
        if (strcmp(key, "step_extensions") != 0)
            variables_in(c, value, step, pointer);
}

static void argument_names(checker *c, const json_t *step, const char *member, const char *id, const char *pointer)
{
    const json_t *value;
    size_t i;

    json_array_foreach(json_object_get(step, member), i, value)
        if (json_is_string(value))
            variable_used(c, json_string_value(value), id, mu_printf(c->r->arena, "%s/%s/%zu", pointer, member, i));
}

static void declared_names(checker *c, json_t *dictionary, const char *step, const char *pointer)
{
    json_t *value;
    const char *name;

    json_object_foreach(dictionary, name, value) {
        const char *key = mu_printf(c->r->arena, "=%s", name);
        if (!mu_cacao_variable_name(name) && json_object_get(c->seen, key) == NULL) {
            json_object_set_new(c->seen, key, json_true());
            mu_cacao_find(c->r, "C042", WARNING, NULL, step, mu_pointer(c->r->arena, pointer, name), "name", name, NULL);
        }
        json_object_set_new(c->declared, name, json_true());
    }
}

/* ---- one step ---------------------------------------------------------------------------------------------------- */

static bool defined(const checker *c, const char *id)
{
    return json_object_get(json_object_get(c->file, "agent_definitions"), id) != NULL || json_object_get(json_object_get(c->file, "target_definitions"), id) != NULL;
}

static void check_action(checker *c, const json_t *step, const char *id, const char *pointer)
{
    const json_t *commands = json_object_get(step, "commands"), *value;
    const char *agent = mu_json_str(step, "agent");
    mu_arena *arena = c->r->arena;
    size_t i;

    if (!json_is_array(commands) || json_array_size(commands) == 0)
        mu_cacao_find(c->r, "C015", WARNING, "commands", id, pointer, "name", id, NULL);
    if (agent == NULL)
        mu_cacao_find(c->r, "C015", WARNING, "agent", id, pointer, "name", id, NULL);
    else if (!defined(c, agent))
        mu_cacao_find(c->r, "C022", WARNING, NULL, id, mu_printf(arena, "%s/agent", pointer), "name", agent, NULL);
    json_array_foreach(json_object_get(step, "targets"), i, value)
        if (!json_is_string(value) || !defined(c, json_string_value(value)))
            mu_cacao_find(c->r, "C022", WARNING, NULL, id, mu_printf(arena, "%s/targets/%zu", pointer, i), "name", json_is_string(value) ? json_string_value(value) : "", NULL);
    if (mu_json_str(step, "on_completion") == NULL && mu_json_str(step, "on_success") == NULL && mu_json_str(step, "on_failure") == NULL)
        mu_cacao_find(c->r, "C016", ERROR, NULL, id, pointer, "name", id, NULL);
    json_array_foreach(commands, i, value) {
        const char *type = mu_json_str(value, "type");
        if (!among(command_types, type))
            mu_cacao_find(c->r, "C031", WARNING, NULL, id, mu_printf(arena, "%s/commands/%zu", pointer, i), "name", type != NULL ? type : "", NULL);
    }
}

static void check_condition(checker *c, const json_t *step, const char *id, const char *pointer)
{
    const char *text = mu_json_str(step, "condition");
    size_t body;

    if (mu_cacao_condition(c->r->arena, text) == NULL)
        mu_cacao_find(c->r, "C032", WARNING, NULL, id, mu_printf(c->r->arena, "%s/condition", pointer), "name", text != NULL ? text : "", NULL);
    if (!mu_cacao_type_is(step, "while-condition"))
        return;
    if (mu_cacao_extension(step) == NULL)   /* ours says how often at most */
        mu_cacao_find(c->r, "C033", WARNING, NULL, id, pointer, "name", id, NULL);
    if (number_of(c, mu_json_str(step, "on_true"), &body) && mu_cacao_is_end(c->steps[body]))
        mu_cacao_find(c->r, "C034", WARNING, NULL, id, mu_printf(c->r->arena, "%s/on_true", pointer), "name", id, NULL);
}

static void check_step(checker *c, size_t i)
{
    const json_t *step = c->steps[i];
    const char *id = c->ids[i], *pointer = step_pointer(c, i), *type = mu_json_str(step, "type");
    char version = '4';

    if (!id_form(id, &version))
        mu_cacao_find(c->r, "C020", WARNING, NULL, id, pointer, "name", id, NULL);
    else if (version != '4')
        mu_cacao_find(c->r, "C021", WARNING, NULL, id, pointer, "name", id, NULL);
    if (!among(step_types, type))
        mu_cacao_find(c->r, "C030", WARNING, NULL, id, pointer, "name", type != NULL ? type : "", NULL);
    else if (strcmp(type, "action") == 0)
        check_action(c, step, id, pointer);
    else if (strcmp(type, "if-condition") == 0 || strcmp(type, "while-condition") == 0)
        check_condition(c, step, id, pointer);
    variables_in(c, step, id, pointer);
    argument_names(c, step, "in_args", id, pointer);
    argument_names(c, step, "out_args", id, pointer);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

static void found_secret(void *closure, const char *pointer, json_t *holder, const char *member)
{
    checker *c = closure;

    (void)holder;
    mu_cacao_find(c->r, "C040", WARNING, NULL, "", pointer, "name", member, NULL);
}

static void check_definitions(checker *c, const char *member)
{
    json_t *all = json_object_get(c->file, member), *one;
    const char *id, *base = mu_printf(c->r->arena, "/%s", member);

    json_object_foreach(all, id, one) {
        const char *type = mu_json_str(one, "type");
        if (!among(agent_types, type))
            mu_cacao_find(c->r, "C050", WARNING, NULL, "", mu_pointer(c->r->arena, base, id), "name", type != NULL ? type : "", NULL);
        variables_in(c, one, "", mu_pointer(c->r->arena, base, id));
    }
}

static void check_graph(checker *c)
{
    const char *start = mu_json_str(c->file, "workflow_start"), *exception = mu_json_str(c->file, "workflow_exception");
    bool *seen = mu_alloc(c->r->arena, c->n + 1);
    size_t at;

    read_edges(c);
    if (!number_of(c, start, &at)) {
        mu_cacao_find(c->r, "C010", ERROR, "start", "", "/workflow_start", "name", start != NULL ? start : "", NULL);
    } else {
        if (!mu_cacao_type_is(c->steps[at], "start"))
            mu_cacao_find(c->r, "C012", WARNING, NULL, start, "/workflow_start", "name", start, NULL);
        reach(c, at, seen);
    }
    if (number_of(c, exception, &at))
        reach(c, at, seen);
    for (size_t i = 0; i < c->n; i++)
        if (!seen[i])
            mu_cacao_find(c->r, "C013", WARNING, NULL, c->ids[i], step_pointer(c, i), "name", c->ids[i], NULL);
    if (circle(c, &at))
        mu_cacao_find(c->r, "C011", ERROR, NULL, c->ids[at], step_pointer(c, at), "name", c->ids[at], NULL);
    shared_ends(c);
}

static void check_workflow(checker *c)
{
    mu_arena *arena = c->r->arena;
    json_t *step;
    const char *id;
    size_t i = 0;

    c->n = json_object_size(c->workflow);
    c->ids = mu_alloc(arena, (c->n + 1) * sizeof *c->ids);
    c->steps = mu_alloc(arena, (c->n + 1) * sizeof *c->steps);
    c->edges = mu_alloc(arena, (c->n + 1) * sizeof *c->edges);
    c->edge_count = mu_alloc(arena, (c->n + 1) * sizeof *c->edge_count);
    c->index = mu_json_own(arena, json_object());
    c->seen = mu_json_own(arena, json_object());
    c->declared = mu_json_own(arena, json_object());
    json_object_foreach(c->workflow, id, step) {
        c->ids[i] = id;
        c->steps[i] = step;
        json_object_set_new(c->index, id, json_integer((json_int_t)i++));
    }
    declared_names(c, json_object_get(c->file, "playbook_variables"), "", "/playbook_variables");
    for (i = 0; i < c->n; i++)
        declared_names(c, json_object_get(c->steps[i], "step_variables"), c->ids[i], mu_printf(arena, "%s/step_variables", step_pointer(c, i)));
    check_graph(c);
    for (i = 0; i < c->n; i++)
        check_step(c, i);
    check_definitions(c, "agent_definitions");
    check_definitions(c, "target_definitions");
    mu_cacao_secrets(arena, c->file, found_secret, c);
}

/* C001, C002 and C004 end the check. */
static json_t *parse_file(reporter *r, const char *text, size_t n)
{
    mu_problem problem = { .arena = r->arena };
    json_t *file = NULL;

    if (n > MU_CACAO_BYTES) {
        mu_cacao_find(r, "C001", ERROR, "large", "", "", "most", "1 MiB", NULL);
        return NULL;
    }
    if (mu_json_parse(r->arena, text, n, &problem, &file) != MU_OK) {
        const mu_fault *fault = problem.first;
        const char *line = "1", *column = "1", *key = fault != NULL && fault->key != NULL ? strrchr(fault->key, '.') + 1 : "syntax";
        for (const char *const *arg = fault != NULL ? fault->args : NULL; arg != NULL && arg[0] != NULL; arg += 2)
            *(strcmp(arg[0], "line") == 0 ? &line : &column) = arg[1];
        if (strcmp(key, "depth") == 0)
            line = column = "1";
        mu_cacao_find(r, "C001", ERROR, strcmp(key, "syntax") == 0 ? NULL : key, "", "", "line", line, "column", column, NULL);
        return NULL;
    }
    if (!json_is_object(file)) {
        mu_cacao_find(r, "C002", ERROR, NULL, "", "", NULL);
        return NULL;
    }
    mu_marks *marks = NULL;
    json_t *again;
    if (mu_yaml_parse(r->arena, text, n, &problem, &again, &marks) == MU_OK)   /* JSON is YAML: for the lines */
        r->marks = marks;
    return file;
}

mu_cacao_verdict mu_cacao_check(mu_arena *arena, const char *text, size_t n, json_t **ret_findings, json_t **ret_file)
{
    reporter r = { .arena = arena, .list = mu_json_own(arena, json_array()) };
    checker c = { .r = &r };
    const char *version;

    *ret_findings = r.list;
    c.file = parse_file(&r, text, n);
    if (ret_file != NULL)
        *ret_file = c.file;
    if (c.file == NULL)
        return MU_CACAO_REJECT;
    version = mu_json_str(c.file, "spec_version");
    if (!mu_same(version, "cacao-2.0"))
        mu_cacao_find(&r, "C003", ERROR, NULL, "", "/spec_version", "name", version != NULL ? version : "", NULL);
    c.workflow = json_object_get(c.file, "workflow");
    if (!json_is_object(c.workflow)) {
        mu_cacao_find(&r, "C004", ERROR, NULL, "", "/workflow", NULL);
        return MU_CACAO_REJECT;
    }
    if (json_object_size(c.workflow) > MU_CACAO_STEPS) {
        mu_cacao_find(&r, "C004", ERROR, "steps", "", "/workflow", "most", "10000", NULL);
        return MU_CACAO_REJECT;
    }
    check_workflow(&c);
    return r.errors > 0 ? MU_CACAO_REJECT : r.warnings > 0 ? MU_CACAO_WARN : MU_CACAO_OK;
}
