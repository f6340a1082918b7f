/* Services that need each other: components, a shortest cycle of each, and the dependency it is best cut at. */
#include "graph_private.h"

#include <string.h>

typedef struct { uint32_t node, next; } frame;

typedef struct {
    const mu_graph *g;
    const bool *node_in, *edge_in;
    uint32_t *comp, *number, *low, *stack;
    bool *on_stack;
    frame *frames;
    uint32_t counter, stack_n, frames_n, comps;
} tarjan;

static void enter(tarjan *t, uint32_t v)
{
    t->number[v] = t->low[v] = ++t->counter;
    t->stack[t->stack_n++] = v;
    t->on_stack[v] = true;
    t->frames[t->frames_n++] = (frame){ v, t->g->needs_at[v] };
}

static void leave(tarjan *t, uint32_t v)
{
    uint32_t w;

    t->frames_n--;
    if (t->frames_n > 0 && t->low[v] < t->low[t->frames[t->frames_n - 1].node])
        t->low[t->frames[t->frames_n - 1].node] = t->low[v];
    if (t->low[v] != t->number[v])
        return;
    do {
        w = t->stack[--t->stack_n];
        t->on_stack[w] = false;
        t->comp[w] = t->comps;
    } while (w != v);
    t->comps++;
}

/* With a stack of its own: a chain of ten thousand services must not use up that of the thread. */
static void walk(tarjan *t, uint32_t start)
{
    enter(t, start);
    while (t->frames_n > 0) {
        frame *top = &t->frames[t->frames_n - 1];
        const uint32_t v = top->node;
        if (top->next == t->g->needs_at[v + 1]) {
            leave(t, v);
            continue;
        }
        const uint32_t e = t->g->needs[top->next++], w = t->g->edges[e].provider;
        if ((t->edge_in != NULL && !t->edge_in[e]) || (t->node_in != NULL && !t->node_in[w]))
            continue;
        if (t->number[w] == 0)
            enter(t, w);
        else if (t->on_stack[w] && t->number[w] < t->low[v])
            t->low[v] = t->number[w];
    }
}

uint32_t mu_graph_components(const mu_graph *g, const bool *node_in, const bool *edge_in, uint32_t *comp)
{
    const size_t n = (size_t)g->nodes_n + 1;
    const mu_mark mark = mu_arena_mark(g->arena);
    tarjan t = { .g = g, .node_in = node_in, .edge_in = edge_in, .comp = comp };

    t.number = mu_alloc(g->arena, n * sizeof *t.number);
    t.low = mu_alloc(g->arena, n * sizeof *t.low);
    t.stack = mu_alloc(g->arena, n * sizeof *t.stack);
    t.on_stack = mu_alloc(g->arena, n * sizeof *t.on_stack);
    t.frames = mu_alloc(g->arena, n * sizeof *t.frames);
    for (uint32_t v = 0; v < g->nodes_n; v++)
        comp[v] = MU_GRAPH_NONE;
    for (uint32_t v = 0; v < g->nodes_n; v++)
        if (t.number[v] == 0 && (node_in == NULL || node_in[v]))
            walk(&t, v);
    mu_arena_reset(g->arena, mark);
    return t.comps;
}

/* ---- cycles ---- */

typedef struct { mu_graph *g; uint32_t *comp, *by_edge, *queue, *scratch; bool *node_in, *edge_in; } finder;

/* Breadth first inside the component of `start` until an edge leads back to it: a shortest cycle through it. */
static void shortest(finder *f, uint32_t start, mu_graph_cycle *ret)
{
    mu_graph *g = f->g;
    uint32_t head = 0, tail = 0, closing = MU_GRAPH_NONE, length = 1, *nodes, *edges;

    for (uint32_t v = 0; v < g->nodes_n; v++)
        f->by_edge[v] = MU_GRAPH_NONE;
    f->queue[tail++] = start;
    while (head < tail && closing == MU_GRAPH_NONE) {
        const uint32_t v = f->queue[head++];
        for (uint32_t i = g->needs_at[v]; i < g->needs_at[v + 1] && closing == MU_GRAPH_NONE; i++) {
            const uint32_t e = g->needs[i], w = g->edges[e].provider;
            if (w == start) {
                closing = e;
            } else if (f->comp[w] == f->comp[start] && f->by_edge[w] == MU_GRAPH_NONE) {
                f->by_edge[w] = e;
                f->queue[tail++] = w;
            }
        }
    }
    for (uint32_t v = g->edges[closing].consumer; v != start; v = g->edges[f->by_edge[v]].consumer)
        length++;
    nodes = mu_alloc(g->arena, length * sizeof *nodes);
    edges = mu_alloc(g->arena, length * sizeof *edges);
    ret->length = length;
    for (uint32_t e = closing; length-- > 0; e = f->by_edge[nodes[length]]) {
        edges[length] = e;
        nodes[length] = g->edges[e].consumer;
    }
    ret->nodes = nodes;
    ret->edges = edges;
}

/* How many nodes of the component are still in cycles without edge `e`. */
static uint32_t left_without(finder *f, uint32_t component, uint32_t e)
{
    mu_graph *g = f->g;
    uint32_t left = 0, comps, *size;
    const mu_mark mark = mu_arena_mark(g->arena);

    for (uint32_t v = 0; v < g->nodes_n; v++)
        f->node_in[v] = f->comp[v] == component;
    f->edge_in[e] = false;
    comps = mu_graph_components(g, f->node_in, f->edge_in, f->scratch);
    f->edge_in[e] = true;
    size = mu_alloc(g->arena, ((size_t)comps + 1) * sizeof *size);
    for (uint32_t v = 0; v < g->nodes_n; v++)
        if (f->node_in[v])
            size[f->scratch[v]]++;
    for (uint32_t c = 0; c < comps; c++)
        left += size[c] > 1 ? size[c] : 0;
    mu_arena_reset(g->arena, mark);
    return left;
}

static void best_cut(finder *f, mu_graph_cycle *cycle)
{
    cycle->left = MU_GRAPH_NONE;
    for (uint32_t i = 0; i < cycle->length && cycle->left != 0; i++) {
        const uint32_t left = left_without(f, f->comp[cycle->nodes[0]], cycle->edges[i]);
        if (left < cycle->left) {
            cycle->left = left;
            cycle->cut = cycle->edges[i];
        }
    }
}

const mu_graph_cycle *mu_graph_cycles(mu_graph *g, uint32_t *ret_n)
{
    const size_t n = (size_t)g->nodes_n + 1;
    finder f = { .g = g };
    uint32_t comps, cycles_n = 0, *size;
    mu_graph_cycle *cycles;

    f.comp = mu_alloc(g->arena, n * sizeof *f.comp);
    f.by_edge = mu_alloc(g->arena, n * sizeof *f.by_edge);
    f.queue = mu_alloc(g->arena, n * sizeof *f.queue);
    f.scratch = mu_alloc(g->arena, n * sizeof *f.scratch);
    f.node_in = mu_alloc(g->arena, n * sizeof *f.node_in);
    f.edge_in = mu_alloc(g->arena, ((size_t)g->edges_n + 1) * sizeof *f.edge_in);
    memset(f.edge_in, true, ((size_t)g->edges_n + 1) * sizeof *f.edge_in);
    comps = mu_graph_components(g, NULL, NULL, f.comp);
    size = mu_alloc(g->arena, ((size_t)comps + 1) * sizeof *size);
    for (uint32_t v = 0; v < g->nodes_n; v++)
        cycles_n += ++size[f.comp[v]] == 2;
    cycles = mu_alloc(g->arena, ((size_t)cycles_n + 1) * sizeof *cycles);
    *ret_n = 0;
    for (uint32_t v = 0; v < g->nodes_n; v++) {
        if (size[f.comp[v]] < 2)
            continue;
        mu_graph_cycle *cycle = &cycles[(*ret_n)++];
        *cycle = (mu_graph_cycle){ .size = size[f.comp[v]] };
        size[f.comp[v]] = 0;   /* one for each component, from its smallest node */
        shortest(&f, v, cycle);
        best_cut(&f, cycle);
    }
    return cycles;
}
