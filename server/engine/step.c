/* Steps: the common fields and what belongs to each kind. */
#include "model.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "str.h"

static const char *
at(mu_reader *r, const mu_node *node, const char *member)
{
    return mu_pointer(r->arena, node->pointer, member);
}

void
mu_wrong_value(mu_reader *r, const mu_node *node, const char *pointer, const char *field)
{
    MU_BREAK(r, "V01", "wrong_value", MU_FINDING_ERROR, node->path, pointer, "field", field, NULL);
}

static void
wrong_value(mu_reader *r, const mu_node *node, const char *member)
{
    mu_wrong_value(r, node, at(r, node, member), member);
}

bool
mu_length_read(mu_reader *r, const mu_node *node, const char *text, const char *pointer, mu_length *ret)
{
    const mu_var *var;

    *ret = (mu_length){ .given = text != NULL };
    if (text == NULL || mu_duration_parse(text, &ret->seconds))
        return true;
    var = mu_var_find(r->pb, text);
    if (var == NULL) {
        MU_BREAK(r, "V07", "undefined", MU_FINDING_ERROR, node->path, pointer, "name", text, NULL);
        return false;
    }
    if (var->type.kind != MU_T_DURATION) {
        MU_BREAK(r, "V09", "duration", MU_FINDING_ERROR, node->path, pointer, "name", text, NULL);
        return false;
    }
    ret->variable = var->name;
    return true;
}

const mu_expression *
mu_expression_read(mu_reader *r, const mu_node *node, const char *text, const char *pointer)
{
    mu_expression_error why;
    const mu_expression *made;

    if (strlen(text) > MU_EXPRESSION_BYTES) {
        MU_BREAK(r, "V30", "expression", MU_FINDING_ERROR, node->path, pointer, "most", "1024", NULL);
        return NULL;
    }
    made = mu_expression_parse(r->arena, text, &why);
    if (made == NULL)
        MU_BREAK(r, "V01", why.key, MU_FINDING_ERROR, node->path, pointer, "column", mu_printf(r->arena, "%u", why.column), NULL);
    return made;
}

const mu_expression *
mu_condition_read(mu_reader *r, const mu_node *node, const char *member)
{
    const char *text = mu_json_str(node->json, member);

    return text == NULL ? NULL : mu_expression_read(r, node, text, at(r, node, member));
}

static const char **
strings_read(mu_reader *r, const mu_node *node, const json_t *list, const char *pointer, size_t *ret_n)
{
    const char **made = mu_alloc(r->arena, (json_array_size(list) + 1) * sizeof *made);
    size_t i;
    json_t *item;

    *ret_n = 0;
    json_array_foreach(list, i, item) {
        if (json_is_string(item))
            made[(*ret_n)++] = json_string_value(item);
        else
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, mu_pointer_at(r->arena, pointer, i), "field",
                mu_printf(r->arena, "%zu", i), NULL);
    }
    return made;
}

static void
read_then(mu_reader *r, mu_node *node, const json_t *then)
{
    static const struct { const char *name; mu_then then; } words[] = {
        { "proceed", MU_THEN_PROCEED }, { "fail", MU_THEN_FAIL }, { "skip", MU_THEN_SKIP } };
    const char *pointer = mu_pointer(r->arena, at(r, node, "deadline"), "then");

    if (then == NULL)
        return;
    if (!json_is_string(then)) {
        node->deadline.then = MU_THEN_BLOCK;
        node->deadline.block = mu_block_read(r, then, "deadline", MU_BLOCK_HANDLER, node,
            mu_printf(r->arena, "%s/deadline", node->path), pointer);
        return;
    }
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strcmp(words[i].name, json_string_value(then)) == 0) {
            node->deadline.then = words[i].then;
            return;
        }
    MU_BREAK(r, "V01", "wrong_value", MU_FINDING_ERROR, node->path, pointer, "field", "then", NULL);
}

static void
read_deadline(mu_reader *r, mu_node *node)
{
    const json_t *json = json_object_get(node->json, "deadline");
    const char *pointer = at(r, node, "deadline"), *warn;
    mu_node_deadline *d = &node->deadline;

    d->warn = -1;
    if (json == NULL || !json_is_object(json))
        return;
    mu_fields_check(r, "deadline", json, node->path, pointer);
    d->given = mu_json_str(json, "after") != NULL;
    mu_length_read(r, node, mu_json_str(json, "after"), mu_pointer(r->arena, pointer, "after"), &d->after);
    d->from = mu_json_str(json, "from");
    if (mu_same(d->from, "start"))
        d->from = NULL;
    warn = mu_json_str(json, "warn");
    if (warn != NULL && !mu_duration_parse(warn, &d->warn))
        MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, pointer, "warn"), "field", "warn", NULL);
    d->escalate = strings_read(r, node, json_object_get(json, "escalate"), mu_pointer(r->arena, pointer, "escalate"), &d->escalate_count);
    read_then(r, node, json_object_get(json, "then"));
}

static void
read_on_error(mu_reader *r, mu_node *node)
{
    static const struct { const char *name; mu_on_error how; } words[] = {
        { "fail", MU_ERR_FAIL }, { "continue", MU_ERR_CONTINUE }, { "ask", MU_ERR_ASK } };
    const json_t *json = json_object_get(node->json, "on_error");

    if (json == NULL)
        return;
    if (!json_is_string(json)) {
        node->on_error = MU_ERR_BLOCK;
        node->on_error_block = mu_block_read(r, json, "on_error", MU_BLOCK_HANDLER, node,
            mu_printf(r->arena, "%s/on_error", node->path), at(r, node, "on_error"));
        return;
    }
    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strcmp(words[i].name, json_string_value(json)) == 0) {
            node->on_error = words[i].how;
            return;
        }
    wrong_value(r, node, "on_error");
}

/* status and report are never real in a drill, so `mark` and `real` are refused for them. */
static void
read_drill(mu_reader *r, mu_node *node)
{
    static const struct { const char *name; mu_drill drill; } words[] = { { "simulate", MU_DRILL_SIMULATE },
        { "mark", MU_DRILL_MARK }, { "skip", MU_DRILL_SKIP }, { "real", MU_DRILL_REAL } };
    const json_t *json = json_object_get(node->json, "drill");
    bool public = node->kind == MU_K_STATUS || node->kind == MU_K_REPORT, known = false;

    if (json_is_object(json)) {
        node->simulated = json_object_get(json, "simulate");
        node->drill = MU_DRILL_SIMULATE;
        known = node->simulated != NULL && json_object_size(json) == 1;
    }
    for (size_t i = 0; i < MU_COUNT(words) && json_is_string(json); i++)
        if (strcmp(words[i].name, json_string_value(json)) == 0) {
            node->drill = words[i].drill;
            known = true;
        }
    if (json != NULL && (!known || (public && (node->drill == MU_DRILL_MARK || node->drill == MU_DRILL_REAL))))
        wrong_value(r, node, "drill");
}

static void
read_form(mu_reader *r, const mu_node *node, const json_t *form, const char *pointer)
{
    size_t i;
    json_t *field;

    json_array_foreach(form, i, field) {
        const char *here = mu_pointer_at(r->arena, pointer, i);
        if (json_is_object(field))
            mu_fields_check(r, "field", field, node->path, here);
        else
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, here, "field", "form", NULL);
    }
}

static void
read_mode(mu_reader *r, const mu_node *node)
{
    const char *mode = mu_json_str(node->json, "mode");

    if (mode != NULL && strcmp(mode, "read_do") != 0 && strcmp(mode, "do_confirm") != 0)
        wrong_value(r, node, "mode");
}

static void
read_person(mu_reader *r, mu_node *node)
{
    const json_t *evidence = json_object_get(node->json, "evidence");

    node->role = mu_json_str(node->json, "role");
    if (json_is_object(evidence)) {
        mu_fields_check(r, "evidence", evidence, node->path, at(r, node, "evidence"));
        node->evidence = mu_json_int(evidence, "min", 0);
    }
    read_form(r, node, json_object_get(node->json, "form"), at(r, node, "form"));
    read_mode(r, node);
}

static void
read_items(mu_reader *r, mu_node *node)
{
    const json_t *items = json_object_get(node->json, "items");
    const char *pointer = at(r, node, "items");
    json_t *seen = mu_json_own(r->arena, json_object()), *item;
    size_t i;

    if (json_is_array(items) && json_array_size(items) == 0)
        MU_BREAK(r, "V15", "empty", MU_FINDING_ERROR, node->path, pointer, NULL);
    json_array_foreach(items, i, item) {
        const char *here = mu_pointer_at(r->arena, pointer, i), *id = mu_json_str(item, "id");
        if (!json_is_object(item)) {
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, here, "field", "items", NULL);
            continue;
        }
        mu_fields_check(r, "item", item, node->path, here);
        read_form(r, node, json_object_get(item, "form"), mu_pointer(r->arena, here, "form"));
        if (id != NULL && json_object_get(seen, id) != NULL)
            MU_BREAK(r, "V02", "twice", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, here, "id"), "name", id, NULL);
        if (id != NULL)
            json_object_set_new(seen, id, json_true());
    }
}

static void
read_decide(mu_reader *r, mu_node *node)
{
    const json_t *into = json_object_get(node->json, "into"), *after = json_object_get(node->json, "default_after"), *option;
    size_t i;

    if (json_is_string(into)) {
        node->names = mu_alloc(r->arena, sizeof *node->names);
        node->names[0] = json_string_value(into);
        node->name_count = 1;
    } else {
        node->names = strings_read(r, node, into, at(r, node, "into"), &node->name_count);
    }
    json_array_foreach(json_object_get(node->json, "options"), i, option)
        if (json_is_object(option))
            mu_fields_check(r, "option", option, node->path, mu_pointer_at(r->arena, at(r, node, "options"), i));
    if (json_is_object(after)) {
        mu_fields_check(r, "default_after", after, node->path, at(r, node, "default_after"));
        mu_length_read(r, node, mu_json_str(after, "after"), mu_pointer(r->arena, at(r, node, "default_after"), "after"), &node->length);
        if (node->name_count != 1)
            wrong_value(r, node, "default_after");
    }
}

static void
read_reject(mu_reader *r, mu_node *node)
{
    const json_t *json = json_object_get(node->json, "on_reject");

    if (json == NULL || (json_is_string(json) && strcmp(json_string_value(json), "ask") == 0))
        return;
    if (json_is_object(json) && json_object_get(json, "end") != NULL) {
        mu_fields_check(r, "reject", json, node->path, at(r, node, "on_reject"));
        node->on_reject = MU_REJECT_END;
        node->reject_outcome = mu_json_str(json, "end");
    } else if (json_is_array(json) || json_is_object(json)) {
        node->on_reject = MU_REJECT_BLOCK;
        node->reject_block = mu_block_read(r, json, "on_reject", MU_BLOCK_HANDLER, node,
            mu_printf(r->arena, "%s/on_reject", node->path), at(r, node, "on_reject"));
    } else {
        wrong_value(r, node, "on_reject");
    }
}

static void
read_approve(mu_reader *r, mu_node *node)
{
    const json_t *by = json_object_get(node->json, "by");

    node->count = 1;
    if (json_is_object(by)) {
        mu_fields_check(r, "by", by, node->path, at(r, node, "by"));
        node->role = mu_json_str(by, "role");
        node->count = mu_json_int(by, "count", 1);
        if (node->count < 1 || node->count > 20)
            MU_BREAK(r, "V01", "wrong_value", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, at(r, node, "by"), "count"),
                "field", "count", NULL);
    }
    read_reject(r, node);
}

static void
read_notify(mu_reader *r, mu_node *node)
{
    const json_t *ack = json_object_get(node->json, "ack");
    size_t n;

    strings_read(r, node, json_object_get(node->json, "to"), at(r, node, "to"), &n);
    strings_read(r, node, json_object_get(node->json, "via"), at(r, node, "via"), &n);
    if (json_is_object(ack)) {
        mu_fields_check(r, "ack", ack, node->path, at(r, node, "ack"));
        node->count = mu_json_int(ack, "required", 1);
        mu_length_read(r, node, mu_json_str(ack, "within"), mu_pointer(r->arena, at(r, node, "ack"), "within"), &node->length);
    }
}

static void
read_report(mu_reader *r, mu_node *node)
{
    const json_t *sign = json_object_get(node->json, "sign");

    node->role = mu_json_str(node->json, "role");
    if (json_is_object(sign)) {
        mu_fields_check(r, "sign", sign, node->path, at(r, node, "sign"));
        node->sign_role = mu_json_str(sign, "role");
        node->count = mu_json_int(sign, "count", 1);
    }
}

/* One text, or a text for each state of the page. */
static void
read_status(mu_reader *r, mu_node *node)
{
    const json_t *text = json_object_get(node->json, "text");
    size_t n;
    const char **states = mu_sorted_keys(r->arena, text, &n);

    if (!json_is_object(text) || json_object_get(text, "zh") != NULL || json_object_get(text, "en") != NULL)
        return;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_object_get(text, states[i]);
        if (!json_is_string(one) && !json_is_string(json_object_get(one, "zh")) && !json_is_string(json_object_get(one, "en")))
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, at(r, node, "text"), states[i]), "field", states[i], NULL);
    }
}

static void
read_wait(mu_reader *r, mu_node *node)
{
    unsigned ways = 0;

    ways += json_object_get(node->json, "for") != NULL;
    ways += json_object_get(node->json, "until") != NULL;
    ways += json_object_get(node->json, "event") != NULL;
    if (ways != 1)
        MU_BREAK(r, "V01", "wait", MU_FINDING_ERROR, node->path, node->pointer, NULL);
    mu_length_read(r, node, mu_json_str(node->json, "for"), at(r, node, "for"), &node->length);
    node->cond = mu_condition_read(r, node, "until");
}

static void
read_set(mu_reader *r, mu_node *node)
{
    const json_t *values = json_object_get(node->json, "values");

    node->names = mu_sorted_keys(r->arena, values, &node->name_count);
    node->values = mu_alloc(r->arena, (node->name_count + 1) * sizeof *node->values);
    for (size_t i = 0; i < node->name_count; i++) {
        const char *pointer = mu_pointer(r->arena, at(r, node, "values"), node->names[i]);
        const json_t *value = json_object_get(values, node->names[i]);
        if (json_is_string(value))
            node->values[i] = mu_expression_read(r, node, json_string_value(value), pointer);
        else if (json_is_integer(value) || json_is_boolean(value))      /* healthy: true reads better than 'true' */
            node->values[i] = mu_expression_read(r, node, json_is_integer(value)
                ? mu_printf(r->arena, "%lld", (long long)json_integer_value(value)) : json_is_true(value) ? "true" : "false", pointer);
        else
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, pointer, "field", node->names[i], NULL);
    }
}

void
mu_step_details(mu_reader *r, mu_node *node)
{
    const json_t *clock = json_object_get(node->json, "clock");

    node->critical = mu_json_bool(node->json, "critical", false);
    node->when = mu_condition_read(r, node, "when");
    read_drill(r, node);
    switch (node->kind) {
    case MU_K_TASK:      read_person(r, node); break;
    case MU_K_CHECKLIST: read_person(r, node); read_items(r, node); break;
    case MU_K_DECIDE:    read_person(r, node); read_decide(r, node); break;
    case MU_K_APPROVE:   read_approve(r, node); break;
    case MU_K_NOTIFY:    read_notify(r, node); break;
    case MU_K_HTTP:      mu_read_http(r, node); break;
    case MU_K_STATUS:    read_status(r, node); break;
    case MU_K_REPORT:    read_report(r, node); break;
    case MU_K_WAIT:      read_wait(r, node); break;
    case MU_K_SET:       read_set(r, node); break;
    case MU_K_IF:        mu_read_if(r, node); break;
    case MU_K_SWITCH:    mu_read_switch(r, node); break;
    case MU_K_WHILE:     mu_read_while(r, node); break;
    case MU_K_FOR_EACH:  mu_read_for_each(r, node); break;
    case MU_K_PARALLEL:  mu_read_parallel(r, node); break;
    case MU_K_CALL:      mu_read_call(r, node); break;
    case MU_K_INJECT:    mu_read_inject(r, node); break;
    case MU_K_MILESTONE:
        if (json_is_object(clock))
            mu_fields_check(r, "clock", clock, node->path, at(r, node, "clock"));
        break;
    case MU_K_END:
    case MU_K_COUNT:
        break;
    }
    read_deadline(r, node);
    read_on_error(r, node);
}
