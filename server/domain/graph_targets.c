/* Targets roll down: the strictest that a consumer's target asks of what it needs. */
#include "graph_private.h"

typedef struct { mu_graph *g; const bool *hard; const uint32_t *comp; uint32_t *queue; bool *seen; } roller;

/* A group passes a target on only when it cannot do without any member. */
static bool is_hard(const mu_graph *g, const mu_graph_edge *edge)
{
    return edge->group == MU_GRAPH_NONE || g->groups[edge->group].need >= mu_graph_members(g, edge->group);
}

/* What a node is held to, and whose target that is. */
static int64_t held_to(const mu_graph *g, uint32_t v, uint32_t *ret_from)
{
    if (g->nodes[v].target <= g->times[v].implied) {
        *ret_from = v;
        return g->nodes[v].target;
    }
    *ret_from = g->times[v].implied_from;
    return g->times[v].implied;
}

static void pass(mu_graph *g, uint32_t from_node, uint32_t to, int64_t value, uint32_t source)
{
    mu_graph_time *time = &g->times[to];

    if (value < time->implied) {
        time->implied = value;
        time->implied_from = source;
        time->implied_via = from_node;
    }
}

/* Inside a cycle the strictest target holds for all, without lead times, or it would grow stricter for ever. */
static void share(roller *r, const uint32_t *members, uint32_t n)
{
    mu_graph *g = r->g;
    uint32_t strictest = members[0], head = 0, tail = 0, source, other;

    for (uint32_t i = 1; i < n; i++)
        if (held_to(g, members[i], &other) < held_to(g, strictest, &other))
            strictest = members[i];
    const int64_t value = held_to(g, strictest, &source);
    if (value == MU_GRAPH_UNKNOWN)
        return;
    r->queue[tail++] = strictest;
    r->seen[strictest] = true;
    while (head < tail) {
        const uint32_t v = r->queue[head++];
        for (uint32_t i = g->needs_at[v]; i < g->needs_at[v + 1]; i++) {
            const uint32_t e = g->needs[i], w = g->edges[e].provider;
            if (!r->hard[e] || r->comp[w] != r->comp[strictest] || r->seen[w])
                continue;
            r->seen[w] = true;
            (void)held_to(g, v, &source);
            pass(g, v, w, value, source);
            r->queue[tail++] = w;
        }
    }
}

static void pass_down(roller *r, uint32_t v)
{
    mu_graph *g = r->g;
    uint32_t source;
    const int64_t value = held_to(g, v, &source), own = g->nodes[v].own == MU_GRAPH_UNKNOWN ? 0 : g->nodes[v].own;

    if (value == MU_GRAPH_UNKNOWN)
        return;
    for (uint32_t i = g->needs_at[v]; i < g->needs_at[v + 1]; i++) {
        const mu_graph_edge *edge = &g->edges[g->needs[i]];
        if (!r->hard[g->needs[i]] || r->comp[edge->provider] == r->comp[v])
            continue;
        pass(g, v, edge->provider, value - (edge->lead == MU_GRAPH_UNKNOWN ? 0 : edge->lead) - (mu_graph_is_serial(g, edge) ? own : 0), source);
    }
}

void mu_graph_roll_down(mu_graph *g)
{
    const size_t n = (size_t)g->nodes_n + 1;
    bool *hard = mu_alloc(g->arena, ((size_t)g->edges_n + 1) * sizeof *hard);
    uint32_t *comp = mu_alloc(g->arena, n * sizeof *comp), *order = mu_alloc(g->arena, n * sizeof *order), *at, comps;
    roller r = { .g = g, .hard = hard, .comp = comp, .queue = mu_alloc(g->arena, n * sizeof *r.queue), .seen = mu_alloc(g->arena, n * sizeof *r.seen) };

    for (uint32_t e = 0; e < g->edges_n; e++)
        hard[e] = is_hard(g, &g->edges[e]);
    comps = mu_graph_components(g, NULL, hard, comp);
    at = mu_alloc(g->arena, ((size_t)comps + 2) * sizeof *at);
    for (uint32_t v = 0; v < g->nodes_n; v++)
        at[comp[v] + 2]++;
    for (uint32_t c = 2; c < comps + 2; c++)
        at[c] += at[c - 1];
    for (uint32_t v = 0; v < g->nodes_n; v++)
        order[at[comp[v] + 1]++] = v;
    for (uint32_t c = comps; c-- > 0;) {   /* consumers first */
        if (at[c + 1] - at[c] > 1)
            share(&r, order + at[c], at[c + 1] - at[c]);
        for (uint32_t i = at[c]; i < at[c + 1]; i++)
            pass_down(&r, order[i]);
    }
}
