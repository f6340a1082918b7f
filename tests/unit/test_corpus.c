/* Replays the corpora of tests/fuzz: the seeds, and every input that once broke something. */
#include <dirent.h>
#include <stdio.h>

#include "test_help.h"

#define MU_FUZZ_REPLAY 1
#include "../fuzz/fuzz_apply.c"
#include "../fuzz/fuzz_clock.c"
#include "../fuzz/fuzz_csv.c"
#include "../fuzz/fuzz_expression.c"
#include "../fuzz/fuzz_form.c"
#include "../fuzz/fuzz_json.c"
#include "../fuzz/fuzz_md.c"
#include "../fuzz/fuzz_multipart.c"
#include "../fuzz/fuzz_mustache.c"
#include "../fuzz/fuzz_playbook.c"
#include "../fuzz/fuzz_cacao.c"
#include "../fuzz/fuzz_url.c"
#include "../fuzz/fuzz_yaml.c"

static void replay(const char *corpus, int (*target)(const uint8_t *data, size_t n))
{
    char folder[512], path[1024];
    unsigned count = 0;
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", SOURCE_DIR, corpus);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        uint8_t *bytes = malloc(1 << 20);
        size_t n = fread(bytes, 1, 1 << 20, file);
        fclose(file);
        assert_int_equal(target(bytes, n), 0);
        free(bytes);
        count++;
    }
    closedir(dir);
    assert_true(count > 0);
}

#define REPLAY(name) static void replays_##name(void **state) { (void)state; replay(#name, fuzz_##name); }
REPLAY(apply)
REPLAY(clock)
REPLAY(csv)
REPLAY(expression)
REPLAY(form)
REPLAY(json)
REPLAY(md)
REPLAY(multipart)
REPLAY(mustache)
REPLAY(playbook)
REPLAY(cacao)
REPLAY(url)
REPLAY(yaml)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replays_apply), cmocka_unit_test(replays_clock), cmocka_unit_test(replays_csv), cmocka_unit_test(replays_form), cmocka_unit_test(replays_json),
        cmocka_unit_test(replays_md), cmocka_unit_test(replays_multipart), cmocka_unit_test(replays_mustache), cmocka_unit_test(replays_url),
        cmocka_unit_test(replays_yaml), cmocka_unit_test(replays_expression), cmocka_unit_test(replays_playbook), cmocka_unit_test(replays_cacao),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
