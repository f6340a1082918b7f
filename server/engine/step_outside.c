/* Steps that reach outside: http requests over registered connections, and injects of a drill. */
#include "model.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "str.h"

#define RETRIES_MOST 100
#define DAY 86400

static const char *
at(mu_reader *r, const mu_node *node, const char *member)
{
    return mu_pointer(r->arena, node->pointer, member);
}

/* `save`: our variables, and where their values come from. */
void
mu_save_read(mu_reader *r, mu_node *node)
{
    const json_t *save = json_object_get(node->json, "save");

    node->save = mu_sorted_keys(r->arena, save, &node->save_count);
    node->saved_from = mu_alloc(r->arena, (node->save_count + 1) * sizeof *node->saved_from);
    for (size_t i = 0; i < node->save_count; i++) {
        const char *pointer = mu_pointer(r->arena, at(r, node, "save"), node->save[i]);
        node->saved_from[i] = mu_json_str(save, node->save[i]);
        if (node->saved_from[i] == NULL) {
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, pointer, "field", node->save[i], NULL);
            node->saved_from[i] = "";
        }
    }
}

/* -- http -------------------------------------------------------------------------------------------------------------------- */

static bool
known_method(const char *method)
{
    static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

    for (size_t i = 0; i < MU_COUNT(methods); i++)
        if (mu_same(methods[i], method))
            return true;
    return false;
}

/* The address begins with {{conn.NAME}}; what is registered under that name is not the playbook's business. Where it does not, the
 * connection stays empty, and the check (V22, V26) says why. */
static void
read_url(mu_reader *r, mu_http *http, const char *url)
{
    const char *close = url == NULL ? NULL : strstr(url, "}}"), *from, *to;

    if (close == NULL || !mu_starts(url, "{{"))
        return;
    for (from = url + 2; *from == ' '; from++)
        ;
    for (to = close; to > from && to[-1] == ' '; to--)
        ;
    if (to - from <= 5 || !mu_starts(from, "conn."))
        return;
    http->connection = mu_strndup(r->arena, from + 5, (size_t)(to - from) - 5);
    http->url = close + 2;
}

static bool
header_name(const char *name)
{
    for (const char *c = name; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_'))
            return false;
    return *name != '\0' && strlen(name) <= 100;
}

static void
read_request(mu_reader *r, mu_node *node, mu_http *http)
{
    const json_t *request = json_object_get(node->json, "request"), *value;
    const char *pointer = at(r, node, "request"), *here;
    size_t n;
    const char **names;

    if (!json_is_object(request))
        return;
    mu_fields_check(r, "request", request, node->path, pointer);
    http->method = mu_json_str(request, "method");
    if (http->method != NULL && !known_method(http->method))
        mu_wrong_value(r, node, mu_pointer(r->arena, pointer, "method"), "method");
    read_url(r, http, mu_json_str(request, "url"));
    http->headers = json_object_get(request, "headers");
    http->body = json_object_get(request, "body");
    names = mu_sorted_keys(r->arena, http->headers, &n);
    for (size_t i = 0; i < n; i++) {
        value = json_object_get(http->headers, names[i]);
        here = mu_pointer(r->arena, mu_pointer(r->arena, pointer, "headers"), names[i]);
        if (!header_name(names[i]) && strstr(names[i], "{{") == NULL)        /* a placeholder in it: V26 says so */
            mu_wrong_value(r, node, here, names[i]);
        else if (!json_is_string(value))
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, here, "field", names[i], NULL);
    }
    mu_length_read(r, node, mu_json_str(request, "timeout"), mu_pointer(r->arena, pointer, "timeout"), &http->timeout);
}

static void
read_answer(mu_reader *r, mu_node *node, mu_http *http)
{
    const json_t *expect = json_object_get(node->json, "expect"), *one;
    const char *pointer = at(r, node, "expect");
    size_t i;

    if (!json_is_object(expect))
        return;
    mu_fields_check(r, "answer", expect, node->path, pointer);
    http->status = json_object_get(expect, "status");
    http->json = json_object_get(expect, "json");
    json_array_foreach(http->status, i, one)
        if (!json_is_integer(one))
            MU_BREAK(r, "V01", "wrong_type", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, pointer, "status"), "field", "status", NULL);
}

/* Seconds of a fixed length of a retry; a variable makes no sense there. */
static int64_t
seconds(mu_reader *r, const mu_node *node, const json_t *retry, const char *member, int64_t otherwise)
{
    const char *text = mu_json_str(retry, member);
    int64_t value = otherwise;

    if (text != NULL && (!mu_duration_parse(text, &value) || value > DAY))
        mu_wrong_value(r, node, mu_pointer(r->arena, at(r, node, "retry"), member), member);
    return value;
}

static void
read_retry(mu_reader *r, mu_node *node, mu_http *http)
{
    const json_t *retry = json_object_get(node->json, "retry"), *factor = json_object_get(retry, "factor");
    double number = json_is_number(factor) ? json_number_value(factor) : 2;

    if (!json_is_object(retry))
        return;
    mu_fields_check(r, "retry", retry, node->path, at(r, node, "retry"));
    http->retries = mu_json_int(retry, "max", 0);
    if (http->retries > RETRIES_MOST)
        mu_wrong_value(r, node, mu_pointer(r->arena, at(r, node, "retry"), "max"), "max");
    http->backoff = seconds(r, node, retry, "backoff", 5);
    http->cap = seconds(r, node, retry, "cap", 300);
    if (number < 1 || number > 100)
        mu_wrong_value(r, node, mu_pointer(r->arena, at(r, node, "retry"), "factor"), "factor");
    http->factor = number >= 1 && number <= 100 ? (int64_t)(number * 1000 + 0.5) : 2000;
}

void
mu_read_http(mu_reader *r, mu_node *node)
{
    mu_http *http = mu_alloc(r->arena, sizeof *http);
    const char *effect = mu_json_str(node->json, "effect");

    *http = (mu_http){ .method = "GET", .connection = "", .url = "" };
    read_request(r, node, http);
    read_answer(r, node, http);
    read_retry(r, node, http);
    http->once = effect != NULL ? strcmp(effect, "once") == 0 : !mu_same(http->method, "GET") && !mu_same(http->method, "HEAD");
    if (effect != NULL && !http->once && strcmp(effect, "idempotent") != 0)
        mu_wrong_value(r, node, at(r, node, "effect"), "effect");
    node->http = http;
    mu_save_read(r, node);
}

/* -- injects ----------------------------------------------------------------------------------------------------------------- */

void
mu_read_inject(mu_reader *r, mu_node *node)
{
    const json_t *expect = json_object_get(node->json, "expect");
    mu_expected *e = &node->expected;

    node->cond = mu_condition_read(r, node, "at");
    if (expect == NULL)
        return;
    e->given = true;
    e->score = 1;
    if (!json_is_object(expect))
        return;
    mu_fields_check(r, "expected", expect, node->path, at(r, node, "expect"));
    e->step = mu_json_str(expect, "step");
    e->score = mu_json_int(expect, "score", 1);
    mu_length_read(r, node, mu_json_str(expect, "within"), mu_pointer(r->arena, at(r, node, "expect"), "within"), &e->within);
}
