/* Playbooks made of choices: every kind of step, nested, with guards, deadlines, handlers and drill rules. The same maker serves the
 * property test, which draws its choices from a seed, and the fuzz target, which takes them from its input. */
#ifndef RANDOM_PLAYBOOK_H
#define RANDOM_PLAYBOOK_H

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "base.h"

#define MAKER_STEPS 40
#define MAKER_DEPTH 4

/* pick(closure, n) gives a number below n. */
typedef struct { size_t (*pick)(void *closure, size_t n); void *closure; json_t *blocks; unsigned made, depth, items; } maker;

static inline size_t maker_pick(maker *m, size_t n) { return m->pick(m->closure, n); }
static inline bool maker_often(maker *m, unsigned percent) { return maker_pick(m, 100) < percent; }
#define MAKER_ONE(m, list) ((list)[maker_pick((m), sizeof(list) / sizeof *(list))])

static inline json_t *maker_block(maker *m);

static inline const char *maker_truth(maker *m)
{
    static const char *const all[] = { "ok", "not ok", "n > 2", "n < 5 and not ok", "level == 'I'", "level in ['II', 'III']", "exists(unset) and unset > 1", "unset > 1",
        "word == 'x'", "run.mode != 'real'", "now > run.started_at + 5m", "'a' in list" };
    return m->items > 0 && maker_often(m, 20) ? "piece in ['a', 'p']" : MAKER_ONE(m, all);
}

static inline const char *maker_role(maker *m)
{
    static const char *const all[] = { "a", "b", "c", "commander" };
    return MAKER_ONE(m, all);
}

static inline json_t *maker_text(maker *m)
{
    static const char *const all[] = { "x", "{{word}} of {{run.id}}", "{{level}} {{n}}", "**{{word}}** until {{step.due}}" };
    const char *text = m->items > 0 && maker_often(m, 50) ? "{{piece}}" : MAKER_ONE(m, all);
    return json_pack("{s:s, s:s}", "zh", text, "en", text);
}

static inline void maker_deadline(maker *m, json_t *step)
{
    static const char *const lengths[] = { "5m", "20m", "gap", "1h" }, *const thens[] = { "proceed", "fail", "skip" };
    json_t *deadline = json_pack("{s:s}", "after", MAKER_ONE(m, lengths));

    if (maker_often(m, 40))
        json_object_set_new(deadline, "warn", json_string("2m"));
    if (maker_often(m, 50))
        json_object_set_new(deadline, "escalate", maker_often(m, 50) ? json_pack("[s]", "c") : json_pack("[s, s]", "c", "commander"));
    if (maker_often(m, 40))
        json_object_set_new(deadline, "then", maker_often(m, 75) || m->depth >= MAKER_DEPTH ? json_string(MAKER_ONE(m, thens)) : maker_block(m));
    if (maker_often(m, 10))
        json_object_set_new(deadline, "from", json_string("begun"));
    json_object_set_new(step, "deadline", deadline);
}

static inline void maker_common(maker *m, json_t *step)
{
    static const char *const errors[] = { "continue", "continue", "ask", "fail" };

    if (maker_often(m, 30))
        json_object_set_new(step, "title", maker_text(m));
    if (maker_often(m, 20))
        json_object_set_new(step, "when", json_string(maker_truth(m)));
    if (maker_often(m, 25))
        maker_deadline(m, step);
    if (maker_often(m, 30))
        json_object_set_new(step, "on_error", maker_often(m, 80) || m->depth >= MAKER_DEPTH ? json_string(MAKER_ONE(m, errors)) : maker_block(m));
    if (maker_often(m, 10))
        json_object_set_new(step, "critical", json_true());
}

/* -- kinds --------------------------------------------------------------------------------------------------------------------- */

static inline void maker_task(maker *m, json_t *s, const char *id)
{
    json_object_set_new(s, "task", json_string(id));
    json_object_set_new(s, "role", json_string(maker_role(m)));
    if (maker_often(m, 40))
        json_object_set_new(s, "form", json_pack("[{s:s, s:s}, {s:s, s:s}]", "id", "f1", "var", maker_often(m, 50) ? "ok" : "n", "id", "f2", "var", "word"));
    if (maker_often(m, 15))
        json_object_set_new(s, "evidence", json_pack("{s:i, s:[s]}", "min", 1, "types", "link"));
    if (maker_often(m, 10))
        json_object_set_new(s, "drill", json_string(maker_often(m, 50) ? "simulate" : "skip"));
}

static inline void maker_person(maker *m, json_t *s, const char *id, size_t kind)
{
    if (kind == 1) {
        json_object_set_new(s, "checklist", json_string(id));
        json_object_set_new(s, "items", json_pack("[{s:s, s:s, s:s, s:b}, {s:s, s:s, s:s}]", "id", "i1", "zh", "做 {{word}}", "en", "Do {{word}}", "critical", 1, "id", "i2", "zh", "做", "en", "Do"));
    } else if (kind == 2) {
        json_object_set_new(s, "decide", json_string(id));
        json_object_set_new(s, "into", json_string(maker_often(m, 50) ? "level" : "ok"));
        if (maker_often(m, 30) && strcmp(json_string_value(json_object_get(s, "into")), "level") == 0)
            json_object_set_new(s, "default_after", json_pack("{s:s, s:s}", "after", "30m", "value", "IV"));
    } else if (kind == 3) {
        json_object_set_new(s, "approve", json_string(id));
        json_object_set_new(s, "by", json_pack("{s:s, s:i}", "role", maker_role(m), "count", (int)maker_pick(m, 2) + 1));
        if (maker_often(m, 50))
            json_object_set_new(s, "on_reject", maker_often(m, 50) ? json_pack("{s:s}", "end", "refused") : m->depth < MAKER_DEPTH ? maker_block(m) : json_string("ask"));
        return;
    } else {
        json_object_set_new(s, "report", json_string(id));
        json_object_set_new(s, "profile", json_string("nfra-it-incident"));
        json_object_set_new(s, "fields", json_pack("{s:s, s:i}", "what", "{{word}}", "count", 3));
        if (maker_often(m, 50))
            json_object_set_new(s, "sign", json_pack("{s:s, s:i}", "role", maker_role(m), "count", 1));
    }
    json_object_set_new(s, "role", json_string(maker_role(m)));
}

static inline void maker_http(maker *m, json_t *s, const char *id)
{
    static const char *const drills[] = { "skip", "mark" };
    json_t *request = json_pack("{s:s, s:s, s:s}", "method", maker_often(m, 60) ? "GET" : "POST", "url", "{{conn.c}}/{{word}}?n={{n}}", "timeout", "10s");

    json_object_set_new(s, "http", json_string(id));
    json_object_set_new(s, "request", request);
    if (maker_often(m, 50))
        json_object_set_new(request, "headers", json_pack("{s:s, s:s}", "authorization", "Bearer {{token}}", "x-word", "{{level}}"));
    if (maker_often(m, 40))
        json_object_set_new(request, "body", json_pack("{s:s, s:[s, i]}", "text", "say {{word}}", "list", "{{n}}", 1));
    if (maker_often(m, 40))
        json_object_set_new(s, "expect", json_pack("{s:[i, i], s:{s:b}}", "status", 200, 201, "json", "ok", 1));
    if (maker_often(m, 50))
        json_object_set_new(s, "retry", json_pack("{s:i, s:s, s:f, s:s}", "max", (int)maker_pick(m, 3), "backoff", "5s", "factor", 1.5, "cap", "1m"));
    if (maker_often(m, 40))
        json_object_set_new(s, "save", json_pack("{s:s, s:s}", "ok", "response.body.ok", "n", "response.status"));
    if (maker_often(m, 30))
        json_object_set_new(s, "effect", json_string(maker_often(m, 50) ? "once" : "idempotent"));
    json_object_set_new(s, "drill", maker_often(m, 70) ? json_pack("{s:{s:i, s:{s:b}}}", "simulate", "status", maker_often(m, 80) ? 200 : 500, "body", "ok", 1) : json_string(MAKER_ONE(m, drills)));
}

static inline void maker_outside(maker *m, json_t *s, const char *id, size_t kind)
{
    static const char *const states[] = { "operational", "major_outage", "{{word}}" }, *const drills[] = { "simulate", "skip", "mark" };

    if (kind == 5) {
        json_object_set_new(s, "notify", json_string(id));
        json_object_set_new(s, "to", json_pack("[s, s]", "role.a", maker_often(m, 30) ? "contact.press" : "group.branches"));
        json_object_set_new(s, "via", json_pack("[s]", "email"));
        json_object_set_new(s, "text", maker_text(m));
        if (maker_often(m, 40))
            json_object_set_new(s, "ack", json_pack("{s:i, s:s}", "required", 1, "within", "10m"));
        if (maker_often(m, 40))
            json_object_set_new(s, "drill", json_string(MAKER_ONE(m, drills)));
    } else if (kind == 6) {
        json_object_set_new(s, "status", json_string(id));
        json_object_set_new(s, "component", json_string("c1"));
        json_object_set_new(s, "state", json_string(MAKER_ONE(m, states)));
        json_object_set_new(s, "text", maker_often(m, 70) ? maker_text(m) : json_pack("{s:o, s:o}", "operational", maker_text(m), "major_outage", maker_text(m)));
    } else if (kind == 7) {
        maker_http(m, s, id);
    } else {
        json_object_set_new(s, "call", json_string(id));
        json_object_set_new(s, "playbook", json_string(maker_often(m, 50) ? "other" : "other@3"));
        json_object_set_new(s, "with", json_pack("{s:s, s:s}", "p", "n + 1", "q", maker_often(m, 90) ? "word" : "unset"));
        if (maker_often(m, 50))
            json_object_set_new(s, "save", json_pack("{s:s}", "n", "k"));
        if (maker_often(m, 30))
            json_object_set_new(s, "join", json_false());
        if (maker_often(m, 20))
            json_object_set_new(s, "drill", json_pack("{s:{s:{s:i}}}", "simulate", "vars", "k", 5));
    }
}

static inline void maker_instant(maker *m, json_t *s, const char *id, size_t kind)
{
    static const char *const sums[] = { "n + 1", "n * 2", "unset + 1", "n - 3" };

    if (kind == 9) {
        json_object_set_new(s, "wait", json_string(id));
        if (maker_often(m, 50))
            json_object_set_new(s, "for", json_string("gap"));
        else if (maker_often(m, 50))
            json_object_set_new(s, "until", json_string("run.started_at + 30m"));
        else
            json_object_set_new(s, "event", json_string("go"));
        if (maker_often(m, 30))
            json_object_set_new(s, "drill", json_string("simulate"));
    } else if (kind == 10) {
        json_object_set_new(s, "set", json_string(id));
        json_object_set_new(s, "values", json_pack("{s:s, s:s}", "n", MAKER_ONE(m, sums), "ok", maker_truth(m)));
    } else if (kind == 11) {
        json_object_set_new(s, "milestone", json_string(id));
        json_object_set_new(s, "clock", json_pack("{s:s}", maker_often(m, 50) ? "start" : "stop", "rto"));
    } else if (kind == 12) {
        json_object_set_new(s, "inject", json_string(id));
        json_object_set_new(s, "when", json_string("run.mode != 'real'"));
        json_object_set_new(s, "to", json_pack("[s]", "role.b"));
        json_object_set_new(s, "zh", json_string("{{word}}"));
        json_object_set_new(s, "en", json_string("{{word}}"));
        if (maker_often(m, 40))
            json_object_set_new(s, "at", json_string("run.started_at + 20m"));
        if (maker_often(m, 50))
            json_object_set_new(s, "expect", json_pack("{s:s, s:s, s:i}", "step", "first", "within", "15m", "score", 3));
    } else {
        json_object_set_new(s, "end", json_string(id));
        json_object_set_new(s, "outcome", json_string(maker_often(m, 50) ? "failed" : "stopped"));
        json_object_set_new(s, "when", json_string("n > 6"));
    }
}

static inline void maker_nested(maker *m, json_t *s, const char *id, size_t kind)
{
    json_t *inner = json_object();
    char name[24];

    if (kind == 14) {
        json_object_set_new(s, "if", json_string(id));
        json_object_set_new(s, "cond", json_string(maker_truth(m)));
        json_object_set_new(s, "then", maker_block(m));
        if (maker_often(m, 50))
            json_object_set_new(s, "else", maker_block(m));
    } else if (kind == 15) {
        json_object_set_new(s, "switch", json_string(id));
        json_object_set_new(s, "on", json_string(maker_often(m, 70) ? "level" : "word"));
        json_object_set_new(inner, "I", maker_block(m));
        if (maker_often(m, 60))
            json_object_set_new(inner, "III", maker_block(m));
        json_object_set(s, "cases", inner);
        if (maker_often(m, 60) || strcmp(json_string_value(json_object_get(s, "on")), "level") == 0)
            json_object_set_new(s, "default", maker_block(m));
    } else if (kind == 16) {
        static const char *const maxes[] = { "fail", "continue", "continue", "ask" };
        json_object_set_new(s, "while", json_string(id));
        json_object_set_new(s, "cond", json_string(maker_truth(m)));
        json_object_set_new(s, "max", json_integer((json_int_t)maker_pick(m, 4) + 1));
        json_object_set_new(s, "on_max", json_string(MAKER_ONE(m, maxes)));
        if (maker_often(m, 40))
            json_object_set_new(s, "every", json_string("gap"));
        json_object_set_new(s, "steps", maker_block(m));
    } else if (kind == 17) {
        json_object_set_new(s, "for_each", json_string(id));
        json_object_set_new(s, "in", maker_often(m, 50) ? json_string("list") : json_pack("[s, s]", "p", "q"));
        json_object_set_new(s, "as", json_string("piece"));
        json_object_set_new(s, "max", json_integer(3));
        json_object_set_new(s, "at_once", json_integer((json_int_t)maker_pick(m, 3) + 1));
        m->items++;
        json_object_set_new(s, "steps", maker_block(m));
        m->items--;
    } else if (kind == 18) {
        json_object_set_new(s, "parallel", json_string(id));
        json_object_set_new(inner, "left", maker_block(m));
        json_object_set_new(inner, "right", maker_block(m));
        if (maker_often(m, 40))
            json_object_set_new(inner, "third", maker_block(m));
        json_object_set(s, "branches", inner);
        json_object_set_new(s, "join", maker_often(m, 50) ? json_string("all") : maker_often(m, 50) ? json_string("any") : json_integer(2));
    } else {
        snprintf(name, sizeof name, "b%u", m->made);
        json_object_set_new(s, "call", json_string(id));
        json_object_set_new(s, "block", json_string(name));
        json_object_set_new(m->blocks, name, maker_block(m));
    }
    json_decref(inner);
}

static inline json_t *maker_step(maker *m)
{
    json_t *s = json_object();
    char id[24];
    size_t kind = maker_pick(m, m->depth < MAKER_DEPTH && m->made < MAKER_STEPS ? 22 : 14);

    snprintf(id, sizeof id, kind == 11 ? "m%u" : "s%u", ++m->made);
    if (kind == 0)
        maker_task(m, s, id);
    else if (kind <= 4)
        maker_person(m, s, id, kind);
    else if (kind <= 8)
        maker_outside(m, s, id, kind);
    else if (kind <= 13)
        maker_instant(m, s, id, kind);
    else if (kind <= 19)
        maker_nested(m, s, id, kind);
    else
        maker_task(m, s, id);
    if (kind != 12 && kind != 13)
        maker_common(m, s);
    return s;
}

static inline json_t *maker_block(maker *m)
{
    json_t *list = json_array();
    size_t n = maker_pick(m, 3) + 1;

    m->depth++;
    for (size_t i = 0; i < n && (i == 0 || m->made < MAKER_STEPS); i++)
        json_array_append_new(list, maker_step(m));
    m->depth--;
    return list;
}

/* A document; the caller owns it. */
static inline json_t *maker_playbook(maker *m)
{
    json_t *steps = json_pack("[{s:s}, {s:s, s:s}]", "milestone", "begun", "task", "first", "role", "a"), *doc, *more;

    m->blocks = json_object();
    m->made = m->depth = m->items = 0;
    for (size_t i = 0; i < 2 || (i < 5 && m->made < MAKER_STEPS); i++) {
        more = maker_block(m);
        json_array_extend(steps, more);
        json_decref(more);
    }
    doc = json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:{s:s, s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}, s:{s:s, s:s}}, s:o}", "format", "muster/1", "id", "made", "title", "zh", "随机", "en", "Random",
        "roles", "a", "zh", "甲", "en", "A", "deputy", "b", "b", "zh", "乙", "en", "B", "c", "zh", "丙", "en", "C", "commander", "zh", "长", "en", "Commander", "controller", "zh", "导", "en", "Controller", "steps", steps);
    json_object_set_new(doc, "vars", json_pack("{s:{s:s, s:[s,s,s,s], s:s}, s:{s:s, s:i}, s:{s:s, s:b}, s:{s:s, s:s}, s:{s:s, s:s, s:[s,s]}, s:{s:s, s:s}, s:{s:s}, s:{s:s}}",
        "level", "type", "enum", "values", "I", "II", "III", "IV", "default", "III", "n", "type", "int", "default", 1, "ok", "type", "bool", "default", 0, "word", "type", "string", "default", "x",
        "list", "type", "list", "of", "string", "default", "a", "b", "gap", "type", "duration", "default", "10m", "unset", "type", "int", "token", "type", "secret"));
    if (json_object_size(m->blocks) > 0)
        json_object_set(doc, "blocks", m->blocks);
    json_decref(m->blocks);
    if (maker_often(m, 30)) {
        m->blocks = json_object();                /* at that depth nothing calls a block */
        m->depth = MAKER_DEPTH - 1;
        json_object_set_new(doc, "on_error", maker_block(m));
        json_decref(m->blocks);
    }
    if (maker_often(m, 60))
        json_object_set_new(doc, "injects", json_pack("[{s:s, s:s, s:[s], s:s, s:s, s:{s:s, s:s}}, {s:s, s:[s], s:s, s:s, s:s}]", "inject", "call_in", "at", maker_often(m, 50) ? "begun + 5m" : "run.started_at + 1m * n", "to", "role.c", "zh", "来电 {{word}}", "en", "A call {{word}}",
            "expect", "step", "first", "within", "30m", "inject", "by_hand", "to", "role.a", "zh", "手动", "en", "By hand", "expect", "Say what happened"));
    return doc;
}

#endif
