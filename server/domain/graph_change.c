/* The smallest change that brings a service back within its target.
 *
 * All ways in which the service is too late are laid out in one line: the own work of each service and the lead time of each dependency
 * on such a way is a place, the arcs between places lead forward, and there is an arc only if some way over it is longer than the
 * target. Shortening anything by x shortens a way by x at most, so no change can be smaller than the excess. A place that no arc
 * jumps over lies on all the ways: if it is as long as the excess, shortening it by just that is enough. */
#include "graph_private.h"

#define PLACES_MOST 4000u
#define ARCS_MOST   (3 * PLACES_MOST)

typedef struct { mu_graph_cut_kind kind; uint32_t which; int64_t length, now, far; uint32_t from, arcs, arcs_n; } place;

typedef struct mu_graph_layout {
    mu_graph *g;
    int64_t  *budget;            /* of a node: the least time left for it on any way; MU_GRAPH_UNKNOWN: it is on none */
    uint32_t *entry;             /* of a node: its first place */
    uint32_t  order[PLACES_MOST], order_n, queue[PLACES_MOST], queue_n;   /* nodes, the last to come back first; the queue the other way */
    place     places[PLACES_MOST + 1];
    uint32_t  arcs[ARCS_MOST], places_n, arcs_n;
    uint64_t *work;
} layout;

static int64_t or_zero(int64_t t)
{
    return t == MU_GRAPH_UNKNOWN ? 0 : t;
}

static bool spend(layout *l, uint64_t steps)
{
    *l->work = *l->work > steps ? *l->work - steps : 0;
    return *l->work > 0;
}

static int64_t arrival_of(const mu_graph *g, uint32_t e)
{
    return g->left_out != NULL && g->left_out[e] ? 0 : g->times[g->edges[e].provider].least + or_zero(g->edges[e].lead);
}

/* Of a group that is too late, the members that would have to come sooner are the quickest of the late ones, as many as are missing. */
static bool member_counts(layout *l, uint32_t e, int64_t most)
{
    const mu_graph *g = l->g;
    const uint32_t group = g->edges[e].group, n = mu_graph_members(g, group), need = g->groups[group].need < n ? g->groups[group].need : n;
    uint32_t in_time = 0, before = 0;

    for (uint32_t i = g->members_at[group]; i < g->members_at[group + 1]; i++) {
        const int64_t at = arrival_of(g, g->members[i]);
        in_time += at <= most;
        before += at > most && (at < arrival_of(g, e) || (at == arrival_of(g, e) && g->members[i] < e));
    }
    (void)spend(l, n);
    return in_time < need && before < need - in_time;
}

/* Does a way over this dependency take longer than what is left? */
static bool is_late(layout *l, uint32_t e, bool serial, int64_t left)
{
    const mu_graph *g = l->g;

    return mu_graph_is_serial(g, &g->edges[e]) == serial && (g->left_out == NULL || !g->left_out[e]) && arrival_of(g, e) > left
        && (g->edges[e].group == MU_GRAPH_NONE || member_counts(l, e, left));
}

/* What is left for what v waits for. */
static int64_t left_for(const layout *l, uint32_t v, bool serial)
{
    return l->budget[v] - (serial ? or_zero(l->g->nodes[v].own) : 0);
}

/* ---- which services are on a way that is too long ---- */

static bool want(layout *l, uint32_t v, int64_t budget)
{
    if (l->budget[v] == MU_GRAPH_UNKNOWN) {
        uint32_t i = l->queue_n;
        if (l->queue_n + l->order_n >= PLACES_MOST / 2)
            return false;
        for (; i > 0 && l->g->rank[l->queue[i - 1]] > l->g->rank[v]; i--)
            l->queue[i] = l->queue[i - 1];
        (void)spend(l, l->queue_n - i);
        l->queue[i] = v;
        l->queue_n++;
    }
    if (budget < l->budget[v])
        l->budget[v] = budget;
    return true;
}

static bool survey(layout *l, uint32_t node, int64_t target)
{
    const mu_graph *g = l->g;
    bool fits = want(l, node, target);

    while (fits && l->queue_n > 0) {
        const uint32_t v = l->order[l->order_n++] = l->queue[--l->queue_n];
        for (uint32_t i = g->needs_at[v]; fits && i < g->needs_at[v + 1]; i++) {
            const uint32_t e = g->needs[i];
            const bool serial = mu_graph_is_serial(g, &g->edges[e]);
            fits = spend(l, 1);
            if (fits && is_late(l, e, serial, left_for(l, v, serial)))
                fits = want(l, g->edges[e].provider, left_for(l, v, serial) - or_zero(g->edges[e].lead));
        }
    }
    return fits;
}

/* ---- places and arcs ---- */

static uint32_t add_place(layout *l, mu_graph_cut_kind kind, uint32_t which, int64_t length)
{
    l->places[l->places_n] = (place){ .kind = kind, .which = which, .length = length, .now = length };
    return l->places_n++;
}

/* Each node: where one comes in, its own work, then its late dependencies. */
static bool lay_places(layout *l)
{
    const mu_graph *g = l->g;

    for (uint32_t k = 0; k < l->order_n; k++) {
        const uint32_t v = l->order[k];
        l->entry[v] = l->places_n;
        if (l->places_n + 2 + g->needs_at[v + 1] - g->needs_at[v] >= PLACES_MOST)
            return false;
        (void)add_place(l, MU_GRAPH_CUT_OWN, v, 0);
        (void)add_place(l, MU_GRAPH_CUT_OWN, v, or_zero(g->nodes[v].own));
        for (uint32_t i = g->needs_at[v]; i < g->needs_at[v + 1]; i++) {
            const bool serial = mu_graph_is_serial(g, &g->edges[g->needs[i]]);
            if (is_late(l, g->needs[i], serial, left_for(l, v, serial)))
                (void)add_place(l, MU_GRAPH_CUT_LEAD, g->needs[i], or_zero(g->edges[g->needs[i]].lead));
        }
    }
    return true;
}

static void add_arc(layout *l, uint32_t from, uint32_t to)
{
    if (l->places[from].arcs_n++ == 0)
        l->places[from].arcs = l->arcs_n;
    l->arcs[l->arcs_n++] = to;
}

static void lay_arcs(layout *l)
{
    const mu_graph *g = l->g;

    for (uint32_t k = 0; k < l->order_n; k++) {
        const uint32_t v = l->order[k], in = l->entry[v], own = in + 1, end = k + 1 < l->order_n ? l->entry[l->order[k + 1]] : l->places_n;
        bool works = or_zero(g->nodes[v].own) > l->budget[v];
        for (uint32_t i = own + 1; i < end; i++)
            works = works || mu_graph_is_serial(g, &g->edges[l->places[i].which]);
        if (works)
            add_arc(l, in, own);
        for (uint32_t i = own + 1; i < end; i++)
            if (!mu_graph_is_serial(g, &g->edges[l->places[i].which]))
                add_arc(l, in, i);
        for (uint32_t i = own + 1; i < end; i++)
            if (mu_graph_is_serial(g, &g->edges[l->places[i].which]))
                add_arc(l, own, i);
        if (or_zero(g->nodes[v].own) > l->budget[v])
            add_arc(l, own, l->places_n);
        for (uint32_t i = own + 1; i < end; i++)
            add_arc(l, i, l->entry[g->edges[l->places[i].which].provider]);
    }
}

/* ---- cutting ---- */

static mu_graph_cut as_cut(const place *p)
{
    return (mu_graph_cut){ .kind = p->kind, .which = p->which, .from = p->length, .to = p->now };
}

/* The longest place that all ways go over, if it is long enough: the change is the smallest part of it. */
static place *on_all_ways(layout *l, int64_t excess)
{
    uint32_t reach = 0;
    place *best = NULL;

    for (uint32_t i = 0; i < l->places_n; i++) {
        place *p = &l->places[i];
        if (reach <= i && p->length >= excess && (best == NULL || p->length > best->length))
            best = p;
        for (uint32_t k = 0; k < p->arcs_n; k++)
            reach = l->arcs[p->arcs + k] > reach ? l->arcs[p->arcs + k] : reach;
    }
    return best;
}

/* The length of the longest way as things are now; `far` and `from` of the places say which one it is. */
static int64_t longest(layout *l)
{
    for (uint32_t i = 0; i <= l->places_n; i++)
        l->places[i].far = -1;
    l->places[0].far = 0;
    for (uint32_t i = 0; i < l->places_n; i++) {
        const place *p = &l->places[i];
        for (uint32_t k = 0; p->far >= 0 && k < p->arcs_n; k++) {
            place *next = &l->places[l->arcs[p->arcs + k]];
            if (p->far + p->now > next->far) {
                next->far = p->far + p->now;
                next->from = i;
            }
        }
    }
    return l->places[l->places_n].far;
}

/* Shortens the longest place of the longest way, again and again. */
static unsigned cut_down(layout *l, int64_t target, mu_graph_cut ret[MU_GRAPH_CUTS_MOST])
{
    unsigned n = 0;

    for (int64_t length; (length = longest(l)) > target;) {
        place *best = NULL;
        for (uint32_t i = l->places[l->places_n].from; i > 0; i = l->places[i].from)
            if (best == NULL || l->places[i].now > best->now)
                best = &l->places[i];
        if (best == NULL || best->now <= 0 || !spend(l, l->places_n + l->arcs_n))
            return 0;
        if (best->now == best->length && n++ == MU_GRAPH_CUTS_MOST)
            return 0;
        best->now -= best->now < length - target ? best->now : length - target;
    }
    n = 0;
    for (uint32_t i = 0; i < l->places_n; i++)
        if (l->places[i].now < l->places[i].length)
            ret[n++] = as_cut(&l->places[i]);
    return n;
}

static layout *workspace(mu_graph *g)
{
    if (g->layout == NULL) {
        layout *l = mu_alloc(g->arena, sizeof *l);
        l->g = g;
        l->budget = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *l->budget);
        l->entry = mu_alloc(g->arena, ((size_t)g->nodes_n + 1) * sizeof *l->entry);
        for (uint32_t v = 0; v < g->nodes_n; v++)
            l->budget[v] = MU_GRAPH_UNKNOWN;
        g->layout = l;
    }
    return g->layout;
}

unsigned mu_graph_changes(mu_graph *g, uint32_t node, uint64_t *work, mu_graph_cut ret[MU_GRAPH_CUTS_MOST])
{
    const int64_t target = g->nodes[node].target, excess = mu_graph_solve(g)[node].least - target;
    layout *l = workspace(g);
    unsigned n = 0;

    if (target == MU_GRAPH_UNKNOWN || excess <= 0)
        return 0;
    l->work = work;
    l->order_n = l->queue_n = l->places_n = l->arcs_n = 0;
    if (survey(l, node, target) && lay_places(l)) {
        place *all;
        lay_arcs(l);
        l->places[l->places_n] = (place){ .length = 0 };
        if ((all = on_all_ways(l, excess)) != NULL) {
            all->now -= excess;
            ret[0] = as_cut(all);
            n = 1;
        } else {
            n = cut_down(l, target, ret);
        }
    }
    for (uint32_t k = 0; k < l->order_n; k++)
        l->budget[l->order[k]] = MU_GRAPH_UNKNOWN;
    for (uint32_t k = 0; k < l->queue_n; k++)
        l->budget[l->queue[k]] = MU_GRAPH_UNKNOWN;
    return n;
}
