#include "url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <string.h>

#include "str.h"

/* Ports where a request of ours could be read as commands of another protocol. */
static const long foreign_ports[] = { 7, 19, 21, 22, 23, 25, 53, 110, 119, 135, 139, 143, 389, 445, 465, 514, 587, 636, 993, 995,
                                      3306, 5432, 6379, 11211 };

static void url_freep(CURLU **url) { curl_url_cleanup(*url); }
static void text_freep(char **text) { curl_free(*text); }

static const char *
port_fault(CURLU *parsed)
{
    char *text MU_CLEAN(text_freep) = NULL;
    int64_t port;

    if (curl_url_get(parsed, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT) != CURLUE_OK || !mu_parse_int(text, 1, 65535, &port))
        return "error.url.port";
    for (size_t i = 0; i < MU_COUNT(foreign_ports); i++)
        if (foreign_ports[i] == port)
            return "error.url.port";
    return NULL;
}

/* Literal addresses are judged at once, so that a mistake is told when it is typed and not at three in the morning. */
static const char *
host_fault(CURLU *parsed, const mu_cidrs *allow)
{
    char *host MU_CLEAN(text_freep) = NULL;
    struct sockaddr_in v4 = { .sin_family = AF_INET };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    char bare[INET6_ADDRSTRLEN];
    const void *address = NULL;

    if (curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK || host[0] == '\0' || strlen(host) > 253)
        return "error.url.host";
    for (const char *c = host; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x7f || (unsigned char)*c <= ' ')
            return "error.url.host";
    if (host[0] == '[') {
        size_t n = strcspn(host + 1, "]%");
        if (n >= sizeof bare || host[1 + n] != ']')
            return "error.url.host"; /* zone identifiers mean link-local */
        memcpy(bare, host + 1, n);
        bare[n] = '\0';
        if (inet_pton(AF_INET6, bare, &v6.sin6_addr) != 1)
            return "error.url.host";
        address = &v6;
    } else if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
        address = &v4;
    return address == NULL || mu_address_allowed(address, allow) ? NULL : "error.url.address";
}

const char *
mu_url_fault(const char *url, bool http, const mu_cidrs *allow)
{
    CURLU *parsed MU_CLEAN(url_freep) = NULL;
    char *scheme MU_CLEAN(text_freep) = NULL, *user MU_CLEAN(text_freep) = NULL, *password MU_CLEAN(text_freep) = NULL;
    char *fragment MU_CLEAN(text_freep) = NULL;
    const char *fault;

    if (strlen(url) > MU_URL_MAX)
        return "error.url.too_long";
    for (const char *c = url; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || (unsigned char)*c == 0x7f)
            return "error.url.malformed";
    parsed = curl_url();
    if (parsed == NULL || curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK
        || curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        return "error.url.malformed";
    if (!mu_same(scheme, "https") && !(http && mu_same(scheme, "http")))
        return "error.url.scheme";
    if (curl_url_get(parsed, CURLUPART_USER, &user, 0) == CURLUE_OK || curl_url_get(parsed, CURLUPART_PASSWORD, &password, 0) == CURLUE_OK)
        return "error.url.user_info";
    if (curl_url_get(parsed, CURLUPART_FRAGMENT, &fragment, 0) == CURLUE_OK)
        return "error.url.fragment";
    fault = host_fault(parsed, allow);
    return fault != NULL ? fault : port_fault(parsed);
}

char *
mu_url_redacted(mu_arena *arena, const char *url)
{
    CURLU *parsed MU_CLEAN(url_freep) = curl_url();
    char *scheme MU_CLEAN(text_freep) = NULL, *host MU_CLEAN(text_freep) = NULL, *port MU_CLEAN(text_freep) = NULL;

    if (parsed == NULL || curl_url_set(parsed, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK
        || curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK || curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return mu_strdup(arena, "?");
    bool has_port = curl_url_get(parsed, CURLUPART_PORT, &port, 0) == CURLUE_OK;
    size_t n = strlen(url), head = strlen(scheme) + strlen(host) + 3;
    size_t tail = n > head + 24 ? 4 : 0;

    while (tail > 0 && ((unsigned char)url[n - tail] & 0xc0) == 0x80)
        tail--;
    return mu_printf(arena, "%s://%s%s%s/\xe2\x80\xa6%s", scheme, host, has_port ? ":" : "", has_port ? port : "", url + n - tail);
}
