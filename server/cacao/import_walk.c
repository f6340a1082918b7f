/* The graph as nested lists. A branch is a call: it runs to an end step and comes back to the step that opened it. A step that several lines
 * reach becomes a named block. Each step is written once, so the work is linear in the file. */
#include "import.h"

#include <string.h>

#include "json.h"
#include "str.h"

enum { INLINE_DEPTH = 5, OWN_DEPTH = 24, ROUNDS = 10 };

typedef struct {
    importer *im;
    json_t *list;
    const char *halted;      /* variable: the rest of this line is left out after a failure that was dealt with */
    unsigned depth;
    bool root;
} line;

static json_t *branch(importer *im, const char *at, unsigned depth);

static const json_t *step_at(const importer *im, const char *id)
{
    return id != NULL ? json_object_get(im->workflow, id) : NULL;
}

static void add(line *l, json_t *step)
{
    if (l->halted != NULL)
        json_object_set_new(step, "when", json_string(mu_printf(l->im->arena, "not %s", l->halted)));
    json_array_append_new(l->list, step);
}

static json_t *call_block(importer *im, const char *at)
{
    const char *name = mu_json_str(im->block_of, at), *title = mu_json_str(step_at(im, at), "name");

    if (name == NULL) {
        name = mu_import_id(im, mu_printf(im->arena, "from %s", title != NULL ? title : "here"), "block");
        json_object_set_new(im->block_of, at, json_string(name));
        json_array_append_new(im->queue, json_string(at));
    }
    return json_pack("{s:s, s:s}", "call", mu_import_id(im, mu_printf(im->arena, "to %s", title != NULL ? title : "there"), "call"), "block", name);
}

/* ---- failure ----------------------------------------------------------------------------------------------------- */

/* What follows a failure, as the standard leaves it open: on_failure when it is there; it comes back where the line of success goes on, or it
 * ends the line. Without on_failure the failure goes to workflow_exception or to the commander, which is what a step without on_error means. */
static void failure(line *l, const char *id, const json_t *step, json_t *made)
{
    importer *im = l->im;
    const char *target = mu_json_str(step, "on_failure"), *next = mu_cacao_next(step);
    json_t *list;

    if (target == NULL) {
        if (im->options->completion_on_failure && mu_json_str(step, "on_completion") != NULL)
            json_object_set_new(made, "on_error", json_string("continue"));
        return;
    }
    if (mu_same(target, next)) {
        json_object_set_new(made, "on_error", json_string("continue"));
        return;
    }
    if (json_object_get(im->joined, id) != NULL) {
        list = mu_import_walk(im, target, next, l->depth + 1, false);
        if (json_array_size(list) > 0)
            json_object_set(made, "on_error", list);
        else
            json_object_set_new(made, "on_error", json_string("continue"));
        json_decref(list);
        return;
    }
    list = branch(im, target, l->depth + 1);
    if (l->root) {
        json_array_append_new(list, json_pack("{s:s, s:s}", "end", mu_import_id(im, "failed", "failed"), "outcome", "failed"));
    } else {
        const char *flag = l->halted != NULL ? l->halted : mu_import_fresh(im, "halted", "bool", json_false());
        json_array_append_new(list, json_pack("{s:s, s:{s:s}}", "set", mu_import_id(im, "halt", "halt"), "values", flag, "true"));
        l->halted = flag;
    }
    json_object_set_new(made, "on_error", list);
}

static void timing(line *l, const json_t *step, json_t *made)
{
    const char *after = mu_import_duration(l->im, mu_json_int(step, "timeout", 0));

    if (after != NULL && json_object_get(made, "request") == NULL)
        json_object_set_new(made, "deadline", json_pack("{s:s, s:s}", "after", after, "then", "fail"));
}

/* Title, text, failure; then into the line. `before` is the guard of what came earlier; the failure of this step guards what comes later. */
static void finish(line *l, const char *id, const json_t *step, json_t *made, bool texts)
{
    const char *name = mu_json_str(step, "name"), *about = mu_json_str(step, "description");

    if (texts && name != NULL && json_object_get(made, "title") == NULL)
        json_object_set_new(made, "title", mu_import_title(l->im, name));
    if (texts && about != NULL && json_object_get(made, "text") == NULL)
        json_object_set_new(made, "text", mu_import_title(l->im, about));
    timing(l, step, made);
    add(l, made);
    failure(l, id, step, made);
}

/* ---- questions --------------------------------------------------------------------------------------------------- */

static const char *asked(const json_t *step)
{
    const char *text = mu_json_str(step, "condition"), *on = mu_json_str(step, "switch"), *name = mu_json_str(step, "name");

    return text != NULL ? text : on != NULL ? on : name != NULL ? name : "?";
}

static json_t *question(line *l, const json_t *step, const char *variable)
{
    return json_pack("{s:s, s:o, s:s, s:s}", "decide", mu_import_id(l->im, mu_printf(l->im->arena, "ask %s", variable), "ask"), "title", mu_import_title(l->im, asked(step)),
        "role", mu_import_role(l->im, mu_json_str(step, "agent")), "into", variable);
}

/* ---- kinds ------------------------------------------------------------------------------------------------------- */

static void keep(importer *im, const char *native, const char *cacao_id, const json_t *step)
{
    static const char *const said[] = { "type", "name", "description", "on_completion", "on_success", "on_failure", "on_true", "on_false", "next_steps", "cases", "condition", "switch", "delay" };
    json_t *rest = json_copy((json_t *)(uintptr_t)step);

    for (size_t i = 0; i < MU_COUNT(said); i++)
        json_object_del(rest, said[i]);
    json_object_set_new(im->kept, native, json_pack("{s:s, s:o}", "id", cacao_id, "keep", rest));
}

static void action(line *l, const char *id, const json_t *step)
{
    const json_t *commands = json_object_get(step, "commands"), *command;
    const char *native = NULL, *first = NULL;
    size_t i;

    if (json_array_size(commands) == 0) {
        finish(l, id, step, mu_import_command(l->im, id, step, NULL, &first), false);
    } else {
        json_array_foreach(commands, i, command) {
            finish(l, id, step, mu_import_command(l->im, id, step, command, &native), false);
            first = first == NULL ? native : first;
        }
    }
    keep(l->im, first, id, step);
}

static void splice(line *l, json_t *list)   /* takes the list */
{
    json_t *step;
    size_t i;

    json_array_foreach(list, i, step) {
        if (l->halted != NULL && json_object_get(step, "when") == NULL)
            json_object_set_new(step, "when", json_string(mu_printf(l->im->arena, "not %s", l->halted)));
        json_array_append(l->list, step);
    }
    json_decref(list);
}

static void if_condition(line *l, const char *id, const json_t *step)
{
    importer *im = l->im;
    const char *cond = mu_import_condition(im, mu_json_str(step, "condition")), *native;
    json_t *then = branch(im, mu_json_str(step, "on_true"), l->depth + 1), *other = branch(im, mu_json_str(step, "on_false"), l->depth + 1), *made;

    if (json_array_size(then) == 0 && json_array_size(other) == 0) {
        mu_cacao_find(im->r, "I02", NOTE, "empty", id, "/workflow", "name", id, NULL);
        json_decref(then);
        json_decref(other);
        return;
    }
    if (cond == NULL) {
        cond = mu_import_fresh(im, mu_json_str(step, "name") != NULL ? mu_json_str(step, "name") : "answer", "bool", NULL);
        add(l, question(l, step, cond));
    }
    native = mu_import_id(im, mu_json_str(step, "name"), "if");
    if (json_array_size(then) == 0) {   /* only the other branch does something */
        json_decref(then);
        then = other;
        other = json_array();
        cond = mu_printf(im->arena, "(%s) == false", cond);
    }
    made = json_pack("{s:s, s:s, s:o}", "if", native, "cond", cond, "then", then);
    if (json_array_size(other) > 0)
        json_object_set(made, "else", other);
    json_decref(other);
    finish(l, id, step, made, true);
    keep(im, native, id, step);
}

static void while_condition(line *l, const char *id, const json_t *step)
{
    importer *im = l->im;
    const char *cond = mu_import_condition(im, mu_json_str(step, "condition")), *native, *name = mu_json_str(step, "name"), *title;
    json_t *body = branch(im, mu_json_str(step, "on_true"), l->depth + 1), *made;

    if (json_array_size(body) == 0) {   /* meant as "wait until" */
        json_decref(body);
        title = name != NULL ? mu_printf(im->arena, "%s: %s", name, asked(step)) : asked(step);
        native = mu_import_id(im, name, "until");
        made = json_pack("{s:s, s:o, s:s}", "task", native, "title", mu_import_title(im, title), "role", mu_import_role(im, mu_json_str(step, "agent")));
        finish(l, id, step, made, true);
        keep(im, native, id, step);
        return;
    }
    if (cond == NULL) {
        cond = mu_import_fresh(im, name != NULL ? name : "again", "bool", NULL);
        add(l, question(l, step, cond));
        json_array_append_new(body, question(l, step, cond));
    }
    native = mu_import_id(im, name, "while");
    made = json_pack("{s:s, s:s, s:i, s:o}", "while", native, "cond", cond, "max", ROUNDS, "steps", body);
    finish(l, id, step, made, true);
    keep(im, native, id, step);
}

static void switch_condition(line *l, const char *id, const json_t *step)
{
    importer *im = l->im;
    json_t *cases = json_object_get(step, "cases"), *value, *out = json_object(), *options = json_array(), *other = NULL, *made;
    const char *on = mu_json_str(step, "switch"), *name, *native = mu_import_id(im, mu_json_str(step, "name"), "switch"), *rest = "";
    char *variable = NULL;

    if (on != NULL && mu_cacao_variable(im->arena, on, &variable, &rest) == on && *rest == '\0')
        on = mu_import_variable(im, variable);
    else if (on != NULL && mu_cacao_variable_name(on))
        on = mu_import_variable(im, on);
    else
        on = NULL;
    json_object_foreach(cases, name, value) {
        json_t *list = branch(im, json_string_value(value), l->depth + 1);
        if (json_array_size(list) == 0)
            json_decref(list);
        else if (strcmp(name, "default") == 0)
            other = list;
        else
            json_object_set_new(out, mu_import_text(im, name), list);
        if (strcmp(name, "default") != 0)
            json_array_append_new(options, json_pack("{s:s}", "value", mu_import_text(im, name)));
    }
    if (json_object_size(out) == 0) {   /* nothing hangs on the value */
        json_decref(out);
        json_decref(options);
        if (other != NULL)
            splice(l, other);
        return;
    }
    if (on == NULL) {
        on = mu_import_fresh(im, mu_json_str(step, "name") != NULL ? mu_json_str(step, "name") : "choice", "string", NULL);
        made = question(l, step, on);
        json_object_set(made, "options", options);
        add(l, made);
    }
    json_decref(options);
    made = json_pack("{s:s, s:s, s:o}", "switch", native, "on", on, "cases", out);
    if (other != NULL)
        json_object_set_new(made, "default", other);
    finish(l, id, step, made, true);
    keep(im, native, id, step);
}

static void parallel(line *l, const char *id, const json_t *step)
{
    importer *im = l->im;
    json_t *out = json_object(), *list, *names = mu_json_own(im->arena, json_object());
    const json_t *one;
    const char *native = mu_import_id(im, mu_json_str(step, "name"), "parallel");
    size_t i;

    json_array_foreach(json_object_get(step, "next_steps"), i, one) {
        const char *first = json_string_value(one), *name = mu_import_slug(im->arena, mu_json_str(step_at(im, first), "name"), false);
        list = branch(im, first, l->depth + 1);
        name = name == NULL ? mu_printf(im->arena, "branch_%zu", i + 1) : name;
        if (json_object_get(names, name) != NULL || mu_same(name, "then") || mu_same(name, "else"))
            name = mu_printf(im->arena, "%s_%zu", name, i + 1);
        json_object_set_new(names, name, json_true());
        if (json_array_size(list) > 0)
            json_object_set(out, name, list);
        json_decref(list);
    }
    if (json_object_size(out) < 2) {
        list = json_object_size(out) == 1 ? json_incref(json_object_iter_value(json_object_iter(out))) : json_array();
        json_decref(out);
        splice(l, list);
        return;
    }
    finish(l, id, step, json_pack("{s:s, s:o}", "parallel", native, "branches", out), true);
    keep(im, native, id, step);
}

static void playbook_action(line *l, const char *id, const json_t *step)
{
    importer *im = l->im;
    const char *playbook = mu_json_str(step, "playbook_id"), *native = mu_import_id(im, mu_json_str(step, "name"), "call");
    json_t *made = json_pack("{s:s, s:s}", "call", native, "playbook", playbook != NULL && mu_is_slug(playbook) ? playbook : "unknown-playbook"), *map = json_object();
    const json_t *name;
    size_t i;

    json_array_foreach(json_object_get(step, "in_args"), i, name)
        if (json_is_string(name))
            json_object_set_new(map, mu_import_variable(im, json_string_value(name)), json_string(mu_import_variable(im, json_string_value(name))));
    if (json_object_size(map) > 0)
        json_object_set(made, "with", map);
    json_decref(map);
    map = json_object();
    json_array_foreach(json_object_get(step, "out_args"), i, name)
        if (json_is_string(name))
            json_object_set_new(map, mu_import_variable(im, json_string_value(name)), json_string(mu_import_variable(im, json_string_value(name))));
    if (json_object_size(map) > 0)
        json_object_set(made, "save", map);
    json_decref(map);
    mu_cacao_find(im->r, "I06", WARNING, NULL, id, "/workflow", "name", playbook != NULL ? playbook : "", NULL);
    finish(l, id, step, made, true);
    keep(im, native, id, step);
}

static void foreign(line *l, const char *id, const json_t *step)
{
    const char *wait = mu_import_duration(l->im, mu_json_int(step, "delay", 0)), *type = mu_json_str(step, "type");

    if (wait != NULL && json_object_get(mu_cacao_extension(step), "before") == NULL)
        add(l, json_pack("{s:s, s:s}", "wait", mu_import_id(l->im, "wait", "wait"), "for", wait));
    if (mu_same(type, "if-condition"))
        if_condition(l, id, step);
    else if (mu_same(type, "while-condition"))
        while_condition(l, id, step);
    else if (mu_same(type, "switch-condition"))
        switch_condition(l, id, step);
    else if (mu_same(type, "parallel"))
        parallel(l, id, step);
    else if (mu_same(type, "playbook-action"))
        playbook_action(l, id, step);
    else if (!mu_same(type, "start"))
        action(l, id, step);
}

/* ---- steps of our own files ---------------------------------------------------------------------------------------- */

/* The first step of a branch, by the name the export left where the list was. */
static const char *branch_start(const importer *im, const json_t *step, const char *where)
{
    const json_t *at = step;
    int64_t n;

    if (mu_starts(where, "approval/")) {
        at = step_at(im, mu_cacao_next(step));
        where += 9;
    }
    if (mu_starts(where, "cases/"))
        return mu_json_str(json_object_get(at, "cases"), where + 6);
    if (mu_starts(where, "next_steps/"))
        return mu_parse_int(where + 11, 0, 1000000, &n) ? json_string_value(json_array_get(json_object_get(at, "next_steps"), (size_t)n)) : NULL;
    return mu_json_str(at, where);
}

static bool holds_lists(const char *member)
{
    static const char *const members[] = { "on_error", "on_reject", "then", "else", "default", "steps" };

    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (strcmp(member, members[i]) == 0)
            return true;
    return false;
}

/* Puts lists where {"branch": …} stands. */
static void refill(importer *im, json_t *holder, const json_t *step, const char *next, unsigned depth, bool any)
{
    json_t *value;
    const char *member;
    void *following;

    json_object_foreach_safe(holder, following, member, value) {
        const char *where = json_object_size(value) == 1 && (any || holds_lists(member)) ? mu_json_str(value, "branch") : NULL;
        if (where != NULL)
            json_object_set_new(holder, member, mu_import_walk(im, branch_start(im, step, where), strcmp(where, "on_failure") == 0 ? next : NULL, depth + 1, false));
        else if (strcmp(member, "deadline") == 0 || strcmp(member, "cases") == 0 || strcmp(member, "branches") == 0)
            refill(im, value, step, next, depth, strcmp(member, "deadline") != 0);
    }
}

/* Behind a step of ours: an approval has a test of its own before what follows. */
static const char *behind(const importer *im, const json_t *step)
{
    const char *next = mu_cacao_next(step);
    const json_t *following = step_at(im, next);

    return mu_same(mu_json_str(mu_cacao_extension(following), "helper"), "approval") ? mu_cacao_next(following) : next;
}

static const char *own_step(line *l, const json_t *step, const json_t *ours)
{
    importer *im = l->im;
    const char *helper = mu_json_str(ours, "helper"), *next = behind(im, step);
    const json_t *native = json_object_get(ours, "step");

    if (json_is_object(native)) {
        json_t *made = json_deep_copy(native);
        refill(im, made, step, next, l->depth, false);
        json_array_append_new(l->list, made);
    } else if (mu_same(helper, "when")) {
        splice(l, mu_import_walk(im, mu_json_str(step, "on_true"), NULL, l->depth + 1, false));
    }
    return next;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static void take_waits(line *l, const json_t *step)
{
    const json_t *wait;
    size_t i;

    json_array_foreach(json_object_get(mu_cacao_extension(step), "before"), i, wait)
        if (json_is_object(wait))
            json_array_append_new(l->list, json_deep_copy(wait));
}

static bool is_block(const importer *im, const char *at, const json_t *step)
{
    return !mu_cacao_is_end(step) && mu_json_int(im->degree, at, 0) >= 2 && !(im->ours && mu_cacao_extension(step) != NULL);
}

json_t *mu_import_walk(importer *im, const char *at, const char *stop, unsigned depth, bool root)
{
    line l = { .im = im, .list = json_array(), .depth = depth, .root = root };
    const char *first = at;
    const json_t *step;

    if (depth > OWN_DEPTH) {
        mu_cacao_find(im->r, "I04", ERROR, "deep", at != NULL ? at : "", "/workflow", "name", at != NULL ? at : "", NULL);
        return l.list;
    }
    for (; (step = step_at(im, at)) != NULL && !mu_same(at, stop); ) {
        if (is_block(im, at, step) && !(at == first && mu_json_str(im->block_of, at) != NULL && depth == 0)) {
            add(&l, call_block(im, at));
            break;
        }
        if (im->ours)
            take_waits(&l, step);
        const json_t *ours = im->ours ? mu_cacao_extension(step) : NULL;
        if (mu_cacao_is_end(step)) {
            if (json_is_object(json_object_get(ours, "step")))
                json_array_append_new(l.list, json_deep_copy(json_object_get(ours, "step")));
            break;
        }
        if (json_object_get(im->visited, at) != NULL) {
            mu_cacao_find(im->r, "I04", ERROR, NULL, at, "/workflow", "name", at, NULL);
            break;
        }
        json_object_set_new(im->visited, at, json_true());
        if (json_object_get(ours, "step") != NULL || json_object_get(ours, "helper") != NULL) {
            at = own_step(&l, step, ours);
        } else {
            foreign(&l, at, step);
            at = mu_cacao_next(step);
        }
    }
    if (l.halted != NULL)   /* a loop comes here again */
        json_array_insert_new(l.list, 0, json_pack("{s:s, s:{s:s}}", "set", mu_import_id(im, "go_on", "go_on"), "values", l.halted, "false"));
    return l.list;
}

/* Deeply nested branches are written as blocks, so that no file makes a document deeper than the format allows. */
static json_t *branch(importer *im, const char *at, unsigned depth)
{
    const json_t *step = step_at(im, at);

    if (depth < INLINE_DEPTH || step == NULL || mu_cacao_is_end(step) || json_object_get(im->visited, at) != NULL)
        return mu_import_walk(im, at, NULL, depth, false);
    return json_pack("[o]", call_block(im, at));
}

void mu_import_blocks(importer *im)
{
    for (size_t i = 0; i < json_array_size(im->queue); i++) {
        const char *at = json_string_value(json_array_get(im->queue, i));
        json_object_set_new(im->blocks, mu_json_str(im->block_of, at), mu_import_walk(im, at, NULL, 0, false));
    }
}
