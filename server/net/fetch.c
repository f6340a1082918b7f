#include "fetch.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "conf.h"
#include "str.h"

#define CONNECT_MS     10000L
#define CONNECTIONS_PER_HOST 8L       /* of one mu_fetch; there are two senders */
#define RETRY_AFTER_MAX (24 * 3600)

typedef struct call {
    mu_fetch         *fetch;
    const mu_fetch_request *request;
    mu_fetch_done     done;
    void             *closure;
    struct curl_slist *headers;
    CURL             *easy;
    mu_buf            body, head;
    bool              cut, refused;     /* refused: the socket callback said no */
    int64_t           began;
    char              error[CURL_ERROR_SIZE];
    struct call      *next;
} call;

struct mu_fetch {
    const mu_fetch_policy *policy;
    CURLM   *multi;
    call    *first, *last;      /* queued, in order */
    call    *flying;            /* under way */
    size_t   waiting, under_way;
    unsigned in_flight;
    CURL   **idle;              /* handles kept for their caches */
    size_t   idle_n;
};

bool
mu_fetch_start_library(void)
{
    return curl_global_init(CURL_GLOBAL_ALL) == CURLE_OK;
}

mu_err
mu_fetch_policy_load(mu_arena *arena, mu_problem *problem, mu_fetch_policy *ret)
{
    TRY(mu_cidrs_parse(arena, mu_conf_text(MU_CONF_HOOKS_ALLOW), problem, "hooks.allow", &ret->allow));
    ret->http = mu_conf_bool(MU_CONF_HOOKS_HTTP);
    ret->proxy = mu_strdup(arena, mu_conf_text(MU_CONF_HOOKS_PROXY));
    ret->ca_file = mu_strdup(arena, mu_conf_text(MU_CONF_HOOKS_CA));
    ret->timeout_ms = (long)mu_conf_int(MU_CONF_HOOKS_TIMEOUT) * 1000;
    return MU_OK;
}

/* Out of memory ends the process, as in the arena: a supervisor restarts it and the outbox has lost nothing. */
static void *
must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

mu_fetch *
mu_fetch_start(const mu_fetch_policy *policy, unsigned in_flight)
{
    mu_fetch *fetch = must(calloc(1, sizeof *fetch));

    fetch->policy = policy;
    fetch->in_flight = in_flight > 0 ? in_flight : 1;
    fetch->multi = must(curl_multi_init());
    fetch->idle = must(calloc(fetch->in_flight, sizeof(CURL *)));
    curl_multi_setopt(fetch->multi, CURLMOPT_MAXCONNECTS, (long)fetch->in_flight);
    curl_multi_setopt(fetch->multi, CURLMOPT_MAX_HOST_CONNECTIONS, CONNECTIONS_PER_HOST);
    return fetch;
}

/* ---- what libcurl calls; no arena in here ---- */

static size_t
on_body(char *bytes, size_t size, size_t n, void *closure)
{
    call *c = closure;
    size_t given = size * n, room = MU_FETCH_BODY_MAX - c->body.n;

    if (given > room) {
        mu_buf_add(&c->body, bytes, room);
        c->cut = true;
        return 0; /* ends the call: whoever sends more than this wants to keep us busy */
    }
    mu_buf_add(&c->body, bytes, given);
    return given;
}

/* A status line starts anew: what came before it was an interim answer. */
static size_t
on_header(char *bytes, size_t size, size_t n, void *closure)
{
    call *c = closure;
    size_t given = size * n, keep = given;

    if (given >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        c->head.n = 0;
        return given;
    }
    while (keep > 0 && (bytes[keep - 1] == '\r' || bytes[keep - 1] == '\n'))
        keep--;
    if (keep > 0 && memchr(bytes, '\0', keep) == NULL && c->head.n + keep < MU_FETCH_HEADERS_MAX) {
        mu_buf_add(&c->head, bytes, keep);
        mu_buf_addc(&c->head, '\n');
    }
    return given;
}

static curl_socket_t
on_socket(void *closure, curlsocktype purpose, struct curl_sockaddr *address)
{
    call *c = closure;
    const mu_fetch_policy *policy = c->fetch->policy;
    bool known = address->family == AF_INET || address->family == AF_INET6;

    if (purpose != CURLSOCKTYPE_IPCXN || !known || address->socktype != SOCK_STREAM) {
        c->refused = true;
        return CURL_SOCKET_BAD;
    }
    /* The proxy was named by the administrator; its address needs no leave, and the target's cannot be seen from here. */
    if (policy->proxy[0] == '\0' && !mu_address_allowed(&address->addr, &policy->allow)) {
        c->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- one call ---- */

static bool
header_clean(const char *header)
{
    return header[strcspn(header, "\r\n")] == '\0' && strchr(header, ':') != NULL;
}

static bool
add_header(call *c, const char *header)
{
    struct curl_slist *more = header_clean(header) ? curl_slist_append(c->headers, header) : NULL;

    if (more == NULL)
        return false;
    c->headers = more;
    return true;
}

static bool
set_headers(call *c)
{
    char type[160];

    if (!add_header(c, "Expect:"))
        return false;
    if (c->request->content_type != NULL) {
        int n = snprintf(type, sizeof type, "Content-Type: %s", c->request->content_type);
        if (n < 0 || (size_t)n >= sizeof type || !add_header(c, type))
            return false;
    }
    for (const char *const *h = c->request->headers; h != NULL && *h != NULL; h++)
        if (!add_header(c, *h))
            return false;
    return true;
}

static void
set_limits(CURL *easy, const mu_fetch_policy *policy, long timeout_ms)
{
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, policy->http ? "https,http" : "https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_PROXY, policy->proxy); /* "" also shuts out the environment */
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (policy->ca_file[0] != '\0')
        curl_easy_setopt(easy, CURLOPT_CAINFO, policy->ca_file);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "Muster");
}

static void
set_call(call *c)
{
    const mu_fetch_request *rq = c->request;
    CURL *easy = c->easy;

    curl_easy_setopt(easy, CURLOPT_URL, rq->url);
    if (rq->body != NULL || mu_same(rq->method, "POST") || mu_same(rq->method, "PUT")) {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)rq->body_n);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, rq->body != NULL ? rq->body : "");
    }
    curl_easy_setopt(easy, CURLOPT_NOBODY, mu_same(rq->method, "HEAD") ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, rq->method);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, c);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, c->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
}

static void
call_free(call *c)
{
    curl_slist_free_all(c->headers);
    mu_buf_free(&c->body);
    mu_buf_free(&c->head);
    free(c);
}

static mu_fetch_outcome
outcome_of(const call *c, CURLcode code)
{
    if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && c->cut))
        return MU_FETCH_ANSWERED;
    if (c->refused)
        return MU_FETCH_BAD_ADDRESS;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return MU_FETCH_TIMEOUT;
    if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CERTPROBLEM
        || code == CURLE_SSL_CIPHER || code == CURLE_SSL_CACERT_BADFILE || code == CURLE_SSL_ISSUER_ERROR)
        return MU_FETCH_TLS;
    if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        return MU_FETCH_BAD_URL;
    return MU_FETCH_UNREACHABLE;
}

static void
finish(call *c, CURLcode code)
{
    mu_fetch_answer answer = { .outcome = outcome_of(c, code), .retry_after = -1, .error = "", .headers = "", .body = "", .cut = c->cut,
                               .ms = mu_monotonic_ms() - c->began };
    long status = 0, request = 0;
    curl_off_t after = 0;

    answer.sent = curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &request) == CURLE_OK && request > 0;
    if (answer.outcome == MU_FETCH_ANSWERED) {
        curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
        answer.status = (int)status;
        if (curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK && after > 0)
            answer.retry_after = after < RETRY_AFTER_MAX ? after : RETRY_AFTER_MAX;
    } else
        answer.error = c->refused ? "error.url.address" : c->error[0] != '\0' ? c->error : curl_easy_strerror(code);
    if (c->head.n > 0)
        answer.headers = c->head.at;
    if (c->body.n > 0) {
        answer.body = c->body.at;
        answer.body_n = c->body.n;
    }
    c->done(c->closure, &answer);
}

static void
refuse(call *c, const char *key)
{
    mu_fetch_answer answer = { .outcome = MU_FETCH_BAD_URL, .retry_after = -1, .error = key, .headers = "", .body = "" };

    c->done(c->closure, &answer);
    call_free(c);
}

void
mu_fetch_add(mu_fetch *fetch, const mu_fetch_request *request, mu_fetch_done done, void *closure)
{
    call *c = must(calloc(1, sizeof *c));

    c->fetch = fetch;
    c->request = request;
    c->done = done;
    c->closure = closure;
    c->body.max = MU_FETCH_BODY_MAX + 1;
    c->head.max = MU_FETCH_HEADERS_MAX + 1;
    if (fetch->last != NULL)
        fetch->last->next = c;
    else
        fetch->first = c;
    fetch->last = c;
    fetch->waiting++;
}

/* Takes the first queued call and sends it off, or refuses it. */
static void
launch(mu_fetch *fetch)
{
    call *c = fetch->first;
    const char *fault;

    fetch->first = c->next;
    if (fetch->first == NULL)
        fetch->last = NULL;
    fetch->waiting--;
    fault = mu_url_fault(c->request->url, fetch->policy->http, &fetch->policy->allow);
    if (fault == NULL && !set_headers(c))
        fault = "error.header.malformed";
    if (fault != NULL) {
        refuse(c, fault);
        return;
    }
    c->easy = fetch->idle_n > 0 ? fetch->idle[--fetch->idle_n] : must(curl_easy_init());
    set_limits(c->easy, fetch->policy, c->request->timeout_ms > 0 ? c->request->timeout_ms : fetch->policy->timeout_ms);
    set_call(c);
    c->began = mu_monotonic_ms();
    c->next = fetch->flying;
    fetch->flying = c;
    fetch->under_way++;
    if (curl_multi_add_handle(fetch->multi, c->easy) != CURLM_OK)
        abort();
}

static void
land(mu_fetch *fetch, CURL *easy, CURLcode code)
{
    call *c = NULL;
    void *closure = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&closure);
    c = closure;
    for (call **at = &fetch->flying; *at != NULL; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    fetch->under_way--;
    curl_multi_remove_handle(fetch->multi, easy);
    finish(c, code);
    curl_easy_reset(easy); /* drops every pointer into this call; connections live in the multi */
    fetch->idle[fetch->idle_n++] = easy;
    call_free(c);
}

size_t
mu_fetch_run(mu_fetch *fetch, int wait_ms)
{
    int running = 0, left = 0;
    CURLMsg *message;
    bool landed = false;

    while (fetch->first != NULL && fetch->under_way < fetch->in_flight)
        launch(fetch);
    curl_multi_perform(fetch->multi, &running);
    if (wait_ms > 0 && fetch->under_way > 0 && (size_t)running == fetch->under_way) {
        curl_multi_poll(fetch->multi, NULL, 0, wait_ms, NULL);
        curl_multi_perform(fetch->multi, &running);
    }
    while ((message = curl_multi_info_read(fetch->multi, &left)) != NULL)
        if (message->msg == CURLMSG_DONE) {
            land(fetch, message->easy_handle, message->data.result);
            landed = true;
        }
    if (landed) /* keep the wire busy while the caller looks at what came back */
        while (fetch->first != NULL && fetch->under_way < fetch->in_flight)
            launch(fetch);
    return fetch->waiting + fetch->under_way;
}

void
mu_fetch_wake(mu_fetch *fetch)
{
    curl_multi_wakeup(fetch->multi);
}

void
mu_fetch_free(mu_fetch *fetch)
{
    if (fetch == NULL)
        return;
    for (call *c = fetch->flying, *next; c != NULL; c = next) {
        next = c->next;
        curl_multi_remove_handle(fetch->multi, c->easy);
        curl_easy_cleanup(c->easy);
        call_free(c);
    }
    for (call *c = fetch->first, *next; c != NULL; c = next) {
        next = c->next;
        call_free(c);
    }
    for (size_t i = 0; i < fetch->idle_n; i++)
        curl_easy_cleanup(fetch->idle[i]);
    curl_multi_cleanup(fetch->multi);
    free(fetch->idle);
    free(fetch);
}

/* ---- one call at a time ---- */

typedef struct { mu_arena *arena; mu_fetch_answer *ret; } keeper;

static void
keep(void *closure, const mu_fetch_answer *answer)
{
    keeper *k = closure;

    *k->ret = *answer;
    k->ret->error = mu_strdup(k->arena, answer->error);
    k->ret->headers = mu_strdup(k->arena, answer->headers);
    k->ret->body = mu_strndup(k->arena, answer->body, answer->body_n);
}

void
mu_fetch_one(mu_arena *arena, const mu_fetch_policy *policy, const mu_fetch_request *request, mu_fetch_answer *ret)
{
    keeper k = { arena, ret };
    mu_fetch *fetch = mu_fetch_start(policy, 1);

    mu_fetch_add(fetch, request, keep, &k);
    while (mu_fetch_run(fetch, 1000) > 0) { }
    mu_fetch_free(fetch);
}
