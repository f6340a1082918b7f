/* Times up and targets down the graph of dependencies: cases by hand, and thousands of small random graphs, cycles and groups among
 * them, against an oracle that knows no order and no heap: it asks every node again until nothing changes. MU_SEED repeats a series. */
#include <stdio.h>
#include <time.h>

#include "test_help.h"

#include "graph.h"

#define U MU_GRAPH_UNKNOWN
#define N MU_GRAPH_NONE
#define NODES 12
#define EDGES 30

typedef struct {
    mu_graph_node nodes[NODES];
    mu_graph_edge edges[EDGES];
    mu_graph_group groups[NODES];
    uint32_t nodes_n, edges_n, groups_n;
} picture;

static bool
serial(const picture *p, const mu_graph_edge *e)
{
    return e->group == N ? e->serial : p->groups[e->group].serial;
}

/* ---- the oracle ---- */

typedef struct { bool optimistic, left_out[EDGES], *hit; uint32_t failed; int64_t down; } rules;

static int
by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* When the consumer has what it needs of an edge, as far as is known of the providers. */
static int64_t
comes(const picture *p, const rules *r, const int64_t *back, uint32_t e)
{
    const mu_graph_edge *edge = &p->edges[e];

    if (r->left_out[e] || (r->hit != NULL && !r->hit[edge->provider]))
        return 0;
    if (back[edge->provider] == U || (edge->lead == U && !r->optimistic))
        return U;
    return back[edge->provider] + (edge->lead == U ? 0 : edge->lead);
}

static int64_t
asked(const picture *p, const rules *r, const int64_t *back, uint32_t v)
{
    int64_t before = 0, beside = 0, own = p->nodes[v].own;
    bool done[NODES] = { false }, waited = false;

    for (uint32_t e = 0; e < p->edges_n; e++) {
        const mu_graph_edge *edge = &p->edges[e];
        int64_t at = comes(p, r, back, e);
        bool of_hit = r->hit != NULL && r->hit[edge->provider];
        if (edge->consumer != v || (edge->group != N && done[edge->group]))
            continue;
        if (edge->group != N) {
            int64_t all[EDGES];
            uint32_t n = 0, need = p->groups[edge->group].need;
            done[edge->group] = true;
            for (uint32_t k = 0; k < p->edges_n; k++)
                if (p->edges[k].group == edge->group)
                    all[n++] = comes(p, r, back, k);
            if (need > n && r->optimistic)
                need = n;
            qsort(all, n, sizeof *all, by_size);
            at = need > n ? U : all[need - 1];
            uint32_t well = 0;
            for (uint32_t k = 0; k < p->edges_n; k++)
                well += r->hit != NULL && p->edges[k].group == edge->group && !r->hit[p->edges[k].provider];
            of_hit = r->hit != NULL && well < need;
        }
        if (at == U)
            return U;
        if (serial(p, edge)) {
            before = at > before ? at : before;
            waited = waited || of_hit;
        } else {
            beside = at > beside ? at : beside;
        }
    }
    if (r->hit != NULL && !waited)
        own = 0;
    if (own == U && !r->optimistic)
        return U;
    own = own == U ? 0 : own;
    return beside > before + own ? beside : before + own;
}

static void
ask_all(const picture *p, const rules *r, int64_t *back)
{
    for (uint32_t v = 0; v < p->nodes_n; v++)
        back[v] = r->hit != NULL && !r->hit[v] ? 0 : r->hit != NULL && v == r->failed ? r->down : U;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t v = 0; v < p->nodes_n; v++) {
            if (back[v] != U || (r->hit != NULL && v == r->failed))
                continue;
            back[v] = asked(p, r, back, v);
            changed = changed || back[v] != U;
        }
        /* groups may have found a quicker member since */
        for (uint32_t v = 0; v < p->nodes_n; v++) {
            int64_t now;
            if (back[v] == U || (r->hit != NULL && (!r->hit[v] || v == r->failed)))
                continue;
            now = asked(p, r, back, v);
            if (now < back[v]) {
                back[v] = now;
                changed = true;
            }
        }
    }
}

/* reach[a][b]: a needs b, directly or not, over the edges let in. */
static void
reaches(const picture *p, const bool *node, const bool *edge, bool reach[NODES][NODES])
{
    memset(reach, 0, sizeof(bool[NODES][NODES]));
    for (uint32_t e = 0; e < p->edges_n; e++)
        if ((edge == NULL || edge[e]) && (node == NULL || (node[p->edges[e].consumer] && node[p->edges[e].provider])))
            reach[p->edges[e].consumer][p->edges[e].provider] = true;
    for (uint32_t k = 0; k < p->nodes_n; k++)
        for (uint32_t a = 0; a < p->nodes_n; a++)
            for (uint32_t b = 0; b < p->nodes_n; b++)
                reach[a][b] = reach[a][b] || (reach[a][k] && reach[k][b]);
}

static void
oracle_least(const picture *p, rules *r, int64_t *back)
{
    bool stuck[NODES], reach[NODES][NODES];

    r->optimistic = true;
    ask_all(p, r, back);
    for (uint32_t v = 0; v < p->nodes_n; v++)
        stuck[v] = back[v] == U;
    reaches(p, stuck, NULL, reach);
    for (uint32_t e = 0; e < p->edges_n; e++)
        r->left_out[e] = reach[p->edges[e].consumer][p->edges[e].provider] && reach[p->edges[e].provider][p->edges[e].consumer];
    ask_all(p, r, back);
}

/* ---- random pictures ---- */

static picture
draw(uint64_t *seed, bool with_groups, bool with_cycles)
{
    picture p = { .nodes_n = 1 + (uint32_t)(next_random(seed) % NODES) };
    const uint32_t wanted = (uint32_t)(next_random(seed) % (EDGES + 1));

    for (uint32_t v = 0; v < p.nodes_n; v++)
        p.nodes[v] = (mu_graph_node){ .own = next_random(seed) % 5 == 0 ? U : (int64_t)(next_random(seed) % 20),
            .target = next_random(seed) % 4 == 0 ? U : (int64_t)(next_random(seed) % 50), .whole = U };
    for (uint32_t i = 0; i < wanted && p.nodes_n > 1; i++) {
        mu_graph_edge e = { .consumer = (uint32_t)(next_random(seed) % p.nodes_n), .provider = (uint32_t)(next_random(seed) % p.nodes_n), .group = N,
            .lead = next_random(seed) % 8 == 0 ? U : (int64_t)(next_random(seed) % 6), .serial = next_random(seed) % 2 == 0 };
        if (e.consumer == e.provider || (!with_cycles && e.consumer > e.provider))
            continue;
        if (with_groups && next_random(seed) % 3 == 0) {   /* one group for each consumer is enough to be difficult */
            for (e.group = 0; e.group < p.groups_n; e.group++) {
                uint32_t k = 0;
                while (k < p.edges_n && p.edges[k].group != e.group)
                    k++;
                if (p.edges[k].consumer == e.consumer)
                    break;
            }
            if (e.group == p.groups_n)
                p.groups[p.groups_n++] = (mu_graph_group){ .need = 1 + (uint32_t)(next_random(seed) % 3), .serial = next_random(seed) % 2 == 0 };
        }
        p.edges[p.edges_n++] = e;
    }
    return p;
}

static mu_graph *
graph_of(void *arena, const picture *p)
{
    mu_graph *g = mu_graph_make(arena, p->nodes, p->nodes_n, p->edges, p->edges_n, p->groups, p->groups_n);

    assert_non_null(g);
    return g;
}

static void
show(const picture *p)
{
    for (uint32_t v = 0; v < p->nodes_n; v++)
        fprintf(stderr, "node %u own %lld target %lld\n", v, p->nodes[v].own == U ? -1LL : (long long)p->nodes[v].own, p->nodes[v].target == U ? -1LL : (long long)p->nodes[v].target);
    for (uint32_t e = 0; e < p->edges_n; e++)
        fprintf(stderr, "%u -> %u %s lead %lld group %d need %u\n", p->edges[e].consumer, p->edges[e].provider, serial(p, &p->edges[e]) ? "serial" : "parallel",
            p->edges[e].lead == U ? -1LL : (long long)p->edges[e].lead, (int)p->edges[e].group, p->edges[e].group == N ? 0 : p->groups[p->edges[e].group].need);
}

#define HOLDS(p, seed, truth) do { if (!(truth)) { show(p); fail_msg("seed %llu: %s", (unsigned long long)(seed), #truth); } } while (0)

static uint64_t
first_seed(void)
{
    return getenv("MU_SEED") != NULL ? strtoull(getenv("MU_SEED"), NULL, 10) : 1;
}

static unsigned
rounds(unsigned usual)
{
    return getenv("MU_SEED") != NULL ? 1 : getenv("MUSTER_LONG") != NULL ? usual * 50 : usual;
}

/* Runs `one` on a picture for each seed. */
static void
each_seed(void **state, unsigned usual, void (*one)(void *arena, uint64_t seed))
{
    const uint64_t from = first_seed();
    const unsigned n = rounds(usual);

    for (unsigned i = 0; i < n; i++) {
        const mu_mark mark = mu_arena_mark(*state);
        one(*state, from + i);
        mu_arena_reset(*state, mark);
    }
}

static uint64_t
mixed(uint64_t seed)
{
    uint64_t s = seed * 0x9e3779b97f4a7c15u + 1;

    for (int i = 0; i < 5; i++)
        (void)next_random(&s);
    return s;
}

/* ---- properties ---- */

static void
one_roll_up(void *arena, uint64_t seed)
{
    uint64_t s = mixed(seed);
    const picture p = draw(&s, seed % 2 == 0, seed % 4 < 3);
    const mu_graph_time *t = mu_graph_solve(graph_of(arena, &p));
    rules least_rules = { .optimistic = true }, most_rules = { .optimistic = false };
    int64_t least[NODES], most[NODES];

    oracle_least(&p, &least_rules, least);
    ask_all(&p, &most_rules, most);
    for (uint32_t v = 0; v < p.nodes_n; v++) {
        HOLDS(&p, seed, t[v].least == least[v]);
        HOLDS(&p, seed, t[v].most == most[v]);
        HOLDS(&p, seed, t[v].least <= t[v].most);
        HOLDS(&p, seed, (t[v].most == U) == (t[v].why != MU_GRAPH_KNOWN));
        /* the path adds up */
        if (t[v].via != N) {
            const mu_graph_edge *e = &p.edges[t[v].via];
            const int64_t lead = e->lead == U ? 0 : e->lead, own = p.nodes[v].own == U || !serial(&p, e) ? 0 : p.nodes[v].own;
            HOLDS(&p, seed, e->consumer == v && t[v].least == t[e->provider].least + lead + own);
        } else {
            HOLDS(&p, seed, t[v].least == (p.nodes[v].own == U ? 0 : p.nodes[v].own));
        }
        /* the reason is one: what is missing really is */
        switch (t[v].why) {
        case MU_GRAPH_NO_CLAIM: HOLDS(&p, seed, p.nodes[t[v].missing].own == U); break;
        case MU_GRAPH_NO_LEAD: HOLDS(&p, seed, most[t[v].missing] == U); break;
        case MU_GRAPH_CYCLE: HOLDS(&p, seed, most[t[v].missing] == U && p.nodes[t[v].missing].own != U); break;
        case MU_GRAPH_SHORT: HOLDS(&p, seed, most[t[v].missing] == U); break;
        case MU_GRAPH_KNOWN: break;
        }
    }
}

static void
test_roll_up(void **state)
{
    each_seed(state, 30000, one_roll_up);
}

/* More time for anything never means less time for anything. */
static void
one_monotone(void *arena, uint64_t seed)
{
    uint64_t s = mixed(seed);
    picture p = draw(&s, seed % 2 == 0, true);
    const mu_graph_time *before = mu_graph_solve(graph_of(arena, &p)), *after;
    picture more = p;
    const uint32_t v = (uint32_t)(next_random(&s) % p.nodes_n);

    if (more.nodes[v].own != U)
        more.nodes[v].own += 7;
    if (more.edges_n > 0 && more.edges[0].lead != U)
        more.edges[0].lead += 3;
    after = mu_graph_solve(graph_of(arena, &more));
    for (uint32_t k = 0; k < p.nodes_n; k++) {
        HOLDS(&p, seed, after[k].least >= before[k].least);
        HOLDS(&p, seed, after[k].most >= before[k].most);
    }
}

static void
test_monotone(void **state)
{
    each_seed(state, 10000, one_monotone);
}

/* What is needed of each node: the oracle hands targets on until nothing changes. */
static void
one_roll_down(void *arena, uint64_t seed)
{
    uint64_t s = mixed(seed);
    const picture p = draw(&s, seed % 2 == 0, seed % 4 < 3);
    const mu_graph_time *t = mu_graph_solve(graph_of(arena, &p));
    int64_t held[NODES];
    bool hard[EDGES], reach[NODES][NODES];

    for (uint32_t e = 0; e < p.edges_n; e++) {
        uint32_t members = 0;
        for (uint32_t k = 0; k < p.edges_n; k++)
            members += p.edges[k].group == p.edges[e].group;
        hard[e] = p.edges[e].group == N || p.groups[p.edges[e].group].need >= members;
    }
    reaches(&p, NULL, hard, reach);
    for (uint32_t v = 0; v < p.nodes_n; v++)
        held[v] = p.nodes[v].target;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t e = 0; e < p.edges_n; e++) {
            const mu_graph_edge *edge = &p.edges[e];
            const uint32_t a = edge->consumer, b = edge->provider;
            int64_t value = held[a];
            if (!hard[e] || value == U)
                continue;
            if (!(reach[a][b] && reach[b][a]))
                value -= (edge->lead == U ? 0 : edge->lead) + (serial(&p, edge) && p.nodes[a].own != U ? p.nodes[a].own : 0);
            if (value < held[b]) {
                held[b] = value;
                changed = true;
            }
        }
    }
    for (uint32_t v = 0; v < p.nodes_n; v++) {
        const int64_t now = t[v].implied < p.nodes[v].target ? t[v].implied : p.nodes[v].target;
        HOLDS(&p, seed, now == held[v]);
        uint32_t at = v, steps = 0;
        if (t[v].implied == U)
            continue;
        HOLDS(&p, seed, p.nodes[t[v].implied_from].target != U && t[v].implied <= p.nodes[t[v].implied_from].target);
        for (at = t[v].implied_via; at != t[v].implied_from; at = t[at].implied_via)   /* the path leads to the source and ends */
            HOLDS(&p, seed, at != N && ++steps < NODES);
    }
}

static void
test_roll_down(void **state)
{
    each_seed(state, 30000, one_roll_down);
}

static void
apply(picture *p, const mu_graph_cut *cut)
{
    if (cut->kind == MU_GRAPH_CUT_OWN) {
        assert_true(p->nodes[cut->which].own == cut->from);
        p->nodes[cut->which].own = cut->to;
    } else {
        assert_true(p->edges[cut->which].lead == cut->from);
        p->edges[cut->which].lead = cut->to;
    }
    assert_true(cut->to >= 0 && cut->to < cut->from);
}

static int64_t
least_of(void *arena, const picture *p, uint32_t v)
{
    return mu_graph_solve(graph_of(arena, p))[v].least;
}

/* Is there a single figure that would do, if it were zero? */
static bool
single_would_do(void *arena, const picture *p, uint32_t v)
{
    for (uint32_t k = 0; k < p->nodes_n + p->edges_n; k++) {
        picture less = *p;
        int64_t *figure = k < p->nodes_n ? &less.nodes[k].own : &less.edges[k - p->nodes_n].lead;
        if (*figure == U)
            continue;
        *figure = 0;
        if (least_of(arena, &less, v) <= p->nodes[v].target)
            return true;
    }
    return false;
}

static void
one_change(void *arena, uint64_t seed)
{
    uint64_t s = mixed(seed), work = 1000000;
    const picture p = draw(&s, seed % 2 == 0, seed % 4 < 3);
    mu_graph *g = graph_of(arena, &p);
    const mu_graph_time *t = mu_graph_solve(g);

    for (uint32_t v = 0; v < p.nodes_n; v++) {
        mu_graph_cut cuts[MU_GRAPH_CUTS_MOST];
        picture changed = p;
        const bool late = p.nodes[v].target != U && t[v].least > p.nodes[v].target;
        const unsigned n = mu_graph_changes(g, v, &work, cuts);
        HOLDS(&p, seed, late || n == 0);
        if (!late)
            continue;
        HOLDS(&p, seed, n > 0 || p.nodes_n + p.edges_n > MU_GRAPH_CUTS_MOST);
        for (unsigned i = 0; i < n; i++)
            apply(&changed, &cuts[i]);
        if (n > 0)
            HOLDS(&p, seed, least_of(arena, &changed, v) <= p.nodes[v].target);
        if (n == 1) {   /* exactly the excess, so a second less is not enough */
            HOLDS(&p, seed, cuts[0].from - cuts[0].to == t[v].least - p.nodes[v].target);
            if (cuts[0].kind == MU_GRAPH_CUT_OWN)
                changed.nodes[cuts[0].which].own++;
            else
                changed.edges[cuts[0].which].lead++;
            HOLDS(&p, seed, least_of(arena, &changed, v) > p.nodes[v].target);
        } else if (p.groups_n == 0) {
            HOLDS(&p, seed, !single_would_do(arena, &p, v));
        }
    }
}

static void
test_changes(void **state)
{
    each_seed(state, 10000, one_change);
}

static void
one_cycles(void *arena, uint64_t seed)
{
    uint64_t s = mixed(seed);
    const picture p = draw(&s, seed % 2 == 0, true);
    bool reach[NODES][NODES], without[NODES][NODES], seen[NODES] = { false }, in[EDGES];
    uint32_t n, found = 0;
    const mu_graph_cycle *cycles = mu_graph_cycles(graph_of(arena, &p), &n);

    reaches(&p, NULL, NULL, reach);
    for (uint32_t v = 0; v < p.nodes_n; v++) {
        const mu_graph_cycle *c = &cycles[found];
        uint32_t size = 0, left = 0;
        if (!reach[v][v] || seen[v])
            continue;
        for (uint32_t w = 0; w < p.nodes_n; w++)
            if (reach[v][w] && reach[w][v]) {
                seen[w] = true;
                size++;
            }
        HOLDS(&p, seed, found++ < n && c->nodes[0] == v && c->size == size && c->length >= 2 && c->length <= size);
        for (uint32_t i = 0; i < c->length; i++)
            HOLDS(&p, seed, p.edges[c->edges[i]].consumer == c->nodes[i] && p.edges[c->edges[i]].provider == c->nodes[(i + 1) % c->length]);
        for (uint32_t e = 0; e < p.edges_n; e++)
            in[e] = e != c->cut;
        reaches(&p, NULL, in, without);
        for (uint32_t w = 0; w < p.nodes_n; w++)
            left += reach[v][w] && reach[w][v] && without[w][w];
        HOLDS(&p, seed, c->left == left);
    }
    HOLDS(&p, seed, found == n);
}

static void
test_cycles(void **state)
{
    each_seed(state, 10000, one_cycles);
}

static void
one_blast(void *arena, uint64_t seed)
{
    uint64_t s = mixed(seed);
    const picture p = draw(&s, seed % 2 == 0, seed % 4 < 3);
    const uint32_t failed = (uint32_t)(next_random(&s) % p.nodes_n);
    const int64_t least = (int64_t)(1 + next_random(&s) % 20), most = next_random(&s) % 3 == 0 ? U : least + (int64_t)(next_random(&s) % 5);
    const mu_graph_hit *hits = mu_graph_blast(graph_of(arena, &p), failed, least, most);
    bool hit[NODES] = { false };
    rules soon = { .hit = hit, .failed = failed, .down = least }, late = { .hit = hit, .failed = failed, .down = most };
    int64_t back[NODES];

    hit[failed] = true;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t e = 0; e < p.edges_n; e++) {
            const mu_graph_edge *edge = &p.edges[e];
            uint32_t well = 0;
            if (!hit[edge->provider] || hit[edge->consumer])
                continue;
            for (uint32_t k = 0; k < p.edges_n; k++)
                well += edge->group != N && p.edges[k].group == edge->group && !hit[p.edges[k].provider];
            if (edge->group == N || well < p.groups[edge->group].need)
                changed = hit[edge->consumer] = true;
        }
    }
    for (uint32_t v = 0; v < p.nodes_n; v++)
        HOLDS(&p, seed, hits[v].hit == hit[v]);
    oracle_least(&p, &soon, back);
    for (uint32_t v = 0; v < p.nodes_n; v++)
        HOLDS(&p, seed, !hit[v] || hits[v].least == back[v]);
    ask_all(&p, &late, back);
    for (uint32_t v = 0; v < p.nodes_n; v++)
        HOLDS(&p, seed, !hit[v] || hits[v].most == back[v]);
}

static void
test_blast(void **state)
{
    each_seed(state, 20000, one_blast);
}

/* ---- by hand ---- */

/* App needs the core (serial, 5 minutes of restart) and one of two text-message providers (alongside). */
static picture
bank(void)
{
    picture p = { .nodes_n = 5, .edges_n = 4, .groups_n = 1 };

    p.nodes[0] = (mu_graph_node){ .own = 10, .target = 60, .whole = U };   /* app */
    p.nodes[1] = (mu_graph_node){ .own = 40, .target = 50, .whole = U };   /* core */
    p.nodes[2] = (mu_graph_node){ .own = 120, .target = U, .whole = U };   /* messages, dear */
    p.nodes[3] = (mu_graph_node){ .own = 30, .target = U, .whole = U };    /* messages, cheap */
    p.nodes[4] = (mu_graph_node){ .own = 20, .target = 60, .whole = U };   /* data centre */
    p.edges[0] = (mu_graph_edge){ .consumer = 0, .provider = 1, .group = N, .lead = 5, .serial = true };
    p.edges[1] = (mu_graph_edge){ .consumer = 0, .provider = 2, .group = 0, .lead = 0 };
    p.edges[2] = (mu_graph_edge){ .consumer = 0, .provider = 3, .group = 0, .lead = 0 };
    p.edges[3] = (mu_graph_edge){ .consumer = 1, .provider = 4, .group = N, .lead = 0, .serial = true };
    p.groups[0] = (mu_graph_group){ .need = 1, .serial = false };
    return p;
}

static void
test_bank(void **state)
{
    const picture p = bank();
    mu_graph *g = graph_of(*state, &p);
    const mu_graph_time *t = mu_graph_solve(g);
    mu_graph_cut cuts[MU_GRAPH_CUTS_MOST];
    uint64_t work = 1000;

    assert_true(t[1].least == 60 && t[1].most == 60);       /* 20 + 40 */
    assert_true(t[0].least == 75 && t[0].most == 75);       /* 60 + 5 + 10; the message provider is back at 30 */
    assert_true(t[0].via == 0 && t[1].via == 3 && t[4].via == N);
    assert_true(t[1].implied == 45 && t[1].implied_from == 0);   /* 60 - 5 - 10 */
    assert_true(t[4].implied == 5 && t[4].implied_from == 0 && t[4].implied_via == 1);
    assert_true(t[2].implied == U && t[3].implied == U);    /* one of the two may fail */
    assert_int_equal(mu_graph_changes(g, 0, &work, cuts), 1);
    assert_true(cuts[0].kind == MU_GRAPH_CUT_OWN && cuts[0].which == 1 && cuts[0].from == 40 && cuts[0].to == 25);
}

static void
test_unknown(void **state)
{
    picture p = bank();
    const mu_graph_time *t;

    p.nodes[4].own = U;   /* nobody says how long the data centre takes */
    t = mu_graph_solve(graph_of(*state, &p));
    assert_true(t[4].least == 0 && t[4].most == U && t[4].why == MU_GRAPH_NO_CLAIM && t[4].missing == 4);
    assert_true(t[0].least == 55 && t[0].most == U && t[0].why == MU_GRAPH_NO_CLAIM && t[0].missing == 4);   /* neither kept nor broken */
    p = bank();
    p.nodes[2].own = U;   /* that one is not needed */
    assert_true(mu_graph_solve(graph_of(*state, &p))[0].most == 75);
    p.edges[0].lead = U;
    t = mu_graph_solve(graph_of(*state, &p));
    assert_true(t[0].least == 70 && t[0].most == U && t[0].why == MU_GRAPH_NO_LEAD && t[0].missing == 0);
    p = bank();
    p.groups[0].need = 3;
    t = mu_graph_solve(graph_of(*state, &p));
    assert_true(t[0].most == U && t[0].why == MU_GRAPH_SHORT && t[0].missing == 0);
}

static void
test_cycle(void **state)
{
    picture p = bank();
    const mu_graph_time *t;
    const mu_graph_cycle *cycles;
    uint32_t n;
    mu_graph *g;

    p.edges[p.edges_n++] = (mu_graph_edge){ .consumer = 4, .provider = 0, .group = N, .lead = 1, .serial = true };
    g = graph_of(*state, &p);
    t = mu_graph_solve(g);
    assert_true(t[0].why == MU_GRAPH_CYCLE && t[0].most == U && t[0].least == 30);   /* the messages are proven, the circle is not */
    cycles = mu_graph_cycles(g, &n);
    assert_int_equal(n, 1);
    assert_true(cycles[0].length == 3 && cycles[0].size == 3 && cycles[0].left == 0);
}

static void
test_failed_core(void **state)
{
    const picture p = bank();
    const mu_graph_hit *hits = mu_graph_blast(graph_of(*state, &p), 1, 100, 100);

    assert_true(hits[0].hit && hits[0].least == 115 && hits[0].most == 115 && hits[0].via == 0);   /* 100 + 5 + 10 */
    assert_false(hits[4].hit);
    hits = mu_graph_blast(graph_of(*state, &p), 2, 100, U);
    assert_false(hits[0].hit);   /* the other provider stands in */
}

static void
test_unsound(void **state)
{
    picture p = bank();

    p.edges[0].provider = 5;
    assert_null(mu_graph_make(*state, p.nodes, p.nodes_n, p.edges, p.edges_n, p.groups, p.groups_n));
    p = bank();
    p.edges[3].group = 0;   /* a group of another consumer */
    assert_null(mu_graph_make(*state, p.nodes, p.nodes_n, p.edges, p.edges_n, p.groups, p.groups_n));
    assert_non_null(mu_graph_solve(mu_graph_make(*state, p.nodes, 0, p.edges, 0, p.groups, 0)));
}

/* ---- size ---- */

static void
measure(void *arena, const char *what, const mu_graph_node *nodes, uint32_t nodes_n, const mu_graph_edge *edges, uint32_t edges_n, bool all_named)
{
    uint64_t work = 20000000;
    struct timespec from, to;
    unsigned broken = 0, named = 0, single = 0;
    uint32_t cycles_n;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    mu_graph *g = mu_graph_make(arena, nodes, nodes_n, edges, edges_n, NULL, 0);
    const mu_graph_time *t = mu_graph_solve(g);
    (void)mu_graph_cycles(g, &cycles_n);
    for (uint32_t v = 0; v < nodes_n; v++) {
        mu_graph_cut cuts[MU_GRAPH_CUTS_MOST];
        if (t[v].least <= nodes[v].target)
            continue;
        const unsigned n = mu_graph_changes(g, v, &work, cuts);
        broken++;
        named += n > 0;
        single += n == 1;
    }
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    const double seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    print_message("%u services, %u dependencies, %s: %.3f s, %u broken, %u with changes (%u with one), %u cycles\n", nodes_n, edges_n, what, seconds, broken, named, single, cycles_n);
    assert_true(seconds < 2.0);
    assert_true(!all_named || (broken > 100 && named > broken * 8 / 10));
}

static void
large(void *arena, uint64_t seed, uint32_t nodes_n, uint32_t edges_n, unsigned back_edges_percent)
{
    mu_graph_node *nodes = mu_alloc(arena, nodes_n * sizeof *nodes);
    mu_graph_edge *edges = mu_alloc(arena, edges_n * sizeof *edges);
    uint64_t s = mixed(seed);

    for (uint32_t v = 0; v < nodes_n; v++)
        nodes[v] = (mu_graph_node){ .own = next_random(&s) % 20 == 0 ? U : (int64_t)(next_random(&s) % 3600), .target = (int64_t)(3600 + next_random(&s) % 14400), .whole = U };
    for (uint32_t e = 0; e < edges_n; e++) {
        uint32_t a = (uint32_t)(next_random(&s) % nodes_n), b = (uint32_t)(next_random(&s) % nodes_n);
        if (a == b)
            b = (b + 1) % nodes_n;
        if ((a > b) != (next_random(&s) % 1000 < back_edges_percent * 10)) {
            const uint32_t c = a;
            a = b;
            b = c;
        }
        edges[e] = (mu_graph_edge){ .consumer = a, .provider = b, .group = N, .lead = (int64_t)(next_random(&s) % 300), .serial = next_random(&s) % 2 == 0 };
    }
    measure(arena, mu_printf(arena, "%u%% against the order", back_edges_percent), nodes, nodes_n, edges, edges_n, false);
}

/* As a bank has them: business services on apps on systems on sites, six storeys, and a few dependencies back up. */
static void
storeys(void *arena, uint64_t seed)
{
    const uint32_t nodes_n = 10000, edges_n = 50000, floors = 6;
    mu_graph_node *nodes = mu_alloc(arena, nodes_n * sizeof *nodes);
    mu_graph_edge *edges = mu_alloc(arena, edges_n * sizeof *edges);
    uint64_t s = mixed(seed);

    for (uint32_t v = 0; v < nodes_n; v++)
        nodes[v] = (mu_graph_node){ .own = next_random(&s) % 20 == 0 ? U : next_random(&s) % 1500 == 0 ? 14400 : (int64_t)(next_random(&s) % 600), .target = (int64_t)(7200 + next_random(&s) % 7200), .whole = U };
    for (uint32_t e = 0; e < edges_n; e++) {
        const uint32_t a = (uint32_t)(next_random(&s) % (nodes_n * (floors - 1) / floors)), floor = a * floors / nodes_n;
        const uint32_t first = (floor + 1) * nodes_n / floors + 1;
        edges[e] = (mu_graph_edge){ .consumer = a, .provider = first + (uint32_t)(next_random(&s) % (nodes_n / floors - 2)), .group = N, .lead = (int64_t)(next_random(&s) % 300), .serial = next_random(&s) % 2 == 0 };
        if (next_random(&s) % 5000 == 0)
            edges[e] = (mu_graph_edge){ .consumer = edges[e].provider, .provider = a, .group = N, .lead = 60, .serial = true };
    }
    measure(arena, "six storeys", nodes, nodes_n, edges, edges_n, true);
}

static void
test_large(void **state)
{
    storeys(*state, 4);
    large(*state, 1, 10000, 50000, 0);
    large(*state, 2, 10000, 50000, 1);
    large(*state, 3, 10000, 50000, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_bank), ARENA_TEST(test_unknown), ARENA_TEST(test_cycle), ARENA_TEST(test_failed_core), ARENA_TEST(test_unsound),
        ARENA_TEST(test_roll_up), ARENA_TEST(test_monotone), ARENA_TEST(test_roll_down), ARENA_TEST(test_changes), ARENA_TEST(test_cycles), ARENA_TEST(test_blast), ARENA_TEST(test_large) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
