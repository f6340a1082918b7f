/* CSV in (RFC 4180; BOM, CRLF or LF, quotes; comma, semicolon or tab) and out (with BOM, formula cells neutralised). */
#ifndef MU_CSV_H
#define MU_CSV_H

#include <jansson.h>
#include "base.h"
#include "buf.h"

#define MU_CSV_ROWS_MAX 100000

/* The first line names the columns. *ret: array of objects column -> text (empty cells left out), each with "_line" (int).
 * Bad UTF-8, an unclosed quote, a row of another width, a doubled or empty column name: faults with the line (MU_INVALID;
 * error.csv.quote, .columns, .column, .doubled, .width, .rows, .empty, .utf8 with {line} and {name}). Blank lines are skipped. */
mu_err mu_csv_parse(mu_arena *arena, const char *text, size_t n, mu_problem *problem, json_t **ret_columns, json_t **ret_rows);
bool mu_csv_cell(mu_buf *out, const char *text);   /* quoted when needed; a leading = + - @ TAB CR gets an apostrophe */

#endif
