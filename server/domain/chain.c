/* The frame of each export that has a chain, and one walk over it. */
#include <string.h>
#include "buf.h"
#include "chain.h"
#include "crypto.h"
#include "json.h"
#include "str.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"
#define EVENT_MOST (4u * 1024u * 1024u)
#define REST_MOST (256u * 1024u * 1024u)

static const struct frame { const char *format, *list, *members[10]; } frames[] = {
    { "muster-incident-1", "timeline", { "incident", "seq", "at", "recorded_at", "kind", "actor", "actor_name", "text", "data" } },
    { "muster-audit-1",    "events",   { "seq", "at", "actor", "actor_name", "action", "object", "data" } },
};

static const struct frame *frame_of(const char *format)
{
    for (size_t i = 0; i < MU_COUNT(frames); i++)
        if (mu_same(frames[i].format, format))
            return &frames[i];
    return NULL;
}

/* The hash an event ought to have; NULL when a member is missing or it cannot be written in canonical form. */
static const char *hash_of(mu_arena *arena, const struct frame *frame, const json_t *event, const char *previous)
{
    MU_BUF_AUTO(bytes, EVENT_MOST);
    json_t *hashed = mu_json_own(arena, json_object());

    for (size_t i = 0; frame->members[i] != NULL; i++) {
        json_t *member = json_object_get(event, frame->members[i]);
        if (member == NULL)
            return NULL;
        json_object_set(hashed, frame->members[i], member);
    }
    if (!mu_buf_adds(&bytes, previous) || !mu_json_canonical(hashed, &bytes))
        return NULL;
    return mu_sha256_hex(arena, bytes.at, bytes.n);
}

/* What is wrong with one event, NULL when nothing; *hash is its hash then. */
static const char *judge(mu_arena *arena, const struct frame *frame, const json_t *event, const mu_chain_report *so_far, const char **hash)
{
    const json_t *seq = json_object_get(event, "seq");
    const char *right;

    if (!json_is_integer(seq) || json_integer_value(seq) != so_far->first + so_far->events)
        return "chain.sequence";
    if (so_far->ref != NULL && !mu_same(mu_json_str(event, "incident"), so_far->ref))
        return "chain.reference";
    if (!mu_same(mu_json_str(event, "prev_hash"), so_far->last_hash))
        return "chain.previous";
    right = hash_of(arena, frame, event, so_far->last_hash);
    if (right == NULL)
        return "chain.member";
    if (!mu_same(mu_json_str(event, "hash"), right))
        return "chain.hash";
    *hash = right;
    return NULL;
}

/* The document says how it ends: an event cut off at the end is found by that. */
static bool ends_well(const json_t *document, const mu_chain_report *report)
{
    const char *last = mu_json_str(document, "last_hash");

    if (last == NULL ? report->ref != NULL : !mu_same(last, report->last_hash))
        return false;
    return mu_json_int(document, "count", -1) == report->events;
}

/* Everything of an incident's export besides its timeline: facts, people, messages, deliveries. */
static bool rest_holds(mu_arena *arena, const json_t *document)
{
    MU_BUF_AUTO(bytes, REST_MOST);
    json_t *rest = mu_json_own(arena, json_copy((json_t *)(uintptr_t)document));

    json_object_del(rest, "timeline");
    json_object_del(rest, "document_sha256");
    return mu_json_canonical(rest, &bytes) && mu_same(mu_json_str(document, "document_sha256"), mu_sha256_hex(arena, bytes.at, bytes.n));
}

/* A part of the audit log begins where it was asked to, and takes the hash before it on trust. */
static void begin_of_part(const json_t *first, mu_chain_report *ret)
{
    ret->first = mu_json_int(first, "seq", 1);
    if (ret->first > 1 && mu_json_str(first, "prev_hash") != NULL)
        ret->last_hash = mu_json_str(first, "prev_hash");
}

mu_err mu_chain_verify(mu_arena *arena, const char *text, size_t n, mu_problem *problem, mu_chain_report *ret)
{
    const struct frame *frame;
    const json_t *list, *event;
    json_t *document;
    size_t i;

    *ret = (mu_chain_report){ .good = true, .first = 1, .last_hash = ZEROS };
    TRY(mu_json_parse(arena, text, n, problem, &document));
    frame = frame_of(mu_json_str(document, "format"));
    list = frame != NULL ? json_object_get(document, frame->list) : NULL;
    if (!json_is_array(list))
        return mu_fail(problem, MU_INVALID, "/format", "error.chain.format", NULL);
    if (mu_same(frame->list, "timeline")) {
        ret->ref = mu_json_str(document, "ref");
        if (ret->ref == NULL)
            return mu_fail(problem, MU_INVALID, "/ref", "error.chain.format", NULL);
    } else {
        begin_of_part(json_array_get(list, 0), ret);
    }
    json_array_foreach(list, i, event) {
        const char *hash = NULL;
        ret->what = judge(arena, frame, event, ret, &hash);
        if (ret->what != NULL) {
            ret->good = false;
            ret->bad_seq = ret->first + (int64_t)i;
            return MU_OK;
        }
        ret->last_hash = hash;
        ret->events++;
    }
    if (!ends_well(document, ret)) {
        ret->good = false;
        ret->what = "chain.end";
    } else if (ret->ref != NULL && !rest_holds(arena, document)) {
        ret->good = false;
        ret->what = "chain.document";
    }
    return MU_OK;
}
