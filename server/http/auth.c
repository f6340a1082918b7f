/* Who asks, and whether a form was really ours. */
#include <string.h>
#include <strings.h>
#include "conf.h"
#include "crypto.h"
#include "req.h"

bool mu_auth_secure(void)
{
    return strncmp(mu_conf_text(MU_CONF_HTTP_PUBLIC_URL), "https://", 8) == 0 || mu_conf_text(MU_CONF_HTTP_CERTIFICATE)[0] != '\0';
}

const char *mu_auth_cookie(void)
{
    return mu_auth_secure() ? "__Host-muster" : "muster";
}

/* The value of a cookie (RFC 6265, 5.4), without surrounding quotes; NULL when absent or not made of cookie octets. */
const char *mu_cookie(mu_arena *arena, const char *header, const char *name)
{
    const size_t name_n = strlen(name);

    while (header != NULL && *header != '\0') {
        const char *end;
        header += strspn(header, " \t;");
        end = strchrnul(header, ';');
        if ((size_t)(end - header) > name_n && header[name_n] == '=' && memcmp(header, name, name_n) == 0) {
            const char *value = header + name_n + 1;
            size_t n = (size_t)(end - value);
            while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t'))
                n--;
            if (n >= 2 && value[0] == '"' && value[n - 1] == '"')
                value++, n -= 2;
            return n > 0 && n <= 512 ? mu_strndup(arena, value, n) : NULL;
        }
        header = end;
    }
    return NULL;
}

void mu_auth_token(mu_req *rq)
{
    const char *header = mu_header(rq, "Authorization");

    if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0) {
        rq->token = mu_strdup(rq->arena, header + 7 + strspn(header + 7, " "));
        rq->bearer = true;
    } else {
        rq->token = mu_cookie(rq->arena, mu_header(rq, "Cookie"), mu_auth_cookie());
    }
    if (rq->token != NULL && (rq->token[0] == '\0' || strlen(rq->token) > 512))
        rq->token = NULL;
    if (rq->token != NULL)
        rq->token_hash = mu_sha256_hex(rq->arena, rq->token, strlen(rq->token));
}

/* The token that our own forms carry: it follows from the session's token, so nothing is stored, and whoever cannot read
 * our pages cannot know it. */
char *mu_auth_form_token(mu_req *rq)
{
    uint8_t key[32], tag[32];

    if (rq->token_hash == NULL)
        return mu_strdup(rq->arena, "");
    mu_derive("form", key);
    mu_hmac_sha256(key, sizeof key, rq->token_hash, strlen(rq->token_hash), tag);
    return mu_base64url(rq->arena, tag, sizeof tag);
}

/* scheme://host[:port] against the Host header, or against the address people see when a proxy changed Host. */
bool mu_origin_matches(const char *origin, const char *host, const char *public_url)
{
    const char *at = strstr(origin, "://");
    const size_t public_n = strcspn(public_url, "/") + 2 + strcspn(strstr(public_url, "://") != NULL ? strstr(public_url, "://") + 3 : "", "/");

    if (at == NULL || strpbrk(at + 3, "/?#@ ") != NULL)
        return false;
    if (host != NULL && strcasecmp(at + 3, host) == 0)
        return true;
    return strstr(public_url, "://") != NULL && strlen(origin) == public_n && strncasecmp(origin, public_url, public_n) == 0;
}

static bool same_origin(mu_req *rq, bool must_say)
{
    const char *site = mu_header(rq, "Sec-Fetch-Site"), *origin = mu_header(rq, "Origin");

    if (site != NULL)
        return mu_same(site, "same-origin");
    if (origin != NULL)
        return mu_origin_matches(origin, mu_header(rq, "Host"), mu_conf_text(MU_CONF_HTTP_PUBLIC_URL));
    return !must_say;
}

bool mu_auth_same_origin(mu_req *rq)
{
    return same_origin(rq, true);
}

/* A bearer token is never sent by a browser on its own, so it needs none of this. */
mu_err mu_auth_origin(mu_req *rq)
{
    const bool open = rq->route->role == MU_ROLE_PUBLIC;
    const char *expected;

    if (rq->route->method == MU_GET || rq->bearer || (rq->face == MU_FACE_JSON && (open || rq->token == NULL)))
        return MU_OK;
    if (!same_origin(rq, rq->token != NULL && !open))
        return mu_fail(&rq->problem, MU_FORBIDDEN, NULL, "error.origin", NULL);
    if (rq->face == MU_FACE_JSON || open || rq->token == NULL)
        return MU_OK;
    expected = mu_auth_form_token(rq);
    if (rq->form_token == NULL || strlen(rq->form_token) != strlen(expected) || !mu_equal_secret(rq->form_token, expected, strlen(expected)))
        return mu_fail(&rq->problem, MU_FORBIDDEN, NULL, "error.form_token", NULL);
    return MU_OK;
}

/* Where sign-in may send somebody afterwards: a path of this site, nothing that a browser could read as another host. */
bool mu_auth_next_ok(const char *path)
{
    return path != NULL && path[0] == '/' && path[1] != '/' && strlen(path) < 2048 && strchr(path, '\\') == NULL && strpbrk(path, "\r\n\t") == NULL;
}
