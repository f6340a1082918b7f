/* Checks along the flow: what can be reached (V03), what is set when it is read (V08), who sets what at the same time (V10),
 * and how long the longest way takes (V18). Sets of variables are bit sets; a playbook has at most 256. */
#include "expression_tree.h"
#include "model.h"

#include <string.h>

#include "json.h"
#include "str.h"

typedef struct { uint64_t bit[4]; } set;

typedef struct { mu_reader *r; const mu_node *node; set known, exists; const char *pointer; } flow;

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

static void
read_one(void *closure, const char *name)
{
    const flow *f = closure;

    if (!has(f->r->pb, &f->known, name) && !has(f->r->pb, &f->exists, name))
        mu_find(f->r, "V08", "unset", MU_FINDING_ERROR, f->node->path, f->pointer, "name", name, NULL);
}

static void
exists_names(const mu_playbook *pb, const mu_expression *e, set *all)
{
    if (e == NULL)
        return;
    if (e->op == MU_OP_EXISTS)
        add(pb, all, e->name);
    exists_names(pb, e->left, all);
    exists_names(pb, e->right, all);
}

static void
reads(flow *f, const mu_expression *e, const char *member)
{
    if (e == NULL)
        return;
    f->pointer = mu_pointer(f->r->arena, f->node->pointer, member);
    exists_names(f->r->pb, e, &f->exists);        /* exists(x) and x > 3: asked first, so it is no surprise */
    mu_expression_reads(e, read_one, f);
}

static void
reads_text(flow *f, const char *member)
{
    const json_t *json = json_object_get(f->node->json, member);

    f->pointer = mu_pointer(f->r->arena, f->node->pointer, member);
    if (json_is_string(json))
        mu_text_names(f->r->arena, json_string_value(json), read_one, f);
    if (mu_json_str(json, "zh") != NULL)
        mu_text_names(f->r->arena, mu_json_str(json, "zh"), read_one, f);
    if (mu_json_str(json, "en") != NULL)
        mu_text_names(f->r->arena, mu_json_str(json, "en"), read_one, f);
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
    form_sets(pb, json_object_get(node->json, "form"), all, &made);
    json_array_foreach(json_object_get(node->json, "items"), i, item)
        form_sets(pb, json_object_get(item, "form"), all, &made);
    return made;
}

static set
inner_flow(mu_reader *r, const mu_node *node, set known)
{
    set out = known, branch;

    if (node->kind == MU_K_IF) {
        out = node->block_count == 2 ? everything() : known;
        for (size_t i = 0; i < node->block_count; i++) {
            branch = block_flow(r, node->blocks[i], known);
            out = node->block_count == 2 ? both(out, branch) : out;
        }
    } else if (node->kind == MU_K_PARALLEL) {
        bool every = node->join == node->block_count;
        for (size_t i = 0; i < node->block_count; i++) {
            branch = block_flow(r, node->blocks[i], known);
            out = every ? either(out, branch) : out;
        }
    } else if (node->kind == MU_K_CALL && node->block_count == 1) {
        out = block_flow(r, node->blocks[0], known);
    }
    return out;
}

static set
node_flow(mu_reader *r, const mu_node *node, set known)
{
    flow f = { .r = r, .node = node, .known = known };
    bool may_not_happen = node->when != NULL || node->on_error == MU_ERR_CONTINUE || node->on_error == MU_ERR_BLOCK
        || node->deadline.then != MU_THEN_NONE || node->drill == MU_DRILL_SKIP;
    set out;

    reads(&f, node->when, "when");
    f.known = known = either(known, f.exists);
    if (node->kind == MU_K_IF)
        reads(&f, node->cond, "cond");
    if (node->kind == MU_K_WAIT)
        reads(&f, node->cond, "until");
    for (size_t i = 0; i < node->name_count && node->values != NULL; i++)
        reads(&f, node->values[i], "values");
    reads_text(&f, "title");
    reads_text(&f, "text");
    out = inner_flow(r, node, either(known, f.exists));
    if (node->kind == MU_K_END)
        out = everything();
    else
        out = either(out, own_sets(r->pb, node, false));
    if (node->on_error_block != NULL)
        block_flow(r, node->on_error_block, known);
    if (node->deadline.block != NULL)
        block_flow(r, node->deadline.block, known);
    if (node->reject_block != NULL)
        block_flow(r, node->reject_block, known);
    return may_not_happen ? both(out, known) : out;
}

static set
block_flow(mu_reader *r, const mu_block *block, set known)
{
    for (size_t i = 0; i < block->count; i++)
        known = node_flow(r, block->steps[i], known);
    return known;
}

/* -- V03: never reached -------------------------------------------------------------------------------------------------- */

static void
check_reach(mu_reader *r, const mu_block *block)
{
    bool ended = false;

    for (size_t i = 0; i < block->count; i++) {
        const mu_node *node = block->steps[i];
        bool never = node->when != NULL && mu_expression_constant(node->when, false);
        if (ended || never)
            mu_find(r, "V03", ended ? "after_end" : "never", MU_FINDING_ERROR, node->path, node->pointer, NULL);
        if (node->kind == MU_K_IF && node->cond != NULL) {
            bool dead_then = mu_expression_constant(node->cond, false);
            bool dead_else = node->block_count == 2 && mu_expression_constant(node->cond, true);
            if (dead_then || dead_else)
                mu_find(r, "V03", "branch", MU_FINDING_ERROR, node->path, mu_pointer(r->arena, node->pointer, "cond"), NULL);
        }
        ended = ended || (node->kind == MU_K_END && node->when == NULL);
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

static bool
below(const mu_node *node, const mu_node *top)
{
    for (const mu_node *n = node->block->owner; n != NULL; n = n->block->owner)
        if (n == top)
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
            if (!below(node, parallel))
                break;                            /* nodes below a step follow it without a gap */
            own = own_sets(r->pb, node, true);
            if (memcmp(&own, &none, sizeof own) == 0 || !inside(node, parallel->blocks[b]))
                continue;
            here = either(here, own);
            for (size_t v = 0; v < r->pb->var_count; v++)
                if (has(r->pb, &own, r->pb->vars[v].name) && has(r->pb, &before, r->pb->vars[v].name))
                    mu_find(r, "V10", "race", MU_FINDING_ERROR, node->path, node->pointer, "name", r->pb->vars[v].name, NULL);
        }
        before = either(before, here);
    }
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

static int64_t
own_time(const mu_node *node)
{
    bool counts = node->deadline.given && node->deadline.from == NULL && node->kind != MU_K_REPORT;

    return (counts ? node->deadline.after.seconds : 0) + (node->kind == MU_K_WAIT ? node->length.seconds : 0);
}

/* Of the block, up to `stop` when it stands in it; then *ret_stopped is set. */
static int64_t
longest(const mu_block *block, const mu_node *stop, bool *ret_stopped)
{
    int64_t sum = 0;

    for (size_t i = 0; i < block->count; i++) {
        const mu_node *node = block->steps[i];
        int64_t own = own_time(node), inner = 0;
        if (node == stop) {
            *ret_stopped = true;
            return sum;
        }
        for (size_t b = 0; b < node->block_count; b++) {
            int64_t branch = longest(node->blocks[b], stop, ret_stopped);
            if (*ret_stopped)
                return sum + branch;
            inner = branch > inner ? branch : inner;
        }
        sum += own > inner ? own : inner;
    }
    return sum;
}

int64_t
mu_playbook_longest(const mu_playbook *playbook)
{
    bool stopped = false;

    return longest(playbook->main, recovery(playbook), &stopped);
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
        if (r->pb->vars[i].initial != NULL || r->pb->vars[i].from != NULL)
            add(r->pb, &known, r->pb->vars[i].name);
    block_flow(r, r->pb->main, known);
    if (r->pb->on_error != NULL)
        block_flow(r, r->pb->on_error, known);
    check_all_reach(r);
    for (size_t i = 0; i < r->pb->node_count; i++)
        if (r->pb->nodes[i]->kind == MU_K_PARALLEL)
            check_parallel(r, r->pb->nodes[i]);
    check_rto(r);
}
