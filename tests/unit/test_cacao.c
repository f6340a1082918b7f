/* Import and export: there and back without loss, and what becomes of other people's files. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cacao.h"
#include "json.h"
#include "mu_yaml.h"
#include "playbook.h"
#include "test_help.h"

static const mu_export_options exported = { .version = 3, .created = "2026-11-01T08:00:00Z", .modified = "2026-11-25T00:00:00.5Z", .audience = MU_AUDIENCE_ORGANISATION };

static char *file_text(mu_arena *arena, const char *name, size_t *ret_n)
{
    FILE *stream = fopen(name, "rb");
    char *text = mu_alloc(arena, MU_CACAO_BYTES + 1);
    if (stream == NULL)
        print_message("%s\n", name);
    assert_non_null(stream);
    *ret_n = fread(text, 1, MU_CACAO_BYTES, stream);
    fclose(stream);
    return text;
}

static json_t *yaml(mu_arena *arena, const char *text)
{
    mu_problem problem = { .arena = arena };
    json_t *doc = NULL;
    if (mu_yaml_parse(arena, text, strlen(text), &problem, &doc, NULL) != MU_OK)
        print_message("%s\n%s\n", problem.detail, text);
    assert_non_null(doc);
    return doc;
}

static void show(const json_t *findings)
{
    const json_t *one;
    size_t i;
    json_array_foreach(findings, i, one)
        print_message("  %s %s %s %s\n", mu_json_str(one, "id"), mu_json_str(one, "level"), mu_json_str(one, "pointer"), mu_json_str(one, "message"));
}

/* The required members of the standard (section 9 of the description), looked at by the test itself. */
static void required(const json_t *object, const char *what, const char *const *members)
{
    for (; *members != NULL; members++) {
        if (json_object_get(object, *members) == NULL)
            print_message("%s has no %s\n", what, *members);
        assert_non_null(json_object_get(object, *members));
    }
}

static void obeys(const json_t *file)
{
    static const char *const playbook[] = { "type", "spec_version", "id", "name", "created_by", "created", "modified", "workflow_start", "workflow", NULL },
        *const act[] = { "commands", "agent", NULL }, *const call[] = { "playbook_id", NULL }, *const fork[] = { "next_steps", NULL }, *const test[] = { "condition", "on_true", NULL },
        *const choice[] = { "switch", "cases", NULL }, *const extension[] = { "type", "name", "created_by", "schema", "version", NULL }, *const thing[] = { "type", "name", NULL };
    json_t *step, *one;
    const char *id;
    required(file, "playbook", playbook);
    assert_int_equal(strlen(mu_json_str(file, "created")), 24);
    assert_int_equal(strlen(mu_json_str(file, "modified")), 24);
    json_object_foreach(json_object_get(file, "workflow"), id, step) {
        const char *type = mu_json_str(step, "type");
        assert_true(strncmp(id, type, strlen(type)) == 0 && strncmp(id + strlen(type), "--", 2) == 0 && strlen(id) == strlen(type) + 38);
        assert_int_equal(id[strlen(type) + 16], '4');
        const bool end = strcmp(type, "end") == 0, success = json_object_get(step, "on_success") != NULL || json_object_get(step, "on_failure") != NULL;
        assert_false(end && (success || json_object_get(step, "on_completion") != NULL));
        assert_false(success && json_object_get(step, "on_completion") != NULL);
        if (strcmp(type, "action") == 0)
            required(step, id, act);
        else if (strcmp(type, "playbook-action") == 0)
            required(step, id, call);
        else if (strcmp(type, "parallel") == 0)
            required(step, id, fork);
        else if (strcmp(type, "if-condition") == 0 || strcmp(type, "while-condition") == 0)
            required(step, id, test);
        else if (strcmp(type, "switch-condition") == 0)
            required(step, id, choice);
    }
    json_object_foreach(json_object_get(file, "playbook_variables"), id, one) {
        const json_t *value = json_object_get(one, "value");
        assert_non_null(mu_json_str(one, "type"));
        assert_true(value == NULL || json_is_string(value) || json_is_null(value));
    }
    json_object_foreach(json_object_get(file, "agent_definitions"), id, one)
        required(one, id, thing);
    json_object_foreach(json_object_get(file, "target_definitions"), id, one)
        required(one, id, thing);
    json_object_foreach(json_object_get(file, "extension_definitions"), id, one)
        required(one, id, extension);
}

/* Out and in again: the equal document; the file is one our own checker has nothing to say about. Returns its text. */
static char *there_and_back(mu_arena *arena, const json_t *doc, mu_cacao_verdict most)
{
    mu_problem problem = { .arena = arena };
    mu_import in;
    json_t *file = NULL, *again, *findings;
    const mu_err err = mu_cacao_export(arena, doc, &exported, &problem, &file);
    if (err != MU_OK)
        print_message("%s\n%s\n", problem.first->key, mu_playbook_yaml(arena, doc));
    assert_int_equal(err, MU_OK);
    obeys(file);
    assert_int_equal(mu_cacao_export(arena, doc, &exported, &problem, &again), MU_OK);
    char *text = mu_cacao_text(arena, file);
    assert_string_equal(text, mu_cacao_text(arena, again));   /* reproducible */
    const mu_cacao_verdict verdict = mu_cacao_check(arena, text, strlen(text), &findings, NULL);
    if (verdict > most) {
        print_message("%s\n", mu_playbook_yaml(arena, doc));
        show(findings);
    }
    assert_true(verdict <= most);
    assert_int_equal(mu_playbook_import(arena, text, strlen(text), &(mu_import_options){ .strict = most == MU_CACAO_OK }, &in), MU_OK);
    if (!json_equal(in.document, doc))
        fprintf(stderr, "%s\n-----\n%s\n-----%s\n", mu_playbook_yaml(arena, doc), mu_playbook_yaml(arena, in.document), text);
    assert_true(json_equal(in.document, doc));
    assert_string_equal(in.source_format, "cacao-2.0");
    return text;
}

static void shipped_playbooks_come_back_equal(void **state)
{
    glob_t found;
    assert_int_equal(glob(SOURCE_DIR "/playbooks/*/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        mu_arena *arena = mu_arena_new((size_t)512 * 1024 * 1024);
        size_t n;
        const char *text = file_text(arena, found.gl_pathv[i], &n);
        (void)there_and_back(arena, yaml(arena, text), MU_CACAO_OK);
        mu_arena_free(arena);
    }
    print_message("%zu playbooks\n", found.gl_pathc);
    globfree(&found);
    (void)state;
}

static const char every_kind[] =
    "format: muster/1\nid: every-kind\ntitle: {zh: 各种步骤, en: Every kind}\nplan: {rto: 2h}\n"
    "roles:\n  a: {zh: 甲, en: A, min: 1, deputy: b}\n  b: {zh: 乙, en: B}\n"
    "vars:\n  n: {type: int, default: 1}\n  ok: {type: bool, default: false}\n  level: {type: enum, values: [I, II, default], default: I}\n  who: {type: list, of: string, default: [x, y]}\n"
    "  due: {type: duration, default: 5m}\n  key: {type: secret}\n  branch: {type: string, default: z}\nparams:\n  app: {type: string}\n"
    "blocks:\n  tail:\n    - {task: tail_task, role: a}\n    - {call: deeper, block: deep}\n  deep:\n    - {task: deep_task, role: a, title: {zh: 深, en: 'Deep {{app}} {{run.id}}'}}\n  unused:\n    - {task: never, role: a}\n"
    "steps:\n"
    "  - {milestone: found, clock: {start: rto}}\n"
    "  - {wait: w0, for: 90s}\n"
    "  - task: t\n    role: a\n    title: {zh: 做, en: Do}\n    text: {zh: 文, en: Words}\n    when: level != 'I' and not ok\n    deadline: {after: 5m, then: fail}\n    on_error: [{task: rescue, role: b}, {wait: w9, for: 1m}]\n    evidence: {min: 1}\n"
    "    form: [{id: f, zh: 数, en: Number, type: int, var: n}]\n"
    "  - checklist: c\n    role: a\n    items: [{id: i1, zh: 一, en: One, critical: true}, {id: i2, zh: 二, en: Two}]\n    on_error: continue\n"
    "  - {decide: d, role: a, into: [level], options: [{value: I}, {value: II}], default_after: {after: 5m, value: I}}\n"
    "  - {wait: w1, for: 1m}\n  - {wait: w2, for: 2m, note: again}\n"
    "  - {approve: p, by: {role: a, count: 1, not: [b]}, on_reject: [{task: rejected, role: b}], deadline: {after: 10m, then: [{task: late, role: b}]}}\n"
    "  - {approve: p2, by: {role: a}, on_reject: {end: stopped}}\n"
    "  - {approve: p3, by: {role: a}, on_reject: {block: tail}, when: n > 3}\n"
    "  - {notify: m, to: [role.a], via: [email, webhook.x], text: {zh: '{{app}} 中断', en: '{{app}} is down'}, ack: {required: 1, within: 5m}}\n"
    "  - http: h\n    request: {method: POST, url: '{{conn.my_api}}/a/{{app}}?x=1', headers: {X-Key: '{{key}}', Accept: text/plain}, body: {a: '{{n}}'}, timeout: 10s}\n    expect: {status: 200}\n    retry: {max: 3, backoff: 5s}\n"
    "    save: {ok: response.body.ok}\n    effect: idempotent\n    drill: {simulate: {status: 200, body: {ok: true}}}\n    on_error: {block: tail}\n"
    "  - {status: s, component: web, state: operational}\n  - {report: r, profile: x, role: a, deadline: {after: due, from: found}}\n  - {set: v, values: {n: n + 1, branch: '''b'''}}\n"
    "  - if: q\n    cond: exists(n) and n > 2\n    then: [{task: t1, role: a, when: due > 5m}, {wait: w3, until: now}]\n    else: {block: tail}\n"
    "  - if: q2\n    cond: ok or n <= 3\n    then: [{wait: w4, for: 1m}]\n"
    "  - switch: sw\n    on: level\n    cases: {I: [{task: t2, role: a}], II: {block: deep}, default: [{task: t3, role: a}]}\n    default: [{task: t4, role: a}]\n"
    "  - switch: sw2\n    on: n + 1\n    cases: {'2': [{task: t5, role: a}], a/b~c: [{task: t6, role: a}]}\n"
    "  - while: l\n    cond: not ok\n    max: 3\n    every: 1m\n    steps: [{task: t7, role: a, on_error: [{task: t8, role: a}]}, {wait: w5, for: 5m}]\n"
    "  - while: l2\n    cond: exists(n)\n    max: 2\n    steps: [{wait: w6, for: 5m}]\n"
    "  - for_each: e\n    in: who\n    as: one\n    max: 5\n    steps: [{task: t9, role: a}]\n"
    "  - parallel: par\n    join: any\n    branches:\n      x: [{task: t10, role: a}]\n      y: {block: tail}\n      z: {block: tail}\n    on_error: [{if: q3, cond: ok, then: [{task: t11, role: a}]}]\n"
    "  - {call: other, playbook: dc-failover@3, with: {system: app}, save: {ok: done}, join: true}\n"
    "  - {call: again, block: tail}\n"
    "  - {inject: call_in, when: run.mode != 'real', to: [role.a], zh: 来电, en: A call, expect: {step: t, within: 5m}}\n"
    "  - {wait: w7, event: door}\n  - {wait: w8, for: 3m}\n"
    "  - {end: done, outcome: good}\n"
    "on_error:\n  - {task: last_resort, role: a}\n  - {wait: w10, for: 1m}\n"
    "injects:\n  - {inject: press, at: found + 25m, to: [role.b], zh: 记者, en: Press}\n"
    "x-cacao: {anything: [1, {a: b}]}\n";

static void every_kind_comes_back_equal(void **state)
{
    const json_t *doc = yaml(*state, every_kind);
    const char *text = there_and_back(*state, doc, MU_CACAO_OK);
    assert_null(strstr(text, "my_api.invalid"));
    assert_non_null(strstr(text, "my-api.invalid"));   /* never a real address */
    assert_non_null(strstr(text, "POST /a/__app__:value?x=1 HTTP/1.1"));
    assert_non_null(strstr(text, "__level__:value != 'I' AND NOT __ok__:value = 'true'"));
    assert_non_null(strstr(text, "Deep __app__:value {{run.id}}"));
    assert_non_null(strstr(text, "\"delay\": 180000"));
}

/* ---- random playbooks -------------------------------------------------------------------------------------------------- */

static unsigned made;

static json_t *random_list(uint64_t *seed, unsigned depth, bool may_be_empty);

static json_t *random_value(uint64_t *seed, unsigned depth)   /* a list, or a block */
{
    return next_random(seed) % 6 == 0 ? json_pack("{s:s}", "block", next_random(seed) % 2 == 0 ? "b1" : "b2") : random_list(seed, depth, false);
}

static void random_extras(uint64_t *seed, json_t *step, unsigned depth)
{
    static const char *const guards[] = { "ok", "not ok", "n > 3 and ok", "n + 1 > 3", "level == 'I' or level != 'II'", "exists(n)", "(ok)", "now > now" };
    static const char *const failures[] = { "fail", "continue", "ask" };
    const uint64_t what = next_random(seed) % 8;
    if (what == 0)
        json_object_set_new(step, "when", json_string(guards[next_random(seed) % MU_COUNT(guards)]));
    if (next_random(seed) % 5 == 0)
        json_object_set_new(step, "on_error", depth < 4 && next_random(seed) % 2 == 0 ? random_value(seed, depth + 1) : json_string(failures[next_random(seed) % 3]));
    if (next_random(seed) % 5 == 0) {
        json_t *deadline = json_pack("{s:s}", "after", next_random(seed) % 2 == 0 ? "5m" : "due");
        if (next_random(seed) % 2 == 0)
            json_object_set_new(deadline, "then", depth < 4 && next_random(seed) % 2 == 0 ? random_value(seed, depth + 1) : json_string("fail"));
        json_object_set_new(step, "deadline", deadline);
    }
    if (next_random(seed) % 3 == 0)
        json_object_set_new(step, "title", json_pack("{s:s, s:s}", "zh", "标题 {{n}}", "en", "Title {{level}}"));
    if (next_random(seed) % 6 == 0)
        json_object_set_new(step, "critical", json_true());
}

static json_t *random_step(uint64_t *seed, unsigned depth)
{
    static const char *const kinds[] = { "task", "checklist", "decide", "approve", "notify", "http", "status", "report", "wait", "wait", "set", "inject", "milestone", "end", "call",
        "if", "switch", "while", "for_each", "parallel" };
    const char *kind = kinds[next_random(seed) % (depth > 4 ? 15 : MU_COUNT(kinds))];
    char id[32];
    snprintf(id, sizeof id, "s%u", ++made);
    json_t *step = json_pack("{s:s}", kind, id), *map;
    if (strcmp(kind, "checklist") == 0)
        json_object_set_new(step, "items", json_pack("[{s:s, s:s}]", "id", "i", "en", "Do"));
    else if (strcmp(kind, "approve") == 0)
        json_object_set_new(step, "on_reject", next_random(seed) % 2 == 0 ? json_pack("{s:s}", "end", "stop") : depth < 5 ? random_value(seed, depth + 1) : json_string("ask"));
    else if (strcmp(kind, "http") == 0)
        json_object_set_new(step, "request", json_pack("{s:s, s:s}", "method", "GET", "url", "{{conn.c}}/x/{{level}}"));
    else if (strcmp(kind, "wait") == 0)
        json_object_set_new(step, next_random(seed) % 3 == 0 ? "event" : "for", json_string(next_random(seed) % 4 == 0 ? "due" : "90s"));
    else if (strcmp(kind, "set") == 0)
        json_object_set_new(step, "values", json_pack("{s:s}", next_random(seed) % 2 == 0 ? "n" : "branch", "n + 1"));
    else if (strcmp(kind, "call") == 0)
        json_object_set_new(step, next_random(seed) % 2 == 0 ? "block" : "playbook", json_string(next_random(seed) % 2 == 0 ? "b1" : "b2"));
    else if (strcmp(kind, "if") == 0) {
        json_object_set_new(step, "cond", json_string(next_random(seed) % 2 == 0 ? "ok" : "n + 1 > 2"));
        json_object_set_new(step, "then", random_value(seed, depth + 1));
        if (next_random(seed) % 2 == 0)
            json_object_set_new(step, "else", random_value(seed, depth + 1));
    } else if (strcmp(kind, "switch") == 0) {
        json_object_set_new(step, "on", json_string(next_random(seed) % 2 == 0 ? "level" : "n + 1"));
        map = json_object();
        static const char *const cases[] = { "I", "II", "default", "a/b", "x y" };
        for (size_t i = 0; i < MU_COUNT(cases); i++)
            if (next_random(seed) % 2 == 0)
                json_object_set_new(map, cases[i], random_value(seed, depth + 1));
        json_object_set_new(step, "cases", map);
        if (next_random(seed) % 2 == 0)
            json_object_set_new(step, "default", random_value(seed, depth + 1));
    } else if (strcmp(kind, "while") == 0 || strcmp(kind, "for_each") == 0) {
        json_object_set_new(step, kind[0] == 'w' ? "cond" : "in", kind[0] == 'w' ? json_string(next_random(seed) % 2 == 0 ? "not ok" : "exists(n)") : json_string("who"));
        json_object_set_new(step, "max", json_integer(3));
        json_object_set_new(step, "steps", random_value(seed, depth + 1));
    } else if (strcmp(kind, "parallel") == 0) {
        map = json_object();
        static const char *const branches[] = { "one", "two", "three" };
        for (size_t i = 0; i < 2 + next_random(seed) % 2; i++)
            json_object_set_new(map, branches[i], random_value(seed, depth + 1));
        json_object_set_new(step, "branches", map);
    }
    random_extras(seed, step, depth);
    return step;
}

static json_t *random_list(uint64_t *seed, unsigned depth, bool may_be_empty)
{
    json_t *list = json_array();
    for (uint64_t i = (may_be_empty ? 0 : 1) + next_random(seed) % (depth > 2 ? 2 : 4); i > 0; i--)
        json_array_append_new(list, random_step(seed, depth));
    return list;
}

static void random_playbooks_come_back_equal(void **state)
{
    uint64_t seed = 20261125;
    for (int i = 0; i < 600; i++) {
        mu_arena *arena = mu_arena_new((size_t)512 * 1024 * 1024);
        made = 0;
        json_t *doc = mu_json_own(arena, json_pack("{s:s, s:s, s:s, s:{s:{s:s, s:s}, s:{s:s, s:b}, s:{s:s, s:s, s:[s,s]}, s:{s:s, s:[s]}, s:{s:s}}}", "format", "muster/1", "id", "r", "title", "R",
            "vars", "n", "type", "int", "default", "1", "ok", "type", "bool", "default", 0, "level", "type", "enum", "default", "I", "values", "I", "II", "who", "type", "list", "default", "x",
            "due", "type", "duration"));
        json_object_set_new(doc, "steps", random_list(&seed, 0, true));
        json_t *blocks = json_object();
        json_object_set_new(blocks, "b1", json_pack("[{s:s}]", "task", "in_b1"));
        json_object_set_new(blocks, "b2", json_pack("[{s:s, s:s}, {s:s, s:s}]", "call", "from_b2", "block", "b1", "wait", "end_b2", "for", "1m"));
        json_object_set_new(doc, "blocks", blocks);
        if (next_random(&seed) % 3 == 0)
            json_object_set_new(doc, "on_error", random_list(&seed, 3, false));
        (void)there_and_back(arena, doc, MU_CACAO_OK);
        mu_arena_free(arena);
    }
    (void)state;
}

/* ---- files of others --------------------------------------------------------------------------------------------------- */

static void what_cannot_be_exported_is_said(void **state)
{
    static const struct { const char *text, *key; } bad[] = {
        { "format: muster/2\nid: x\nsteps: []\n", "error.cacao.document" }, { "format: muster/1\nid: x\nsteps: {}\n", "error.cacao.document" },
        { "format: muster/1\nid: x\nsteps: [{role: a}]\n", "error.cacao.step" }, { "format: muster/1\nid: x\nsteps: [7]\n", "error.cacao.step" },
        { "format: muster/1\nid: x\nsteps: [{task: a}, {task: a}]\n", "error.cacao.twice" }, { "format: muster/1\nid: x\nsteps: [{call: a, block: b}]\n", "error.cacao.block" },
        { "format: muster/1\nid: x\nblocks: {b: [{call: c, block: b}]}\nsteps: [{call: a, block: b}]\n", "error.cacao.circle" },
        { "format: muster/1\nid: x\nsteps: [{parallel: a, branches: {b: [{task: t}]}}]\n", "error.cacao.branches" },
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_problem problem = { .arena = *state };
        json_t *file;
        assert_int_equal(mu_cacao_export(*state, yaml(*state, bad[i].text), &exported, &problem, &file), MU_INVALID);
        assert_string_equal(problem.first->key, bad[i].key);
    }
}

static mu_import take(mu_arena *arena, const char *text, bool strict)
{
    mu_import in;
    (void)mu_playbook_import(arena, text, strlen(text), &(mu_import_options){ .strict = strict, .now = "2026-11-25T00:00:00Z" }, &in);
    return in;
}

static bool says(const json_t *findings, const char *message)
{
    const json_t *one;
    size_t i;
    json_array_foreach(findings, i, one)
        if (strcmp(mu_json_str(one, "message"), message) == 0)
            return true;
    return false;
}

#define FILE_HEAD "{\"type\":\"playbook\",\"spec_version\":\"cacao-2.0\",\"id\":\"playbook--11111111-2222-4333-8444-555555555555\",\"name\":\"Foreign one\",\"created_by\":\"identity--1\"," \
    "\"created\":\"2026-01-01T00:00:00.000Z\",\"modified\":\"2026-01-01T00:00:00.000Z\",\"agent_definitions\":{\"group--1\":{\"type\":\"group\",\"name\":\"Ops team\"}}," \
    "\"playbook_variables\":{\"__ok__\":{\"type\":\"bool\",\"value\":\"false\"},\"__n__\":{\"type\":\"integer\",\"value\":\"3\"},\"__Site Name__\":{\"type\":\"string\",\"external\":true}},"
#define ACTION(id, name, rest) "\"action--" id "\":{\"type\":\"action\",\"name\":\"" name "\",\"commands\":[{\"type\":\"manual\",\"command\":\"Do " name "\"}],\"agent\":\"group--1\"," rest "}"

static const char *steps_of(mu_arena *arena, const mu_import *in)
{
    assert_non_null(in->document);
    json_t *part = mu_json_own(arena, json_object());
    static const char *const members[] = { "steps", "blocks", "on_error" };
    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(in->document, members[i]) != NULL)
            json_object_set(part, members[i], json_object_get(in->document, members[i]));
    return mu_playbook_yaml(arena, part);
}

/* A step on_failure of which ends the run; one that comes back; a shared line; a loop; a wait-until; a switch; a question. */
static void meaning_of_other_peoples_graphs(void **state)
{
    static const struct { const char *workflow, *want; } cases[] = {
        { "\"workflow_start\":\"start--1\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"action--1\"}," ACTION("1", "one", "\"on_success\":\"action--2\",\"on_failure\":\"action--3\"") ","
          ACTION("2", "two", "\"on_completion\":\"end--1\"") "," ACTION("3", "mend", "\"on_completion\":\"end--2\"") ",\"end--1\":{\"type\":\"end\"},\"end--2\":{\"type\":\"end\"}}}",
          "steps:\n  - task: one\n    title: {en: one}\n    text: {en: Do one}\n    role: ops_team\n    on_error:\n      - {task: mend, title: {en: mend}, text: {en: Do mend}, role: ops_team}\n      - {end: failed, outcome: failed}\n"
          "  - {task: two, title: {en: two}, text: {en: Do two}, role: ops_team}\n" },
        { "\"workflow_start\":\"start--1\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"action--1\"}," ACTION("1", "one", "\"on_success\":\"action--2\",\"on_failure\":\"action--3\"") ","
          ACTION("2", "two", "\"on_completion\":\"end--1\"") "," ACTION("3", "mend", "\"on_completion\":\"action--2\"") ",\"end--1\":{\"type\":\"end\"}}}",
          "steps:\n  - task: one\n    title: {en: one}\n    text: {en: Do one}\n    role: ops_team\n    on_error:\n      - {task: mend, title: {en: mend}, text: {en: Do mend}, role: ops_team}\n"
          "  - {task: two, title: {en: two}, text: {en: Do two}, role: ops_team}\n" },
        { "\"workflow_start\":\"start--1\",\"workflow_exception\":\"end--9\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"if-condition--1\"},\"if-condition--1\":{\"type\":\"if-condition\","
          "\"condition\":\"NOT __ok__:value = 'true' AND __n__:value >= 2\",\"on_true\":\"action--1\",\"on_false\":\"action--2\"}," ACTION("1", "one", "\"on_completion\":\"action--3\"") ","
          ACTION("2", "two", "\"on_completion\":\"action--3\"") "," ACTION("3", "three", "\"on_completion\":\"end--1\"") ",\"end--1\":{\"type\":\"end\"}}}",
          "blocks:\n  from_three:\n    - {task: three, title: {en: three}, text: {en: Do three}, role: ops_team}\n"
          "steps:\n  - if: if\n    cond: not ok == true and n >= 2\n    then:\n      - {task: one, title: {en: one}, text: {en: Do one}, role: ops_team}\n      - {call: to_three, block: from_three}\n"
          "    else:\n      - {task: two, title: {en: two}, text: {en: Do two}, role: ops_team}\n      - {call: to_three_2, block: from_three}\n"
          "on_error:\n  - {end: failed, outcome: failed}\n" },
        { "\"workflow_start\":\"start--1\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"while-condition--1\"},\"while-condition--1\":{\"type\":\"while-condition\",\"name\":\"again\","
          "\"condition\":\"__ok__:value = 'false'\",\"on_true\":\"action--1\",\"on_completion\":\"while-condition--2\"}," ACTION("1", "one", "\"on_completion\":\"while-condition--1\"")
          ",\"while-condition--2\":{\"type\":\"while-condition\",\"condition\":\"The door is open\",\"on_true\":\"end--2\",\"on_completion\":\"end--1\"},\"end--1\":{\"type\":\"end\"},\"end--2\":{\"type\":\"end\"}}}",
          "steps:\n  - while: again\n    title: {en: again}\n    cond: ok == false\n    max: 10\n    steps:\n      - {task: one, title: {en: one}, text: {en: Do one}, role: ops_team}\n"
          "  - {task: until, title: {en: The door is open}, role: responder}\n" },
        { "\"workflow_start\":\"start--1\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"parallel--1\"},\"parallel--1\":{\"type\":\"parallel\",\"next_steps\":[\"action--1\",\"action--2\"],"
          "\"on_completion\":\"switch-condition--1\"}," ACTION("1", "one", "\"on_success\":\"action--3\",\"on_failure\":\"end--2\"") "," ACTION("2", "two", "\"delay\":90000,\"timeout\":5000,\"on_completion\":\"end--2\"") ","
          ACTION("3", "three", "\"on_completion\":\"end--2\"") ",\"switch-condition--1\":{\"type\":\"switch-condition\",\"switch\":\"__Site Name__:value\",\"cases\":{\"x\":\"action--4\",\"default\":\"end--2\"},"
          "\"on_completion\":\"end--1\"}," ACTION("4", "four", "\"on_completion\":\"end--2\"") ",\"end--1\":{\"type\":\"end\"},\"end--2\":{\"type\":\"end\"}}}",
          "steps:\n  - parallel: parallel\n    branches:\n      one:\n        - {set: go_on, values: {halted: 'false'}}\n        - task: one\n          title: {en: one}\n          text: {en: Do one}\n"
          "          role: ops_team\n          on_error:\n            - {set: halt, values: {halted: 'true'}}\n"
          "        - {task: three, title: {en: three}, text: {en: Do three}, when: not halted, role: ops_team}\n      two:\n        - {wait: wait, for: 90s}\n"
          "        - {task: two, title: {en: two}, text: {en: Do two}, role: ops_team, deadline: {after: 5s, then: fail}}\n  - decide: ask_choice\n    title: {en: '__Site Name__:value'}\n"
          "    role: responder\n    into: choice\n    options:\n      - {value: x}\n  - switch: switch\n    on: choice\n    cases:\n      x:\n"
          "        - {task: four, title: {en: four}, text: {en: Do four}, role: ops_team}\n" },
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        const mu_import in = take(*state, mu_printf(*state, "%s%s", FILE_HEAD, cases[i].workflow), false);
        if (in.document == NULL)
            show(in.findings);
        const char *got = steps_of(*state, &in);
        if (strcmp(got, cases[i].want) != 0)
            print_message("%zu:\n%s", i, got);
        assert_string_equal(got, cases[i].want);
    }
}

static void files_of_others_are_taken(void **state)
{
    const char *folder = getenv("MUSTER_CACAO_SAMPLES"), *name;
    mu_problem problem = { .arena = *state };
    json_t *expected, *want;
    size_t n, taken = 0, strictly = 0, clean = 0;

    if (folder == NULL)
        skip();
    const char *text = file_text(*state, mu_printf(*state, "%s/EXPECTED.json", folder), &n);
    assert_int_equal(mu_json_parse(*state, text, n, &problem, &expected), MU_OK);
    json_object_foreach(json_object_get(expected, "files"), name, want) {
        mu_arena *arena = mu_arena_new((size_t)256 * 1024 * 1024);
        text = file_text(arena, mu_printf(arena, "%s/%s", folder, name), &n);
        const mu_import in = take(arena, text, false), strict = take(arena, text, true);
        assert_int_equal(in.document != NULL, strcmp(mu_json_str(want, "verdict"), "reject") != 0);
        taken += in.document != NULL ? 1 : 0;
        strictly += strict.document != NULL ? 1 : 0;
        const json_t *signature = json_array_get(json_object_get(want, "signatures"), 0), *got = json_array_get(in.signatures, 0);
        if (signature != NULL) {
            assert_string_equal(mu_json_str(got, "state"), json_string_value(signature));
            assert_string_equal(mu_json_str(got, "form"), "digest");
            assert_string_equal(mu_json_str(got, "dates"), json_is_true(json_object_get(want, "expired_at_import")) ? "outside" : "inside");
        }
        if (in.document != NULL) {
            clean += in.errors == 0 ? 1 : 0;
            assert_non_null(mu_playbook_yaml(arena, in.document));
            assert_true(json_equal(yaml(arena, mu_playbook_yaml(arena, in.document)), in.document));
            assert_null(strstr(mu_json_text(arena, in.document), "super-secure-password"));
            (void)there_and_back(arena, in.document, MU_CACAO_WARN);
            if (getenv("MUSTER_CACAO_SHOW") != NULL) {
                print_message("==== %s\n%s", name, mu_playbook_yaml(arena, in.document));
                show(in.findings);
            }
        }
        mu_arena_free(arena);
    }
    print_message("taken %zu, strictly %zu, without an error in the draft %zu of %zu\n", taken, strictly, clean, json_object_size(json_object_get(expected, "files")));
    assert_int_equal(taken, 16);
    assert_int_equal(strictly, 2);
}

static void other_formats_pass_through(void **state)
{
    const mu_import one = take(*state, "format: muster/1\nid: t\ntitle: {zh: 测, en: T}\nroles: {a: {zh: 甲, en: A}}\nsteps:\n  - {task: t, role: a}\n", false);
    assert_string_equal(one.source_format, "muster-yaml");
    assert_non_null(one.document);
    const mu_import two = take(*state, " {\"format\":\"muster/1\",\"id\":\"t\",\"title\":\"T\",\"steps\":[]}", false);
    assert_string_equal(two.source_format, "muster-json");
    assert_non_null(two.document);
    assert_null(take(*state, "{", false).document);
    assert_null(take(*state, "", false).document);
}

static void markings_limit_the_readers(void **state)
{
    static const struct { const char *level; mu_audience widest; } levels[] = { { "TLP:RED", MU_AUDIENCE_RECIPIENTS }, { "TLP:AMBER+STRICT", MU_AUDIENCE_ORGANISATION },
        { "TLP:AMBER", MU_AUDIENCE_CLIENTS }, { "TLP:GREEN", MU_AUDIENCE_COMMUNITY }, { "TLP:CLEAR", MU_AUDIENCE_PUBLIC }, { "TLP:MAGENTA", MU_AUDIENCE_RECIPIENTS } };
    for (size_t i = 0; i < MU_COUNT(levels); i++) {
        const char *text = mu_printf(*state, "%s\"markings\":[\"marking-statement--2\",\"marking-tlp--1\"],\"data_marking_definitions\":{\"marking-tlp--1\":{\"type\":\"marking-tlp\",\"tlpv2_level\":\"%s\"}},"
            "\"workflow_start\":\"start--1\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"action--1\"}," ACTION("1", "one", "\"on_completion\":\"end--1\"") ",\"end--1\":{\"type\":\"end\"}}}",
            FILE_HEAD, levels[i].level);
        const mu_import in = take(*state, text, false);
        assert_true(says(in.findings, "finding.I10"));
        for (int audience = MU_AUDIENCE_RECIPIENTS; audience <= (int)MU_AUDIENCE_PUBLIC; audience++) {
            mu_problem problem = { .arena = *state };
            mu_export_options options = exported;
            json_t *file;
            options.audience = (mu_audience)audience;
            const mu_err want = audience <= (int)levels[i].widest ? MU_OK : MU_FORBIDDEN;
            assert_int_equal(mu_cacao_export_source(*state, text, strlen(text), options.audience, &problem), want);
            assert_int_equal(mu_cacao_export(*state, in.document, &options, &problem, &file), want);   /* an edited draft keeps its marking */
        }
    }
}

static void secrets_are_cut_out(void **state)
{
    const char *text = mu_printf(*state, "%s\"authentication_info_definitions\":{\"http-basic--1\":{\"type\":\"http-basic\",\"user_id\":\"u\",\"password\":\"hunter22\"}},"
        "\"target_definitions\":{\"http-api--1\":{\"type\":\"http-api\",\"name\":\"Fire wall\",\"address\":{\"dname\":[\"fw.example\"]}}},"
        "\"workflow_start\":\"start--1\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"action--1\"},\"action--1\":{\"type\":\"action\",\"agent\":\"group--1\",\"targets\":[\"http-api--1\"],\"timeout\":7500,"
        "\"commands\":[{\"type\":\"http-api\",\"command\":\"POST /block?ip=__n__:value HTTP/1.1\",\"headers\":{\"Authorization\":[\"Bearer tok3n\"],\"Accept\":[\"a\",\"b\"]},\"content\":\"{{x}} __ok__:value\"}],"
        "\"on_completion\":\"end--1\"},\"end--1\":{\"type\":\"end\"}}}", FILE_HEAD);
    const mu_import in = take(*state, text, false);
    assert_int_equal(in.secrets, 2);
    const char *document = mu_json_text(*state, json_object_get(in.document, "steps"));
    assert_null(strstr(mu_json_text(*state, in.document), "hunter22"));
    assert_null(strstr(document, "tok3n"));
    assert_non_null(strstr(document, "\"url\":\"{{conn.fire_wall}}/block?ip={{n}}\""));
    assert_non_null(strstr(document, "\"timeout\":\"8s\""));
    assert_non_null(strstr(document, "\"Accept\":\"a, b\""));
    assert_non_null(strstr(document, "\"effect\":\"once\""));
    assert_non_null(strstr(document, "{ {x}} {{ok}}"));
    assert_true(says(in.findings, "finding.I11"));
}

static double seconds(void)
{
    struct timespec at;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* Long chains, deep nests, diamonds where every step has two ways in and two ways out, one handler for all: bounded time, no lost step. */
static void large_graphs_are_bounded(void **state)
{
    static const char *const shapes[] = { "chain", "nest", "diamond", "handler" };
    for (size_t shape = 0; shape < MU_COUNT(shapes); shape++) {
        mu_arena *arena = mu_arena_new((size_t)1024 * 1024 * 1024);
        MU_BUF_AUTO(out, MU_CACAO_BYTES);
        const int n = shape == 0 ? 5000 : 2500;
        const double start = seconds();
        mu_import in;
        mu_buf_adds(&out, "{\"type\":\"playbook\",\"spec_version\":\"cacao-2.0\",\"name\":\"Large\",\"workflow_start\":\"s0\",\"workflow\":{");
        for (int i = 0; i < n; i++) {
            if (shape == 0)
                mu_buf_addf(&out, "\"s%d\":{\"type\":\"action\",\"on_completion\":\"s%d\"},", i, i + 1);
            else if (shape == 1)
                mu_buf_addf(&out, "\"s%d\":{\"type\":\"if-condition\",\"condition\":\"x\",\"on_true\":\"s%d\"},", i, i + 1);
            else if (shape == 2)
                mu_buf_addf(&out, "\"s%d\":{\"type\":\"if-condition\",\"condition\":\"x\",\"on_true\":\"s%d\",\"on_false\":\"s%d\"},", i, i + 1, i + 2 > n ? n : i + 2);
            else
                mu_buf_addf(&out, "\"s%d\":{\"type\":\"action\",\"on_success\":\"s%d\",\"on_failure\":\"h\"},", i, i + 1);
        }
        mu_buf_addf(&out, "\"h\":{\"type\":\"action\",\"on_completion\":\"e\"},\"e\":{\"type\":\"end\"},\"s%d\":{\"type\":\"action\",\"name\":\"last one\",\"on_completion\":\"e\"}}}", n);
        assert_false(out.over);
        (void)mu_playbook_import(arena, out.at, out.n, NULL, &in);
        if (in.document == NULL || seconds() - start > 20) {
            print_message("%s: %.1f s\n", shapes[shape], seconds() - start);
            show(in.findings);
        }
        assert_non_null(in.document);
        assert_non_null(strstr(mu_json_text(arena, in.document), "\"last_one\""));
        assert_true(seconds() - start < 20);
        mu_arena_free(arena);
    }
    (void)state;
}

/* on_completion after a failure: the standard leaves it open, the import asks. */
static void completion_may_follow_failure(void **state)
{
    const char *text = mu_printf(*state, "%s\"workflow_start\":\"start--1\",\"workflow\":{\"start--1\":{\"type\":\"start\",\"on_completion\":\"action--1\"}," ACTION("1", "one", "\"on_completion\":\"end--1\"")
        ",\"end--1\":{\"type\":\"end\"}}}", FILE_HEAD);
    mu_import in;
    for (int follows = 0; follows <= 1; follows++) {
        assert_int_equal(mu_playbook_import(*state, text, strlen(text), &(mu_import_options){ .completion_on_failure = follows == 1 }, &in), MU_OK);
        const char *on_error = mu_json_str(json_array_get(json_object_get(in.document, "steps"), 0), "on_error");
        assert_true(follows == 1 ? on_error != NULL && strcmp(on_error, "continue") == 0 : on_error == NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(shipped_playbooks_come_back_equal),
        ARENA_TEST(every_kind_comes_back_equal),
        ARENA_TEST(random_playbooks_come_back_equal),
        ARENA_TEST(what_cannot_be_exported_is_said),
        ARENA_TEST(meaning_of_other_peoples_graphs),
        ARENA_TEST(files_of_others_are_taken),
        ARENA_TEST(other_formats_pass_through),
        ARENA_TEST(markings_limit_the_readers),
        ARENA_TEST(secrets_are_cut_out),
        ARENA_TEST(large_graphs_are_bounded),
        ARENA_TEST(completion_may_follow_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
