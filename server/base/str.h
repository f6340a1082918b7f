/* Text: slices, UTF-8, numbers, identifiers, times. Pure functions; nothing here knows a locale. */
#ifndef MU_STR_H
#define MU_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "arena.h"

typedef struct { const char *at; size_t n; } mu_slice;

bool mu_same(const char *a, const char *b);                     /* NULL equals only NULL */
bool mu_starts(const char *text, const char *prefix);
bool mu_utf8_valid(const char *text, size_t n);                 /* RFC 3629; NUL is refused */
size_t mu_utf8_count(const char *text, size_t n);               /* code points of valid UTF-8 */
size_t mu_utf8_cut(const char *text, size_t n, size_t max);     /* longest prefix of <= max bytes that splits no character */
bool mu_has_control(const char *text, size_t n, bool multiline);/* C0, DEL, bidi overrides; TAB and LF pass when multiline */

bool mu_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret); /* whole text, decimal, optional minus */
bool mu_is_uuid(const char *text);
bool mu_is_slug(const char *text);                              /* [a-z][a-z0-9_-]{0,63} */
bool mu_is_ref(const char *text);                               /* INC-2026-0042, DRL-2026-0007: [A-Z]{2,4}-[0-9]{4}-[0-9]{4,6} */
bool mu_is_email(const char *text);                             /* one ASCII mailbox, no CR LF NUL, no comment, <= 254 */

/* Percent-decoding of one path segment or form value into the arena. False: bad escape, %00, invalid UTF-8,
 * and for a path %2f or a dot segment. '+' becomes a space when `form`. ret_n may be NULL. */
bool mu_url_decode(mu_arena *arena, mu_slice in, bool form, char **ret, size_t *ret_n);
char *mu_url_encode(mu_arena *arena, const char *text);         /* for a path segment or query value */

char *mu_base64(mu_arena *arena, const void *bytes, size_t n);      /* RFC 4648, padded */
char *mu_base64url(mu_arena *arena, const void *bytes, size_t n);   /* no padding */
bool  mu_unbase64(mu_arena *arena, const char *text, void **ret, size_t *ret_n); /* either alphabet, strict */
char *mu_hex(mu_arena *arena, const void *bytes, size_t n);         /* lower case */
bool  mu_unhex(mu_arena *arena, const char *text, void **ret, size_t *ret_n);

#endif
