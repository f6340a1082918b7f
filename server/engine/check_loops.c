/* Bounds of loops (V05): every loop has one, and nested ones do not multiply to more rounds than a run can bear. */
#include "expression_tree.h"
#include "check.h"

#include "json.h"

#define ROUNDS_MOST 10000

int64_t
mu_list_length(const mu_playbook *pb, const mu_node *loop)
{
    const mu_var *var;

    if (loop->kind != MU_K_FOR_EACH || loop->cond == NULL)
        return -1;
    if (loop->cond->op == MU_OP_LIST)
        return (int64_t)loop->cond->count;
    var = loop->cond->op == MU_OP_NAME && mu_item_owner(loop, loop->cond->name) == NULL ? mu_var_find(pb, loop->cond->name) : NULL;
    return var != NULL && var->constant && json_is_array(var->initial) ? (int64_t)json_array_size(var->initial) : -1;
}

/* The most rounds of a loop, counted for itself. */
static int64_t
rounds(const mu_reader *r, const mu_node *loop)
{
    int64_t length = mu_list_length(r->pb, loop);

    if (length > 0 && (loop->most == 0 || length < loop->most))
        return length;
    return loop->most > 0 ? loop->most : 1;
}

static bool
is_loop(const mu_node *node)
{
    return node->kind == MU_K_WHILE || node->kind == MU_K_FOR_EACH;
}

static void
check_loop(mu_reader *r, const mu_node *loop)
{
    int64_t inside = rounds(r, loop), outside = 1;

    if (loop->most == 0 && json_object_get(loop->json, "max") == NULL && mu_list_length(r->pb, loop) < 0)
        mu_find(r, "V05", loop->kind == MU_K_WHILE ? "while_max" : "for_each_max", MU_FINDING_ERROR, loop->path, loop->pointer, NULL);
    for (const mu_node *n = loop->block->owner; n != NULL && outside <= ROUNDS_MOST; n = n->block->owner)
        if (is_loop(n))
            outside *= rounds(r, n);
    if (outside <= ROUNDS_MOST && inside <= ROUNDS_MOST && outside * inside > ROUNDS_MOST)     /* at the loop that makes it too many */
        mu_find(r, "V05", "product", MU_FINDING_ERROR, loop->path, loop->pointer, "rounds",
            mu_printf(r->arena, "%lld", (long long)(outside * inside)), "most", "10000", NULL);
}

void
mu_check_loops(mu_reader *r)
{
    for (size_t i = 0; i < r->pb->node_count; i++)
        if (is_loop(r->pb->nodes[i]))
            check_loop(r, r->pb->nodes[i]);
}
