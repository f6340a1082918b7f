/* Findings: recorded once each, placed in the source, handed out by line. */
#include "model.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "str.h"

void
mu_findings_start(mu_findings *findings, mu_arena *arena)
{
    *findings = (mu_findings){ .arena = arena };
}

/* The place of the pointer, or of the nearest thing around it that has one. */
static mu_position
place(mu_arena *arena, const mu_marks *marks, const char *pointer)
{
    char *copy = mu_strdup(arena, pointer);
    mu_position at;

    for (;;) {
        char *slash;
        at = mu_marks_find(marks, copy);
        slash = strrchr(copy, '/');
        if (at.line != 0 || slash == NULL)
            return at;
        *slash = '\0';
    }
}

/* A block called twice is read twice; what is wrong in it is said once. */
static bool
known(const mu_findings *findings, const char *message, const char *pointer, const json_t *args)
{
    for (const mu_finding *f = findings->first; f != NULL; f = f->next)
        if (strcmp(f->message, message) == 0 && strcmp(f->pointer, pointer) == 0 && json_equal(f->args, args))
            return true;
    return false;
}

void
mu_find(mu_reader *r, const char *rule, const char *what, mu_finding_level level, const char *path, const char *pointer, ...)
{
    mu_findings *all = r->findings;
    json_t *args = mu_json_own(r->arena, json_object());
    /* a reason of the expression reader is a key of its own */
    char *message = strchr(what, '.') != NULL ? mu_strdup(r->arena, what) : mu_printf(r->arena, "finding.%s.%s", rule, what);
    va_list list;

    va_start(list, pointer);
    for (;;) {
        const char *name = va_arg(list, const char *), *value;
        if (name == NULL)
            break;
        value = va_arg(list, const char *);
        if (value == NULL)
            break;
        json_object_set_new(args, name, json_string(value));
    }
    va_end(list);
    if (known(all, message, pointer, args))
        return;
    if (level == MU_FINDING_ERROR)
        all->errors++;
    else
        all->warnings++;
    if (all->kept == MU_FINDINGS_MAX)
        return;

    mu_finding *made = mu_alloc(r->arena, sizeof *made);
    *made = (mu_finding){ .level = level, .path = mu_strdup(r->arena, path), .pointer = mu_strdup(r->arena, pointer),
        .at = place(r->arena, r->marks, pointer), .message = message, .args = args,
        .hint = mu_printf(r->arena, "finding.%s.hint", rule) };
    memcpy(made->rule, rule, 3);
    made->waive = level == MU_FINDING_WARNING ? 1 : strcmp(rule, "V32") == 0 ? 2 : 0;
    *(all->last == NULL ? &all->first : &all->last->next) = made;
    all->last = made;
    all->kept++;
}

static int
by_line(const void *a, const void *b)
{
    const mu_finding *x = *(const mu_finding *const *)a, *y = *(const mu_finding *const *)b;

    if (x->at.line != y->at.line)
        return x->at.line < y->at.line ? -1 : 1;
    if (x->at.column != y->at.column)
        return x->at.column < y->at.column ? -1 : 1;
    return strcmp(x->message, y->message);
}

json_t *
mu_findings_json(const mu_findings *findings)
{
    json_t *list = mu_json_own(findings->arena, json_array());
    const mu_finding **sorted = mu_alloc(findings->arena, (findings->kept + 1) * sizeof *sorted);
    size_t n = 0;

    for (const mu_finding *f = findings->first; f != NULL; f = f->next)
        sorted[n++] = f;
    qsort(sorted, n, sizeof *sorted, by_line);
    for (size_t i = 0; i < n; i++) {
        const mu_finding *f = sorted[i];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:O, s:s, s:i}", "id", f->rule,
            "level", f->level == MU_FINDING_ERROR ? "error" : "warning", "path", f->path, "pointer", f->pointer,
            "line", (int)f->at.line, "column", (int)f->at.column, "message", f->message, "args", f->args, "hint", f->hint,
            "waive", (int)f->waive));
    }
    return list;
}

static int
by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char **
mu_sorted_keys(mu_arena *arena, const json_t *object, size_t *ret_n)
{
    size_t n = json_object_size(object), i = 0;
    const char **keys = mu_alloc(arena, (n + 1) * sizeof *keys);

    for (void *at = json_object_iter((json_t *)(uintptr_t)object); at != NULL && i < n;
         at = json_object_iter_next((json_t *)(uintptr_t)object, at))
        keys[i++] = json_object_iter_key(at);
    qsort(keys, i, sizeof *keys, by_text);
    *ret_n = i;
    return keys;
}
