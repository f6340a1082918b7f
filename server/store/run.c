/* The transition transaction: lock, load, apply, write. What can be answered at once (a status page change, a message that reaches
 * nobody) is applied in the same transaction, so that nobody ever sees the run in between. What other runs are to learn of it (a called
 * run that starts or is aborted, its caller when it ends, the incident's new severity) is queued and done afterwards, one run at a time:
 * no run is changed while another transition of it is under way. The incident's row is held by all of it, so no two can deadlock. */
#include "run.h"
#include "figures.h"

#include <string.h>

#include "apply.h"
#include "crypto.h"
#include "failpoint.h"
#include "json.h"
#include "playbook_cache.h"
#include "report.h"
#include "run_chain.h"
#include "str.h"

#define FOLLOW_MOST 500                /* answers applied in one transaction; each closes a step, so there are fewer */
#define OTHERS_MOST 1000               /* transitions of other runs in one transaction: what calls itself without end fails here */

typedef struct {
    mu_tx      *tx;
    mu_arena   *arena;
    mu_problem *problem;
    const char *run, *now, *hash, *incident;
    const mu_playbook *playbook;
    json_t     *state;                 /* NULL before run_created */
    const char *last_hash;
    json_t     *actor;
    json_t     *result;                /* of the last apply */
    json_t     *waiting;               /* events to be applied next */
    json_t     *others;                /* of the whole transaction: [{"run","event","actor"}] or [{"run","child": effect}] */
    bool        written;               /* something of it is in the database */
    const char *answered;              /* the recorded answer of the same key */
} transition;

/* -- loading --------------------------------------------------------------------------------------------------------------- */

static mu_err
parse(transition *t, const char *text, json_t **ret)
{
    if (text == NULL)
        return mu_failf(t->problem, MU_INTERNAL, "run %s: a column is empty", t->run);
    return mu_json_parse(t->arena, text, strlen(text), t->problem, ret);
}

static mu_err
load_playbook(transition *t, const mu_rows *row)
{
    const mu_rows *body;

    t->playbook = mu_playbook_cached(t->arena, t->hash);
    if (t->playbook != NULL)
        return MU_OK;
    TRY(mu_one(t->tx, Q_run_playbook, ARGS(mu_col(row, "playbook"), mu_col(row, "version")), &body));
    return mu_playbook_keep(t->arena, t->problem, t->hash, mu_col(body, "body"), &t->playbook);
}

/* The person of the session, unless the caller says who acts. */
static json_t *
actor_of(transition *t, const mu_rows *row, const json_t *given)
{
    json_t *actor = mu_json_own(t->arena, json_object());

    if (given != NULL) {
        json_object_update(actor, (json_t *)(uintptr_t)given);
        return actor;
    }
    if (mu_col(row, "me") == NULL) {
        json_object_set_new(actor, "kind", json_string("system"));
        return actor;
    }
    json_object_set_new(actor, "kind", json_string("user"));
    json_object_set_new(actor, "id", json_string(mu_col(row, "me")));
    if (mu_col(row, "me_name") != NULL)
        json_object_set_new(actor, "name", json_string(mu_col(row, "me_name")));
    if (mu_same(mu_col(row, "commander"), "t"))
        json_object_set_new(actor, "commander", json_true());
    return actor;
}

static char *
command_sha(transition *t, const json_t *event)
{
    json_t *asked = mu_json_own(t->arena, json_object());

    json_object_update(asked, (json_t *)(uintptr_t)event);
    json_object_set_new(asked, "by", json_string(mu_json_str(t->actor, "id") == NULL ? "" : mu_json_str(t->actor, "id")));
    json_object_del(asked, "at");
    return mu_playbook_hash(t->arena, asked);     /* SHA-256 of the canonical form, whatever the document */
}

static mu_err
load(transition *t, const json_t *event, const json_t *actor, const char *key, char **ret_sha)
{
    const mu_rows *row;

    TRY(mu_one(t->tx, Q_run_load, ARGS(t->run, key), &row));
    MU_FP(run_loaded);
    t->now = mu_col(row, "now");
    t->hash = mu_col(row, "hash");
    t->incident = mu_col(row, "incident");
    t->last_hash = mu_same(mu_col(row, "seq"), "0") ? t->hash : mu_col(row, "last_hash");
    t->actor = actor_of(t, row, actor);
    *ret_sha = command_sha(t, event);
    t->answered = mu_col(row, "answered");
    if (t->answered != NULL && !mu_same(mu_col(row, "answered_sha"), *ret_sha))
        return mu_fail(t->problem, MU_CONFLICT, "", "error.key_reused", NULL);
    if (t->answered != NULL)
        return MU_OK;
    if (strtol(mu_col(row, "engine"), NULL, 10) > MU_ENGINE_VERSION)
        return mu_failf(t->problem, MU_UNAVAILABLE, "run %s needs a newer engine", t->run);
    TRY(load_playbook(t, row));
    if (!mu_same(mu_col(row, "seq"), "0"))
        TRY(parse(t, mu_col(row, "state"), &t->state));
    return MU_OK;
}

/* -- one transition -------------------------------------------------------------------------------------------------------- */

static mu_err
refused(transition *t, const json_t *result)
{
    static const struct { const char *code; mu_err err; } codes[] = { { "invalid", MU_INVALID }, { "conflict", MU_CONFLICT },
        { "forbidden", MU_FORBIDDEN }, { "not_found", MU_NOT_FOUND } };

    for (size_t i = 0; i < MU_COUNT(codes); i++)
        if (mu_same(mu_json_str(result, "code"), codes[i].code))
            return mu_fail(t->problem, codes[i].err, mu_json_str(result, "pointer"), mu_json_str(result, "refused"), NULL);
    return mu_fail(t->problem, MU_INVALID, mu_json_str(result, "pointer"), mu_json_str(result, "refused"), NULL);
}

static mu_err
open_drafts(transition *t, const json_t *effects)
{
    const json_t *effect;
    const char *report;
    size_t i;

    json_array_foreach(effects, i, effect) {
        const json_t *data = json_object_get(effect, "data");
        mu_report_wanted wanted = { .incident = t->incident, .profile = mu_json_str(data, "profile"), .stage = mu_json_str(data, "stage"),
            .run = t->run, .path = mu_json_str(effect, "path"), .occ = (int)mu_json_int(effect, "occ", 1) };
        TRY(mu_report_open(t->tx, &wanted, &report));
    }
    return MU_OK;
}

/* Work for other runs, done once this one is settled. */
static void
queue_other(transition *t, const char *run, json_t *event, const char *actor)
{
    json_array_append_new(t->others, json_pack("{s:s, s:o, s:{s:s}}", "run", run, "event", event, "actor", "kind", actor));
}

static void
queue_others(transition *t, const json_t *answer)
{
    const json_t *one, *graded = json_object_get(answer, "graded"), *ended = json_object_get(answer, "ended");
    size_t i;

    json_array_foreach(json_object_get(answer, "abort"), i, one)
        queue_other(t, json_string_value(one), json_pack("{s:s}", "kind", "abort"), "system");
    json_array_foreach(json_object_get(answer, "children"), i, one)
        json_array_append_new(t->others, json_pack("{s:s, s:O}", "run", t->run, "child", one));
    json_array_foreach(json_object_get(graded, "runs"), i, one)
        queue_other(t, json_string_value(one), json_pack("{s:s, s:{s:O}}", "kind", "severity_changed", "data", "severity", json_object_get(graded, "severity")), "system");
    if (json_is_object(ended))
        queue_other(t, mu_json_str(ended, "run"), json_incref(json_object_get(ended, "event")), "effect");
}

static mu_err
write_result(transition *t, const char *key, const char *sha)
{
    json_t *document = mu_json_own(t->arena, json_copy(t->result)), *command = NULL, *answer;
    const char *last;
    const mu_rows *row;

    json_object_set_new(document, "prev_hash", json_string(t->last_hash));
    json_object_set(document, "hashes", mu_run_hashes(t->arena, t->last_hash, json_object_get(t->result, "events"), &last));
    t->last_hash = last;
    t->written = true;
    if (key != NULL)
        command = mu_json_own(t->arena, json_pack("{s:s, s:s}", "key", key, "sha", sha));
    TRY(mu_one(t->tx, Q_run_write, ARGS(t->run, mu_json_text(t->arena, document), command == NULL ? NULL : mu_json_text(t->arena, command)), &row));
    MU_FP(run_written);
    TRY(parse(t, mu_col(row, "body"), &answer));
    json_array_extend(t->waiting, json_object_get(answer, "settled"));
    queue_others(t, answer);
    t->state = json_object_get(t->result, "state");
    return open_drafts(t, json_object_get(answer, "reports"));
}

static mu_err
apply_one(transition *t, const json_t *event, const json_t *actor, const char *key, const char *sha)
{
    json_t *whole = mu_json_own(t->arena, json_object());
    mu_err err;

    json_object_update(whole, (json_t *)(uintptr_t)event);
    json_object_set_new(whole, "at", json_string(t->now));
    json_object_set(whole, "actor", (json_t *)(uintptr_t)actor);
    if (key != NULL)
        json_object_set_new(whole, "key", json_string(key));
    err = mu_apply(t->arena, t->playbook, t->state, whole, &t->result);
    MU_FP(run_applied);
    if (err != MU_OK)
        return mu_failf(t->problem, MU_INTERNAL, "run %s: event %s has not the shape of an event", t->run, mu_json_text(t->arena, event));
    if (json_object_get(t->result, "refused") != NULL)
        return refused(t, t->result);
    return write_result(t, key, sha);
}

/* Answers that are known already: applied now, in the same transaction. */
static mu_err
follow(transition *t)
{
    json_t *actor = mu_json_own(t->arena, json_pack("{s:s}", "kind", "effect"));

    for (size_t i = 0; i < json_array_size(t->waiting); i++) {
        if (i == FOLLOW_MOST)
            return mu_failf(t->problem, MU_INTERNAL, "run %s: more than %d answers at once", t->run, FOLLOW_MOST);
        TRY(apply_one(t, json_array_get(t->waiting, i), actor, NULL, NULL));
    }
    return MU_OK;
}

static json_t *
report(transition *t)
{
    json_t *answer = mu_json_own(t->arena, json_object());

    json_object_set_new(answer, "run", json_string(t->run));
    json_object_set(answer, "status", json_object_get(t->state, "status"));
    json_object_set(answer, "seq", json_object_get(t->state, "seq"));
    json_object_set(answer, "events", json_object_get(t->result, "events"));
    json_object_set(answer, "steps", json_object_get(t->result, "steps"));
    return answer;
}

static transition
transition_of(mu_tx *tx, const char *run, json_t *others)
{
    transition t = { .tx = tx, .arena = mu_tx_arena(tx), .problem = mu_tx_problem(tx), .run = run, .others = others };

    t.waiting = mu_json_own(t.arena, json_array());
    return t;
}

/* One event of one run, with what can be answered at once. */
static mu_err
transit(transition *t, const json_t *event, const json_t *actor, const char *key, json_t **ret)
{
    char *sha;

    TRY(load(t, event, actor, key, &sha));
    if (t->answered != NULL)
        return parse(t, t->answered, ret);
    if (t->state == NULL)
        return mu_fail(t->problem, MU_CONFLICT, "", "error.run.not_started", NULL);
    TRY(apply_one(t, event, t->actor, key, sha));
    TRY(follow(t));
    *ret = report(t);
    return MU_OK;
}

/* -- the start -------------------------------------------------------------------------------------------------------------- */

/* The first event, and what can be answered at once. */
static mu_err
begin(transition *t, const json_t *data, const json_t *actor, const char *key, json_t **ret)
{
    json_t *event = mu_json_own(t->arena, json_pack("{s:s}", "kind", "run_created")), *facts, *needs;
    const mu_rows *row;
    char *sha;

    json_object_set_new(event, "data", data == NULL ? json_object() : json_incref((json_t *)(uintptr_t)data));
    TRY(load(t, event, actor, key, &sha));
    if (t->answered != NULL)
        return parse(t, t->answered, ret);
    if (t->state != NULL)
        return mu_fail(t->problem, MU_CONFLICT, "", "error.run.started", NULL);
    needs = mu_playbook_needs(t->arena, t->playbook);
    TRY(mu_one(t->tx, Q_run_facts, ARGS(t->run, mu_json_text(t->arena, json_object_get(event, "data")),
        mu_json_text(t->arena, json_object_get(needs, "profiles"))), &row));
    TRY(parse(t, mu_col(row, "body"), &facts));
    json_object_set_new(facts, "profile", mu_profile_figures(t->arena, facts));
    json_object_del(facts, "profiles");           /* their figures are in; the event stays small */
    json_object_del(facts, "facts");
    json_object_set_new(facts, "engine", json_integer(MU_ENGINE_VERSION));
    json_object_set(event, "data", facts);
    TRY(apply_one(t, event, t->actor, key, sha));
    TRY(follow(t));
    *ret = report(t);
    return MU_OK;
}

/* -- other runs of the same transaction ------------------------------------------------------------------------------------ */

static bool
refusal(mu_err err)
{
    return err == MU_INVALID || err == MU_CONFLICT || err == MU_FORBIDDEN || err == MU_NOT_FOUND;
}

/* What the caller learns of its call: {"kind","path","occ","data":{"key",…}}. */
static json_t *
call_event(transition *t, const char *kind, const json_t *effect, json_t *data)
{
    json_object_set(data, "key", json_object_get(effect, "key"));
    return mu_json_own(t->arena, json_pack("{s:s, s:O, s:O, s:o}", "kind", kind, "path", json_object_get(effect, "path"), "occ", json_object_get(effect, "occ"), "data", data));
}

/* Starts the called run. What the engine refuses before anything is written leaves no row; *ret_error is then its key. */
static mu_err
start_called(transition *caller, const json_t *made, const char **ret_error)
{
    mu_problem kept = *caller->problem;
    transition t = transition_of(caller->tx, mu_json_str(made, "run"), caller->others);
    json_t *actor = mu_json_own(t.arena, json_pack("{s:s}", "kind", "system")), *answer;
    const mu_rows *row;
    mu_err err = begin(&t, json_object_get(made, "start"), actor, NULL, &answer);

    if (refusal(err) && !t.written) {
        *ret_error = t.problem->first != NULL && t.problem->first->key != NULL ? t.problem->first->key : "error.child.refused";
        *t.problem = kept;
        err = MU_OK;
    }
    TRY(err);
    MU_FP(run_called);
    return mu_query(t.tx, Q_run_child_end, ARGS(t.run, *ret_error == NULL ? "true" : "false"), &row);
}

static mu_err
call_run(transition *caller, const json_t *effect)
{
    json_t *actor = mu_json_own(caller->arena, json_pack("{s:s}", "kind", "effect")), *made, *event, *ignored;
    const mu_rows *row;
    const char *error;

    TRY(mu_one(caller->tx, Q_run_child, ARGS(caller->run, mu_json_text(caller->arena, effect)), &row));
    TRY(parse(caller, mu_col(row, "body"), &made));
    error = mu_json_str(made, "error");
    if (error == NULL && !mu_json_bool(made, "again", false))
        TRY(start_called(caller, made, &error));
    if (error != NULL)
        event = call_event(caller, "effect_failed", effect, json_pack("{s:s, s:b}", "error", error, "unknown", 0));
    else
        event = call_event(caller, "child_started", effect, json_pack("{s:O, s:O, s:O}", "run", json_object_get(made, "run"), "version",
            json_object_get(made, "version"), "hash", json_object_get(made, "hash")));
    return transit(caller, event, actor, NULL, &ignored);
}

/* In the order in which they came up: a call is told as started before it can be told as ended. */
static mu_err
settle_others(mu_tx *tx, json_t *others)
{
    for (size_t i = 0; i < json_array_size(others); i++) {
        const json_t *one = json_array_get(others, i), *child = json_object_get(one, "child");
        transition t = transition_of(tx, mu_json_str(one, "run"), others);
        json_t *ignored;
        if (i == OTHERS_MOST)
            return mu_fail(mu_tx_problem(tx), MU_CONFLICT, "", "error.child.endless", NULL);
        if (child != NULL)
            TRY(call_run(&t, child));
        else
            TRY(transit(&t, json_object_get(one, "event"), json_object_get(one, "actor"), NULL, &ignored));
    }
    return MU_OK;
}

mu_err
mu_run_event(mu_tx *tx, const char *run, const json_t *event, const json_t *actor, const char *key, json_t **ret)
{
    json_t *others = mu_json_own(mu_tx_arena(tx), json_array()), *answer = NULL;
    transition t = transition_of(tx, run, others);

    TRY(transit(&t, event, actor, key, &answer));
    TRY(settle_others(tx, others));
    if (ret != NULL)
        *ret = answer;
    return MU_OK;
}

mu_err
mu_run_start(mu_tx *tx, const char *run, const json_t *data, const json_t *actor, const char *key, json_t **ret)
{
    json_t *others = mu_json_own(mu_tx_arena(tx), json_array()), *answer = NULL;
    transition t = transition_of(tx, run, others);

    TRY(begin(&t, data, actor, key, &answer));
    TRY(settle_others(tx, others));
    if (ret != NULL)
        *ret = answer;
    return MU_OK;
}
