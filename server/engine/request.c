/* http steps: the request is put together once, with every value encoded for its place; the sender makes one attempt for each time it
 * is asked; the answer is judged here, and whether and when to ask again is decided here, with the jitter the sender has drawn. */
#include "motion.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "json.h"
#include "str.h"

#define URL_MOST     4000
#define HEADER_MOST  4000
#define BODY_MOST    (64u * 1024u)     /* it is kept in the state until the step is closed: every attempt sends the same */
#define TIMEOUT      30                /* seconds, when none is given */
#define TIMEOUT_MOST 300
#define JITTER_MOST  250               /* permille */

typedef struct { mu_motion *m; const mu_names *names; json_t *secrets; mu_buf out; bool bad; } body;

static const char *
header_value(const json_t *headers, const char *name)
{
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)headers, key, value)
        if (strcasecmp(key, name) == 0)
            return json_string_value(value);
    return NULL;
}

/* -- putting it together --------------------------------------------------------------------------------------------------- */

static void add_tree(body *b, const json_t *json, unsigned depth);

static void
add_string(body *b, const char *text)
{
    char *quoted = json_dumps(mu_json_own(b->m->arena, json_string(text)), JSON_ENCODE_ANY | JSON_COMPACT), *filled;

    filled = quoted == NULL ? NULL : mu_place_fill(b->m->arena, quoted, b->names, MU_PLACE_JSON, b->secrets);
    free(quoted);
    b->bad = b->bad || filled == NULL;
    mu_buf_adds(&b->out, filled == NULL ? "\"\"" : filled);
}

static void
add_members(body *b, const json_t *object, unsigned depth)
{
    size_t n;
    const char **names = mu_sorted_keys(b->m->arena, object, &n);

    mu_buf_addc(&b->out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            mu_buf_addc(&b->out, ',');
        mu_buf_add_json(&b->out, names[i], strlen(names[i]));
        mu_buf_addc(&b->out, ':');
        add_tree(b, json_object_get(object, names[i]), depth + 1);
    }
    mu_buf_addc(&b->out, '}');
}

static void
add_tree(body *b, const json_t *json, unsigned depth)
{
    size_t i;
    json_t *one;
    char *text;

    if (depth > MU_PLAYBOOK_DEPTH) {
        b->bad = true;
    } else if (json_is_string(json)) {
        add_string(b, json_string_value(json));
    } else if (json_is_object(json)) {
        add_members(b, json, depth);
    } else if (json_is_array(json)) {
        mu_buf_addc(&b->out, '[');
        json_array_foreach(json, i, one) {
            if (i > 0)
                mu_buf_addc(&b->out, ',');
            add_tree(b, one, depth + 1);
        }
        mu_buf_addc(&b->out, ']');
    } else {
        text = json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
        mu_buf_adds(&b->out, text == NULL ? "null" : text);
        free(text);
    }
}

/* How values stand in a body that is written as text. */
static mu_place
place_of(const char *type, const char *text)
{
    if (type != NULL && strstr(type, "json") != NULL)
        return MU_PLACE_JSON;
    if (type != NULL && strstr(type, "x-www-form-urlencoded") != NULL)
        return MU_PLACE_FORM;
    return type == NULL && (*text == '{' || *text == '[') ? MU_PLACE_JSON : MU_PLACE_TEXT;
}

/* False: a value that cannot stand there. *ret NULL: there is no body. */
static bool
build_body(mu_motion *m, const mu_http *http, const mu_names *names, json_t *secrets, const char **ret)
{
    body b = { .m = m, .names = names, .secrets = secrets, .out = MU_BUF(BODY_MOST) };

    *ret = NULL;
    if (http->body == NULL || json_is_null(http->body))
        return true;
    if (json_is_string(http->body)) {
        const char *text = json_string_value(http->body);
        *ret = mu_place_fill(m->arena, text, names, place_of(header_value(http->headers, "content-type"), text), secrets);
        return *ret != NULL && strlen(*ret) <= BODY_MOST;
    }
    add_tree(&b, http->body, 0);
    *ret = mu_strndup(m->arena, b.out.at == NULL ? "" : b.out.at, b.out.n);
    b.bad = b.bad || b.out.over;
    mu_buf_free(&b.out);
    return !b.bad;
}

static json_t *
build_headers(mu_motion *m, const mu_http *http, const mu_names *names, json_t *secrets)
{
    json_t *headers = mu_json_own(m->arena, json_object());
    size_t n;
    const char **keys = mu_sorted_keys(m->arena, http->headers, &n);

    for (size_t i = 0; i < n; i++) {
        const char *written = json_string_value(json_object_get(http->headers, keys[i]));
        char *value = written == NULL ? NULL : mu_place_fill(m->arena, written, names, MU_PLACE_HEADER, secrets);
        if (value == NULL || strlen(value) > HEADER_MOST)
            return NULL;
        json_object_set_new(headers, keys[i], json_string(value));
    }
    if ((json_is_object(http->body) || json_is_array(http->body)) && header_value(http->headers, "content-type") == NULL)
        json_object_set_new(headers, "content-type", json_string("application/json"));
    return headers;
}

/* What is asked, or NULL when a value cannot stand where the author put it. */
static json_t *
build(mu_motion *m, mu_inst *inst)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh" };
    mu_names names = mu_scope_names(&scope);
    const mu_http *http = inst->node->http;
    json_t *secrets = mu_json_own(m->arena, json_array()), *headers, *request;
    const char *url = mu_place_fill(m->arena, http->url, &names, MU_PLACE_URL, secrets), *text;
    int64_t timeout = TIMEOUT;

    headers = build_headers(m, http, &names, secrets);
    if (url == NULL || strlen(url) > URL_MOST || headers == NULL || !build_body(m, http, &names, secrets, &text))
        return NULL;
    if (!mu_length_seconds(m, &http->timeout, &timeout) || timeout < 1)
        timeout = TIMEOUT;
    request = mu_json_own(m->arena, json_pack("{s:s, s:s, s:s, s:O, s:s?, s:I, s:s}", "connection", http->connection, "method", http->method, "url", url,
        "headers", headers, "body", text, "timeout", (json_int_t)(timeout > TIMEOUT_MOST ? TIMEOUT_MOST : timeout),
        "effect", http->once ? "once" : "idempotent"));
    if (json_array_size(secrets) > 0)
        json_object_set(request, "secrets", secrets);
    return request;
}

/* -- asking ---------------------------------------------------------------------------------------------------------------- */

static void
ask(mu_motion *m, mu_inst *inst, const char *how)
{
    json_t *data = mu_effect_data(m, inst);

    json_object_update(data, json_object_get(inst->rec, "req"));
    mu_emit(m, inst, "http", mu_effect_key(m, inst, "http"), how, data, strcmp(how, "simulate") != 0);
}

/* As expected: what is to be saved is saved, and the step is done. The answer itself is not kept: it may be large. */
static void
accept(mu_motion *m, mu_inst *inst, const json_t *answer, bool simulated)
{
    json_t *result;

    if (!mu_save(m, inst, mu_answer_part, answer)) {
        mu_fail_step(m, inst, "error.run.save");
        return;
    }
    result = json_pack("{s:O?, s:I}", "status", json_object_get(answer, "status"), "tries", (json_int_t)mu_json_int(inst->rec, "tries", 0));
    if (simulated)
        json_object_set_new(result, "simulated", json_true());
    mu_close(m, inst, "done", NULL, result, true);
}

static void
judged(mu_motion *m, const mu_inst *inst, const char *wrong)
{
    mu_log_event(m, "effect_judged", inst, json_pack("{s:b, s:s?}", "met", wrong == NULL, "error", wrong));
}

/* In a drill nothing is asked: the pretended answer is judged as a true one would be. Without one there is nothing to judge. */
static void
pretend(mu_motion *m, mu_inst *inst)
{
    const json_t *answer = inst->node->simulated;
    const char *wrong;

    ask(m, inst, "simulate");
    if (!json_is_object(answer)) {
        mu_simulated(m, inst);
        return;
    }
    wrong = mu_answer_wrong(m, inst->node, answer);
    judged(m, inst, wrong);
    if (wrong != NULL)
        mu_fail_step(m, inst, wrong);
    else
        accept(m, inst, answer, true);
}

void
mu_request_start(mu_motion *m, mu_inst *inst)
{
    const char *how = mu_delivery(m, inst->node, false);

    mu_set_status(m, inst, "waiting");
    json_object_del(inst->rec, "tries");
    if (json_object_get(inst->rec, "req") == NULL) {
        json_t *request = build(m, inst);
        if (request == NULL) {
            mu_fail_step(m, inst, "error.run.template");
            return;
        }
        json_object_set(inst->rec, "req", request);
    }
    if (strcmp(how, "simulate") == 0) {
        pretend(m, inst);
        return;
    }
    json_object_set_new(inst->rec, "tries", json_integer(1));
    ask(m, inst, how);
}

void
mu_request_again(mu_motion *m, mu_inst *inst)
{
    json_object_set_new(inst->rec, "tries", json_integer(mu_json_int(inst->rec, "tries", 0) + 1));
    mu_dirty(m, inst);
    ask(m, inst, mu_delivery(m, inst->node, false));
}

/* -- answered -------------------------------------------------------------------------------------------------------------- */

/* backoff × factor^n, at most cap, and the jitter on top; microseconds. */
static mu_instant
pause_before(const mu_http *http, int64_t n, int64_t jitter)
{
    int64_t milli = http->backoff * 1000, most = http->cap * 1000;

    for (int64_t i = 0; i < n && milli < most; i++)
        milli = milli * http->factor / 1000;      /* at most a day times 100: no overflow */
    milli = milli < most ? milli : most;
    return (milli + milli * jitter / 1000) * (MU_SECOND / 1000);
}

static void
not_good(mu_motion *m, mu_inst *inst, const char *error)
{
    const mu_http *http = inst->node->http;
    int64_t tries = mu_json_int(inst->rec, "tries", 1), jitter = mu_json_int(m->data, "jitter", 0);
    mu_instant due;

    if (mu_json_bool(inst->rec, "asks", false))   /* its deadline was faster: the commander has been asked already */
        return;
    jitter = jitter < 0 ? 0 : jitter > JITTER_MOST ? JITTER_MOST : jitter;
    if (http->once || tries > http->retries || __builtin_add_overflow(m->now, pause_before(http, tries - 1, jitter), &due)) {
        mu_fail_step(m, inst, error);
        return;
    }
    mu_log_event(m, "retry_planned", inst, json_pack("{s:I, s:s, s:s}", "n", (json_int_t)tries, "error", error, "due", mu_time_format(m->arena, due)));
    mu_arm(m, inst, "retry", tries, due);
}

void
mu_request_settled(mu_motion *m, mu_inst *inst, bool good)
{
    const json_t *answer = json_object_get(m->data, "result");
    const char *wrong;

    if (!good && mu_json_bool(m->data, "unknown", false) && inst->node->http->once) {
        mu_ask(m, inst, "error.run.effect_unknown");
        mu_set_status(m, inst, "unknown");
    } else if (!good) {
        not_good(m, inst, "error.run.effect");
    } else {
        wrong = mu_answer_wrong(m, inst->node, answer);
        judged(m, inst, wrong);
        if (json_is_integer(json_object_get(answer, "status")))
            json_object_set(inst->rec, "code", json_object_get(answer, "status"));
        if (wrong != NULL)
            not_good(m, inst, wrong);
        else
            accept(m, inst, answer, false);
    }
}
