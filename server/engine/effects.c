/* Effects: what shall be told or done outside. The engine only asks; each effect carries the run's mode, its key, and texts that
 * are already filled in. A step that is closed takes its open effects with it. */
#include "motion.h"

#include <string.h>

#include "crypto.h"
#include "json.h"
#include "str.h"

const char *
mu_effect_key(mu_motion *m, const mu_inst *inst, const char *name)
{
    const char *run = mu_json_str(json_object_get(m->state, "run"), "id");
    int64_t anew = mu_json_int(inst->rec, "anew", 0);

    if (anew == 0)
        return mu_printf(m->arena, "%s/%s/%lld/%s", run == NULL ? "" : run, inst->node->path, (long long)inst->occ, name);
    return mu_printf(m->arena, "%s/%s/%lld/%s/%lld", run == NULL ? "" : run, inst->node->path, (long long)inst->occ, name, (long long)anew);
}

/* What goes out in this mode: `send`, `mark` or `simulate`. Outside people, the status page and regulators never see a drill. */
const char *
mu_delivery(const mu_motion *m, const mu_node *node, bool outside)
{
    const char *mode = mu_run_mode(m);

    if (mu_same(mode, "real"))
        return "send";
    if (!mu_same(mode, "drill") || node->kind == MU_K_STATUS || node->kind == MU_K_REPORT)
        return "simulate";
    if (node->drill == MU_DRILL_SIMULATE || (node->drill == MU_DRILL_DEFAULT && (outside || node->kind == MU_K_HTTP)))
        return "simulate";
    return "mark";
}

void
mu_effect_people(mu_motion *m, json_t *people, const char *ref)
{
    const json_t *members, *person;
    size_t i;

    if (mu_starts(ref, "role.") && mu_role_members(m, ref + 5, &members)) {
        json_array_foreach(members, i, person) {
            json_t *row = json_copy((json_t *)(uintptr_t)person);
            json_object_set_new(row, "ref", json_string(ref));
            json_array_append_new(people, row);
        }
    }
}

json_t *
mu_effect_data(mu_motion *m, const mu_inst *inst)
{
    const json_t *run = json_object_get(m->state, "run");
    json_t *title = mu_json_own(m->arena, mu_text_both(m, inst, json_object_get(inst->node->json, "title"), MU_FILL_PLAIN));
    json_t *data = mu_json_own(m->arena, json_object());

    json_object_set_new(data, "run", json_pack("{s:O?, s:O?, s:O?}", "id", json_object_get(run, "id"), "title", json_object_get(run, "title"),
        "url", json_object_get(run, "url")));
    json_object_set(data, "incident", json_object_get(m->state, "incident"));
    json_object_set_new(data, "step", json_pack("{s:s, s:I, s:s, s:O}", "path", inst->node->path, "occ", (json_int_t)inst->occ,
        "id", inst->node->id, "title", title));
    json_object_set(data, "title", title);
    if (mu_json_str(inst->rec, "due") != NULL)
        json_object_set(data, "due_at", json_object_get(inst->rec, "due"));
    return data;
}

void
mu_emit(mu_motion *m, mu_inst *inst, const char *kind, const char *key, const char *how, json_t *data, bool awaited)
{
    json_t *effect = json_object(), *open = json_object_get(inst->rec, "fx");
    mu_buf text = MU_BUF(1024 * 1024);
    bool again = json_object_get(json_object_get(inst->rec, "sent"), key) != NULL;
    const char *sha;

    sha = mu_json_canonical(data, &text) ? mu_sha256_hex(m->arena, text.at, text.n) : "";
    mu_buf_free(&text);
    json_array_append_new(m->effects, effect);
    json_object_set_new(effect, "kind", json_string(kind));
    json_object_set_new(effect, "key", json_string(key));
    json_object_set_new(effect, "path", json_string(inst->node->path));
    json_object_set_new(effect, "occ", json_integer(inst->occ));
    json_object_set_new(effect, "mode", json_string(mu_run_mode(m)));
    json_object_set_new(effect, "delivery", json_string(how));
    json_object_set_new(effect, "again", json_boolean(again));
    json_object_set(effect, "data", data);
    mu_log_event(m, "effect_requested", inst, json_pack("{s:s, s:s, s:s, s:s}", "effect", kind, "key", key, "delivery", how, "sha", sha));
    if (!awaited)
        return;
    if (open == NULL) {
        open = json_object();
        json_object_set_new(inst->rec, "fx", open);
    }
    json_object_set_new(open, key, json_true());
    if (json_object_get(inst->rec, "sent") == NULL)
        json_object_set_new(inst->rec, "sent", json_object());
    json_object_set_new(json_object_get(inst->rec, "sent"), key, json_true());
}

const char *
mu_delivery_inside(const mu_motion *m)
{
    const char *mode = mu_run_mode(m);

    return mu_same(mode, "real") ? "send" : mu_same(mode, "drill") ? "mark" : "simulate";
}

static bool
has_outside(const json_t *to)
{
    const json_t *ref;
    size_t i;

    json_array_foreach(to, i, ref)
        if (json_is_string(ref) && mu_starts(json_string_value(ref), "contact."))
            return true;
    return false;
}

/* The pretended result of a simulated effect: the step does not wait for it. */
void
mu_simulated(mu_motion *m, mu_inst *inst)
{
    json_t *result = json_pack("{s:b}", "simulated", 1);

    if (inst->node->simulated != NULL)
        json_object_set(result, "pretended", (json_t *)(uintptr_t)inst->node->simulated);
    mu_close(m, inst, "done", NULL, result, true);
}

static void
arm_ack(mu_motion *m, mu_inst *inst)
{
    int64_t seconds;
    mu_instant due;

    if (inst->node->count > 0 && mu_length_seconds(m, &inst->node->length, &seconds)
        && !__builtin_mul_overflow(seconds, MU_SECOND, &due) && !__builtin_add_overflow(m->now, due, &due))
        mu_arm(m, inst, "ack", 0, due);
}

void
mu_effect_notify(mu_motion *m, mu_inst *inst)
{
    const json_t *step = inst->node->json, *to = json_object_get(step, "to"), *ref;
    const char *how = mu_delivery(m, inst->node, has_outside(to));
    json_t *data = mu_effect_data(m, inst), *people = json_array();
    size_t i;

    json_object_set_new(data, "people", people);
    json_array_foreach(to, i, ref)
        if (json_is_string(ref))
            mu_effect_people(m, people, json_string_value(ref));
    json_object_set(data, "to", (json_t *)(uintptr_t)to);
    json_object_set(data, "via", json_object_get(step, "via"));
    json_object_set_new(data, "text", mu_text_both(m, inst, json_object_get(step, "text"), MU_FILL_PLAIN));
    if (json_object_get(step, "ack") != NULL)
        json_object_set(data, "ack", json_object_get(step, "ack"));
    mu_set_status(m, inst, "waiting");
    mu_emit(m, inst, "notify", mu_effect_key(m, inst, "notify"), how, data, strcmp(how, "simulate") != 0);
    if (strcmp(how, "simulate") == 0)
        mu_simulated(m, inst);
    else
        arm_ack(m, inst);
}

/* One string with its placeholders filled in, in no particular language. */
static const char *
filled(mu_motion *m, const mu_inst *inst, const char *text)
{
    mu_scope scope = { .m = m, .inst = inst, .language = "zh" };
    mu_names names = mu_scope_names(&scope);

    return text == NULL || strstr(text, "{{") == NULL ? text : mu_text_fill(m->arena, text, &names, MU_FILL_PLAIN);
}

static bool
page_state(const char *state)
{
    static const char *const states[] = { "operational", "degraded_performance", "partial_outage", "major_outage", "under_maintenance" };

    for (size_t i = 0; i < MU_COUNT(states); i++)
        if (mu_same(states[i], state))
            return true;
    return false;
}

void
mu_effect_status(mu_motion *m, mu_inst *inst)
{
    static const char *const members[][2] = { { "component", "component" }, { "incident", "update" } };
    const char *how = mu_delivery(m, inst->node, true), *written = mu_json_str(inst->node->json, "state"), *state = filled(m, inst, written);
    const json_t *text = json_object_get(inst->node->json, "text");
    json_t *data = mu_effect_data(m, inst);

    if (state != written && !page_state(state)) {
        mu_fail_step(m, inst, "error.run.page_state");
        return;
    }
    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(inst->node->json, members[i][0]) != NULL)
            json_object_set(data, members[i][1], json_object_get(inst->node->json, members[i][0]));
    if (state != NULL)
        json_object_set_new(data, "state", json_string(state));
    if (state != NULL && json_is_object(text) && json_object_get(text, "zh") == NULL && json_object_get(text, "en") == NULL)
        text = json_object_get(text, state);      /* a text for each state */
    json_object_set_new(data, "text", mu_text_both(m, inst, text, MU_FILL_PLAIN));
    mu_set_status(m, inst, "waiting");
    mu_emit(m, inst, "status", mu_effect_key(m, inst, "status"), how, data, strcmp(how, "simulate") != 0);
    if (strcmp(how, "simulate") == 0)
        mu_simulated(m, inst);
}

/* Opens the draft; people do the rest. */
void
mu_effect_report(mu_motion *m, mu_inst *inst)
{
    static const char *const members[] = { "profile", "stage", "role", "sign" };
    const json_t *fields = json_object_get(inst->node->json, "fields");
    json_t *data = mu_effect_data(m, inst);
    size_t n;
    const char **names = mu_sorted_keys(m->arena, fields, &n);

    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(inst->node->json, members[i]) != NULL)
            json_object_set(data, members[i], json_object_get(inst->node->json, members[i]));
    if (fields != NULL)
        json_object_set_new(data, "fields", json_object());
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_object_get(fields, names[i]);
        if (json_is_string(value))
            json_object_set_new(json_object_get(data, "fields"), names[i], json_string(filled(m, inst, json_string_value(value))));
        else if (json_is_object(value) && (mu_json_str(value, "zh") != NULL || mu_json_str(value, "en") != NULL))
            json_object_set_new(json_object_get(data, "fields"), names[i], mu_text_both(m, inst, value, MU_FILL_PLAIN));
        else
            json_object_set(json_object_get(data, "fields"), names[i], (json_t *)(uintptr_t)value);
    }
    mu_emit(m, inst, "report", mu_effect_key(m, inst, "report"), mu_delivery(m, inst->node, true), data, false);
}

void
mu_effect_escalate(mu_motion *m, mu_inst *inst, const char *level, int64_t n, const char *role)
{
    json_t *data = mu_effect_data(m, inst), *people = json_array();
    char *ref = mu_printf(m->arena, "role.%s", role == NULL ? "commander" : role);
    char *name = mu_printf(m->arena, "%s/%lld/%lld", level, (long long)n, (long long)mu_seq(m));

    json_object_set_new(data, "people", people);
    if (strcmp(level, "escalation") != 0 && json_object_get(inst->rec, "who") != NULL)      /* the step is one person's */
        json_array_append(people, json_object_get(inst->rec, "who"));
    else
        mu_effect_people(m, people, ref);
    json_object_set_new(data, "to", json_pack("[s]", ref));
    json_object_set_new(data, "via", json_pack("[s]", "email"));
    json_object_set_new(data, "level", json_string(level));
    json_object_set_new(data, "n", json_integer(n));
    json_object_set_new(data, "role", json_string(role == NULL ? "commander" : role));
    mu_emit(m, inst, "escalate", mu_effect_key(m, inst, name), mu_delivery_inside(m), data, false);
}

void
mu_effect_alarm(mu_motion *m, mu_inst *inst, const char *reason, const char *error)
{
    json_t *data = mu_effect_data(m, inst), *people = json_array();
    char *name = mu_printf(m->arena, "alarm/%s/%lld", reason, (long long)mu_seq(m));

    json_object_set_new(data, "people", people);
    mu_effect_people(m, people, "role.commander");
    json_object_set_new(data, "to", json_pack("[s]", "role.commander"));
    json_object_set_new(data, "via", json_pack("[s]", "email"));
    json_object_set_new(data, "reason", json_string(reason));
    if (error != NULL)
        json_object_set_new(data, "error", json_string(error));
    mu_emit(m, inst, "alarm", mu_effect_key(m, inst, name), mu_delivery_inside(m), data, false);
}

/* To the people of the drill. What they are expected to do about it stays with the controllers. */
void
mu_effect_inject(mu_motion *m, mu_inst *inst)
{
    static const char *const members[] = { "to", "via", "attachment" };
    const json_t *json = inst->node->json, *ref;
    json_t *data = mu_effect_data(m, inst), *people = json_array();
    size_t i;

    json_object_set_new(data, "people", people);
    json_array_foreach(json_object_get(json, "to"), i, ref)
        if (json_is_string(ref))
            mu_effect_people(m, people, json_string_value(ref));
    for (i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(json, members[i]) != NULL)
            json_object_set(data, members[i], json_object_get(json, members[i]));
    if (json_object_get(json, "from") != NULL)
        json_object_set_new(data, "from", mu_text_both(m, inst, json_object_get(json, "from"), MU_FILL_PLAIN));
    json_object_set_new(data, "text", mu_text_both(m, inst, json_object_get(json, "text") == NULL ? json : json_object_get(json, "text"), MU_FILL_PLAIN));
    mu_emit(m, inst, "inject", mu_effect_key(m, inst, "inject"), mu_same(mu_run_mode(m), "drill") ? "mark" : "simulate", data, false);
}

/* What was chosen becomes the incident's severity. The run takes it at once and is not told again; whoever carries the effect out
 * tells the incident and its other runs. */
void
mu_effect_grade(mu_motion *m, mu_inst *inst)
{
    const json_t *slot = json_object_get(json_object_get(m->state, "vars"), inst->node->names[0]);
    json_t *level = json_object_get(slot, "value"), *data;

    if (!json_is_string(level))
        return;
    data = mu_effect_data(m, inst);
    json_object_set(data, "severity", level);
    json_object_set(json_object_get(m->state, "run"), "severity", level);
    mu_emit(m, inst, "grade", mu_effect_key(m, inst, "grade"), mu_delivery_inside(m), data, false);
}

void
mu_effects_cancel(mu_motion *m, mu_inst *inst)
{
    size_t n;
    const char **keys = mu_sorted_keys(m->arena, json_object_get(inst->rec, "fx"), &n);

    for (size_t i = 0; i < n; i++)
        json_array_append_new(m->cancelled, json_string(keys[i]));
    json_object_del(inst->rec, "fx");
    if (mu_json_bool(json_object_get(inst->rec, "child"), "awaited", false)) {
        json_array_append_new(m->cancelled, json_string(mu_json_str(json_object_get(inst->rec, "child"), "key")));
        json_object_del(json_object_get(inst->rec, "child"), "awaited");
    }
}

static bool
acknowledged(const mu_inst *inst)
{
    return (int64_t)json_array_size(json_object_get(inst->rec, "acks")) >= inst->node->count;
}

bool
mu_effect_settled(mu_motion *m, mu_inst *inst, bool good)
{
    const char *key = mu_json_str(m->data, "key");
    json_t *open = json_object_get(inst->rec, "fx"), *result = json_object_get(m->data, "result");

    if (!mu_inst_open(inst) || key == NULL || json_object_get(open, key) == NULL) {
        m->late = true;
        return true;
    }
    json_object_del(open, key);
    if (json_object_size(open) == 0)
        json_object_del(inst->rec, "fx");
    mu_dirty(m, inst);
    if (inst->node->kind == MU_K_HTTP)
        mu_request_settled(m, inst, good);
    else if (inst->node->kind == MU_K_CALL)       /* its answers have events of their own; this one says that it could not start */
        mu_fail_step(m, inst, "error.run.child_start");
    else if (good && !acknowledged(inst))
        json_object_set_new(inst->rec, "told", json_true());
    else if (good)
        mu_close(m, inst, "done", NULL, json_is_object(result) ? json_incref(result) : NULL, true);
    else if (mu_json_bool(m->data, "unknown", false)) {
        mu_ask(m, inst, "error.run.effect_unknown");
        mu_set_status(m, inst, "unknown");
    } else
        mu_fail_step(m, inst, "error.run.effect");
    return true;
}
