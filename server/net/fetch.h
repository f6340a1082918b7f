/* The one libcurl wrapper: calls other systems under one address policy, with limits on time and size. It never follows a
 * redirect, never reads proxy settings or passwords from the environment, and never keeps cookies.
 *
 * One mu_fetch belongs to one thread and keeps many calls in flight; mu_fetch_wake() is the only function another thread may
 * use. curl_global_init() is done by mu_fetch_start_library(), before any thread. */
#ifndef MU_FETCH_H
#define MU_FETCH_H

#include "address.h"
#include "url.h"

typedef struct {
    mu_cidrs    allow;          /* private networks that may be called (hooks.allow) */
    bool        http;           /* plain http too (hooks.http) */
    const char *proxy;          /* "" = none. With a proxy the proxy resolves names: its own rules must hold the line */
    const char *ca_file;        /* "" = the system's */
    long        timeout_ms;     /* of one call, connecting included */
} mu_fetch_policy;

typedef enum {
    MU_FETCH_ANSWERED,          /* there is a status */
    MU_FETCH_BAD_URL,           /* refused before anything was sent; `error` is the key of the reason */
    MU_FETCH_BAD_ADDRESS,       /* the name led to an address the policy refuses */
    MU_FETCH_UNREACHABLE,       /* no name, no route, connection refused or lost */
    MU_FETCH_TLS,               /* certificate or handshake */
    MU_FETCH_TIMEOUT
} mu_fetch_outcome;

/* Everything is borrowed until `done` has been called. */
typedef struct {
    const char *method;                 /* "POST", "GET", "PUT" */
    const char *url;
    const char *const *headers;         /* "Name: value", …, NULL; NULL = none. CR, LF: the call is refused (MU_FETCH_BAD_URL) */
    const void *body;
    size_t      body_n;
    const char *content_type;           /* NULL = none */
    long        timeout_ms;             /* 0 = the policy's */
} mu_fetch_request;

/* Valid during `done` only. */
typedef struct {
    mu_fetch_outcome outcome;
    int         status;                 /* 0 unless ANSWERED */
    int64_t     retry_after;            /* seconds, -1 when not given; at most a day */
    const char *error;                  /* libcurl's words or a key; never the URL. "" when ANSWERED */
    const char *headers;                /* lines "Name: value" as they came, each ending in \n; at most MU_FETCH_HEADERS_MAX bytes, cut between lines */
    const char *body;                   /* the first MU_FETCH_BODY_MAX bytes, NUL-terminated */
    size_t      body_n;
    bool        cut;                    /* there was more, which was not read */
    bool        sent;                   /* something of the request left us: without a status nobody knows what became of it */
    int64_t     ms;
} mu_fetch_answer;

#define MU_FETCH_BODY_MAX    65536
#define MU_FETCH_HEADERS_MAX 16384

typedef void (*mu_fetch_done)(void *closure, const mu_fetch_answer *answer);
typedef struct mu_fetch mu_fetch;

/* Once per process, before any thread. False: libcurl will not start. */
bool mu_fetch_start_library(void) MU_MUST;

/* The policy of the configuration (section hooks). Faults name the setting. */
mu_err mu_fetch_policy_load(mu_arena *arena, mu_problem *problem, mu_fetch_policy *ret) MU_MUST;

/* A loop with at most `in_flight` calls at a time. `policy` is borrowed for its life. */
mu_fetch *mu_fetch_start(const mu_fetch_policy *policy, unsigned in_flight);
void      mu_fetch_free(mu_fetch *fetch);      /* calls under way are dropped without `done`; NULL is allowed */

/* Queues a call; `done` is called from mu_fetch_run(), never from here. */
void mu_fetch_add(mu_fetch *fetch, const mu_fetch_request *request, mu_fetch_done done, void *closure);

/* Drives the calls, waiting at most wait_ms for something to happen. Returns how many are still queued or under way. */
size_t mu_fetch_run(mu_fetch *fetch, int wait_ms);
void   mu_fetch_wake(mu_fetch *fetch);

/* One call, waiting for its end. The answer's texts live in the arena. */
void mu_fetch_one(mu_arena *arena, const mu_fetch_policy *policy, const mu_fetch_request *request, mu_fetch_answer *ret);

#endif
