/* Bad playbooks, one for each rule, each with the place it is found at; and slips made in a good playbook. */
#include "test_engine.h"

typedef struct { const char *rule, *message; unsigned line, column; const char *text; } bad;

#define HEAD "format: muster/1\nid: t\ntitle: {zh: 测, en: T}\nroles:\n  a: {zh: 甲, en: A, min: 1, max: 1}\n  b: {zh: 乙, en: B}\n" \
    "vars:\n  n: {type: int, default: 1}\n  level: {type: enum, values: [I, II], default: I}\n  u: {type: int}\n  c: {type: int, constant: true, default: 3}\n"   /* 11 lines */

static const bad cases[] = {
    { "V01", "finding.V01.syntax", 13, 1, HEAD "steps: [" },
    { "V01", "finding.V01.unknown_field", 12, 0, HEAD "stepz: []\nsteps:\n  - {task: t, role: a}\n" },
    { "V01", "finding.V01.missing_field", 1, 0, "format: muster/1\nid: t\ntitle: x\n" },
    { "V01", "finding.V01.format", 1, 9, "format: muster/9\nid: t\ntitle: {zh: 测, en: T}\nroles: {a: {zh: 甲, en: A}}\nsteps:\n  - {task: t, role: a}\n" },
    { "V01", "finding.V01.no_kind", 13, 5, HEAD "steps:\n  - {role: a}\n" },
    { "V01", "finding.V01.two_kinds", 13, 5, HEAD "steps:\n  - {task: t, wait: w, role: a}\n" },
    { "V01", "finding.V01.unknown_field", 13, 28, HEAD "steps:\n  - {task: t, role: a, ro: b}\n" },
    { "V01", "finding.V01.wrong_type", 13, 21, HEAD "steps:\n  - {task: t, role: [a]}\n" },
    { "V01", "finding.V01.bad_id", 13, 12, HEAD "steps:\n  - {task: 'T 1', role: a}\n" },
    { "V01", "finding.V01.wait", 13, 5, HEAD "steps:\n  - {wait: w}\n" },
    { "V01", "error.expression.bracket", 13, 30, HEAD "steps:\n  - {task: t, role: a, when: (n == 1}\n" },
    { "V01", "finding.V01.placeholder", 13, 36, HEAD "steps:\n  - {task: t, role: a, title: {zh: '{{n', en: x}}\n" },
    { "V02", "finding.V02.twice", 14, 12, HEAD "steps:\n  - {task: t, role: a}\n  - {task: t, role: a}\n" },
    { "V03", "finding.V03.after_end", 14, 5, HEAD "steps:\n  - {end: e}\n  - {task: t, role: a}\n" },
    { "V03", "finding.V03.never", 13, 5, HEAD "steps:\n  - {task: t, role: a, when: 1 > 2}\n" },
    { "V03", "finding.V03.branch", 13, 19, HEAD "steps:\n  - {if: i, cond: 'true', then: [{task: t, role: a}], else: [{task: v, role: a}]}\n" },
    { "V03", "finding.V03.block", 15, 0, HEAD "steps:\n  - {task: t, role: a}\nblocks:\n  lost: [{task: x, role: a}]\n" },
    { "V04", "finding.V04.cycle", 16, 27, HEAD "steps:\n  - {call: c1, block: one}\nblocks:\n  one: [{call: c2, block: two}]\n  two: [{call: c3, block: one}]\n" },
    { "V07", "finding.V07.undefined", 13, 30, HEAD "steps:\n  - {task: t, role: a, when: nobody == 1}\n" },
    { "V07", "finding.V07.undefined", 13, 36, HEAD "steps:\n  - {task: t, role: a, title: {zh: '{{nobody}}', en: x}}\n" },
    { "V07", "finding.V07.undefined", 13, 32, HEAD "steps:\n  - {decide: d, role: a, into: nobody}\n" },
    { "V08", "finding.V08.unset", 13, 30, HEAD "steps:\n  - {task: t, role: a, when: u == 1}\n" },
    { "V08", "finding.V08.unset", 14, 22, HEAD "steps:\n  - {if: i, cond: n == 1, then: [{set: s, values: {u: 2}}]}\n  - {set: r, values: {n: u}}\n" },
    { "V09", "error.expression.type", 13, 30, HEAD "steps:\n  - {task: t, role: a, when: n == 'x'}\n" },
    { "V09", "error.expression.enum", 13, 30, HEAD "steps:\n  - {task: t, role: a, when: level == 'IX'}\n" },
    { "V09", "finding.V09.result", 13, 30, HEAD "steps:\n  - {task: t, role: a, when: n + 1}\n" },
    { "V09", "finding.V09.enum", 13, 30, HEAD "steps:\n  - {set: s, values: {level: \"'IX'\"}}\n" },
    { "V09", "finding.V09.option", 13, 52, HEAD "steps:\n  - {decide: d, role: a, into: level, options: [I, III]}\n" },
    { "V09", "finding.V09.grades", 13, 43, HEAD "steps:\n  - {decide: d, role: a, into: n, grades: severity, options: [1, 2]}\n" },
    { "V01", "finding.V01.wrong_value", 13, 47, HEAD "steps:\n  - {decide: d, role: a, into: level, grades: mood}\n" },
    { "V09", "finding.V09.duration", 13, 42, HEAD "steps:\n  - {task: t, role: a, deadline: {after: n}}\n" },
    { "V10", "finding.V10.race", 13, 0, HEAD "steps:\n  - {parallel: p, branches: {x: [{set: s1, values: {n: 1}}], y: [{set: s2, values: {n: 2}}]}}\n" },
    { "V11", "finding.V11.constant", 13, 26, HEAD "steps:\n  - {set: s, values: {c: 1}}\n" },
    { "V12", "finding.V12.role", 13, 21, HEAD "steps:\n  - {task: t, role: nobody}\n" },
    { "V12", "finding.V12.receiver", 13, 22, HEAD "steps:\n  - {notify: x, to: [everybody], via: [email]}\n" },
    { "V12", "finding.V12.channel", 13, 37, HEAD "steps:\n  - {notify: x, to: [role.a], via: [pigeon]}\n" },
    { "V12", "finding.V12.block", 13, 0, HEAD "steps:\n  - {call: x, block: none}\n" },
    { "V12", "finding.V12.milestone", 13, 52, HEAD "steps:\n  - {task: t, role: a, deadline: {after: 5m, from: never}}\n" },
    { "V13", "finding.V13.too_few", 13, 39, HEAD "steps:\n  - {approve: p, by: {role: a, count: 2}}\n" },
    { "V15", "finding.V15.branches", 13, 29, HEAD "steps:\n  - {parallel: p, branches: {x: [{task: t, role: a}]}}\n" },
    { "V15", "finding.V15.empty", 13, 0, HEAD "steps:\n  - {if: i, cond: n == 1, then: []}\n" },
    { "V16", "finding.V16.no_role", 13, 5, HEAD "steps:\n  - {task: t}\n" },
    { "V17", "finding.V17.empty", 13, 56, HEAD "steps:\n  - {task: t, role: a, deadline: {after: 5m, escalate: []}}\n" },
    { "V17", "finding.V17.self", 13, 57, HEAD "steps:\n  - {task: t, role: a, deadline: {after: 5m, escalate: [a]}}\n" },
    { "V17", "finding.V17.circular", 13, 60, HEAD "steps:\n  - {task: t, role: a, deadline: {after: 5m, escalate: [b, b]}}\n" },
    { "V19", "finding.V19.no_profile", 13, 5, HEAD "steps:\n  - {report: r, role: a, deadline: {after: 5m}}\n" },
    { "V19", "finding.V19.no_deadline", 13, 5, HEAD "steps:\n  - {report: r, role: a, profile: p}\n" },
    { "V19", "finding.V19.never_starts", 13, 66, HEAD "steps:\n  - {report: r, role: a, profile: p, deadline: {after: 5m, from: m}}\n  - {milestone: m}\n" },
    { "V20", "finding.V20.real", 13, 31, HEAD "steps:\n  - {task: t, role: a, drill: real}\n" },
    { "V25", "finding.V25.secret", 13, 30, HEAD "steps:\n  - {task: t, role: a, note: 'password: hunter2'}\n" },
    { "V26", "finding.V26.placeholder", 13, 28, HEAD "steps:\n  - {status: s, component: 'x{{n}}', state: operational}\n" },
};

static const bad warnings[] = {
    { "V19", "finding.V19.literal", 0, 0, HEAD "steps:\n  - {report: r, role: a, profile: p, deadline: {after: 5m}}\n" },
    { "V13", "finding.V13.maybe_too_few", 0, 0, "format: muster/1\nid: t\ntitle: {zh: 测, en: T}\nroles: {a: {zh: 甲, en: A, min: 1}}\nsteps:\n  - {approve: p, by: {role: a, count: 2}}\n" },
    { "V16", "finding.V16.no_deadline", 0, 0, HEAD "steps:\n  - {task: t, role: a, critical: true}\n" },
    { "V18", "finding.V18.longer", 0, 0, HEAD "plan: {rto: 10m}\nsteps:\n  - {task: t, role: a, deadline: {after: 11m}}\n" },
    { "V27", "finding.V27.two_actions", 0, 0, HEAD "steps:\n  - {checklist: c, role: a, items: [{id: i, critical: true, zh: 做, en: Stop it and then start it}]}\n" },
    { "V27", "finding.V27.verb", 0, 0, HEAD "steps:\n  - {checklist: c, role: a, items: [{id: i, critical: true, zh: 做, en: The server is up}]}\n" },
    { "V27", "finding.V27.many_items", 0, 0, HEAD "steps:\n  - {checklist: c, role: a, critical: true, items: [{id: a1, zh: 做, en: Do}, {id: a2, zh: 做, en: Do}, {id: a3, zh: 做, en: Do}, {id: a4, zh: 做, en: Do}, {id: a5, zh: 做, en: Do}, "
        "{id: a6, zh: 做, en: Do}, {id: a7, zh: 做, en: Do}, {id: a8, zh: 做, en: Do}, {id: a9, zh: 做, en: Do}, {id: a10, zh: 做, en: Do}]}\n" },
    { "V28", "finding.V28.no_critical", 0, 0, HEAD "steps:\n  - {checklist: c, role: a, items: [{id: i, zh: 做, en: Do}]}\n" },
    { "V29", "finding.V29.no_english", 0, 0, HEAD "steps:\n  - {task: t, role: a, title: {zh: 做}}\n" },
    { "V29", "finding.V29.one_language", 0, 0, HEAD "steps:\n  - {task: t, role: a, title: do}\n" },
    { "V29", "finding.V29.filler", 0, 0, HEAD "steps:\n  - {task: t, role: a, title: {zh: 待定, en: Do}}\n" },
};

static const mu_finding *
find(const mu_findings *findings, const char *message)
{
    for (const mu_finding *f = findings->first; f != NULL; f = f->next)
        if (strcmp(f->message, message) == 0)
            return f;
    return NULL;
}

static void
test_errors(void **state)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_mark mark = mu_arena_mark(*state);
        mu_findings findings;
        mu_playbook *pb = playbook_of(*state, cases[i].text, &findings);
        const mu_finding *f = find(&findings, cases[i].message);
        bool good = f != NULL && strcmp(f->rule, cases[i].rule) == 0 && f->level == MU_FINDING_ERROR && findings.errors > 0
            && f->at.line == cases[i].line && (cases[i].column == 0 || f->at.column == cases[i].column);
        (void)pb;
        if (!good) {
            wrong++;
            print_error("case %zu, %s at %u:%u, found %s\n", i, cases[i].message, cases[i].line, cases[i].column, mu_json_text(*state, mu_findings_json(&findings)));
        }
        mu_arena_reset(*state, mark);
    }
    assert_int_equal(wrong, 0);
}

static void
test_warnings(void **state)
{
    for (size_t i = 0; i < MU_COUNT(warnings); i++) {
        mu_findings findings;
        mu_playbook *pb = playbook_of(*state, warnings[i].text, &findings);
        const mu_finding *f = find(&findings, warnings[i].message);
        if (pb == NULL || f == NULL || f->level != MU_FINDING_WARNING || findings.errors > 0)
            fail_msg("%s: %s", warnings[i].message, mu_json_text(*state, mu_findings_json(&findings)));
    }
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
    const struct CMUnitTest tests[] = { ARENA_TEST(test_errors), ARENA_TEST(test_warnings), ARENA_TEST(test_said_once), ARENA_TEST(test_limits), ARENA_TEST(test_one_meaning), ARENA_TEST(test_mutations) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
