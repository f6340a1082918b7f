#include "buf.h"
#include "test_help.h"

static void the_maximum_is_kept_and_nothing_is_half_added(void **state)
{
    (void)state;
    mu_buf buf = MU_BUF(10);
    assert_true(mu_buf_adds(&buf, "12345"));
    assert_false(mu_buf_adds(&buf, "678901"));
    assert_string_equal(buf.at, "12345");
    assert_true(buf.over);
    assert_false(mu_buf_addc(&buf, 'x')); /* over for good */
    assert_int_equal(buf.n, 5);
    mu_buf_free(&buf);

    mu_buf exact = MU_BUF(5);
    assert_true(mu_buf_adds(&exact, "12345"));
    assert_false(exact.over);
    mu_buf_free(&exact);

    mu_buf escaped = MU_BUF(6);
    assert_false(mu_buf_add_html(&escaped, "a<b>", 4));
    assert_int_equal(escaped.n, 0);
    mu_buf_free(&escaped);
}

static void html_is_escaped(void **state)
{
    (void)state;
    mu_buf buf = MU_BUF(1000);
    assert_true(mu_buf_add_html(&buf, "<a href=\"x\">'&'</a> 银行", strlen("<a href=\"x\">'&'</a> 银行")));
    assert_string_equal(buf.at, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt; 银行");
    assert_int_equal(buf.n, strlen(buf.at));
    mu_buf_free(&buf);
}

static void json_strings_are_escaped(void **state)
{
    (void)state;
    mu_buf buf = MU_BUF(1000);
    assert_true(mu_buf_add_json(&buf, "a\"b\\c\n\t\x01/\x7f演", strlen("a\"b\\c\n\t\x01/\x7f演")));
    assert_string_equal(buf.at, "\"a\\\"b\\\\c\\n\\t\\u0001/\x7f演\"");
    mu_buf_free(&buf);
}

static void printing_grows_the_buffer(void **state)
{
    (void)state;
    mu_buf buf = MU_BUF(5000);
    for (int i = 0; i < 100; i++)
        assert_true(mu_buf_addf(&buf, "%04d|", i));
    assert_int_equal(buf.n, 500);
    char wide[400];
    memset(wide, 'w', sizeof wide - 1);
    wide[sizeof wide - 1] = '\0';
    assert_true(mu_buf_addf(&buf, "%s!", wide));
    assert_int_equal(buf.n, 900);
    assert_int_equal(buf.at[899], '!');
    char *taken = mu_buf_take(&buf);
    assert_int_equal(strlen(taken), 900);
    free(taken);
    assert_null(buf.at);
    taken = mu_buf_take(&buf);
    assert_string_equal(taken, "");
    free(taken);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_maximum_is_kept_and_nothing_is_half_added),
        cmocka_unit_test(html_is_escaped),
        cmocka_unit_test(json_strings_are_escaped),
        cmocka_unit_test(printing_grows_the_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
