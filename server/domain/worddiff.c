#include "worddiff.h"

#include <string.h>

#include "arena.h"
#include "buf.h"
#include "json.h"

#define CHANGES_MAX 1000 /* memory of the search grows with its square: 4 MB */

typedef struct { const char *at; size_t n; } word;
typedef struct { word *list; int n; } words;
typedef enum { KEEP, ADD, REMOVE } change;

static bool
is_letter(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool
is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Latin letters with marks are two bytes that begin with C3 to C9; everything longer stands alone. */
static bool
is_word_part(const unsigned char *p)
{
    return is_letter(*p) || (*p >= 0xC3 && *p <= 0xC9);
}

static size_t
sign(const unsigned char *p)
{
    size_t n = 1;

    while ((p[n] & 0xC0) == 0x80)
        n++;
    return n;
}

static size_t
word_length(const unsigned char *p)
{
    size_t n = 0;

    if (is_space(*p)) {
        while (is_space(p[n]))
            n++;
    } else if (is_word_part(p)) {
        while (p[n] != '\0' && is_word_part(p + n))
            n += sign(p + n);
    } else {
        n = sign(p);
    }
    return n;
}

static words
split(mu_arena *arena, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;
    words w = { .list = mu_alloc(arena, sizeof(word) * (strlen(text) + 1)), .n = 0 };

    while (*p != '\0') {
        const size_t n = word_length(p);
        w.list[w.n++] = (word){ (const char *)p, n };
        p += n;
    }
    return w;
}

static bool
same(const word *a, const word *b)
{
    return a->n == b->n && memcmp(a->at, b->at, a->n) == 0;
}

/* Puts a piece behind the others; pieces of one kind become one. */
static void
put(json_t *out, change what, const char *at, size_t n, mu_buf *run, change *current)
{
    if (run->n > 0 && (what != *current || at == NULL)) {
        json_t *piece = json_pack("{s:s%}", "text", run->at, run->n);
        if (*current != KEEP)
            json_object_set_new(piece, *current == ADD ? "added" : "removed", json_true());
        json_array_append_new(out, piece);
        run->n = 0;
    }
    *current = what;
    if (at != NULL)
        (void)mu_buf_add(run, at, n);
}

/* Myers: furthest x on each diagonal k after d changes; the rows are kept for the way back. Gives d, or -1 beyond the bound. */
static int
search(mu_arena *scratch, const words *a, const words *b, int **rows)
{
    const int most = a->n + b->n < CHANGES_MAX ? a->n + b->n : CHANGES_MAX;

    for (int d = 0; d <= most; d++) {
        int *row = mu_alloc(scratch, sizeof(int) * (size_t)(2 * d + 1));
        rows[d] = row;
        for (int k = -d; k <= d; k += 2) {
            int x = 0;
            if (d > 0) {
                const int *last = rows[d - 1] + (d - 1);
                const bool down = k == -d || (k != d && last[k - 1] < last[k + 1]);
                x = down ? last[k + 1] : last[k - 1] + 1;
            }
            while (x < a->n && x - k < b->n && same(&a->list[x], &b->list[x - k]))
                x++;
            row[d + k] = x;
            if (x >= a->n && x - k >= b->n)
                return d;
        }
    }
    return -1;
}

/* The way back from the end, written from the back into `way`; gives where it begins. */
static int
trace(const words *a, const words *b, int *const *rows, int d, change *way)
{
    int x = a->n, y = b->n, at = a->n + b->n;

    for (; d > 0; d--) {
        const int *last = rows[d - 1] + (d - 1);
        const int k = x - y;
        const bool down = k == -d || (k != d && last[k - 1] < last[k + 1]);
        const int before = down ? last[k + 1] : last[k - 1], before_y = before - (down ? k + 1 : k - 1);
        while (x > (down ? before : before + 1) && y > (down ? before_y + 1 : before_y)) {
            way[--at] = KEEP;
            x--;
            y--;
        }
        way[--at] = down ? ADD : REMOVE;
        x = before;
        y = before_y;
    }
    for (; x > 0; x--)
        way[--at] = KEEP;
    return at;
}

/* The changes of the middle, without what both begin and end with. Removed words come before added ones where both stand together. */
static void
middle(mu_arena *scratch, const words *a, const words *b, json_t *out, mu_buf *run, change *current)
{
    int **rows = mu_alloc(scratch, sizeof(int *) * (CHANGES_MAX + 1));
    change *way = mu_alloc(scratch, sizeof(change) * (size_t)(a->n + b->n + 1));
    const int d = search(scratch, a, b, rows), n = a->n + b->n;
    int at = d >= 0 ? trace(a, b, rows, d, way) : n, x = 0, y = 0;

    while (at < n) {
        if (way[at] == KEEP) {
            put(out, KEEP, a->list[x].at, a->list[x].n, run, current);
            x++, y++, at++;
            continue;
        }
        int end = at;
        while (end < n && way[end] != KEEP)
            end++;
        for (int i = at; i < end; i++)
            if (way[i] == REMOVE)
                put(out, REMOVE, a->list[x].at, a->list[x].n, run, current), x++;
        for (int i = at; i < end; i++)
            if (way[i] == ADD)
                put(out, ADD, b->list[y].at, b->list[y].n, run, current), y++;
        at = end;
    }
    for (; x < a->n; x++)
        put(out, REMOVE, a->list[x].at, a->list[x].n, run, current);
    for (; y < b->n; y++)
        put(out, ADD, b->list[y].at, b->list[y].n, run, current);
}

json_t *
mu_worddiff(mu_arena *arena, const char *older, const char *newer)
{
    mu_arena *scratch MU_CLEAN(mu_arena_freep) = mu_arena_new(64u << 20);
    MU_BUF_AUTO(run, 64u << 20);
    json_t *out = mu_json_own(arena, json_array());
    words a = split(scratch, older), b = split(scratch, newer);
    change current = KEEP;
    int head = 0, tail = 0;

    while (head < a.n && head < b.n && same(&a.list[head], &b.list[head]))
        head++;
    while (tail < a.n - head && tail < b.n - head && same(&a.list[a.n - 1 - tail], &b.list[b.n - 1 - tail]))
        tail++;
    for (int i = 0; i < head; i++)
        put(out, KEEP, a.list[i].at, a.list[i].n, &run, &current);
    middle(scratch, &(words){ a.list + head, a.n - head - tail }, &(words){ b.list + head, b.n - head - tail }, out, &run, &current);
    for (int i = a.n - tail; i < a.n; i++)
        put(out, KEEP, a.list[i].at, a.list[i].n, &run, &current);
    put(out, KEEP, NULL, 0, &run, &current);
    return out;
}
