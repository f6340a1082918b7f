/* An archive of ours opens with another program, and equal members give equal bytes. */
#include "test_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "zip.h"

static void test_archive(void **state)
{
    const mu_zip_member members[] = { { "[Content_Types].xml", "<a/>", 4 }, { "word/empty", "", 0 }, { "word/text", "some text, 文字", 17 } };
    mu_buf one = MU_BUF(4096), two = MU_BUF(4096);
    char name[] = "/tmp/muster-zip-XXXXXX", command[200], line[200]; /* allowed: the pattern mkstemp() fills in */
    int fd;
    FILE *file;

    (void)state;
    assert_true(mu_zip_write(&one, members, 3));
    assert_true(mu_zip_write(&two, members, 3));
    assert_int_equal(one.n, two.n);
    assert_memory_equal(one.at, two.at, one.n);
    assert_false(mu_zip_write(&two, members, 3));
    fd = mkstemp(name);
    assert_true(fd >= 0);
    file = fdopen(fd, "wb");
    assert_int_equal(fwrite(one.at, 1, one.n, file), one.n);
    fclose(file);
    snprintf(command, sizeof command, "python3 -c \"import zipfile; z = zipfile.ZipFile('%s'); print(z.testzip(), z.namelist(), len(z.read('word/text')))\"", name);
    file = popen(command, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_int_equal(pclose(file), 0);
    assert_string_equal(line, "None ['[Content_Types].xml', 'word/empty', 'word/text'] 17\n");
    remove(name);
    mu_buf_free(&one);
    mu_buf_free(&two);
}

static void test_limit(void **state)
{
    const mu_zip_member member = { "a", "0123456789", 10 };
    mu_buf small = MU_BUF(40);

    (void)state;
    assert_false(mu_zip_write(&small, &member, 1));
    mu_buf_free(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_archive), cmocka_unit_test(test_limit) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
