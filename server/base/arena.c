/* A list of chunks, newest first. An allocation never moves, so a mark is a chunk and how much of it was used. */
#include "arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MU_ARENA_MALLOC
#define MU_ARENA_MALLOC 0
#endif

enum { ALIGN = 16, FIRST_CHUNK = 16 * 1024, LARGEST_CHUNK = 256 * 1024 };

typedef struct chunk {
    struct chunk *older;
    size_t size, used;
    size_t unused; /* keeps the bytes behind the header aligned to 16 */
} chunk;

_Static_assert(sizeof(chunk) % ALIGN == 0, "bytes behind the header must stay aligned");

typedef struct defer {
    struct defer *older;
    void (*fn)(void *);
    void *object;
} defer;

struct mu_arena {
    chunk   *newest;
    defer   *defers;
    jmp_buf *target;
    size_t   limit, total, next_chunk;
};

static void *must(void *memory)
{
    if (memory == NULL) {
        fputs("<2>out of memory\n", stderr);
        abort();
    }
    return memory;
}

mu_arena *mu_arena_new(size_t limit)
{
    mu_arena *arena = must(calloc(1, sizeof *arena));
    arena->limit = limit > 0 ? limit : (size_t)8 * 1024 * 1024;
    if (arena->limit < ALIGN)
        arena->limit = ALIGN;
    arena->next_chunk = FIRST_CHUNK;
    return arena;
}

static void run_defers(mu_arena *arena, const defer *until)
{
    while (arena->defers != NULL && arena->defers != until) {
        defer *first = arena->defers;
        arena->defers = first->older;
        first->fn(first->object);
    }
}

static void drop_chunks(mu_arena *arena, const chunk *until)
{
    while (arena->newest != NULL && arena->newest != until) {
        chunk *first = arena->newest;
        arena->newest = first->older;
        free(first);
    }
}

void mu_arena_free(mu_arena *arena)
{
    if (arena == NULL)
        return;
    run_defers(arena, NULL);
    drop_chunks(arena, NULL);
    free(arena);
}

void mu_arena_freep(mu_arena **arena)
{
    mu_arena_free(*arena);
    *arena = NULL;
}

void mu_arena_overflow(mu_arena *arena, jmp_buf *target)
{
    arena->target = target;
}

static void add_chunk(mu_arena *arena, size_t n)
{
    size_t size = n;
    if (!MU_ARENA_MALLOC) {
        size = arena->next_chunk > n ? arena->next_chunk : n;
        if (arena->next_chunk < LARGEST_CHUNK)
            arena->next_chunk *= 2;
    }
    chunk *fresh = must(malloc(sizeof(chunk) + size));
    fresh->older = arena->newest;
    fresh->size = size;
    fresh->used = 0;
    fresh->unused = 0;
    arena->newest = fresh;
}

/* With one malloc per allocation a sanitizer sees every byte written behind the end, so sizes stay as asked. */
static size_t whole_size(size_t n)
{
    if (n == 0)
        n = 1;
    return MU_ARENA_MALLOC ? n : (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

static void *take(mu_arena *arena, size_t n)
{
    size_t whole = whole_size(n);
    chunk *at = arena->newest;
    if (MU_ARENA_MALLOC || at == NULL || at->size - at->used < whole) {
        add_chunk(arena, whole);
        at = arena->newest;
    }
    void *memory = (char *)(at + 1) + at->used;
    at->used += whole;
    arena->total += whole;
    memset(memory, 0, whole);
    return memory;
}

void *mu_alloc(mu_arena *arena, size_t n)
{
    if (n > arena->limit - ALIGN || arena->total > arena->limit || whole_size(n) > arena->limit - arena->total) {
        if (arena->target != NULL)
            longjmp(*arena->target, 1);
        fprintf(stderr, "<2>arena limit of %zu bytes passed\n", arena->limit);
        abort();
    }
    return take(arena, n);
}

char *mu_strndup(mu_arena *arena, const char *s, size_t n)
{
    char *copy = mu_alloc(arena, n + 1);
    if (n > 0)
        memcpy(copy, s, n);
    return copy;
}

char *mu_strdup(mu_arena *arena, const char *s)
{
    return mu_strndup(arena, s, strlen(s));
}

char *mu_vprintf(mu_arena *arena, const char *format, va_list args)
{
    char small[256];
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(small, sizeof small, format, args);
    if (n < 0) { /* only an impossible width or an encoding error of %ls, neither of which we use */
        va_end(again);
        return mu_strndup(arena, "", 0);
    }
    char *text;
    if ((size_t)n < sizeof small) {
        text = mu_strndup(arena, small, (size_t)n);
    } else {
        text = mu_alloc(arena, (size_t)n + 1);
        if (vsnprintf(text, (size_t)n + 1, format, again) != n)
            abort();
    }
    va_end(again);
    return text;
}

char *mu_printf(mu_arena *arena, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = mu_vprintf(arena, format, args);
    va_end(args);
    return text;
}

/* Not bound by the limit: the object exists already, and leaving here would leak it. */
void mu_defer(mu_arena *arena, void (*fn)(void *), void *object)
{
    defer *entry = take(arena, sizeof *entry);
    entry->older = arena->defers;
    entry->fn = fn;
    entry->object = object;
    arena->defers = entry;
}

mu_mark mu_arena_mark(mu_arena *arena)
{
    return (mu_mark){ .chunk = arena->newest, .used = arena->newest != NULL ? arena->newest->used : 0,
                      .defers = arena->defers, .total = arena->total };
}

void mu_arena_reset(mu_arena *arena, mu_mark mark)
{
    run_defers(arena, mark.defers);
    drop_chunks(arena, mark.chunk);
    if (arena->newest != NULL)
        arena->newest->used = mark.used;
    arena->total = mark.total;
}

size_t mu_arena_used(const mu_arena *arena)
{
    return arena->total;
}
