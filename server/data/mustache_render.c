/* Rendering: walks the operations with a stack of contexts. Nothing is allocated per look-up. */
#include "mustache_private.h"

#include <stdlib.h>
#include <string.h>

#include "json.h"

#define OPERATIONS_MAX UINT64_C(10000000)

/* A member of an object, or by a number of one digit an element of an array: {{#items.0}} is "is there any". */
static const json_t *member(const json_t *value, const char *name)
{
    if (json_is_array(value) && name[0] >= '0' && name[0] <= '9' && name[1] == '\0')
        return json_array_get(value, (size_t)(name[0] - '0'));
    return json_object_get(value, name);
}

const json_t *mu_state_find(const mu_state *state, const char *const *path, unsigned parts)
{
    if (parts == 0)
        return state->stack[state->depth - 1];
    const json_t *found = NULL;
    for (unsigned i = state->depth; i > 0 && found == NULL; i--)
        found = json_object_get(state->stack[i - 1], path[0]);
    for (unsigned i = 1; i < parts && found != NULL; i++)
        found = member(found, path[i]);
    return found;
}

const json_t *mu_state_text(const mu_state *state, const json_t *value)
{
    if (!json_is_object(value))
        return value;
    bool chinese = state->how->language == NULL || state->how->language[0] != 'e';
    const json_t *first = json_object_get(value, chinese ? "zh" : "en");
    if (json_is_string(first) && json_string_length(first) > 0)
        return first;
    const json_t *other = json_object_get(value, chinese ? "en" : "zh");
    return json_is_string(other) ? other : first;
}

bool mu_state_add(mu_state *state, const char *text, size_t n)
{
    return state->plain ? mu_buf_add(state->out, text, n) : mu_buf_add_html(state->out, text, n);
}

bool mu_state_value(mu_state *state, const json_t *value, bool raw)
{
    char number[32];
    value = mu_state_text(state, value);
    if (value == NULL)
        return true;
    switch (json_typeof(value)) {
    case JSON_STRING:
        if (raw)
            return mu_buf_add(state->out, json_string_value(value), json_string_length(value));
        return mu_state_add(state, json_string_value(value), json_string_length(value));
    case JSON_INTEGER: return mu_buf_addf(state->out, "%lld", (long long)json_integer_value(value));
    case JSON_REAL:
        mu_json_real(json_real_value(value), number);
        return mu_buf_adds(state->out, number);
    case JSON_TRUE:    return mu_buf_adds(state->out, "true");
    case JSON_FALSE:   return mu_buf_adds(state->out, "false");
    case JSON_NULL:
    case JSON_OBJECT:
    case JSON_ARRAY:   return true;
    }
    return true;
}

static bool truthy(const json_t *value)
{
    if (value == NULL)
        return false;
    switch (json_typeof(value)) {
    case JSON_OBJECT:
    case JSON_TRUE:    return true;
    case JSON_ARRAY:   return json_array_size(value) > 0;
    case JSON_STRING:  return json_string_length(value) > 0;
    case JSON_INTEGER: return json_integer_value(value) != 0;
    case JSON_REAL:    return json_real_value(value) != 0.0;
    case JSON_FALSE:
    case JSON_NULL:    return false;
    }
    return false;
}

static mu_err run(mu_state *state, const mu_template *tpl, size_t from, size_t to);

static mu_err full(bool added)
{
    return added ? MU_OK : MU_TOO_LARGE;
}

static mu_err section_once(mu_state *state, const mu_template *tpl, size_t at, const json_t *context)
{
    if (state->depth == MU_TPL_DEPTH)
        return MU_INVALID;
    state->stack[state->depth++] = context;
    mu_err err = run(state, tpl, at + 1, tpl->ops[at].jump + 1);
    state->depth--;
    return err;
}

static mu_err section(mu_state *state, const mu_template *tpl, size_t at)
{
    const json_t *value = mu_state_find(state, tpl->ops[at].path, tpl->ops[at].parts);
    if (!truthy(value))
        return MU_OK;
    if (!json_is_array(value))
        return section_once(state, tpl, at, value);
    for (size_t i = 0; i < json_array_size(value); i++)
        TRY(section_once(state, tpl, at, json_array_get(value, i)));
    return MU_OK;
}

/* A key made of values: rendered without escapes into a buffer of its own, then looked up. */
static mu_err computed_word(mu_state *state, const mu_template *tpl, size_t at)
{
    mu_buf key = MU_BUF(MU_TPL_KEY), *out = state->out;
    bool plain = state->plain;
    const char *indent = state->indent;
    state->out = &key;
    state->plain = true;
    state->indent = "";
    mu_err err = run(state, tpl, at + 1, tpl->ops[at].jump);
    state->out = out;
    state->plain = plain;
    state->indent = indent;
    if (err == MU_OK) {
        while (key.n > 0 && strchr(" \t\r\n", key.at[key.n - 1]) != NULL)
            key.at[--key.n] = '\0';
        err = full(mu_state_word(state, key.at != NULL ? key.at + strspn(key.at, " \t\r\n") : "", NULL));
    }
    mu_buf_free(&key);
    return err;
}

static mu_err partial(mu_state *state, const mu_op *op)
{
    const mu_template *tpl = state->how->partial != NULL ? state->how->partial(state->how->closure, op->text) : NULL;
    if (tpl == NULL)
        return MU_OK;
    if (state->partials == MU_TPL_DEPTH)
        return MU_INVALID;
    const char *outer = state->indent;
    char *joined = NULL;
    state->indent = op->indent;
    if (*op->indent != '\0' && *outer != '\0') {
        size_t n = strlen(outer), m = strlen(op->indent);
        joined = malloc(n + m + 1);
        if (joined == NULL)
            abort();
        memcpy(joined, outer, n);
        memcpy(joined + n, op->indent, m + 1);
        state->indent = joined;
    } else if (*op->indent == '\0' && op->standalone) {
        state->indent = outer;
    }
    state->partials++;
    mu_err err = run(state, tpl, 0, tpl->n);
    state->partials--;
    state->indent = outer;
    free(joined);
    return err;
}

static bool text(mu_state *state, const mu_op *op)
{
    if (*state->indent == '\0')
        return mu_buf_add(state->out, op->text, op->n);
    const char *at = op->text, *end = op->text + op->n;
    while (at < end) {
        const char *line = memchr(at, '\n', (size_t)(end - at));
        const char *next = line != NULL ? line + 1 : end;
        if (!mu_buf_add(state->out, at, (size_t)(next - at)))
            return false;
        if (next < end && !mu_buf_adds(state->out, state->indent))
            return false;
        at = next;
    }
    return true;
}

static mu_err run(mu_state *state, const mu_template *tpl, size_t from, size_t to)
{
    /* A text template may say {{{any}}}; as a partial of a page it must not open a hole. */
    bool raw = state->plain || !tpl->plain;
    for (size_t i = from; i < to; i++) {
        const mu_op *op = &tpl->ops[i];
        if (state->left-- == 0)
            return MU_TOO_LARGE;
        if (op->fresh && *state->indent != '\0')
            TRY(full(mu_buf_adds(state->out, state->indent)));
        switch (op->kind) {
        case OP_TEXT:
            TRY(full(text(state, op)));
            break;
        case OP_VALUE:
        case OP_RAW:
            TRY(full(mu_state_value(state, mu_state_find(state, op->path, op->parts), op->kind == OP_RAW && raw)));
            break;
        case OP_SECTION:
            TRY(section(state, tpl, i));
            i = op->jump;
            break;
        case OP_INVERTED:
            if (truthy(mu_state_find(state, op->path, op->parts)))
                i = op->jump;
            break;
        case OP_WORD:
            if (op->text != NULL) {
                TRY(full(mu_state_word(state, op->text, NULL)));
            } else {
                TRY(computed_word(state, tpl, i));
                i = op->jump;
            }
            break;
        case OP_FORMAT:
            TRY(full(mu_state_format(state, op->format, mu_state_find(state, op->path, op->parts))));
            break;
        case OP_PARTIAL:
            TRY(partial(state, op));
            break;
        case OP_END:
            break;
        }
    }
    return MU_OK;
}

mu_err mu_template_render(const mu_template *tpl, const json_t *model, const mu_render *how, mu_buf *out)
{
    mu_state state = { .how = how, .out = out, .stack = { model }, .depth = 1, .left = OPERATIONS_MAX, .plain = tpl->plain,
                       .indent = "" };
    return run(&state, tpl, 0, tpl->n);
}
