/* What a service can achieve, given what it needs: achievable times roll up the graph of dependencies, targets roll down it. Pure.
 *
 * Recovery is played through as it would happen: a service is back when its own work is done and everything it needs is back. A serial
 * provider (and a group marked serial) must be back, and its lead time over, before the own work begins; a parallel one must be back,
 * and its lead time over, before the service is. A group wants `need` of its members. So
 *     back(v) = max( max over serial of (back(p) + lead) + own(v),  max over parallel of (back(p) + lead) )
 * with the need-th smallest (back + lead) for a group. Nothing is counted as zero for want of a figure: each time is an interval, `least`
 * is what is proven even if every missing figure were zero, `most` is MU_GRAPH_UNKNOWN while a figure is missing that could matter.
 * Services that wait for each other never come back in this play: `most` is then unknown because of the cycle, and `least` is found
 * without the dependencies inside it. Nothing here loops; the cost is that of sorting the dependencies.
 *
 * All times are seconds, 0 … 31,536,000 each; sums fit int64 for any graph that fits memory. Indices are positions in the arrays given. */
#ifndef MU_GRAPH_H
#define MU_GRAPH_H

#include "base.h"

#define MU_GRAPH_UNKNOWN INT64_MAX
#define MU_GRAPH_NONE    UINT32_MAX

typedef struct {
    int64_t own;        /* the service's own work; MU_GRAPH_UNKNOWN: no claim */
    int64_t target;     /* its objective; MU_GRAPH_UNKNOWN: none */
    int64_t whole;      /* measured from outage to back, waiting included; MU_GRAPH_UNKNOWN: never */
} mu_graph_node;

typedef struct {
    uint32_t consumer, provider;
    uint32_t group;     /* MU_GRAPH_NONE, or a group of the same consumer */
    int64_t  lead;      /* MU_GRAPH_UNKNOWN: not known */
    bool     serial;    /* read when there is no group */
} mu_graph_edge;

typedef struct { uint32_t need; bool serial; } mu_graph_group;

typedef struct mu_graph mu_graph;

/* Why `most` is not known: nobody claims what `missing` can do; the lead time of a dependency of `missing` is not known; `missing`
 * waits for itself; a group of `missing` has fewer members than it needs. */
typedef enum { MU_GRAPH_KNOWN, MU_GRAPH_NO_CLAIM, MU_GRAPH_NO_LEAD, MU_GRAPH_CYCLE, MU_GRAPH_SHORT } mu_graph_why;

typedef struct {
    int64_t  least, most;
    uint32_t via;            /* the dependency that decides `least`; MU_GRAPH_NONE: its own work does */
    mu_graph_why why;
    uint32_t missing;        /* node, when why is not MU_GRAPH_KNOWN */
    int64_t  implied;        /* the strictest target its consumers need of it, may be below zero; MU_GRAPH_UNKNOWN: none */
    uint32_t implied_from;   /* whose target that is */
    uint32_t implied_via;    /* the consumer that passes it on */
} mu_graph_time;

/* Arrays are borrowed and must live as long as the graph; `groups` are those that have members. NULL: an index is out of range or an
 * edge is in a group of another consumer. Owner: the arena. */
mu_graph *mu_graph_make(mu_arena *arena, const mu_graph_node *nodes, uint32_t nodes_n, const mu_graph_edge *edges, uint32_t edges_n,
                        const mu_graph_group *groups, uint32_t groups_n);

/* Rolls times up and targets down. One mu_graph_time for each node; owner: the graph's arena. Targets are not passed on through a group
 * that can do without one of its members; inside a cycle they are passed on without lead times. */
const mu_graph_time *mu_graph_solve(mu_graph *graph);

/* ---- what would remove a contradiction ---- */

typedef enum { MU_GRAPH_CUT_OWN, MU_GRAPH_CUT_LEAD } mu_graph_cut_kind;
typedef struct { mu_graph_cut_kind kind; uint32_t which; int64_t from, to; } mu_graph_cut;   /* which: a node, or an edge */
#define MU_GRAPH_CUTS_MOST 8

/* For a node whose `least` is beyond its target: the changes that bring it to the target. One change wherever one is enough; then it is
 * as small as any change can be, the excess itself. Otherwise several that are enough together. Returns how many, 0: more than
 * MU_GRAPH_CUTS_MOST would be needed, or more of the graph than `work` steps allow (*work is counted down). After mu_graph_solve(). */
unsigned mu_graph_changes(mu_graph *graph, uint32_t node, uint64_t *work, mu_graph_cut ret[MU_GRAPH_CUTS_MOST]);

/* ---- cycles ---- */

typedef struct {
    const uint32_t *nodes, *edges;   /* a shortest cycle through its first node: edges[i] leads from nodes[i] to nodes[i + 1] */
    uint32_t length;                 /* of the cycle */
    uint32_t size;                   /* nodes that wait for each other, this cycle and others tied to it */
    uint32_t cut;                    /* the edge of the cycle without which the fewest nodes are left in cycles */
    uint32_t left;                   /* how many those are; 0: without that edge there is no cycle here */
} mu_graph_cycle;

/* One for each set of nodes that need each other, in order of their smallest node. Owner: the graph's arena. */
const mu_graph_cycle *mu_graph_cycles(mu_graph *graph, uint32_t *ret_n);

/* ---- blast radius ---- */

typedef struct {
    bool     hit;            /* out of service because of the failure */
    int64_t  least, most;    /* until it is back, from the failure; most MU_GRAPH_UNKNOWN: not known */
    uint32_t via;            /* the dependency that decides `least`; MU_GRAPH_NONE for the one that failed */
} mu_graph_hit;

/* `failed` is down for least … most seconds (most may be MU_GRAPH_UNKNOWN), everything else is well. What needs it is out from the start,
 * but for groups that can do without it, and is back after the waiting and, behind a serial dependency, its own work. One for each
 * node; owner: the graph's arena. */
const mu_graph_hit *mu_graph_blast(mu_graph *graph, uint32_t failed, int64_t least, int64_t most);

#endif
