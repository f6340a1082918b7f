/* queries: sql/queries/X.sql -> queries.h (enum mu_query_id) and queries.c (mu_query_info[]).
 * migrations: sql/migrations, sql/functions and sql/demo -> migrations.h and migrations.c, each text with its SHA-256.
 *
 * A query is "-- name: NAME(param type, ...) -> one|many|exec" and one statement, up to the next such line. Checked here
 * rather than at run time: one statement only, every parameter used, none used that has no name, no name twice. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "gen.h"

#define PARAMS_MAX 64

typedef struct {
    char *name, *result;
    char *params[PARAMS_MAX];
    char *types[PARAMS_MAX];
    int nparams, line;
    const char *file;
    char *sql;
    size_t sql_n;
} query;

static query *queries;
static size_t queries_n;

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static char *cut(const char *from, const char *to)
{
    while (from < to && isspace((unsigned char)*from))
        from++;
    while (to > from && isspace((unsigned char)to[-1]))
        to--;
    char *ret = gen_more(NULL, (size_t)(to - from) + 1);
    memcpy(ret, from, (size_t)(to - from));
    ret[to - from] = '\0';
    return ret;
}

static bool is_name(const char *text)
{
    if (!(islower((unsigned char)text[0]) || text[0] == '_'))
        return false;
    for (; *text != '\0'; text++)
        if (!(islower((unsigned char)*text) || isdigit((unsigned char)*text) || *text == '_'))
            return false;
    return true;
}

static void parse_params(query *q, const char *at, const char *close)
{
    while (at < close) {
        const char *comma = memchr(at, ',', (size_t)(close - at));
        const char *end = comma != NULL ? comma : close;
        char *both = cut(at, end);
        char *space = both;
        while (*space != '\0' && !isspace((unsigned char)*space))
            space++;
        if (*both == '\0' && q->nparams == 0 && comma == NULL)
            return;
        if (q->nparams == PARAMS_MAX)
            gen_die(q->file, q->line, "%s: more than %d parameters", q->name, PARAMS_MAX);
        if (*space == '\0')
            gen_die(q->file, q->line, "%s: parameter \"%s\" has no type", q->name, both);
        *space++ = '\0';
        if (!is_name(both))
            gen_die(q->file, q->line, "%s: \"%s\" is no parameter name", q->name, both);
        for (int i = 0; i < q->nparams; i++)
            if (strcmp(q->params[i], both) == 0)
                gen_die(q->file, q->line, "%s: parameter %s twice", q->name, both);
        q->params[q->nparams] = both;
        q->types[q->nparams++] = cut(space, space + strlen(space));
        at = end + 1;
    }
}

/* After "-- name:": NAME(params) -> result */
static void parse_header(query *q, const char *line, const char *end)
{
    const char *open = memchr(line, '(', (size_t)(end - line));
    const char *close = NULL;

    for (const char *p = line; p < end; p++)
        if (*p == ')')
            close = p;
    if (open == NULL || close == NULL || close < open)
        gen_die(q->file, q->line, "expected \"-- name: NAME(param type, ...) -> one|many|exec\"");
    q->name = cut(line, open);
    if (!is_name(q->name))
        gen_die(q->file, q->line, "\"%s\" is no query name (lower case, digits, underscore)", q->name);
    parse_params(q, open + 1, close);
    char *rest = cut(close + 1, end);
    if (strncmp(rest, "->", 2) != 0)
        gen_die(q->file, q->line, "%s: \"->\" and the kind of result are missing", q->name);
    q->result = cut(rest + 2, rest + strlen(rest));
    if (strcmp(q->result, "one") != 0 && strcmp(q->result, "many") != 0 && strcmp(q->result, "exec") != 0)
        gen_die(q->file, q->line, "%s: result \"%s\" is none of one, many, exec", q->name, q->result);
}

/* Length of the quoted thing that starts at p ('…', "…", $tag$…$tag$), or 0 when none does. */
static size_t quoted(const char *begin, const char *p, const char *end)
{
    const char *q;

    if (*p == '\'' || *p == '"') {
        const bool escapes = *p == '\'' && p > begin && (p[-1] == 'E' || p[-1] == 'e') && (p - 1 == begin || !word_char(p[-2]));
        for (q = p + 1; q < end; q++) {
            if (escapes && *q == '\\')
                q++;
            else if (*q == *p && q + 1 < end && q[1] == *p)
                q++;
            else if (*q == *p)
                return (size_t)(q + 1 - p);
        }
        return (size_t)(end - p);
    }
    if (*p != '$' || (p > begin && word_char(p[-1])))
        return 0;
    for (q = p + 1; q < end && word_char(*q); q++)
        if (q == p + 1 && isdigit((unsigned char)*q))
            return 0;
    if (q >= end || *q != '$')
        return 0;
    const size_t tag = (size_t)(q + 1 - p);
    for (q = p + tag; q + tag <= end; q++)
        if (memcmp(q, p, tag) == 0)
            return (size_t)(q + tag - p);
    return (size_t)(end - p);
}

static size_t comment(const char *p, const char *end)
{
    const char *q = p;
    int depth = 0;

    if (end - p < 2)
        return 0;
    if (p[0] == '-' && p[1] == '-') {
        while (q < end && *q != '\n')
            q++;
        return (size_t)(q - p);
    }
    if (p[0] != '/' || p[1] != '*')
        return 0;
    while (q + 1 < end) {
        if (q[0] == '/' && q[1] == '*') {
            depth++;
            q += 2;
        } else if (q[0] == '*' && q[1] == '/') {
            q += 2;
            if (--depth == 0)
                return (size_t)(q - p);
        } else {
            q++;
        }
    }
    return (size_t)(end - p);
}

static void note_parameter(query *q, const char *p, const char *end, bool *seen)
{
    int number = 0;

    for (p++; p < end && isdigit((unsigned char)*p) && number < 1000; p++)
        number = number * 10 + (*p - '0');
    if (number < 1 || number > q->nparams)
        gen_die(q->file, q->line, "%s: $%d is used, but the header names %d parameter(s)", q->name, number, q->nparams);
    seen[number - 1] = true;
}

/* Copies the statement without comments and without the closing semicolon. */
static void parse_sql(query *q, const char *p, const char *end)
{
    bool seen[PARAMS_MAX] = { false }, closed = false;
    const char *begin = p;
    gen_text out;

    gen_open(&out);
    while (p < end) {
        size_t n = comment(p, end);
        if (n > 0) {
            p += n;
            continue;
        }
        n = quoted(begin, p, end);
        if (n == 0)
            n = 1;
        if (!isspace((unsigned char)*p) && closed)
            gen_die(q->file, q->line, "%s: more than one statement", q->name);
        if (*p == ';') {
            closed = true;
        } else {
            if (*p == '$' && p + 1 < end && isdigit((unsigned char)p[1]))
                note_parameter(q, p, end, seen);
            fwrite(p, 1, n, out.file);
        }
        p += n;
    }
    gen_close(&out);
    for (int i = 0; i < q->nparams; i++)
        if (!seen[i])
            gen_die(q->file, q->line, "%s: parameter %s ($%d) is never used", q->name, q->params[i], i + 1);
    q->sql = cut(out.at, out.at + out.n);
    q->sql_n = strlen(q->sql);
    if (q->sql_n == 0)
        gen_die(q->file, q->line, "%s: no statement", q->name);
    if (!closed)
        gen_die(q->file, q->line, "%s: the statement does not end with ;", q->name);
}

/* Where the text after "-- name:" begins when the line is such a header, else NULL. */
static const char *header_at(const char *line)
{
    static const char mark[] = "-- name:";

    return strncmp(line, mark, sizeof mark - 1) == 0 ? line + sizeof mark - 1 : NULL;
}

static void read_queries(const char *file)
{
    size_t n = 0;
    const char *text = gen_read(file, &n), *end = text + n;
    int number = 1;

    for (const char *line = text; line < end; number++) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        stop = stop != NULL ? stop : end;
        const char *header = header_at(line);
        const char *next = stop < end ? stop + 1 : end;
        if (header != NULL) {
            queries = gen_more(queries, (queries_n + 1) * sizeof *queries);
            query *q = &queries[queries_n++];
            memset(q, 0, sizeof *q);
            q->file = file;
            q->line = number;
            parse_header(q, header, stop);
            const char *until = next;
            while (until < end && header_at(until) == NULL) {
                const char *after = memchr(until, '\n', (size_t)(end - until));
                until = after != NULL ? after + 1 : end;
            }
            parse_sql(q, next, until);
        }
        line = next;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const query *)a)->name, ((const query *)b)->name);
}

static void write_query_table(const char *folder)
{
    gen_text out;

    gen_open(&out);
    fputs("#include \"db.h\"\n\n", out.file);
    for (size_t i = 0; i < queries_n; i++) {
        fprintf(out.file, "static const char *const p_%s[] = { ", queries[i].name);
        for (int k = 0; k < queries[i].nparams; k++)
            fprintf(out.file, "\"%s\", ", queries[i].params[k]);
        fputs("NULL };\n", out.file);
    }
    fputs("static const char *const p_none[] = { NULL };\n\nconst mu_query_row mu_query_info[] = {\n"
          "  [Q_none] = { \"none\", \"\", 0, p_none, \"exec\" },\n", out.file);
    for (size_t i = 0; i < queries_n; i++) {
        fprintf(out.file, "  [Q_%s] = { \"%s\",\n    ", queries[i].name, queries[i].name);
        gen_string(out.file, queries[i].sql, queries[i].sql_n);
        fprintf(out.file, ",\n    %d, p_%s, \"%s\" },\n", queries[i].nparams, queries[i].name, queries[i].result);
    }
    fputs("};\n", out.file);
    gen_close(&out);
    gen_write(folder, "queries.c", out.at, out.n);
}

void gen_queries(const char *folder, int count, char **files)
{
    gen_text out;

    for (int i = 0; i < count; i++)
        read_queries(files[i]);
    if (queries_n > 0)
        qsort(queries, queries_n, sizeof *queries, by_name);
    for (size_t i = 1; i < queries_n; i++)
        if (strcmp(queries[i - 1].name, queries[i].name) == 0)
            gen_die(queries[i].file, queries[i].line, "query %s is also in %s:%d", queries[i].name, queries[i - 1].file, queries[i - 1].line);
    gen_open(&out);
    fputs("/* The named queries of sql/queries. */\n#ifndef MU_QUERIES_H\n#define MU_QUERIES_H\n\nenum mu_query_id {\n    Q_none,\n", out.file);
    for (size_t i = 0; i < queries_n; i++) {
        fprintf(out.file, "    Q_%s, /* (", queries[i].name);
        for (int k = 0; k < queries[i].nparams; k++)
            fprintf(out.file, "%s%s %s", k > 0 ? ", " : "", queries[i].params[k], queries[i].types[k]);
        fprintf(out.file, ") -> %s, %s */\n", queries[i].result, gen_base(queries[i].file));
    }
    fputs("    MU_QUERY_MAX\n};\n\n#endif\n", out.file);
    gen_close(&out);
    gen_write(folder, "queries.h", out.at, out.n);
    write_query_table(folder);
}

/* ---- migrations, functions, demo data ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(gen_base(*(char *const *)a), gen_base(*(char *const *)b));
}

static bool in_folder(const char *file, const char *name)
{
    const char *base = gen_base(file);
    const size_t n = strlen(name);

    return base > file + n && strncmp(base - n - 1, name, n) == 0 && (base - n - 1 == file || base[-(long)n - 2] == '/');
}

static int number_of(const char *file)
{
    const char *base = gen_base(file);
    int number = 0;

    for (int i = 0; i < 4; i++) {
        if (!isdigit((unsigned char)base[i]))
            gen_die(file, 0, "a migration is called NNNN_name.sql");
        number = number * 10 + (base[i] - '0');
    }
    if (base[4] != '_' && base[4] != '-')
        gen_die(file, 0, "a migration is called NNNN_name.sql");
    return number;
}

static void write_scripts(FILE *out, const char *table, const char *folder, int count, char **files)
{
    int last = 0, rows = 0;

    fprintf(out, "const mu_script %s[] = {\n", table);
    for (int i = 0; i < count; i++) {
        char hash[65];
        size_t n = 0;
        if (!in_folder(files[i], folder))
            continue;
        const bool numbered = strcmp(folder, "migrations") == 0;
        const int number = numbered ? number_of(files[i]) : 0;
        if (numbered && rows > 0 && number <= last)
            gen_die(files[i], 0, "migration number %04d twice", number);
        const char *text = gen_read(files[i], &n);
        if (memchr(text, '\0', n) != NULL)
            gen_die(files[i], 0, "a NUL byte in SQL");
        gen_sha256(text, n, hash);
        fprintf(out, "  { %d, %d, \"%s/%s\", \"%s\",\n    ", number, strncmp(text, "-- no-transaction", 17) != 0, folder, gen_base(files[i]), hash);
        gen_string(out, text, n);
        fputs(" },\n", out);
        last = number;
        rows++;
    }
    fprintf(out, "  { 0, 0, NULL, NULL, NULL }\n};\nconst size_t %s_count = %d;\n\n", table, rows);
}

void gen_migrations(const char *folder, int count, char **files)
{
    static const char header[] =
        "/* The SQL texts compiled in, in order; each table ends with a row whose name is NULL. All static. */\n"
        "#ifndef MU_MIGRATIONS_H\n#define MU_MIGRATIONS_H\n\n#include <stdbool.h>\n#include <stddef.h>\n\n"
        "typedef struct { int number; bool transaction; const char *name, *sha256, *sql; } mu_script;\n"
        "extern const mu_script mu_migrations[];  /* by number, ascending */\nextern const size_t mu_migrations_count;\n"
        "extern const mu_script mu_functions[];   /* by file name */\nextern const size_t mu_functions_count;\n"
        "extern const mu_script mu_demo[];        /* sample data, by file name */\nextern const size_t mu_demo_count;\n\n#endif\n";
    gen_text out;

    qsort(files, (size_t)count, sizeof *files, by_text);
    gen_write(folder, "migrations.h", header, sizeof header - 1);
    gen_open(&out);
    fputs("#include \"migrations.h\"\n\n", out.file);
    write_scripts(out.file, "mu_migrations", "migrations", count, files);
    write_scripts(out.file, "mu_functions", "functions", count, files);
    write_scripts(out.file, "mu_demo", "demo", count, files);
    gen_close(&out);
    gen_write(folder, "migrations.c", out.at, out.n);
}
