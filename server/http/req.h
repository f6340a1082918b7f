/* Inside of http/: the request, its answer, and what the files here offer to each other. Nobody else includes this.
 *
 * Who touches what: a request belongs to the HTTP thread until it is handed over (suspended, then queued), then to one
 * handler thread, and again to the HTTP thread once it is resumed. There is never more than one owner, so no lock. */
#ifndef MU_REQ_H
#define MU_REQ_H

#include <microhttpd.h>
#include <setjmp.h>
#include "buf.h"
#include "http.h"
#include "str.h"

#define MU_SEGMENTS_MAX 12      /* path segments of a request */
#define MU_PARAMS_MAX   6       /* path parameters of a row */
#define MU_TARGET_MAX   4096    /* bytes of a request target */

typedef enum { MU_OTHER_METHOD = 5, MU_OPTIONS = 6 } mu_more_methods;

/* A connection, watched from connect to the complete request. Only the HTTP thread sees it. */
typedef struct mu_conn {
    int fd;
    int64_t deadline_ms;        /* 0: nothing to wait for */
    struct mu_conn *prev, *next;
} mu_conn;

typedef struct mu_field_line { const char *name, *value; struct mu_field_line *next; } mu_field_line;

/* What a handler said. Pointers: arena or static. */
typedef struct {
    bool        ready;
    int         status;
    const char *body;           /* a JSON document, or the bytes of a file when media is set */
    size_t      size;
    json_t     *tree;           /* the document as a tree, when the handler had one */
    const char *media, *file_name, *etag, *location, *next, *hint;
} mu_answer;

/* What goes out. */
typedef struct {
    int         status;
    const char *media;          /* NULL: no body */
    const void *bytes;
    size_t      size;
    mu_field_line *fields;      /* besides those that every answer has */
    bool        file;           /* somebody's file or a document: shown without any right */
    struct MHD_Response *finished;   /* instead of bytes: a shared response; borrowed, swapped by the HTTP thread only */
} mu_output;

typedef enum { MU_PHASE_NEW, MU_PHASE_BODY, MU_PHASE_WAITING, MU_PHASE_DONE } mu_phase;

/* Answered on a handler thread, but not rows of the table. */
typedef enum { MU_JOB_ROUTE, MU_JOB_STREAM, MU_JOB_READY, MU_JOB_METRICS } mu_job;

typedef struct mu_stream mu_stream;

struct mu_req {
    struct MHD_Connection *con;
    mu_conn    *conn;
    mu_phase    phase;
    mu_job      job;
    char       *target;         /* as it came, NUL-terminated; malloc */
    char       *bytes;          /* the body so far; malloc */
    size_t      bytes_n, bytes_cap, bytes_max;
    bool        overrun;        /* body over the limit, rest thrown away */
    bool        suspended;
    int64_t     at_start, at_complete, at_run, at_done;   /* monotonic ms */

    mu_arena   *arena;
    mu_problem  problem;
    char        id[72];
    const char *trace;          /* traceparent of the caller, checked; NULL: none */
    char        address[48];
    int         method;         /* mu_method or mu_more_methods */
    bool        head;
    mu_face     face;
    bool        root;           /* JSON face outside /api/v1 */
    char       *path;           /* raw path without the query string and without /api/v1; arena */
    char       *query_text;     /* raw query string or ""; arena */
    const char *segments[MU_SEGMENTS_MAX];
    unsigned    segments_n;
    const mu_route *route;
    unsigned    params_n;
    const char *param_names[MU_PARAMS_MAX], *param_values[MU_PARAMS_MAX];

    const char *language, *part, *key, *etag_in, *form_token, *method_word;
    char        fresh_key[40], now[40];
    json_t     *given;          /* query string or form as given (borrowed by the arena), hidden names taken out */
    json_t     *form;           /* what was posted, for showing it again */
    json_t     *query, *body;   /* checked */
    json_t     *query_raw, *body_raw;
    const char *body_sha, *hint;
    bool        body_was_form;

    const char *token;          /* of the cookie or the bearer header, NULL when there is none */
    const char *token_hash;
    bool        bearer;
    const char *me, *me_name, *me_login, *me_roles, *session;
    const char *site;           /* name of the institution as set on the settings page, JSON; NULL: that of the configuration */
    bool        must_change;
    json_t     *kept;           /* a form that waits for its person, once that has signed in; NULL: none */

    mu_db      *db;
    mu_tx      *tx;
    bool        replayed, keeping;   /* keeping: idem_begin ran, idem_end is still to come */
    mu_answer   answer;
    mu_output   out;
    mu_stream  *stream;
};

/* ---- loop.c ---- */
void mu_loop_resume(mu_req *rq);         /* the answer is ready; any thread */
void mu_loop_wake(void);
bool mu_loop_is_open(void);              /* false once stopping */

/* ---- front.c: what is decided on the HTTP thread ---- */
/* True: rq->out is ready. False: hand the request over. */
bool mu_front(mu_req *rq);
bool mu_accepts(const char *accept, const char *type);   /* may an answer of that media type be given? accept NULL: yes */
bool mu_guard(mu_req *rq);    /* first call; false: rq->out holds the refusal, the connection is closed */
void mu_req_prepare(mu_req *rq);                  /* arena, id, address, language */
mu_arena *mu_req_need_arena(mu_req *rq);

/* ---- pool.c ---- */
mu_err mu_pool_start(unsigned threads, unsigned queue, const char *url, mu_problem *problem);
bool mu_pool_push(mu_req *rq);
void mu_pool_expire(int64_t now_ms);
void mu_pool_stop(void);
void mu_pool_busy(mu_req *rq);           /* makes rq->out the 503 */

/* ---- route.c ---- */
mu_err mu_routes_build(const mu_route *rows, size_t count, mu_problem *problem);
const mu_route *mu_route_named(const char *name);
/* Splits and decodes a raw path. False: bad escape, %00, %2f, dot segment, not UTF-8, too many segments. */
bool mu_path_split(mu_arena *arena, const char *path, const char *segments[MU_SEGMENTS_MAX], unsigned *ret_n);
/* Finds the row. NULL when none; *ret_allow then has bit 1 << method for every method the path would take. */
const mu_route *mu_route_match(mu_req *rq, int method, unsigned *ret_allow);
/* The path of a row with the parameters of this request; NULL when one is missing. */
char *mu_route_path(mu_req *rq, const mu_route *route);

/* ---- flow.c ---- */
void mu_flow(mu_req *rq, mu_db *db);     /* on a handler thread */
mu_err mu_flow_begin(mu_req *rq, mu_role role);                  /* BEGIN and session, checked; rq->tx is open afterwards */
mu_err mu_flow_page(mu_req *rq, const mu_route *page);           /* runs a GET row for a form that is shown again */
void mu_flow_end(mu_req *rq);            /* rolls back what is open */
extern const mu_spec mu_no_spec;

/* ---- input.c ---- */
mu_err mu_input_read(mu_req *rq);        /* query string, body, hidden names, method override */
mu_err mu_input_check(mu_req *rq);       /* against the row's specs */
json_t *mu_input_showable(mu_req *rq);   /* what was given, without secrets and files; flat */
json_t *mu_input_nested(mu_arena *arena, const json_t *flat);   /* "title.zh" -> {"title":{"zh":…}} */

/* ---- auth.c ---- */
void   mu_auth_token(mu_req *rq);        /* cookie or bearer */
bool   mu_auth_same_origin(mu_req *rq);  /* the browser says so; saying nothing is no */
mu_err mu_auth_origin(mu_req *rq);       /* same-origin and form token */
char  *mu_auth_form_token(mu_req *rq);
bool   mu_auth_secure(void);             /* are we reached over https? */
const char *mu_auth_cookie(void);
const char *mu_cookie(mu_arena *arena, const char *header, const char *name);
bool   mu_origin_matches(const char *origin, const char *host, const char *public_url);
bool   mu_auth_next_ok(const char *path);

/* ---- lang.c ---- */
const char *mu_language_of(const char *accept, const char *cookie, const char *asked, const char *fallback);

/* ---- cursor.c ---- */
char *mu_cursor_sign(mu_arena *arena, const char *route, const char *text);
char *mu_cursor_open(mu_arena *arena, const char *route, const char *cursor);   /* NULL: not ours */

/* ---- page.c ---- */
mu_err mu_pages_start(mu_problem *problem);                  /* parses every template once */
bool   mu_page_exists(const char *name);
/* Renders web/NAME.html (NAME with its suffix when it has one) with `model`. */
mu_err mu_page_render(const char *name, const json_t *model, const char *language, mu_buf *out, mu_problem *problem);
json_t *mu_page_ui(mu_req *rq);                              /* the `ui` member; new reference */
const char *mu_page_asset(const char *path);                 /* hashed URL of web/PATH, static; "" when there is none */
json_t *mu_page_assets(void);                                /* name -> URL, static; made before the threads start */
const char *mu_page_next(mu_req *rq);                        /* address of the next page of a list, or NULL */
char *mu_text(mu_arena *arena, const char *language, const char *key, const char *const *args);

/* ---- reply.c ---- */
void mu_reply_finish(mu_req *rq, mu_err err);                /* rq->answer or the problem -> rq->out */
void mu_reply_problem(mu_req *rq);                           /* the problem as it is -> rq->out; no way back to a form */
mu_err mu_show_named(mu_req *rq, const char *name, json_t *model, int status);   /* renders a template with `model` -> rq->out */
mu_err mu_show_page(mu_req *rq, const mu_route *route, int status, bool failed);   /* rq->answer with its page -> rq->out */
void mu_out_field(mu_req *rq, const char *name, const char *value);
void mu_out_text(mu_req *rq, int status, const char *text);
void mu_out_redirect(mu_req *rq, int status, const char *location);
enum MHD_Result mu_send(mu_req *rq);                         /* HTTP thread: queues rq->out */
typedef enum { MU_HEAD_PAGE, MU_HEAD_STATUS, MU_HEAD_DATA, MU_HEAD_OPEN, MU_HEAD_STATIC, MU_HEAD_STREAM } mu_head_kind;
void mu_head_fields(struct MHD_Response *response, mu_head_kind kind);   /* security headers, in one place */
bool mu_etag_matches(const char *if_none_match, const char *etag);

/* ---- kept.c ---- */
bool mu_kept_sign_in(mu_req *rq);        /* 401 with the sign-in page carrying what was typed; false: rq->out is as before */
bool mu_kept_show(mu_req *rq);           /* rq->kept in its form again */

/* ---- again.c ---- */
json_t *mu_again_form(mu_req *rq);       /* what was typed into a form that met a fault of ours: {action, multipart, any, fields, hidden}; new reference; NULL: nothing to send again */

/* ---- static.c ---- */
mu_err mu_static_start(mu_problem *problem);
bool mu_static_answer(mu_req *rq);
void mu_static_stop(void);

/* ---- probe.c: health, readiness, version, metrics, robots, security.txt, problem pages ---- */
bool mu_probe_answer(mu_req *rq);
void mu_probe_ready(mu_req *rq);         /* these two on a handler thread */
void mu_probe_metrics(mu_req *rq);

/* ---- openapi.c ---- */
mu_err mu_openapi_start(mu_problem *problem);
bool mu_openapi_answer(mu_req *rq);
void mu_openapi_stop(void);
json_t *mu_openapi_make(void);

/* ---- sse.c ---- */
void mu_sse_start(void);
void mu_sse_open(mu_req *rq);            /* on a handler thread: checks who, makes rq->stream */
enum MHD_Result mu_sse_send(mu_req *rq); /* on the HTTP thread */
void mu_sse_discard(mu_stream *stream);  /* never sent */
void mu_sse_publish(const char *payload);/* from the listener; NULL: anything may have changed */
void mu_sse_publish_own(const char *payload);  /* our own change: told at once, its echo from the listener is dropped */
void mu_sse_beat(int64_t now_ms);        /* HTTP thread, every second */
void mu_sse_end_all(void);

/* ---- status.c ---- */
mu_err mu_status_start(const mu_http_setup *setup, mu_problem *problem);
void mu_status_poke(void);
bool mu_status_answer(mu_req *rq);       /* HTTP thread */
void mu_status_stop(void);

/* ---- client.c: addresses and proxies ---- */
mu_err mu_client_start(mu_problem *problem);     /* reads http.behind_proxy */
void mu_client_of(mu_req *rq);                   /* rq->address */
bool mu_client_is_loopback(mu_req *rq);          /* the connection itself, whatever a proxy says */

/* ---- setup shared by the files ---- */
extern mu_http_setup mu_setup;

#endif
