#include "address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "str.h"

/* Tables instead of the system's macros: each line can be read beside the registry it comes from. */
typedef struct { uint8_t bytes[4]; unsigned bits; } net4;
typedef struct { uint8_t bytes[16]; unsigned bits; } net6;

static const net4 special4[] = {
    { { 10, 0, 0, 0 }, 8 },       /* private use */
    { { 100, 64, 0, 0 }, 10 },    /* shared address space of carriers */
    { { 127, 0, 0, 0 }, 8 },      /* loopback */
    { { 169, 254, 0, 0 }, 16 },   /* link-local, metadata services */
    { { 172, 16, 0, 0 }, 12 },    /* private use */
    { { 192, 0, 0, 0 }, 24 },     /* protocol assignments */
    { { 192, 0, 2, 0 }, 24 },     /* documentation */
    { { 192, 31, 196, 0 }, 24 },  /* AS112 */
    { { 192, 52, 193, 0 }, 24 },  /* AMT */
    { { 192, 88, 99, 0 }, 24 },   /* 6to4 relay, withdrawn */
    { { 192, 168, 0, 0 }, 16 },   /* private use */
    { { 192, 175, 48, 0 }, 24 },  /* AS112 */
    { { 198, 18, 0, 0 }, 15 },    /* benchmarking */
    { { 198, 51, 100, 0 }, 24 },  /* documentation */
    { { 203, 0, 113, 0 }, 24 },   /* documentation */
};
static const net4 never4[] = {
    { { 0, 0, 0, 0 }, 8 },        /* this host on this network */
    { { 224, 0, 0, 0 }, 4 },      /* multicast */
    { { 240, 0, 0, 0 }, 4 },      /* reserved, limited broadcast */
};
static const net6 special6[] = {
    { { 0 }, 96 },                                              /* IPv4-compatible, loopback */
    { { [10] = 0xff, [11] = 0xff }, 96 },                       /* IPv4-mapped */
    { { 0x00, 0x64, 0xff, 0x9b }, 96 },                         /* NAT64 */
    { { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 }, 48 },             /* NAT64, local use */
    { { 0x01, 0x00 }, 64 },                                     /* discard only */
    { { 0x20, 0x01, 0x00 }, 23 },                               /* protocol assignments, Teredo, ORCHID */
    { { 0x20, 0x01, 0x0d, 0xb8 }, 32 },                         /* documentation */
    { { 0x20, 0x02 }, 16 },                                     /* 6to4 */
    { { 0x26, 0x20, 0x00, 0x4f, 0x80 }, 48 },                   /* AS112 */
    { { 0x3f, 0xff }, 20 },                                     /* documentation */
    { { 0x5f, 0x00 }, 16 },                                     /* segment routing */
    { { 0xfc, 0x00 }, 7 },                                      /* unique local */
    { { 0xfe, 0x80 }, 10 },                                     /* link-local */
    { { 0xfe, 0xc0 }, 10 },                                     /* site-local, withdrawn */
};

static bool
in_net(const uint8_t *address, const uint8_t *net, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;

    if (memcmp(address, net, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return (address[whole] & mask) == (net[whole] & mask);
}

/* The bytes of the address, or NULL for another family. */
static const uint8_t *
address_bytes(const struct sockaddr *address)
{
    const void *raw = address;

    if (address->sa_family == AF_INET)
        return (const uint8_t *)&((const struct sockaddr_in *)raw)->sin_addr;
    if (address->sa_family == AF_INET6)
        return (const uint8_t *)&((const struct sockaddr_in6 *)raw)->sin6_addr;
    return NULL;
}

bool
mu_cidrs_match(const mu_cidrs *cidrs, const struct sockaddr *address)
{
    const uint8_t *bytes = address_bytes(address);

    if (bytes == NULL || cidrs == NULL)
        return false;
    for (size_t i = 0; i < cidrs->count; i++)
        if (cidrs->list[i].family == address->sa_family && in_net(bytes, cidrs->list[i].bytes, cidrs->list[i].bits))
            return true;
    return false;
}

bool
mu_address_allowed(const struct sockaddr *address, const mu_cidrs *allow)
{
    static const uint8_t zero[16];
    const uint8_t *bytes = address_bytes(address);

    if (bytes == NULL)
        return false;
    if (address->sa_family == AF_INET) {
        for (size_t i = 0; i < MU_COUNT(never4); i++)
            if (in_net(bytes, never4[i].bytes, never4[i].bits))
                return false;
        if (mu_cidrs_match(allow, address))
            return true;
        for (size_t i = 0; i < MU_COUNT(special4); i++)
            if (in_net(bytes, special4[i].bytes, special4[i].bits))
                return false;
        return true;
    }
    if (memcmp(bytes, zero, sizeof zero) == 0 || bytes[0] == 0xff)
        return false;
    if (mu_cidrs_match(allow, address))
        return true;
    for (size_t i = 0; i < MU_COUNT(special6); i++)
        if (in_net(bytes, special6[i].bytes, special6[i].bits))
            return false;
    return (bytes[0] & 0xe0) == 0x20; /* only 2000::/3 is global unicast today */
}

char *
mu_address_text(mu_arena *arena, const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];
    const uint8_t *bytes = address_bytes(address);

    if (bytes == NULL || inet_ntop(address->sa_family, bytes, text, sizeof text) == NULL)
        return mu_strdup(arena, "?");
    return mu_strdup(arena, text);
}

/* Bits behind the mask would make people believe in a narrower network than the one they wrote. */
static bool
clean_behind_mask(const uint8_t *bytes, size_t n, unsigned bits)
{
    for (unsigned i = bits; i < n * 8; i++)
        if (bytes[i / 8] & (0x80u >> (i % 8)))
            return false;
    return true;
}

static bool
cidr_parse(char *text, mu_cidr *ret)
{
    char *slash = strchr(text, '/');
    int64_t bits;

    if (slash != NULL)
        *slash++ = '\0';
    ret->family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
    unsigned most = ret->family == AF_INET6 ? 128 : 32;
    if (inet_pton(ret->family, text, ret->bytes) != 1)
        return false;
    bits = most;
    if (slash != NULL && !mu_parse_int(slash, 0, most, &bits))
        return false;
    ret->bits = (unsigned)bits;
    return clean_behind_mask(ret->bytes, most / 8, ret->bits);
}

mu_err
mu_cidrs_parse(mu_arena *arena, const char *text, mu_problem *problem, const char *pointer, mu_cidrs *ret)
{
    static const char separators[] = ", \t";
    mu_cidr *list = mu_alloc(arena, sizeof *list * MU_CIDRS_MAX);
    size_t count = 0;

    for (const char *at = text + strspn(text, separators); *at != '\0';) {
        size_t n = strcspn(at, separators);
        char *entry = mu_strndup(arena, at, n);

        if (count == MU_CIDRS_MAX)
            return mu_fail(problem, MU_INVALID, pointer, "error.network.too_many", NULL);
        if (!cidr_parse(entry, &list[count++]))
            return mu_fail(problem, MU_INVALID, pointer, "error.network.malformed", "value", mu_strndup(arena, at, n), NULL);
        at += n;
        at += strspn(at, separators);
    }
    ret->list = list;
    ret->count = count;
    return MU_OK;
}
