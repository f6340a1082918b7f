/* Bad playbooks, one for each rule, each with the place it is found at; and slips made in a good playbook. */
#include "test_engine.h"

#include <dirent.h>

#include "words.h"

#define BAD "tests/playbooks/bad"
#define HEAD "format: muster/1\nid: t\ntitle: {zh: 测, en: T}\nroles:\n  a: {zh: 甲, en: A, min: 1, max: 1}\n  b: {zh: 乙, en: B}\n" \
    "vars:\n  n: {type: int, default: 1}\n  level: {type: enum, values: [I, II], default: I}\n  u: {type: int}\n  c: {type: int, constant: true, default: 3}\n"   /* 11 lines */

static const mu_finding *
find(const mu_findings *findings, const char *message)
{
    for (const mu_finding *f = findings->first; f != NULL; f = f->next)
        if (strcmp(f->message, message) == 0)
            return f;
    return NULL;
}

/* -- the smallest bad playbook of each rule: files that say in their first lines what is to be found ---------------------------- */

/* "# RULE level PATH line:column message", one line for each finding in the order of lines. */
static char *
found_lines(mu_arena *arena, const mu_findings *findings)
{
    const json_t *list = mu_findings_json(findings), *f;
    char *out = mu_strdup(arena, "");
    size_t i;

    json_array_foreach(list, i, f)
        out = mu_printf(arena, "%s# %s %s %s %lld:%lld %s\n", out, mu_json_str(f, "id"), mu_json_str(f, "level"), *mu_json_str(f, "path") == '\0' ? "-" : mu_json_str(f, "path"),
            (long long)mu_json_int(f, "line", 0), (long long)mu_json_int(f, "column", 0), mu_json_str(f, "message"));
    return out;
}

/* Where the lines that say what to find end; what follows "# around " is told to the checker. */
static const char *
expectation_end(const char *text)
{
    while (text[0] == '#' && text[1] == ' ' && text[2] == 'V')
        text = strchr(text, '\n') + 1;
    return text;
}

static const json_t *
around_line(mu_arena *arena, const char *at)
{
    json_t *around;

    if (!mu_starts(at, "# around "))
        return NULL;
    around = json_loadb(at + 9, strcspn(at + 9, "\n"), 0, NULL);
    assert_non_null(around);
    return mu_json_own(arena, around);
}

/* Every finding can be said, in both languages, with all its placeholders filled. */
static unsigned
unsayable(const mu_finding *f)
{
    static const char *const languages[] = { "zh", "en" };
    unsigned wrong = 0;

    for (size_t i = 0; i < MU_COUNT(languages); i++) {
        const char *text = mu_word(languages[i], f->message);
        if (text == NULL || mu_word(languages[i], f->hint) == NULL) {
            print_error("no word in %s: %s or %s\n", languages[i], f->message, f->hint);
            wrong++;
        }
        for (const char *at = text == NULL ? NULL : strchr(text, '{'); at != NULL; at = strchr(at + 1, '{')) {
            char name[64] = "";
            (void)sscanf(at, "{%63[^}]", name);
            if (mu_json_str(f->args, name) == NULL) {
                print_error("%s: nothing for {%s}\n", f->message, name);
                wrong++;
            }
        }
    }
    return wrong;
}

static unsigned
check_bad_file(mu_arena *arena, const char *name, json_t *seen)
{
    size_t n;
    char *text = read_file(arena, mu_printf(arena, BAD "/%s", name), &n), *found, *expected;
    const char *end = expectation_end(text);
    mu_findings findings;
    mu_playbook *pb;
    unsigned wrong = 0;

    expected = mu_strndup(arena, text, (size_t)(end - text));
    mu_findings_start(&findings, arena);
    findings.around = around_line(arena, end);
    (void)mu_playbook_read(arena, text, n, &findings, NULL, &pb);
    found = found_lines(arena, &findings);
    if (strcmp(found, expected) != 0 || strstr(expected, mu_printf(arena, "# %.3s ", name)) == NULL) {
        print_error("%s: expected\n%sfound\n%s", name, expected, found);
        wrong++;
    }
    for (const mu_finding *f = findings.first; f != NULL; f = f->next) {
        wrong += unsayable(f);
        json_object_set_new(seen, f->message, json_true());
        json_object_set_new(seen, f->rule, json_true());
    }
    return wrong;
}

static json_t *
check_bad_files(mu_arena *arena, unsigned *ret_wrong)
{
    json_t *seen = json_object();
    DIR *folder = opendir(SOURCE_DIR "/" BAD);
    const struct dirent *entry;

    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL) {
        mu_mark mark = mu_arena_mark(arena);
        if (entry->d_name[0] != '.')
            *ret_wrong += check_bad_file(arena, entry->d_name, seen);
        mu_arena_reset(arena, mark);
    }
    closedir(folder);
    return mu_json_own(arena, seen);
}

static void
test_bad(void **state)
{
    /* Found in files too large to keep, or only where texts come from elsewhere: tested below. */
    static const char *const elsewhere[] = { "V30.inlined", "V30.bytes", "V30.steps", "V30.vars", "V05.call_depth" };
    unsigned wrong = 0;
    const json_t *seen = check_bad_files(*state, &wrong);
    json_t *words = json_load_file(SOURCE_DIR "/web/i18n/en.json", 0, NULL), *value;
    const char *key;

    assert_int_equal(wrong, 0);
    for (int i = 1; i <= 33; i++)
        if (json_object_get(seen, mu_printf(*state, "V%02d", i)) == NULL) {
            print_error("no bad playbook for V%02d\n", i);
            wrong++;
        }
    json_object_foreach(words, key, value) {
        bool other = !mu_starts(key, "finding.V") || strstr(key, ".hint") != NULL;
        for (size_t i = 0; i < MU_COUNT(elsewhere); i++)
            other = other || strstr(key, elsewhere[i]) != NULL;
        if (!other && json_object_get(seen, key) == NULL) {
            print_error("no bad playbook for %s\n", key);
            wrong++;
        }
    }
    json_decref(words);
    assert_int_equal(wrong, 0);
}

/* -- a good playbook with one thing broken: exactly that rule --------------------------------------------------------------------- */

#define GOOD   "tests/playbooks/good/everything.yaml"
#define AROUND "tests/playbooks/around.json"

typedef struct { const char *rule, *from, *to; } mutation;

static const mutation mutations[] = {
    { "V01", "  - {wait: settle, for: pause}", "  - {wait: settle, till: pause, for: pause}" },
    { "V01", "  - {wait: settle, for: pause}", "  - {await: settle, for: pause}" },
    { "V01", "  - {wait: settle, for: pause}", "  - {wait: settle, set: settle, for: pause}" },
    { "V01", "  - {wait: settle, for: pause}", "  - {wait: settle}" },
    { "V01", "  - {wait: settle, for: pause}", "  - {wait: settle, for: pause, for: pause}" },
    { "V01", "  - {wait: settle, for: pause}", "  - {wait: &x settle, for: pause}" },
    { "V01", "critical: true\n    deadline: {after: 5m", "critical: yes\n    deadline: {after: 5m" },
    { "V01", "method: POST", "method: [POST]" },
    { "V01", "format: muster/1", "format: muster/2" },
    { "V01", "on_reject: {end: stood_down}", "on_reject: {stop: stood_down}" },
    { "V01", "when: level != 'III'", "when: level != 'III" },
    { "V02", "{task: visit,", "{task: review," },
    { "V02", "{id: note, zh", "{id: look, zh" },
    { "V03", "  - {wait: settle, for: pause}", "  - {end: early}" },
    { "V03", "when: level != 'III'", "when: 1 == 2" },
    { "V03", "cond: not healthy\n          then", "cond: 'false'\n          then" },
    { "V03", "  - {call: finish, block: close}\n", "" },
    { "V04", "    - {task: review, title", "    - {call: again, block: close}\n    - {task: review, title" },
    { "V04", "playbook: dc-failover,", "playbook: everything," },
    { "V05", "          max: 3\n", "" },
    { "V05", "    max: 10\n", "" },
    { "V05", "      - {task: visit, title: {zh: \"检查 {{site}}\", en: \"Check {{site}}\"}, role: ops}",
        "      - {for_each: again, in: sites, as: other, max: 1001, steps: [{task: visit, role: ops}]}" },
    { "V06", "          cond: not healthy\n          max", "          cond: count == 1\n          max" },
    { "V06", "required: true, var: healthy", "required: true" },
    { "V07", "    into: level", "    into: levl" },
    { "V07", "when: level != 'III'", "when: levl != 'III'" },
    { "V07", "en: \"Check {{site}}\"", "en: \"Check {{sight}}\"" },
    { "V07", "  - {call: finish, block: close}", "  - {task: after, title: {zh: \"{{site}}\", en: \"{{site}}\"}, role: ops}\n  - {call: finish, block: close}" },
    { "V07", "save: {ticket: response.body.id}", "save: {ticket: response.body.id, tickets: response.body.id}" },
    { "V07", "response.body.id", "answer.id" },
    { "V07", "values: {count: count + 1,", "values: {counter: count + 1," },
    { "V07", "with: {system: system}", "with: {system: sytem}" },
    { "V07", "for: pause", "for: puase" },
    { "V08", "    on_reject: {end: stood_down}", "    on_reject: {end: stood_down}\n  - {wait: early, for: 1m, when: ticket == 'x'}" },
    { "V08", "save: {ticket: response.body.id}", "save: {name: response.body.id}" },
    { "V08", "    effect: idempotent\n", "    effect: idempotent\n    when: count == 1\n" },
    { "V08", "    effect: idempotent\n", "    effect: idempotent\n    on_error: continue\n" },
    { "V08", "when: level != 'III'", "when: now > recovered" },
    { "V09", "when: level != 'III'", "when: level != 'IV'" },
    { "V09", "when: level != 'III'", "when: count != 'III'" },
    { "V09", "when: level != 'III'", "when: count + 1" },
    { "V09", "values: {count: count + 1,", "values: {count: name," },
    { "V09", "      II: [", "      IX: [" },
    { "V09", "    default: [{wait: rest, for: 1m}]\n", "" },
    { "V09", "    in: sites", "    in: name" },
    { "V09", "for: pause", "for: count" },
    { "V09", "save: {ticket: response.body.id}", "save: {ticket: response.body.id, healthy: response.status}" },
    { "V09", "default: III, title", "default: IV, title" },
    { "V09", "with: {system: system}", "with: {system: count}" },
    { "V09", "with: {system: system}", "with: {system: system}, save: {count: done}" },
    { "V10", "        - {milestone: recovered, clock: {stop: rto}}\n      inform:\n", "        - {milestone: recovered, clock: {stop: rto}}\n      inform:\n        - {set: race, values: {healthy: true}}\n" },
    { "V10", "      - {task: visit,", "      - {set: race, values: {count: 2}}\n      - {task: visit,\t    max: 10\n\t    max: 10\n    at_once: 2\n" },
    { "V11", "values: {count: count + 1,", "values: {fixed: name," },
    { "V11", "constant: true, default: x", "constant: true" },
    { "V11", "with: {system: system}", "with: {}" },
    { "V11", "      - {task: visit,", "      - {set: over, values: {site: name}}\n      - {task: visit," },
    { "V12", "    role: duty\n    into", "    role: dury\n    into" },
    { "V12", "escalate: [duty, commander]", "escalate: [duty, comander]" },
    { "V12", "deputy: duty", "deputy: dury" },
    { "V12", "  - {call: finish, block: close}", "  - {call: other, block: closing}\n  - {call: finish, block: close}" },
    { "V12", "playbook: dc-failover,", "playbook: dc-failovers," },
    { "V12", "playbook: dc-failover,", "playbook: dc-failover@3," },
    { "V12", "from: detected,", "from: detect," },
    { "V12", "group.branches", "group.braches" },
    { "V12", "webhook.chat", "webhook.chats" },
    { "V12", "component: app", "component: apps" },
    { "V12", "conn.desk", "conn.desks" },
    { "V12", "profile: nfra", "profile: cac" },
    { "V12", "from: profile.nfra.initial", "from: profile.nfra.last" },
    { "V12", "expect: {step: tell", "expect: {step: told" },
    { "V13", "min: 2, deputy", "min: 3, deputy" },
    { "V13", "min: 2, deputy", "min: 2, max: 1, deputy" },
    { "V14", "by: {role: commander, count: 2}", "by: {role: commander, count: 1}" },
    { "V15", "          steps:\n            - task: mitigate\n              role: ops\n              deadline: {after: 20m, escalate: [duty]}\n              form:\n                - {id: healthy, zh: 已恢复, en: Restored, type: bool, required: true, var: healthy}",
        "          steps: []" },
    { "V16", "    role: duty\n    into", "    into" },
    { "V16", "critical: true, deadline: {after: 1h, escalate: [duty]}", "critical: true" },
    { "V17", "escalate: [duty, commander]", "escalate: []" },
    { "V17", "escalate: [duty, commander]", "escalate: [ops, commander]" },
    { "V17", "escalate: [duty, commander]", "escalate: [duty, commander, duty]" },
    { "V18", "deadline: {after: 20m, escalate", "deadline: {after: 80m, escalate" },
    { "V18", "          max: 3\n", "          max: 10\n" },
    { "V18", "rto: 4h", "rto: 2h" },
    { "V19", "          profile: nfra\n", "" },
    { "V19", "          deadline: {after: due, from: detected, escalate: [commander]}\n", "" },
    { "V19", "after: due, from: detected", "after: 30m, from: detected" },
    { "V19", "  - {milestone: detected, clock: {start: rto}}\n", "\t  - {call: finish, block: close}\n\t  - {milestone: detected, clock: {start: rto}}\n  - {call: finish, block: close}\n" },
    { "V20", "    drill: {simulate: {status: 201, body: {id: T-1}}}\n", "" },
    { "V20", "  - {wait: settle, for: pause}", "  - {wait: settle, for: pause, drill: real}" },
    { "V21", "  - {inject: late_call, when: run.mode != 'real',", "  - {inject: late_call," },
    { "V21", "  - {inject: late_call, when: run.mode != 'real',", "  - {inject: late_call, when: run.mode == 'real'," },
    { "V22", "      timeout: 10s\n", "" },
    { "V22", "    effect: idempotent\n", "" },
    { "V22", "{{conn.desk}}/tickets", "https://desk.example.com/tickets" },
    { "V22", "{{conn.desk}}/tickets", "{{conn.desk}}.example.com/tickets" },
    { "V23", "effect: idempotent", "effect: once" },
    { "V24", "    expect: {status: [200, 201]}\n", "" },
    { "V25", "Bearer {{key}}", "Bearer 0123456789abcdefghij0123" },
    { "V25", "system={{system}}", "system={{key}}" },
    { "V25", "level: \"{{level}}\"}", "password: opensesame}" },
    { "V25", "en: Look up the failure rate", "en: \"Sign in, password: hunter2\"" },
    { "V26", "{{conn.desk}}/tickets", "{{name}}/tickets" },
    { "V26", "{{conn.desk}}/tickets", "https://{{name}}.example.com/tickets" },
    { "V26", "{{conn.desk}}/tickets", "{{conn.desk}}{{name}}/tickets" },
    { "V26", "Content-Type: app", "\"X-{{name}}\": app" },
    { "V26", "component: app", "component: \"{{name}}\"" },
    { "V27", "en: Note the time", "en: The time is noted" },
    { "V27", "en: Note the time", "en: Note the time and then tell the duty manager" },
    { "V28", "{id: look, critical: true,", "{id: look,\t    critical: true\n    deadline: {after: 5m\t    deadline: {after: 5m" },
    { "V29", "title: {zh: 复盘, en: Review}", "title: {zh: 复盘}" },
    { "V29", "title: {zh: 复盘, en: Review}", "title: {zh: 待定, en: Review}" },
    { "V29", "text: {zh: 正在抢修, en: We are working on it}", "text: {en: We are working on it}" },
    { "V31", "  - parallel: respond\n", "  - parallel: respond\n    join: any\n\t\"Ticket {{ticket}}\"\t\"Ticket\"" },
    { "V32", "    deadline: {after: 5m, escalate: [duty]}", "    deadline: {after: 5m, escalate: [duty], then: proceed}" },
};

/* The same with the surroundings; what stands in the playbook stays as it is. */
static const mutation around_mutations[] = {
    { "V02", "\"confirm\": \"checklist\"", "\"confirm\": \"task\"" },
    { "V04", "\"calls\": [\"core-failure@1\"]", "\"calls\": [\"everything\"]" },
    { "V04", "\"calls\": [], \"outside\": false", "\"calls\": [\"everything@7\"], \"outside\": false" },
    { "V07", "\"2\": {\"params\": {\"system\": {\"type\": \"string\"}}", "\"2\": {\"params\": {}" },
    { "V09", "\"2\": {\"params\": {\"system\": {\"type\": \"string\"}", "\"2\": {\"params\": {\"system\": {\"type\": \"int\"}" },
    { "V11", "\"done\": {\"type\": \"bool\", \"default\": false}", "\"done\": {\"type\": \"bool\", \"from\": \"form\"}" },
    { "V11", "\"vars\": {\"done\"", "\"params\": {\"system\": {\"type\": \"string\"}, \"why\": {\"type\": \"string\"}}, \"vars\": {\"done\"" },
    { "V12", "\"dc-failover\":", "\"dc-failure\":" },
    { "V12", "\"latest\": 2", "\"latest\": 3" },
    { "V12", "\"desk\": [\"GET\", \"POST\"]", "" },
    { "V12", "[\"key\"]", "[]" },
    { "V13", "\"ops\": 1", "\"oops\": 1" },
    { "V13", "\"commander\": 2", "\"commander\": 1" },
    { "V22", "[\"GET\", \"POST\"]", "[\"GET\"]" },
    { "V33", "2026-09-01", "2026-01-01" },
    { "V33", "[\"commander\", \"duty\", \"ops\"]", "[\"commander\", \"duty\"]" },
};

/* `from` once, replaced by `to`. Further pairs stand in `to`, behind tabs. NULL: it is not there, or more than once. */
static char *
mutate(mu_arena *arena, const char *text, const char *from, const char *to)
{
    while (text != NULL) {
        const char *at = strstr(text, from), *next = strchr(to, '\t'), *last = next == NULL ? NULL : strchr(next + 1, '\t');
        size_t n = next == NULL ? strlen(to) : (size_t)(next - to);
        if (at == NULL || strstr(at + 1, from) != NULL)
            return NULL;
        text = mu_printf(arena, "%.*s%.*s%s", (int)(at - text), text, (int)n, to, at + strlen(from));
        if (last == NULL)
            break;
        from = mu_strndup(arena, next + 1, (size_t)(last - next) - 1);
        to = last + 1;
    }
    return (char *)(uintptr_t)text;
}

/* "" or the rules found, each once. */
static char *
rules_found(mu_arena *arena, const char *text, const char *around)
{
    mu_findings findings;
    mu_playbook *pb;
    char *rules = mu_strdup(arena, "");
    json_t *known = mu_json_own(arena, json_loads(around, 0, NULL));

    assert_non_null(known);
    mu_findings_start(&findings, arena);
    findings.around = known;
    (void)mu_playbook_read(arena, text, strlen(text), &findings, NULL, &pb);
    for (const mu_finding *f = findings.first; f != NULL; f = f->next)
        if (strstr(rules, f->rule) == NULL)
            rules = mu_printf(arena, "%s%s%s", rules, *rules == '\0' ? "" : " ", f->rule);
    return rules;
}

static unsigned
run_mutation(mu_arena *arena, const mutation *m, const char *playbook, const char *around, bool of_around)
{
    mu_mark mark = mu_arena_mark(arena);
    char *broken = mutate(arena, of_around ? around : playbook, m->from, m->to), *found;
    bool good;

    if (broken == NULL) {
        print_error("not there exactly once: %s\n", m->from);
        return 1;
    }
    found = rules_found(arena, of_around ? playbook : broken, of_around ? broken : around);
    good = strcmp(found, m->rule) == 0;
    if (!good)
        print_error("%s: %s -> %s: found \"%s\"\n", m->rule, m->from, m->to, found);
    mu_arena_reset(arena, mark);
    return good ? 0 : 1;
}

static void
test_one_thing_broken(void **state)
{
    size_t n;
    char *playbook = read_file(*state, GOOD, &n), *around = read_file(*state, AROUND, &n);
    unsigned wrong = 0;

    assert_string_equal(rules_found(*state, playbook, around), "");
    for (size_t i = 0; i < MU_COUNT(mutations); i++)
        wrong += run_mutation(*state, &mutations[i], playbook, around, false);
    for (size_t i = 0; i < MU_COUNT(around_mutations); i++)
        wrong += run_mutation(*state, &around_mutations[i], playbook, around, true);
    assert_int_equal(wrong, 0);
}

/* A block called twice is read twice; what is wrong in it is said once. */
static void
test_said_once(void **state)
{
    mu_findings findings;

    (void)playbook_of(*state, HEAD "steps:\n  - {call: c1, block: x}\n  - {call: c2, block: x}\nblocks:\n  x: [{task: t, role: nobody}]\n", &findings);
    assert_int_equal(findings.errors, 1);
    assert_string_equal(findings.first->pointer, "/blocks/x/0/role");
    assert_int_equal(findings.first->at.line, 16);
}

static void
test_limits(void **state)
{
    mu_buf text = MU_BUF(4 * 1024 * 1024);
    mu_findings findings;
    mu_playbook *pb;

    mu_buf_adds(&text, HEAD "steps:\n");
    for (int i = 0; i < 2001; i++)
        mu_buf_addf(&text, "  - {task: t%d, role: a}\n", i);
    pb = playbook_of(*state, text.at, &findings);
    assert_null(pb);
    assert_non_null(find(&findings, "finding.V30.steps"));
    mu_buf_free(&text);
    text = (mu_buf)MU_BUF(4 * 1024 * 1024);
    mu_buf_adds(&text, HEAD "note: ");
    for (int i = 0; i < 110000; i++)
        mu_buf_adds(&text, "0123456789");
    pb = playbook_of(*state, text.at, &findings);
    assert_null(pb);
    assert_non_null(find(&findings, "finding.V30.bytes"));
    mu_buf_free(&text);
    text = (mu_buf)MU_BUF(4 * 1024 * 1024);          /* eight calls deep is the most: nine blocks in a row */
    mu_buf_adds(&text, HEAD "steps: [{call: c, block: b0}]\nblocks:\n");
    for (int i = 0; i < 9; i++)
        mu_buf_addf(&text, i == 8 ? "  b%d: [{task: last, role: a}]\n" : "  b%d: [{call: c%d, block: b%d}]\n", i, i, i + 1);
    pb = playbook_of(*state, text.at, &findings);
    assert_null(pb);
    assert_non_null(find(&findings, "finding.V05.call_depth"));
    mu_buf_free(&text);
    text = (mu_buf)MU_BUF(4 * 1024 * 1024);          /* a small file, but what it calls is read again for each call */
    mu_buf_adds(&text, HEAD "steps:\n");
    for (int i = 0; i < 100; i++)
        mu_buf_addf(&text, "  - {call: c%d, block: b}\n", i);
    mu_buf_adds(&text, "blocks:\n  b:\n    - {task: t, role: a, text: {zh: x, en: \"");
    for (int i = 0; i < 3000; i++)
        mu_buf_adds(&text, "{{n}} ");
    mu_buf_adds(&text, "\"}}\n");
    pb = playbook_of(*state, text.at, &findings);
    assert_null(pb);
    assert_non_null(find(&findings, "finding.V30.inlined"));
    mu_buf_free(&text);
}

/* The same playbook as YAML and as canonical JSON has the same name and the same steps in the same order. */
static void
test_one_meaning(void **state)
{
    mu_findings findings;
    mu_playbook *from_yaml, *from_json;
    json_t *doc, *again;
    mu_buf canonical = MU_BUF(1024 * 1024);
    size_t n;
    char *text = read_file(*state, "playbooks/incident/mobile-banking-outage.yaml", &n);

    mu_findings_start(&findings, *state);
    assert_int_equal(mu_playbook_read(*state, text, n, &findings, &doc, &from_yaml), MU_OK);
    assert_true(mu_json_canonical(doc, &canonical));
    assert_int_equal(mu_playbook_read(*state, canonical.at, canonical.n, &findings, &again, &from_json), MU_OK);
    assert_string_equal(mu_playbook_hash(*state, doc), mu_playbook_hash(*state, again));
    assert_true(json_equal(mu_playbook_outline(*state, from_yaml), mu_playbook_outline(*state, from_json)));
    assert_true(json_equal(mu_playbook_needs(*state, from_yaml), mu_playbook_needs(*state, from_json)));
    assert_int_equal(json_array_size(json_object_get(mu_playbook_needs(*state, from_yaml), "profiles")), 2);
    mu_buf_free(&canonical);
}

/* Slips in a good playbook: cut, double or swap bytes. Never a crash; whatever still parses still runs. */
static void
test_mutations(void **state)
{
    uint64_t seed = 7;
    size_t n;
    char *good = read_file(*state, "playbooks/incident/payment-outage.yaml", &n);

    for (int round = 0; round < 300; round++) {
        mu_arena *arena = mu_arena_new(ARENA_BYTES);
        char *text = mu_alloc(arena, n + 64);
        mu_findings findings;
        size_t at = next_random(&seed) % n, len = 1 + next_random(&seed) % 12;
        memcpy(text, good, n);
        if (at + len >= n)
            len = n - at - 1;
        if (next_random(&seed) % 2 == 0)
            memmove(text + at, text + at + len, n - at - len);
        else
            memset(text + at, " -:{}[]a1'"[next_random(&seed) % 10], len);
        mu_playbook *pb = playbook_of(arena, text, &findings);
        if (pb != NULL) {
            run r = run_new(arena, pb, "rehearsal");
            start(&r);
            replays(&r);
        }
        mu_arena_free(arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_bad), ARENA_TEST(test_one_thing_broken), ARENA_TEST(test_said_once), ARENA_TEST(test_limits), ARENA_TEST(test_one_meaning), ARENA_TEST(test_mutations) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
