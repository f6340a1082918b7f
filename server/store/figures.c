/* The limits that a playbook's variables may take from regulator profiles. */
#include "figures.h"

#include "deadline.h"
#include "json.h"
#include "str.h"

/* profile.ID.STAGE: the limit of each stage that is counted in time, as far as it applies here. */
static void
stage_figures(mu_arena *arena, const json_t *profile, const json_t *facts, json_t *figures)
{
    const char *id = mu_json_str(profile, "id");
    const json_t *stage;
    size_t i;

    json_array_foreach(json_object_get(profile, "stages"), i, stage) {
        mu_due due = mu_deadline_due(stage, NULL, facts, NULL);
        if (due.state == MU_DUE_NOT_YET && id != NULL && mu_json_str(stage, "id") != NULL)
            json_object_set_new(figures, mu_printf(arena, "%s.%s", id, mu_json_str(stage, "id")), json_string(mu_duration_format(arena, due.offset)));
    }
}

json_t *
mu_profile_figures(mu_arena *arena, const json_t *facts)
{
    const json_t *profile;
    json_t *figures = json_object();
    int64_t shortest = -1, seconds;
    size_t i;

    json_array_foreach(json_object_get(facts, "profiles"), i, profile) {
        const char *limit = mu_deadline_first_report(arena, profile, json_object_get(facts, "facts"));
        stage_figures(arena, profile, json_object_get(facts, "facts"), figures);
        if (limit != NULL && mu_json_str(profile, "id") != NULL)
            json_object_set_new(figures, mu_printf(arena, "%s.first_report_due", mu_json_str(profile, "id")), json_string(limit));
        if (limit != NULL && mu_duration_parse(limit, &seconds) && (shortest < 0 || seconds < shortest)) {
            shortest = seconds;
            json_object_set_new(figures, "first_report_due", json_string(limit));
        }
    }
    return figures;
}
