/* Log lines and metrics: what they look like, and that a value cannot forge either. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "metrics.h"
#include "test_help.h"

/* Runs one call with standard error turned into a pipe. */
#define CAPTURE(text, call) do { \
    int ends_[2], saved_ = dup(STDERR_FILENO); \
    assert_int_equal(pipe(ends_), 0); \
    dup2(ends_[1], STDERR_FILENO); \
    call; \
    dup2(saved_, STDERR_FILENO); \
    close(saved_); \
    close(ends_[1]); \
    ssize_t n_ = read(ends_[0], text, sizeof(text) - 1); \
    text[n_ > 0 ? n_ : 0] = '\0'; \
    close(ends_[0]); \
} while (0)

static void text_lines(void **state)
{
    (void)state;
    char line[4096];
    unsetenv("JOURNAL_STREAM");
    mu_log_setup("text", MU_LOG_INFO, "serve");
    mu_log_request("r-1");
    CAPTURE(line, mu_log(MU_LOG_WARN, "mail.sent", "to=%s code=%d", "a b\" code=9\nlevel=error", 250));
    assert_non_null(strstr(line, " level=warn event=mail.sent process=serve request=r-1 to=\"a b\\\" code=9\\nlevel=error\" code=250\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    CAPTURE(line, mu_log(MU_LOG_DEBUG, "quiet", "x=%d", 1));
    assert_string_equal(line, "");
    mu_log_request(NULL);
    CAPTURE(line, mu_log(MU_LOG_INFO, "plain", "just words"));
    assert_non_null(strstr(line, "event=plain process=serve text=just text=words\n"));
}

static void json_lines(void **state)
{
    (void)state;
    char line[4096];
    mu_log_setup("json", MU_LOG_INFO, "work");
    CAPTURE(line, mu_log(MU_LOG_ERROR, "x.y", "a=%s n=%d z=%s bad=%s", "\"},{", 7, "007", "\xff"));
    assert_non_null(strstr(line, "\"level\":\"error\",\"event\":\"x.y\",\"process\":\"work\",\"a\":\"\\\"},{\",\"n\":7,\"z\":\"007\",\"bad\":\"(not UTF-8)\"}\n"));
    setenv("JOURNAL_STREAM", "1:2", 1);
    mu_log_setup("text", MU_LOG_INFO, "");
    unsetenv("JOURNAL_STREAM");
    CAPTURE(line, mu_log(MU_LOG_WARN, "x", "a=%d", 1));
    assert_int_equal(strncmp(line, "<4>2", 4), 0);
    mu_log_setup("text", MU_LOG_INFO, "");
}

static void metrics_are_counted(void **state)
{
    (void)state;
    mu_count(MU_METRIC_HTTP_REQUESTS, 1, 3);
    mu_count(MU_METRIC_HTTP_REQUESTS, 99, 3); /* an unknown label is dropped */
    mu_gauge(MU_METRIC_LAST_BACKUP, 0, -1);
    mu_gauge_add(MU_METRIC_HTTP_STREAMS, 0, 2);
    mu_gauge_add(MU_METRIC_HTTP_STREAMS, 0, -1);
    mu_observe(MU_METRIC_HTTP_SECONDS, 0, 0.001);
    mu_observe(MU_METRIC_HTTP_SECONDS, 0, 0.3);
    mu_observe(MU_METRIC_HTTP_SECONDS, 0, 99);
    mu_observe(MU_METRIC_HTTP_SECONDS, 0, -1);
    mu_buf out = MU_BUF(100000);
    assert_true(mu_metrics_text(&out));
    static const char *const lines[] = {
        "# TYPE muster_http_requests_total counter\nmuster_http_requests_total{class=\"1xx\"} 0\nmuster_http_requests_total{class=\"2xx\"} 3\n",
        "\nmuster_backup_age_seconds -1\n", "\nmuster_http_streams 1\n", "muster_http_request_seconds_bucket{le=\"0.001\"} 1\n",
        "muster_http_request_seconds_bucket{le=\"0.25\"} 1\n", "muster_http_request_seconds_bucket{le=\"0.5\"} 2\n",
        "muster_http_request_seconds_bucket{le=\"+Inf\"} 3\nmuster_http_request_seconds_sum 99.301000\nmuster_http_request_seconds_count 3\n",
    };
    for (size_t i = 0; i < MU_COUNT(lines); i++)
        assert_non_null(strstr(out.at, lines[i]));
    mu_buf_free(&out);
    mu_buf tiny = MU_BUF(10);
    assert_false(mu_metrics_text(&tiny));
    mu_buf_free(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines),
        cmocka_unit_test(json_lines),
        cmocka_unit_test(metrics_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
