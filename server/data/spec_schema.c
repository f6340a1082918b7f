/* Specs described for the OpenAPI document, as JSON Schema 2020-12. */
#include "spec.h"

#include <string.h>

static json_t *text_schema(const mu_field *field, int64_t fallback)
{
    int64_t least = field->least > 0 ? field->least : field->required ? 1 : 0, most = field->most > 0 ? field->most : fallback;
    json_t *schema = json_pack("{s:s}", "type", "string");
    if (least > 0)
        json_object_set_new(schema, "minLength", json_integer(least));
    json_object_set_new(schema, "maxLength", json_integer(most));
    return schema;
}

static json_t *format_schema(const char *keyword, const char *value)
{
    return json_pack("{s:s, s:s}", "type", "string", keyword, value);
}

static json_t *enum_schema(const char *values)
{
    json_t *list = json_array();
    for (const char *at = values != NULL ? values : ""; *at != '\0'; ) {
        size_t n = strcspn(at, " ");
        json_array_append_new(list, json_stringn(at, n));
        at += n + strspn(at + n, " ");
    }
    return json_pack("{s:s, s:o}", "type", "string", "enum", list);
}

static json_t *lang_schema(const mu_field *field)
{
    json_t *text = text_schema(field, MU_TEXT_MOST);
    json_t *schema = json_pack("{s:[O, {s:s, s:{s:O, s:O}, s:b, s:i}]}", "anyOf", text, "type", "object", "properties",
                               "zh", text, "en", text, "additionalProperties", 0, "minProperties", 1);
    json_decref(text);
    return schema;
}

static json_t *int_schema(const mu_field *field)
{
    json_t *schema = json_pack("{s:s}", "type", "integer");
    if (field->least != 0 || field->most != 0) {
        json_object_set_new(schema, "minimum", json_integer(field->least));
        json_object_set_new(schema, "maximum", json_integer(field->most));
    }
    return schema;
}

static json_t *file_schema(void)
{
    return json_pack("{s:s, s:{s:{s:s}, s:{s:s}, s:{s:s}, s:{s:s, s:s}}, s:[s, s, s]}", "type", "object", "properties",
                     "name", "type", "string", "type", "type", "string", "size", "type", "integer",
                     "base64", "type", "string", "contentEncoding", "base64", "required", "name", "type", "base64");
}

static json_t *list_schema(const mu_field *field);

static json_t *type_schema(const mu_field *field, mu_field_type type)
{
    switch (type) {
    case MU_F_STR:       return text_schema(field, MU_STR_MOST);
    case MU_F_TEXT:      return text_schema(field, MU_TEXT_MOST);
    case MU_F_SECRET: {
        json_t *schema = text_schema(field, MU_SECRET_MOST);
        json_object_set_new(schema, "writeOnly", json_true());
        return schema;
    }
    case MU_F_INT:       return int_schema(field);
    case MU_F_BOOL:      return json_pack("{s:s}", "type", "boolean");
    case MU_F_ENUM:      return enum_schema(field->values);
    case MU_F_SLUG:      return format_schema("pattern", "^[a-z][a-z0-9_-]{0,63}$");
    case MU_F_REF:       return format_schema("pattern", "^[A-Z]{2,4}-[0-9]{4}-[0-9]{4,6}$");
    case MU_F_UUID:      return format_schema("format", "uuid");
    case MU_F_EMAIL:     return format_schema("format", "email");
    case MU_F_URL:       return format_schema("format", "uri");
    case MU_F_TIME:      return format_schema("format", "date-time");
    case MU_F_DATE:      return format_schema("format", "date");
    case MU_F_DURATION:  return format_schema("pattern", "^(P.*|([0-9]+[dhms])+)$");
    case MU_F_LANG_TEXT: return lang_schema(field);
    case MU_F_LIST:      return list_schema(field);
    case MU_F_JSON:      return json_pack("{s:[s, s]}", "type", "object", "array");
    case MU_F_FILE:      return file_schema();
    }
    return json_object();
}

static json_t *list_schema(const mu_field *field)
{
    mu_field inner = *field;
    inner.least = inner.most = 0;
    json_t *schema = json_pack("{s:s, s:o}", "type", "array", "items",
                               type_schema(&inner, inner.of == MU_F_LIST ? MU_F_STR : inner.of));
    if (field->least > 0)
        json_object_set_new(schema, "minItems", json_integer(field->least));
    if (field->most > 0)
        json_object_set_new(schema, "maxItems", json_integer(field->most));
    return schema;
}

json_t *mu_spec_schema(const mu_spec *spec)
{
    json_t *properties = json_object(), *required = json_array();
    for (size_t i = 0; i < spec->count; i++) {
        const mu_field *field = &spec->fields[i];
        json_t *schema = type_schema(field, field->type);
        if (field->help != NULL && *field->help != '\0')
            json_object_set_new(schema, "description", json_string(field->help));
        json_object_set_new(properties, field->name, schema);
        if (field->required)
            json_array_append_new(required, json_string(field->name));
    }
    json_t *schema = json_pack("{s:s, s:o, s:b}", "type", "object", "properties", properties, "additionalProperties", 0);
    if (json_array_size(required) > 0)
        json_object_set(schema, "required", required);
    json_decref(required);
    return schema;
}
