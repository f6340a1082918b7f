/* From where a request came: the connection's address, or what a trusted proxy says about it. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include "address.h"
#include "conf.h"
#include "req.h"

static struct { mu_arena *arena; mu_cidrs trusted; } proxies;

mu_err mu_client_start(mu_problem *problem)
{
    mu_arena_free(proxies.arena);
    proxies.arena = mu_arena_new(0);
    return mu_cidrs_parse(proxies.arena, mu_conf_text(MU_CONF_HTTP_BEHIND_PROXY), problem, "http.behind_proxy", &proxies.trusted);
}

static const struct sockaddr *peer(mu_req *rq)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(rq->con, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    return info != NULL ? info->client_addr : NULL;
}

static void print(const struct sockaddr *address, char *ret, socklen_t size)
{
    const void *bytes = NULL;

    if (address != NULL && address->sa_family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    else if (address != NULL && address->sa_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    if (bytes == NULL || inet_ntop(address->sa_family, bytes, ret, size) == NULL)
        snprintf(ret, size, "?");
    if (strncmp(ret, "::ffff:", 7) == 0)
        memmove(ret, ret + 7, strlen(ret + 7) + 1);
}

static bool scan(const char *text, struct sockaddr_storage *ret)
{
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)ret;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)ret;

    memset(ret, 0, sizeof *ret);
    if (inet_pton(AF_INET, text, &four->sin_addr) == 1)
        ret->ss_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1)
        ret->ss_family = AF_INET6;
    return ret->ss_family != 0;
}

static bool trusted(const char *text)
{
    struct sockaddr_storage address;

    return scan(text, &address) && mu_cidrs_match(&proxies.trusted, (const struct sockaddr *)(const void *)&address);
}

/* The list grows to the right, and only what trusted proxies wrote can be believed: the last entry that is not one of them. */
static void from_proxy(mu_req *rq, const char *list)
{
    size_t n = strlen(list);

    while (n > 0 && trusted(rq->address)) {
        size_t start = n;
        char entry[48];
        struct sockaddr_storage address;
        while (start > 0 && list[start - 1] != ',')
            start--;
        const char *at = list + start + strspn(list + start, " \t");
        const size_t width = at < list + n ? strcspn(at, ", \t") : 0;
        if (width == 0 || width >= sizeof entry)
            return;
        memcpy(entry, at, width);
        entry[width] = '\0';
        if (!scan(entry, &address))
            return;
        snprintf(rq->address, sizeof rq->address, "%s", entry);
        n = start > 0 ? start - 1 : 0;
    }
}

void mu_client_of(mu_req *rq)
{
    const char *forwarded = proxies.trusted.count > 0 ? mu_header(rq, "X-Forwarded-For") : NULL;

    print(peer(rq), rq->address, sizeof rq->address);
    if (forwarded != NULL)
        from_proxy(rq, forwarded);
}

bool mu_client_is_loopback(mu_req *rq)
{
    char text[48];

    print(peer(rq), text, sizeof text);
    return strncmp(text, "127.", 4) == 0 || mu_same(text, "::1");
}
