/* The address policy and the URL check: pure functions, no network. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "fetch.h"
#include "str.h"

static bool
allowed(const char *text, const mu_cidrs *allow)
{
    struct sockaddr_storage storage = { 0 };
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

    if (strchr(text, ':') != NULL) {
        assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
        memcpy(&storage, &v6, sizeof v6);
    } else {
        assert_int_equal(inet_pton(AF_INET, text, &v4.sin_addr), 1);
        memcpy(&storage, &v4, sizeof v4);
    }
    const void *raw = &storage;
    return mu_address_allowed(raw, allow);
}

static void
test_refused(void **state)
{
    static const char *const bad[] = {
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.254", "127.0.0.1", "127.1.2.3", "169.254.169.254",
        "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
        "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a00:1", "64:ff9b::808:808", "64:ff9b:1::1",
        "100::1", "2001::1", "2001:2::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1",
        "3fff::1", "5f00::1", "4000::1", "e000::1",
    };
    mu_cidrs none = { NULL, 0 };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(bad); i++)
        if (allowed(bad[i], &none))
            fail_msg("%s must be refused", bad[i]);
}

static void
test_public(void **state)
{
    static const char *const good[] = {
        "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.167.255.255",
        "198.17.255.255", "198.20.0.1", "223.255.255.255", "2400:3200::1", "2606:4700:4700::1111", "2001:4860:4860::8888",
    };
    mu_cidrs none = { NULL, 0 };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(good); i++)
        if (!allowed(good[i], &none))
            fail_msg("%s must be allowed", good[i]);
}

static void
test_allow_list(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    mu_problem problem = { .arena = arena };
    mu_cidrs allow;
    struct sockaddr_un local = { .sun_family = AF_UNIX };
    const void *raw = &local;

    (void)state;
    assert_int_equal(mu_cidrs_parse(arena, " 10.1.0.0/16,192.168.7.9 fd00:1::/32 0.0.0.0/0", &problem, "hooks.allow", &allow), MU_OK);
    assert_int_equal(allow.count, 4);
    allow.count = 3;
    assert_true(allowed("10.1.255.255", &allow));
    assert_false(allowed("10.2.0.0", &allow));
    assert_true(allowed("192.168.7.9", &allow));
    assert_false(allowed("192.168.7.10", &allow));
    assert_true(allowed("fd00:1:ffff::1", &allow));
    assert_false(allowed("fd00:2::1", &allow));
    assert_false(allowed("::ffff:10.1.2.3", &allow)); /* the other family needs its own entry */
    allow.count = 4;
    assert_true(allowed("127.0.0.1", &allow));
    assert_false(allowed("0.0.0.0", &allow)); /* never, even when listed */
    assert_false(allowed("224.0.0.1", &allow));
    assert_false(allowed("255.255.255.255", &allow));
    assert_false(mu_address_allowed(raw, &allow));
    mu_arena_free(arena);
}

static void
test_allow_list_bad(void **state)
{
    static const char *const bad[] = { "10.0.0.0/33", "10.0.0.1/8", "10.0.0/8", "fd00::/129", "fd00::1/64", "/8", "10.0.0.0/", "10.0.0.0/-1", "host", "::/0x" };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_arena *arena = mu_arena_new(0);
        mu_problem problem = { .arena = arena };
        mu_cidrs allow;
        if (mu_cidrs_parse(arena, bad[i], &problem, "hooks.allow", &allow) != MU_INVALID)
            fail_msg("%s must be refused", bad[i]);
        assert_string_equal(problem.first->pointer, "hooks.allow");
        assert_string_equal(problem.first->key, "error.network.malformed");
        assert_string_equal(problem.first->args[1], bad[i]);
        mu_arena_free(arena);
    }
}

static void
test_url(void **state)
{
    static const struct { const char *url; bool http; const char *fault; } cases[] = {
        { "https://hooks.example.com/a/b?c=d", false, NULL },
        { "https://hooks.example.com:8443/", false, NULL },
        { "http://hooks.example.com/", true, NULL },
        { "https://1.1.1.1/", false, NULL },
        { "https://[2606:4700:4700::1111]/", false, NULL },
        { "https://xn--fiqs8s.example/", false, NULL },
        { "http://hooks.example.com/", false, "error.url.scheme" },
        { "ftp://hooks.example.com/", true, "error.url.scheme" },
        { "file:///etc/passwd", true, "error.url.scheme" },
        { "gopher://h/", true, "error.url.scheme" },
        { "hooks.example.com", true, "error.url.malformed" },
        { "", true, "error.url.malformed" },
        { "https://", true, "error.url.malformed" },
        { "https://a b/", true, "error.url.malformed" },
        { "https://h/\r\nX: y", true, "error.url.malformed" },
        { "https://user@h/", true, "error.url.user_info" },
        { "https://user:pw@h/", true, "error.url.user_info" },
        { "https://h/#part", true, "error.url.fragment" },
        { "https://\xe4\xb8\xad.example/", true, "error.url.host" },
        { "https://127.0.0.1/", true, "error.url.address" },
        { "https://127.1/", true, "error.url.address" },
        { "https://2130706433/", true, "error.url.address" },
        { "https://0x7f000001/", true, "error.url.address" },
        { "https://017700000001/", true, "error.url.address" },
        { "https://[::1]/", true, "error.url.address" },
        { "https://[::ffff:10.0.0.1]/", true, "error.url.address" },
        { "https://[fe80::1%25eth0]/", true, "error.url.address" },
        { "https://169.254.169.254/latest", true, "error.url.address" },
        { "https://h:22/", true, "error.url.port" },
        { "https://h:25/", true, "error.url.port" },
        { "https://h:0/", true, "error.url.port" },
        { "https://h:99999/", true, "error.url.malformed" },
    };
    mu_cidrs none = { NULL, 0 };

    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        const char *fault = mu_url_fault(cases[i].url, cases[i].http, &none);
        if (!mu_same(fault, cases[i].fault))
            fail_msg("%s: %s instead of %s", cases[i].url, fault != NULL ? fault : "good", cases[i].fault != NULL ? cases[i].fault : "good");
    }
}

static void
test_url_redacted(void **state)
{
    mu_arena *arena = mu_arena_new(0);

    (void)state;
    char *long_one = mu_url_redacted(arena, "https://oapi.example.com/robot/send?access_token=0123456789abcdef");
    assert_string_equal(long_one, "https://oapi.example.com/\xe2\x80\xa6" "cdef");
    assert_string_equal(mu_url_redacted(arena, "https://h.example:8443/short"), "https://h.example:8443/\xe2\x80\xa6");
    assert_string_equal(mu_url_redacted(arena, "https://user:secret@h.example/"), "https://h.example/\xe2\x80\xa6");
    assert_string_equal(mu_url_redacted(arena, "::::"), "?");
    mu_arena_free(arena);
}

static void
test_refused_before_sending(void **state)
{
    mu_arena *arena = mu_arena_new(0);
    mu_fetch_policy policy = { .http = true, .proxy = "", .ca_file = "", .timeout_ms = 2000 };
    static const char *const bad_header[] = { "X-A: b\r\nX-C: d", NULL };
    mu_fetch_request rq = { .method = "GET", .url = "http://127.0.0.1:1/" };
    mu_fetch_answer answer = { 0 };

    (void)state;
    mu_fetch_one(arena, &policy, &rq, &answer);
    assert_int_equal(answer.outcome, MU_FETCH_BAD_URL);
    assert_string_equal(answer.error, "error.url.address");
    rq.url = "http://localhost:1/"; /* a name: found out when its address is known */
    mu_fetch_one(arena, &policy, &rq, &answer);
    assert_int_equal(answer.outcome, MU_FETCH_BAD_ADDRESS);
    rq.url = "https://hooks.example.com/";
    rq.headers = bad_header;
    mu_fetch_one(arena, &policy, &rq, &answer);
    assert_int_equal(answer.outcome, MU_FETCH_BAD_URL);
    assert_string_equal(answer.error, "error.header.malformed");
    mu_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused), cmocka_unit_test(test_public), cmocka_unit_test(test_allow_list), cmocka_unit_test(test_allow_list_bad),
        cmocka_unit_test(test_url), cmocka_unit_test(test_url_redacted), cmocka_unit_test(test_refused_before_sending),
    };

    return mu_fetch_start_library() ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
