/* A native playbook as a CACAO graph. A list of steps is written from its end, so that each step knows what follows it; a nested list becomes a
 * branch with an end step of its own. The extension of a step carries the step itself, with {"branch": …} where a nested list stood. */
#include "export.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "playbook.h"
#include "str.h"

static const char *emit_list(exporter *x, const json_t *list, const char *path, const char *next, bool own_end);

static const char *fail(exporter *x, const char *key, const char *name)
{
    if (!x->failed)
        (void)mu_fail(x->problem, MU_INVALID, "", key, "name", name, NULL);
    x->failed = true;
    return "";
}

/* A step of the file; its id is made from the place, which must be new. */
static json_t *add(exporter *x, const char *type, const char *path, const char *part, const char **ret_id)
{
    const char *id = mu_cacao_id(x, type, true, mu_printf(x->arena, "%s\n%s", path, part));
    json_t *object = json_pack("{s:s}", "type", type);

    if (json_object_get(x->workflow, id) != NULL)
        (void)fail(x, "error.cacao.twice", path);
    else if (json_object_size(x->workflow) >= MU_CACAO_STEPS)
        (void)fail(x, "error.cacao.large", path);
    json_object_set_new(x->workflow, id, object);
    *ret_id = id;
    return object;
}

static json_t *extend(json_t *object)
{
    json_t *all = json_object_get(object, "step_extensions"), *ours;

    if (all == NULL) {
        all = json_object();
        json_object_set_new(object, "step_extensions", all);
    }
    if ((ours = json_object_get(all, MU_CACAO_EXTENSION)) == NULL) {
        ours = json_object();
        json_object_set_new(all, MU_CACAO_EXTENSION, ours);
    }
    return ours;
}

static json_t *add_helper(exporter *x, const char *type, const char *path, const char *part, const char **ret_id)
{
    json_t *object = add(x, type, path, part, ret_id);

    json_object_set_new(extend(object), "helper", json_string(part));
    return object;
}

static const char *add_end(exporter *x, const char *path, const char *part)
{
    const char *id;

    (void)add(x, "end", path, mu_printf(x->arena, "end of %s", part), &id);
    return id;
}

static bool refers(const json_t *value)   /* {block: name} */
{
    return json_is_object(value) && mu_json_str(value, "block") != NULL;
}

/* A named block stands once in the graph; whoever calls it opens it as a branch. */
static const char *emit_block(exporter *x, const char *name)
{
    const json_t *list = json_object_get(json_object_get(x->doc, "blocks"), name), *known = json_object_get(x->blocks, name);
    const char *path = mu_printf(x->arena, "blocks/%s", name), *first;

    if (!json_is_array(list))
        return fail(x, "error.cacao.block", name);
    if (known != NULL)
        return json_is_string(known) ? json_string_value(known) : fail(x, "error.cacao.circle", name);
    json_object_set_new(x->blocks, name, json_null());
    first = emit_list(x, list, path, add_end(x, path, "block"), true);
    json_object_set_new(x->blocks, name, json_string(first));
    return first;
}

/* A branch that is always taken: how CACAO calls a run of steps that stands elsewhere. */
static const char *emit_call(exporter *x, const char *path, const char *part, const char *name, const char *next)
{
    const char *id, *variable = mu_cacao_helper_variable(x, "always", NULL);
    json_t *object = add_helper(x, "if-condition", path, part, &id);

    json_object_set_new(object, "condition", json_string(mu_printf(x->arena, "%s:value = 'true'", variable)));
    json_object_set_new(object, "on_true", json_string(emit_block(x, name)));
    json_object_set_new(object, "on_completion", json_string(next));
    return id;
}

/* The first step of a branch. A list is taken out of `holder`, where the name of the branch stays. */
static const char *emit_branch(exporter *x, json_t *holder, const char *member, const char *path, const char *where)
{
    const json_t *value = json_object_get(holder, member);
    const char *inner = mu_printf(x->arena, "%s/%s", path, member), *first;

    if (refers(value))
        return emit_block(x, mu_json_str(value, "block"));
    if (!json_is_array(value))
        return NULL;
    first = emit_list(x, value, inner, add_end(x, inner, "branch"), true);
    json_object_set_new(holder, member, json_pack("{s:s}", "branch", where));
    return first;
}

/* A list that runs in the place of what failed and goes on with `next`. */
static const char *emit_rescue(exporter *x, json_t *holder, const char *member, const char *path, const char *next)
{
    const json_t *value = json_object_get(holder, member);
    const char *inner = mu_printf(x->arena, "%s/%s", path, member), *first;

    if (refers(value))
        return emit_call(x, inner, "call", mu_json_str(value, "block"), next);
    if (mu_same(json_string_value(value), "continue") || mu_same(json_string_value(value), "proceed") || mu_same(json_string_value(value), "skip"))
        return next;
    if (!json_is_array(value))
        return NULL;
    first = emit_list(x, value, inner, next, false);
    json_object_set_new(holder, member, json_pack("{s:s}", "branch", "on_failure"));
    return first;
}

/* What follows success and failure. `step` is the stripped copy: its lists are moved into the graph here. */
static void link_step(exporter *x, json_t *object, json_t *step, const char *path, const char *following, const char *next)
{
    json_t *deadline = json_object_get(step, "deadline");
    const char *failure = emit_rescue(x, step, "on_error", path, next), *after = mu_json_str(deadline, "after");
    const json_t *then = json_object_get(deadline, "then");
    int64_t seconds;

    if (failure == NULL && json_is_array(then))
        failure = emit_rescue(x, deadline, "then", path, next);
    if (after != NULL && then != NULL && mu_duration_parse(after, &seconds) && seconds > 0 && (json_is_array(then) || refers(then) || mu_same(json_string_value(then), "fail")))
        json_object_set_new(object, "timeout", json_integer(seconds * 1000));
    json_object_set_new(object, failure != NULL ? "on_success" : "on_completion", json_string(following));
    if (failure != NULL)
        json_object_set_new(object, "on_failure", json_string(failure));
}

/* A person answers what a condition of CACAO cannot ask. */
static const char *ask_before(exporter *x, const json_t *step, const char *path, const char *part, const char *expression, const char *variable, const char *next)
{
    const char *id;
    json_t *object = add_helper(x, "action", path, part, &id);

    mu_cacao_names(x, object, step);
    json_object_set_new(object, "commands", json_pack("[{s:s, s:s}]", "type", "manual", "command", mu_printf(x->arena, "%s := %s", variable, expression)));
    json_object_set_new(object, "agent", json_string(mu_cacao_agent(x, NULL)));
    json_object_set_new(object, "out_args", json_pack("[s]", variable));
    json_object_set_new(object, "on_completion", json_string(next));
    return id;
}

typedef struct { const char *kind, *id, *path, *next; json_t *step; } place;

/* Sets the condition of an object; *ret_head becomes the question before it when the expression needs one. */
static const char *set_condition(exporter *x, json_t *object, const place *p, const char *part, const char *expression, const char **ret_head)
{
    const char *words = mu_cacao_condition_of(x, expression), *variable = NULL;

    if (words == NULL) {
        variable = mu_cacao_helper_variable(x, p->id, part);
        words = mu_printf(x->arena, "%s:value = 'true'", variable);
        *ret_head = ask_before(x, p->step, p->path, mu_printf(x->arena, "question %s", part), expression != NULL ? expression : "", variable, *ret_head);
    }
    json_object_set_new(object, "condition", json_string(words));
    return variable;
}

static const char *emit_if(exporter *x, const place *p)
{
    const char *id, *head, *branch;
    json_t *object = add(x, "if-condition", p->path, "step", &id);

    head = id;
    (void)set_condition(x, object, p, "holds", mu_json_str(p->step, "cond"), &head);
    if ((branch = emit_branch(x, p->step, "then", p->path, "on_true")) == NULL)
        branch = add_end(x, p->path, "then");
    json_object_set_new(object, "on_true", json_string(branch));
    if ((branch = emit_branch(x, p->step, "else", p->path, "on_false")) != NULL)
        json_object_set_new(object, "on_false", json_string(branch));
    link_step(x, object, p->step, p->path, p->next, p->next);
    json_object_set(extend(object), "step", p->step);
    return head;
}

/* The body of a loop; when a person judges the condition, they are asked again at the end of each round. */
static const char *emit_body(exporter *x, const place *p, const char *variable, const char *expression)
{
    const json_t *body = json_object_get(p->step, "steps");
    const char *inner = mu_printf(x->arena, "%s/steps", p->path), *end, *first;

    if (!json_is_array(body)) {
        first = refers(body) ? emit_block(x, mu_json_str(body, "block")) : add_end(x, inner, "branch");
        return first;
    }
    end = add_end(x, inner, "branch");
    if (variable != NULL)
        end = ask_before(x, p->step, inner, "question again", expression, variable, end);
    first = emit_list(x, body, inner, end, variable == NULL);
    json_object_set_new(p->step, "steps", json_pack("{s:s}", "branch", "on_true"));
    return first;
}

static const char *emit_loop(exporter *x, const place *p)
{
    const bool each = strcmp(p->kind, "for_each") == 0;
    const char *expression = mu_json_str(p->step, "cond"), *id, *head, *variable;
    json_t *object = add(x, "while-condition", p->path, "step", &id);

    if (each)
        expression = mu_printf(x->arena, "%s in (%s)", mu_json_str(p->step, "as") != NULL ? mu_json_str(p->step, "as") : "", json_is_string(json_object_get(p->step, "in"))
            ? mu_json_str(p->step, "in") : mu_json_text(x->arena, json_object_get(p->step, "in")));
    mu_cacao_names(x, object, p->step);
    head = id;
    variable = set_condition(x, object, p, each ? "more" : "holds", expression, &head);
    json_object_set_new(object, "on_true", json_string(emit_body(x, p, variable, expression != NULL ? expression : "")));
    link_step(x, object, p->step, p->path, p->next, p->next);
    json_object_set(extend(object), "step", p->step);
    return head;
}

static const char *emit_switch(exporter *x, const place *p)
{
    const char *on = mu_json_str(p->step, "on"), *id, *head, *name, *branch;
    json_t *object = add(x, "switch-condition", p->path, "step", &id), *cases = json_object_get(p->step, "cases"), *value, *out = json_object();
    void *next;

    head = id;
    if (on == NULL || !mu_cacao_declared(x, on)) {
        const char *variable = mu_cacao_helper_variable(x, p->id, "choice");
        json_object_set_new(json_object_get(x->variables, variable), "type", json_string("string"));
        head = ask_before(x, p->step, p->path, "question choice", on != NULL ? on : "", variable, head);
        json_object_set_new(object, "switch", json_string(mu_printf(x->arena, "%s:value", variable)));
    } else {
        json_object_set_new(object, "switch", json_string(mu_printf(x->arena, "__%s__:value", on)));
    }
    json_object_foreach_safe(cases, next, name, value)   /* a value called "default" is told from the default by a blank */
        if ((branch = emit_branch(x, cases, name, mu_printf(x->arena, "%s/cases", p->path), mu_printf(x->arena, "cases/%s%s", name, strcmp(name, "default") == 0 ? " " : ""))) != NULL)
            json_object_set_new(out, strcmp(name, "default") == 0 ? "default " : name, json_string(branch));
    if ((branch = emit_branch(x, p->step, "default", p->path, "cases/default")) != NULL)
        json_object_set_new(out, "default", json_string(branch));
    json_object_set_new(object, "cases", out);
    link_step(x, object, p->step, p->path, p->next, p->next);
    json_object_set(extend(object), "step", p->step);
    return head;
}

static const char *emit_parallel(exporter *x, const place *p)
{
    json_t *branches = json_object_get(p->step, "branches"), *value, *out = json_array();
    const char *id, *name, *branch;
    void *next;
    json_t *object = add(x, "parallel", p->path, "step", &id);

    json_object_foreach_safe(branches, next, name, value) {
        const char *inner = mu_printf(x->arena, "%s/branches", p->path);
        if (refers(value))   /* the same block may stand in two branches; each reference must be to a step of its own */
            branch = emit_call(x, mu_printf(x->arena, "%s/%s", inner, name), "call", mu_json_str(value, "block"), add_end(x, mu_printf(x->arena, "%s/%s", inner, name), "call"));
        else
            branch = emit_branch(x, branches, name, inner, mu_printf(x->arena, "next_steps/%zu", json_array_size(out)));
        if (branch != NULL)
            json_array_append_new(out, json_string(branch));
    }
    if (json_array_size(out) < 2)
        (void)fail(x, "error.cacao.branches", p->id);
    json_object_set_new(object, "next_steps", out);
    link_step(x, object, p->step, p->path, p->next, p->next);
    json_object_set(extend(object), "step", p->step);
    return id;
}

static json_t *argument_list(const json_t *names)   /* keys of an object as variable names */
{
    json_t *list = json_array(), *value;
    const char *name;

    json_object_foreach((json_t *)(uintptr_t)names, name, value) {
        MU_BUF_AUTO(out, 256);
        mu_buf_addf(&out, "__%s__", name);
        if (out.at != NULL)
            json_array_append_new(list, json_string(out.at));
    }
    return list;
}

static const char *emit_call_step(exporter *x, const place *p)
{
    const char *block = mu_json_str(p->step, "block"), *playbook = mu_json_str(p->step, "playbook"), *id;
    json_t *object;

    if (block != NULL) {
        object = add(x, "if-condition", p->path, "step", &id);
        json_object_set_new(object, "condition", json_string(mu_printf(x->arena, "%s:value = 'true'", mu_cacao_helper_variable(x, "always", NULL))));
        json_object_set_new(object, "on_true", json_string(emit_block(x, block)));
    } else {
        const char *slug = mu_strndup(x->arena, playbook != NULL ? playbook : "", strcspn(playbook != NULL ? playbook : "", "@"));
        exporter other = { .arena = x->arena, .slug = slug, .options = x->options };
        const json_t *with = json_object_get(p->step, "with"), *save = json_object_get(p->step, "save");
        object = add(x, "playbook-action", p->path, "step", &id);
        json_object_set_new(object, "playbook_id", json_string(mu_starts(slug, "playbook--") ? slug : mu_cacao_id(&other, "playbook", false, "playbook")));
        const char *name;
        json_t *value, *in = argument_list(with);
        json_object_foreach((json_t *)(uintptr_t)with, name, value)   /* what the called playbook declares is declared here, too */
            if (!mu_cacao_declared(x, name))
                json_object_set_new(x->variables, mu_printf(x->arena, "__%s__", name), json_pack("{s:s}", "type", "string"));
        if (json_array_size(in) > 0)
            json_object_set(object, "in_args", in);
        json_decref(in);
        if (json_object_size(save) > 0)
            json_object_set_new(object, "out_args", argument_list(save));
    }
    link_step(x, object, p->step, p->path, p->next, p->next);
    json_object_set(extend(object), "step", p->step);
    return id;
}

static const char *emit_approve(exporter *x, const place *p)
{
    const char *id, *test, *branch, *variable = mu_cacao_helper_variable(x, p->id, "approved");
    json_t *object = add(x, "action", p->path, "step", &id), *check = add_helper(x, "if-condition", p->path, "approval", &test);

    json_object_set_new(check, "condition", json_string(mu_printf(x->arena, "%s:value = 'true'", variable)));
    json_object_set_new(check, "on_true", json_string(add_end(x, p->path, "approved")));
    if ((branch = emit_branch(x, p->step, "on_reject", p->path, "approval/on_false")) != NULL)
        json_object_set_new(check, "on_false", json_string(branch));
    json_object_set_new(check, "on_completion", json_string(p->next));
    mu_cacao_action(x, object, p->step, p->kind);
    json_object_set_new(object, "out_args", json_pack("[s]", variable));
    link_step(x, object, p->step, p->path, test, p->next);
    json_object_set(extend(object), "step", p->step);
    return id;
}

static const char *emit_action(exporter *x, const place *p)
{
    const char *id;
    json_t *object = add(x, "action", p->path, "step", &id);

    mu_cacao_action(x, object, p->step, p->kind);
    link_step(x, object, p->step, p->path, p->next, p->next);
    json_object_set(extend(object), "step", p->step);
    return id;
}

/* A guard is an if around the step; the step itself carries its `when`, too. */
static const char *emit_guard(exporter *x, const place *p, const char *when, const char *head)
{
    const char *id, *first;
    json_t *object = add_helper(x, "if-condition", p->path, "when", &id);

    first = id;
    (void)set_condition(x, object, p, "when", when, &first);
    json_object_set_new(object, "on_true", json_string(head));
    json_object_set_new(object, "on_completion", json_string(p->next));
    return first;
}

/* Only a time, and nothing that would need a step of its own. */
static bool only_delays(const json_t *step, int64_t *ret_seconds)
{
    const char *time = mu_json_str(step, "for"), *member;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)step, member, value)
        if (strcmp(member, "when") == 0 || strcmp(member, "on_error") == 0 || strcmp(member, "deadline") == 0 || strcmp(member, "drill") == 0)
            return false;
    return time != NULL && mu_duration_parse(time, ret_seconds) && *ret_seconds > 0;
}

static bool fold_wait(exporter *x, const json_t *step, const char *next)
{
    json_t *following = json_object_get(x->workflow, next), *before;
    int64_t seconds, known;

    if (following == NULL || !only_delays(step, &seconds))
        return false;
    known = mu_json_int(following, "delay", 0);
    json_object_set_new(following, "delay", json_integer(known + seconds * 1000));
    if ((before = json_object_get(extend(following), "before")) == NULL)
        json_object_set_new(extend(following), "before", json_array());
    before = json_object_get(extend(following), "before");
    json_array_insert_new(before, 0, json_deep_copy(step));
    return true;
}

static const char *emit_kind(exporter *x, const place *p, bool last_of_all)
{
    const char *id;

    if (strcmp(p->kind, "if") == 0)
        return emit_if(x, p);
    if (strcmp(p->kind, "while") == 0 || strcmp(p->kind, "for_each") == 0)
        return emit_loop(x, p);
    if (strcmp(p->kind, "switch") == 0)
        return emit_switch(x, p);
    if (strcmp(p->kind, "parallel") == 0)
        return emit_parallel(x, p);
    if (strcmp(p->kind, "call") == 0)
        return emit_call_step(x, p);
    if (strcmp(p->kind, "approve") == 0)
        return emit_approve(x, p);
    if (strcmp(p->kind, "end") == 0 && last_of_all && json_object_get(p->step, "on_error") == NULL && json_object_get(p->step, "deadline") == NULL) {
        json_t *object = add(x, "end", p->path, "step", &id);
        mu_cacao_names(x, object, p->step);
        json_object_set(extend(object), "step", p->step);
        return id;
    }
    return emit_action(x, p);
}

static const char *emit_step(exporter *x, const json_t *step, const char *path, const char *next, bool last_of_all)
{
    const char *kind = mu_cacao_kind(step), *when = mu_json_str(step, "when"), *id = kind != NULL ? mu_json_str(step, kind) : NULL, *head, *inner = next;

    if (id == NULL)
        return fail(x, "error.cacao.step", path);
    const char *own = mu_printf(x->arena, "%s/%s", path, id);
    if (when != NULL)
        inner = add_end(x, own, "when");
    place p = { .kind = kind, .id = id, .path = own, .next = inner, .step = mu_json_own(x->arena, mu_cacao_strip(step)) };
    head = emit_kind(x, &p, last_of_all && when == NULL);
    if (when == NULL)
        return head;
    p.next = next;
    return emit_guard(x, &p, when, head);
}

/* Returns the id of the first step. `own_end`: `next` is an end step that only this list leads to. */
static const char *emit_list(exporter *x, const json_t *list, const char *path, const char *next, bool own_end)
{
    const size_t n = json_array_size(list);
    const bool root = strcmp(path, "steps") == 0;

    for (size_t i = n; i-- > 0 && !x->failed; ) {
        const json_t *step = json_array_get(list, i);
        const bool end_next = mu_cacao_is_end(json_object_get(x->workflow, next));
        if (mu_same(mu_cacao_kind(step), "wait") && (i + 1 < n || own_end) && !(i == 0 && end_next) && fold_wait(x, step, next))
            continue;
        next = emit_step(x, step, path, next, root && i + 1 == n);
    }
    return next;
}

typedef struct { json_t *seen; } reached;

static void take_reached(void *closure, const char *where, const char *id)
{
    (void)where;
    json_object_set_new(((reached *)closure)->seen, id, json_true());
}

/* An end step is made before it is known whether anything leads there. */
static void drop_unused_ends(exporter *x)
{
    reached all = { json_object() };
    const char *id;
    json_t *step;
    void *next;

    json_object_foreach(x->workflow, id, step)
        mu_cacao_references(x->arena, step, take_reached, &all);
    json_object_foreach_safe(x->workflow, next, id, step)
        if (mu_cacao_is_end(step) && json_object_get(all.seen, id) == NULL)
            json_object_del(x->workflow, id);
    json_decref(all.seen);
}

/* Everything but the steps; the blocks as the ids of their first steps, except those that nothing calls. */
static json_t *rest_of(exporter *x, json_t **ret_blocks)
{
    json_t *rest = json_copy((json_t *)(uintptr_t)x->doc), *blocks = json_object_get(rest, "blocks"), *first;
    const char *name;

    json_object_del(rest, "steps");
    *ret_blocks = json_object();
    if (json_is_object(blocks)) {
        blocks = json_copy(blocks);
        json_object_foreach(x->blocks, name, first) {
            json_object_set(*ret_blocks, name, first);
            json_object_del(blocks, name);
        }
        json_object_set_new(rest, "blocks", blocks);
    }
    return rest;
}

mu_err mu_cacao_export(mu_arena *arena, const json_t *doc, const mu_export_options *options, mu_problem *problem, json_t **ret)
{
    exporter x = { .arena = arena, .doc = doc, .options = options, .problem = problem, .slug = mu_json_str(doc, "id") };
    const json_t *steps = json_object_get(doc, "steps"), *on_error = json_object_get(doc, "on_error");
    const char *start, *first, *exception = NULL;
    json_t *blocks, *rest, *object;

    if (!json_is_object(doc) || x.slug == NULL || !json_is_array(steps) || !mu_same(mu_json_str(doc, "format"), MU_PLAYBOOK_FORMAT))
        return mu_fail(problem, MU_INVALID, "", "error.cacao.document", NULL);
    x.workflow = mu_json_own(arena, json_object());
    x.agents = mu_json_own(arena, json_object());
    x.targets = mu_json_own(arena, json_object());
    x.variables = mu_json_own(arena, json_object());
    x.blocks = mu_json_own(arena, json_object());
    mu_cacao_variables(&x);
    first = emit_list(&x, steps, "steps", add_end(&x, "", "all"), true);
    object = add(&x, "start", "", "start", &start);
    json_object_set_new(object, "on_completion", json_string(first));
    if (json_is_array(on_error))
        exception = emit_list(&x, on_error, "on_error", add_end(&x, "", "on_error"), true);
    else if (refers(on_error))
        exception = emit_block(&x, mu_json_str(on_error, "block"));
    if (x.failed)
        return MU_INVALID;
    drop_unused_ends(&x);
    rest = rest_of(&x, &blocks);
    if (json_is_array(on_error))
        json_object_set_new(rest, "on_error", json_pack("{s:s}", "branch", "workflow_exception"));
    *ret = mu_json_own(arena, mu_cacao_envelope(&x, start, exception, rest, blocks));
    return mu_cacao_allows(*ret, options->audience, problem);
}
