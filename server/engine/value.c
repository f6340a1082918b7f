/* Values in and out of JSON, and as text for people. */
#include "expression_tree.h"

#include <string.h>

#include "json.h"
#include "str.h"

static bool
decimal_parse(const char *text, int64_t *ret)
{
    bool minus = *text == '-';
    const char *dot, *c = text + minus;
    int64_t whole = 0, unit = MU_DECIMAL_ONE;

    if (*c < '0' || *c > '9')
        return false;
    dot = strchr(c, '.');
    for (; *c != '\0' && c != dot; c++) {
        if (*c < '0' || *c > '9' || __builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *c - '0', &whole))
            return false;
    }
    if (__builtin_mul_overflow(whole, MU_DECIMAL_ONE, &whole))
        return false;
    if (dot != NULL && dot[1] == '\0')
        return false;
    for (c = dot == NULL ? "" : dot + 1; *c != '\0'; c++) {
        unit /= 10;
        if (*c < '0' || *c > '9' || unit == 0 || __builtin_add_overflow(whole, (*c - '0') * unit, &whole))
            return false;
    }
    *ret = minus ? -whole : whole;
    return true;
}

static char *
decimal_format(mu_arena *arena, int64_t number)
{
    uint64_t size = number < 0 ? -(uint64_t)number : (uint64_t)number;
    char *text = mu_printf(arena, "%s%llu.%06llu", number < 0 ? "-" : "", (unsigned long long)(size / 1000000u),
        (unsigned long long)(size % 1000000u));
    size_t n = strlen(text);

    while (text[n - 1] == '0' && text[n - 2] != '.')
        text[--n] = '\0';
    return text;
}

/* Durations in playbooks are not negative; computed ones may be. */
static bool
duration_parse(const char *text, int64_t *ret)
{
    if (*text != '-')
        return mu_duration_parse(text, ret);
    if (!mu_duration_parse(text + 1, ret))
        return false;
    *ret = -*ret;
    return true;
}

static char *
duration_format(mu_arena *arena, int64_t seconds)
{
    if (seconds >= 0)
        return mu_duration_format(arena, seconds);
    return mu_printf(arena, "-%s", mu_duration_format(arena, seconds == INT64_MIN ? INT64_MAX : -seconds));
}

static bool
list_from_json(mu_arena *arena, const json_t *json, const mu_type *type, mu_value *ret)
{
    mu_type element = { .kind = type->of, .of = MU_T_ANY, .values = type->values };
    size_t i;
    json_t *item;

    if (!json_is_array(json) || json_array_size(json) > 1000)
        return false;
    *ret = (mu_value){ .kind = MU_T_LIST, .count = json_array_size(json) };
    ret->items = mu_alloc(arena, (ret->count + 1) * sizeof(mu_value));
    json_array_foreach(json, i, item)
        if (!mu_value_from_json(arena, item, &element, &ret->items[i]))
            return false;
    return true;
}

bool
mu_word_among(const json_t *values, const char *text)
{
    size_t i;
    json_t *value;

    json_array_foreach(values, i, value)
        if (json_is_string(value) && strcmp(json_string_value(value), text) == 0)
            return true;
    return false;
}

bool
mu_value_from_json(mu_arena *arena, const json_t *json, const mu_type *type, mu_value *ret)
{
    const char *text = json_string_value(json);

    *ret = (mu_value){ .kind = type->kind };
    switch (type->kind) {
    case MU_T_BOOL:
        ret->number = json_is_true(json);
        return json_is_boolean(json);
    case MU_T_INT:
        ret->number = json_integer_value(json);
        return json_is_integer(json);
    case MU_T_DECIMAL:
        if (json_is_integer(json))
            return !__builtin_mul_overflow((int64_t)json_integer_value(json), MU_DECIMAL_ONE, &ret->number);
        if (json_is_real(json))                   /* YAML writes decimals without quotes */
            text = mu_printf(arena, "%.6f", json_real_value(json));
        return text != NULL && decimal_parse(text, &ret->number);
    case MU_T_TEXT: case MU_T_USER:
        ret->text = text == NULL ? NULL : mu_strdup(arena, text);
        return text != NULL;
    case MU_T_ENUM:
        ret->text = text == NULL ? NULL : mu_strdup(arena, text);
        return text != NULL && (type->values == NULL || mu_word_among(type->values, text));
    case MU_T_DURATION:
        return text != NULL && duration_parse(text, &ret->number);
    case MU_T_DATETIME:
        return text != NULL && mu_time_parse(text, &ret->number);
    case MU_T_LIST:
        return list_from_json(arena, json, type, ret);
    case MU_T_ERROR: case MU_T_UNSET: case MU_T_SECRET: case MU_T_ANY:
        break;
    }
    return false;
}

json_t *
mu_value_to_json(mu_arena *arena, const mu_value *value)
{
    json_t *list;

    switch (value->kind) {
    case MU_T_BOOL:     return json_boolean(value->number != 0);
    case MU_T_INT:      return json_integer(value->number);
    case MU_T_DECIMAL:  return json_string(decimal_format(arena, value->number));
    case MU_T_TEXT: case MU_T_ENUM: case MU_T_USER:
        return json_string(value->text);
    case MU_T_DURATION: return json_string(duration_format(arena, value->number));
    case MU_T_DATETIME: return json_string(mu_time_format(arena, value->number));
    case MU_T_LIST:
        list = json_array();
        for (size_t i = 0; i < value->count; i++)
            json_array_append_new(list, mu_value_to_json(arena, &value->items[i]));
        return list;
    case MU_T_ERROR: case MU_T_UNSET: case MU_T_SECRET: case MU_T_ANY:
        break;
    }
    return json_null();
}

char *
mu_value_text(mu_arena *arena, const mu_value *value)
{
    char *text = mu_strdup(arena, "");

    switch (value->kind) {
    case MU_T_BOOL:     return mu_strdup(arena, value->number != 0 ? "true" : "false");
    case MU_T_INT:      return mu_printf(arena, "%lld", (long long)value->number);
    case MU_T_DECIMAL:  return decimal_format(arena, value->number);
    case MU_T_TEXT: case MU_T_ENUM: case MU_T_USER:
        return mu_strdup(arena, value->text);
    case MU_T_DURATION: return duration_format(arena, value->number);
    case MU_T_DATETIME: return mu_time_format(arena, value->number);
    case MU_T_LIST:
        for (size_t i = 0; i < value->count; i++)
            text = mu_printf(arena, "%s%s%s", text, i == 0 ? "" : ", ", mu_value_text(arena, &value->items[i]));
        return text;
    case MU_T_ERROR: case MU_T_UNSET: case MU_T_SECRET: case MU_T_ANY:
        break;
    }
    return text;
}
