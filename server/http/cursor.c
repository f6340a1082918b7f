/* Opaque, signed places in a list. The text inside belongs to the query; a caller can neither read a meaning into it that
 * lasts nor make one up. Bound to the route, so that a cursor of one list is refused by another. */
#include <string.h>
#include "crypto.h"
#include "req.h"

#define TAG_BYTES 12

static void tag_of(mu_arena *arena, const char *route, const char *text, size_t n, uint8_t ret[32])
{
    const size_t route_n = strlen(route) + 1;
    uint8_t key[32];
    char *joined = mu_alloc(arena, route_n + n + 1);

    memcpy(joined, route, route_n);
    memcpy(joined + route_n, text, n);
    mu_derive("cursor", key);
    mu_hmac_sha256(key, sizeof key, joined, route_n + n, ret);
}

char *mu_cursor_sign(mu_arena *arena, const char *route, const char *text)
{
    const size_t n = strlen(text);
    uint8_t tag[32];
    char *joined = mu_alloc(arena, TAG_BYTES + n + 1);

    tag_of(arena, route, text, n, tag);
    memcpy(joined, tag, TAG_BYTES);
    memcpy(joined + TAG_BYTES, text, n);
    return mu_base64url(arena, joined, TAG_BYTES + n);
}

char *mu_cursor_open(mu_arena *arena, const char *route, const char *cursor)
{
    uint8_t tag[32];
    void *bytes;
    size_t n;
    char *text;

    if (strlen(cursor) > 2048 || !mu_unbase64(arena, cursor, &bytes, &n) || n < TAG_BYTES)
        return NULL;
    text = mu_strndup(arena, (const char *)bytes + TAG_BYTES, n - TAG_BYTES);
    tag_of(arena, route, text, n - TAG_BYTES, tag);
    return mu_equal_secret(tag, bytes, TAG_BYTES) && strlen(text) == n - TAG_BYTES ? text : NULL;
}
