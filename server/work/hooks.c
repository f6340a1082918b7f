#include "hooks.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crypto.h"
#include "log.h"
#include "mime.h"
#include "str.h"

#define IN_FLIGHT   64
#define QUEUE       128      /* claimed and not yet answered, at most: each ends well within its lease */
#define SETTLE_AT   100
#define SETTLE_MS   50

char *
mu_hook_signature(mu_arena *arena, const char *secrets, const char *id, int64_t timestamp, const char *body, size_t n)
{
    char *head = mu_printf(arena, "%s.%lld.", id, (long long)timestamp);
    size_t head_n = strlen(head);
    char *content = mu_alloc(arena, head_n + n + 1), *all = mu_strdup(arena, "");
    uint8_t mac[32];

    memcpy(content, head, head_n);
    memcpy(content + head_n, body, n);
    for (const char *at = secrets + strspn(secrets, " "); *at != '\0';) {
        size_t length = strcspn(at, " ");
        char *one = mu_strndup(arena, at, length);
        void *key;
        size_t key_n;
        if (!mu_starts(one, "whsec_") || !mu_unbase64(arena, one + strlen("whsec_"), &key, &key_n) || key_n < 16)
            return NULL;
        mu_hmac_sha256(key, key_n, content, head_n + n, mac);
        all = mu_printf(arena, "%s%sv1,%s", all, all[0] != '\0' ? " " : "", mu_base64(arena, mac, sizeof mac));
        at += length;
        at += strspn(at, " ");
    }
    return all[0] != '\0' ? all : NULL;
}

mu_out_outcome
mu_hook_outcome(const mu_fetch_answer *answer, bool *ret_gone)
{
    *ret_gone = false;
    switch (answer->outcome) {
    case MU_FETCH_ANSWERED:
        if (answer->status >= 200 && answer->status < 300)
            return MU_OUT_SENT;
        *ret_gone = answer->status == 410;
        return *ret_gone ? MU_OUT_DEAD : MU_OUT_RETRY;
    case MU_FETCH_BAD_URL:
    case MU_FETCH_BAD_ADDRESS:
        return MU_OUT_DEAD;
    case MU_FETCH_UNREACHABLE:
    case MU_FETCH_TLS:
    case MU_FETCH_TIMEOUT:
        return MU_OUT_RETRY;
    }
    return MU_OUT_RETRY;
}

/* ---- the loop ---- */

typedef struct { mu_arena *arena; size_t left; } batch;     /* freed when its last row is answered */

typedef struct {
    const mu_outbox *outbox;
    mu_fetch   *fetch;
    mu_bell    *bell;
    size_t      open;               /* claimed, not answered */
    mu_arena   *arena;              /* of the results that wait to be settled */
    mu_out_result results[QUEUE + 1];
    size_t      count;
    int64_t     first_ms;           /* when the first of them came */
} loop;

typedef struct {
    loop       *loop;
    batch      *batch;
    const mu_out_row *row;
    mu_fetch_request request;
    const char *headers[4];
} job;

static void
release(batch *b)
{
    if (--b->left > 0)
        return;
    mu_arena_free(b->arena);
    free(b);
}

static void
record(loop *l, const mu_out_row *row, mu_out_outcome outcome, int code, const char *detail, int64_t ms, int64_t retry_after, bool unsure, bool gone)
{
    if (l->count == 0)
        l->first_ms = mu_monotonic_ms();
    l->results[l->count] = mu_outbox_result(l->arena, row, outcome, code, detail, ms, retry_after, unsure);
    l->results[l->count++].gone = gone;
    l->open--;
}

/* The words of a receiver that refused help whoever looks at the dead letter; those of one that agreed help nobody. */
static void
on_answer(void *closure, const mu_fetch_answer *answer)
{
    job *j = closure;
    loop *l = j->loop;
    bool gone;
    mu_out_outcome outcome = mu_hook_outcome(answer, &gone);
    const char *detail = answer->error;

    if (answer->outcome == MU_FETCH_ANSWERED && outcome != MU_OUT_SENT)
        detail = answer->status / 100 == 3 ? "redirects are not followed" : answer->body;
    record(l, j->row, outcome, answer->status, outcome == MU_OUT_SENT ? "" : detail, answer->ms, answer->retry_after, answer->status == 0 && answer->sent, gone);
    release(j->batch);
}

/* Why a row may not be sent at all, or NULL. */
static const char *
objection(const mu_out_row *row, bool may_go)
{
    bool drill = !mu_same(row->kind, "incident") && !mu_same(row->kind, "system");

    if (!may_go)
        return "lease lost";
    if (row->endpoint_disabled)
        return "the endpoint is disabled";
    if (drill && strstr(row->document, MU_DRILL_MARK) == NULL)
        return "a drill without its mark";
    return NULL;
}

/* Headers and signature; false when the secret cannot be used. */
static bool
prepare(job *j, mu_arena *arena)
{
    const mu_out_row *row = j->row;
    int64_t now = mu_wall_now() / MU_SECOND;
    size_t n = strlen(row->document);
    const char *secrets, *signature;

    j->headers[0] = mu_printf(arena, "webhook-id: %s", row->event_id);
    j->headers[1] = mu_printf(arena, "webhook-timestamp: %lld", (long long)now);
    if (row->secret != NULL) {
        secrets = mu_unseal(arena, row->secret);
        signature = secrets != NULL ? mu_hook_signature(arena, secrets, row->event_id, now, row->document, n) : NULL;
        if (signature == NULL)
            return false;
        j->headers[2] = mu_printf(arena, "webhook-signature: %s", signature);
    }
    j->request = (mu_fetch_request){ .method = "POST", .url = row->address, .headers = j->headers, .body = row->document, .body_n = n,
                                     .content_type = "application/cloudevents+json; charset=utf-8" };
    return true;
}

static void
dispatch(loop *l, batch *b, const mu_out_row *row, bool may_go)
{
    const char *no = objection(row, may_go);
    job *j;

    switch (mu_outbox_guard(row)) {
    case MU_GUARD_SIMULATE:
        record(l, row, MU_OUT_SIMULATED, 0, "", 0, -1, false, false);
        release(b);
        return;
    case MU_GUARD_REFUSE:
        mu_log(MU_LOG_ERROR, "outbox.refused", "id=%lld kind=%s", (long long)row->id, row->kind);
        record(l, row, MU_OUT_REFUSED, 0, "drill guard", 0, -1, false, false);
        release(b);
        return;
    case MU_GUARD_SEND:
        break;
    }
    j = mu_alloc(b->arena, sizeof *j);
    *j = (job){ .loop = l, .batch = b, .row = row };
    if (no != NULL || !prepare(j, b->arena)) {
        record(l, row, no != NULL && may_go ? MU_OUT_REFUSED : MU_OUT_RETRY, 0, no != NULL ? no : "the signing secret cannot be read", 0, -1, false, false);
        release(b);
        return;
    }
    mu_fetch_add(l->fetch, &j->request, on_answer, j);
}

/* Claims what there is room for. Returns how many rows came. */
static size_t
take(loop *l)
{
    size_t room = QUEUE - l->open - l->count, count = 0;
    batch *b = calloc(1, sizeof *b);
    mu_out_row *rows = NULL;
    bool *may_go;

    if (b == NULL)
        abort();
    b->arena = mu_arena_new(64u << 20);
    if (mu_outbox_claim(l->outbox, b->arena, "webhook", (int)(room - room / 4), (int)(room / 4), &rows, &count) != MU_OK)
        count = 0;
    may_go = mu_alloc(b->arena, count + 1);
    /* Not started means not sent: an error here costs nothing but the lease. */
    if (count > 0 && mu_outbox_begin(l->outbox, b->arena, rows, count, may_go) != MU_OK)
        memset(may_go, 0, count);
    b->left = count + 1;
    l->open += count;
    for (size_t i = 0; i < count; i++)
        dispatch(l, b, &rows[i], may_go[i]);
    release(b);
    return count;
}

static void
settle(loop *l)
{
    mu_arena *scratch MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);

    if (mu_outbox_settle(l->outbox, scratch, l->results, l->count) != MU_OK)
        return; /* tried again; when the lease runs out first, another sender repeats them under the same id */
    l->count = 0;
    mu_arena_free(l->arena);
    l->arena = mu_arena_new(16u << 20);
}

static bool
settle_due(const loop *l)
{
    return l->count >= SETTLE_AT || (l->count > 0 && (l->open == 0 || mu_monotonic_ms() - l->first_ms >= SETTLE_MS));
}

void
mu_hooks_loop(const mu_outbox *outbox, const mu_fetch_policy *policy, mu_bell *bell, int poll_ms, _Atomic(mu_fetch *) *waker)
{
    loop *l = calloc(1, sizeof *l);
    uint64_t seen = 0;
    int64_t asked = 0;
    bool more = true;

    if (l == NULL)
        abort();
    l->outbox = outbox;
    l->bell = bell;
    l->arena = mu_arena_new(16u << 20);
    l->fetch = mu_fetch_start(policy, IN_FLIGHT);
    atomic_store(waker, l->fetch);
    while (!mu_bell_stopped(bell) || l->open > 0 || l->count > 0) {
        int64_t now = mu_monotonic_ms();
        bool stopping = mu_bell_stopped(bell), room = l->open + l->count <= QUEUE / 2;
        more = mu_bell_heard(bell, &seen) || more;
        if (!stopping && room && (more || now - asked >= poll_ms)) {
            asked = now;
            more = take(l) > 0;
        }
        if (l->open > 0)
            mu_fetch_run(l->fetch, l->count > 0 ? SETTLE_MS : 200);
        if (settle_due(l)) {
            size_t before = l->count;
            settle(l);
            if (l->count == before) { /* the database is away */
                mu_bell_wait(bell, &seen, 1000);
                if (stopping)
                    break;
            }
        }
        if (l->open == 0 && l->count == 0 && !more && !stopping) {
            mu_bell_wait(bell, &seen, poll_ms);
            more = true;
        }
    }
    atomic_store(waker, NULL);
    mu_fetch_free(l->fetch);
    mu_arena_free(l->arena);
    free(l);
}
