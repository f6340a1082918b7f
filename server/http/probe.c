/* What machines ask: health, readiness, version, metrics; and the well-known files. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "json.h"
#include "metrics.h"
#include "migrate.h"
#include "req.h"
#include "version.h"

static void out(mu_req *rq, int status, const char *media, const char *text)
{
    rq->out.status = status;
    rq->out.media = media;
    rq->out.bytes = text;
    rq->out.size = strlen(text);
}

static bool health(mu_req *rq)
{
    out(rq, 200, "application/json", "{\"status\":\"ok\"}\n");
    return true;
}

static bool version(mu_req *rq)
{
    out(rq, 200, "application/json", mu_printf(rq->arena, "{\"name\":\"muster\",\"version\":\"%s\"}\n", mu_version));
    return true;
}

static bool may_read_metrics(mu_req *rq)
{
    const char *token = mu_conf_text(MU_CONF_METRICS_TOKEN), *given = mu_header(rq, "Authorization");

    if (token[0] == '\0')
        return mu_client_is_loopback(rq) && mu_header(rq, "X-Forwarded-For") == NULL;
    return given != NULL && mu_starts(given, "Bearer ") && strlen(given + 7) == strlen(token) && mu_equal_secret(given + 7, token, strlen(token));
}

/* What lives in the database and not in this process; left as it was when the database is away. */
static void look_at_database(mu_req *rq)
{
    static const char *const severities[] = { "I", "II", "III", "IV", "none" };
    int64_t value, open[MU_COUNT(severities)] = { 0 };
    const mu_rows *incidents, *outbox, *counters;
    int first, second, third;

    if (mu_tx_begin(rq->db, rq->arena, &rq->problem, &rq->tx) != MU_OK)
        return;
    first = mu_tx_queue(rq->tx, Q_metrics_incidents, NO_ARGS);
    second = mu_tx_queue(rq->tx, Q_outbox_numbers, NO_ARGS);
    third = mu_tx_queue(rq->tx, Q_counters, NO_ARGS);
    if (mu_commit(rq->tx) != MU_OK)
        return;
    incidents = mu_tx_rows(rq->tx, first);
    for (int row = 0; row < mu_rows_count(incidents); row++)
        for (size_t i = 0; i < MU_COUNT(severities); i++)
            if (mu_same(mu_cell(incidents, row, 0), severities[i]) && mu_parse_int(mu_cell(incidents, row, 1), 0, INT64_MAX, &value))
                open[i] += value;
    for (unsigned i = 0; i < MU_COUNT(severities); i++)
        mu_gauge(MU_METRIC_INCIDENTS_OPEN, i, open[i]);
    counters = mu_tx_rows(rq->tx, third);
    for (int row = 0; row < mu_rows_count(counters); row++)
        for (size_t i = 0; i < MU_SHARED_COUNTERS; i++)
            if (mu_same(mu_cell(counters, row, 0), mu_shared_counters[i].name) && mu_parse_int(mu_cell(counters, row, 1), 0, INT64_MAX, &value))
                mu_gauge(mu_shared_counters[i].metric, mu_shared_counters[i].label, value);
    outbox = mu_tx_rows(rq->tx, second);
    mu_gauge(MU_METRIC_OUTBOX_PENDING, 0, mu_parse_int(mu_col(outbox, "pending"), 0, INT64_MAX, &value) ? value : 0);
    mu_gauge(MU_METRIC_OUTBOX_DEAD, 0, mu_parse_int(mu_col(outbox, "dead"), 0, INT64_MAX, &value) ? value : 0);
    mu_gauge(MU_METRIC_OUTBOX_AGE, 0, (int64_t)strtod(mu_col(outbox, "oldest") != NULL ? mu_col(outbox, "oldest") : "0", NULL));
}

void mu_probe_metrics(mu_req *rq)
{
    MU_CLEAN(mu_buf_free) mu_buf text = MU_BUF(1u << 20);

    rq->face = MU_FACE_JSON;
    if (!may_read_metrics(rq)) {
        mu_fail(&rq->problem, MU_FORBIDDEN, NULL, "error.metrics", NULL);
        mu_reply_problem(rq);
        return;
    }
    look_at_database(rq);
    if (!mu_metrics_text(&text)) {
        rq->problem.code = MU_INTERNAL;
        mu_reply_problem(rq);
        return;
    }
    out(rq, 200, "text/plain; version=0.0.4; charset=utf-8", mu_strndup(rq->arena, text.at != NULL ? text.at : "", text.n));
}

static bool robots(mu_req *rq)
{
    out(rq, 200, "text/plain; charset=utf-8", "User-agent: *\nAllow: /status\nAllow: /static/\nAllow: /history.atom\nAllow: /history.rss\nDisallow: /\n");
    return true;
}

static bool change_password(mu_req *rq)
{
    mu_out_redirect(rq, 303, "/password");
    return true;
}

/* RFC 9116; nothing at all rather than an address that nobody reads. Expires half a year ahead, on a day's boundary. */
static bool security(mu_req *rq)
{
    const char *contact = mu_conf_text(MU_CONF_SITE_SECURITY), *url = mu_conf_text(MU_CONF_HTTP_PUBLIC_URL);
    const mu_instant day = INT64_C(86400) * MU_SECOND, until = (mu_wall_now() / day + 180) * day;

    if (contact[0] == '\0')
        return false;
    out(rq, 200, "text/plain; charset=utf-8", mu_printf(rq->arena, "Contact: %s%s\nExpires: %s\nPreferred-Languages: zh, en\n%s%s%s",
        strchr(contact, ':') != NULL ? "" : "mailto:", contact, mu_time_format(rq->arena, until),
        url[0] != '\0' ? "Canonical: " : "", url, url[0] != '\0' ? "/.well-known/security.txt\n" : ""));
    return true;
}

/* The address that a problem document's type points to. */
static bool problem_kind(mu_req *rq)
{
    const char *code = rq->path + strlen("/problems/");

    for (int i = MU_OK + 1; i < MU_ERR_MAX; i++) {
        if (!mu_same(mu_err_code((mu_err)i), code))
            continue;
        json_t *model = mu_json_own(rq->arena, json_object());
        json_object_set_new(model, "code", json_string(code));
        json_object_set_new(model, "status", json_integer(mu_err_status((mu_err)i)));
        json_object_set_new(model, "title", json_string(mu_text(rq->arena, rq->language, mu_printf(rq->arena, "problem.%s", code), NULL)));
        json_object_set_new(model, "ui", mu_page_ui(rq));
        json_object_set_new(json_object_get(model, "ui"), "route", json_string("problem"));
        return mu_show_named(rq, "problem", model, 200) == MU_OK;
    }
    return false;
}

static const struct { const char *path; bool (*answer)(mu_req *rq); } probes[] = {
    { "/healthz", health }, { "/version", version }, { "/robots.txt", robots },
    { "/.well-known/security.txt", security }, { "/.well-known/change-password", change_password },
};

bool mu_probe_answer(mu_req *rq)
{
    if (rq->method != MU_GET || rq->face != MU_FACE_PAGE)
        return false;
    for (size_t i = 0; i < MU_COUNT(probes); i++)
        if (mu_same(probes[i].path, rq->path))
            return probes[i].answer(rq);
    return mu_starts(rq->path, "/problems/") && problem_kind(rq);
}

void mu_probe_ready(mu_req *rq)
{
    mu_problem problem = { .arena = rq->arena };
    const bool database = mu_db_alive(rq->db);
    const mu_err schema = database ? mu_migrate_check(mu_setup.direct_url, &problem) : MU_UNAVAILABLE;
    const bool ready = database && schema == MU_OK;

    out(rq, ready ? 200 : 503, "application/json", mu_printf(rq->arena, "{\"status\":\"%s\",\"database\":%s,\"schema\":%s}\n",
        ready ? "ready" : "not_ready", database ? "true" : "false", schema == MU_OK ? "true" : "false"));
    if (!ready)
        mu_out_field(rq, "Retry-After", "5");
}
