/* Implicit TLS by libcurl, which libESMTP cannot do. One connection, kept for all messages of the batch. */
#include <curl/curl.h>
#include <string.h>

#include "clock.h"
#include "mail_child.h"
#include "str.h"

typedef struct { const mu_mail *mail; size_t sent; } reader;

static size_t
on_read(char *into, size_t size, size_t n, void *closure)
{
    reader *r = closure;
    size_t room = size * n, left = r->mail->n - r->sent, take = left < room ? left : room;

    memcpy(into, r->mail->bytes + r->sent, take);
    r->sent += take;
    return take;
}

static void
set_server(CURL *easy, mu_arena *arena, const mu_mail_server *server)
{
    bool v6 = strchr(server->host, ':') != NULL;

    curl_easy_setopt(easy, CURLOPT_URL, mu_printf(arena, v6 ? "smtps://[%s]:%d" : "smtps://%s:%d", server->host, server->port));
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtps");
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (server->ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, server->ca_file);
    if (server->user[0] != '\0') {
        curl_easy_setopt(easy, CURLOPT_USERNAME, server->user);
        curl_easy_setopt(easy, CURLOPT_PASSWORD, server->password);
    }
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, server->timeout < 10 ? (long)server->timeout * 1000 : 10000L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
}

/* True when the connection is still worth trying. */
static bool
send_one(CURL *easy, mu_arena *arena, mu_mail_job *job, int64_t ends)
{
    char error[CURL_ERROR_SIZE] = "";
    reader r = { &job->mail, 0 };
    int64_t left = ends - mu_monotonic_ms();
    long code = 0;

    if (left <= 0) {
        mu_mail_settle(arena, job, MU_MAIL_RETRY, 0, "the mail server did not finish in time");
        return false;
    }
    struct curl_slist *to = curl_slist_append(NULL, mu_printf(arena, "<%s>", job->mail.to));
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)left);
    curl_easy_setopt(easy, CURLOPT_MAIL_FROM, mu_printf(arena, "<%s>", job->mail.from));
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, to);
    curl_easy_setopt(easy, CURLOPT_READDATA, &r);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, error);
    CURLcode done = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &code);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(easy, CURLOPT_MAIL_RCPT, NULL);
    curl_slist_free_all(to);
    job->given = r.sent > 0;
    if (done == CURLE_OK && code / 100 == 2 && r.sent == job->mail.n) {
        mu_mail_settle(arena, job, MU_MAIL_SENT, (int)code, "");
        return true;
    }
    bool refused = code >= 400 && done != CURLE_LOGIN_DENIED && done != CURLE_OPERATION_TIMEDOUT;
    mu_mail_settle(arena, job, refused ? mu_mail_outcome_of((int)code) : MU_MAIL_RETRY, code >= 400 ? (int)code : 0,
                   error[0] != '\0' ? error : curl_easy_strerror(done));
    return refused;
}

bool
mu_mail_curl(mu_arena *arena, const mu_mail_server *server, mu_mail_job *jobs, size_t count)
{
    static bool initialised;
    if (!initialised)
        initialised = curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK;
    CURL *easy = initialised ? curl_easy_init() : NULL;
    int64_t ends = mu_monotonic_ms() + server->timeout * 1000;
    bool open = easy != NULL;

    if (open)
        set_server(easy, arena, server);
    for (size_t i = 0; i < count; i++)
        if (!jobs[i].settled && open)
            open = send_one(easy, arena, &jobs[i], ends);
        else if (!jobs[i].settled)
            mu_mail_settle(arena, &jobs[i], MU_MAIL_RETRY, 0, "no connection to the mail server");
    curl_easy_cleanup(easy);
    return open;
}
