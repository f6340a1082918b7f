/* Every playbook we ship, written by the program: the same document, and the text does not change when it is written again. */
#include <glob.h>
#include <stdio.h>

#include "json.h"
#include "mu_yaml.h"
#include "playbook.h"
#include "test_help.h"

static char *file_text(mu_arena *arena, const char *name, size_t *ret_n)
{
    FILE *file = fopen(name, "rb");
    char *text = mu_alloc(arena, MU_PLAYBOOK_BYTES + 1);
    assert_non_null(file);
    *ret_n = fread(text, 1, MU_PLAYBOOK_BYTES, file);
    fclose(file);
    return text;
}

static json_t *read_document(mu_arena *arena, const char *text, size_t n)
{
    mu_problem problem = { .arena = arena };
    json_t *doc = NULL;
    assert_int_equal(mu_yaml_parse(arena, text, n, &problem, &doc, NULL), MU_OK);
    return doc;
}

static void shipped_playbooks_are_written_and_read_back(void **state)
{
    glob_t found;
    assert_int_equal(glob(SOURCE_DIR "/playbooks/*/*.yaml", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        mu_arena *arena = mu_arena_new((size_t)256 * 1024 * 1024);
        size_t n;
        const char *text = file_text(arena, found.gl_pathv[i], &n);
        const json_t *doc = read_document(arena, text, n);
        const char *written = mu_playbook_yaml(arena, doc);
        assert_non_null(written);
        const json_t *again = read_document(arena, written, strlen(written));
        assert_true(json_equal(doc, again));
        assert_string_equal(mu_playbook_yaml(arena, again), written);
        mu_arena_free(arena);
    }
    globfree(&found);
    (void)state;
}

/* The database keeps a document with its keys in another order; the text is the same. */
static void the_order_of_the_tree_does_not_matter(void **state)
{
    static const char one[] = "format: muster/1\nid: t\ntitle: {zh: 测, en: T}\nroles:\n  a: {zh: 甲, en: A, min: 1, max: 2}\nsteps:\n"
        "  - task: x\n    title: {zh: 做, en: Do it}\n    text: |-\n      one\n      two\n    when: n == 1\n    role: a\n    deadline: {after: 5m, escalate: [a]}\n";
    mu_arena *arena = *state;
    mu_problem problem = { .arena = arena };
    mu_buf out = MU_BUF(10000);
    json_t *sorted;
    assert_true(mu_json_canonical(read_document(arena, one, sizeof one - 1), &out));
    assert_int_equal(mu_json_parse(arena, out.at, out.n, &problem, &sorted), MU_OK);
    assert_string_equal(mu_playbook_yaml(arena, sorted), one);
    mu_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shipped_playbooks_are_written_and_read_back),
        ARENA_TEST(the_order_of_the_tree_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
