/* Two versions of a playbook side by side. Steps are matched by id, which is stable across versions; a step has moved when it stands
 * elsewhere, or when its order among the steps that stayed has changed. */
#include "document.h"

#include <string.h>

#include "json.h"
#include "playbook.h"
#include "str.h"
#include "yaml_write.h"

/* Members that hold other steps: these are compared as steps of their own. */
static const char *const nests[] = { "steps", "then", "else", "default", "on_error", "on_reject", "on_max", "branches", "cases" };

static bool
is_nest(const char *name, const json_t *value)
{
    if (!json_is_array(value) && !json_is_object(value))
        return false;
    for (size_t i = 0; i < MU_COUNT(nests); i++)
        if (mu_same(nests[i], name))
            return json_is_object(value) ? mu_same(name, "branches") || mu_same(name, "cases") : mu_document_kind(json_array_get(value, 0)) != NULL;
    return false;
}

/* A value for a reader: a text as it is, a structure as YAML. */
static json_t *
shown(mu_arena *arena, const json_t *value)
{
    MU_BUF_AUTO(out, 1u << 20);

    if (value == NULL)
        return json_null();
    if (json_is_string(value))
        return json_incref((json_t *)(uintptr_t)value);
    if (!mu_yaml_write(arena, value, NULL, &out))
        return json_string(mu_json_text(arena, value));
    while (out.n > 0 && out.at[out.n - 1] == '\n')
        out.n--;
    return json_stringn(out.at != NULL ? out.at : "", out.n);
}

static void
add_change(mu_arena *arena, json_t *list, const char *name, const json_t *older, const json_t *newer)
{
    if (older == newer || (older != NULL && newer != NULL && json_equal((json_t *)(uintptr_t)older, (json_t *)(uintptr_t)newer)))
        return;
    json_array_append_new(list, json_pack("{s:s, s:o, s:o, s:b, s:b}", "name", name, "old", shown(arena, older), "new", shown(arena, newer),
                                          "has_old", older != NULL, "has_new", newer != NULL));
}

/* The members that differ, those of the newer first, in its order. */
static json_t *
changes(mu_arena *arena, const json_t *older, const json_t *newer)
{
    json_t *list = json_array(), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)newer, name, value)
        if (!is_nest(name, value))
            add_change(arena, list, name, is_nest(name, json_object_get(older, name)) ? NULL : json_object_get(older, name), value);
    json_object_foreach((json_t *)(uintptr_t)older, name, value)
        if (!is_nest(name, value) && (json_object_get(newer, name) == NULL || is_nest(name, json_object_get(newer, name))))
            add_change(arena, list, name, value, NULL);
    return list;
}

/* Entries of a map chosen by the author: roles, variables, parameters. */
static json_t *
entries(mu_arena *arena, const json_t *older, const json_t *newer)
{
    json_t *list = json_array(), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)newer, name, value) {
        json_t *was = json_object_get(older, name), *fields = changes(arena, was, value);
        if (was == NULL || json_array_size(fields) > 0)
            json_array_append_new(list, json_pack("{s:s, s:s, s:O}", "id", name, "change", was == NULL ? "added" : "changed", "fields", fields));
        json_decref(fields);
    }
    json_object_foreach((json_t *)(uintptr_t)older, name, value)
        if (json_object_get(newer, name) == NULL)
            json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "id", name, "change", "removed", "fields", changes(arena, value, NULL)));
    return list;
}

static const mu_written_step *
find(const mu_written_step *steps, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (mu_same(steps[i].id, id))
            return &steps[i];
    return NULL;
}

/* Marks in `stays` the newer steps that kept their order among those that are in both: a longest increasing run of their old places. */
static void
mark_order(mu_arena *arena, const mu_written_step *older, size_t old_n, const mu_written_step *newer, size_t n, bool *stays)
{
    size_t *place = mu_alloc(arena, sizeof *place * (n + 1)), *best = mu_alloc(arena, sizeof *best * (n + 1)), *before = mu_alloc(arena, sizeof *before * (n + 1));
    size_t end = n;

    for (size_t i = 0; i < n; i++) {
        const mu_written_step *was = find(older, old_n, newer[i].id);
        stays[i] = false;
        place[i] = was != NULL && mu_same(was->within, newer[i].within) ? (size_t)(was - older) + 1 : 0;
        best[i] = place[i] > 0 ? 1 : 0;
        before[i] = n;
        for (size_t k = 0; k < i && place[i] > 0; k++)
            if (place[k] > 0 && place[k] < place[i] && best[k] + 1 > best[i]) {
                best[i] = best[k] + 1;
                before[i] = k;
            }
        if (best[i] > 0 && (end == n || best[i] > best[end]))
            end = i;
    }
    for (; end < n; end = before[end])
        stays[end] = true;
}

static json_t *
step_row(mu_arena *arena, const mu_written_step *was, const mu_written_step *is, bool stays)
{
    json_t *fields = changes(arena, was != NULL ? was->json : NULL, is != NULL ? is->json : NULL);
    const mu_written_step *any = is != NULL ? is : was;
    const bool changed = json_array_size(fields) > 0;
    const char *change = was == NULL ? "added" : is == NULL ? "removed" : !stays && changed ? "moved_changed" : !stays ? "moved" : changed ? "changed" : "same";
    json_t *row = json_pack("{s:s, s:s, s:s, s:{s:b}, s:i, s:O?, s:s?, s:s?, s:o}", "id", any->id, "kind", any->kind, "change", change, "is", change, true,
                            "depth", (int)(any->depth < 3 ? any->depth : 3), "title", json_object_get(any->json, "title"), "from", was != NULL ? was->within : NULL,
                            "to", is != NULL ? is->within : NULL, "fields", was == NULL || is == NULL ? json_array() : json_incref(fields));

    if (json_object_get(row, "title") == NULL || json_is_null(json_object_get(row, "title")))
        json_object_set_new(row, "title", json_string(any->id));
    json_object_set_new(row, "elsewhere", json_boolean(was != NULL && is != NULL && !mu_same(was->within, is->within)));
    json_decref(fields);
    return row;
}

/* In the order of the newer; what was taken out stands behind the step it followed. */
static json_t *
steps(mu_arena *arena, const json_t *older, const json_t *newer, bool *same)
{
    mu_written_step *old, *now;
    const size_t old_n = mu_document_steps(arena, older, &old), n = mu_document_steps(arena, newer, &now);
    bool *stays = mu_alloc(arena, sizeof *stays * (n + 1)), *told = mu_alloc(arena, sizeof *told * (old_n + 1));
    json_t *list = json_array(), *row;
    size_t i;

    mark_order(arena, old, old_n, now, n, stays);
    memset(told, 0, sizeof *told * (old_n + 1));
    for (size_t k = 0; k < old_n && find(now, n, old[k].id) == NULL; k++) {
        json_array_append_new(list, step_row(arena, &old[k], NULL, true));
        told[k] = true;
    }
    for (i = 0; i < n; i++) {
        const mu_written_step *was = find(old, old_n, now[i].id);
        json_array_append_new(list, step_row(arena, was, &now[i], stays[i]));
        for (size_t k = was != NULL ? (size_t)(was - old) + 1 : old_n; k < old_n && !told[k] && find(now, n, old[k].id) == NULL; k++) {
            json_array_append_new(list, step_row(arena, &old[k], NULL, true));
            told[k] = true;
        }
    }
    json_array_foreach(list, i, row)
        *same = *same && mu_same(mu_json_str(row, "change"), "same");
    return list;
}

json_t *
mu_document_compare(mu_arena *arena, const json_t *older, const json_t *newer)
{
    static const char *const parts[] = { "roles", "vars", "params", "x-cacao" };
    json_t *out = json_object(), *head = json_array(), *plan = changes(arena, json_object_get(older, "plan"), json_object_get(newer, "plan")), *list;
    bool same = true;

    add_change(arena, head, "title", json_object_get(older, "title"), json_object_get(newer, "title"));
    add_change(arena, head, "note", json_object_get(older, "note"), json_object_get(newer, "note"));
    same = json_array_size(head) + json_array_size(plan) == 0;
    json_object_set_new(out, "head", head);
    json_object_set_new(out, "plan", plan);
    for (size_t i = 0; i < MU_COUNT(parts); i++) {
        list = entries(arena, json_object_get(older, parts[i]), json_object_get(newer, parts[i]));
        same = same && json_array_size(list) == 0;
        json_object_set_new(out, mu_same(parts[i], "x-cacao") ? "cacao" : parts[i], list);
    }
    json_object_set_new(out, "steps", steps(arena, older, newer, &same));
    json_object_set_new(out, "same", json_boolean(same));
    return mu_json_own(arena, out);
}
