/* YAML text of a document, for people: the counterpart of mu_yaml_parse(), which reads it back to an equal tree. */
#ifndef MU_YAML_WRITE_H
#define MU_YAML_WRITE_H

#include <jansson.h>
#include "base.h"
#include "buf.h"

/* Where a format puts its keys. `order`: names in the order they are written, whatever order the tree has; names that are not in it
 * keep the tree's order and come last. `maps`: names of members whose own keys are chosen by the author: those keep their order.
 * Both end with NULL; either may be NULL. */
typedef struct { const char *const *order, *const *maps; } mu_yaml_style;

/* Short maps and lists of scalars stand on one line, everything else in block form, two spaces deep. Words that an older reader
 * takes for a boolean, a time or an octal number are quoted. False, and `out` is not to be used: deeper than 24, a key over
 * 256 bytes, more than the buffer may hold, or a number JSON cannot carry. */
bool mu_yaml_write(mu_arena *arena, const json_t *json, const mu_yaml_style *style, mu_buf *out);

#endif
