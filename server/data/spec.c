#include "spec.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "str.h"

enum { URL_MOST = 2048, LIST_MOST = 100, JSON_DEPTH = 16 };

static const int64_t largest_integer = INT64_C(9007199254740992);

typedef struct {
    mu_arena *arena;
    mu_problem *problem;
    const mu_field *field;
    bool form;
    const char *pointer;
} check;

/* Every checker returns the coerced value (a new reference) or NULL after having recorded a fault. */

static json_t *fault(const check *c, const char *key)
{
    (void)mu_fail(c->problem, MU_INVALID, c->pointer, key, NULL);
    return NULL;
}

static json_t *fault_with(const check *c, const char *key, const char *name, const char *value)
{
    (void)mu_fail(c->problem, MU_INVALID, c->pointer, key, name, value, NULL);
    return NULL;
}

static json_t *fault_number(const check *c, const char *key, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    return fault_with(c, key, name, text);
}

static json_t *fault_type(const check *c, const char *expected)
{
    return fault_with(c, "error.field.type", "expected", expected);
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static const char *trim(mu_arena *arena, const char *text, size_t n)
{
    while (n > 0 && is_blank(text[n - 1]))
        n--;
    while (n > 0 && is_blank(*text)) {
        text++;
        n--;
    }
    return mu_strndup(arena, text, n);
}

/* Browsers send CR LF in text areas; one line end is kept. */
static const char *line_ends(mu_arena *arena, const char *text)
{
    if (strchr(text, '\r') == NULL)
        return text;
    char *out = mu_alloc(arena, strlen(text) + 1), *to = out;
    for (; *text != '\0'; text++)
        if (*text != '\r' || text[1] != '\n')
            *to++ = *text;
    return out;
}

static json_t *check_length(const check *c, const char *text, int64_t fallback)
{
    int64_t most = c->field->most > 0 ? c->field->most : fallback;
    int64_t count = (int64_t)mu_utf8_count(text, strlen(text));
    if (count == 0 && c->field->required)
        return fault(c, "error.field.required");
    if (count < c->field->least && count > 0)
        return fault_number(c, "error.field.short", "least", c->field->least);
    if (count > most)
        return fault_number(c, "error.field.long", "most", most);
    return json_string(text);
}

static json_t *check_text(const check *c, const json_t *value, bool lines, bool secret, int64_t most)
{
    if (!json_is_string(value))
        return fault_type(c, "string");
    const char *text = json_string_value(value);
    if (!secret)
        text = trim(c->arena, text, json_string_length(value));
    if (lines)
        text = line_ends(c->arena, text);
    if (mu_has_control(text, strlen(text), lines))
        return fault(c, "error.field.control");
    return check_length(c, text, most);
}

static json_t *check_int(const check *c, const json_t *value)
{
    int64_t number, least = c->field->least, most = c->field->most;
    if (least == 0 && most == 0) {
        least = -largest_integer;
        most = largest_integer;
    }
    if (json_is_integer(value)) {
        number = (int64_t)json_integer_value(value);
    } else if (c->form && json_is_string(value)) {
        const char *text = trim(c->arena, json_string_value(value), json_string_length(value));
        if (!mu_parse_int(text, INT64_MIN, INT64_MAX, &number))
            return fault_type(c, "integer");
    } else {
        return fault_type(c, "integer");
    }
    if (number < least || number > most) {
        char low[24], high[24];
        snprintf(low, sizeof low, "%lld", (long long)least);
        snprintf(high, sizeof high, "%lld", (long long)most);
        (void)mu_fail(c->problem, MU_INVALID, c->pointer, "error.field.range", "least", low, "most", high, NULL);
        return NULL;
    }
    return json_integer(number);
}

static bool word_in(const char *words, const char *word)
{
    size_t n = strlen(word);
    if (n == 0 || strchr(word, ' ') != NULL)
        return false;
    for (const char *at = words; at != NULL && *at != '\0'; ) {
        size_t m = strcspn(at, " ");
        if (m == n && memcmp(at, word, n) == 0)
            return true;
        at += m + strspn(at + m, " ");
    }
    return false;
}

static json_t *check_bool(const check *c, const json_t *value)
{
    if (json_is_boolean(value))
        return json_boolean(json_is_true(value));
    const char *text = json_string_value(value);
    if (c->form && text != NULL) {
        if (word_in("on true 1 yes", text))
            return json_true();
        if (word_in("off false 0 no", text))
            return json_false();
    }
    return fault_type(c, "boolean");
}

/* A host, then nothing that a browser or a proxy could read in two ways. */
static bool is_url(const char *text)
{
    size_t n = strlen(text);
    if (n > URL_MOST)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7F || strchr("\"<>\\^`{|}", text[i]) != NULL)
            return false;
    if (strncasecmp(text, "https://", 8) == 0)
        text += 8;
    else if (strncasecmp(text, "http://", 7) == 0)
        text += 7;
    else
        return false;
    size_t host = strcspn(text, "/?#");
    return host > 0 && text[0] != ':' && memchr(text, '@', host) == NULL;
}

static json_t *check_time(const check *c, const char *text)
{
    mu_instant at;
    char utc[32];
    if (!mu_time_parse(text, &at) && !(c->form && mu_time_parse_local(text, &at)))
        return fault(c, "error.field.time");
    mu_time_write(utc, at);
    return json_string(utc);
}

static json_t *check_duration(const check *c, const char *text)
{
    int64_t seconds;
    if (!mu_duration_parse(text, &seconds))
        return fault(c, "error.field.duration");
    if (seconds < c->field->least)
        return fault_with(c, "error.field.short", "least", mu_duration_format(c->arena, c->field->least));
    if (c->field->most > 0 && seconds > c->field->most)
        return fault_with(c, "error.field.long", "most", mu_duration_format(c->arena, c->field->most));
    return json_string(mu_duration_format(c->arena, seconds));
}

static json_t *accept(const check *c, bool fine, const char *text, const char *key)
{
    return fine ? json_string(text) : fault(c, key);
}

/* The kinds that are one word. */
static json_t *check_word(const check *c, mu_field_type type, const json_t *value)
{
    if (!json_is_string(value))
        return fault_type(c, "string");
    const char *text = trim(c->arena, json_string_value(value), json_string_length(value));
    switch (type) {
    case MU_F_ENUM:
        return word_in(c->field->values, text) ? json_string(text)
                                               : fault_with(c, "error.field.enum", "values", c->field->values);
    case MU_F_SLUG:     return accept(c, mu_is_slug(text), text, "error.field.slug");
    case MU_F_REF:      return accept(c, mu_is_ref(text), text, "error.field.ref");
    case MU_F_UUID:     return accept(c, mu_is_uuid(text), text, "error.field.uuid");
    case MU_F_EMAIL:    return accept(c, mu_is_email(text), text, "error.field.email");
    case MU_F_URL:      return accept(c, is_url(text), text, "error.field.url");
    case MU_F_DATE:     return accept(c, mu_date_valid(text), text, "error.field.date");
    case MU_F_TIME:     return check_time(c, text);
    case MU_F_DURATION: return check_duration(c, text);
    case MU_F_STR: case MU_F_TEXT: case MU_F_INT: case MU_F_BOOL: case MU_F_LANG_TEXT: case MU_F_SECRET: case MU_F_LIST:
    case MU_F_JSON: case MU_F_FILE:
        break;
    }
    return fault_type(c, "string");
}

/* A name goes into subjects and lists: one line. What may be longer than any name is running text. */
static bool is_running_text(const mu_field *field)
{
    return field->most <= 0 || field->most > MU_NAME_MOST;
}

static json_t *check_lang_text(const check *c, const json_t *value)
{
    const bool lines = is_running_text(c->field);
    if (json_is_string(value))
        return check_text(c, value, lines, false, MU_TEXT_MOST);
    if (!json_is_object(value))
        return fault_type(c, "text");
    json_t *out = json_object();
    bool fine = true;
    for (void *iter = json_object_iter((json_t *)(uintptr_t)value); iter != NULL;
         iter = json_object_iter_next((json_t *)(uintptr_t)value, iter)) {
        const char *name = json_object_iter_key(iter);
        check part = *c;
        mu_field optional = *c->field;
        optional.required = false;
        part.field = &optional;
        part.pointer = mu_pointer(c->arena, c->pointer, name);
        json_t *text = NULL;
        if (strcmp(name, "zh") == 0 || strcmp(name, "en") == 0)
            text = check_text(&part, json_object_iter_value(iter), lines, false, MU_TEXT_MOST);
        else
            fault(&part, "error.field.unknown");
        fine = fine && text != NULL;
        if (text != NULL && json_string_length(text) > 0)
            json_object_set_new(out, name, text);
        else
            json_decref(text);
    }
    if (fine && c->field->required && json_object_size(out) == 0) {
        fault(c, "error.field.required");
        fine = false;
    }
    if (fine)
        return out;
    json_decref(out);
    return NULL;
}

static bool depth_within(const json_t *json, int left)
{
    if (!json_is_object(json) && !json_is_array(json))
        return true;
    if (left == 0)
        return false;
    for (size_t i = 0; i < json_array_size(json); i++)
        if (!depth_within(json_array_get(json, i), left - 1))
            return false;
    json_t *object = (json_t *)(uintptr_t)json; /* the iterators change nothing */
    for (void *iter = json_object_iter(object); iter != NULL; iter = json_object_iter_next(object, iter))
        if (!depth_within(json_object_iter_value(iter), left - 1))
            return false;
    return true;
}

static json_t *check_json(const check *c, const json_t *value)
{
    json_t *parsed = NULL;
    if (c->form && json_is_string(value)) {
        mu_problem own = { .arena = c->arena };
        if (mu_json_parse(c->arena, json_string_value(value), json_string_length(value), &own, &parsed) != MU_OK)
            return fault(c, "error.field.json");
        value = parsed;
    }
    if (!json_is_object(value) && !json_is_array(value))
        return fault_type(c, "object");
    if (!depth_within(value, JSON_DEPTH))
        return fault_number(c, "error.field.depth", "most", JSON_DEPTH);
    return json_incref((json_t *)(uintptr_t)value);
}

static json_t *check_file(const check *c, const json_t *value)
{
    const char *name = mu_json_str(value, "name"), *type = mu_json_str(value, "type"), *text = mu_json_str(value, "base64");
    if (name == NULL || type == NULL || text == NULL)
        return fault_type(c, "file");
    if (*name == '\0' || mu_has_control(name, strlen(name), false) || strchr(name, '/') != NULL || strlen(name) > MU_STR_MOST
        || mu_has_control(type, strlen(type), false) || strlen(type) > MU_STR_MOST)
        return fault(c, "error.field.file");
    size_t n = strlen(text), size = n / 4 * 3;
    for (size_t i = n; i > 0 && text[i - 1] == '='; i--)
        size--;
    if (c->field->most > 0 && (int64_t)size > c->field->most)
        return fault_number(c, "error.field.file_large", "most", c->field->most);
    void *bytes;
    size_t bytes_n;
    mu_mark mark = mu_arena_mark(c->arena);
    bool fine = mu_unbase64(c->arena, text, &bytes, &bytes_n);
    mu_arena_reset(c->arena, mark);
    if (!fine)
        return fault(c, "error.field.file");
    return json_pack("{s:s, s:s, s:I, s:s}", "name", name, "type", type, "size", (json_int_t)bytes_n, "base64", text);
}

static json_t *check_list(const check *c, const json_t *value);

static json_t *check_one(const check *c, mu_field_type type, const json_t *value)
{
    switch (type) {
    case MU_F_STR:       return check_text(c, value, false, false, MU_STR_MOST);
    case MU_F_TEXT:      return check_text(c, value, true, false, MU_TEXT_MOST);
    case MU_F_SECRET:    return check_text(c, value, false, true, MU_SECRET_MOST);
    case MU_F_INT:       return check_int(c, value);
    case MU_F_BOOL:      return check_bool(c, value);
    case MU_F_LANG_TEXT: return check_lang_text(c, value);
    case MU_F_LIST:      return check_list(c, value);
    case MU_F_JSON:      return check_json(c, value);
    case MU_F_FILE:      return check_file(c, value);
    case MU_F_ENUM: case MU_F_SLUG: case MU_F_REF: case MU_F_UUID: case MU_F_EMAIL: case MU_F_URL: case MU_F_TIME:
    case MU_F_DATE: case MU_F_DURATION:
        return check_word(c, type, value);
    }
    return fault_type(c, "string");
}

static json_t *check_list(const check *c, const json_t *value)
{
    int64_t most = c->field->most > 0 ? c->field->most : LIST_MOST;
    bool single = c->form && (json_is_string(value) || json_is_object(value)); /* a name given once is a list of one */
    if (!single && !json_is_array(value))
        return fault_type(c, "list");
    size_t n = single ? 1 : json_array_size(value);
    if ((int64_t)n < c->field->least)
        return fault_number(c, "error.field.few", "least", c->field->least);
    if ((int64_t)n > most)
        return fault_number(c, "error.field.many", "most", most);
    /* The bounds count members, not characters; a member may not be empty. */
    mu_field inner = *c->field;
    inner.least = inner.most = 0;
    inner.required = true;
    json_t *out = json_array();
    bool fine = true;
    for (size_t i = 0; i < n; i++) {
        check member = *c;
        member.field = &inner;
        member.pointer = mu_pointer_at(c->arena, c->pointer, i);
        json_t *item = NULL;
        if (inner.of == MU_F_LIST)
            fault_type(&member, "string");
        else
            item = check_one(&member, inner.of, single ? value : json_array_get(value, i));
        fine = fine && item != NULL;
        if (item != NULL)
            json_array_append_new(out, item);
    }
    if (fine)
        return out;
    json_decref(out);
    return NULL;
}

/* Form fields NAME.zh and NAME.en stand for one member; NULL when neither is there. */
static const json_t *form_lang_text(const check *c, const json_t *in)
{
    char *zh = mu_printf(c->arena, "%s.zh", c->field->name), *en = mu_printf(c->arena, "%s.en", c->field->name);
    json_t *a = json_object_get(in, zh), *b = json_object_get(in, en);
    if (a == NULL && b == NULL)
        return NULL;
    json_t *both = mu_json_own(c->arena, json_object());
    if (a != NULL)
        json_object_set(both, "zh", a);
    if (b != NULL)
        json_object_set(both, "en", b);
    return both;
}

/* NAME.MEMBER of a form, MEMBER of [A-Za-z0-9_.-]{1,64}; NULL when the name is not of that shape. */
static const char *dotted_member(const char *name, const char *field)
{
    size_t n = strlen(field);
    if (strncmp(name, field, n) != 0 || name[n] != '.')
        return NULL;
    const char *member = name + n + 1;
    size_t m = strspn(member, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");
    return m >= 1 && m <= 64 && member[m] == '\0' ? member : NULL;
}

/* Form fields NAME.MEMBER stand for one object of texts; NULL when there is none. */
static const json_t *form_members(const check *c, const json_t *in)
{
    json_t *members = mu_json_own(c->arena, json_object());
    json_t *object = (json_t *)(uintptr_t)in; /* the iterators change nothing */
    for (void *iter = json_object_iter(object); iter != NULL; iter = json_object_iter_next(object, iter)) {
        const char *member = dotted_member(json_object_iter_key(iter), c->field->name);
        if (member != NULL)
            json_object_set(members, member, json_object_iter_value(iter));
    }
    return json_object_size(members) > 0 ? members : NULL;
}

static void check_field(check *c, const json_t *in, json_t *out)
{
    const json_t *value = json_object_get(in, c->field->name);
    if (value == NULL && c->form && c->field->type == MU_F_LANG_TEXT)
        value = form_lang_text(c, in);
    if (value == NULL && c->form && c->field->type == MU_F_JSON)
        value = form_members(c, in);
    if (value == NULL && c->form && c->field->type == MU_F_BOOL) {
        json_object_set_new(out, c->field->name, json_false());
        return;
    }
    if (value == NULL || json_is_null(value)) {
        if (c->field->required)
            fault(c, "error.field.required");
        else if (value != NULL)
            json_object_set_new(out, c->field->name, json_null());
        return;
    }
    json_t *checked = check_one(c, c->field->type, value);
    if (checked != NULL)
        json_object_set_new(out, c->field->name, checked);
}

static bool known(const mu_spec *spec, const char *name, bool form)
{
    for (size_t i = 0; i < spec->count; i++) {
        const mu_field *field = &spec->fields[i];
        if (strcmp(field->name, name) == 0)
            return true;
        size_t n = strlen(field->name);
        if (form && field->type == MU_F_LANG_TEXT && strncmp(name, field->name, n) == 0
            && (strcmp(name + n, ".zh") == 0 || strcmp(name + n, ".en") == 0))
            return true;
        if (form && field->type == MU_F_JSON && dotted_member(name, field->name) != NULL)
            return true;
    }
    return form && name[0] == '_';
}

mu_err mu_spec_check(mu_arena *arena, const mu_spec *spec, const json_t *in, bool form, mu_problem *problem, json_t **ret)
{
    if (!json_is_object(in))
        return mu_fail(problem, MU_INVALID, "", "error.field.type", "expected", "object", NULL);
    bool before = problem->code != MU_OK;
    unsigned count = problem->count;
    json_t *out = mu_json_own(arena, json_object());
    for (size_t i = 0; i < spec->count; i++) {
        check c = { .arena = arena, .problem = problem, .field = &spec->fields[i], .form = form,
                    .pointer = mu_pointer(arena, "", spec->fields[i].name) };
        check_field(&c, in, out);
    }
    json_t *object = (json_t *)(uintptr_t)in; /* the iterators change nothing */
    for (void *iter = json_object_iter(object); iter != NULL; iter = json_object_iter_next(object, iter)) {
        const char *name = json_object_iter_key(iter);
        if (!known(spec, name, form))
            (void)mu_fail(problem, MU_INVALID, mu_pointer(arena, "", name), "error.field.unknown", NULL);
    }
    if (problem->count != count || count == MU_FAULTS_MAX || (problem->code != MU_OK && !before))
        return MU_INVALID;
    *ret = out;
    return MU_OK;
}
