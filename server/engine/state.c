/* The state of a run: reading and writing its parts. Instances are walked in the order of the playbook, never in the order of an
 * object's members, because the database does not keep that order and replay must give the same events. */
#include "motion.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "str.h"

char *
mu_key(mu_arena *arena, const char *path, int64_t occ)
{
    return mu_printf(arena, "%s#%lld", path, (long long)occ);
}

const mu_node *
mu_path_node(const mu_motion *m, const char *path)
{
    const mu_node *node = mu_node_find(m->pb, path);

    for (size_t i = m->pb->node_count; i < m->node_count && node == NULL; i++)
        if (strcmp(m->nodes[i]->path, path) == 0)
            node = m->nodes[i];
    return node;
}

int64_t mu_rules(const mu_motion *m) { return mu_json_int(m->state, "v", 1); }
bool    mu_drilled(const mu_motion *m) { return !mu_same(mu_run_mode(m), "real"); }

mu_inst
mu_inst_get(mu_motion *m, const mu_node *node, int64_t occ)
{
    mu_inst inst = { .node = node, .occ = occ };

    inst.key = mu_key(m->arena, node->path, occ);
    inst.rec = json_object_get(m->steps, inst.key);
    return inst;
}

mu_inst
mu_inst_key(mu_motion *m, const char *key)
{
    mu_inst inst = { .key = key };
    const char *hash = key == NULL ? NULL : strrchr(key, '#');

    if (hash == NULL || !mu_parse_int(hash + 1, 1, MU_OCCURRENCES, &inst.occ))
        return inst;
    inst.node = mu_path_node(m, mu_strndup(m->arena, key, (size_t)(hash - key)));
    inst.rec = inst.node == NULL ? NULL : json_object_get(m->steps, key);
    return inst;
}

bool
mu_inst_open(const mu_inst *inst)
{
    return inst->rec != NULL && json_object_get(inst->rec, "end") == NULL;
}

mu_inst
mu_inst_owner(mu_motion *m, const mu_inst *inst)
{
    return mu_inst_key(m, mu_json_str(inst->rec, "up"));
}

void
mu_inst_each(mu_motion *m, void (*fn)(mu_motion *m, mu_inst inst, void *closure), void *closure)
{
    const json_t *counts = json_object_get(m->state, "occ");

    for (size_t i = 0; i < m->node_count; i++) {
        int64_t last = mu_json_int(counts, m->nodes[i]->path, 0);
        for (int64_t occ = 1; occ <= last; occ++) {
            mu_inst inst = mu_inst_get(m, m->nodes[i], occ);
            if (inst.rec != NULL)
                fn(m, inst, closure);
        }
    }
}

bool
mu_run_over(const mu_motion *m)
{
    const char *status = mu_json_str(m->state, "status");

    return mu_same(status, "succeeded") || mu_same(status, "failed") || mu_same(status, "aborted");
}

bool mu_run_paused(const mu_motion *m) { return mu_same(mu_json_str(m->state, "status"), "paused"); }
int64_t mu_seq(const mu_motion *m) { return mu_json_int(m->state, "seq", 0); }

const char *
mu_run_mode(const mu_motion *m)
{
    const char *mode = mu_json_str(json_object_get(m->state, "run"), "mode");

    return mode == NULL ? "rehearsal" : mode;     /* unknown: reach nobody */
}

void
mu_log_event(mu_motion *m, const char *kind, const mu_inst *inst, json_t *data)
{
    json_t *event = json_object();

    json_array_append_new(m->events, event);
    json_object_set_new(m->state, "seq", json_integer(mu_seq(m) + 1));
    json_object_set_new(event, "seq", json_integer(mu_seq(m)));
    json_object_set_new(event, "kind", json_string(kind));
    json_object_set_new(event, "at", json_string(m->at));
    if (inst != NULL) {
        json_object_set_new(event, "path", json_string(inst->node->path));
        json_object_set_new(event, "occ", json_integer(inst->occ));
    }
    json_object_set_new(event, "actor", json_pack("{s:s}", "kind", "system"));
    json_object_set_new(event, "data", data == NULL ? json_object() : data);
    json_object_set_new(event, "input", json_false());
}

bool
mu_refuse(mu_motion *m, const char *code, const char *key, const char *pointer)
{
    if (m->refusal == NULL) {
        m->refusal = mu_json_own(m->arena, json_pack("{s:s, s:s, s:s, s:{}}", "refused", key, "pointer", pointer == NULL ? "" : pointer,
            "code", code, "args"));
    }
    return false;
}

void
mu_dirty(mu_motion *m, const mu_inst *inst)
{
    json_object_set_new(m->dirty, inst->key, json_true());
}

void
mu_set_status(mu_motion *m, mu_inst *inst, const char *status)
{
    json_object_set_new(inst->rec, "s", json_string(status));
    mu_dirty(m, inst);
}

bool
mu_is_status(const mu_inst *inst, const char *status)
{
    return mu_same(mu_json_str(inst->rec, "s"), status);
}

static json_t *
timer_row(const mu_inst *inst, const char *kind, int64_t n)
{
    return json_pack("{s:s, s:I, s:s, s:I}", "path", inst->node->path, "occ", (json_int_t)inst->occ, "kind", kind, "n", (json_int_t)n);
}

void
mu_arm(mu_motion *m, mu_inst *inst, const char *kind, int64_t n, mu_instant due)
{
    json_t *timers = json_object_get(inst->rec, "timers"), *row = timer_row(inst, kind, n);
    char *text = mu_time_format(m->arena, due);

    json_array_append_new(m->arm, row);
    json_object_set_new(row, "due", json_string(text));
    if (timers == NULL) {
        timers = json_object();
        json_object_set_new(inst->rec, "timers", timers);
    }
    json_object_set_new(timers, mu_printf(m->arena, "%s/%lld", kind, (long long)n), json_string(text));
}

void
mu_disarm(mu_motion *m, mu_inst *inst, const char *timer)
{
    json_t *timers = json_object_get(inst->rec, "timers");
    size_t n;
    const char **names = mu_sorted_keys(m->arena, timers, &n);

    for (size_t i = 0; i < n; i++) {
        const char *slash = strrchr(names[i], '/');
        char *kind = mu_strndup(m->arena, names[i], slash == NULL ? 0 : (size_t)(slash - names[i]));
        int64_t number = 0;
        if (slash == NULL || (timer != NULL && strcmp(timer, names[i]) != 0))
            continue;
        if (mu_parse_int(slash + 1, 0, INT32_MAX, &number))
            json_array_append_new(m->disarm, timer_row(inst, kind, number));
        json_object_del(timers, mu_strdup(m->arena, names[i]));
    }
    if (timers != NULL && json_object_size(timers) == 0)
        json_object_del(inst->rec, "timers");
}

void
mu_var_set(mu_motion *m, const mu_inst *inst, const mu_var *var, const mu_value *value)
{
    json_t *json = mu_json_own(m->arena, mu_value_to_json(m->arena, value)), *shown;

    shown = var->secret ? mu_json_own(m->arena, json_string("***")) : json;
    mu_log_event(m, "var_set", inst, json_pack("{s:s, s:O}", "var", var->name, "value", shown));
    json_object_set_new(json_object_get(m->state, "vars"), var->name,
        json_pack("{s:O, s:I}", "value", json, "seq", (json_int_t)mu_seq(m)));
}

bool
mu_var_get(mu_motion *m, const mu_var *var, mu_value *ret)
{
    const json_t *slot = json_object_get(json_object_get(m->state, "vars"), var->name);

    *ret = (mu_value){ .kind = MU_T_UNSET };
    return slot != NULL && mu_value_from_json(m->arena, json_object_get(slot, "value"), &var->type, ret);
}

bool
mu_length_seconds(mu_motion *m, const mu_length *length, int64_t *ret)
{
    const mu_var *var;
    mu_value value;

    *ret = length->seconds;
    if (!length->given)
        return false;
    if (length->variable == NULL)
        return true;
    var = mu_var_find(m->pb, length->variable);
    if (var == NULL || !mu_var_get(m, var, &value) || value.number < 0)
        return false;
    *ret = value.number;
    return true;
}

json_t *
mu_person(const json_t *actor)
{
    json_t *person = json_object();

    if (mu_json_str(actor, "id") != NULL)
        json_object_set_new(person, "id", json_string(mu_json_str(actor, "id")));
    if (mu_json_str(actor, "name") != NULL)
        json_object_set_new(person, "name", json_string(mu_json_str(actor, "name")));
    if (json_object_size(person) == 0)
        json_object_set_new(person, "kind", json_string(mu_json_str(actor, "kind") == NULL ? "system" : mu_json_str(actor, "kind")));
    return person;
}

/* -- names in expressions and texts --------------------------------------------------------------------------------------- */

static const char *
in_language(const json_t *text, const char *language)
{
    const char *found = json_is_string(text) ? json_string_value(text) : mu_json_str(text, language);

    if (found == NULL)
        found = mu_json_str(text, "zh");
    return found != NULL ? found : mu_json_str(text, "en");
}

static const char *
fact_text(const mu_scope *s, const char *name)
{
    const json_t *run = json_object_get(s->m->state, "run"), *incident = json_object_get(s->m->state, "incident");

    if (strcmp(name, "run.id") == 0)
        return mu_json_str(run, "id");
    if (strcmp(name, "run.title") == 0)
        return in_language(json_object_get(run, "title"), s->language);
    if (strcmp(name, "run.mode") == 0)
        return mu_json_str(run, "mode");
    if (strcmp(name, "run.url") == 0)
        return mu_json_str(run, "url");
    if (strcmp(name, "run.severity") == 0)
        return mu_json_str(run, "severity");
    if (strcmp(name, "incident.id") == 0)
        return mu_json_str(incident, "id");
    if (strcmp(name, "incident.title") == 0)
        return in_language(json_object_get(incident, "title"), s->language);
    if (strcmp(name, "org.name") == 0)
        return in_language(json_object_get(json_object_get(s->m->state, "org"), "name"), s->language);
    if (strcmp(name, "step.title") == 0 && s->inst != NULL) {
        const char *title = in_language(json_object_get(s->inst->node->json, "title"), s->language);
        return title == NULL ? s->inst->node->id : title;
    }
    return NULL;
}

static const char *
fact_time(const mu_scope *s, const char *name)
{
    if (strcmp(name, "now") == 0)
        return s->m->at;
    if (strcmp(name, "run.started_at") == 0)
        return mu_json_str(json_object_get(s->m->state, "run"), "started_at");
    if (strcmp(name, "step.due") == 0 && s->inst != NULL)
        return mu_json_str(s->inst->rec, "due");
    return mu_json_str(json_object_get(json_object_get(s->m->state, "milestones"), name), "at");
}

/* The item of the for_each around the step that has that name for its items. */
static bool
item_value(const mu_scope *s, mu_arena *arena, const char *name, mu_value *ret)
{
    mu_inst cur, owner;
    const json_t *json;
    mu_type guess = { .kind = MU_T_TEXT, .of = MU_T_ANY };

    if (s->inst == NULL || s->inst->rec == NULL || mu_item_owner(s->inst->node, name) == NULL)
        return false;
    for (cur = *s->inst, owner = mu_inst_owner(s->m, &cur); owner.rec != NULL; cur = owner, owner = mu_inst_owner(s->m, &cur)) {
        if (owner.node->kind != MU_K_FOR_EACH || !mu_same(owner.node->as, name))
            continue;
        json = json_array_get(json_object_get(owner.rec, "list"), (size_t)mu_json_int(cur.rec, "it", 0));
        if (json_is_integer(json) || json_is_boolean(json))
            guess.kind = json_is_integer(json) ? MU_T_INT : MU_T_BOOL;
        return mu_value_from_json(arena, json, owner.node->item.kind == MU_T_ANY ? &guess : &owner.node->item, ret);
    }
    return false;
}

static bool
scope_value(void *closure, mu_arena *arena, const char *name, mu_value *ret)
{
    mu_scope *s = closure;
    const mu_var *var = mu_var_find(s->m->pb, name);      /* of no interest once an item has the name */
    const char *text, *time;

    *ret = (mu_value){ .kind = MU_T_UNSET };
    if (item_value(s, arena, name, ret)) {
        var = NULL;
    } else if (var != NULL && var->type.kind == MU_T_SECRET) {
        *ret = (mu_value){ .kind = MU_T_SECRET, .text = var->name };
    } else if (var != NULL) {
        if (!mu_var_get(s->m, var, ret))
            ret->kind = MU_T_UNSET;
    } else if ((text = fact_text(s, name)) != NULL) {
        *ret = (mu_value){ .kind = MU_T_TEXT, .text = mu_strdup(arena, text) };
    } else if ((time = fact_time(s, name)) != NULL && mu_time_parse(time, &ret->number)) {
        ret->kind = MU_T_DATETIME;
    }
    if (s->reads != NULL && (var == NULL || !var->secret))
        json_object_set_new(s->reads, name, mu_value_to_json(arena, ret));
    return ret->kind != MU_T_UNSET;
}

mu_names
mu_scope_names(mu_scope *scope)
{
    return (mu_names){ .value = scope_value, .closure = scope };
}

/* A text is for people: an instant in it is shown in the site's time, to the minute. Expressions keep the instant. */
static bool
shown_value(void *closure, mu_arena *arena, const char *name, mu_value *ret)
{
    mu_scope *s = closure;
    const json_t *offset = json_object_get(json_object_get(s->m->state, "settings"), "utc_offset");
    char date[12], clock[8];
    mu_civil c;

    if (!scope_value(closure, arena, name, ret))
        return false;
    if (ret->kind == MU_T_DATETIME && json_is_integer(offset)) {
        mu_time_civil(ret->number, json_integer_value(offset), &c);
        mu_civil_date(date, &c);
        mu_civil_clock(clock, &c);
        *ret = (mu_value){ .kind = MU_T_TEXT, .text = mu_printf(arena, "%s %s", date, clock) };
    }
    return true;
}

static json_t *
text_in(mu_motion *m, const mu_inst *inst, const char *text, const char *language, mu_fill how)
{
    mu_scope scope = { .m = m, .inst = inst, .language = language };
    mu_names names = { .value = shown_value, .closure = &scope };

    return json_string(mu_text_fill(m->arena, text, &names, how));
}

json_t *
mu_text_both(mu_motion *m, const mu_inst *inst, const json_t *text, mu_fill how)
{
    static const char *const languages[] = { "zh", "en" };
    json_t *both;

    if (text == NULL)
        return json_null();
    both = mu_json_own(m->arena, json_object());
    for (size_t i = 0; i < MU_COUNT(languages); i++) {
        const char *one = json_is_string(text) ? json_string_value(text) : mu_json_str(text, languages[i]);
        if (one != NULL)
            json_object_set_new(both, languages[i], text_in(m, inst, one, languages[i], how));
    }
    return json_incref(both);
}
