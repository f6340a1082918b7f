/* The sender of calls. It makes one attempt and tells the run; whether to try again is the engine's judgement. */
#include "connections.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "crypto.h"
#include "failpoint.h"
#include "json.h"
#include "log.h"
#include "run.h"
#include "str.h"

#define IN_FLIGHT    32
#define CALL_BYTES   ((size_t)16 << 20)
#define TIMEOUT      30               /* seconds, where the playbook gives none */
#define TIMEOUT_MOST 600              /* http_claim() makes the lease by the same figure */
#define HEADERS      80
#define JITTER       250              /* permille: how much longer than asked the engine may wait */
#define LOST_MS      2000
#define STOP_MS      10000

typedef struct job {
    struct loop *loop;
    mu_arena   *arena;
    int64_t     id, token;
    bool        once;
    json_t     *clear;                 /* sealed values in the clear, by name */
    const char *headers[HEADERS + 1];
    size_t      header_count;
    mu_fetch_request request;
    json_t     *result;                /* how it ended */
    struct job *next;
} job;

typedef struct loop {
    const mu_outbox *outbox;
    mu_fetch   *fetch;
    size_t      open;                  /* claimed, not settled */
    job        *ended;                 /* to be settled */
} loop;

/* ---- one call ---- */

static int
jitter(void)
{
    uint32_t random;

    mu_random(&random, sizeof random);
    return (int)(random % (JITTER + 1));
}

static void
end(job *j, const char *outcome, const char *error, int64_t ms)
{
    j->result = mu_json_own(j->arena, json_pack("{s:s, s:I, s:i}", "outcome", outcome, "ms", (json_int_t)ms, "jitter", jitter()));
    if (error != NULL)
        json_object_set_new(j->result, "error", json_string(error));
    j->next = j->loop->ended;
    j->loop->ended = j;
}

/* A `once` call of which something left and nothing came back is of unknown fate. */
static void
on_answer(void *closure, const mu_fetch_answer *answer)
{
    job *j = closure;

    if (answer->outcome != MU_FETCH_ANSWERED) {
        end(j, j->once && answer->sent ? "unknown" : "failed", answer->error, answer->ms);
        return;
    }
    end(j, "answered", NULL, answer->ms);
    json_object_set_new(j->result, "status", json_integer(answer->status));
    json_object_set(j->result, "result", mu_call_result(j->arena, answer, j->clear));
}

static bool
unseal(job *j, const char *sealed)
{
    mu_problem ignored = { .arena = j->arena };
    const char *name, *clear;
    json_t *all, *value;

    j->clear = mu_json_own(j->arena, json_object());
    if (sealed == NULL || mu_json_parse(j->arena, sealed, strlen(sealed), &ignored, &all) != MU_OK)
        return false;
    json_object_foreach(all, name, value) {
        clear = mu_unseal(j->arena, json_string_value(value));
        if (clear == NULL)
            return false;
        json_object_set_new(j->clear, name, json_string(clear));
    }
    return true;
}

static bool
has_header(const job *j, const char *name)
{
    size_t n = strlen(name);

    for (size_t i = 0; i < j->header_count; i++)
        if (strncasecmp(j->headers[i], name, n) == 0 && j->headers[i][n] == ':')
            return true;
    return false;
}

/* The first of a name stays: ours, then the connection's, then the playbook's. */
static void
add_header(job *j, const char *name, const char *value)
{
    static const char *const ours[] = { "host", "content-length", "transfer-encoding", "connection", "expect" };

    for (size_t i = 0; i < MU_COUNT(ours); i++)
        if (strcasecmp(name, ours[i]) == 0)
            return;
    if (j->header_count < HEADERS && !has_header(j, name))
        j->headers[j->header_count++] = mu_printf(j->arena, "%s: %s", name, mu_call_fill(j->arena, value, j->clear, ' '));
}

static void
add_lines(job *j, const char *lines)
{
    for (const char *at = lines; *at != '\0';) {
        size_t line = strcspn(at, "\r\n"), name = strcspn(at, ":\r\n");
        if (name > 0 && name < line) {
            const char *value = at + name + 1;
            while (*value == ' ' || *value == '\t')
                value++;
            add_header(j, mu_strndup(j->arena, at, name), mu_strndup(j->arena, value, (size_t)(at + line - value)));
        }
        at += line;
        at += strspn(at, "\r\n");
    }
}

static char
place_of(const json_t *headers)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
        if (strcasecmp(name, "content-type") == 0 && json_is_string(value))
            return strstr(json_string_value(value), "json") != NULL ? 'j' : strstr(json_string_value(value), "form-urlencoded") != NULL ? 'f' : ' ';
    return ' ';
}

static bool
allowed(const char *methods, const char *method)
{
    size_t n = method == NULL ? 0 : strlen(method);

    for (const char *at = methods; n > 0 && at != NULL && *at != '\0'; at += strspn(at, " ")) {
        size_t word = strcspn(at, " ");
        if (word == n && strncmp(at, method, n) == 0)
            return true;
        at += word;
    }
    return false;
}

/* The request itself. Gives why it may not be sent, or NULL. */
static const char *
compose(job *j, const mu_rows *rows, int i, const json_t *asked)
{
    const char *base = mu_cell(rows, i, 5), *method = mu_json_str(asked, "method"), *rest = mu_json_str(asked, "url"), *body = mu_json_str(asked, "body"), *name;
    const json_t *headers = json_object_get(asked, "headers");
    int64_t seconds = mu_json_int(asked, "timeout", TIMEOUT);
    const char *url;
    json_t *value;

    if (!mu_same(mu_cell(rows, i, 11), "t") || !mu_same(mu_cell(rows, i, 3), "send"))
        return "drill guard";
    if (base == NULL)
        return "error.call.disabled";
    if (!allowed(mu_cell(rows, i, 6), method))
        return "error.call.method";
    url = mu_call_url(j->arena, base, rest == NULL ? "" : rest);
    if (url == NULL)
        return "error.call.url";
    if (!unseal(j, mu_cell(rows, i, 10)))
        return "error.call.sealed";
    add_header(j, "Idempotency-Key", mu_cell(rows, i, 8));
    if (!mu_same(mu_cell(rows, i, 2), "incident"))
        add_header(j, "Muster-Drill", "true");
    add_lines(j, mu_cell(rows, i, 7) == NULL ? "" : mu_cell(rows, i, 7));
    json_object_foreach((json_t *)(uintptr_t)headers, name, value)
        if (json_is_string(value))
            add_header(j, name, json_string_value(value));
    if (body != NULL)
        body = mu_call_fill(j->arena, body, j->clear, place_of(headers));
    seconds = seconds < 1 ? 1 : seconds > TIMEOUT_MOST ? TIMEOUT_MOST : seconds;
    j->request = (mu_fetch_request){ .method = method, .url = url, .headers = j->headers, .body = body, .body_n = body == NULL ? 0 : strlen(body), .timeout_ms = (long)seconds * 1000 };
    return NULL;
}

static int64_t
number(const char *text)
{
    int64_t n = 0;

    return text != NULL && mu_parse_int(text, 0, INT64_MAX, &n) ? n : 0;
}

/* `once` calls are marked in a transaction of its own. Not started means not sent: an error here costs nothing but the lease. */
static bool
may_go(loop *l, const job *j, const char *id, const char *token)
{
    mu_problem problem = { .arena = j->arena };
    mu_tx *tx;

    if (!j->once)
        return true;
    if (mu_tx_begin(l->outbox->db, j->arena, &problem, &tx) != MU_OK)
        return false;
    int index = mu_tx_queue(tx, Q_http_start, ARGS(id, token));
    if (mu_commit(tx) != MU_OK)
        return false;
    MU_FP(call_started);
    return mu_same(mu_cell(mu_tx_rows(tx, index), 0, 0), "t");
}

static void
drop(loop *l, job *j)
{
    l->open--;
    mu_arena_free(j->arena);
}

static void
dispatch(loop *l, const mu_rows *rows, int i)
{
    mu_arena *arena = mu_arena_new(CALL_BYTES);
    mu_problem ignored = { .arena = arena };
    job *j = mu_alloc(arena, sizeof *j);
    const char *asked_text = mu_cell(rows, i, 9), *no;
    json_t *asked;

    *j = (job){ .loop = l, .arena = arena, .id = number(mu_cell(rows, i, 0)), .token = number(mu_cell(rows, i, 1)), .once = mu_same(mu_cell(rows, i, 4), "t") };
    l->open++;
    if (mu_json_parse(arena, asked_text, strlen(asked_text), &ignored, &asked) != MU_OK)
        no = "error.call.url";
    else
        no = compose(j, rows, i, asked);
    if (no != NULL) {
        mu_log(MU_LOG_WARN, "call.refused", "id=%lld why=%s", (long long)j->id, no);
        end(j, "failed", no, 0);
    } else if (may_go(l, j, mu_cell(rows, i, 0), mu_cell(rows, i, 1))) {
        mu_fetch_add(l->fetch, &j->request, on_answer, j);
    } else {
        drop(l, j);
    }
}

/* Strings of the rows are needed until the request is composed into the job's own arena, but for the key's and headers' texts, which
 * are copied there. Gives how many came. */
static int
take(loop *l)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);
    mu_problem problem = { .arena = arena };
    const mu_rows *rows;
    mu_tx *tx;

    if (mu_tx_begin(l->outbox->db, arena, &problem, &tx) != MU_OK)
        return 0;
    int index = mu_tx_queue(tx, Q_http_claim, ARGS(l->outbox->node, mu_printf(arena, "%zu", IN_FLIGHT - l->open)));
    if (mu_commit(tx) != MU_OK)
        return 0;
    rows = mu_tx_rows(tx, index);
    if (mu_rows_count(rows) > 0)
        MU_FP(call_claimed);
    for (int i = 0; i < mu_rows_count(rows); i++)
        dispatch(l, rows, i);
    return mu_rows_count(rows);
}

/* ---- settling ---- */

/* The row and the run in one transaction. `tell` false: the run does not take it; the row is closed all the same. */
static mu_err
settle(const mu_outbox *outbox, mu_arena *arena, const char *id, const char *token, const json_t *result, bool tell)
{
    mu_problem problem = { .arena = arena };
    json_t *actor = mu_json_own(arena, json_pack("{s:s}", "kind", "effect")), *event;
    const mu_rows *rows;
    mu_tx *tx;
    mu_err err;

    TRY(mu_tx_begin(outbox->db, arena, &problem, &tx));
    TRY(mu_query(tx, Q_http_settle, ARGS(id, token, mu_json_text(arena, result)), &rows));
    if (mu_rows_count(rows) == 0) {               /* the claim passed to another sender: its result counts */
        mu_rollback(tx);
        return MU_OK;
    }
    if (tell) {
        err = mu_json_parse(arena, mu_col(rows, "event"), strlen(mu_col(rows, "event")), &problem, &event);
        if (err == MU_OK)
            err = mu_run_event(tx, mu_col(rows, "run"), event, actor, mu_col(rows, "key"), NULL);
        if (err != MU_OK) {
            mu_log(MU_LOG_WARN, "call.answer", "id=%s error=%s key=%s detail=%s", id, mu_err_code(err), problem.first != NULL && problem.first->key != NULL ? problem.first->key : "",
                   problem.detail != NULL ? problem.detail : "");
            mu_rollback(tx);
            return mu_err_passes(err) ? err : settle(outbox, arena, id, token, result, false);
        }
    }
    TRY(mu_commit(tx));
    MU_FP(call_settled);
    mu_outbox_hint(outbox->db, arena, mu_col(rows, "ref"), "*");
    return MU_OK;
}

/* What cannot be settled now stays for the next turn; when the lease runs out first, another sender has it. Gives false then. */
static bool
settle_ended(loop *l)
{
    while (l->ended != NULL) {
        job *j = l->ended;
        mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);
        MU_FP(call_sent);
        if (mu_err_passes(settle(l->outbox, arena, mu_printf(arena, "%lld", (long long)j->id), mu_printf(arena, "%lld", (long long)j->token), j->result, true)))
            return false;
        l->ended = j->next;
        drop(l, j);
    }
    return true;
}

static void
settle_lost(const mu_outbox *outbox)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);
    mu_problem problem = { .arena = arena };
    json_t *result = mu_json_own(arena, json_pack("{s:s, s:s, s:i, s:i}", "outcome", "unknown", "error", "error.call.lost", "ms", 0, "jitter", 0));
    const mu_rows *lost;
    mu_tx *tx;

    if (mu_tx_begin(outbox->db, arena, &problem, &tx) != MU_OK)
        return;
    int index = mu_tx_queue(tx, Q_http_lost, NO_ARGS);
    if (mu_commit(tx) != MU_OK)
        return;
    lost = mu_tx_rows(tx, index);
    for (int i = 0; i < mu_rows_count(lost); i++)
        if (mu_err_passes(settle(outbox, arena, mu_cell(lost, i, 0), mu_cell(lost, i, 1), result, true)))
            return;
}

/* ---- the loop ---- */

void
mu_calls_loop(const mu_outbox *outbox, const mu_fetch_policy *policy, mu_bell *bell, int poll_ms, _Atomic(mu_fetch *) *waker)
{
    loop l = { .outbox = outbox, .fetch = mu_fetch_start(policy, IN_FLIGHT) };
    int64_t asked = 0, looked = 0, stopped = 0;
    uint64_t seen = 0;
    bool more = true;

    atomic_store(waker, l.fetch);
    for (;;) {
        bool stopping = mu_bell_stopped(bell);
        if (stopping && stopped == 0)
            stopped = mu_monotonic_ms();
        if (stopping && (l.open == 0 || mu_monotonic_ms() - stopped > STOP_MS))
            break;
        more = mu_bell_heard(bell, &seen) || more;
        if (!stopping && l.open < IN_FLIGHT && (more || mu_monotonic_ms() - asked >= poll_ms)) {
            asked = mu_monotonic_ms();
            more = take(&l) > 0;
        }
        if (!stopping && mu_bell_due(&looked, LOST_MS))
            settle_lost(outbox);
        if (l.open > 0 && l.ended == NULL)
            mu_fetch_run(l.fetch, 200);
        if (!settle_ended(&l))
            mu_bell_wait(bell, &seen, 1000);
        if (l.open == 0 && !more && !stopping) {
            mu_bell_wait(bell, &seen, poll_ms);
            more = true;
        }
    }
    atomic_store(waker, NULL);
    while (l.ended != NULL) {
        job *j = l.ended;
        l.ended = j->next;
        mu_arena_free(j->arena);
    }
    mu_fetch_free(l.fetch);
}
