/* Event streams. What goes out is the name of what changed, never its content: the page asks for the part and meets the
 * ordinary check of who may see it. One lock guards the hub; the HTTP thread holds it only to copy a few bytes. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "form.h"
#include "metrics.h"
#include "req.h"

#define TOPICS_MAX    8
#define TOPIC_BYTES   96
#define PENDING_BYTES 4096          /* a stream that is this far behind is closed and comes back with Last-Event-ID */
#define BEAT_MS       15000         /* a comment now and then is how a vanished client is noticed */
#define LIFE_MS       (30 * 60000)  /* then the browser comes back and who it is is checked anew */
#define KEPT          512           /* events kept for those that come back */
#define CHUNK_BYTES   128           /* kept for each stream; events go out through the memory of the connection */
#define EVENT_BYTES   512
#define ECHOES        16
#define ECHO_MS       2000

struct mu_stream {
    struct MHD_Connection *con;
    char      *topics[TOPICS_MAX];
    unsigned   topics_n;
    char      *pending;             /* only while there is something: most streams are silent most of the time */
    size_t     pending_n;
    bool       suspended, ended;
    int64_t    born_ms, wrote_ms;
    mu_stream *prev, *next;
};

typedef struct { uint64_t seq; char topic[TOPIC_BYTES], text[EVENT_BYTES]; } event;

static struct {
    pthread_mutex_t lock;
    mu_stream *all;
    unsigned   count;
    char       boot[17];            /* ids of another run mean nothing here */
    uint64_t   seq;
    event      kept[KEPT];
    struct { char payload[256]; int64_t at_ms; } echo[ECHOES];
    unsigned   next_echo;
} hub = { .lock = PTHREAD_MUTEX_INITIALIZER };

void mu_sse_start(void)
{
    unsigned char bytes[8];

    mu_random(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(hub.boot + 2 * i, 3, "%02x", bytes[i]);
}

/* ---- under the lock ---- */

static void push(mu_stream *stream, const char *text, size_t n)
{
    if (stream->pending == NULL && (stream->pending = malloc(PENDING_BYTES)) == NULL)
        abort();
    if (stream->pending_n + n > PENDING_BYTES)
        stream->ended = true;
    else {
        memcpy(stream->pending + stream->pending_n, text, n);
        stream->pending_n += n;
    }
    if (stream->suspended) {
        stream->suspended = false;
        MHD_resume_connection(stream->con);
    }
}

static bool wants(const mu_stream *stream, const char *topic)
{
    for (unsigned i = 0; i < stream->topics_n; i++)
        if (strcmp(stream->topics[i], topic) == 0)
            return true;
    return false;
}

static void append_event(const char *topic, const char *parts, const char *seq)
{
    MU_CLEAN(mu_buf_free) mu_buf text = MU_BUF(EVENT_BYTES - 1);
    event *kept = &hub.kept[++hub.seq % KEPT];
    const char *at = parts;

    (void)mu_buf_addf(&text, "id: %s-%llu\nevent: changed\ndata: {\"topic\":", hub.boot, (unsigned long long)hub.seq);
    (void)mu_buf_add_json(&text, topic, strlen(topic));
    (void)mu_buf_adds(&text, ",\"parts\":[");
    while (*at != '\0') {
        const size_t n = strcspn(at, ",");
        (void)(at != parts && mu_buf_addc(&text, ','));
        (void)mu_buf_add_json(&text, at, n);
        at += n + (at[n] == ',');
    }
    (void)mu_buf_addf(&text, "],\"seq\":%s}\n\n", seq);
    kept->seq = hub.seq;
    snprintf(kept->topic, sizeof kept->topic, "%s", topic);
    if (text.over)   /* too many parts to name: all of them */
        snprintf(kept->text, sizeof kept->text, "id: %s-%llu\nevent: reset\ndata: {}\n\n", hub.boot, (unsigned long long)hub.seq);
    else
        snprintf(kept->text, sizeof kept->text, "%s", text.at);
    for (mu_stream *stream = hub.all; stream != NULL; stream = stream->next)
        if (wants(stream, topic))
            push(stream, kept->text, strlen(kept->text));
}

static void push_reset(void)
{
    static const char text[] = "event: reset\ndata: {}\n\n";

    for (mu_stream *stream = hub.all; stream != NULL; stream = stream->next)
        push(stream, text, sizeof text - 1);
}

/* "TOPIC parts,… seq"; parts "*" when it is not known which. */
static void publish(const char *payload)
{
    char topic[TOPIC_BYTES], parts[200], seq[24];
    const size_t n = strcspn(payload, " ");
    int64_t number;
    int got;

    if (n == 0 || n >= sizeof topic || !mu_utf8_valid(payload, strlen(payload)))
        return;
    memcpy(topic, payload, n);
    topic[n] = '\0';
    got = sscanf(payload + n, " %199s %23s", parts, seq);
    if (got < 1)
        snprintf(parts, sizeof parts, "*");
    if (got < 2 || !mu_parse_int(seq, 0, INT64_MAX, &number))
        snprintf(seq, sizeof seq, "null");
    append_event(topic, parts, seq);
    /* A change of an incident is also one of the lists that show incidents. */
    if (strncmp(topic, "incident:", 9) == 0) {
        append_event("home", "*", "null");
        append_event("incidents", "*", "null");
    }
}

static bool is_echo(const char *payload)
{
    const int64_t now = mu_monotonic_ms();

    for (unsigned i = 0; i < ECHOES; i++)
        if (hub.echo[i].at_ms != 0 && now - hub.echo[i].at_ms < ECHO_MS && strcmp(hub.echo[i].payload, payload) == 0) {
            hub.echo[i].at_ms = 0;
            return true;
        }
    return false;
}

void mu_sse_publish(const char *payload)
{
    pthread_mutex_lock(&hub.lock);
    if (payload == NULL)
        push_reset();
    else if (payload[0] != '\0' && !is_echo(payload))
        publish(payload);
    pthread_mutex_unlock(&hub.lock);
    mu_loop_wake();
}

void mu_sse_publish_own(const char *payload)
{
    pthread_mutex_lock(&hub.lock);
    hub.echo[hub.next_echo].at_ms = mu_monotonic_ms();
    snprintf(hub.echo[hub.next_echo].payload, sizeof hub.echo[0].payload, "%s", payload);
    hub.next_echo = (hub.next_echo + 1) % ECHOES;
    publish(payload);
    pthread_mutex_unlock(&hub.lock);
    mu_loop_wake();
}

void mu_sse_beat(int64_t now_ms)
{
    pthread_mutex_lock(&hub.lock);
    for (mu_stream *stream = hub.all; stream != NULL; stream = stream->next) {
        if (now_ms - stream->born_ms > LIFE_MS)
            stream->ended = true;
        if (stream->ended || now_ms - stream->wrote_ms >= BEAT_MS) {
            stream->wrote_ms = now_ms;
            push(stream, ": beat\n\n", 8);
        }
    }
    pthread_mutex_unlock(&hub.lock);
}

void mu_sse_end_all(void)
{
    pthread_mutex_lock(&hub.lock);
    for (mu_stream *stream = hub.all; stream != NULL; stream = stream->next) {
        stream->ended = true;
        if (stream->suspended) {
            stream->suspended = false;
            MHD_resume_connection(stream->con);
        }
    }
    pthread_mutex_unlock(&hub.lock);
}

/* ---- one stream ---- */

static ssize_t read_some(void *closure, uint64_t position, char *out, size_t most)
{
    mu_stream *stream = closure;
    ssize_t n = 0;

    (void)position;
    pthread_mutex_lock(&hub.lock);
    if (stream->pending_n > 0) {
        n = (ssize_t)(stream->pending_n < most ? stream->pending_n : most);
        memcpy(out, stream->pending, (size_t)n);
        stream->pending_n -= (size_t)n;
        memmove(stream->pending, stream->pending + n, stream->pending_n);
        if (stream->pending_n == 0) {
            free(stream->pending);
            stream->pending = NULL;
        }
        stream->wrote_ms = mu_monotonic_ms();
    } else if (stream->ended || !mu_loop_is_open()) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        stream->suspended = true;   /* returning 0 without this would be asked again at once, for ever */
        MHD_suspend_connection(stream->con);
    }
    pthread_mutex_unlock(&hub.lock);
    return n;
}

static void free_stream(mu_stream *stream)
{
    for (unsigned i = 0; i < stream->topics_n; i++)
        free(stream->topics[i]);
    free(stream->pending);
    free(stream);
}

void mu_sse_discard(mu_stream *stream)
{
    pthread_mutex_lock(&hub.lock);
    if (stream->prev != NULL)
        stream->prev->next = stream->next;
    else
        hub.all = stream->next;
    if (stream->next != NULL)
        stream->next->prev = stream->prev;
    hub.count--;
    mu_gauge(MU_METRIC_HTTP_STREAMS, 0, (int64_t)hub.count);
    pthread_mutex_unlock(&hub.lock);
    free_stream(stream);
}

static void gone(void *closure)
{
    mu_sse_discard(closure);
}

enum MHD_Result mu_sse_send(mu_req *rq)
{
    struct MHD_Response *response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, CHUNK_BYTES, read_some, rq->stream, gone);
    enum MHD_Result queued;

    if (response == NULL)
        return MHD_NO;
    mu_head_fields(response, MU_HEAD_STREAM);
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "X-Accel-Buffering", "no");
    MHD_add_response_header(response, "X-Request-Id", rq->id);
    rq->out.status = 200;
    queued = MHD_queue_response(rq->con, 200, response);
    MHD_destroy_response(response);
    /* A page stays open for half an hour; what only its request needed goes now. */
    mu_arena_free(rq->arena);
    rq->arena = NULL;
    rq->me = NULL;
    return queued;
}

static bool take_topics(mu_req *rq, mu_stream *stream)
{
    json_t *query, *topics, *item;
    size_t i;

    if (mu_form_urlencoded(rq->arena, rq->query_text, strlen(rq->query_text), &rq->problem, &query) != MU_OK)
        return false;
    topics = json_object_get(query, "topic");
    if (json_is_string(topics))
        topics = json_pack("[O]", topics);
    else
        json_incref(topics);
    json_array_foreach(topics, i, item) {
        const char *text = json_string_value(item);
        if (text == NULL || text[0] == '\0' || strlen(text) >= TOPIC_BYTES || strchr(text, ' ') != NULL || stream->topics_n == TOPICS_MAX) {
            json_decref(topics);
            return false;
        }
        if ((stream->topics[stream->topics_n++] = strdup(text)) == NULL)
            abort();
    }
    json_decref(topics);
    return stream->topics_n > 0;
}

/* What was missed since the id the browser knows; or that it should fetch everything, when we cannot say. */
static void catch_up(mu_stream *stream, const char *last)
{
    const size_t boot_n = strlen(hub.boot);
    int64_t seen;
    static const char reset[] = "event: reset\ndata: {}\n\n";

    if (last == NULL || last[0] == '\0')
        return;
    if (strncmp(last, hub.boot, boot_n) != 0 || last[boot_n] != '-' || !mu_parse_int(last + boot_n + 1, 0, INT64_MAX, &seen)
        || (uint64_t)seen > hub.seq || hub.seq - (uint64_t)seen >= KEPT) {
        push(stream, reset, sizeof reset - 1);
        return;
    }
    for (uint64_t seq = (uint64_t)seen + 1; seq <= hub.seq; seq++) {
        const event *kept = &hub.kept[seq % KEPT];
        if (kept->seq == seq && wants(stream, kept->topic))
            push(stream, kept->text, strlen(kept->text));
    }
}

/* Never more than half of all connections. */
static bool is_full(void)
{
    const int64_t half = mu_conf_int(MU_CONF_HTTP_CONNECTIONS) / 2;
    bool full;

    pthread_mutex_lock(&hub.lock);
    full = (int64_t)hub.count >= half;
    pthread_mutex_unlock(&hub.lock);
    return full;
}

void mu_sse_open(mu_req *rq)
{
    static const char hello[] = "retry: 2000\n: hello\n\n";
    mu_stream *stream;
    mu_err err;

    mu_auth_token(rq);
    err = rq->token == NULL ? mu_fail(&rq->problem, MU_UNAUTHORIZED, NULL, "error.signin.needed", NULL) : mu_flow_begin(rq, MU_ROLE_VIEWER);
    mu_flow_end(rq);
    if (err != MU_OK) {
        mu_reply_problem(rq);
        return;
    }
    if ((stream = calloc(1, sizeof *stream)) == NULL)
        abort();
    if (!take_topics(rq, stream) || is_full()) {
        if (stream->topics_n > 0)
            mu_fail(&rq->problem, MU_UNAVAILABLE, NULL, "error.busy", NULL);
        else
            mu_fail(&rq->problem, MU_INVALID, "/topic", "error.topic", NULL);
        free_stream(stream);
        mu_reply_problem(rq);
        return;
    }
    stream->con = rq->con;
    stream->born_ms = stream->wrote_ms = mu_monotonic_ms();
    pthread_mutex_lock(&hub.lock);
    push(stream, hello, sizeof hello - 1);
    catch_up(stream, mu_header(rq, "Last-Event-ID"));
    stream->next = hub.all;
    if (hub.all != NULL)
        hub.all->prev = stream;
    hub.all = stream;
    hub.count++;
    mu_gauge(MU_METRIC_HTTP_STREAMS, 0, (int64_t)hub.count);
    pthread_mutex_unlock(&hub.lock);
    rq->stream = stream;
}
