/* The composer, read back with a small decoder of our own; independent parsers judge it again in the interface tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "mime.h"
#include "str.h"

static const mu_mime plain = {
    .message_id = "inc-2026-0042.u7.0a1b2c@muster.example", .thread = "inc-2026-0042@muster.example", .from = "muster@bank.example",
    .from_name = "Muster", .to = "li@bank.example", .to_name = "Li Na", .subject = "[INC-2026-0042] Mobile banking down", .text = "First line\nSecond line\n",
    .language = "en", .incident = "INC-2026-0042", .severity = "II", .at = INT64_C(1795500309) * MU_SECOND,
};

static char *
write_ok(mu_arena *arena, const mu_mime *m)
{
    mu_problem problem = { .arena = arena };
    mu_buf out = MU_BUF(1 << 20);

    assert_int_equal(mu_mime_write(arena, m, &problem, &out), MU_OK);
    char *text = mu_strndup(arena, out.at, out.n);
    assert_int_equal(strlen(text), out.n); /* no NUL inside */
    mu_buf_free(&out);
    return text;
}

/* Every line ends with CRLF, is at most 76 bytes long and ASCII. */
static void
check_lines(const char *text)
{
    size_t line = 0;

    for (const char *c = text; *c != '\0'; c++) {
        assert_true((unsigned char)*c < 0x7f);
        if (*c == '\n') {
            assert_true(c > text && c[-1] == '\r');
            line = 0;
        } else if (*c != '\r')
            assert_true(++line <= 76);
    }
    assert_int_equal(line, 0);
}

/* The unfolded value of a header, NULL when absent; fails when it comes twice. */
static char *
header_of(mu_arena *arena, const char *message, const char *name)
{
    char *found = NULL;
    size_t n = strlen(name);

    for (const char *line = message; strncmp(line, "\r\n", 2) != 0;) {
        const char *end = line;
        do
            end = strstr(end, "\r\n") + 2;
        while (*end == ' ' || *end == '\t');
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            assert_null(found);
            const char *value = line + n + 1;
            while (*value == ' ' || *value == '\r' || *value == '\n')
                value++;
            found = mu_strndup(arena, value, (size_t)(end - 2 - value));
        }
        line = end;
    }
    return found;
}

/* Decodes encoded words; white space between two of them vanishes. Each must be valid UTF-8 by itself. */
static char *
unword(mu_arena *arena, const char *value)
{
    mu_buf out = MU_BUF(4096);
    bool was_word = false;

    while (*value != '\0') {
        if (strncmp(value, "=?UTF-8?B?", 10) == 0) {
            const char *end = strstr(value + 10, "?=");
            void *bytes;
            size_t n;
            assert_non_null(end);
            assert_true(end + 2 - value <= 75);
            assert_true(mu_unbase64(arena, mu_strndup(arena, value + 10, (size_t)(end - value - 10)), &bytes, &n));
            assert_true(mu_utf8_valid(bytes, n));
            mu_buf_add(&out, bytes, n);
            value = end + 2;
            was_word = true;
        } else if (*value == '\r' || *value == '\n' || (was_word && *value == ' ' && strncmp(value + strspn(value, " \r\n"), "=?", 2) == 0))
            value++;
        else {
            mu_buf_addc(&out, *value++);
            was_word = false;
        }
    }
    char *text = mu_strndup(arena, out.at != NULL ? out.at : "", out.n);
    mu_buf_free(&out);
    return text;
}

/* The decoded body of the first part with that content type. */
static char *
part_of(mu_arena *arena, const char *message, const char *type)
{
    const char *at = strstr(message, mu_printf(arena, "Content-Type: %s", type));
    mu_buf joined = MU_BUF(1 << 20);
    void *bytes;
    size_t n;

    assert_non_null(at);
    at = strstr(at, "\r\n\r\n") + 4;
    for (; *at != '\0' && *at != '-'; at++)
        if (*at != '\r' && *at != '\n')
            mu_buf_addc(&joined, *at);
    assert_true(mu_unbase64(arena, joined.at != NULL ? joined.at : "", &bytes, &n));
    mu_buf_free(&joined);
    return mu_strndup(arena, bytes, n);
}

static void
test_plain(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    char *text = write_ok(arena, &plain);

    (void)state;
    check_lines(text);
    assert_string_equal(header_of(arena, text, "From"), "\"Muster\" <muster@bank.example>");
    assert_string_equal(header_of(arena, text, "To"), "\"Li Na\" <li@bank.example>");
    assert_string_equal(header_of(arena, text, "Subject"), "[INC-2026-0042] Mobile banking down");
    assert_string_equal(header_of(arena, text, "Message-ID"), "<inc-2026-0042.u7.0a1b2c@muster.example>");
    assert_string_equal(header_of(arena, text, "In-Reply-To"), "<inc-2026-0042@muster.example>");
    assert_string_equal(header_of(arena, text, "References"), "<inc-2026-0042@muster.example>");
    assert_string_equal(header_of(arena, text, "Date"), "Tue, 24 Nov 2026 06:05:09 +0000");
    assert_string_equal(header_of(arena, text, "Auto-Submitted"), "auto-generated");
    assert_string_equal(header_of(arena, text, "MIME-Version"), "1.0");
    assert_string_equal(header_of(arena, text, "X-Muster-Incident"), "INC-2026-0042");
    assert_null(header_of(arena, text, "X-Muster-Drill"));
    assert_null(header_of(arena, text, "X-Priority"));
    assert_null(strstr(text, "DRILL"));
    assert_string_equal(part_of(arena, text, "text/plain"), "First line\r\nSecond line\r\n");
    assert_string_equal(text, write_ok(arena, &plain)); /* every attempt has the same bytes */
    mu_arena_free(arena);
}

static void
test_chinese(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    mu_mime m = plain;
    static const char subject[] = "[INC-2026-0042] 手机银行转账与登录功能大面积中断,影响全国约三十万客户,请各应急小组立即到岗并确认";
    static const char name[] = "某某银行股份有限公司信息科技部业务连续性管理办公室应急指挥中心";

    (void)state;
    m.subject = subject;
    m.from_name = name;
    m.to_name = "Li, \"Na\"";
    char *text = write_ok(arena, &m);
    check_lines(text);
    assert_string_equal(unword(arena, header_of(arena, text, "Subject")), subject);
    assert_string_equal(unword(arena, header_of(arena, text, "From")), mu_printf(arena, "%s <muster@bank.example>", name));
    assert_string_equal(unword(arena, header_of(arena, text, "To")), "Li, \"Na\" <li@bank.example>");
    mu_arena_free(arena);
}

/* Every length around the limits, with characters of every width: nothing split, nothing lost. */
static void
test_words_property(void **state)
{
    static const char *const signs[] = { "a", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x94\xa5", " " };

    (void)state;
    for (size_t length = 0; length < 90; length++)
        for (size_t turn = 0; turn < 5; turn++) {
            mu_arena *arena = mu_arena_new(0);
            mu_buf in = MU_BUF(1000), out = MU_BUF(4000);
            mu_buf_adds(&in, "x");
            for (size_t i = 0; i < length; i++)
                mu_buf_adds(&in, signs[(i * (turn + 1) + turn) % 5]);
            mu_buf_adds(&in, "x");
            assert_true(mu_mime_words(&out, in.at, 9));
            assert_string_equal(unword(arena, out.at), in.at);
            mu_buf_free(&in);
            mu_buf_free(&out);
            mu_arena_free(arena);
        }
}

static void
test_drill(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    static const mu_mime_file file = { .name = "演练报告.pdf", .type = "application/pdf", .bytes = "%PDF-", .n = 5 };
    mu_mime m = plain;

    (void)state;
    m.drill = true;
    m.urgent = true;
    m.html = "<!doctype html><html><BODY class=\"x\"><p>Text</p></BODY></html>";
    m.files = &file;
    m.file_count = 1;
    char *text = write_ok(arena, &m);
    check_lines(text);
    assert_true(mu_starts(unword(arena, header_of(arena, text, "Subject")), MU_DRILL_MARK " [INC-2026-0042]"));
    assert_string_equal(header_of(arena, text, "X-Muster-Drill"), "yes");
    assert_string_equal(header_of(arena, text, "X-Priority"), "1");
    assert_true(mu_starts(part_of(arena, text, "text/plain"), MU_DRILL_MARK "\r\nFirst line"));
    assert_non_null(strstr(part_of(arena, text, "text/html"), "<BODY class=\"x\">" MU_DRILL_MARK));
    assert_string_equal(part_of(arena, text, "application/pdf"), "%PDF-");
    assert_non_null(strstr(text, "=UTF-8''%5BDRILL%5D%20%E6%BC"));
    /* a page without a body tag still gets it, in front */
    m.html = "text";
    assert_true(mu_starts(part_of(arena, write_ok(arena, &m), "text/html"), MU_DRILL_MARK));
    /* an empty body as well */
    m.html = NULL;
    m.text = "";
    assert_true(mu_starts(part_of(arena, write_ok(arena, &m), "text/plain"), MU_DRILL_MARK));
    mu_arena_free(arena);
}

static void
test_attachment_names(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    mu_mime_file file = { .type = "application/pdf", .bytes = "x", .n = 1 };
    mu_mime m = plain;

    (void)state;
    m.files = &file;
    m.file_count = 1;
    file.name = "国家金融监督管理总局突发事件续报材料及附件汇总表(第三稿)最终版.docx";
    char *text = write_ok(arena, &m);
    check_lines(text);
    assert_non_null(strstr(text, "filename*0*=UTF-8''%E5%9B%BD"));
    assert_non_null(strstr(text, "filename*1*=%"));
    mu_arena_free(arena);
}

static void
test_injection(void **state)
{
    static const char *const bad[] = { "a\r\nBcc: x@y.example", "a\nb", "a\rb", "a\x01", "a\x7f", "\xff\xfe", "\xe2\x80\xae" };
    size_t offsets[] = { offsetof(mu_mime, subject), offsetof(mu_mime, from_name), offsetof(mu_mime, to_name), offsetof(mu_mime, to),
                         offsetof(mu_mime, from), offsetof(mu_mime, reply_to), offsetof(mu_mime, message_id), offsetof(mu_mime, thread),
                         offsetof(mu_mime, incident), offsetof(mu_mime, severity), offsetof(mu_mime, unsubscribe), offsetof(mu_mime, list_id),
                         offsetof(mu_mime, language) };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        for (size_t j = 0; j < MU_COUNT(offsets); j++) {
            mu_arena *arena = mu_arena_new(0);
            mu_problem problem = { .arena = arena };
            mu_mime m = plain;
            mu_buf out = MU_BUF(1 << 16);
            memcpy((char *)&m + offsets[j], &bad[i], sizeof bad[i]);
            assert_int_equal(mu_mime_write(arena, &m, &problem, &out), MU_INVALID);
            assert_non_null(problem.first);
            assert_int_equal(out.n, 0);
            mu_buf_free(&out);
            mu_arena_free(arena);
        }
}

static void
test_address(void **state)
{
    static const struct { const char *in, *out; } cases[] = {
        { "li@bank.example", "li@bank.example" }, { "li@\xe4\xb8\xad\xe5\x9b\xbd.example", "li@xn--fiqs8s.example" },
        { "\xe6\x9d\x8e@bank.example", NULL }, { "li", NULL }, { "@bank.example", NULL }, { "li@", NULL }, { "li@bank.example\r\nRCPT TO:<x>", NULL },
        { "li>@bank.example", NULL }, { "a b@bank.example", NULL }, { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        mu_arena *arena = mu_arena_new(0);
        mu_problem problem = { .arena = arena };
        char *made = NULL;
        mu_err err = mu_mail_address(arena, cases[i].in, &problem, "/email", &made);
        if ((err == MU_OK) != (cases[i].out != NULL))
            fail_msg("%s: %s", cases[i].in, mu_err_code(err));
        if (cases[i].out != NULL)
            assert_string_equal(made, cases[i].out);
        else
            assert_string_equal(problem.first->pointer, "/email");
        mu_arena_free(arena);
    }
}

static void
test_too_large(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };
    mu_buf out = MU_BUF(500);

    (void)state;
    assert_int_equal(mu_mime_write(arena, &plain, &problem, &out), MU_TOO_LARGE);
    mu_buf_free(&out);
    mu_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_chinese), cmocka_unit_test(test_words_property), cmocka_unit_test(test_drill),
        cmocka_unit_test(test_attachment_names), cmocka_unit_test(test_injection), cmocka_unit_test(test_address), cmocka_unit_test(test_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
