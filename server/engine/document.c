/* Walks a document as it is written. A list of steps is recognised by where it stands, so that data (the body of a request, say) never
 * passes for one. */
#include "document.h"

#include <string.h>

#include "json.h"
#include "playbook.h"
#include "str.h"

static const char *const kinds[] = {
    "task", "checklist", "decide", "approve", "notify", "http", "status", "report", "wait", "set", "if", "switch", "while", "for_each", "parallel",
    "call", "inject", "milestone", "end",
};
static const char *const lists[] = { "steps", "then", "else", "default", "on_error", "on_reject", "on_max" };
static const char *const maps[] = { "branches", "cases" };

typedef struct { mu_arena *arena; mu_written_step *steps; size_t n, cap; } walk;

const char *
mu_document_kind(const json_t *step)
{
    for (size_t i = 0; i < MU_COUNT(kinds); i++) {
        const json_t *id = json_object_get(step, kinds[i]);
        /* "status" and "inject" are also names of data: a kind names an id. */
        if (json_is_string(id) && mu_is_slug(json_string_value(id)))
            return kinds[i];
    }
    return NULL;
}

const char *
mu_document_text(const json_t *text, const char *language)
{
    const char *own = json_is_string(text) ? json_string_value(text) : mu_json_str(text, language);

    if (own == NULL || own[0] == '\0')
        own = mu_json_str(text, mu_same(language, "zh") ? "en" : "zh");
    return own != NULL && own[0] != '\0' ? own : NULL;
}

static char *
member_pointer(mu_arena *arena, const char *base, const char *member)
{
    const char *text = member;
    char *out = mu_alloc(arena, strlen(member) * 2 + 1), *to = out;

    for (; *text != '\0'; text++) {
        if (*text != '~' && *text != '/') {
            *to++ = *text;
            continue;
        }
        *to++ = '~';
        *to++ = *text == '~' ? '0' : '1';
    }
    *to = '\0';
    return mu_printf(arena, "%s/%s", base, out);
}

static const char *
join(mu_arena *arena, const char *within, const char *name)
{
    return name == NULL || name[0] == '\0' ? within : within[0] == '\0' ? name : mu_printf(arena, "%s/%s", within, name);
}

static void list_walk(walk *w, const json_t *list, const char *pointer, const char *within, unsigned depth);

static void
children(walk *w, const json_t *step, const char *pointer, const char *path, unsigned depth)
{
    const json_t *then = json_object_get(json_object_get(step, "deadline"), "then"), *map;
    const char *name;
    json_t *list;

    for (size_t i = 0; i < MU_COUNT(lists); i++)
        if (json_is_array(json_object_get(step, lists[i])))
            list_walk(w, json_object_get(step, lists[i]), member_pointer(w->arena, pointer, lists[i]),
                      join(w->arena, path, mu_same(lists[i], "steps") ? NULL : lists[i]), depth);
    for (size_t i = 0; i < MU_COUNT(maps); i++) {
        const char *at = member_pointer(w->arena, pointer, maps[i]);
        map = json_object_get(step, maps[i]);
        json_object_foreach((json_t *)(uintptr_t)map, name, list)
            list_walk(w, list, member_pointer(w->arena, at, name), join(w->arena, path, name), depth);
    }
    if (json_is_array(then))
        list_walk(w, then, mu_printf(w->arena, "%s/deadline/then", pointer), join(w->arena, path, "deadline"), depth);
}

static void
list_walk(walk *w, const json_t *list, const char *pointer, const char *within, unsigned depth)
{
    const json_t *step;
    size_t i;

    if (depth > MU_PLAYBOOK_DEPTH)
        return;
    json_array_foreach(list, i, step) {
        const char *kind = mu_document_kind(step);
        if (kind == NULL || w->n >= MU_PLAYBOOK_STEPS)
            continue;
        if (w->n == w->cap) {
            mu_written_step *more = mu_alloc(w->arena, sizeof *more * (w->cap + 64) * 2);
            if (w->n > 0)
                memcpy(more, w->steps, sizeof *more * w->n);
            w->steps = more;
            w->cap = (w->cap + 64) * 2;
        }
        const char *id = mu_json_str(step, kind);
        w->steps[w->n++] = (mu_written_step){ .id = id, .kind = kind, .pointer = mu_printf(w->arena, "%s/%zu", pointer, i), .list = pointer,
            .path = join(w->arena, within, id), .within = within, .index = i, .count = json_array_size(list), .depth = depth, .json = step };
        const mu_written_step now = w->steps[w->n - 1];
        children(w, step, now.pointer, now.path, depth + 1);
    }
}

size_t
mu_document_steps(mu_arena *arena, const json_t *doc, mu_written_step **ret)
{
    walk w = { .arena = arena };
    const json_t *blocks = json_object_get(doc, "blocks");
    const char *name;
    json_t *list;

    list_walk(&w, json_object_get(doc, "steps"), "/steps", "", 0);
    json_object_foreach((json_t *)(uintptr_t)blocks, name, list)
        list_walk(&w, list, member_pointer(arena, "/blocks", name), mu_printf(arena, "blocks/%s", name), 1);
    list_walk(&w, json_object_get(doc, "on_error"), "/on_error", "on_error", 1);
    list_walk(&w, json_object_get(doc, "injects"), "/injects", "injects", 1);
    *ret = w.steps;
    return w.n;
}
