/* Steps the commander adds while a run goes on: tasks and notices beside the flow. They are kept in the state, not in the playbook, and
 * are made into nodes at the start of every call. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define TITLE_MOST 300                 /* characters */
#define TEXT_MOST  4000

static mu_node *
make_node(mu_motion *m, const json_t *one, mu_block *block, size_t index)
{
    mu_node *node = mu_alloc(m->arena, sizeof *node);
    const json_t *step = json_object_get(one, "step");
    const char *id = mu_json_str(one, "id");

    *node = (mu_node){ .kind = mu_json_str(step, "task") != NULL ? MU_K_TASK : MU_K_NOTIFY, .id = id == NULL ? "" : id, .pointer = "",
        .ord = (unsigned)(m->pb->node_count + index), .block = block, .index = index, .json = step, .role = mu_json_str(step, "role"), .adhoc = true };
    node->path = mu_printf(m->arena, "adhoc/%s", node->id);
    node->deadline.warn = -1;
    return node;
}

void
mu_adhoc_nodes(mu_motion *m)
{
    const json_t *list = json_object_get(m->state, "adhoc"), *one;
    size_t n = json_array_size(list), i;
    mu_node **nodes;
    mu_block *block;

    m->nodes = m->pb->nodes;
    m->node_count = m->pb->node_count;
    if (n == 0)
        return;
    nodes = mu_alloc(m->arena, (m->pb->node_count + n) * sizeof *nodes);
    memcpy(nodes, m->pb->nodes, m->pb->node_count * sizeof *nodes);
    block = mu_alloc(m->arena, sizeof *block);
    *block = (mu_block){ .name = "adhoc", .path = "adhoc", .kind = MU_BLOCK_ASIDE };
    json_array_foreach(list, i, one)
        nodes[m->node_count++] = make_node(m, one, block, i);
    m->nodes = nodes;
}

/* -- adding one -------------------------------------------------------------------------------------------------------------- */

/* A text as it is, in one language or both. Nothing in it is a placeholder. */
static bool
sound_text(const json_t *text, size_t most)
{
    const char *key;
    json_t *value;
    bool good = json_is_string(text) || (json_is_object(text) && json_object_size(text) > 0);

    if (json_is_string(text)) {
        const char *one = json_string_value(text);
        return *one != '\0' && mu_utf8_count(one, strlen(one)) <= most && strstr(one, "{{") == NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)text, key, value)
        good = good && (strcmp(key, "zh") == 0 || strcmp(key, "en") == 0) && json_is_string(value) && sound_text(value, most);
    return good;
}

static bool
receiver(const mu_motion *m, const char *ref)
{
    if (ref == NULL || strlen(ref) > 100)
        return false;
    if (mu_starts(ref, "role."))
        return mu_role_known(m->pb, ref + 5);
    return mu_starts(ref, "group.") || mu_starts(ref, "user.") || mu_starts(ref, "contact.");
}

static bool
sound_list(mu_motion *m, const json_t *list, const char *pointer, bool (*good)(const mu_motion *m, const char *text))
{
    const json_t *one;
    size_t i;

    if (json_array_size(list) == 0 || json_array_size(list) > 20)
        return mu_refuse(m, "invalid", "error.required", pointer);
    json_array_foreach(list, i, one)
        if (!good(m, json_string_value(one)))
            return mu_refuse(m, "invalid", "error.run.value", mu_pointer_at(m->arena, pointer, i));
    return true;
}

static bool
channel(const mu_motion *m, const char *text)
{
    (void)m;
    return text != NULL && (strcmp(text, "email") == 0 || (mu_starts(text, "webhook.") && strlen(text) <= 100));
}

static bool
sound_step(mu_motion *m, bool task)
{
    const char *role = mu_json_str(m->data, "role");
    const json_t *text = json_object_get(m->data, "text");

    if (!sound_text(json_object_get(m->data, "title"), TITLE_MOST))
        return mu_refuse(m, "invalid", json_object_get(m->data, "title") == NULL ? "error.required" : "error.run.value", "/title");
    if (text == NULL ? !task : !sound_text(text, TEXT_MOST))
        return mu_refuse(m, "invalid", text == NULL ? "error.required" : "error.run.value", "/text");
    if (task)
        return (role != NULL && mu_role_known(m->pb, role)) || mu_refuse(m, "invalid", "error.run.unknown_role", "/role");
    return sound_list(m, json_object_get(m->data, "to"), "/to", receiver)
        && (json_object_get(m->data, "via") == NULL || sound_list(m, json_object_get(m->data, "via"), "/via", channel));
}

static json_t *
step_of(mu_motion *m, bool task, const char *id)
{
    static const char *const members[] = { "title", "text", "role", "to", "via" };
    json_t *step = json_pack("{s:s}", task ? "task" : "notify", id);

    for (size_t i = 0; i < MU_COUNT(members); i++) {
        json_t *value = json_object_get(m->data, members[i]);
        bool own = task ? i <= 2 : i != 2;
        if (value != NULL && own)
            json_object_set(step, members[i], value);
    }
    if (!task && json_object_get(step, "via") == NULL)
        json_object_set_new(step, "via", json_pack("[s]", "email"));
    return step;
}

static bool
add(mu_motion *m, const mu_inst *beside)
{
    const char *kind = mu_json_str(m->data, "kind");
    json_t *list = json_object_get(m->state, "adhoc"), *one;
    bool task = mu_same(kind, "task");
    const char *id;

    if (!mu_may_command(m))
        return false;
    if (!task && !mu_same(kind, "notify"))
        return mu_refuse(m, "invalid", "error.run.adhoc", "/kind");
    if (!sound_step(m, task))
        return false;
    if (json_array_size(list) >= MU_ADHOC_MOST)
        return mu_refuse(m, "conflict", "error.run.bounds", "");
    if (list == NULL) {
        list = json_array();
        json_object_set_new(m->state, "adhoc", list);
    }
    id = mu_printf(m->arena, "a%zu", json_array_size(list) + 1);
    one = json_pack("{s:s, s:o}", "id", id, "step", step_of(m, task, id));
    if (beside != NULL)
        json_object_set_new(one, "beside", json_string(beside->node->path));
    json_array_append_new(list, one);
    mu_adhoc_nodes(m);
    mu_log_event(m, "adhoc_step_added", NULL, json_pack("{s:s}", "path", mu_printf(m->arena, "adhoc/%s", id)));
    mu_enter(m, m->nodes[m->node_count - 1], "", -1);
    return true;
}

bool mu_on_adhoc(mu_motion *m, mu_inst *inst) { return add(m, inst); }
bool mu_on_adhoc_run(mu_motion *m) { return add(m, NULL); }
