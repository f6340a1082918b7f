/* (Not called yaml.h, which is the name of the header of libyaml.)
 * YAML 1.2 core schema, strict subset (format muster/1, section 2): no anchors, aliases, tags, merge keys or duplicate keys;
 * true and false are the only booleans; one document, at most 1 MiB, depth 24, 100,000 values. libyaml's events, our own scalar resolution. */
#ifndef MU_YAML_H
#define MU_YAML_H

#include <jansson.h>
#include "base.h"

/* Line and column (from 1) of a node, found by its JSON Pointer. A value that begins on a later line than its key has the
 * place of the key. */
typedef struct mu_marks mu_marks;
typedef struct { unsigned line, column; } mu_position;

/* Faults (MU_INVALID) carry line, column and name: error.yaml.syntax (name is libyaml's English remark), .large, .text, .tag,
 * .anchor, .merge, .duplicate, .key, .depth, .documents, .number, .empty. Tree and marks live in the arena; ret_marks may be NULL. */
mu_err mu_yaml_parse(mu_arena *arena, const char *text, size_t n, mu_problem *problem, json_t **ret, mu_marks **ret_marks);
/* Does it have comments? They are lost when the text is written anew. A text that cannot be scanned to its end: as far as it was. */
bool mu_yaml_has_comments(const char *text, size_t n);
mu_position mu_marks_find(const mu_marks *marks, const char *pointer);   /* {0,0} when unknown or marks is NULL */

#endif
