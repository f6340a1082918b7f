#include "playbook_text.h"

#include <string.h>

#include "buf.h"
#include "json.h"
#include "str.h"
#include "words.h"

#define LINES_MOST 3000

const char *mu_playbook_text(mu_req *rq, size_t *ret_n)
{
    const char *text = mu_body(rq, "text");

    *ret_n = text != NULL ? strlen(text) : 0;
    if (text == NULL)
        (void)mu_fail(mu_req_problem(rq), MU_INVALID, "/text", "error.required", NULL);
    return text;
}

const char *mu_playbook_file(mu_req *rq, const json_t *file, size_t *ret_n)
{
    const char *encoded = mu_json_str(file, "base64");
    void *bytes;

    if (encoded == NULL || !mu_unbase64(mu_req_arena(rq), encoded, &bytes, ret_n) || *ret_n == 0) {
        (void)mu_fail(mu_req_problem(rq), MU_INVALID, "/file", "error.required", NULL);
        return NULL;
    }
    if (!mu_utf8_valid(bytes, *ret_n)) {
        (void)mu_fail(mu_req_problem(rq), MU_INVALID, "/file", "error.utf8", NULL);
        return NULL;
    }
    return mu_strndup(mu_req_arena(rq), bytes, *ret_n);
}

const char *mu_playbook_format(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '{' ? "muster-json" : "muster-yaml";
}

json_t *mu_playbook_lines(mu_arena *arena, const char *text, const json_t *findings)
{
    json_t *out = mu_json_own(arena, json_array());
    size_t next = 0;   /* findings are ordered by line */

    while (mu_json_int(json_array_get(findings, next), "line", 1) < 1)
        next++;
    for (int n = 1; text != NULL && *text != '\0' && n <= LINES_MOST; n++) {
        const size_t width = strcspn(text, "\n"), shown = width > 0 && text[width - 1] == '\r' ? width - 1 : width;
        json_t *found = json_array();
        for (; next < json_array_size(findings) && mu_json_int(json_array_get(findings, next), "line", 0) == n; next++)
            json_array_append(found, json_array_get(findings, next));
        json_array_append_new(out, json_pack("{s:i, s:o, s:b, s:o}", "n", n, "line", json_stringn_nocheck(text, shown), "is_bad", json_array_size(found) > 0, "found", found));
        text += width + (text[width] == '\n');
    }
    return out;
}

static char *filled(mu_req *rq, const char *key, const json_t *args)
{
    const char *at = mu_word(mu_req_language(rq), key);
    MU_BUF_AUTO(out, 16384);

    for (at = at != NULL ? at : key; *at != '\0';) {
        const char *close = *at == '{' ? strchr(at, '}') : NULL, *value = NULL;
        if (close != NULL)
            value = mu_json_str(args, mu_strndup(mu_req_arena(rq), at + 1, (size_t)(close - at - 1)));
        if (value != NULL) {
            mu_buf_adds(&out, value);
            at = close + 1;
        } else {
            mu_buf_addc(&out, *at++);
        }
    }
    return mu_strndup(mu_req_arena(rq), out.at != NULL ? out.at : "", out.n);
}

void mu_playbook_speak(mu_req *rq, json_t *findings)
{
    json_t *finding;
    size_t i;

    json_array_foreach(findings, i, finding) {
        const char *message = mu_json_str(finding, "message"), *hint = mu_json_str(finding, "hint");
        if (message != NULL)
            json_object_set_new(finding, "text", json_string(filled(rq, message, json_object_get(finding, "args"))));
        if (hint != NULL)
            json_object_set_new(finding, "remedy", json_string(filled(rq, hint, json_object_get(finding, "args"))));
    }
}

/* The arguments of a finding as name, value, … for the problem. */
static const char *const *argument_list(mu_arena *arena, const json_t *args)
{
    const char **list = mu_alloc(arena, (json_object_size(args) * 2 + 1) * sizeof *list), *name;
    json_t *value;
    size_t n = 0;

    json_object_foreach((json_t *)(uintptr_t)args, name, value) {
        if (!json_is_string(value))
            continue;
        list[n++] = mu_strdup(arena, name);
        list[n++] = mu_strdup(arena, json_string_value(value));
    }
    list[n] = NULL;
    return list;
}

mu_err mu_playbook_refuse(mu_req *rq, const json_t *findings)
{
    mu_problem *problem = mu_req_problem(rq);
    mu_arena *arena = mu_req_arena(rq);
    const json_t *f;
    size_t i;

    json_array_foreach(findings, i, f) {
        if (!mu_same(mu_json_str(f, "level"), "error"))
            continue;
        (void)mu_fail(problem, MU_INVALID, "/text", "error.playbook.place", "line", mu_printf(arena, "%lld", (long long)mu_json_int(f, "line", 0)),
                      "column", mu_printf(arena, "%lld", (long long)mu_json_int(f, "column", 0)), NULL);
        (void)mu_fail(problem, MU_INVALID, "/text", mu_strdup(arena, mu_json_str(f, "message") != NULL ? mu_json_str(f, "message") : ""), NULL);
        if (json_object_size(json_object_get(f, "args")) > 0 && problem->last != NULL)
            problem->last->args = argument_list(arena, json_object_get(f, "args"));
    }
    return mu_fail(problem, MU_INVALID, "/text", "error.playbook.unreadable", NULL);
}
