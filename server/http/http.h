/* Everything around a request: MHD in our own epoll loop, the pool of handler threads, routes and their two faces. */
#ifndef MU_HTTP_H
#define MU_HTTP_H

#include <jansson.h>
#include "base.h"
#include "db.h"
#include "spec.h"

typedef enum { MU_GET, MU_POST, MU_PUT, MU_PATCH, MU_DELETE } mu_method;
typedef enum { MU_FACE_PAGE, MU_FACE_JSON } mu_face;

/* Who may call a route. PUBLIC must be written out; ANY is anyone signed in. A person holds any number of roles. */
typedef enum { MU_ROLE_PUBLIC, MU_ROLE_ANY, MU_ROLE_VIEWER, MU_ROLE_RESPONDER, MU_ROLE_COMMANDER, MU_ROLE_RISK, MU_ROLE_APPROVER,
               MU_ROLE_AUDITOR, MU_ROLE_ADMIN } mu_role;
/* The word of a role as the database and the route list write it; "public" and "any" for what is less than a role. Static. */
const char *mu_role_word(mu_role role);

enum mu_route_flags {
    MU_R_PAGE_ONLY = 1,      /* no JSON face (sign-in forms) */
    MU_R_JSON_ONLY = 2,      /* no page */
    MU_R_IDEMPOTENT = 4,     /* takes Idempotency-Key / _key; the answer is kept and replayed */
    MU_R_IF_MATCH = 8,       /* needs If-Match / _etag (428 without) */
    MU_R_MULTIPART = 16,     /* the form may be multipart/form-data */
    MU_R_ROOT = 32,          /* the JSON face answers at the path itself, without /api/v1 (webhooks of others, /ack) */
    MU_R_HINT = 64,          /* a successful write is followed by a hint to listeners */
    MU_R_DOWNLOAD = 128,     /* the body is a file: column `media` and `file_name` */
    MU_R_NO_STORE = 256,
    MU_R_PASSWORD_OK = 512   /* may be used while the one-time password is not changed yet */
};

typedef struct mu_req mu_req;

typedef struct mu_route {
    const char *name;        /* also operationId and the form's name in templates */
    mu_method   method;
    const char *path;        /* "/incidents/{incident:ref}"; types ref uuid int slug word */
    mu_role     role;
    const mu_spec *body;     /* NULL: no body */
    const mu_spec *query;    /* NULL: no query string */
    enum mu_query_id sql;    /* used when fn is NULL */
    mu_err    (*fn)(mu_req *rq);
    const char *page;        /* GET: template name; write: name of the GET route whose page is shown again when a field is bad */
    unsigned    flags;
    const char *summary;     /* for OpenAPI */
} mu_route;

extern const mu_route mu_routes[];       /* from server/api/api.def */
extern const size_t   mu_routes_count;

/* ---- for handlers (the .c files of server/api). All text is in the request's arena. ---- */
const mu_route *mu_req_route(const mu_req *rq);
mu_arena   *mu_req_arena(mu_req *rq);
mu_problem *mu_req_problem(mu_req *rq);
mu_face     mu_req_face(const mu_req *rq);
const char *mu_req_id(const mu_req *rq);
const char *mu_req_language(const mu_req *rq);            /* "zh" or "en" */
const char *mu_path(const mu_req *rq, const char *name);  /* path parameter; never NULL for a name of the pattern */
const char *mu_body(const mu_req *rq, const char *name);  /* checked body field as text, NULL when absent */
const char *mu_query_field(const mu_req *rq, const char *name);   /* checked field of the query string as text, NULL when absent */
const json_t *mu_body_json(const mu_req *rq);             /* checked body, an object; NULL when the route has none */
const char *mu_header(const mu_req *rq, const char *name);
const char *mu_client_address(const mu_req *rq);
const char *mu_me(const mu_req *rq);                      /* person's uuid, NULL when public */

/* Opens the request's transaction: BEGIN and session_open() queued; role and form token already decided by them. */
mu_err mu_req_tx(mu_req *rq, mu_tx **ret);
/* The parameters of a query bound by name (path, query string, body, and the implicit body form key etag request lang). */
const char *const *mu_bind(mu_req *rq, enum mu_query_id query);
/* Ends a handler: `rows` has the columns body, etag, status, location, media, file_name (all optional but body). Commits first. */
mu_err mu_reply_rows(mu_req *rq, mu_tx *tx, const mu_rows *rows);
mu_err mu_reply_json(mu_req *rq, int status, json_t *body, const char *location);   /* takes the reference */
mu_err mu_reply_bytes(mu_req *rq, int status, const char *media, const char *file_name, const void *bytes, size_t n); /* copied */
void   mu_reply_cookie(mu_req *rq, const char *name, const char *value, int64_t max_age_s /* <0: session, 0: delete */);
/* After a sign-in: answers with the form that was sent without a session, filled as it was. `token` = the new session's; `sealed` =
 * the field `kept` of the sign-in form. MU_NOT_FOUND: nothing is kept, or for too long; no fault is recorded. */
mu_err mu_reply_kept(mu_req *rq, const char *token, const char *sealed);
void   mu_reply_header(mu_req *rq, const char *name, const char *value);
/* For an IDEMPOTENT handler that commits by itself: keeps the answer for replays, in the same transaction. Before mu_commit(). */
mu_err mu_req_keep(mu_req *rq, mu_tx *tx, int status, const char *body, const char *location);
/* What listeners are told after the commit: "TOPIC parts,… seq", as "incident:INC-2026-0042 timeline,header 118". Arena or static. */
void   mu_req_hint(mu_req *rq, const char *payload);

/* ---- start and stop (main.c) ---- */
typedef struct { const char *url, *direct_url, *data_dir; } mu_http_setup;
mu_err mu_http_start(const mu_http_setup *setup, mu_problem *problem);   /* listens; prints nothing */
int    mu_http_port(void);                                               /* the port really bound */
void   mu_http_tick(void);                                               /* every second, from main */
/* Writes the public page, its JSON and its feeds as plain files: `muster status export`. */
mu_err mu_status_export(const char *url, const char *folder, mu_problem *problem);
void   mu_http_stop(void);                                               /* the order of c-style: quiesce, end streams, drain, join, stop */

#endif
