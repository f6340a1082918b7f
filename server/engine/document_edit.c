/* Edits of the form face. What the form does not know stays as it is written. */
#include "document.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "str.h"

typedef struct { mu_arena *arena; json_t *doc; const json_t *change; mu_problem *problem; bool whole; } edit;

/* A place in the document: the value, what holds it, and under which name or number. */
typedef struct { json_t *holder, *value; const char *name; size_t index; } place;

static char *
unescape(mu_arena *arena, const char *text, size_t n)
{
    char *out = mu_alloc(arena, n + 1), *to = out;

    for (size_t i = 0; i < n; i++) {
        if (text[i] == '~' && i + 1 < n && (text[i + 1] == '0' || text[i + 1] == '1'))
            *to++ = text[++i] == '0' ? '~' : '/';
        else
            *to++ = text[i];
    }
    *to = '\0';
    return out;
}

static bool
find_place(const edit *e, const char *pointer, place *ret)
{
    place at = { .value = e->doc };

    while (pointer != NULL && *pointer == '/') {
        const size_t n = strcspn(pointer + 1, "/");
        int64_t index;
        at.name = unescape(e->arena, pointer + 1, n);
        at.holder = at.value;
        if (json_is_array(at.holder)) {
            if (!mu_parse_int(at.name, 0, 100000, &index))
                return false;
            at.index = (size_t)index;
            at.value = json_array_get(at.holder, at.index);
        } else {
            at.value = json_object_get(at.holder, at.name);
        }
        if (at.value == NULL)
            return false;
        pointer += n + 1;
    }
    *ret = at;
    return at.holder != NULL && (pointer == NULL || *pointer == '\0');
}

static mu_err
no_place(const edit *e)
{
    return mu_fail(e->problem, MU_INVALID, "/at", "error.playbook.at", NULL);
}

/* What the change says of a field: NULL and *ret_out false: leave it; NULL and *ret_out true: take it out. */
static json_t *
given(const edit *e, const char *field, bool *ret_out)
{
    json_t *value = json_object_get(e->change, field);

    if (json_is_string(value) && json_string_length(value) == 0)
        value = NULL, *ret_out = true;
    else
        *ret_out = value == NULL ? e->whole : json_is_null(value);
    return json_is_null(value) ? NULL : value;
}

static void
set_value(json_t *object, const char *member, json_t *value, bool take_out)
{
    if (value != NULL)
        json_object_set(object, member, value);
    else if (take_out)
        json_object_del(object, member);
}

static void
set_word(const edit *e, json_t *object, const char *member, const char *field)
{
    bool out;
    json_t *value = given(e, field, &out);

    set_value(object, member, value, out);
}

/* Two languages: what is empty is left out, and a text that stood for both still does when nobody changed it. */
static void
set_text(const edit *e, json_t *object, const char *member, const char *field)
{
    bool out;
    json_t *value = given(e, field, &out), *was = json_object_get(object, member), *both;
    const char *zh = mu_json_str(value, "zh"), *en = mu_json_str(value, "en");

    if (!json_is_object(value)) {
        set_value(object, member, value, out);
        return;
    }
    if (json_is_string(was) && mu_same(zh, json_string_value(was)) && mu_same(en, json_string_value(was)))
        return;
    both = mu_json_own(e->arena, json_object());
    if (zh != NULL && zh[0] != '\0')
        json_object_set_new(both, "zh", json_string(zh));
    if (en != NULL && en[0] != '\0')
        json_object_set_new(both, "en", json_string(en));
    set_value(object, member, json_object_size(both) > 0 ? both : NULL, true);
}

/* zh and en stand in the object itself: roles and items. */
static void
set_names(const edit *e, json_t *object, const char *field)
{
    bool out;
    json_t *value = given(e, field, &out);
    static const char *const languages[] = { "zh", "en" };

    if (value == NULL && !out)
        return;
    for (size_t i = 0; i < 2; i++) {
        const char *text = json_is_string(value) ? json_string_value(value) : mu_json_str(value, languages[i]);
        if (text != NULL && text[0] != '\0')
            json_object_set_new(object, languages[i], json_string(text));
        else
            json_object_del(object, languages[i]);
    }
}

static void
set_flag(const edit *e, json_t *object, const char *member)
{
    const json_t *value = json_object_get(e->change, member);

    if (json_is_true(value))
        json_object_set_new(object, member, json_true());
    else if (json_is_false(value))
        json_object_del(object, member);
}

static mu_err
set_count(const edit *e, json_t *object, const char *member)
{
    bool out;
    json_t *value = given(e, member, &out);
    int64_t number;

    if (!json_is_string(value)) {
        set_value(object, member, value, out);
        return MU_OK;
    }
    if (!mu_parse_int(json_string_value(value), 0, 1000, &number))
        return mu_fail(e->problem, MU_INVALID, mu_printf(e->arena, "/%s", member), "error.field.type", "expected", "integer", NULL);
    json_object_set_new(object, member, json_integer(number));
    return MU_OK;
}

static void
set_words(const edit *e, json_t *object, const char *member, const char *field)
{
    bool out;
    json_t *value = given(e, field, &out), *list;

    if (!json_is_string(value)) {
        set_value(object, member, value, out);
        return;
    }
    list = mu_json_own(e->arena, json_array());
    for (const char *at = json_string_value(value); *at != '\0';) {
        const size_t n = strcspn(at, " ,\t");
        if (n > 0)
            json_array_append_new(list, json_stringn(at, n));
        at += n + strspn(at + n, " ,\t");
    }
    set_value(object, member, json_array_size(list) > 0 ? list : NULL, true);
}

static mu_err
set_plan(const edit *e)
{
    static const char *const words[] = { "category", "rto", "rpo", "review" }, *const texts[] = { "basis", "scope", "principles", "department" };
    json_t *plan = json_object_get(e->doc, "plan");

    if (!json_is_object(plan)) {
        plan = mu_json_own(e->arena, json_object());
        json_object_set(e->doc, "plan", plan);
    }
    for (size_t i = 0; i < MU_COUNT(words); i++)
        set_word(e, plan, words[i], words[i]);
    /* Lists of texts are edited in the text; the form shows them and leaves them. */
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        if (!json_is_array(json_object_get(plan, texts[i])))
            set_text(e, plan, texts[i], texts[i]);
    set_flag(e, plan, "important_system");
    if (json_object_size(plan) == 0)
        json_object_del(e->doc, "plan");
    return MU_OK;
}

static mu_err
new_id(const edit *e, const char **ret)
{
    *ret = mu_json_str(e->change, "id");
    return *ret != NULL && mu_is_slug(*ret) ? MU_OK : mu_fail(e->problem, MU_INVALID, "/id", "error.field.slug", NULL);
}

static mu_err
set_role(const edit *e, json_t *role)
{
    set_names(e, role, "title");
    TRY(set_count(e, role, "min"));
    TRY(set_count(e, role, "max"));
    set_word(e, role, "deputy", "deputy");
    return MU_OK;
}

static mu_err
edit_role(const edit *e, const char *act)
{
    json_t *roles = json_object_get(e->doc, "roles"), *role;
    const char *id;
    place at;

    if (mu_same(act, "add")) {
        TRY(new_id(e, &id));
        if (json_object_get(roles, id) != NULL)
            return mu_fail(e->problem, MU_INVALID, "/id", "error.playbook.id_taken", NULL);
        if (!json_is_object(roles))
            json_object_set_new(e->doc, "roles", json_object());
        role = json_object();
        json_object_set_new(json_object_get(e->doc, "roles"), id, role);
        return set_role(e, role);
    }
    if (!find_place(e, mu_json_str(e->change, "at"), &at) || at.holder != roles || !json_is_object(at.value))
        return no_place(e);
    if (mu_same(act, "remove"))
        return json_object_del(roles, at.name), MU_OK;
    return mu_same(act, "set") ? set_role(e, at.value) : no_place(e);
}

/* A neighbour changes places with it. At the edge nothing happens. */
static void
shift(json_t *list, size_t index, bool up)
{
    const size_t other = up ? index - 1 : index + 1;
    json_t *value;

    if ((up && index == 0) || other >= json_array_size(list))
        return;
    value = json_incref(json_array_get(list, index));
    json_array_remove(list, index);
    json_array_insert_new(list, other, value);
}

static mu_err
move_or_remove(const edit *e, const place *at, const char *act)
{
    if (mu_same(act, "remove"))
        json_array_remove(at->holder, at->index);
    else if (mu_same(act, "up") || mu_same(act, "down"))
        shift(at->holder, at->index, mu_same(act, "up"));
    else
        return no_place(e);
    return MU_OK;
}

static bool
has_role(const char *kind)
{
    return mu_same(kind, "task") || mu_same(kind, "checklist") || mu_same(kind, "decide") || mu_same(kind, "report");
}

static mu_err
set_step(const edit *e, json_t *step, const char *kind)
{
    json_t *deadline = json_object_get(step, "deadline"), *own = NULL;

    set_text(e, step, "title", "title");
    set_text(e, step, "text", "text");
    if (has_role(kind))
        set_word(e, step, "role", "role");
    set_flag(e, step, "critical");
    if (!json_is_object(deadline))
        deadline = own = mu_json_own(e->arena, json_object());
    set_word(e, deadline, "after", "after");
    set_word(e, deadline, "warn", "warn");
    set_words(e, deadline, "escalate", "escalate");
    /* Without a time there is no deadline; what else hung on it goes with it. */
    if (mu_json_str(deadline, "after") == NULL)
        json_object_del(step, "deadline");
    else if (own != NULL)
        json_object_set(step, "deadline", own);
    return MU_OK;
}

static mu_err
add_step(const edit *e)
{
    const char *kind = mu_json_str(e->change, "kind"), *pointer = mu_json_str(e->change, "at"), *id;
    json_t *step = mu_json_own(e->arena, json_object()), *list = json_object_get(e->doc, "steps");
    size_t where = json_array_size(list);
    mu_written_step *steps;
    place at;

    TRY(new_id(e, &id));
    const size_t n = mu_document_steps(e->arena, e->doc, &steps);
    for (size_t i = 0; i < n; i++)
        if (mu_same(steps[i].id, id))
            return mu_fail(e->problem, MU_INVALID, "/id", "error.playbook.id_taken", NULL);
    if (pointer != NULL && pointer[0] != '\0') {
        if (!find_place(e, pointer, &at))
            return no_place(e);
        list = json_is_array(at.value) ? at.value : at.holder;
        where = json_is_array(at.value) ? json_array_size(list) : at.index + 1;
    } else if (!json_is_array(list)) {
        json_object_set_new(e->doc, "steps", json_array());
        list = json_object_get(e->doc, "steps");
    }
    if (!json_is_array(list))
        return no_place(e);
    json_object_set_new(step, kind != NULL ? kind : "task", json_string(id));
    if (mu_same(kind, "checklist"))
        json_object_set_new(step, "items", json_array());
    json_array_insert(list, where, step);
    return set_step(e, step, kind != NULL ? kind : "task");
}

static mu_err
edit_step(const edit *e, const char *act)
{
    const char *kind;
    place at;

    if (mu_same(act, "add"))
        return add_step(e);
    if (!find_place(e, mu_json_str(e->change, "at"), &at) || (kind = mu_document_kind(at.value)) == NULL || !json_is_array(at.holder))
        return no_place(e);
    return mu_same(act, "set") ? set_step(e, at.value, kind) : move_or_remove(e, &at, act);
}

static mu_err
add_item(const edit *e)
{
    json_t *item = mu_json_own(e->arena, json_object()), *items, *other;
    const char *id = mu_json_str(e->change, "id");
    size_t i, number;
    place at;

    if (!find_place(e, mu_json_str(e->change, "at"), &at) || !json_is_array(items = json_object_get(at.value, "items")))
        return no_place(e);
    number = json_array_size(items) + 1;
    if (id == NULL || id[0] == '\0') {
        id = mu_printf(e->arena, "item%zu", number);
        json_array_foreach(items, i, other)
            if (mu_same(mu_json_str(other, "id"), id))
                id = mu_printf(e->arena, "item%zu", ++number), i = (size_t)-1;
    } else {
        TRY(new_id(e, &id));
    }
    json_array_foreach(items, i, other)
        if (mu_same(mu_json_str(other, "id"), id))
            return mu_fail(e->problem, MU_INVALID, "/id", "error.playbook.id_taken", NULL);
    json_object_set_new(item, "id", json_string(id));
    set_flag(e, item, "critical");
    set_names(e, item, "text");
    json_array_append(items, item);
    return MU_OK;
}

static mu_err
edit_item(const edit *e, const char *act)
{
    place at;

    if (mu_same(act, "add"))
        return add_item(e);
    if (!find_place(e, mu_json_str(e->change, "at"), &at) || !json_is_array(at.holder) || mu_json_str(at.value, "id") == NULL)
        return no_place(e);
    if (!mu_same(act, "set"))
        return move_or_remove(e, &at, act);
    set_flag(e, at.value, "critical");
    set_names(e, at.value, "text");
    return MU_OK;
}

mu_err
mu_document_edit(mu_arena *arena, json_t *doc, const json_t *change, mu_problem *problem)
{
    const edit e = { arena, doc, change, problem, json_is_true(json_object_get(change, "whole")) };
    const char *part = mu_json_str(change, "part"), *act = mu_json_str(change, "act");

    if (act == NULL)
        act = "set";
    if (mu_same(part, "role"))
        return edit_role(&e, act);
    if (mu_same(part, "step"))
        return edit_step(&e, act);
    if (mu_same(part, "item"))
        return edit_item(&e, act);
    if (!mu_same(act, "set"))
        return no_place(&e);
    if (mu_same(part, "plan"))
        return set_plan(&e);
    set_text(&e, doc, "title", "title");
    return MU_OK;
}
