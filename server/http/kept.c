/* A form that was sent after its session had ended: what was typed goes into the sign-in page, sealed, and is shown in its form again
 * once somebody has signed in. Nothing is stored and nothing is sent by itself: the person looks at the form and sends it. */
#include <string.h>
#include "clock.h"
#include "crypto.h"
#include "json.h"
#include "req.h"

#define KEPT_MOST    (64u * 1024u)          /* bytes of what was typed */
#define KEPT_SECONDS 3600                   /* the sign-in page may wait that long */

/* Only what a page of ours sent: another site must not put words into our forms. Secrets and files are never among it. */
static char *seal(mu_req *rq)
{
    json_t *typed = rq->given != NULL ? mu_input_showable(rq) : NULL, *kept;
    const char *text;

    if (!json_is_object(typed) || json_object_size(typed) == 0 || !mu_auth_same_origin(rq))
        return NULL;
    kept = mu_json_own(rq->arena, json_pack("{s:s, s:i, s:I, s:O}", "path", rq->path, "method", rq->method,
        "until", (json_int_t)(mu_wall_now() / MU_SECOND + KEPT_SECONDS), "form", typed));
    text = mu_json_text(rq->arena, kept);
    return strlen(text) <= KEPT_MOST ? mu_seal(rq->arena, text) : NULL;
}

/* Where the form stands; shown even when its values could not be brought back. */
static const char *form_path(mu_req *rq)
{
    const mu_route *page = mu_route_named(rq->route->page);

    return page != NULL ? mu_route_path(rq, page) : NULL;
}

bool mu_kept_sign_in(mu_req *rq)
{
    const mu_route *sign_in = mu_route_named("sign_in"), *page = mu_route_named("signin_page");
    const char *sealed, *next;
    json_t *form;

    if (rq->method == MU_GET || rq->route == NULL || rq->route->page[0] == '\0' || sign_in == NULL || page == NULL)
        return false;
    sealed = seal(rq);
    next = form_path(rq);
    if (sealed == NULL || next == NULL)
        return false;
    form = mu_json_own(rq->arena, json_object());
    json_object_set_new(form, "kept", json_string(sealed));
    json_object_set_new(form, "next", json_string(next));
    rq->form = form;
    rq->route = sign_in;
    rq->token = rq->token_hash = NULL;
    rq->problem = (mu_problem){ .arena = rq->arena };
    return mu_flow_page(rq, page) == MU_OK && mu_show_page(rq, page, 401, false) == MU_OK;
}

mu_err mu_reply_kept(mu_req *rq, const char *token, const char *sealed)
{
    const char *clear = sealed != NULL ? mu_unseal(rq->arena, sealed) : NULL, *path;
    mu_problem problem = { .arena = rq->arena };
    json_t *kept = NULL;

    if (clear == NULL || mu_json_parse(rq->arena, clear, strlen(clear), &problem, &kept) != MU_OK)
        return MU_NOT_FOUND;
    path = mu_json_str(kept, "path");
    if (path == NULL || mu_json_int(kept, "until", 0) < mu_wall_now() / MU_SECOND)
        return MU_NOT_FOUND;
    rq->token = token;
    rq->token_hash = mu_sha256_hex(rq->arena, token, strlen(token));
    rq->bearer = false;
    rq->kept = kept;
    rq->answer = (mu_answer){ .ready = true, .status = 200, .location = "/" };
    return MU_OK;
}

bool mu_kept_show(mu_req *rq)
{
    const mu_route *page, *sign_in = rq->route;
    const int method = rq->method;
    unsigned allow;

    rq->path = mu_strdup(rq->arena, mu_json_str(rq->kept, "path"));
    rq->query_text = mu_strdup(rq->arena, "");
    rq->method = (int)mu_json_int(rq->kept, "method", MU_POST);
    rq->route = mu_path_split(rq->arena, rq->path, rq->segments, &rq->segments_n) ? mu_route_match(rq, rq->method, &allow) : NULL;
    page = rq->route != NULL && rq->route->page[0] != '\0' ? mu_route_named(rq->route->page) : NULL;
    rq->form = mu_input_nested(rq->arena, json_object_get(rq->kept, "form"));
    if (page != NULL && mu_flow_page(rq, page) == MU_OK && mu_show_page(rq, page, 200, false) == MU_OK)
        return true;
    rq->route = sign_in;
    rq->method = method;
    return false;
}
