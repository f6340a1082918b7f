/* Names, texts, variables, conditions and commands of other people's files, in our words. */
#include "import.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "str.h"

/* ---- names ------------------------------------------------------------------------------------------------------- */

const char *mu_import_slug(mu_arena *arena, const char *text, bool dash)
{
    char *out = mu_alloc(arena, 64);
    size_t n = 0;

    for (const char *c = text != NULL ? text : ""; *c != '\0' && n < 48; c++) {
        if (isalnum((unsigned char)*c) && (n > 0 || isalpha((unsigned char)*c)))
            out[n++] = (char)tolower((unsigned char)*c);
        else if (n > 0 && out[n - 1] != (dash ? '-' : '_'))
            out[n++] = dash ? '-' : '_';
    }
    while (n > 0 && (out[n - 1] == '_' || out[n - 1] == '-'))
        n--;
    out[n] = '\0';
    return n > 0 ? out : NULL;
}

static const char *unique(importer *im, json_t *taken, const char *base)
{
    static const char *const reserved[] = { "on_error", "on_reject", "deadline", "then", "else", "injects", "adhoc", "run", "incident", "step", "now", "org", "conn",
        "and", "or", "not", "in", "exists", "true", "false" };
    const char *name = base;
    int64_t n = mu_json_int(im->counts, base, 1);

    for (size_t i = 0; i < MU_COUNT(reserved); i++)
        if (strcmp(base, reserved[i]) == 0)
            name = base = mu_printf(im->arena, "%s_1", base);
    while (json_object_get(taken, name) != NULL)
        name = mu_printf(im->arena, "%s_%lld", base, (long long)++n);
    json_object_set_new(im->counts, base, json_integer(n));
    json_object_set_new(taken, name, json_true());
    return name;
}

const char *mu_import_id(importer *im, const char *text, const char *fallback)
{
    const char *base = mu_import_slug(im->arena, text, false);

    return unique(im, im->ids, base != NULL ? base : fallback);
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

const char *mu_import_text(importer *im, const char *text)
{
    MU_BUF_AUTO(out, 2 * MU_CACAO_BYTES);
    const char *at, *rest, *stop;
    char *name;

    if (text == NULL)
        return NULL;
    do {
        at = mu_cacao_variable(im->arena, text, &name, &rest);
        stop = at != NULL ? at : text + strlen(text);
        for (; text < stop; text++) {
            if (text[0] == '{' && out.n > 0 && out.at[out.n - 1] == '{')
                mu_buf_addc(&out, ' ');
            if ((unsigned char)*text >= 0x20 || *text == '\n' || *text == '\t')
                mu_buf_addc(&out, *text);
        }
        if (at != NULL) {
            if (out.n > 0 && out.at[out.n - 1] == '{')
                mu_buf_addc(&out, ' ');
            mu_buf_addf(&out, "{{%s}}", mu_import_variable(im, name));
            text = rest;
        }
    } while (at != NULL);
    return mu_strdup(im->arena, out.at != NULL ? out.at : "");
}

json_t *mu_import_title(importer *im, const char *text)
{
    const char *clean = mu_import_text(im, text);

    for (const unsigned char *c = (const unsigned char *)clean; *c != '\0'; c++)
        if (*c >= 0xE3 && *c <= 0xE9)   /* the common Chinese characters */
            return json_pack("{s:s}", "zh", clean);
    return json_pack("{s:s}", "en", clean);
}

char *mu_import_duration(importer *im, int64_t milliseconds)
{
    if (milliseconds <= 0 || milliseconds > INT64_C(86400000) * 3650)
        return NULL;
    return mu_duration_format(im->arena, (milliseconds + 999) / 1000);
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

static const char *bare(importer *im, const char *name)
{
    const size_t n = strlen(name);

    return n > 4 && mu_starts(name, "__") && mu_starts(name + n - 2, "__") ? mu_strndup(im->arena, name + 2, n - 4) : name;
}

static const char *native_type(const char *type)
{
    if (mu_same(type, "bool") || mu_same(type, "boolean"))
        return "bool";
    if (mu_same(type, "integer") || mu_same(type, "long"))
        return "int";
    return mu_same(type, "float") ? "decimal" : "string";
}

static bool decimal_text(const char *text)
{
    const char *c = text + (*text == '-' ? 1 : 0);
    const size_t whole = strspn(c, "0123456789"), part = c[whole] == '.' ? strspn(c + whole + 1, "0123456789") : 0;

    return whole > 0 && whole < 12 && part <= 6 && c[whole + (c[whole] == '.' ? 1 + part : 0)] == '\0' && (c[whole] != '.' || part > 0);
}

/* A value that fits its type; a value that does not makes the variable a text. */
static json_t *native_value(importer *im, const json_t *value, const char **type)
{
    const char *text = json_is_string(value) ? json_string_value(value) : value != NULL && !json_is_null(value) ? mu_json_text(im->arena, value) : NULL;
    int64_t number;

    if (text == NULL)
        return NULL;
    if (strcmp(*type, "bool") == 0 && (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0))
        return json_boolean(tolower((unsigned char)text[0]) == 't');
    if (strcmp(*type, "int") == 0 && mu_parse_int(text, -INT64_C(9007199254740991), INT64_C(9007199254740991), &number))
        return json_integer(number);
    if (strcmp(*type, "decimal") == 0 && decimal_text(text))
        return json_string(text);
    if (strcmp(*type, "string") != 0 && *text == '\0')
        return NULL;
    *type = "string";
    return json_string(text);
}

const char *mu_import_fresh(importer *im, const char *base, const char *type, json_t *value)
{
    const char *slug = mu_import_slug(im->arena, base, false), *name = unique(im, im->vars, slug != NULL ? slug : "variable");
    json_t *var = json_pack("{s:s}", "type", type);

    if (value != NULL)
        json_object_set_new(var, "default", value);
    json_object_set_new(im->vars, name, var);
    return name;
}

static void declare(importer *im, const char *cacao, const json_t *variable)
{
    const char *name = bare(im, cacao), *type = native_type(mu_json_str(variable, "type")), *about = mu_json_str(variable, "description");
    json_t *value, *var;

    if (json_object_get(im->names, name) != NULL)
        return;
    value = native_value(im, json_object_get(variable, "value"), &type);
    const char *ours = mu_import_fresh(im, name, type, value);
    json_object_set_new(im->names, name, json_string(ours));
    var = json_object_get(im->vars, ours);
    if (mu_json_bool(variable, "external", false))
        json_object_set_new(var, "from", json_string("form"));
    if (mu_json_bool(variable, "constant", false) && value != NULL)
        json_object_set_new(var, "constant", json_true());
    if (about != NULL)
        json_object_set_new(var, "title", mu_import_title(im, about));
}

const char *mu_import_variable(importer *im, const char *name)
{
    const char *ours;

    name = bare(im, name);
    if ((ours = mu_json_str(im->names, name)) != NULL)
        return ours;
    ours = mu_import_fresh(im, name, "string", NULL);
    json_object_set_new(json_object_get(im->vars, ours), "from", json_string("form"));
    json_object_set_new(im->names, name, json_string(ours));
    return ours;
}

const char *mu_import_type(const importer *im, const char *variable)
{
    return mu_json_str(json_object_get(im->vars, variable), "type");
}

void mu_import_variables(importer *im)
{
    json_t *all = json_object_get(im->file, "playbook_variables"), *variable, *step;
    const char *name, *id;

    if (!im->ours)   /* a file of our own says them natively, with ids that are the names */
        json_object_foreach(all, name, variable)
            declare(im, name, variable);
    json_object_foreach(im->workflow, id, step)
        if (!im->ours || mu_cacao_extension(step) == NULL)
            json_object_foreach(json_object_get(step, "step_variables"), name, variable)
                declare(im, name, variable);
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

static bool compare(importer *im, const condition *c, mu_buf *out)
{
    const char *variable = mu_import_variable(im, c->variable), *type = mu_import_type(im, variable), *other, *rest;
    const bool equality = c->op[0] == '=' || c->op[0] == '!', is_bool = mu_same(type, "bool"), is_text = mu_same(type, "string");
    char *name;
    int64_t number;

    mu_buf_addf(out, "%s %s ", variable, strcmp(c->op, "=") == 0 ? "==" : c->op);
    if (mu_cacao_variable(im->arena, c->literal, &name, &rest) == c->literal && *rest == '\0') {
        other = mu_import_variable(im, name);
        mu_buf_adds(out, other);
        return mu_same(mu_import_type(im, other), type) && (equality || !(is_bool || is_text));
    }
    if (is_bool) {
        const bool yes = strcasecmp(c->literal, "true") == 0;
        mu_buf_adds(out, yes ? "true" : "false");
        return equality && (yes || strcasecmp(c->literal, "false") == 0);
    }
    if (mu_same(type, "int") || mu_same(type, "decimal")) {
        mu_buf_adds(out, c->literal);
        return mu_same(type, "int") ? mu_parse_int(c->literal, -INT64_C(9007199254740991), INT64_C(9007199254740991), &number) : decimal_text(c->literal);
    }
    mu_buf_addf(out, "'%s'", c->literal);
    return equality && is_text && strchr(c->literal, '\'') == NULL && strchr(c->literal, '\n') == NULL;
}

static bool expression(importer *im, const condition *c, mu_buf *out)
{
    const char *variable;

    switch (c->kind) {
    case COND_COMPARE:
        return compare(im, c, out);
    case COND_BARE:
        variable = mu_import_variable(im, c->variable);
        return mu_buf_addf(out, mu_same(mu_import_type(im, variable), "bool") ? "%s" : "%s == 'true'", variable)
            && (mu_same(mu_import_type(im, variable), "bool") || mu_same(mu_import_type(im, variable), "string"));
    case COND_NOT:
        mu_buf_adds(out, "not ");
        return expression(im, c->left, out);
    case COND_AND: case COND_OR:
        return expression(im, c->left, out) && mu_buf_adds(out, c->kind == COND_AND ? " and " : " or ") && expression(im, c->right, out);
    }
    return false;
}

char *mu_import_condition(importer *im, const char *text)
{
    const condition *tree = mu_cacao_condition(im->arena, text);
    MU_BUF_AUTO(out, 1024);

    return tree != NULL && expression(im, tree, &out) && !out.over ? mu_strdup(im->arena, out.at) : NULL;
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

static bool of_people(const char *type)
{
    return mu_same(type, "group") || mu_same(type, "individual") || mu_same(type, "organization") || mu_same(type, "sector") || mu_same(type, "location");
}

const char *mu_import_role(importer *im, const char *agent)
{
    const json_t *known = agent != NULL ? json_object_get(json_object_get(im->file, "agent_definitions"), agent) : NULL;
    const char *type = mu_json_str(known, "type"), *name = of_people(type) ? mu_json_str(known, "name") : NULL, *slug = mu_import_slug(im->arena, name, false);
    json_t *role;

    if (slug == NULL)
        slug = name != NULL ? type : "responder";
    if (json_object_get(im->roles, slug) == NULL) {
        role = name != NULL ? mu_import_title(im, name) : json_object();
        json_object_set_new(role, "min", json_integer(1));
        json_object_set_new(im->roles, slug, role);
    }
    return slug;
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static const char *decoded(importer *im, const json_t *object, const char *member)
{
    const char *plain = mu_json_str(object, member), *coded = mu_json_str(object, mu_printf(im->arena, "%s_b64", member));
    void *bytes;
    size_t n;

    if (plain != NULL)
        return plain;
    if (coded == NULL || !mu_unbase64(im->arena, coded, &bytes, &n) || !mu_utf8_valid(bytes, n))
        return coded;
    return mu_strndup(im->arena, bytes, n);
}

static bool secret_header(const char *name, const char *value, importer *im)
{
    static const char *const names[] = { "authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-token" };
    const char *rest;
    char *variable;

    for (size_t i = 0; i < MU_COUNT(names); i++)
        if (strcasecmp(name, names[i]) == 0)
            return mu_cacao_variable(im->arena, value, &variable, &rest) == NULL;
    return false;
}

static json_t *headers(importer *im, const char *cacao_id, const json_t *command)
{
    json_t *out = json_object(), *values;
    const char *name;

    json_object_foreach(json_object_get(command, "headers"), name, values) {
        MU_BUF_AUTO(text, 8192);
        const json_t *one;
        size_t i;
        if (json_is_string(values))
            mu_buf_adds(&text, json_string_value(values));
        json_array_foreach(values, i, one)
            mu_buf_addf(&text, "%s%s", i > 0 ? ", " : "", json_is_string(one) ? json_string_value(one) : "");
        if (text.n == 0 || mu_has_control(text.at, text.n, false) || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != strlen(name))
            continue;
        if (secret_header(name, text.at, im)) {
            im->secrets++;
            mu_cacao_find(im->r, "I11", WARNING, NULL, cacao_id, "/workflow", "name", name, NULL);
            continue;
        }
        json_object_set_new(out, name, json_string(mu_import_text(im, text.at)));
    }
    return out;
}

/* METHOD target [HTTP/x]. The host becomes the name of a connection that an administrator sets up; never an address in a playbook. */
static bool start_line(importer *im, const json_t *step, const char *line, const char **method, const char **url)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };
    const char *target, *end, *path, *name = NULL, *id = json_string_value(json_array_get(json_object_get(step, "targets"), 0));
    const size_t n = strcspn(line, " ");

    *method = NULL;
    for (size_t i = 0; i < MU_COUNT(methods); i++)
        if (strlen(methods[i]) == n && strncmp(line, methods[i], n) == 0)
            *method = methods[i];
    if (*method == NULL || line[n] != ' ')
        return false;
    target = line + n + strspn(line + n, " ");
    end = strstr(target, " HTTP/");
    target = mu_strndup(im->arena, target, end != NULL ? (size_t)(end - target) : strlen(target));
    if (strcspn(target, " \t\r\n") != strlen(target) || *target == '\0')
        return false;
    path = target;
    if (mu_starts(target, "http://") || mu_starts(target, "https://")) {
        const char *host = strstr(target, "//") + 2;
        path = host + strcspn(host, "/?");
        name = mu_strndup(im->arena, host, strcspn(host, "/?:"));
    }
    const json_t *known = json_object_get(json_object_get(im->file, "target_definitions"), id != NULL ? id : "");
    if (known == NULL && mu_json_str(step, "agent") != NULL)
        known = json_object_get(json_object_get(im->file, "agent_definitions"), mu_json_str(step, "agent"));
    if (mu_same(mu_json_str(known, "type"), "http-api") || name == NULL)
        name = mu_json_str(known, "name") != NULL ? mu_json_str(known, "name") : name;
    const char *slug = mu_import_slug(im->arena, name, false);
    *url = mu_printf(im->arena, "{{conn.%s}}%s%s", slug != NULL ? slug : "connection", *path == '/' ? "" : "/", mu_import_text(im, path));
    return true;
}

static json_t *http_step(importer *im, const char *cacao_id, const json_t *step, const json_t *command)
{
    const char *method, *url, *line = decoded(im, command, "command"), *body = decoded(im, command, "content");
    char *timeout = mu_import_duration(im, mu_json_int(step, "timeout", 30000));
    json_t *request, *out;

    if (line == NULL || !start_line(im, step, line, &method, &url))
        return NULL;
    request = json_pack("{s:s, s:s, s:s}", "method", method, "url", url, "timeout", timeout != NULL ? timeout : "30s");
    out = headers(im, cacao_id, command);
    if (json_object_size(out) > 0)
        json_object_set(request, "headers", out);
    json_decref(out);
    if (body != NULL)
        json_object_set_new(request, "body", json_string(mu_import_text(im, body)));
    if (json_array_size(json_object_get(step, "out_args")) > 0)
        mu_cacao_find(im->r, "I05", WARNING, NULL, cacao_id, "/workflow", "name", json_string_value(json_array_get(json_object_get(step, "out_args"), 0)), NULL);
    return json_pack("{s:o, s:{s:[i,i,i,i]}, s:s, s:{s:{s:i, s:{}}}}", "request", request, "expect", "status", 200, 201, 202, 204,
        "effect", strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0 || strcmp(method, "OPTIONS") == 0 ? "idempotent" : "once", "drill", "simulate", "status", 200, "body");
}

/* Answers of a person: a field for each variable that leaves the step. */
static json_t *form(importer *im, const json_t *step)
{
    json_t *out = json_array();
    const json_t *name;
    size_t i;

    json_array_foreach(json_object_get(step, "out_args"), i, name) {
        if (!json_is_string(name))
            continue;
        const char *variable = mu_import_variable(im, json_string_value(name)), *type = mu_import_type(im, variable);
        const json_t *var = json_object_get(im->vars, variable);
        if (mu_json_bool(var, "constant", false))
            continue;
        json_object_del((json_t *)(uintptr_t)var, "from");   /* it comes from here, and need not be asked for at the start */
        if (json_array_size(out) < 40)
            json_array_append_new(out, json_pack("{s:s, s:s, s:s, s:s, s:b}", "id", variable, "en", bare(im, json_string_value(name)),
                "type", mu_same(type, "bool") || mu_same(type, "int") || mu_same(type, "decimal") ? type : "text", "var", variable, "required", 1));
    }
    return out;
}

static json_t *task_step(importer *im, const char *cacao_id, const json_t *step, const json_t *command)
{
    const char *type = mu_json_str(command, "type"), *about = mu_json_str(step, "description"), *words = decoded(im, command, "command"), *more = mu_json_str(command, "description");
    const bool manual = mu_same(type, "manual") || command == NULL;
    json_t *task = json_object(), *fields = form(im, step);
    MU_BUF_AUTO(text, MU_CACAO_BYTES);

    if (about != NULL)
        mu_buf_addf(&text, "%s\n\n", about);
    if (more != NULL)
        mu_buf_addf(&text, "%s\n\n", more);
    if (words != NULL && manual) {
        mu_buf_addf(&text, "%s", words);
    } else if (command != NULL) {
        mu_buf_addf(&text, "%s\n\n```\n%s\n```", type != NULL ? type : "?", words != NULL ? words : "");
        mu_cacao_find(im->r, "I01", NOTE, NULL, cacao_id, "/workflow", "name", type != NULL ? type : "?", NULL);
    }
    while (text.n > 0 && text.at[text.n - 1] == '\n')
        text.at[--text.n] = '\0';
    if (text.n > 0)
        json_object_set_new(task, "text", mu_import_title(im, text.at));
    json_object_set_new(task, "role", json_string(mu_import_role(im, mu_json_str(step, "agent"))));
    if (json_array_size(fields) > 0)
        json_object_set(task, "form", fields);
    json_decref(fields);
    return task;
}

json_t *mu_import_command(importer *im, const char *cacao_id, const json_t *step, const json_t *command, const char **ret_id)
{
    const char *type = mu_json_str(command, "type"), *name = mu_json_str(step, "name");
    const bool http = mu_same(type, "http-api") || mu_same(type, "openc2-http");
    json_t *made = http ? http_step(im, cacao_id, step, command) : NULL, *out;
    const char *kind = made != NULL ? "http" : "task";

    if (made == NULL)
        made = task_step(im, cacao_id, step, command);
    *ret_id = mu_import_id(im, name, kind);
    out = json_pack("{s:s}", kind, *ret_id);
    if (name != NULL)
        json_object_set_new(out, "title", mu_import_title(im, name));
    json_object_update(out, made);
    json_decref(made);
    return out;
}
