/* Steps that have other steps inside: which blocks they have, and how often and when these run. */
#include "model.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define CASE_BYTES 64
#define ROUNDS_MOST 10000

static const char *
at(mu_reader *r, const mu_node *node, const char *member)
{
    return mu_pointer(r->arena, node->pointer, member);
}

static void
add_block(mu_node *node, mu_block *block)
{
    if (block != NULL)
        node->blocks[node->block_count++] = block;
}

/* Handlers have paths of their own below a step; no branch may be taken for one. */
static bool
handler_name(const char *name)
{
    return strcmp(name, "on_error") == 0 || strcmp(name, "deadline") == 0 || strcmp(name, "on_reject") == 0;
}

void
mu_read_if(mu_reader *r, mu_node *node)
{
    static const char *const names[] = { "then", "else" };

    node->cond = mu_condition_read(r, node, "cond");
    node->blocks = mu_alloc(r->arena, 2 * sizeof *node->blocks);
    for (size_t i = 0; i < MU_COUNT(names); i++)
        if (json_object_get(node->json, names[i]) != NULL)
            add_block(node, mu_block_read(r, json_object_get(node->json, names[i]), names[i], MU_BLOCK_BRANCH, node,
                mu_printf(r->arena, "%s/%s", node->path, names[i]), at(r, node, names[i])));
}

/* A case value becomes a part of paths. */
static bool
case_value(const char *value)
{
    size_t n = strlen(value);

    if (n == 0 || n > CASE_BYTES || handler_name(value) || strcmp(value, "default") == 0)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f || value[i] == '/' || value[i] == '#')
            return false;
    return true;
}

void
mu_read_switch(mu_reader *r, mu_node *node)
{
    const json_t *cases = json_object_get(node->json, "cases"), *other = json_object_get(node->json, "default");
    size_t n;
    const char **values = mu_sorted_keys(r->arena, cases, &n);

    node->cond = mu_condition_read(r, node, "on");
    node->blocks = mu_alloc(r->arena, (n + 1) * sizeof *node->blocks);
    if (json_is_object(cases) && n == 0)
        MU_BREAK(r, "V15", "empty", MU_FINDING_ERROR, node->path, at(r, node, "cases"), NULL);
    for (size_t i = 0; i < n; i++) {
        const char *pointer = mu_pointer(r->arena, at(r, node, "cases"), values[i]);
        if (!case_value(values[i]))
            MU_BREAK(r, "V01", "bad_id", MU_FINDING_ERROR, node->path, pointer, "name", values[i], NULL);
        else
            add_block(node, mu_block_read(r, json_object_get(cases, values[i]), values[i], MU_BLOCK_BRANCH, node,
                mu_printf(r->arena, "%s/%s", node->path, values[i]), pointer));
    }
    if (other != NULL)
        add_block(node, mu_block_read(r, other, "default", MU_BLOCK_BRANCH, node, mu_printf(r->arena, "%s/default", node->path),
            at(r, node, "default")));
}

/* -- loops ----------------------------------------------------------------------------------------------------------------- */

/* The body's steps stand right under the loop: it adds nothing to their paths. */
static void
read_body(mu_reader *r, mu_node *node)
{
    node->blocks = mu_alloc(r->arena, sizeof *node->blocks);
    if (json_object_get(node->json, "steps") != NULL)
        add_block(node, mu_block_read(r, json_object_get(node->json, "steps"), "steps", MU_BLOCK_BRANCH, node, node->path, at(r, node, "steps")));
}

static void
read_most(mu_reader *r, mu_node *node)
{
    node->most = mu_json_int(node->json, "max", 0);
    if (json_object_get(node->json, "max") != NULL && (node->most < 1 || node->most > ROUNDS_MOST))
        mu_wrong_value(r, node, at(r, node, "max"), "max");
}

void
mu_read_while(mu_reader *r, mu_node *node)
{
    static const struct { const char *name; mu_on_max how; } words[] = {
        { "fail", MU_MAX_FAIL }, { "continue", MU_MAX_CONTINUE }, { "ask", MU_MAX_ASK } };
    const char *on_max = mu_json_str(node->json, "on_max");
    bool known = on_max == NULL;

    node->cond = mu_condition_read(r, node, "cond");
    read_most(r, node);
    mu_length_read(r, node, mu_json_str(node->json, "every"), at(r, node, "every"), &node->every);
    for (size_t i = 0; i < MU_COUNT(words) && !known; i++)
        if (strcmp(words[i].name, on_max) == 0) {
            node->on_max = words[i].how;
            known = true;
        }
    if (!known)
        mu_wrong_value(r, node, at(r, node, "on_max"), "on_max");
    read_body(r, node);
}

/* A list written as YAML is the same as an expression with its items. NULL: an item that no expression can write. */
static char *
list_text(mu_reader *r, const json_t *list)
{
    char *text = mu_strdup(r->arena, "[");
    const json_t *item;
    size_t i, j;

    json_array_foreach(list, i, item) {
        const char *word = json_string_value(item);
        mu_buf quoted = MU_BUF(MU_EXPRESSION_BYTES * 2);
        if (word == NULL && !json_is_integer(item) && !json_is_boolean(item))
            return NULL;
        for (j = 0; word != NULL && word[j] != '\0'; j++) {
            mu_buf_addc(&quoted, word[j]);
            if (word[j] == '\'')
                mu_buf_addc(&quoted, '\'');
        }
        if (word != NULL)
            text = mu_printf(r->arena, "%s%s'%.*s'", text, i == 0 ? "" : ", ", (int)quoted.n, quoted.at == NULL ? "" : quoted.at);
        else if (json_is_integer(item))
            text = mu_printf(r->arena, "%s%s%lld", text, i == 0 ? "" : ", ", (long long)json_integer_value(item));
        else
            text = mu_printf(r->arena, "%s%s%s", text, i == 0 ? "" : ", ", json_is_true(item) ? "true" : "false");
        mu_buf_free(&quoted);
        if (strlen(text) > MU_EXPRESSION_BYTES)
            break;                                /* found to be too long where it is read */
    }
    return mu_printf(r->arena, "%s]", text);
}

static void
read_list(mu_reader *r, mu_node *node)
{
    const json_t *in = json_object_get(node->json, "in");
    mu_seen seen = { r->pb, node };
    mu_names names = { .type = mu_seen_type, .closure = &seen };
    mu_expression_error why;
    mu_type type;
    char *text = json_is_array(in) ? list_text(r, in) : NULL;

    node->item = (mu_type){ .kind = MU_T_ANY, .of = MU_T_ANY };
    if (json_is_array(in) && text == NULL)
        MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, at(r, node, "in"), "field", "in", NULL);
    if (text != NULL)
        node->cond = mu_expression_read(r, node, text, at(r, node, "in"));
    else if (json_is_string(in))
        node->cond = mu_condition_read(r, node, "in");
    if (node->cond != NULL && mu_expression_check(node->cond, &names, &type, &why) && type.kind == MU_T_LIST)
        node->item = (mu_type){ .kind = type.of, .of = MU_T_ANY, .values = type.values };
}

void
mu_read_for_each(mu_reader *r, mu_node *node)
{
    node->as = mu_json_str(node->json, "as");
    if (node->as != NULL && strchr(node->as, '-') != NULL)
        MU_BREAK(r, "V01", "bad_id", MU_FINDING_ERROR, node->path, at(r, node, "as"), "name", node->as, NULL);
    read_most(r, node);
    node->at_once = mu_json_int(node->json, "at_once", 1);
    if (node->at_once < 1 || node->at_once > 100)
        mu_wrong_value(r, node, at(r, node, "at_once"), "at_once");
    read_list(r, node);
    read_body(r, node);
}

/* -- parallel and call ----------------------------------------------------------------------------------------------------- */

static void
read_join(mu_reader *r, mu_node *node, size_t branches)
{
    const json_t *join = json_object_get(node->json, "join");

    node->join = branches;
    if (json_is_integer(join) && json_integer_value(join) >= 1 && (size_t)json_integer_value(join) <= branches)
        node->join = (size_t)json_integer_value(join);
    else if (json_is_string(join) && strcmp(json_string_value(join), "any") == 0)
        node->join = 1;
    else if (join != NULL && !(json_is_string(join) && strcmp(json_string_value(join), "all") == 0))
        mu_wrong_value(r, node, at(r, node, "join"), "join");
}

void
mu_read_parallel(mu_reader *r, mu_node *node)
{
    const json_t *branches = json_object_get(node->json, "branches");
    size_t n;
    const char **names = mu_sorted_keys(r->arena, branches, &n);

    if (json_is_object(branches) && n < 2)
        MU_BREAK(r, "V15", "branches", MU_FINDING_ERROR, node->path, at(r, node, "branches"), NULL);
    node->blocks = mu_alloc(r->arena, (n + 1) * sizeof *node->blocks);
    for (size_t i = 0; i < n; i++) {
        const char *pointer = mu_pointer(r->arena, at(r, node, "branches"), names[i]);
        if (!mu_is_slug(names[i]) || handler_name(names[i])) {
            MU_BREAK(r, "V01", "bad_id", MU_FINDING_ERROR, node->path, pointer, "name", names[i], NULL);
            continue;
        }
        add_block(node, mu_block_read(r, json_object_get(branches, names[i]), names[i], MU_BLOCK_BRANCH, node,
            mu_printf(r->arena, "%s/%s", node->path, names[i]), pointer));
    }
    read_join(r, node, n);
}

static void
call_block(mu_reader *r, mu_node *node, const char *name)
{
    static const char *const foreign[] = { "with", "save", "join" };
    json_t *named = mu_json_own(r->arena, json_pack("{s:s}", "block", name));

    for (size_t i = 0; i < MU_COUNT(foreign); i++)       /* a block shares the caller's variables */
        if (json_object_get(node->json, foreign[i]) != NULL)
            mu_wrong_value(r, node, at(r, node, foreign[i]), foreign[i]);
    node->blocks = mu_alloc(r->arena, sizeof *node->blocks);
    add_block(node, mu_block_read(r, named, name, MU_BLOCK_BRANCH, node, mu_printf(r->arena, "%s/%s", node->path, name), node->pointer));
}

/* slug or slug@3. */
static void
read_version(mu_reader *r, mu_node *node, const char *text)
{
    const char *sign = strchr(text, '@');
    char *slug = sign == NULL ? mu_strdup(r->arena, text) : mu_strndup(r->arena, text, (size_t)(sign - text));

    node->playbook = slug;
    if (!mu_is_slug(slug) || (sign != NULL && !mu_parse_int(sign + 1, 1, INT32_MAX, &node->version)))
        mu_wrong_value(r, node, at(r, node, "playbook"), "playbook");
}

static void
read_with(mu_reader *r, mu_node *node)
{
    const json_t *with = json_object_get(node->json, "with");

    node->with = mu_sorted_keys(r->arena, with, &node->with_count);
    node->given = mu_alloc(r->arena, (node->with_count + 1) * sizeof *node->given);
    for (size_t i = 0; i < node->with_count; i++) {
        const char *pointer = mu_pointer(r->arena, at(r, node, "with"), node->with[i]);
        const json_t *value = json_object_get(with, node->with[i]);
        if (json_is_string(value))
            node->given[i] = mu_expression_read(r, node, json_string_value(value), pointer);
        else if (json_is_integer(value) || json_is_boolean(value))
            node->given[i] = mu_expression_read(r, node, json_is_integer(value)
                ? mu_printf(r->arena, "%lld", (long long)json_integer_value(value)) : json_is_true(value) ? "true" : "false", pointer);
        else
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, pointer, "field", node->with[i], NULL);
    }
}

void
mu_read_call(mu_reader *r, mu_node *node)
{
    const char *block = mu_json_str(node->json, "block"), *playbook = mu_json_str(node->json, "playbook");

    if ((block == NULL) == (playbook == NULL)) {
        if (block == NULL)
            MU_BREAK(r, "V01", "missing_field", MU_FINDING_ERROR, node->path, node->pointer, "field", "playbook", NULL);
        else
            mu_wrong_value(r, node, at(r, node, "playbook"), "playbook");
        return;
    }
    if (block != NULL) {
        call_block(r, node, block);
        return;
    }
    read_version(r, node, playbook);
    read_with(r, node);
    node->watch = !mu_json_bool(node->json, "join", true);
    mu_save_read(r, node);
}
