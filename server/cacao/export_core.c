/* What any tool sees of a step: texts, commands, agents, targets, variables; and the file around them. */
#include "export.h"

#include <ctype.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "playbook.h"
#include "str.h"
#include "yaml_write.h"
#include "crypto.h"

char *mu_cacao_id(const exporter *x, const char *type, bool versioned, const char *place)
{
    const char *name = mu_printf(x->arena, "muster\n%s\n%u\n%s", x->slug, versioned ? x->options->version : 0, place);
    uint8_t hash[32];

    mu_sha256(name, strlen(name), hash);
    hash[6] = (uint8_t)((hash[6] & 0x0F) | 0x40);
    hash[8] = (uint8_t)((hash[8] & 0x3F) | 0x80);
    const char *hex = mu_hex(x->arena, hash, 16);
    return mu_printf(x->arena, "%s--%.8s-%.4s-%.4s-%.4s-%.12s", type, hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

const char *mu_cacao_kind(const json_t *step)
{
    static const char *const kinds[] = { "task", "checklist", "decide", "approve", "notify", "http", "status", "report", "wait", "set", "if", "switch", "while", "for_each",
        "parallel", "call", "inject", "milestone", "end" };

    for (size_t i = 0; i < MU_COUNT(kinds); i++)
        if (json_object_get(step, kinds[i]) != NULL)
            return kinds[i];
    return NULL;
}

/* The members whose lists move into the graph are copied, the rest is shared with the document. */
json_t *mu_cacao_strip(const json_t *step)
{
    static const char *const holders[] = { "deadline", "cases", "branches" };
    json_t *copy = json_copy((json_t *)(uintptr_t)step);

    for (size_t i = 0; i < MU_COUNT(holders); i++)
        if (json_is_object(json_object_get(copy, holders[i])))
            json_object_set_new(copy, holders[i], json_copy(json_object_get(copy, holders[i])));
    return copy;
}

/* ---- texts ------------------------------------------------------------------------------------------------------- */

bool mu_cacao_declared(const exporter *x, const char *name)
{
    return json_object_get(x->variables, mu_printf(x->arena, "__%s__", name)) != NULL;
}

char *mu_cacao_templates(exporter *x, const char *text)
{
    MU_BUF_AUTO(out, 256 * 1024);

    while (*text != '\0') {
        const char *open = strstr(text, "{{"), *close = open != NULL ? strstr(open, "}}") : NULL;
        if (close == NULL)
            break;
        const char *from = open + 2, *to = close;
        while (from < to && *from == ' ')
            from++;
        while (to > from && to[-1] == ' ')
            to--;
        const char *name = mu_strndup(x->arena, from, (size_t)(to - from));
        mu_buf_add(&out, text, (size_t)(open - text));
        if (mu_cacao_declared(x, name))
            mu_buf_addf(&out, "__%s__:value", name);
        else
            mu_buf_add(&out, open, (size_t)(close + 2 - open));
        text = close + 2;
    }
    mu_buf_adds(&out, text);
    return mu_strdup(x->arena, out.at != NULL ? out.at : "");
}

/* A text in one line of both languages. NULL when there is none. */
static char *both(exporter *x, const json_t *text)
{
    const char *zh = mu_json_str(text, "zh"), *en = mu_json_str(text, "en"), *one = json_is_string(text) ? json_string_value(text) : zh == NULL ? en : zh;

    if (one == NULL)
        return NULL;
    return mu_cacao_templates(x, json_is_object(text) && zh != NULL && en != NULL ? mu_printf(x->arena, "%s / %s", zh, en) : one);
}

void mu_cacao_names(exporter *x, json_t *object, const json_t *step)
{
    const char *kind = mu_cacao_kind(step), *name = both(x, json_object_get(step, "title")), *text = both(x, json_object_get(step, "text"));

    if (name == NULL && kind != NULL)
        name = both(x, json_object_get(step, kind));
    if (name != NULL)
        json_object_set_new(object, "name", json_string(name));
    if (text != NULL)
        json_object_set_new(object, "description", json_string(text));
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

typedef struct { exporter *x; const char *at; mu_buf *out; } translator;

static bool keyword(translator *t, const char *text)
{
    const size_t n = strlen(text);

    t->at += strspn(t->at, " \t\n");
    if (strncmp(t->at, text, n) != 0 || isalnum((unsigned char)t->at[n]) || t->at[n] == '_')
        return false;
    t->at += n;
    return true;
}

static const char *variable_type(const exporter *x, const char *name)
{
    const json_t *var = json_object_get(json_object_get(x->doc, "vars"), name);

    return mu_json_str(var != NULL ? var : json_object_get(json_object_get(x->doc, "params"), name), "type");
}

/* A number, true, false, or a text without quotes and line breaks in it. */
static bool literal(translator *t)
{
    size_t n;

    t->at += strspn(t->at, " \t\n");
    if (*t->at == '\'') {
        n = strcspn(t->at + 1, "'\n");
        if (t->at[n + 1] != '\'' || t->at[n + 2] == '\'')
            return false;
        mu_buf_add(t->out, t->at, n + 2);
        t->at += n + 2;
        return true;
    }
    n = strspn(t->at, "0123456789.-");
    if (n == 0)
        n = strncmp(t->at, "true", 4) == 0 ? 4 : strncmp(t->at, "false", 5) == 0 ? 5 : 0;
    if (n == 0 || isalnum((unsigned char)t->at[n]) || t->at[n] == '_' || t->at[n] == '.')
        return false;
    mu_buf_addf(t->out, "'%.*s'", (int)n, t->at);
    t->at += n;
    return true;
}

/* [not] name [op literal]; a name alone is a bool. */
static bool term(translator *t)
{
    static const struct { const char *ours, *theirs; } ops[] = { { "==", "=" }, { "!=", "!=" }, { "<=", "<=" }, { ">=", ">=" }, { "<", "<" }, { ">", ">" } };

    if (keyword(t, "not"))
        mu_buf_adds(t->out, "NOT ");
    t->at += strspn(t->at, " \t\n");
    size_t n = 0;
    while (isalnum((unsigned char)t->at[n]) || t->at[n] == '_')
        n++;
    const char *name = mu_strndup(t->x->arena, t->at, n), *type;
    if (n == 0 || t->at[n] == '.' || !mu_cacao_declared(t->x, name) || (type = variable_type(t->x, name)) == NULL)
        return false;
    t->at += n;
    t->at += strspn(t->at, " \t\n");
    mu_buf_addf(t->out, "__%s__:value ", name);
    for (size_t i = 0; i < MU_COUNT(ops); i++)
        if (strncmp(t->at, ops[i].ours, strlen(ops[i].ours)) == 0) {
            t->at += strlen(ops[i].ours);
            mu_buf_addf(t->out, "%s ", ops[i].theirs);
            return literal(t);
        }
    mu_buf_adds(t->out, "= 'true'");
    return strcmp(type, "bool") == 0;
}

char *mu_cacao_condition_of(exporter *x, const char *expression)
{
    MU_BUF_AUTO(out, 8192);
    translator t = { x, expression, &out };
    condition *unused;

    if (expression == NULL)
        return NULL;
    for (;;) {
        if (!term(&t))
            return NULL;
        const bool and = keyword(&t, "and");
        if (!and && !keyword(&t, "or"))
            break;
        mu_buf_adds(&out, and ? " AND " : " OR ");
    }
    t.at += strspn(t.at, " \t\n");
    unused = (condition *)(uintptr_t)mu_cacao_condition(x->arena, out.at);
    return *t.at == '\0' && !out.over && unused != NULL ? mu_strdup(x->arena, out.at) : NULL;
}

/* ---- variables --------------------------------------------------------------------------------------------------- */

static const char *type_of(const char *native)
{
    if (mu_same(native, "bool"))
        return "bool";
    if (mu_same(native, "int"))
        return "integer";
    return mu_same(native, "decimal") ? "float" : "string";
}

static void declare(exporter *x, const json_t *all, bool external)
{
    json_t *var;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)all, name, var) {
        const json_t *value = json_object_get(var, "default");
        const char *title = both(x, json_object_get(var, "title"));
        json_t *made = json_pack("{s:s}", "type", type_of(mu_json_str(var, "type")));
        if (title != NULL)
            json_object_set_new(made, "description", json_string(title));
        if (value != NULL && !mu_json_bool(var, "secret", false) && !mu_same(mu_json_str(var, "type"), "secret"))
            json_object_set_new(made, "value", json_is_string(value) ? json_string(json_string_value(value)) : json_string(mu_json_text(x->arena, value)));
        if (mu_json_bool(var, "constant", false))
            json_object_set_new(made, "constant", json_true());
        if (external || mu_json_str(var, "from") != NULL)
            json_object_set_new(made, "external", json_true());
        json_object_set_new(x->variables, mu_printf(x->arena, "__%s__", name), made);
    }
}

void mu_cacao_variables(exporter *x)
{
    declare(x, json_object_get(x->doc, "vars"), false);
    declare(x, json_object_get(x->doc, "params"), true);
}

char *mu_cacao_helper_variable(exporter *x, const char *id, const char *what)
{
    char *name = what != NULL ? mu_printf(x->arena, "__%s_%s__", id, what) : mu_printf(x->arena, "__%s__", id);

    if (json_object_get(x->variables, name) == NULL)
        json_object_set_new(x->variables, name, what != NULL ? json_pack("{s:s, s:s}", "type", "bool", "value", "false")
            : json_pack("{s:s, s:s, s:b}", "type", "bool", "value", "true", "constant", 1));
    return name;
}

/* ---- agents, targets, commands ----------------------------------------------------------------------------------- */

const char *mu_cacao_agent(exporter *x, const char *role)
{
    const json_t *known = role != NULL ? json_object_get(json_object_get(x->doc, "roles"), role) : NULL;
    const char *type = known != NULL ? "group" : "organization", *name = known != NULL ? both(x, known) : "Muster";
    const char *id = mu_cacao_id(x, type, true, mu_printf(x->arena, "agent\n%s", known != NULL ? role : ""));

    if (json_object_get(x->agents, id) == NULL)
        json_object_set_new(x->agents, id, json_pack("{s:s, s:s}", "type", type, "name", name != NULL ? name : role));
    return id;
}

/* Where a connection stands for: never its real address. */
static const char *target(exporter *x, const char *connection)
{
    const char *id = mu_cacao_id(x, "http-api", true, mu_printf(x->arena, "target\n%s", connection));
    char *host = mu_printf(x->arena, "%s.invalid", connection);

    for (char *c = host; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    json_object_set_new(x->targets, id, json_pack("{s:s, s:s, s:{s:[s]}}", "type", "http-api", "name", connection, "address", "dname", host));
    return id;
}

static json_t *manual(const char *text)
{
    return json_pack("{s:s, s:s}", "type", "manual", "command", text);
}

static json_t *http_command(exporter *x, json_t *object, const json_t *step)
{
    const json_t *request = json_object_get(step, "request"), *body = json_object_get(request, "body");
    const char *method = mu_json_str(request, "method"), *url = mu_json_str(request, "url"), *name;
    json_t *headers = json_object_get(request, "headers"), *value, *command;
    const char *path = url != NULL ? url : "/", *connection = "connection";

    if (url != NULL && mu_starts(url, "{{conn.")) {
        const char *end = strstr(url, "}}");
        connection = mu_strndup(x->arena, url + 7, strcspn(url + 7, "} "));
        path = end != NULL ? end + 2 : "/";
    }
    json_object_set_new(object, "targets", json_pack("[s]", target(x, connection)));
    command = json_pack("{s:s, s:s}", "type", "http-api", "command",
        mu_printf(x->arena, "%s %s%s HTTP/1.1", method != NULL ? method : "GET", *path == '/' ? "" : "/", mu_cacao_templates(x, path)));
    if (json_object_size(headers) > 0) {
        json_t *out = json_object();
        json_object_foreach(headers, name, value)
            json_object_set_new(out, name, json_pack("[s]", json_is_string(value) ? mu_cacao_templates(x, json_string_value(value)) : ""));
        json_object_set_new(command, "headers", out);
    }
    if (body != NULL && !json_is_null(body))
        json_object_set_new(command, "content", json_string(mu_cacao_templates(x, json_is_string(body) ? json_string_value(body) : mu_json_text(x->arena, body))));
    return command;
}

/* Title, text, and what else the step says, in the words of the format itself. */
static char *in_words(exporter *x, const json_t *step, const char *kind)
{
    static const char *const said[] = { "title", "text", "note", "when", "on_error", "deadline", "on_reject", "drill", "refs", "critical" };
    const char *title = both(x, json_object_get(step, "title")), *text = both(x, json_object_get(step, "text"));
    const bool person = strcmp(kind, "task") == 0;
    json_t *rest = json_copy((json_t *)(uintptr_t)step);
    MU_BUF_AUTO(out, 64 * 1024);

    for (size_t i = 0; i < MU_COUNT(said); i++)
        json_object_del(rest, said[i]);
    if (title != NULL)
        mu_buf_addf(&out, "%s\n", title);
    if (text != NULL)
        mu_buf_addf(&out, "%s\n", text);
    if ((!person || out.n == 0) && json_object_size(rest) > 0) {
        const size_t before = out.n;
        if (!mu_yaml_write(x->arena, rest, NULL, &out))
            out.n = before;
    }
    json_decref(rest);
    while (out.n > 0 && out.at[out.n - 1] == '\n')
        out.at[--out.n] = '\0';
    return mu_cacao_templates(x, out.n > 0 ? mu_strndup(x->arena, out.at, out.n) : kind);
}

/* Variables a person's answers go into. */
static void form_variables(exporter *x, const json_t *form, json_t *names)
{
    const json_t *field;
    size_t i;

    json_array_foreach(form, i, field) {
        const char *var = mu_json_str(field, "var");
        if (var != NULL && mu_cacao_declared(x, var))
            json_object_set_new(names, mu_printf(x->arena, "__%s__", var), json_true());
    }
}

static void results(exporter *x, json_t *object, const json_t *step)
{
    static const char *const maps[] = { "values", "save" };
    json_t *names = mu_json_own(x->arena, json_object()), *value, *list = json_array();
    const json_t *into = json_object_get(step, "into"), *one;
    const char *name;
    size_t i;

    form_variables(x, json_object_get(step, "form"), names);
    json_array_foreach(json_object_get(step, "items"), i, one)
        form_variables(x, json_object_get(one, "form"), names);
    if (json_is_string(into) && mu_cacao_declared(x, json_string_value(into)))
        json_object_set_new(names, mu_printf(x->arena, "__%s__", json_string_value(into)), json_true());
    json_array_foreach(into, i, one)
        if (json_is_string(one) && mu_cacao_declared(x, json_string_value(one)))
            json_object_set_new(names, mu_printf(x->arena, "__%s__", json_string_value(one)), json_true());
    for (i = 0; i < MU_COUNT(maps); i++)
        json_object_foreach(json_object_get(step, maps[i]), name, value)
            if (mu_cacao_declared(x, name))
                json_object_set_new(names, mu_printf(x->arena, "__%s__", name), json_true());
    json_object_foreach(names, name, value)
        json_array_append_new(list, json_string(name));
    if (json_array_size(list) > 0)
        json_object_set(object, "out_args", list);
    json_decref(list);
}

void mu_cacao_action(exporter *x, json_t *object, const json_t *step, const char *kind)
{
    json_t *commands = json_array();
    const json_t *item, *by = json_object_get(step, "by");
    const char *role = mu_json_str(step, "role") != NULL ? mu_json_str(step, "role") : mu_json_str(by, "role");
    size_t i;

    mu_cacao_names(x, object, step);
    if (strcmp(kind, "http") == 0)
        json_array_append_new(commands, http_command(x, object, step));
    json_array_foreach(json_object_get(step, "items"), i, item) {
        const char *text = both(x, item);
        json_array_append_new(commands, manual(text != NULL ? text : "-"));
    }
    if (json_array_size(commands) == 0)
        json_array_append_new(commands, manual(in_words(x, step, kind)));
    json_object_set_new(object, "commands", commands);
    json_object_set_new(object, "agent", json_string(mu_cacao_agent(x, role)));
    results(x, object, step);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static const char *stamp(exporter *x, const char *time)   /* exactly three digits of a second */
{
    mu_instant at = 0;

    if (time != NULL)
        (void)mu_time_parse(time, &at);
    return mu_time_format(x->arena, at);
}

/* What an imported file said of itself goes out again, where we do not say it ourselves. */
static void keep(exporter *x, json_t *file)
{
    const json_t *kept = json_object_get(x->doc, "x-cacao"), *steps = json_object_get(kept, "steps");
    json_t *all = json_object_get(kept, "playbook"), *value, *step;
    const char *name, *id;

    json_object_foreach(all, name, value) {
        json_t *ours = json_object_get(file, name);
        if (ours == NULL)
            json_object_set(file, name, value);
        else if (json_is_object(ours) && json_is_object(value))
            json_object_update_missing(ours, value);
        else if (strcmp(name, "created") == 0)
            json_object_set_new(file, name, json_string(stamp(x, json_string_value(value))));
        else if (strcmp(name, "id") == 0 || strcmp(name, "created_by") == 0 || strcmp(name, "playbook_types") == 0 || strcmp(name, "labels") == 0)
            json_object_set(file, name, value);
    }
    json_object_foreach(x->workflow, id, step) {
        const json_t *native = json_object_get(mu_cacao_extension(step), "step");
        const char *kind = mu_cacao_kind(native), *own = kind != NULL ? mu_json_str(native, kind) : NULL;
        json_t *extra = own != NULL ? json_object_get(json_object_get(steps, own), "keep") : NULL;
        json_object_foreach(extra, name, value) {
            json_t *ours = json_object_get(step, name);
            if (ours == NULL)
                json_object_set(step, name, value);
            else if (json_is_object(ours) && json_is_object(value))
                json_object_update_missing(ours, value);
        }
    }
}

json_t *mu_cacao_envelope(exporter *x, const char *start, const char *exception, json_t *document, json_t *blocks)
{
    const char *author = x->options->author != NULL ? mu_printf(x->arena, "identity--%s", x->options->author) : mu_cacao_id(x, "identity", false, "author");
    const char *title = both(x, json_object_get(x->doc, "title")), *scope = both(x, json_object_get(json_object_get(x->doc, "plan"), "scope"));
    json_t *file = json_pack("{s:s, s:s, s:s, s:s, s:[s, s], s:s, s:s, s:s, s:[s], s:[s]}", "type", "playbook", "spec_version", "cacao-2.0",
        "id", mu_cacao_id(x, "playbook", false, "playbook"), "name", title != NULL ? title : x->slug, "playbook_types", "mitigation", "notification",
        "created_by", author, "created", stamp(x, x->options->created), "modified", stamp(x, x->options->modified),
        "industry_sectors", "financial-services", "labels", "muster");

    if (scope != NULL)
        json_object_set_new(file, "description", json_string(scope));
    if (json_object_size(x->variables) > 0)
        json_object_set(file, "playbook_variables", x->variables);
    json_object_set_new(file, "workflow_start", json_string(start));
    if (exception != NULL)
        json_object_set_new(file, "workflow_exception", json_string(exception));
    json_object_set(file, "workflow", x->workflow);
    if (json_object_size(x->agents) > 0)
        json_object_set(file, "agent_definitions", x->agents);
    if (json_object_size(x->targets) > 0)
        json_object_set(file, "target_definitions", x->targets);
    json_object_set_new(file, "extension_definitions", json_pack("{s:{s:s, s:s, s:s, s:s, s:s}}", MU_CACAO_EXTENSION, "type", "extension-definition", "name", "Muster playbook",
        "created_by", "identity--3d1f6a0e-94b7-4f7e-8a55-c0a7d2f1b863", "schema", "urn:muster:playbook:1", "version", "1.0.0"));
    json_object_set_new(file, "playbook_extensions", json_pack("{s:{s:s, s:o, s:o}}", MU_CACAO_EXTENSION, "format", MU_PLAYBOOK_FORMAT, "document", document, "blocks", blocks));
    keep(x, file);
    return file;
}
