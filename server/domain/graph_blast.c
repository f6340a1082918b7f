/* Blast radius: what one failure takes with it, and until when. */
#include "graph_private.h"

/* Out of service: the failed one, and whatever waits for what is out. A group stands while enough of its members are well. */
static bool *spread(const mu_graph *g, uint32_t failed)
{
    bool *hit = mu_alloc(g->arena, (size_t)g->nodes_n + 1);
    uint32_t *out = mu_alloc(g->arena, ((size_t)g->groups_n + 1) * sizeof *out), *queue = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *queue), head = 0, tail = 0;

    hit[failed] = true;
    queue[tail++] = failed;
    while (head < tail) {
        const uint32_t v = queue[head++];
        for (uint32_t i = g->feeds_at[v]; i < g->feeds_at[v + 1]; i++) {
            const mu_graph_edge *edge = &g->edges[g->feeds[i]];
            if (edge->group != MU_GRAPH_NONE && mu_graph_members(g, edge->group) - ++out[edge->group] >= g->groups[edge->group].need)
                continue;
            if (!hit[edge->consumer]) {
                hit[edge->consumer] = true;
                queue[tail++] = edge->consumer;
            }
        }
    }
    return hit;
}

const mu_graph_hit *mu_graph_blast(mu_graph *g, uint32_t failed, int64_t least, int64_t most)
{
    mu_graph_hit *hits = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *hits);
    bool *hit = spread(g, failed);
    mu_play soon = { .hit = hit, .failed = failed, .down = least }, late = { .optimistic = false, .hit = hit, .failed = failed, .down = most };

    mu_graph_play_least(g, &soon);
    mu_graph_play(g, &late);
    for (uint32_t v = 0; v < g->nodes_n; v++)
        hits[v] = (mu_graph_hit){ .hit = hit[v], .least = hit[v] ? soon.back[v] : 0, .most = hit[v] ? late.back[v] : 0, .via = soon.via[v] };
    return hits;
}
