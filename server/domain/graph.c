#include "graph_private.h"

#include <string.h>

#define KNOWN(t) ((t) != MU_GRAPH_UNKNOWN)

/* ---- the three orders of the edges ---- */

typedef uint32_t (*key_of)(const mu_graph_edge *edge);
static uint32_t by_consumer(const mu_graph_edge *edge) { return edge->consumer; }
static uint32_t by_provider(const mu_graph_edge *edge) { return edge->provider; }
static uint32_t by_group(const mu_graph_edge *edge) { return edge->group; }

static void index_edges(const mu_graph *g, uint32_t keys, key_of key, uint32_t **ret_at, uint32_t **ret_list)
{
    uint32_t *at = mu_alloc(g->arena, ((size_t)keys + 2) * sizeof *at), *list = mu_alloc(g->arena, ((size_t)g->edges_n + 1) * sizeof *list);

    for (uint32_t e = 0; e < g->edges_n; e++)
        if (key(&g->edges[e]) != MU_GRAPH_NONE)
            at[key(&g->edges[e]) + 2]++;
    for (uint32_t k = 2; k < keys + 2; k++)
        at[k] += at[k - 1];
    for (uint32_t e = 0; e < g->edges_n; e++)
        if (key(&g->edges[e]) != MU_GRAPH_NONE)
            list[at[key(&g->edges[e]) + 1]++] = e;
    *ret_at = at;
    *ret_list = list;
}

static bool sound(const mu_graph *g)
{
    for (uint32_t e = 0; e < g->edges_n; e++) {
        const mu_graph_edge *edge = &g->edges[e];
        if (edge->consumer >= g->nodes_n || edge->provider >= g->nodes_n || (edge->group != MU_GRAPH_NONE && edge->group >= g->groups_n))
            return false;
    }
    return true;
}

mu_graph *mu_graph_make(mu_arena *arena, const mu_graph_node *nodes, uint32_t nodes_n, const mu_graph_edge *edges, uint32_t edges_n,
                        const mu_graph_group *groups, uint32_t groups_n)
{
    mu_graph *g = mu_alloc(arena, sizeof *g);

    *g = (mu_graph){ .arena = arena, .nodes = nodes, .edges = edges, .groups = groups, .nodes_n = nodes_n, .edges_n = edges_n, .groups_n = groups_n };
    if (!sound(g))
        return NULL;
    index_edges(g, nodes_n, by_consumer, &g->needs_at, &g->needs);
    index_edges(g, nodes_n, by_provider, &g->feeds_at, &g->feeds);
    index_edges(g, groups_n, by_group, &g->members_at, &g->members);
    for (uint32_t group = 0; group < groups_n; group++)
        for (uint32_t i = g->members_at[group]; i < g->members_at[group + 1]; i++)
            if (edges[g->members[i]].consumer != edges[g->members[g->members_at[group]]].consumer)
                return NULL;
    return g;
}

/* ---- a play: services come back in the order of time ---- */

typedef struct { int64_t at; uint32_t edge; } arrival;

typedef struct {
    const mu_graph *g;
    mu_play  *play;
    arrival  *heap;
    uint32_t  heap_n, done;
    uint32_t *open, *group_open;                /* requirements of a node, members of a group that are still to come */
    int64_t  *serial, *parallel;                /* the latest so far */
    uint32_t *serial_via, *parallel_via;
    bool     *works, *group_waits;              /* it has work of its own to do; the group is not simply there */
} stage;

static bool earlier(arrival a, arrival b)
{
    return a.at != b.at ? a.at < b.at : a.edge < b.edge;
}

static void heap_push(stage *s, arrival new)
{
    uint32_t i = s->heap_n++;

    for (; i > 0 && earlier(new, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = new;
}

static arrival heap_pop(stage *s)
{
    const arrival top = s->heap[0], last = s->heap[--s->heap_n];
    uint32_t i = 0;

    for (uint32_t child = 1; child < s->heap_n; child = 2 * i + 1) {
        if (child + 1 < s->heap_n && earlier(s->heap[child + 1], s->heap[child]))
            child++;
        if (!earlier(s->heap[child], last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = last;
    return top;
}

/* The node is back: everything it feeds hears of it, after the lead time. */
static void feed(stage *s, uint32_t v, int64_t at)
{
    const mu_graph *g = s->g;

    for (uint32_t i = g->feeds_at[v]; i < g->feeds_at[v + 1]; i++) {
        const uint32_t e = g->feeds[i];
        int64_t lead = g->edges[e].lead;
        if (s->play->left_out != NULL && s->play->left_out[e])
            continue;
        if (!KNOWN(lead)) {
            if (!s->play->optimistic)
                continue;
            lead = 0;
        }
        heap_push(s, (arrival){ at + lead, e });
    }
}

static void back(stage *s, uint32_t v, int64_t at, uint32_t via)
{
    s->play->back[v] = at;
    s->play->via[v] = via;
    s->play->rank[v] = s->done++;
    feed(s, v, at);
}

/* Everything the node needs is there. */
static void ready(stage *s, uint32_t v)
{
    int64_t own = s->play->hit == NULL || s->works[v] ? s->g->nodes[v].own : 0;

    if (!KNOWN(own)) {
        if (!s->play->optimistic)
            return;
        own = 0;
    }
    if (s->parallel[v] > s->serial[v] + own)
        back(s, v, s->parallel[v], s->parallel_via[v]);
    else
        back(s, v, s->serial[v] + own, s->serial[v] > 0 ? s->serial_via[v] : MU_GRAPH_NONE);
}

/* One requirement of the edge's consumer is met; `waits`: it was not simply there. */
static void meet(stage *s, uint32_t e, int64_t at, bool serial, bool waits)
{
    const uint32_t v = s->g->edges[e].consumer;
    int64_t *latest = serial ? &s->serial[v] : &s->parallel[v];
    uint32_t *via = serial ? &s->serial_via[v] : &s->parallel_via[v];

    if (waits && (at > *latest || *via == MU_GRAPH_NONE)) {
        *latest = at;
        *via = e;
    }
    s->works[v] = s->works[v] || (serial && waits);
    if (--s->open[v] == 0)
        ready(s, v);
}

static void arrive(stage *s, arrival a)
{
    const mu_graph_edge *edge = &s->g->edges[a.edge];

    s->play->arrived[a.edge] = true;
    if (edge->group == MU_GRAPH_NONE)
        meet(s, a.edge, a.at, edge->serial, s->play->hit == NULL || s->play->hit[edge->provider]);
    else if (s->group_open[edge->group] > 0 && --s->group_open[edge->group] == 0)
        meet(s, a.edge, a.at, s->g->groups[edge->group].serial, s->group_waits[edge->group]);
}

/* What each node waits for. Groups count as one; short ones are never met, unless one is optimistic. */
static void count_open(stage *s)
{
    const mu_graph *g = s->g;

    for (uint32_t group = 0; group < g->groups_n; group++) {
        const uint32_t n = mu_graph_members(g, group);
        uint32_t well = 0;
        for (uint32_t i = g->members_at[group]; s->play->hit != NULL && i < g->members_at[group + 1]; i++)
            well += !s->play->hit[g->edges[g->members[i]].provider];
        s->group_open[group] = s->play->optimistic && g->groups[group].need > n ? n : g->groups[group].need;
        s->group_waits[group] = well < s->group_open[group];
        if (n > 0 && g->groups[group].need > 0)
            s->open[g->edges[g->members[g->members_at[group]]].consumer]++;
    }
    for (uint32_t e = 0; e < g->edges_n; e++)
        if (g->edges[e].group == MU_GRAPH_NONE)
            s->open[g->edges[e].consumer]++;
}

static void open_stage(stage *s)
{
    const mu_graph *g = s->g;
    mu_play *p = s->play;

    for (uint32_t e = 0; p->left_out != NULL && e < g->edges_n; e++)
        if (p->left_out[e])
            heap_push(s, (arrival){ 0, e });
    for (uint32_t v = 0; v < g->nodes_n; v++) {
        if (p->hit == NULL) {
            if (s->open[v] == 0)
                ready(s, v);
        } else if (!p->hit[v]) {
            p->back[v] = 0;
            for (uint32_t i = g->feeds_at[v]; i < g->feeds_at[v + 1]; i++)
                heap_push(s, (arrival){ 0, g->feeds[i] });
        } else if (v == p->failed && (KNOWN(p->down))) {
            back(s, v, p->down, MU_GRAPH_NONE);
        }
    }
}

static uint32_t *nones(mu_arena *arena, size_t n)
{
    uint32_t *made = mu_alloc(arena, (n + 1) * sizeof *made);

    memset(made, 0xff, (n + 1) * sizeof *made);
    return made;
}

void mu_graph_play(const mu_graph *g, mu_play *play)
{
    stage s = { .g = g, .play = play };
    mu_arena *arena = g->arena;

    s.heap = mu_alloc(arena, ((size_t)g->edges_n + 1) * sizeof *s.heap);   /* an edge arrives at most once */
    s.open = mu_alloc(arena, ((size_t)g->nodes_n + 1) * sizeof *s.open);
    s.group_open = mu_alloc(arena, ((size_t)g->groups_n + 1) * sizeof *s.group_open);
    s.works = mu_alloc(arena, (size_t)g->nodes_n + 1);
    s.group_waits = mu_alloc(arena, (size_t)g->groups_n + 1);
    s.serial = mu_alloc(arena, ((size_t)g->nodes_n + 1) * sizeof *s.serial);
    s.parallel = mu_alloc(arena, ((size_t)g->nodes_n + 1) * sizeof *s.parallel);
    s.serial_via = nones(arena, g->nodes_n);
    s.parallel_via = nones(arena, g->nodes_n);
    play->via = nones(arena, g->nodes_n);
    play->rank = nones(arena, g->nodes_n);
    play->arrived = mu_alloc(arena, ((size_t)g->edges_n + 1) * sizeof *play->arrived);
    play->back = mu_alloc(arena, ((size_t)g->nodes_n + 1) * sizeof *play->back);
    for (uint32_t v = 0; v < g->nodes_n; v++)
        play->back[v] = MU_GRAPH_UNKNOWN;
    count_open(&s);
    open_stage(&s);
    while (s.heap_n > 0) {
        const arrival next = heap_pop(&s);
        const uint32_t v = g->edges[next.edge].consumer;
        if (play->hit == NULL || (play->hit[v] && v != play->failed))
            arrive(&s, next);
    }
}

/* ---- the interval of each node ---- */

/* What is left when all that can come back is back waits in circles, or behind one. Without the edges inside the circles the rest of the
 * play goes on, and gives what is proven all the same. */
void mu_graph_play_least(const mu_graph *g, mu_play *play)
{
    bool *stuck = mu_alloc(g->arena, (size_t)g->nodes_n + 1), *left_out;
    uint32_t *comp, stuck_n = 0;

    play->optimistic = true;
    mu_graph_play(g, play);
    for (uint32_t v = 0; v < g->nodes_n; v++)
        stuck_n += stuck[v] = !KNOWN(play->back[v]);
    if (stuck_n == 0)
        return;
    comp = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *comp);
    left_out = mu_alloc(g->arena, (size_t)g->edges_n + 1);
    (void)mu_graph_components(g, stuck, NULL, comp);
    for (uint32_t e = 0; e < g->edges_n; e++)
        left_out[e] = stuck[g->edges[e].consumer] && stuck[g->edges[e].provider] && comp[g->edges[e].consumer] == comp[g->edges[e].provider];
    play->left_out = left_out;
    mu_graph_play(g, play);
}

/* The first reason why the node never came back, or the provider it waits for (*ret_next). */
static mu_graph_why first_reason(const mu_graph *g, const mu_play *most, uint32_t v, uint32_t *ret_next)
{
    *ret_next = MU_GRAPH_NONE;
    if (!KNOWN(g->nodes[v].own))
        return MU_GRAPH_NO_CLAIM;
    for (uint32_t i = g->needs_at[v]; i < g->needs_at[v + 1]; i++) {
        const mu_graph_edge *edge = &g->edges[g->needs[i]];
        if (edge->group == MU_GRAPH_NONE && most->arrived[g->needs[i]])
            continue;
        if (edge->group != MU_GRAPH_NONE) {
            uint32_t came = 0;
            for (uint32_t k = g->members_at[edge->group]; k < g->members_at[edge->group + 1]; k++)
                came += most->arrived[g->members[k]];
            if (came >= g->groups[edge->group].need)
                continue;
            if (g->groups[edge->group].need > mu_graph_members(g, edge->group))
                return MU_GRAPH_SHORT;
            if (most->arrived[g->needs[i]])
                continue;
        }
        if (KNOWN(most->back[edge->provider]))
            return MU_GRAPH_NO_LEAD;
        *ret_next = edge->provider;
        return MU_GRAPH_KNOWN;
    }
    return MU_GRAPH_CYCLE;   /* not reached: something is missing, or it would be back */
}

/* Follows the waiting to a missing figure, or round into itself. Every node is walked over once. */
static void find_reasons(mu_graph *g, const mu_play *most)
{
    uint32_t *trail = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *trail);
    bool *on_trail = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *on_trail);

    for (uint32_t start = 0; start < g->nodes_n; start++) {
        uint32_t n = 0, v = start, next = MU_GRAPH_NONE, missing;
        mu_graph_why why = MU_GRAPH_KNOWN;
        if (KNOWN(most->back[start]) || g->times[start].why != MU_GRAPH_KNOWN)
            continue;
        for (;; v = next) {
            missing = v;
            if (g->times[v].why != MU_GRAPH_KNOWN) {
                why = g->times[v].why;
                missing = g->times[v].missing;
            } else if (on_trail[v]) {
                why = MU_GRAPH_CYCLE;
            } else {
                on_trail[v] = true;
                trail[n++] = v;
                why = first_reason(g, most, v, &next);
            }
            if (why != MU_GRAPH_KNOWN)
                break;
        }
        while (n > 0) {
            g->times[trail[--n]].why = why;
            g->times[trail[n]].missing = missing;
            on_trail[trail[n]] = false;
        }
    }
}

const mu_graph_time *mu_graph_solve(mu_graph *g)
{
    mu_play least = { .left_out = NULL }, most = { .optimistic = false };

    if (g->times != NULL)
        return g->times;
    g->times = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *g->times);
    mu_graph_play_least(g, &least);
    mu_graph_play(g, &most);
    g->rank = least.rank;
    g->left_out = least.left_out;
    for (uint32_t v = 0; v < g->nodes_n; v++)
        g->times[v] = (mu_graph_time){ .least = least.back[v], .most = most.back[v], .via = least.via[v], .why = MU_GRAPH_KNOWN, .missing = MU_GRAPH_NONE,
            .implied = MU_GRAPH_UNKNOWN, .implied_from = MU_GRAPH_NONE, .implied_via = MU_GRAPH_NONE };
    find_reasons(g, &most);
    mu_graph_roll_down(g);
    return g->times;
}
