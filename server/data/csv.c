#include "csv.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "str.h"

enum { COLUMNS_MAX = 200 };

typedef struct {
    mu_arena *arena;
    mu_problem *problem;
    const char *at, *end;
    char separator;
    unsigned line;          /* of `at` */
    const char *cells[COLUMNS_MAX];
    unsigned n;             /* cells of the row just read */
    unsigned row_line;      /* where that row began */
} reader;

static mu_err refuse(const reader *r, const char *key, unsigned line, const char *name)
{
    char number[16];
    snprintf(number, sizeof number, "%u", line);
    return mu_fail(r->problem, MU_INVALID, "", key, "line", number, "name", name, NULL);
}

/* The one of , ; TAB that the first line has most of, outside quotes. */
static char separator_of(const char *at, const char *end)
{
    unsigned comma = 0, semicolon = 0, tab = 0;
    bool quoted = false;
    for (; at < end && (quoted || (*at != '\n' && *at != '\r')); at++) {
        if (*at == '"')
            quoted = !quoted;
        else if (!quoted) {
            comma += *at == ',';
            semicolon += *at == ';';
            tab += *at == '\t';
        }
    }
    if (semicolon > comma && semicolon >= tab)
        return ';';
    return tab > comma ? '\t' : ',';
}

/* Reads one cell; `at` is left on what follows it. */
static mu_err read_cell(reader *r, const char **ret)
{
    if (r->at < r->end && *r->at == '"') {
        unsigned opened = r->line;
        const char *from = ++r->at;
        size_t quotes = 0;
        for (;; r->at++) {
            if (r->at >= r->end)
                return refuse(r, "error.csv.quote", opened, "");
            if (*r->at == '\n')
                r->line++;
            if (*r->at != '"')
                continue;
            if (r->at + 1 >= r->end || r->at[1] != '"')
                break;
            r->at++;
            quotes++;
        }
        char *cell = mu_alloc(r->arena, (size_t)(r->at - from) - quotes + 1), *to = cell;
        for (const char *c = from; c < r->at; c++) {
            *to++ = *c;
            if (*c == '"')
                c++;
        }
        r->at++;
        if (r->at < r->end && *r->at != r->separator && *r->at != '\n' && *r->at != '\r')
            return refuse(r, "error.csv.quote", r->line, "");
        *ret = cell;
        return MU_OK;
    }
    const char *from = r->at;
    while (r->at < r->end && *r->at != r->separator && *r->at != '\n' && *r->at != '\r') {
        if (*r->at == '"')
            return refuse(r, "error.csv.quote", r->line, "");
        r->at++;
    }
    *ret = mu_strndup(r->arena, from, (size_t)(r->at - from));
    return MU_OK;
}

static mu_err read_row(reader *r)
{
    r->n = 0;
    r->row_line = r->line;
    for (;;) {
        const char *cell = "";
        TRY(read_cell(r, &cell));
        if (r->n == COLUMNS_MAX)
            return refuse(r, "error.csv.columns", r->row_line, "200");
        r->cells[r->n++] = cell;
        if (r->at >= r->end || *r->at != r->separator)
            break;
        r->at++;
    }
    if (r->at < r->end && *r->at == '\r')
        r->at++;
    if (r->at < r->end && *r->at == '\n')
        r->at++;
    r->line++;
    return MU_OK;
}

static char *trim(mu_arena *arena, const char *text)
{
    size_t n = strlen(text);
    while (n > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        n--;
    }
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    return mu_strndup(arena, text, n);
}

static mu_err read_columns(reader *r, json_t *columns, const char **names)
{
    TRY(read_row(r));
    for (unsigned i = 0; i < r->n; i++) {
        names[i] = trim(r->arena, r->cells[i]);
        if (*names[i] == '\0' || strcmp(names[i], "_line") == 0)
            return refuse(r, "error.csv.column", r->row_line, names[i]);
        for (unsigned j = 0; j < i; j++)
            if (strcmp(names[i], names[j]) == 0)
                return refuse(r, "error.csv.doubled", r->row_line, names[i]);
        json_array_append_new(columns, json_string(names[i]));
    }
    return MU_OK;
}

static json_t *row_object(const reader *r, const char *const *names)
{
    json_t *row = json_object();
    json_object_set_new(row, "_line", json_integer(r->row_line));
    for (unsigned i = 0; i < r->n; i++)
        if (*r->cells[i] != '\0')
            json_object_set_new(row, names[i], json_string(r->cells[i]));
    return row;
}

mu_err mu_csv_parse(mu_arena *arena, const char *text, size_t n, mu_problem *problem, json_t **ret_columns, json_t **ret_rows)
{
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        n -= 3;
    }
    reader r = { .arena = arena, .problem = problem, .at = text, .end = text + n, .line = 1 };
    if (n == 0)
        return refuse(&r, "error.csv.empty", 1, "");
    if (!mu_utf8_valid(text, n))
        return refuse(&r, "error.csv.utf8", 1, "");
    r.separator = separator_of(text, r.end);
    json_t *columns = mu_json_own(arena, json_array()), *rows = mu_json_own(arena, json_array());
    const char *names[COLUMNS_MAX];
    TRY(read_columns(&r, columns, names));
    unsigned width = r.n;
    mu_err first = MU_OK;
    while (r.at < r.end) {
        mu_mark mark = mu_arena_mark(arena);
        TRY(read_row(&r));
        bool blank = r.n == 1 && *r.cells[0] == '\0';
        if (!blank && r.n != width) { /* read on: every wrong row is told */
            char number[16];
            snprintf(number, sizeof number, "%u", r.n);
            first = refuse(&r, "error.csv.width", r.row_line, number);
            if (problem->count >= MU_FAULTS_MAX)
                return first;
            continue;
        }
        if (!blank)
            json_array_append_new(rows, row_object(&r, names));
        mu_arena_reset(arena, mark); /* the row's texts are copied */
        if (json_array_size(rows) > MU_CSV_ROWS_MAX)
            return refuse(&r, "error.csv.rows", r.row_line, "100000");
    }
    if (first != MU_OK)
        return first;
    *ret_columns = columns;
    *ret_rows = rows;
    return MU_OK;
}

bool mu_csv_cell(mu_buf *out, const char *text)
{
    bool formula = *text != '\0' && strchr("=+-@\t\r", *text) != NULL;
    bool quoted = strpbrk(text, ",;\"\r\n\t") != NULL;
    if (!quoted)
        return (!formula || mu_buf_addc(out, '\'')) && mu_buf_adds(out, text);
    if (!mu_buf_addc(out, '"') || (formula && !mu_buf_addc(out, '\'')))
        return false;
    for (; *text != '\0'; text++)
        if ((*text == '"' && !mu_buf_addc(out, '"')) || !mu_buf_addc(out, *text))
            return false;
    return mu_buf_addc(out, '"');
}
