/* Clocks of report stages. */
#include "deadline.h"

#include <string.h>

#include "decision.h"
#include "json.h"
#include "str.h"

static bool
anchor_time(const json_t *anchors, const char *name, mu_instant *ret)
{
    const char *text = name == NULL ? NULL : mu_json_str(anchors, name);

    return text != NULL && mu_time_parse(text, ret);
}

static bool
plus(mu_instant base, int64_t seconds, mu_instant *ret)
{
    mu_instant span;

    return !__builtin_mul_overflow(seconds, MU_SECOND, &span) && !__builtin_add_overflow(base, span, ret);
}

/* `cap` is a second clock; the earlier of the two counts. It also gives a limit while the first anchor has not come. */
static void
apply_cap(const json_t *cap, const json_t *anchors, mu_due *due)
{
    const char *offset = mu_json_str(cap, "offset");
    mu_instant base, at;
    int64_t seconds;

    if (offset == NULL || !mu_duration_parse(offset, &seconds) || !anchor_time(anchors, mu_json_str(cap, "anchor"), &base)
        || !plus(base, seconds, &at))
        return;
    if (due->state == MU_DUE_NOT_YET || (due->state == MU_DUE_AT && at < due->at)) {
        due->state = MU_DUE_AT;
        due->at = at;
    }
}

mu_due
mu_deadline_due(const json_t *stage, const json_t *anchors, const json_t *facts, const json_t *business_days)
{
    const json_t *deadline = json_object_get(stage, "deadline"), *condition = json_object_get(deadline, "applies_when");
    const char *offset = mu_json_str(deadline, "offset");
    mu_due due = { .state = MU_DUE_NONE, .anchor = mu_json_str(deadline, "anchor") };
    mu_instant base;
    int applies = condition == NULL ? 1 : mu_decision_holds(condition, facts, NULL);

    (void)business_days;                          /* no profile of ours counts working days yet; an offset in them is not parsed */
    due.repeats = json_object_get(deadline, "repeat") != NULL && !json_is_false(json_object_get(deadline, "repeat"));
    due.uncertain = applies == -1;
    if (applies == 0) {
        due.state = MU_DUE_NOT_APPLICABLE;
        return due;
    }
    if (due.anchor == NULL || offset == NULL || !mu_duration_parse(offset, &due.offset))
        return due;
    due.state = MU_DUE_NOT_YET;
    if (anchor_time(anchors, due.anchor, &base) && plus(base, due.offset, &due.at))
        due.state = MU_DUE_AT;
    apply_cap(json_object_get(deadline, "cap"), anchors, &due);
    return due;
}

json_t *
mu_deadline_stages(mu_arena *arena, const json_t *profile, const json_t *anchors, const json_t *facts)
{
    static const char *const states[] = { "none", "not_yet", "not_applicable", "at" };
    static const char *const copied[] = { "name", "source", "confidence", "note", "ref" };
    json_t *rows = mu_json_own(arena, json_array());
    const json_t *stage;
    size_t i;

    json_array_foreach(json_object_get(profile, "stages"), i, stage) {
        mu_due due = mu_deadline_due(stage, anchors, facts, NULL);
        json_t *row = json_pack("{s:s?, s:s, s:s?, s:s?, s:I, s:b, s:b}", "stage", mu_json_str(stage, "id"), "state", states[due.state],
            "due_at", due.state == MU_DUE_AT ? mu_time_format(arena, due.at) : NULL, "anchor", due.anchor,
            "offset", (json_int_t)due.offset, "uncertain", due.uncertain, "repeats", due.repeats);
        json_array_append_new(rows, row);
        for (size_t j = 0; j < MU_COUNT(copied); j++)
            if (json_object_get(stage, copied[j]) != NULL)
                json_object_set(row, copied[j], json_object_get(stage, copied[j]));
    }
    return rows;
}

char *
mu_deadline_first_report(mu_arena *arena, const json_t *profile, const json_t *facts)
{
    const json_t *stage;
    int64_t shortest = -1;
    size_t i;

    json_array_foreach(json_object_get(profile, "stages"), i, stage) {
        mu_due due = mu_deadline_due(stage, NULL, facts, NULL);
        bool of_incident = due.anchor != NULL && mu_starts(due.anchor, "incident.") && !mu_same(due.anchor, "incident.resolved_at");
        if (due.state == MU_DUE_NOT_YET && of_incident && (shortest < 0 || due.offset < shortest))
            shortest = due.offset;
    }
    return shortest < 0 ? NULL : mu_duration_format(arena, shortest);
}
