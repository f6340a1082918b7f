/* Inside of the graph: what its files share. Nobody else includes this. */
#ifndef MU_GRAPH_PRIVATE_H
#define MU_GRAPH_PRIVATE_H

#include "graph.h"

struct mu_graph {
    mu_arena *arena;
    const mu_graph_node *nodes;
    const mu_graph_edge *edges;
    const mu_graph_group *groups;
    uint32_t nodes_n, edges_n, groups_n;
    uint32_t *needs_at, *needs;        /* edges by consumer: needs[needs_at[v] … needs_at[v + 1]] */
    uint32_t *feeds_at, *feeds;        /* edges by provider */
    uint32_t *members_at, *members;    /* edges by group */
    mu_graph_time *times;              /* once solved */
    uint32_t *rank;                    /* order of coming back in the play that found `least`: a provider's is below its consumers' */
    struct mu_graph_layout *layout;    /* workspace of mu_graph_changes() */
    const bool *left_out;              /* dependencies inside a cycle, left out of `least`; NULL: there are none */
};

/* One play of recovery. */
typedef struct {
    bool optimistic;                   /* missing figures count as zero, short groups do with what they have; otherwise such never come back */
    const bool *left_out;              /* edges that are taken for satisfied at once; NULL: none */
    const bool *hit;                   /* NULL: everything is down; otherwise only these, and what is well serves at once */
    uint32_t failed;                   /* with hit: the one that failed, back after `down` */
    int64_t  down;
    int64_t  *back;                    /* results, one for each node: MU_GRAPH_UNKNOWN, it never comes back */
    uint32_t *via, *rank;
    bool     *arrived;                 /* one for each edge: it was satisfied */
} mu_play;

/* Plays; back, via, rank and arrived are made in the graph's arena. */
void mu_graph_play(const mu_graph *g, mu_play *play);
/* The optimistic play; if some never come back, once more without the edges inside the circles they wait in (left_out, made). */
void mu_graph_play_least(const mu_graph *g, mu_play *play);

/* Strongly connected components of the nodes and edges let in (NULL: all). comp[v] numbers them so that a provider's is not above its
 * consumer's; nodes left out get MU_GRAPH_NONE. Returns how many there are. */
uint32_t mu_graph_components(const mu_graph *g, const bool *node_in, const bool *edge_in, uint32_t *comp);

/* implied, implied_from, implied_via of the times. */
void mu_graph_roll_down(mu_graph *g);

static inline bool mu_graph_is_serial(const mu_graph *g, const mu_graph_edge *e)
{
    return e->group == MU_GRAPH_NONE ? e->serial : g->groups[e->group].serial;
}

static inline uint32_t mu_graph_members(const mu_graph *g, uint32_t group)
{
    return g->members_at[group + 1] - g->members_at[group];
}

#endif
