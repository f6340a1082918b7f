/* Rows for the screens, made from the state alone, so that they can be made again at any time. */
#include "motion.h"

#include <string.h>

#include "json.h"
#include "str.h"

static void
put(json_t *row, const char *key, const json_t *value)
{
    if (value != NULL)
        json_object_set(row, key, (json_t *)(uintptr_t)value);
}

/* -- texts ----------------------------------------------------------------------------------------------------------------- */

static bool
has_placeholder(const json_t *text)
{
    const char *zh = mu_json_str(text, "zh"), *en = mu_json_str(text, "en"), *one = json_string_value(text);

    return (zh != NULL && strstr(zh, "{{") != NULL) || (en != NULL && strstr(en, "{{") != NULL) || (one != NULL && strstr(one, "{{") != NULL);
}

void
mu_freeze_texts(mu_motion *m, mu_inst *inst)
{
    static const struct { const char *member; mu_fill how; } texts[] = { { "title", MU_FILL_PLAIN }, { "text", MU_FILL_MARKDOWN } };
    const json_t *item;
    json_t *frozen = json_object();
    size_t i;

    json_object_set_new(inst->rec, "texts", frozen);
    for (i = 0; i < MU_COUNT(texts); i++)
        if (has_placeholder(json_object_get(inst->node->json, texts[i].member)))
            json_object_set_new(frozen, texts[i].member,
                mu_text_both(m, inst, json_object_get(inst->node->json, texts[i].member), texts[i].how));
    if (inst->node->kind == MU_K_INJECT && has_placeholder(inst->node->json))
        json_object_set_new(frozen, "inject", mu_text_both(m, inst, inst->node->json, MU_FILL_PLAIN));
    json_array_foreach(json_object_get(inst->node->json, "items"), i, item)
        if (has_placeholder(item) && mu_json_str(item, "id") != NULL)
            json_object_set_new(frozen, mu_printf(m->arena, "item.%s", mu_json_str(item, "id")), mu_text_both(m, inst, item, MU_FILL_PLAIN));
    if (json_object_size(frozen) == 0)
        json_object_del(inst->rec, "texts");
}

static bool
ellipsis(void *closure, mu_arena *arena, const char *name, mu_value *ret)
{
    (void)closure; (void)arena; (void)name;
    *ret = (mu_value){ .kind = MU_T_TEXT, .text = "…" };
    return true;
}

/* The text of a step that has not begun shows "…" where a value will stand. */
static json_t *
text_of(mu_motion *m, const mu_inst *inst, const json_t *text, const char *name)
{
    static const char *const languages[] = { "zh", "en" };
    const json_t *frozen = json_object_get(json_object_get(inst->rec, "texts"), name);
    mu_names names = { .value = ellipsis };
    json_t *both;

    if (frozen != NULL)
        return json_incref((json_t *)(uintptr_t)frozen);
    both = mu_json_own(m->arena, json_object());
    for (size_t i = 0; i < MU_COUNT(languages); i++) {
        const char *one = json_is_string(text) ? json_string_value(text) : mu_json_str(text, languages[i]);
        if (one != NULL)
            json_object_set_new(both, languages[i], json_string(mu_text_fill(m->arena, one, &names, MU_FILL_PLAIN)));
    }
    return json_incref(both);
}

static bool
in_handler(const mu_node *node)
{
    for (const mu_node *n = node; n != NULL; n = n->block->owner)
        if (n->block->kind == MU_BLOCK_HANDLER)
            return true;
    return false;
}

static json_t *
items(mu_motion *m, const mu_inst *inst)
{
    const json_t *ticks = inst->rec == NULL ? NULL : json_object_get(inst->rec, "items"), *item;
    json_t *list = json_array();
    size_t i;

    json_array_foreach(json_object_get(inst->node->json, "items"), i, item) {
        json_t *row = json_object(), *text;
        const json_t *tick = json_object_get(ticks, mu_json_str(item, "id") == NULL ? "" : mu_json_str(item, "id"));
        text = mu_json_own(m->arena, text_of(m, inst, item, mu_printf(m->arena, "item.%s", mu_json_str(item, "id") == NULL ? "" : mu_json_str(item, "id"))));
        json_array_append_new(list, row);
        put(row, "id", json_object_get(item, "id"));
        put(row, "zh", json_object_get(text, "zh"));
        put(row, "en", json_object_get(text, "en"));
        json_object_set_new(row, "critical", json_boolean(mu_json_bool(item, "critical", false)));
        put(row, "form", json_object_get(item, "form"));
        json_object_set_new(row, "state", json_string(tick == NULL ? "open" : mu_json_str(tick, "state")));
        put(row, "value", json_object_get(tick, "value"));
        put(row, "values", json_object_get(tick, "values"));
        put(row, "reason", json_object_get(tick, "reason"));
        put(row, "by", json_object_get(tick, "by"));
        put(row, "at", json_object_get(tick, "at"));
    }
    return list;
}

/* Without options a decision offers the values of its variable. */
static json_t *
options(const mu_motion *m, const mu_node *node)
{
    const json_t *given = json_object_get(node->json, "options"), *option;
    const mu_var *var = node->name_count == 1 ? mu_var_find(m->pb, node->names[0]) : NULL;
    json_t *list = json_array();
    size_t i;

    if (given == NULL && var != NULL)
        given = var->type.values;
    json_array_foreach(given, i, option)
        json_array_append_new(list, json_is_object(option) ? json_incref((json_t *)(uintptr_t)option)
            : json_pack("{s:O}", "value", option));
    if (given == NULL && var != NULL && var->type.kind == MU_T_BOOL) {
        json_array_append_new(list, json_pack("{s:b}", "value", 1));
        json_array_append_new(list, json_pack("{s:b}", "value", 0));
    }
    return list;
}

static json_t *
into(const mu_node *node)
{
    json_t *list = json_array();

    for (size_t i = 0; i < node->name_count; i++)
        json_array_append_new(list, json_string(node->names[i]));
    return list;
}

static json_t *
approval(const mu_inst *inst, const char *role)
{
    json_t *box = json_pack("{s:s?, s:I, s:O?}", "role", role, "count", (json_int_t)inst->node->count,
        "given", json_object_get(inst->rec, "ok"));

    put(box, "not", json_object_get(json_object_get(inst->node->json, "by"), "not"));
    if (json_object_get(box, "given") == NULL)
        json_object_set_new(box, "given", json_array());
    return box;
}

/* -- what belongs to a kind ------------------------------------------------------------------------------------------------ */

static json_t *
branches(const mu_node *node)
{
    json_t *list = json_array();

    for (size_t i = 0; i < node->block_count; i++)
        json_array_append_new(list, json_string(node->blocks[i]->name));
    if (node->kind == MU_K_IF && node->block_count == 1)
        json_array_append_new(list, json_string("else"));
    return list;
}

static json_t *
loop(const mu_inst *inst)
{
    if (inst->node->kind == MU_K_WHILE)
        return json_pack("{s:I, s:I}", "round", (json_int_t)mu_json_int(inst->rec, "round", 0), "max", (json_int_t)inst->node->most);
    return json_pack("{s:I, s:I, s:I, s:I}", "count", (json_int_t)json_array_size(json_object_get(inst->rec, "list")),
        "ended", (json_int_t)mu_json_int(inst->rec, "ended", 0), "open", (json_int_t)mu_json_int(inst->rec, "open", 0),
        "at_once", (json_int_t)inst->node->at_once);
}

static json_t *
http(const mu_inst *inst)
{
    const mu_http *h = inst->node->http;
    json_t *box = json_pack("{s:s, s:s, s:s, s:I, s:I}", "connection", h->connection, "method", h->method, "effect", h->once ? "once" : "idempotent",
        "tries", (json_int_t)mu_json_int(inst->rec, "tries", 0), "retries", (json_int_t)h->retries);

    put(box, "status", json_object_get(inst->rec, "code"));
    return box;
}

static json_t *
child(const mu_inst *inst)
{
    static const char *const members[] = { "run", "status", "outcome" };
    const json_t *known = json_object_get(inst->rec, "child");
    json_t *box = json_pack("{s:s, s:o, s:b}", "playbook", inst->node->playbook,
        "version", inst->node->version == 0 ? json_null() : json_integer(inst->node->version), "join", !inst->node->watch);

    for (size_t i = 0; i < MU_COUNT(members); i++)
        put(box, members[i], json_object_get(known, members[i]));
    put(box, "version", json_object_get(known, "version"));
    return box;
}

static json_t *
inject(mu_motion *m, const mu_inst *inst)
{
    static const char *const members[] = { "to", "from", "via", "at", "attachment", "expect" };
    const json_t *json = inst->node->json;
    json_t *box = json_object();

    for (size_t i = 0; i < MU_COUNT(members); i++)
        put(box, members[i], json_object_get(json, members[i]));
    json_object_set_new(box, "text", json_object_get(json, "text") != NULL ? text_of(m, inst, json_object_get(json, "text"), "text")
        : text_of(m, inst, json, "inject"));
    put(box, "delivered_at", json_object_get(inst->rec, "told_at"));
    put(box, "verdict", json_object_get(inst->rec, "judged"));
    return box;
}

/* What one does with it. */
static void
person_members(mu_motion *m, const mu_inst *inst, json_t *row)
{
    const json_t *json = inst->node->json;

    if (inst->node->kind == MU_K_CHECKLIST) {
        put(row, "mode", json_object_get(json, "mode"));
        json_object_set_new(row, "items", items(m, inst));
    } else if (inst->node->kind == MU_K_TASK) {
        put(row, "form", json_object_get(json, "form"));
    } else if (inst->node->kind == MU_K_DECIDE) {
        json_object_set_new(row, "into", into(inst->node));
        json_object_set_new(row, "options", options(m, inst->node));
        put(row, "default_after", json_object_get(json, "default_after"));
    } else if (inst->node->kind == MU_K_APPROVE) {
        json_object_set_new(row, "approve", approval(inst, mu_inst_role(inst)));
    } else if (inst->node->kind == MU_K_REPORT) {
        json_object_set_new(row, "report", json_pack("{s:O?, s:O?}", "profile", json_object_get(json, "profile"), "stage", json_object_get(json, "stage")));
        if (inst->node->sign_role != NULL)
            json_object_set_new(row, "approve", approval(inst, inst->node->sign_role));
    }
    put(row, "assigned", json_object_get(inst->rec, "who"));
}

static void
kind_members(mu_motion *m, const mu_inst *inst, json_t *row)
{
    const json_t *json = inst->node->json;
    json_t *box;

    switch (inst->node->kind) {
    case MU_K_TASK: case MU_K_CHECKLIST: case MU_K_DECIDE: case MU_K_APPROVE: case MU_K_REPORT:
        person_members(m, inst, row);
        break;
    case MU_K_NOTIFY:
        box = json_pack("{s:O?, s:O?}", "to", json_object_get(json, "to"), "via", json_object_get(json, "via"));
        json_object_set_new(row, "notify", box);
        put(box, "ack", json_object_get(json, "ack"));
        put(box, "given", json_object_get(inst->rec, "acks"));
        break;
    case MU_K_STATUS:
        json_object_set_new(row, "page", json_pack("{s:O?, s:O?}", "component", json_object_get(json, "component"), "state", json_object_get(json, "state")));
        break;
    case MU_K_IF: case MU_K_SWITCH:
        put(row, "branch", json_object_get(inst->rec, "branch"));
        put(row, "forced", json_object_get(inst->rec, "forced"));
        if (mu_rules(m) >= 2)                     /* rows of older runs stay as they were written */
            json_object_set_new(row, "branches", branches(inst->node));
        break;
    case MU_K_WHILE: case MU_K_FOR_EACH:
        json_object_set_new(row, "loop", loop(inst));
        break;
    case MU_K_HTTP:
        json_object_set_new(row, "http", http(inst));
        break;
    case MU_K_CALL:
        if (inst->node->playbook != NULL)
            json_object_set_new(row, "child", child(inst));
        break;
    case MU_K_INJECT:
        json_object_set_new(row, "inject", inject(m, inst));
        break;
    case MU_K_WAIT:
        put(row, "event", json_object_get(json, "event"));
        break;
    case MU_K_END:
        put(row, "outcome", json_object_get(json, "outcome"));
        break;
    case MU_K_SET: case MU_K_PARALLEL: case MU_K_MILESTONE: case MU_K_COUNT:
        break;
    }
}

/* The item of the nearest for_each around the step. */
static void
item_member(mu_motion *m, const mu_inst *inst, json_t *row)
{
    mu_inst cur = *inst, owner;

    if (inst->rec == NULL)
        return;
    for (owner = mu_inst_owner(m, &cur); owner.rec != NULL; cur = owner, owner = mu_inst_owner(m, &cur)) {
        const json_t *list = json_object_get(owner.rec, "list");
        int64_t n = mu_json_int(cur.rec, "it", 0);
        if (owner.node->kind != MU_K_FOR_EACH)
            continue;
        json_object_set_new(row, "item", json_pack("{s:s, s:O?, s:I, s:I}", "as", owner.node->as, "value", json_array_get(list, (size_t)n),
            "n", (json_int_t)n + 1, "of", (json_int_t)json_array_size(list)));
        return;
    }
}

/* Where the commander wanted an added step to stand. */
static void
adhoc_members(mu_motion *m, const mu_inst *inst, json_t *row)
{
    const json_t *one;
    size_t i;

    if (!inst->node->adhoc)
        return;
    json_object_set_new(row, "adhoc", json_true());
    json_array_foreach(json_object_get(m->state, "adhoc"), i, one)
        if (mu_same(mu_json_str(one, "id"), inst->node->id))
            put(row, "beside", json_object_get(one, "beside"));
}

static void
common_members(mu_motion *m, const mu_inst *inst, json_t *row)
{
    const json_t *json = inst->node->json;
    json_t *evidence;

    json_object_set_new(row, "title", json_object_get(json, "title") == NULL
        ? json_pack("{s:s, s:s}", "zh", inst->node->id, "en", inst->node->id) : text_of(m, inst, json_object_get(json, "title"), "title"));
    if (json_object_get(json, "text") != NULL)
        json_object_set_new(row, "text", text_of(m, inst, json_object_get(json, "text"), "text"));
    if (mu_inst_role(inst) != NULL)
        json_object_set_new(row, "role", json_string(mu_inst_role(inst)));
    json_object_set_new(row, "critical", json_boolean(inst->node->critical));
    if (inst->node->when != NULL)
        put(row, "when", json_object_get(json, "when"));
    put(row, "refs", json_object_get(json, "refs"));
    if (inst->node->evidence > 0 || json_object_get(inst->rec, "ev") != NULL) {
        evidence = json_pack("{s:I}", "min", (json_int_t)inst->node->evidence);
        json_object_set_new(row, "evidence", evidence);
        put(evidence, "types", json_object_get(json_object_get(json, "evidence"), "types"));
        put(evidence, "given", json_object_get(inst->rec, "ev"));
    }
    kind_members(m, inst, row);
    item_member(m, inst, row);
    adhoc_members(m, inst, row);
}

static json_t *
row_start(const mu_node *node, int64_t occ, const char *status)
{
    const mu_node *owner = node->block->owner;
    json_t *row = json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s}", "path", node->path, "occ", (json_int_t)occ,
        "ord", (json_int_t)node->ord, "depth", (json_int_t)node->depth, "parent", owner == NULL ? "" : owner->path,
        "step_id", node->id, "kind", mu_kind_name(node->kind), "status", status);

    if (node->block->kind != MU_BLOCK_MAIN)
        json_object_set_new(row, "in", json_string(node->block->name));
    return row;
}

json_t *
mu_project_inst(mu_motion *m, mu_inst inst)
{
    static const char *const members[][2] = { { "cause", "cause" }, { "due", "due_at" }, { "at", "started_at" }, { "end", "ended_at" },
        { "seq", "started_seq" }, { "eseq", "ended_seq" }, { "n", "attempt" }, { "by", "by" }, { "result", "result" }, { "error", "error" },
        { "esc", "escalation" }, { "missed", "missed" }, { "detached", "reopened" } };
    json_t *row = row_start(inst.node, inst.occ, mu_json_str(inst.rec, "s"));
    const json_t *requests = json_object_get(m->state, "second");

    for (size_t i = 0; i < MU_COUNT(members); i++)
        put(row, members[i][1], json_object_get(inst.rec, members[i][0]));
    json_object_set_new(row, "asks", json_boolean(mu_json_bool(inst.rec, "asks", false)));
    put(row, "second", json_object_get(requests, mu_printf(m->arena, "skip:%s", inst.key)));
    common_members(m, &inst, row);
    return row;
}

/* Of a step that has not been entered: pending, on the way not taken, or too late because the run is over. */
const char *
mu_pending_status(mu_motion *m, const mu_node *node, const char **ret_cause)
{
    *ret_cause = NULL;
    for (const mu_node *n = node; n->block->owner != NULL; n = n->block->owner) {
        const mu_node *owner = n->block->owner;
        int64_t occ = mu_json_int(json_object_get(m->state, "occ"), owner->path, 0);
        mu_inst inst = mu_inst_get(m, owner, occ);
        const char *branch = inst.rec == NULL ? NULL : mu_json_str(inst.rec, "branch");
        if (owner->kind == MU_K_SWITCH && inst.rec != NULL && branch == NULL && mu_same(mu_json_str(inst.rec, "cause"), "no_case"))
            branch = "";
        if ((owner->kind == MU_K_IF || owner->kind == MU_K_SWITCH) && branch != NULL && strcmp(branch, n->block->name) != 0) {
            *ret_cause = "branch";
            return "skipped";
        }
        if ((owner->kind == MU_K_WHILE || owner->kind == MU_K_FOR_EACH) && mu_is_status(&inst, "done")) {
            *ret_cause = "loop";                  /* no round, no item */
            return "skipped";
        }
        if (inst.rec != NULL && !mu_inst_open(&inst)) {
            *ret_cause = "parent";
            return mu_is_status(&inst, "skipped") ? "skipped" : "cancelled";
        }
    }
    if (!mu_run_over(m))
        return "pending";
    *ret_cause = "end";
    return "cancelled";
}

json_t *
mu_project_pending(mu_motion *m, const mu_node *node)
{
    mu_inst inst = { .node = node, .occ = 1, .key = mu_key(m->arena, node->path, 1) };
    const char *cause, *status;
    json_t *row;

    if (in_handler(node) || (node->block->kind == MU_BLOCK_ASIDE && !mu_drilled(m)) || mu_json_int(json_object_get(m->state, "occ"), node->path, 0) > 0)
        return NULL;
    status = mu_pending_status(m, node, &cause);
    row = row_start(node, 1, status);
    if (cause != NULL)
        json_object_set_new(row, "cause", json_string(cause));
    common_members(m, &inst, row);
    return row;
}

json_t *
mu_project_all(mu_motion *m)
{
    json_t *rows = mu_json_own(m->arena, json_array());
    const json_t *counts = json_object_get(m->state, "occ");

    for (size_t i = 0; i < m->node_count; i++) {
        int64_t last = mu_json_int(counts, m->nodes[i]->path, 0);
        json_t *pending = mu_project_pending(m, m->nodes[i]);
        if (pending != NULL)
            json_array_append_new(rows, pending);
        for (int64_t occ = 1; occ <= last; occ++) {
            mu_inst inst = mu_inst_get(m, m->nodes[i], occ);
            if (inst.rec != NULL)
                json_array_append_new(rows, mu_project_inst(m, inst));
        }
    }
    return rows;
}
