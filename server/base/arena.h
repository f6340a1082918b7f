/* Request arena: everything a request needs is taken from it and given back at once.
 * Drawback, said plainly: a loop that allocates keeps growing until mu_reset(); long loops take a mark first. */
#ifndef MU_ARENA_H
#define MU_ARENA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct mu_arena mu_arena;
typedef struct { void *chunk; size_t used; void *defers; size_t total; } mu_mark;

/* Makes an arena that may hold at most `limit` bytes (0 = 8 MiB). The caller frees it with mu_arena_free().
 * Real out-of-memory ends the process: a supervisor restarts it, and nothing acknowledged is lost. */
mu_arena *mu_arena_new(size_t limit);

/* Runs the defer list in reverse order and frees everything. NULL is allowed. */
void mu_arena_free(mu_arena *arena);
void mu_arena_freep(mu_arena **arena); /* for MU_CLEAN */

/* Where to go when the limit is passed; without it the process aborts. Only the loop that owns the arena sets it. */
void mu_arena_overflow(mu_arena *arena, jmp_buf *target);

/* Memory of n bytes, aligned to 16, zeroed, never NULL. Owner: the arena. */
void *mu_alloc(mu_arena *arena, size_t n) __attribute__((malloc, returns_nonnull));

/* Copies; owner: the arena. */
char *mu_strdup(mu_arena *arena, const char *s);
char *mu_strndup(mu_arena *arena, const char *s, size_t n);
char *mu_printf(mu_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *mu_vprintf(mu_arena *arena, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* Calls fn(object) when the arena is freed or reset behind this point, last one first. */
void mu_defer(mu_arena *arena, void (*fn)(void *), void *object);

/* Remembers a point, and goes back to it (used between attempts of a transaction). */
mu_mark mu_arena_mark(mu_arena *arena);
void mu_arena_reset(mu_arena *arena, mu_mark mark);

/* Bytes handed out so far. */
size_t mu_arena_used(const mu_arena *arena);

#endif
