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
    static const char *const elsewhere[] = { "V30.bytes", "V30.steps", "V30.vars", "V05.call_depth" };
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
    const struct CMUnitTest tests[] = { ARENA_TEST(test_bad), ARENA_TEST(test_said_once), ARENA_TEST(test_limits), ARENA_TEST(test_one_meaning), ARENA_TEST(test_mutations) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
