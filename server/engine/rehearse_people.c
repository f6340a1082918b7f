/* What people do at the steps of a rehearsal: the first thing offered, what the caller chose, or what chance says. */
#include "walk.h"

#include <string.h>

#include "json.h"
#include "str.h"

size_t
mu_walk_pick(mu_walk *w, size_t n)
{
    uint64_t z;

    if (w->how->seed == 0 || n < 2)
        return 0;
    w->chance += UINT64_C(0x9e3779b97f4a7c15);           /* splitmix64 */
    z = (w->chance ^ (w->chance >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (size_t)((z ^ (z >> 31)) % n);
}

/* "path#occ" before "path": a choice may be for one round of a loop only. */
const json_t *
mu_walk_choice(const mu_walk *w, const json_t *row, const char *field)
{
    const char *path = mu_json_str(row, "path"), *dot = field == NULL ? "" : ".";
    const json_t *found = json_object_get(w->how->choices,
        mu_printf(w->arena, "%s#%lld%s%s", path, (long long)mu_json_int(row, "occ", 1), dot, field == NULL ? "" : field));

    return found != NULL ? found : json_object_get(w->how->choices, mu_printf(w->arena, "%s%s%s", path, dot, field == NULL ? "" : field));
}

/* What the caller wrote, as the type wants it: a page can only send texts. */
static json_t *
as_type(mu_walk *w, const json_t *chosen, const char *type)
{
    const char *text = json_string_value(chosen);
    int64_t number;

    if (text != NULL && mu_same(type, "bool"))
        return json_boolean(mu_same(text, "true") || mu_same(text, "yes"));
    if (text != NULL && mu_same(type, "int") && mu_parse_int(text, INT64_MIN, INT64_MAX, &number))
        return json_integer(number);
    (void)w;
    return json_deep_copy(chosen);
}

json_t *
mu_walk_value(mu_walk *w, const json_t *row, const char *field, const json_t *spec)
{
    const char *type = mu_json_str(spec, "type");
    const json_t *chosen = mu_walk_choice(w, row, field), *values = json_object_get(spec, "values");

    if (chosen != NULL)
        return mu_json_own(w->arena, as_type(w, chosen, type));
    if (json_array_size(values) > 0)
        return json_array_get(values, mu_walk_pick(w, json_array_size(values)));
    if (mu_same(type, "bool"))
        return mu_json_own(w->arena, json_boolean(mu_walk_pick(w, 2) == 0));
    if (mu_same(type, "int"))
        return mu_json_own(w->arena, json_integer((json_int_t)mu_walk_pick(w, 2000) + 1));
    if (mu_same(type, "decimal"))
        return mu_json_own(w->arena, json_string("1.5"));
    if (mu_same(type, "duration"))
        return mu_json_own(w->arena, json_string("30m"));
    if (mu_same(type, "datetime"))
        return mu_json_own(w->arena, json_string(mu_time_format(w->arena, w->now)));
    if (mu_same(type, "list") || (type != NULL && mu_starts(type, "list")))
        return mu_json_own(w->arena, json_array());
    return mu_json_own(w->arena, json_string(type != NULL && mu_same(type, "date") ? "2026-01-05" : "…"));
}

/* -- people ---------------------------------------------------------------------------------------------------------------- */

static bool
listed(const json_t *people, const char *id)
{
    size_t i;
    json_t *one;

    json_array_foreach(people, i, one)
        if (mu_same(mu_json_str(one, "id"), id))
            return true;
    return false;
}

json_t *
mu_walk_person(mu_walk *w, const char *role, const json_t *not_these)
{
    const json_t *members = role == NULL ? NULL : json_object_get(json_object_get(w->state, "roles"), role);
    const json_t *spec = role == NULL ? NULL : json_object_get(w->pb->roles, role);
    const char *deputy = mu_json_str(spec, "deputy");
    size_t i;
    json_t *one;

    json_array_foreach(members, i, one)
        if (!listed(not_these, mu_json_str(one, "id")))
            return one;
    if (json_array_size(members) == 0 && deputy != NULL && !mu_same(deputy, role))
        return mu_walk_person(w, deputy, not_these);
    return mu_json_own(w->arena, json_pack("{s:s, s:s}", "id", "rehearsal-somebody", "name", role == NULL ? "" : role));
}

static json_t *
event_of(mu_walk *w, const char *kind, const json_t *row, const json_t *person, json_t *data)
{
    json_t *event = json_pack("{s:s, s:s, s:s, s:I}", "kind", kind, "at", mu_time_format(w->arena, w->now), "path", mu_json_str(row, "path"),
        "occ", (json_int_t)mu_json_int(row, "occ", 1));
    json_t *actor = json_pack("{s:s, s:s, s:s, s:b}", "kind", "user", "id", mu_json_str(person, "id"), "name",
        mu_json_str(person, "name") == NULL ? "" : mu_json_str(person, "name"), "controller", 1);

    json_object_set_new(event, "actor", actor);
    if (data != NULL)
        json_object_set_new(event, "data", data);
    return mu_json_own(w->arena, event);
}

/* -- what is written into a step ------------------------------------------------------------------------------------------- */

static json_t *
form_values(mu_walk *w, const json_t *row, const json_t *form, const char *prefix)
{
    json_t *values = json_object(), *field;
    size_t i;

    json_array_foreach(form, i, field) {
        const char *id = mu_json_str(field, "id");
        json_object_set(values, id, mu_walk_value(w, row, prefix == NULL ? id : mu_printf(w->arena, "%s.%s", prefix, id), field));
    }
    return values;
}

static json_t *
proofs(mu_walk *w, const json_t *row)
{
    static const char *const kinds[] = { "link", "file", "value" };
    const json_t *wanted = json_object_get(row, "evidence"), *types = json_object_get(wanted, "types");
    int64_t count = mu_json_int(wanted, "min", 0);
    json_t *list = json_array();

    for (int64_t i = 0; i < count && i < 20; i++) {
        const char *kind = json_array_size(types) > 0 ? json_string_value(json_array_get(types, (size_t)i % json_array_size(types))) : kinds[i % 3];
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "kind", kind, "name", mu_printf(w->arena, "%s %lld", kind, (long long)i + 1),
            "ref", mu_printf(w->arena, "https://rehearsal.invalid/%lld", (long long)i + 1)));
    }
    return list;
}

static json_t *
close_task(mu_walk *w, const json_t *row, const char **ret_what)
{
    *ret_what = "done";
    return event_of(w, "task_done", row, mu_walk_person(w, mu_json_str(row, "role"), NULL),
        json_pack("{s:o, s:o}", "values", form_values(w, row, json_object_get(row, "form"), NULL), "evidence", proofs(w, row)));
}

static json_t *
check_item(mu_walk *w, const json_t *row, const char **ret_what, json_t **ret_value)
{
    size_t i;
    json_t *item;

    json_array_foreach(json_object_get(row, "items"), i, item) {
        const char *state = mu_json_str(item, "state"), *id = mu_json_str(item, "id");
        if (state != NULL && !mu_same(state, "open"))
            continue;
        *ret_what = "item";
        *ret_value = item;
        return event_of(w, "item_check", row, mu_walk_person(w, mu_json_str(row, "role"), NULL),
            json_pack("{s:s, s:s, s:s, s:o}", "item", id, "state", "done", "value", "ok", "values", form_values(w, row, json_object_get(item, "form"), id)));
    }
    return close_task(w, row, ret_what);
}

static const char *
type_of(const mu_walk *w, const char *name)
{
    return mu_json_str(json_object_get(json_object_get(w->pb->doc, "vars"), name), "type");
}

static json_t *
decide(mu_walk *w, const json_t *row, const char **ret_what, json_t **ret_value)
{
    const json_t *into = json_object_get(row, "into"), *options = json_object_get(row, "options"), *chosen = mu_walk_choice(w, row, NULL);
    const json_t *who = mu_walk_person(w, mu_json_str(row, "role"), NULL);
    json_t *values, *value, *name;
    size_t i;

    *ret_what = "decided";
    if (json_array_size(into) > 1) {
        values = json_object();
        json_array_foreach(into, i, name) {
            const char *text = json_string_value(name);
            json_object_set(values, text, mu_walk_value(w, row, text, json_object_get(json_object_get(w->pb->doc, "vars"), text)));
        }
        *ret_value = mu_json_own(w->arena, json_incref(values));
        return event_of(w, "decide", row, who, json_pack("{s:o}", "values", values));
    }
    if (chosen != NULL)
        value = mu_json_own(w->arena, as_type(w, chosen, type_of(w, json_string_value(json_array_get(into, 0)))));
    else if (json_array_size(options) > 0)
        value = json_object_get(json_array_get(options, mu_walk_pick(w, json_array_size(options))), "value");
    else
        value = mu_walk_value(w, row, json_string_value(json_array_get(into, 0)), json_object_get(json_object_get(w->pb->doc, "vars"), json_string_value(json_array_get(into, 0))));
    *ret_value = value;
    return event_of(w, "decide", row, who, json_pack("{s:O}", "value", value));
}

static json_t *
approve(mu_walk *w, const json_t *row, const char **ret_what)
{
    const json_t *wanted = json_object_get(row, "approve"), *chosen = mu_walk_choice(w, row, NULL);
    json_t *barred = mu_json_own(w->arena, json_array()), *event;
    bool no = chosen != NULL ? mu_same(json_string_value(chosen), "no") : mu_walk_pick(w, 6) == 5;

    json_array_extend(barred, json_object_get(wanted, "given"));
    json_array_extend(barred, json_object_get(wanted, "barred"));
    event = event_of(w, no ? "refuse" : "approve", row, mu_walk_person(w, mu_json_str(wanted, "role"), barred), NULL);
    if (no)
        json_object_set_new(event, "reason", json_string("rehearsal: refused"));
    *ret_what = no ? "refused" : "approved";
    return event;
}

static json_t *
report(mu_walk *w, const json_t *row, const char **ret_what)
{
    const json_t *wanted = json_object_get(row, "approve");

    if ((int64_t)json_array_size(json_object_get(wanted, "given")) < mu_json_int(wanted, "count", 0)) {
        *ret_what = "signed";
        return event_of(w, "approve", row, mu_walk_person(w, mu_json_str(wanted, "role"), json_object_get(wanted, "given")), NULL);
    }
    *ret_what = "filed";
    return event_of(w, "report_filed", row, mu_walk_person(w, mu_json_str(row, "role"), NULL),
        json_pack("{s:s, s:s, s:s}", "number", "REHEARSAL-1", "at", mu_time_format(w->arena, w->now), "channel", "portal"));
}

/* A step that asks: the commander lets it pass once, so that the walk goes on; a loop of asking is cut by the number of tries. */
static json_t *
pass_over(mu_walk *w, const json_t *row, const char **ret_what)
{
    const json_t *second = json_object_get(row, "second");
    json_t *barred = mu_json_own(w->arena, json_array()), *event;

    if (second != NULL)
        json_array_append(barred, json_object_get(second, "by"));
    event = event_of(w, "skip", row, mu_walk_person(w, "commander", barred), NULL);
    json_object_set_new(json_object_get(event, "actor"), "commander", json_true());
    json_object_set_new(event, "reason", json_string("rehearsal: passed over after a failure"));
    *ret_what = "skipped";
    return event;
}

json_t *
mu_walk_act(mu_walk *w, const json_t *row, const char **ret_what, json_t **ret_value)
{
    const char *kind = mu_json_str(row, "kind"), *status = mu_json_str(row, "status");

    *ret_value = NULL;
    if (mu_json_bool(row, "asks", false))
        return pass_over(w, row, ret_what);
    if (mu_same(kind, "inject") && mu_same(status, "waiting") && mu_json_at(row, "inject.at") == NULL) {
        *ret_what = "delivered";
        return event_of(w, "inject_deliver", row, mu_walk_person(w, "controller", NULL), NULL);
    }
    if (mu_same(kind, "notify") && mu_same(status, "waiting") && mu_json_at(row, "notify.ack") != NULL) {
        json_t *person = json_array_get(json_object_get(json_object_get(row, "notify"), "people"), json_array_size(mu_json_at(row, "notify.ack.given")));
        *ret_what = "acknowledged";
        return event_of(w, "acknowledge", row, person != NULL ? person : mu_walk_person(w, "commander", mu_json_at(row, "notify.ack.given")), NULL);
    }
    if (mu_same(kind, "wait") && mu_same(status, "waiting") && mu_json_str(row, "event") != NULL) {
        json_t *event = event_of(w, "signal", row, mu_walk_person(w, "commander", NULL), json_pack("{s:s}", "name", mu_json_str(row, "event")));
        json_object_del(event, "path");
        json_object_del(event, "occ");
        *ret_what = "signalled";
        return event;
    }
    if (!mu_same(status, "active"))
        return NULL;
    if (mu_same(kind, "task"))
        return close_task(w, row, ret_what);
    if (mu_same(kind, "checklist"))
        return check_item(w, row, ret_what, ret_value);
    if (mu_same(kind, "decide"))
        return decide(w, row, ret_what, ret_value);
    if (mu_same(kind, "approve"))
        return approve(w, row, ret_what);
    if (mu_same(kind, "report"))
        return report(w, row, ret_what);
    return NULL;
}
