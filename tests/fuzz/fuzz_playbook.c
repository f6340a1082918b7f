#include "fuzz.h"
#include "apply.h"
#include "json.h"
#include "playbook.h"

/* Tells the run one event and keeps its state when it is taken. */
static json_t *playbook_told(mu_arena *arena, const mu_playbook *playbook, json_t *state, const char *kind, const json_t *row, json_t *data)
{
    json_t *event = mu_json_own(arena, json_pack("{s:s, s:s, s:{s:s, s:s, s:b}, s:s, s:o}", "kind", kind, "at", "2026-11-24T08:00:00Z", "actor", "kind", "user", "id", "u",
        "commander", 1, "reason", "for a good enough reason", "data", data)), *result;

    if (row != NULL) {
        json_object_set(event, "path", json_object_get(row, "path"));
        json_object_set(event, "occ", json_object_get(row, "occ"));
    }
    HOLDS(mu_apply(arena, playbook, state, event, &result) == MU_OK);
    if (json_object_get(result, "refused") != NULL)
        return state;
    HOLDS(json_array_size(json_object_get(result, "events")) > 0);
    return json_object_get(result, "state");
}

static json_t *playbook_work(mu_arena *arena, const mu_playbook *playbook, json_t *state, const json_t *row)
{
    const json_t *item;
    size_t i;

    json_array_foreach(json_object_get(row, "items"), i, item)
        state = playbook_told(arena, playbook, state, "item_check", row, json_pack("{s:O?, s:s}", "item", json_object_get(item, "id"), "state", "done"));
    state = playbook_told(arena, playbook, state, "approve", row, json_object());
    state = playbook_told(arena, playbook, state, "task_done", row, json_object());
    item = json_array_get(json_object_get(row, "options"), 0);
    if (item != NULL)
        state = playbook_told(arena, playbook, state, "decide", row, json_pack("{s:O?}", "value", json_object_get(item, "value")));
    state = playbook_told(arena, playbook, state, "retry", row, json_object());
    return playbook_told(arena, playbook, state, "skip", row, json_object());
}

/* Whatever is accepted as a playbook can be started and worked on, in bounded time; rows and timers can be made of its state. */
static void playbook_run(mu_arena *arena, const mu_playbook *playbook)
{
    json_t *data = json_pack("{s:{s:s, s:s}}", "run", "id", "R", "mode", "rehearsal"), *state = playbook_told(arena, playbook, NULL, "run_created", NULL, data);
    const json_t *row;
    size_t i;

    for (int round = 0; round < 4 && state != NULL; round++) {
        const json_t *rows = mu_apply_steps(arena, playbook, state);
        json_array_foreach(rows, i, row)
            if (i < 12 && json_object_get(row, "started_seq") != NULL && json_object_get(row, "ended_at") == NULL)
                state = playbook_work(arena, playbook, state, row);
        HOLDS(json_is_array(mu_apply_timers(arena, state)));
    }
}

/* The rules that look around: whatever is known, there are findings and an end. */
static void playbook_around(mu_arena *arena, const char *text, size_t n)
{
    static const char known[] = "{\"publishing\":true,\"now\":\"2026-11-25T00:00:00Z\",\"closed\":true,\"groups\":{\"g\":1},\"users\":[],\"contacts\":[],\"channels\":[],"
        "\"components\":[\"app\"],\"connections\":{\"desk\":[\"GET\"]},\"secrets\":[],\"profiles\":{\"nfra\":[\"initial\"]},\"roles\":{\"commander\":1},"
        "\"playbooks\":{\"dc-failover\":{\"latest\":1,\"versions\":{\"1\":{\"params\":{\"system\":{\"type\":\"int\"}},\"vars\":{\"m\":{\"type\":\"bool\",\"from\":\"form\"}},"
        "\"calls\":[\"dc-failover\",\"everything\"],\"outside\":true}}}},\"kinds\":{\"confirm\":\"task\"},\"drilled\":{\"at\":\"2020-01-01T00:00:00Z\",\"roles\":[]},"
        "\"policy\":{\"four_eyes\":true}}";
    mu_findings findings;
    mu_playbook *playbook = NULL;

    mu_findings_start(&findings, arena);
    findings.around = mu_json_own(arena, json_loads(known, 0, NULL));
    HOLDS((mu_playbook_read(arena, text, n, &findings, NULL, &playbook) == MU_OK) == (findings.errors == 0));
    HOLDS(json_is_array(mu_findings_json(&findings)));
}

FUZZ_TARGET(playbook)
{
    mu_arena *arena = mu_arena_new((size_t)256 * 1024 * 1024);
    mu_findings findings;
    mu_playbook *playbook = NULL;
    json_t *doc;

    if (n <= 16384) {
        char *text = mu_strndup(arena, (const char *)data, n);
        mu_findings_start(&findings, arena);
        mu_err err = mu_playbook_read(arena, text, n, &findings, &doc, &playbook);
        HOLDS((err == MU_OK) == (findings.errors == 0));
        HOLDS(json_is_array(mu_findings_json(&findings)));
        HOLDS(doc == NULL || json_is_object(mu_playbook_summary(arena, doc)));
        playbook_around(arena, text, n);
        if (playbook != NULL)
            playbook_run(arena, playbook);
    }
    mu_arena_free(arena);
    return 0;
}
