/* From a document to the model: the top level, blocks and the tree of steps. */
#include "model.h"

#include <stdlib.h>
#include <string.h>

#include "crypto.h"
#include "json.h"
#include "str.h"

static const char *const reserved[] = { "on_error", "on_reject", "deadline", "then", "else", "injects", "adhoc" };

static const struct { const char *name; mu_type_kind kind; } types[] = {
    { "string", MU_T_TEXT }, { "int", MU_T_INT }, { "decimal", MU_T_DECIMAL }, { "bool", MU_T_BOOL }, { "enum", MU_T_ENUM },
    { "duration", MU_T_DURATION }, { "datetime", MU_T_DATETIME }, { "user", MU_T_USER }, { "list", MU_T_LIST }, { "secret", MU_T_SECRET } };

static const struct { const char *name; mu_type_kind kind; } facts[] = {
    { "run.id", MU_T_TEXT }, { "run.title", MU_T_TEXT }, { "run.mode", MU_T_ENUM }, { "run.url", MU_T_TEXT },
    { "run.severity", MU_T_TEXT }, { "run.started_at", MU_T_DATETIME }, { "incident.id", MU_T_TEXT }, { "incident.title", MU_T_TEXT },
    { "step.title", MU_T_TEXT }, { "step.due", MU_T_DATETIME }, { "now", MU_T_DATETIME }, { "org.name", MU_T_TEXT } };

/* -- looking things up ------------------------------------------------------------------------------------------------- */

static int
node_by_path(const void *key, const void *item)
{
    return strcmp(key, (*(mu_node *const *)item)->path);
}

bool
mu_node_below(const mu_node *node, const mu_node *top)
{
    for (const mu_node *n = node->block->owner; n != NULL; n = n->block->owner)
        if (n == top)
            return true;
    return false;
}

const mu_node *
mu_node_find(const mu_playbook *pb, const char *path)
{
    mu_node **found = bsearch(path, pb->by_path, pb->node_count, sizeof *pb->by_path, node_by_path);

    return found == NULL ? NULL : *found;
}

const mu_var *
mu_var_find(const mu_playbook *pb, const char *name)
{
    for (size_t i = 0; i < pb->var_count; i++)
        if (strcmp(pb->vars[i].name, name) == 0)
            return &pb->vars[i];
    return NULL;
}

const mu_node *
mu_milestone_find(const mu_playbook *pb, const char *id)
{
    for (size_t i = 0; i < pb->milestone_count; i++)
        if (strcmp(pb->milestones[i]->id, id) == 0)
            return pb->milestones[i];
    return NULL;
}

bool
mu_role_known(const mu_playbook *pb, const char *role)
{
    return json_object_get(pb->roles, role) != NULL;
}

bool
mu_name_type(void *playbook, const char *name, mu_type *ret)
{
    const mu_playbook *pb = playbook;
    const mu_var *var = mu_var_find(pb, name);

    if (var != NULL) {
        *ret = var->type;
        return true;
    }
    for (size_t i = 0; i < MU_COUNT(facts); i++)
        if (strcmp(facts[i].name, name) == 0) {
            *ret = (mu_type){ .kind = facts[i].kind, .of = MU_T_ANY };
            return true;
        }
    *ret = (mu_type){ .kind = MU_T_DATETIME, .of = MU_T_ANY };
    return mu_milestone_find(pb, name) != NULL;
}

const mu_node *
mu_item_owner(const mu_node *node, const char *name)
{
    for (const mu_node *n = node->block->owner; n != NULL; n = n->block->owner)
        if (n->kind == MU_K_FOR_EACH && mu_same(n->as, name))
            return n;
    return NULL;
}

bool
mu_seen_type(void *closure, const char *name, mu_type *ret)
{
    const mu_seen *seen = closure;
    const mu_node *owner = mu_item_owner(seen->node, name);

    if (owner == NULL)
        return mu_name_type((void *)(uintptr_t)seen->pb, name, ret);
    *ret = owner->item;
    return true;
}

const char   *mu_playbook_id(const mu_playbook *pb) { return pb->id; }
const json_t *mu_playbook_document(const mu_playbook *pb) { return pb->doc; }

char *
mu_playbook_hash(mu_arena *arena, const json_t *doc)
{
    mu_buf text = MU_BUF(4 * MU_PLAYBOOK_BYTES);
    char *hash = NULL;

    if (mu_json_canonical(doc, &text))
        hash = mu_sha256_hex(arena, text.at, text.n);
    mu_buf_free(&text);
    return hash;
}

/* -- roles and variables ----------------------------------------------------------------------------------------------- */

static void
read_roles(mu_reader *r)
{
    size_t n;
    const char **names = mu_sorted_keys(r->arena, r->pb->roles, &n);

    for (size_t i = 0; i < n; i++) {
        const json_t *role = json_object_get(r->pb->roles, names[i]);
        const char *pointer = mu_pointer(r->arena, "/roles", names[i]), *deputy = mu_json_str(role, "deputy");
        int64_t least = mu_json_int(role, "min", 0), most = mu_json_int(role, "max", INT64_MAX);

        if (!mu_is_slug(names[i]) || !json_is_object(role)) {
            MU_BREAK(r, "V01", "bad_id", MU_FINDING_ERROR, "", pointer, "name", names[i], NULL);
            continue;
        }
        mu_fields_check(r, "role", role, "", pointer);
        if (least > most || most == 0)
            mu_find(r, "V13", "never_filled", MU_FINDING_ERROR, "", pointer, "role", names[i], NULL);
        if (deputy != NULL && !mu_role_known(r->pb, deputy))
            MU_BREAK(r, "V12", "role", MU_FINDING_ERROR, "", mu_pointer(r->arena, pointer, "deputy"), "name", deputy, NULL);
        if (mu_same(deputy, names[i]))
            mu_find(r, "V17", "self", MU_FINDING_ERROR, "", mu_pointer(r->arena, pointer, "deputy"), "role", names[i], NULL);
    }
}

static mu_type_kind
type_named(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(types); i++)
        if (name != NULL && strcmp(types[i].name, name) == 0)
            return types[i].kind;
    return MU_T_ERROR;
}

static bool
strings_only(const json_t *list)
{
    size_t i;
    json_t *item;

    json_array_foreach(list, i, item)
        if (!json_is_string(item))
            return false;
    return json_array_size(list) > 0;
}

static void
read_var_from(mu_reader *r, mu_var *var, const char *pointer)
{
    bool known = var->from == NULL || mu_same(var->from, "trigger") || mu_same(var->from, "form") || mu_starts(var->from, "profile.");

    if (!known)
        MU_BREAK(r, "V01", "wrong_value", MU_FINDING_ERROR, "", mu_pointer(r->arena, pointer, "from"), "field", "from", NULL);
    if (var->constant && var->initial == NULL)
        mu_find(r, "V11", "constant_empty", MU_FINDING_ERROR, "", pointer, "name", var->name, NULL);
}

static void
read_var(mu_reader *r, mu_var *var, const char *name, const json_t *json, bool param)
{
    const char *pointer = mu_pointer(r->arena, param ? "/params" : "/vars", name);
    mu_value value;

    *var = (mu_var){ .name = name, .json = json, .param = param, .type = { .kind = MU_T_ANY, .of = MU_T_ANY } };
    if (!mu_is_slug(name) || strchr(name, '-') != NULL || !json_is_object(json)) {
        MU_BREAK(r, "V01", "bad_id", MU_FINDING_ERROR, "", pointer, "name", name, NULL);
        return;
    }
    mu_fields_check(r, "var", json, "", pointer);
    var->type.kind = type_named(mu_json_str(json, "type"));
    var->type.values = json_object_get(json, "values");
    if (var->type.kind == MU_T_LIST)
        var->type.of = type_named(mu_json_str(json, "of") == NULL ? "string" : mu_json_str(json, "of"));
    if (var->type.kind == MU_T_ERROR || var->type.of == MU_T_ERROR || (var->type.kind == MU_T_LIST && (var->type.of == MU_T_LIST || var->type.of == MU_T_SECRET)))
        MU_BREAK(r, "V01", "wrong_value", MU_FINDING_ERROR, "", mu_pointer(r->arena, pointer, "type"), "field", "type", NULL);
    if ((var->type.kind == MU_T_ENUM || var->type.of == MU_T_ENUM) && !strings_only(var->type.values))
        MU_BREAK(r, "V09", "no_values", MU_FINDING_ERROR, "", pointer, "name", name, NULL);
    var->initial = json_object_get(json, "default");
    var->from = mu_json_str(json, "from");
    var->constant = mu_json_bool(json, "constant", false);
    var->secret = mu_json_bool(json, "secret", false) || var->type.kind == MU_T_SECRET;
    if (var->type.kind == MU_T_SECRET && var->initial != NULL)     /* its value stays in the sealed store */
        MU_BREAK(r, "V25", "secret", MU_FINDING_ERROR, "", mu_pointer(r->arena, pointer, "default"), NULL);
    read_var_from(r, var, pointer);
    if (var->initial != NULL && var->type.kind != MU_T_SECRET && !r->broken && !mu_value_from_json(r->arena, var->initial, &var->type, &value))
        MU_BREAK(r, "V09", "default", MU_FINDING_ERROR, "", mu_pointer(r->arena, pointer, "default"), "name", name, NULL);
}

/* What the playbook keeps, and what its caller gives: one space of names. */
static void
read_vars(mu_reader *r)
{
    const json_t *vars = json_object_get(r->pb->doc, "vars"), *params = json_object_get(r->pb->doc, "params");
    size_t n, k;
    const char **names = mu_sorted_keys(r->arena, vars, &n), **given = mu_sorted_keys(r->arena, params, &k);

    if (n + k > 256) {
        MU_BREAK(r, "V30", "vars", MU_FINDING_ERROR, "", "/vars", "most", "256", NULL);
        return;
    }
    r->pb->vars = mu_alloc(r->arena, (n + k + 1) * sizeof *r->pb->vars);
    for (size_t i = 0; i < n; i++)
        read_var(r, &r->pb->vars[i], names[i], json_object_get(vars, names[i]), false);
    for (size_t i = 0; i < k; i++) {
        read_var(r, &r->pb->vars[n + i], given[i], json_object_get(params, given[i]), true);
        if (json_object_get(vars, given[i]) != NULL)
            MU_BREAK(r, "V02", "twice", MU_FINDING_ERROR, "", mu_pointer(r->arena, "/params", given[i]), "name", given[i], NULL);
    }
    r->pb->var_count = n + k;
}

/* -- steps ------------------------------------------------------------------------------------------------------------- */

/* The one member that names a kind; its value is the id. */
static bool
step_kind(mu_reader *r, const json_t *json, const char *path, const char *pointer, mu_kind *ret)
{
    unsigned found = 0;
    const char *member;
    json_t *value;
    mu_kind kind;

    json_object_foreach((json_t *)(uintptr_t)json, member, value) {
        if (mu_kind_find(member, &kind)) {
            found++;
            *ret = kind;
        }
    }
    if (found == 0)
        MU_BREAK(r, "V01", "no_kind", MU_FINDING_ERROR, path, pointer, NULL);
    else if (found > 1)
        MU_BREAK(r, "V01", "two_kinds", MU_FINDING_ERROR, path, pointer, NULL);
    return found == 1;
}

static bool
step_id(mu_reader *r, mu_node *node, const char *path)
{
    const char *at = mu_pointer(r->arena, node->pointer, mu_kind_name(node->kind));
    const json_t *earlier;

    node->id = mu_json_str(node->json, mu_kind_name(node->kind));
    if (node->id == NULL || !mu_is_slug(node->id) || (node->kind == MU_K_MILESTONE && strchr(node->id, '-') != NULL)) {
        MU_BREAK(r, "V01", "bad_id", MU_FINDING_ERROR, path, at, "name", node->id == NULL ? "" : node->id, NULL);
        return false;
    }
    for (size_t i = 0; i < MU_COUNT(reserved); i++)
        if (strcmp(reserved[i], node->id) == 0)
            MU_BREAK(r, "V01", "reserved", MU_FINDING_ERROR, path, at, "name", node->id, NULL);
    earlier = json_object_get(r->ids, node->id);
    if (earlier == NULL) {
        json_object_set_new(r->ids, node->id, json_string(node->pointer));
        r->written++;
    } else if (strcmp(json_string_value(earlier), node->pointer) != 0) {
        MU_BREAK(r, "V02", "twice", MU_FINDING_ERROR, path, at, "name", node->id, NULL);
    }
    return true;
}

static bool
keep_node(mu_reader *r, mu_node *node)
{
    mu_playbook *pb = r->pb;

    if (r->written > MU_PLAYBOOK_STEPS || pb->node_count >= MU_PLAYBOOK_NODES) {
        MU_BREAK(r, "V30", "steps", MU_FINDING_ERROR, "", "/steps", "most", "2000", NULL);
        return false;
    }
    if (pb->node_count == r->capacity) {
        size_t larger = r->capacity == 0 ? 64 : r->capacity * 2;
        mu_node **nodes = mu_alloc(r->arena, larger * sizeof *nodes);
        if (pb->node_count > 0)
            memcpy(nodes, pb->nodes, pb->node_count * sizeof *nodes);
        pb->nodes = nodes;
        r->capacity = larger;
    }
    node->ord = (unsigned)pb->node_count;
    pb->nodes[pb->node_count++] = node;
    return true;
}

static mu_node *
read_step(mu_reader *r, const json_t *json, mu_block *block, const char *pointer)
{
    mu_node *node = mu_alloc(r->arena, sizeof *node);

    *node = (mu_node){ .json = json, .pointer = pointer, .block = block, .depth = (unsigned)r->depth - 1 };
    if (!json_is_object(json)) {
        MU_BREAK(r, "V01", "not_a_step", MU_FINDING_ERROR, block->path, pointer, NULL);
        return NULL;
    }
    if (!step_kind(r, json, block->path, pointer, &node->kind) || !step_id(r, node, block->path))
        return NULL;
    node->path = *block->path == '\0' ? mu_strdup(r->arena, node->id) : mu_printf(r->arena, "%s/%s", block->path, node->id);
    mu_fields_check(r, mu_kind_name(node->kind), json, node->path, pointer);
    if (!keep_node(r, node))
        return NULL;
    mu_step_details(r, node);
    return node;
}

/* {block: name}: the steps of a named block in this place. Its own name goes on the stack, so that a circle is seen. */
static mu_block *
read_named(mu_reader *r, const char *named, const char *name, mu_block_kind kind, mu_node *owner, const char *path, const char *pointer)
{
    const json_t *steps = json_object_get(json_object_get(r->pb->doc, "blocks"), named);
    const char *step_path = owner == NULL ? "" : owner->path;
    mu_block *made = NULL;

    if (steps == NULL) {
        MU_BREAK(r, "V12", "block", MU_FINDING_ERROR, step_path, pointer, "name", named, NULL);
        return NULL;
    }
    if (!mu_room_for_block(r, named, steps))
        return NULL;
    for (size_t i = 0; i < r->call_depth; i++)
        if (strcmp(r->calls[i], named) == 0) {
            MU_BREAK(r, "V04", "cycle", MU_FINDING_ERROR, step_path, pointer, "name", named, NULL);
            return NULL;
        }
    if (r->call_depth == 8) {
        MU_BREAK(r, "V05", "call_depth", MU_FINDING_ERROR, step_path, pointer, "most", "8", NULL);
        return NULL;
    }
    r->calls[r->call_depth++] = named;
    made = mu_block_read(r, steps, name, kind, owner, path, mu_pointer(r->arena, "/blocks", named));
    r->call_depth--;
    return made;
}

static void
read_steps(mu_reader *r, const json_t *json, mu_block *block, const char *pointer)
{
    size_t i;
    json_t *item;

    block->steps = mu_alloc(r->arena, (json_array_size(json) + 1) * sizeof *block->steps);
    json_array_foreach(json, i, item) {
        mu_node *node = read_step(r, item, block, mu_pointer_at(r->arena, pointer, i));
        if (node == NULL)
            continue;
        node->index = block->count;
        block->steps[block->count++] = node;
    }
}

mu_block *
mu_block_read(mu_reader *r, const json_t *json, const char *name, mu_block_kind kind, mu_node *owner, const char *path,
    const char *pointer)
{
    const char *step_path = owner == NULL ? "" : owner->path;
    mu_block *block = mu_alloc(r->arena, sizeof *block);

    *block = (mu_block){ .name = name, .path = path, .kind = kind, .owner = owner };
    if (json_is_object(json)) {
        const char *named = mu_json_str(json, "block");
        if (named == NULL || json_object_size(json) != 1) {
            MU_BREAK(r, "V01", "not_a_block", MU_FINDING_ERROR, step_path, pointer, NULL);
            return NULL;
        }
        return read_named(r, named, name, kind, owner, path, mu_pointer(r->arena, pointer, "block"));
    }
    if (!json_is_array(json)) {
        MU_BREAK(r, "V01", "not_a_block", MU_FINDING_ERROR, step_path, pointer, NULL);
        return NULL;
    }
    if (json_array_size(json) == 0) {
        MU_BREAK(r, "V15", "empty", MU_FINDING_ERROR, step_path, pointer, NULL);
        return NULL;
    }
    if (++r->depth > MU_PLAYBOOK_DEPTH) {
        MU_BREAK(r, "V30", "depth", MU_FINDING_ERROR, step_path, pointer, "most", "24", NULL);
        r->depth--;
        return NULL;
    }
    read_steps(r, json, block, pointer);
    r->depth--;
    return block;
}

/* -- the whole --------------------------------------------------------------------------------------------------------- */

static int
path_order(const void *a, const void *b)
{
    return strcmp((*(mu_node *const *)a)->path, (*(mu_node *const *)b)->path);
}

static void
index_nodes(mu_reader *r)
{
    mu_playbook *pb = r->pb;

    pb->by_path = mu_alloc(r->arena, (pb->node_count + 1) * sizeof *pb->by_path);
    pb->milestones = mu_alloc(r->arena, (pb->node_count + 1) * sizeof *pb->milestones);
    for (size_t i = 0; i < pb->node_count; i++) {
        pb->by_path[i] = pb->nodes[i];
        if (pb->nodes[i]->kind == MU_K_MILESTONE && mu_milestone_find(pb, pb->nodes[i]->id) == NULL)
            pb->milestones[pb->milestone_count++] = pb->nodes[i];
    }
    qsort(pb->by_path, pb->node_count, sizeof *pb->by_path, path_order);
}

/* Blocks nobody uses are dead text; they are read all the same, so that other slips in them are found too. */
static void
read_unused_blocks(mu_reader *r)
{
    size_t n;
    const json_t *blocks = json_object_get(r->pb->doc, "blocks");
    const char **names = mu_sorted_keys(r->arena, blocks, &n);

    for (size_t i = 0; i < n; i++) {
        const char *pointer = mu_pointer(r->arena, "/blocks", names[i]);
        if (!mu_is_slug(names[i]))
            MU_BREAK(r, "V01", "bad_id", MU_FINDING_ERROR, "", pointer, "name", names[i], NULL);
        if (json_object_get(r->called, names[i]) != NULL)
            continue;
        mu_find(r, "V03", "block", MU_FINDING_ERROR, "", pointer, "name", names[i], NULL);
    }
}

/* Injects outside `steps` stand beside the flow: each waits for its own time, in drills and rehearsals only. */
static void
read_injects(mu_reader *r)
{
    mu_block *block = mu_block_read(r, json_object_get(r->pb->doc, "injects"), "injects", MU_BLOCK_ASIDE, NULL, "injects", "/injects");

    for (size_t i = 0; block != NULL && i < block->count; i++)
        if (block->steps[i]->kind != MU_K_INJECT)
            MU_BREAK(r, "V01", "wrong_value", MU_FINDING_ERROR, block->steps[i]->path, block->steps[i]->pointer, "field", "injects", NULL);
    r->pb->injects = block;
}

static void
read_all(mu_reader *r)
{
    const json_t *doc = r->pb->doc, *plan = json_object_get(doc, "plan");

    mu_fields_check(r, "playbook", doc, "", "");
    if (mu_json_str(doc, "format") != NULL && !mu_same(mu_json_str(doc, "format"), MU_PLAYBOOK_FORMAT))
        MU_BREAK(r, "V01", "format", MU_FINDING_ERROR, "", "/format", "format", MU_PLAYBOOK_FORMAT, NULL);
    if (plan != NULL)
        mu_fields_check(r, "plan", plan, "", "/plan");
    if (mu_json_str(plan, "rto") != NULL && !mu_duration_parse(mu_json_str(plan, "rto"), &r->pb->rto))
        r->pb->rto = 0;
    read_roles(r);
    read_vars(r);
    if (json_object_get(doc, "steps") != NULL)
        r->pb->main = mu_block_read(r, json_object_get(doc, "steps"), "", MU_BLOCK_MAIN, NULL, "", "/steps");
    if (json_object_get(doc, "on_error") != NULL)
        r->pb->on_error = mu_block_read(r, json_object_get(doc, "on_error"), "on_error", MU_BLOCK_HANDLER, NULL, "on_error", "/on_error");
    if (json_object_get(doc, "injects") != NULL)
        read_injects(r);
    read_unused_blocks(r);
    index_nodes(r);
}

mu_err
mu_playbook_parse(mu_arena *arena, const json_t *doc, const mu_marks *marks, mu_findings *findings, mu_playbook **ret)
{
    mu_playbook *pb = mu_alloc(arena, sizeof *pb);
    mu_reader r = { .arena = arena, .findings = findings, .marks = marks, .pb = pb };

    *ret = NULL;
    *pb = (mu_playbook){ .arena = arena, .doc = doc, .id = mu_json_str(doc, "id") };
    r.ids = mu_json_own(arena, json_object());
    r.called = mu_json_own(arena, json_object());
    if (!json_is_object(doc)) {
        MU_BREAK(&r, "V01", "not_an_object", MU_FINDING_ERROR, "", "", NULL);
        return MU_INVALID;
    }
    pb->roles = json_object_get(doc, "roles");
    read_all(&r);
    mu_check_all(&r);
    if (!r.broken && pb->main != NULL)
        *ret = pb;
    return findings->errors == 0 ? MU_OK : MU_INVALID;
}
