/* JSON text in and out, with the limits of the interface. Trees are Jansson's json_t. */
#ifndef MU_JSON_H
#define MU_JSON_H

#include <jansson.h>
#include "base.h"
#include "buf.h"

/* Parses a body: UTF-8, no BOM, no duplicate key, depth <= 32, integers within 2^53. On failure a fault with the line and
 * column is recorded (MU_MALFORMED). The tree is released with the arena. */
mu_err mu_json_parse(mu_arena *arena, const char *text, size_t n, mu_problem *problem, json_t **ret);

/* Gives the tree's reference to the arena and returns it: json = mu_json_own(arena, json_object()). */
json_t *mu_json_own(mu_arena *arena, json_t *json);

/* RFC 8785 canonical form (keys by UTF-16 code units, ECMAScript numbers). Depth beyond 64 or a non-finite number: false. */
bool mu_json_canonical(const json_t *json, mu_buf *out);
/* Compact text in the order of the tree, depth <= 64 (NULL beyond it); owner: the arena. */
char *mu_json_text(mu_arena *arena, const json_t *json);

/* A finite number in its shortest ECMAScript form. */
void mu_json_real(double value, char ret[32]);

/* Readers that never fail: NULL / fallback when the member is missing or of another type. Borrowed. */
const char *mu_json_str(const json_t *object, const char *key);           /* NULL when absent */
int64_t     mu_json_int(const json_t *object, const char *key, int64_t fallback);
bool        mu_json_bool(const json_t *object, const char *key, bool fallback);
const json_t *mu_json_at(const json_t *object, const char *dotted_path);  /* "a.b.c" */

/* JSON Pointer (RFC 6901) of a member or an item below `base`; ~ and / of the name are escaped. Owner: the arena. */
char *mu_pointer(mu_arena *arena, const char *base, const char *member);
char *mu_pointer_at(mu_arena *arena, const char *base, size_t index);

#endif
