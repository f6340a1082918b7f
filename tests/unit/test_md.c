#include "md.h"
#include "test_help.h"

static void html(const char *text, const char *want)
{
    mu_buf out = MU_BUF(10000);
    assert_true(mu_md_html(text, strlen(text), &out));
    assert_string_equal(out.at != NULL ? out.at : "", want);
    mu_buf_free(&out);
}

static void plain(const char *text, const char *want)
{
    mu_buf out = MU_BUF(10000);
    assert_true(mu_md_plain(text, strlen(text), &out));
    assert_string_equal(out.at != NULL ? out.at : "", want);
    mu_buf_free(&out);
}

#define A(href) "<a href=\"" href "\" rel=\"noopener noreferrer nofollow\">"

static void blocks_and_spans(void **state)
{
    (void)state;
    html("", "");
    html("# 标题\n\na **b** *c* `d<e` ~~f~~\n", "<h3>标题</h3>\n<p>a <strong>b</strong> <em>c</em> <code>d&lt;e</code> <del>f</del></p>\n");
    html("- a\n- b\n\n3. c\n4. d\n", "<ul>\n<li>a</li>\n<li>b</li>\n</ul>\n<ol start=\"3\">\n<li>c</li>\n<li>d</li>\n</ol>\n");
    html("> q\n\n---\n\n```\nx < y\n```\n", "<blockquote>\n<p>q</p>\n</blockquote>\n<hr>\n<pre><code>x &lt; y\n</code></pre>\n");
    html("|a|b|\n|---|---|\n|1|2|\n", "<table>\n<thead>\n<tr><th>a</th><th>b</th></tr>\n</thead>\n<tbody>\n<tr><td>1</td><td>2</td></tr>\n</tbody>\n</table>\n");
    html("a  \nb &amp; &copy; &#39;", "<p>a<br>\nb &amp; &copy; &#39;</p>\n");
}

static void links_are_guarded(void **state)
{
    (void)state;
    html("[x](https://a.example/?q=1&b=2)", "<p>" A("https://a.example/?q=1&amp;b=2") "x</a></p>\n");
    html("[x](mailto:a@b.example)", "<p>" A("mailto:a@b.example") "x</a></p>\n");
    html("<https://a.example>", "<p>" A("https://a.example") "https://a.example</a></p>\n");
    static const char *const bad[] = {
        "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))", "[x](data:text/html,x)", "[x](/relative)", "[x](//host/x)", "[x](vbscript:x)",
        "[x](javascript&colon;alert(1))", "[x](&#106;avascript:alert(1))", "[x](&Tab;javascript:x)", "[x](file:///etc/passwd)", "[x](https&#58;//a)",
        "[x](<java\nscript:x>)",
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_buf out = MU_BUF(10000);
        assert_true(mu_md_html(bad[i], strlen(bad[i]), &out));
        assert_null(strstr(out.at, "<a "));
        mu_buf_free(&out);
    }
}

static void html_and_pictures_stay_out(void **state)
{
    (void)state;
    html("<b onclick=x>hi</b>", "<p>&lt;b onclick=x&gt;hi&lt;/b&gt;</p>\n");
    html("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n");
    html("![alt \"'<x>](https://spy.example/p.png \"t\")", "<p>alt &quot;&#39;&lt;x&gt;</p>\n");
}

static void text_for_mails(void **state)
{
    (void)state;
    plain("# Title\n\nA *b* [site](https://a.example) and <https://b.example>.\n\n- one\n- two\n  - three\n\n1. x\n2. y\n",
          "Title\n\nA b site (https://a.example) and https://b.example.\n\n- one\n- two\n  - three\n\n1. x\n2. y\n");
    plain("|a|b|\n|---|---|\n|1|2|\n", "a | b\n1 | 2\n");
    plain("a &lt; &amp; b", "a < & b\n");
    plain("", "");
}

static void limits(void **state)
{
    (void)state;
    static char big[70000];
    memset(big, 'x', sizeof big - 1);
    mu_buf out = MU_BUF(1000000), tiny = MU_BUF(10);
    assert_false(mu_md_html(big, sizeof big - 1, &out));
    assert_false(mu_md_html("\xff", 1, &out));
    assert_false(mu_md_html(big, 1000, &tiny));
    assert_true(tiny.over);
    mu_buf_free(&out);
    mu_buf_free(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_and_spans),
        cmocka_unit_test(links_are_guarded),
        cmocka_unit_test(html_and_pictures_stay_out),
        cmocka_unit_test(text_for_mails),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
