#include "conf.h"

#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"
#include "conf_private.h"
#include "log.h"
#include "str.h"

#define CONF_TEXT(least, most)     .values = NULL
#define CONF_SECRET(least, most)   .values = NULL
#define CONF_INT(least, most)      .low = (least), .high = (most)
#define CONF_BOOL(least, most)     .values = NULL
#define CONF_DURATION(least, most) .low = (least), .high = (most)
#define CONF_SIZE(least, most)     .low = (least), .high = (most)
#define CONF_ENUM(least, most)     .values = (most)

const mu_conf_row mu_conf_rows[MU_CONF_MAX] = {
#define C(id, section_, name_, type_, least, most, fallback_, zh, en) \
    { .section = section_, .name = name_, .type = MU_CONF_TYPE_##type_, .fallback = fallback_, .chinese = zh, .english = en, \
      CONF_##type_(least, most) },
#include "conf.def"
#undef C
};

enum { LINE_MAX_BYTES = 16384, SECRET_MAX_BYTES = 65536 };

static mu_conf_cell cells[MU_CONF_MAX];

const mu_conf_cell *mu_conf_cell_of(unsigned id)
{
    return &cells[id];
}

static bool parse_size(const char *text, int64_t *ret)
{
    char digits[24];
    size_t n = strlen(text);
    int64_t unit = 1;
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, text, n + 1);
    switch (digits[n - 1]) {
    case 'K': case 'k': unit = 1024; break;
    case 'M': case 'm': unit = 1024 * 1024; break;
    case 'G': case 'g': unit = 1024 * 1024 * 1024; break;
    }
    if (unit > 1)
        digits[n - 1] = '\0';
    int64_t value;
    if (!mu_parse_int(digits, 0, INT64_C(1) << 40, &value))
        return false;
    return !__builtin_mul_overflow(value, unit, ret);
}

static bool parse_bool(const char *text, int64_t *ret)
{
    static const char *const yes[] = { "on", "true", "yes", "1" }, *const no[] = { "off", "false", "no", "0" };
    for (size_t i = 0; i < 4; i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *ret = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

static bool in_words(const char *words, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = words; *at != '\0'; ) {
        size_t m = strcspn(at, " ");
        if (m == n && strncmp(at, word, n) == 0)
            return true;
        at += m + strspn(at + m, " ");
    }
    return false;
}

static bool parse_value(const mu_conf_row *row, const char *text, int64_t *ret)
{
    *ret = 0;
    switch (row->type) {
    case MU_CONF_TYPE_TEXT:
    case MU_CONF_TYPE_SECRET:
        return mu_utf8_valid(text, strlen(text)) && !mu_has_control(text, strlen(text), false);
    case MU_CONF_TYPE_INT:
        return mu_parse_int(text, row->low, row->high, ret);
    case MU_CONF_TYPE_BOOL:
        return parse_bool(text, ret);
    case MU_CONF_TYPE_DURATION:
        return (mu_parse_int(text, row->low, row->high, ret) || mu_duration_parse(text, ret)) && *ret >= row->low && *ret <= row->high;
    case MU_CONF_TYPE_SIZE:
        return parse_size(text, ret) && *ret >= row->low && *ret <= row->high;
    case MU_CONF_TYPE_ENUM:
        return in_words(row->values, text);
    }
    return false;
}

static void *must(void *memory)
{
    if (memory == NULL)
        abort();
    return memory;
}

static void store(unsigned id, const char *value, const char *origin, int64_t number)
{
    char *text = must(strdup(value)), *from = must(strdup(origin));
    free(cells[id].text);
    free(cells[id].origin);
    cells[id] = (mu_conf_cell){ .text = text, .origin = from, .number = number };
}

void mu_conf_set(mu_conf_id id, const char *value, const char *origin)
{
    int64_t number;
    if (parse_value(&mu_conf_rows[id], value, &number))
        store(id, value, origin, number);
    else
        mu_log(MU_LOG_ERROR, "conf.value", "section=%s name=%s origin=%s", mu_conf_rows[id].section, mu_conf_rows[id].name, origin);
}

/* Levenshtein's distance, cut off at 64 characters. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[65];
    size_t n = strlen(b);
    if (n > 64 || strlen(a) > 64)
        return 1000;
    for (unsigned j = 0; j <= n; j++)
        row[j] = j;
    for (unsigned i = 1; *a != '\0'; a++, i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            unsigned best = corner + (*a != b[j - 1]);
            corner = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[n];
}

static const char *nearest(mu_arena *arena, const char *key)
{
    const char *best = "";
    unsigned least = 1000;
    for (unsigned i = 0; i < MU_CONF_MAX; i++) {
        char *candidate = mu_printf(arena, "%s.%s", mu_conf_rows[i].section, mu_conf_rows[i].name);
        unsigned far = distance(key, candidate);
        if (far < least) {
            least = far;
            best = candidate;
        }
    }
    return best;
}

static mu_err unknown(mu_problem *problem, const char *origin, const char *key)
{
    const char *near = nearest(problem->arena, key);
    (void)mu_failf(problem, MU_INVALID, "%s: there is no option %s; the nearest is %s", origin, key, near);
    return mu_fail(problem, MU_INVALID, "", "error.conf.unknown", "origin", origin, "key", key, "nearest", near, NULL);
}

static mu_err bad_value(mu_problem *problem, const char *origin, const mu_conf_row *row, const char *value)
{
    const char *key = mu_printf(problem->arena, "%s.%s", row->section, row->name);
    const char *wanted = mu_conf_range(problem->arena, row);
    const char *shown = row->type == MU_CONF_TYPE_SECRET ? "***" : value;
    (void)mu_failf(problem, MU_INVALID, "%s: %s = %s is not %s", origin, key, shown, wanted);
    return mu_fail(problem, MU_INVALID, "", "error.conf.value", "origin", origin, "key", key, "value", shown, "wanted", wanted, NULL);
}

static mu_err bad_file(mu_problem *problem, const char *origin, const char *file, const char *reason)
{
    (void)mu_failf(problem, MU_INVALID, "%s: %s: %s", origin, file, reason);
    return mu_fail(problem, MU_INVALID, "", "error.conf.file", "origin", origin, "file", file, "reason", reason, NULL);
}

static mu_err set_value(mu_problem *problem, unsigned id, const char *value, const char *origin)
{
    int64_t number;
    if (!parse_value(&mu_conf_rows[id], value, &number))
        return bad_value(problem, origin, &mu_conf_rows[id], value);
    store(id, value, origin, number);
    return MU_OK;
}

/* A secret kept in a file of its own, without its last line end. */
static mu_err set_from_file(mu_problem *problem, unsigned id, const char *file, const char *origin)
{
    FILE *in = fopen(file, "re");
    if (in == NULL)
        return bad_file(problem, origin, file, strerror(errno));
    char *text = mu_alloc(problem->arena, SECRET_MAX_BYTES + 1);
    size_t n = fread(text, 1, SECRET_MAX_BYTES + 1, in);
    fclose(in);
    if (n > SECRET_MAX_BYTES)
        return bad_file(problem, origin, file, "larger than 64 KiB");
    text[n] = '\0';
    if (n > 0 && text[n - 1] == '\n')
        text[--n] = '\0';
    if (n > 0 && text[n - 1] == '\r')
        text[--n] = '\0';
    return set_value(problem, id, text, mu_printf(problem->arena, "%s (%s)", origin, file));
}

/* Finds "section.name"; *ret_file when it is a secret's "section.name_file". */
static bool find(const char *section, const char *name, unsigned *ret_id, bool *ret_file)
{
    for (unsigned i = 0; i < MU_CONF_MAX; i++) {
        const mu_conf_row *row = &mu_conf_rows[i];
        if (strcmp(row->section, section) != 0)
            continue;
        size_t n = strlen(row->name);
        *ret_file = row->type == MU_CONF_TYPE_SECRET && strncmp(name, row->name, n) == 0 && strcmp(name + n, "_file") == 0;
        if (*ret_file || strcmp(name, row->name) == 0) {
            *ret_id = i;
            return true;
        }
    }
    return false;
}

static mu_err set_named(mu_problem *problem, const char *section, const char *name, const char *value, const char *origin)
{
    unsigned id;
    bool file;
    if (!find(section, name, &id, &file))
        return unknown(problem, origin, mu_printf(problem->arena, "%s.%s", section, name));
    return file ? set_from_file(problem, id, value, origin) : set_value(problem, id, value, origin);
}

static char *trim(char *text)
{
    while (*text == ' ' || *text == '\t')
        text++;
    size_t n = strlen(text);
    while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL)
        text[--n] = '\0';
    return text;
}

/* Reads one line; the section in force is kept in `section`. */
static mu_err read_line(mu_problem *problem, char *line, char section[64], const char *origin)
{
    line = trim(line);
    if (*line == '\0' || *line == '#')
        return MU_OK;
    size_t n = strlen(line);
    if (*line == '[') {
        if (n < 3 || n > 60 || line[n - 1] != ']')
            return bad_file(problem, origin, line, "not a section");
        line[n - 1] = '\0';
        snprintf(section, 64, "%s", trim(line + 1));
        return MU_OK;
    }
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line)
        return bad_file(problem, origin, line, "expected name = value");
    *equals = '\0';
    return set_named(problem, section, trim(line), trim(equals + 1), origin);
}

static mu_err read_file(mu_problem *problem, const char *file)
{
    FILE *in = fopen(file, "re");
    if (in == NULL)
        return bad_file(problem, file, file, strerror(errno));
    char line[LINE_MAX_BYTES], section[64] = "";
    mu_err first = MU_OK;
    for (unsigned number = 1; fgets(line, sizeof line, in) != NULL; number++) {
        mu_mark mark = mu_arena_mark(problem->arena);
        char *origin = mu_printf(problem->arena, "%s:%u", file, number);
        mu_err err = read_line(problem, line, section, origin);
        if (err == MU_OK)
            mu_arena_reset(problem->arena, mark);
        else if (first == MU_OK)
            first = err; /* read on: all mistakes are told at once */
    }
    fclose(in);
    return first;
}

static mu_err read_files(mu_problem *problem, const char *file)
{
    mu_err first = read_file(problem, file);
    const char *slash = strrchr(file, '/');
    char *pattern = slash != NULL ? mu_printf(problem->arena, "%.*s/conf.d/*.conf", (int)(slash - file), file)
                                  : mu_strdup(problem->arena, "conf.d/*.conf");
    glob_t found;
    if (glob(pattern, 0, NULL, &found) == 0) { /* sorted by name */
        for (size_t i = 0; i < found.gl_pathc; i++) {
            mu_err err = read_file(problem, found.gl_pathv[i]);
            if (first == MU_OK)
                first = err;
        }
    }
    globfree(&found);
    return first;
}

static void environment_name(char ret[96], const mu_conf_row *row, const char *tail)
{
    snprintf(ret, 96, "MUSTER_%s_%s%s", row->section, row->name, tail);
    for (char *c = ret; *c != '\0'; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
}

static mu_err read_environment(mu_problem *problem)
{
    mu_err first = MU_OK;
    for (unsigned i = 0; i < MU_CONF_MAX; i++) {
        char name[96];
        environment_name(name, &mu_conf_rows[i], "");
        const char *value = getenv(name);
        mu_err err = value != NULL ? set_value(problem, i, value, name) : MU_OK;
        if (mu_conf_rows[i].type == MU_CONF_TYPE_SECRET) {
            environment_name(name, &mu_conf_rows[i], "_FILE");
            value = getenv(name);
            if (value != NULL && err == MU_OK)
                err = set_from_file(problem, i, value, name);
        }
        if (first == MU_OK)
            first = err;
    }
    return first;
}

/* Splits --section.name[=value]; false for every other word. */
static bool is_option(mu_arena *arena, const char *word, char **section, char **name, char **value)
{
    if (strncmp(word, "--", 2) != 0)
        return false;
    size_t n = strcspn(word + 2, "=");
    const char *dot = memchr(word + 2, '.', n);
    if (dot == NULL)
        return false;
    *section = mu_strndup(arena, word + 2, (size_t)(dot - word) - 2);
    *name = mu_strndup(arena, dot + 1, n - (size_t)(dot - word) + 1);
    *value = word[2 + n] == '=' ? mu_strdup(arena, word + 2 + n + 1) : NULL;
    return true;
}

static mu_err read_flags(mu_problem *problem, int *argc, char **argv)
{
    mu_err first = MU_OK;
    int kept = 0, i = 0;
    for (; i < *argc; i++) {
        char *section, *name, *value;
        if (strcmp(argv[i], "--") == 0)
            break;
        if (i == 0 || !is_option(problem->arena, argv[i], &section, &name, &value)) {
            argv[kept++] = argv[i];
            continue;
        }
        char *origin = mu_printf(problem->arena, "--%s.%s", section, name);
        if (value == NULL && i + 1 < *argc)
            value = argv[++i];
        mu_err err = value != NULL ? set_named(problem, section, name, value, origin)
                                   : bad_file(problem, origin, origin, "expected a value");
        if (first == MU_OK)
            first = err;
    }
    for (; i < *argc; i++)
        argv[kept++] = argv[i];
    *argc = kept;
    return first;
}

mu_err mu_conf_load(mu_problem *problem, const char *file, int *argc, char **argv)
{
    static const char usual[] = "/etc/muster/muster.conf";
    for (unsigned i = 0; i < MU_CONF_MAX; i++) {
        int64_t number;
        if (!parse_value(&mu_conf_rows[i], mu_conf_rows[i].fallback, &number))
            return bad_value(problem, "conf.def", &mu_conf_rows[i], mu_conf_rows[i].fallback);
        store(i, mu_conf_rows[i].fallback, "default", number);
    }
    if (file == NULL)
        file = getenv("MUSTER_CONF");
    if (file == NULL && access(usual, F_OK) == 0)
        file = usual;
    mu_err first = MU_OK;
    if (file != NULL && *file != '\0')
        first = read_files(problem, file);
    mu_err err = read_environment(problem);
    if (first == MU_OK)
        first = err;
    if (argc != NULL) {
        err = read_flags(problem, argc, argv);
        if (first == MU_OK)
            first = err;
    }
    return first;
}

const char *mu_conf_text(mu_conf_id id)
{
    return cells[id].text != NULL ? cells[id].text : mu_conf_rows[id].fallback;
}

/* Before the first load the default counts. */
static int64_t number_of(mu_conf_id id)
{
    int64_t number = cells[id].number;
    if (cells[id].text == NULL && !parse_value(&mu_conf_rows[id], mu_conf_rows[id].fallback, &number))
        number = 0;
    return number;
}

int64_t mu_conf_int(mu_conf_id id)
{
    return number_of(id);
}

bool mu_conf_bool(mu_conf_id id)
{
    return number_of(id) != 0;
}
