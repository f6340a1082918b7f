/* Findings about a CACAO file: the same shape as those of a playbook of our own, with places in the file. */
#include "cacao_private.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "str.h"

enum { KEPT_MAX = 1000 };

const char *mu_cacao_verdict_word(mu_cacao_verdict verdict)
{
    switch (verdict) {
    case MU_CACAO_OK:     return "ok";
    case MU_CACAO_WARN:   return "warn";
    case MU_CACAO_REJECT: return "reject";
    }
    return "";
}

/* The line of the pointer, or of the nearest thing around it that has one. */
static mu_position place(const reporter *r, const char *pointer)
{
    char *copy = mu_strdup(r->arena, pointer);

    for (;;) {
        const mu_position at = mu_marks_find(r->marks, copy);
        char *slash = strrchr(copy, '/');
        if (at.line != 0 || slash == NULL)
            return at;
        *slash = '\0';
    }
}

void mu_cacao_find(reporter *r, const char *id, severity level, const char *what, const char *step, const char *pointer, ...)
{
    static const char *const words[] = { [NOTE] = "note", [WARNING] = "warning", [ERROR] = "error" };
    json_t *args = json_object();
    const char *name, *line = NULL, *column = NULL;
    va_list list;

    va_start(list, pointer);
    while ((name = va_arg(list, const char *)) != NULL) {
        const char *value = va_arg(list, const char *);
        if (value == NULL)
            value = "";
        const size_t n = mu_utf8_cut(value, strlen(value), 200);
        json_object_set_new(args, name, json_stringn(value, n));
        if (strcmp(name, "line") == 0)
            line = value;
        if (strcmp(name, "column") == 0)
            column = value;
    }
    va_end(list);
    r->errors += level == ERROR ? 1 : 0;
    r->warnings += level == WARNING ? 1 : 0;
    if (json_array_size(r->list) >= KEPT_MAX) {
        r->unkept++;
        json_decref(args);
        return;
    }
    mu_position at = place(r, pointer);
    int64_t told;
    if (line != NULL && mu_parse_int(line, 0, INT32_MAX, &told))
        at.line = (unsigned)told;
    if (column != NULL && mu_parse_int(column, 0, INT32_MAX, &told))
        at.column = (unsigned)told;
    json_array_append_new(r->list, json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:s, s:o, s:s}", "id", id, "level", words[level], "path", step,
        "pointer", pointer, "line", (int)at.line, "column", (int)at.column,
        "message", what != NULL ? mu_printf(r->arena, "finding.%s.%s", id, what) : mu_printf(r->arena, "finding.%s", id), "args", args,
        "hint", mu_printf(r->arena, "finding.%s.hint", id)));
}

char *mu_cacao_text(mu_arena *arena, const json_t *file)
{
    char *text = json_dumps(file, JSON_INDENT(2) | JSON_ENCODE_ANY), *copy;

    if (text == NULL)
        return NULL;
    copy = mu_printf(arena, "%s\n", text);
    free(text);
    return copy;
}
