/* Checks along the flow: what can be reached (V03), what is set when it is read (V08), who sets what at the same time (V10), what a loop
 * waits for (V06), and how long the longest way takes (V18). Sets of variables are bit sets; a playbook has at most 256. */
#include "expression_tree.h"
#include "check.h"

#include <string.h>

#include "json.h"
#include "str.h"

typedef struct { uint64_t bit[4]; } set;

typedef struct { mu_reader *r; const mu_node *node; set known; const char *pointer; } flow;

static set block_flow(mu_reader *r, const mu_block *block, set known);

static int
var_index(const mu_playbook *pb, const char *name)
{
    const mu_var *var = mu_var_find(pb, name);

    return var == NULL ? -1 : (int)(var - pb->vars);
}

static void
add(const mu_playbook *pb, set *all, const char *name)
{
    int i = var_index(pb, name);

    if (i >= 0)
        all->bit[i / 64] |= UINT64_C(1) << (i % 64);
}

static bool
has(const mu_playbook *pb, const set *all, const char *name)
{
    int i = var_index(pb, name);

    return i < 0 || (all->bit[i / 64] & (UINT64_C(1) << (i % 64))) != 0;
}

static set both(set a, set b) { for (int i = 0; i < 4; i++) a.bit[i] &= b.bit[i]; return a; }
static set either(set a, set b) { for (int i = 0; i < 4; i++) a.bit[i] |= b.bit[i]; return a; }
static set everything(void) { set all; memset(&all, 0xff, sizeof all); return all; }

/* -- V08: read before it is set ------------------------------------------------------------------------------------------ */

/* A milestone that can only come later is as good as a variable nobody sets. */
static void
read_milestone(const flow *f, const char *name)
{
    const mu_playbook *pb = f->r->pb;

    const mu_node *first = mu_milestone_find(pb, name);

    if (first == NULL || mu_can_precede(first, f->node))
        return;
    for (size_t i = 0; i < pb->node_count; i++)
        if (pb->nodes[i]->kind == MU_K_MILESTONE && strcmp(pb->nodes[i]->id, name) == 0 && mu_can_precede(pb->nodes[i], f->node))
            return;
    mu_find(f->r, "V08", "milestone", MU_FINDING_ERROR, f->node->path, f->pointer, "name", name, NULL);
}

static void
read_one(void *closure, const char *name)
{
    const flow *f = closure;

    if (mu_item_owner(f->node, name) != NULL)
        return;
    if (mu_var_find(f->r->pb, name) == NULL)
        read_milestone(f, name);
    else if (!has(f->r->pb, &f->known, name))
        mu_find(f->r, "V08", "unset", MU_FINDING_ERROR, f->node->path, f->pointer, "name", name, NULL);
}

/* What surely has a value when the condition came out as `outcome`: exists(x) was asked. */
static set
asked(const mu_playbook *pb, const mu_expression *e, bool outcome)
{
    set none = { { 0 } };

    if (e == NULL)
        return none;
    if (e->op == MU_OP_EXISTS && outcome)
        add(pb, &none, e->name);
    if (e->op == MU_OP_NOT)
        return asked(pb, e->left, !outcome);
    if (e->op == MU_OP_AND || e->op == MU_OP_OR) {
        set left = asked(pb, e->left, outcome), right = asked(pb, e->right, outcome);
        return (e->op == MU_OP_AND) == outcome ? either(left, right) : both(left, right);
    }
    return none;
}

/* `and` and `or` stop early: what is on the right is read only after the left came out true, or false. */
static void
read_expression(flow *f, const mu_expression *e)
{
    set before = f->known;

    if (e == NULL)
        return;
    if (e->op == MU_OP_NAME)
        read_one(f, e->name);
    read_expression(f, e->left);
    if (e->op == MU_OP_AND || e->op == MU_OP_OR)
        f->known = either(f->known, asked(f->r->pb, e->left, e->op == MU_OP_AND));
    read_expression(f, e->right);
    f->known = before;
    for (size_t i = 0; i < e->count; i++)
        read_expression(f, e->items[i]);
}

static void
reads(flow *f, const mu_expression *e, const char *member)
{
    f->pointer = mu_pointer(f->r->arena, f->node->pointer, member);
    read_expression(f, e);
}

static void
reads_json(flow *f, const json_t *json)
{
    const char *key;
    json_t *value;
    size_t i;

    if (json_is_string(json))
        mu_text_names(f->r->arena, json_string_value(json), read_one, f);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        reads_json(f, value);
    json_array_foreach(json, i, value)
        reads_json(f, value);
}

static void
reads_text(flow *f, const char *member)
{
    f->pointer = mu_pointer(f->r->arena, f->node->pointer, member);
    reads_json(f, json_object_get(f->node->json, member));
}

static void
form_sets(const mu_playbook *pb, const json_t *form, bool all, set *known)
{
    const json_t *field;
    size_t i;

    json_array_foreach(form, i, field)
        if (mu_json_str(field, "var") != NULL && (all || mu_json_bool(field, "required", false)))
            add(pb, known, mu_json_str(field, "var"));
}

/* The variables a step writes itself: all of them, or only those it surely writes. */
static set
own_sets(const mu_playbook *pb, const mu_node *node, bool all)
{
    const json_t *item;
    set made = { { 0 } };
    size_t i;

    for (i = 0; i < node->name_count; i++)
        add(pb, &made, node->names[i]);
    for (i = 0; i < node->save_count && !node->watch; i++)
        add(pb, &made, node->save[i]);
    form_sets(pb, json_object_get(node->json, "form"), all, &made);
    json_array_foreach(json_object_get(node->json, "items"), i, item)
        form_sets(pb, json_object_get(item, "form"), all, &made);
    return made;
}

static set
if_flow(mu_reader *r, const mu_node *node, set known)
{
    set yes = either(known, asked(r->pb, node->cond, true)), no = either(known, asked(r->pb, node->cond, false));

    if (node->block_count > 0)
        yes = block_flow(r, node->blocks[0], yes);
    return both(yes, node->block_count == 2 ? block_flow(r, node->blocks[1], no) : no);
}

/* Exactly one of the ways is taken; none when the value has no case. */
static set
switch_flow(mu_reader *r, const mu_node *node, set known)
{
    set out = mu_switch_complete(r->pb, node) && node->block_count > 0 ? everything() : known;

    for (size_t i = 0; i < node->block_count; i++)
        out = both(out, block_flow(r, node->blocks[i], known));
    return out;
}

/* Perhaps not even once. A while that is left in good order is left because its condition is false. */
static set
while_flow(mu_reader *r, const mu_node *node, set known)
{
    if (node->block_count == 1)
        (void)block_flow(r, node->blocks[0], either(known, asked(r->pb, node->cond, true)));
    return node->on_max == MU_MAX_CONTINUE ? known : either(known, asked(r->pb, node->cond, false));
}

static set
for_each_flow(mu_reader *r, const mu_node *node, set known)
{
    set once = node->block_count == 1 ? block_flow(r, node->blocks[0], known) : known;

    return mu_list_length(r->pb, node) > 0 ? once : known;
}

static set
parallel_flow(mu_reader *r, const mu_node *node, set known)
{
    set out = known;

    for (size_t i = 0; i < node->block_count; i++) {
        set branch = block_flow(r, node->blocks[i], known);
        out = node->join == node->block_count ? either(out, branch) : out;
    }
    return out;
}

static set
inner_flow(mu_reader *r, const mu_node *node, set known)
{
    switch (node->kind) {
    case MU_K_IF:       return if_flow(r, node, known);
    case MU_K_SWITCH:   return switch_flow(r, node, known);
    case MU_K_WHILE:    return while_flow(r, node, known);
    case MU_K_FOR_EACH: return for_each_flow(r, node, known);
    case MU_K_PARALLEL: return parallel_flow(r, node, known);
    case MU_K_CALL:     return node->block_count == 1 ? block_flow(r, node->blocks[0], known) : known;
    case MU_K_TASK: case MU_K_CHECKLIST: case MU_K_DECIDE: case MU_K_APPROVE: case MU_K_NOTIFY: case MU_K_HTTP: case MU_K_STATUS:
    case MU_K_REPORT: case MU_K_WAIT: case MU_K_SET: case MU_K_INJECT: case MU_K_MILESTONE: case MU_K_END: case MU_K_COUNT:
        break;
    }
    return known;
}

/* What a step reads when it starts, in the order it is read. */
static void
own_reads(flow *f)
{
    static const struct { mu_kind kind; const char *member; } conditions[] = { { MU_K_IF, "cond" }, { MU_K_WHILE, "cond" },
        { MU_K_SWITCH, "on" }, { MU_K_FOR_EACH, "in" }, { MU_K_WAIT, "until" } };
    static const char *const texts[] = { "title", "text", "fields", "state", "request" };
    const mu_node *node = f->node;

    for (size_t i = 0; i < MU_COUNT(conditions); i++)
        if (node->kind == conditions[i].kind)
            reads(f, node->cond, conditions[i].member);
    for (size_t i = 0; i < node->name_count && node->values != NULL; i++)
        reads(f, node->values[i], "values");
    for (size_t i = 0; i < node->with_count; i++)
        reads(f, node->given[i], "with");
    for (size_t i = 0; i < MU_COUNT(texts) && node->kind != MU_K_INJECT; i++)
        reads_text(f, texts[i]);
}

static set
node_flow(mu_reader *r, const mu_node *node, set before)
{
    flow f = { .r = r, .node = node, .known = before };
    bool may_fail = node->on_error == MU_ERR_CONTINUE || node->on_error == MU_ERR_BLOCK || node->deadline.then != MU_THEN_NONE
        || node->drill == MU_DRILL_SKIP;
    set known, out;

    reads(&f, node->when, "when");
    f.known = known = either(before, asked(r->pb, node->when, true));
    own_reads(&f);
    out = inner_flow(r, node, known);
    out = node->kind == MU_K_END ? everything() : either(out, own_sets(r->pb, node, false));
    if (node->on_error_block != NULL)
        block_flow(r, node->on_error_block, known);
    if (node->deadline.block != NULL)
        block_flow(r, node->deadline.block, known);
    if (node->reject_block != NULL)
        block_flow(r, node->reject_block, known);
    if (may_fail)
        out = both(out, known);
    return node->when == NULL ? out : both(out, either(before, asked(r->pb, node->when, false)));
}

static set
block_flow(mu_reader *r, const mu_block *block, set known)
{
    for (size_t i = 0; i < block->count; i++)
        known = node_flow(r, block->steps[i], known);
    return known;
}

/* -- V03: never reached -------------------------------------------------------------------------------------------------- */

static bool block_ends(const mu_playbook *pb, const mu_block *block);

/* Does the run surely end in this step? Not when something may lead around it. */
static bool
ends(const mu_playbook *pb, const mu_node *node)
{
    bool every = node->block_count > 0, some = false;

    if (node->when != NULL || node->deadline.then != MU_THEN_NONE || node->on_error == MU_ERR_CONTINUE || node->on_error == MU_ERR_BLOCK)
        return false;
    if (node->kind == MU_K_END)
        return true;
    for (size_t i = 0; i < node->block_count; i++) {
        bool one = block_ends(pb, node->blocks[i]);
        every = every && one;
        some = some || one;
    }
    switch (node->kind) {
    case MU_K_IF:       return node->block_count == 2 && every;
    case MU_K_SWITCH:   return every && mu_switch_complete(pb, node);
    case MU_K_PARALLEL: return node->join == node->block_count ? some : every;
    case MU_K_CALL:     return every;
    case MU_K_TASK: case MU_K_CHECKLIST: case MU_K_DECIDE: case MU_K_APPROVE: case MU_K_NOTIFY: case MU_K_HTTP: case MU_K_STATUS:
    case MU_K_REPORT: case MU_K_WAIT: case MU_K_SET: case MU_K_WHILE: case MU_K_FOR_EACH: case MU_K_INJECT: case MU_K_MILESTONE:
    case MU_K_END: case MU_K_COUNT:
        break;
    }
    return false;
}

static bool
block_ends(const mu_playbook *pb, const mu_block *block)
{
    for (size_t i = 0; i < block->count; i++)
        if (ends(pb, block->steps[i]))
            return true;
    return false;
}

/* A condition that is the same whatever happens leaves ways that are never taken. */
static bool
dead_way(const mu_node *node)
{
    if (node->cond == NULL)
        return false;
    if (node->kind == MU_K_IF)
        return mu_expression_constant(node->cond, false) || (node->block_count == 2 && mu_expression_constant(node->cond, true));
    if (node->kind == MU_K_WHILE)
        return mu_expression_constant(node->cond, false);
    return node->kind == MU_K_SWITCH && node->cond->op == MU_OP_LITERAL && node->block_count > 1;
}

static void
check_reach(mu_reader *r, const mu_block *block)
{
    bool ended = false;

    for (size_t i = 0; i < block->count; i++) {
        const mu_node *node = block->steps[i];
        bool never = node->when != NULL && mu_expression_constant(node->when, false);
        if (ended || never)
            mu_find(r, "V03", ended ? "after_end" : "never", MU_FINDING_ERROR, node->path, node->pointer, NULL);
        if (dead_way(node))
            mu_find(r, "V03", "branch", MU_FINDING_ERROR, node->path,
                mu_pointer(r->arena, node->pointer, node->kind == MU_K_SWITCH ? "on" : "cond"), NULL);
        ended = ended || ends(r->pb, node);
    }
}

static void
check_all_reach(mu_reader *r)
{
    const mu_block *last = NULL;

    for (size_t i = 0; i < r->pb->node_count; i++)
        if (r->pb->nodes[i]->index == 0 && r->pb->nodes[i]->block != last) {
            last = r->pb->nodes[i]->block;
            check_reach(r, last);
        }
}

/* -- V10: two branches set the same variable ------------------------------------------------------------------------------ */

static bool
inside(const mu_node *node, const mu_block *block)
{
    for (const mu_block *b = node->block; b != NULL; b = b->owner == NULL ? NULL : b->owner->block)
        if (b == block)
            return true;
    return false;
}

static void
check_parallel(mu_reader *r, const mu_node *parallel)
{
    set before = { { 0 } };

    for (size_t b = 0; b < parallel->block_count; b++) {
        set here = { { 0 } };
        for (size_t i = parallel->ord + 1; i < r->pb->node_count; i++) {
            const mu_node *node = r->pb->nodes[i];
            set own, none = { { 0 } };
            if (!mu_node_below(node, parallel))
                break;                            /* nodes below a step follow it without a gap */
            if (!inside(node, parallel->blocks[b]))
                continue;
            own = own_sets(r->pb, node, true);
            if (memcmp(&own, &none, sizeof own) == 0)
                continue;
            here = either(here, own);
            for (size_t v = 0; v < r->pb->var_count; v++)
                if (has(r->pb, &own, r->pb->vars[v].name) && has(r->pb, &before, r->pb->vars[v].name))
                    mu_find(r, "V10", "race", MU_FINDING_ERROR, node->path, node->pointer, "name", r->pb->vars[v].name, NULL);
        }
        before = either(before, here);
    }
}

/* Items worked on at the same time are branches of their own. */
static void
check_at_once(mu_reader *r, const mu_node *loop)
{
    for (size_t i = loop->ord + 1; i < r->pb->node_count && mu_node_below(r->pb->nodes[i], loop); i++) {
        set own = own_sets(r->pb, r->pb->nodes[i], true);
        for (size_t v = 0; v < r->pb->var_count; v++)
            if (has(r->pb, &own, r->pb->vars[v].name))
                mu_find(r, "V10", "items", MU_FINDING_ERROR, r->pb->nodes[i]->path, r->pb->nodes[i]->pointer, "name", r->pb->vars[v].name, NULL);
    }
}

/* -- V06: a loop must be able to come to its end --------------------------------------------------------------------------- */

typedef struct { mu_reader *r; set made; json_t *milestones; bool may_change; } change;

/* Time passes by itself, and the severity is changed by people. */
static void
may_change(change *c, const mu_expression *e)
{
    if (e == NULL)
        return;
    if ((e->op == MU_OP_NAME || e->op == MU_OP_EXISTS) && ((mu_var_find(c->r->pb, e->name) != NULL && has(c->r->pb, &c->made, e->name))
        || strcmp(e->name, "now") == 0 || strcmp(e->name, "run.severity") == 0 || mu_among(c->milestones, e->name)))
        c->may_change = true;
    may_change(c, e->left);
    may_change(c, e->right);
    for (size_t i = 0; i < e->count; i++)
        may_change(c, e->items[i]);
}

static void
check_while(mu_reader *r, const mu_node *loop)
{
    change c = { .r = r, .milestones = mu_json_own(r->arena, json_object()) };

    for (size_t i = loop->ord + 1; i < r->pb->node_count && mu_node_below(r->pb->nodes[i], loop); i++) {
        c.made = either(c.made, own_sets(r->pb, r->pb->nodes[i], true));
        if (r->pb->nodes[i]->kind == MU_K_MILESTONE)
            json_object_set_new(c.milestones, r->pb->nodes[i]->id, json_true());
    }
    may_change(&c, loop->cond);
    if (loop->cond != NULL && loop->block_count == 1 && !c.may_change && !mu_expression_constant(loop->cond, false))
        mu_find(r, "V06", "same", MU_FINDING_ERROR, loop->path, mu_pointer(r->arena, loop->pointer, "cond"), NULL);
}

/* -- V18: the longest way against the recovery time objective ------------------------------------------------------------- */

/* The milestone that stops the clock called rto; NULL: none, the whole way counts. */
static const mu_node *
recovery(const mu_playbook *pb)
{
    for (size_t i = 0; i < pb->milestone_count; i++)
        if (mu_same(mu_json_str(json_object_get(pb->milestones[i]->json, "clock"), "stop"), "rto"))
            return pb->milestones[i];
    return NULL;
}

/* Of a duration; of a variable what it has at the start. */
static int64_t
length(const mu_playbook *pb, const mu_length *span)
{
    const mu_var *var = span->variable == NULL ? NULL : mu_var_find(pb, span->variable);
    int64_t seconds;

    if (var == NULL)
        return span->seconds;
    return json_is_string(var->initial) && mu_duration_parse(json_string_value(var->initial), &seconds) ? seconds : 0;
}

static int64_t
own_time(const mu_playbook *pb, const mu_node *node)
{
    bool counts = node->deadline.given && node->deadline.from == NULL && node->kind != MU_K_REPORT;
    int64_t due = counts ? length(pb, &node->deadline.after) : 0, by_itself = length(pb, &node->length);

    if (node->kind == MU_K_WAIT)
        return by_itself > due ? by_itself : due;
    if (node->kind == MU_K_DECIDE && node->length.given && (!counts || by_itself < due))
        return by_itself;
    return due;
}

/* No way is longer than this: sums stay far from where numbers end. */
#define FOREVER INT64_C(1000000000000)

static int64_t
rounds_time(const mu_playbook *pb, const mu_node *node, int64_t inner)
{
    int64_t rounds = node->most > 0 ? node->most : 1, items = mu_list_length(pb, node), time;

    if (node->kind == MU_K_WHILE)
        time = rounds * inner + (rounds - 1) * length(pb, &node->every);
    else if (node->kind == MU_K_FOR_EACH)
        time = ((items >= 0 ? items : rounds) + node->at_once - 1) / (node->at_once > 0 ? node->at_once : 1) * inner;
    else
        time = inner;
    return time > FOREVER ? FOREVER : time;
}

/* Of the block, up to `stop` when it stands in it; then *ret_stopped is set. */
static int64_t
longest(const mu_playbook *pb, const mu_block *block, const mu_node *stop, bool *ret_stopped)
{
    int64_t sum = 0;

    for (size_t i = 0; i < block->count; i++) {
        const mu_node *node = block->steps[i];
        int64_t own = own_time(pb, node), inner = 0;
        if (node == stop) {
            *ret_stopped = true;
            return sum;
        }
        for (size_t b = 0; b < node->block_count; b++) {
            bool leads_away = stop != NULL && (node->kind == MU_K_IF || node->kind == MU_K_SWITCH) && block_ends(pb, node->blocks[b]);
            if (leads_away)
                continue;                         /* the run ends there, and nothing is recovered */
            int64_t branch = longest(pb, node->blocks[b], stop, ret_stopped);
            if (*ret_stopped)
                return sum + branch;
            inner = branch > inner ? branch : inner;
        }
        inner = rounds_time(pb, node, inner);
        sum += own > inner ? own : inner;
        sum = sum > FOREVER ? FOREVER : sum;
    }
    return sum;
}

int64_t
mu_playbook_longest(const mu_playbook *playbook)
{
    bool stopped = false;

    return longest(playbook, playbook->main, recovery(playbook), &stopped);
}

static void
check_rto(mu_reader *r)
{
    int64_t way = mu_playbook_longest(r->pb);

    if (r->pb->rto > 0 && way > r->pb->rto)
        mu_find(r, "V18", "longer", MU_FINDING_WARNING, "", "/plan/rto", "path", mu_duration_format(r->arena, way),
            "rto", mu_duration_format(r->arena, r->pb->rto), NULL);
}

void
mu_check_flow(mu_reader *r)
{
    set known = { { 0 } };

    for (size_t i = 0; i < r->pb->var_count; i++)
        if (r->pb->vars[i].initial != NULL || r->pb->vars[i].from != NULL || r->pb->vars[i].param || r->pb->vars[i].secret)
            add(r->pb, &known, r->pb->vars[i].name);
    block_flow(r, r->pb->main, known);
    if (r->pb->on_error != NULL)
        block_flow(r, r->pb->on_error, known);
    check_all_reach(r);
    for (size_t i = 0; i < r->pb->node_count; i++)
        switch (r->pb->nodes[i]->kind) {
        case MU_K_PARALLEL: check_parallel(r, r->pb->nodes[i]); break;
        case MU_K_WHILE:    check_while(r, r->pb->nodes[i]); break;
        case MU_K_FOR_EACH:
            if (r->pb->nodes[i]->at_once > 1)
                check_at_once(r, r->pb->nodes[i]);
            break;
        case MU_K_TASK: case MU_K_CHECKLIST: case MU_K_DECIDE: case MU_K_APPROVE: case MU_K_NOTIFY: case MU_K_HTTP: case MU_K_STATUS:
        case MU_K_REPORT: case MU_K_WAIT: case MU_K_SET: case MU_K_IF: case MU_K_SWITCH: case MU_K_CALL: case MU_K_INJECT:
        case MU_K_MILESTONE: case MU_K_END: case MU_K_COUNT:
            break;
        }
    check_rto(r);
}
