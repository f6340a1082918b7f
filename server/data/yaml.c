/* libyaml's events to Jansson's values. A small stack replaces recursion; places are kept in a tree beside the values. */
#include "mu_yaml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "json.h"
#include "str.h"

enum { INPUT_MAX = 1024 * 1024, DEPTH_MAX = 24, NODES_MAX = 100000, KEY_MAX = 1024 };

typedef struct node {
    struct node *child, *last, *next;
    const char *key;       /* of a mapping's member; NULL in a list */
    unsigned line, column, children;
} node;

struct mu_marks { const node *root; };

typedef struct {
    json_t *json;          /* borrowed from its parent, or owned by the arena */
    node *mark;
    char *key;             /* waiting for its value */
    unsigned key_line, key_column;
} level;

typedef struct {
    mu_arena *arena;
    mu_problem *problem;
    level stack[DEPTH_MAX];
    unsigned depth, nodes;
    json_t *root;
    node *root_mark;
    unsigned documents;
} builder;

static mu_err refuse(builder *b, const char *key, const yaml_mark_t *mark, const char *name)
{
    char line[24], column[24];
    snprintf(line, sizeof line, "%zu", mark->line + 1);
    snprintf(column, sizeof column, "%zu", mark->column + 1);
    (void)mu_failf(b->problem, MU_INVALID, "line %s, column %s: %s %s", line, column, key, name);
    return mu_fail(b->problem, MU_INVALID, "", key, "line", line, "column", column, "name", name, NULL);
}

/* The place of a value: where it begins, or where its key stands when it begins on a later line. */
static node *add_mark(builder *b, const yaml_mark_t *mark)
{
    node *fresh = mu_alloc(b->arena, sizeof *fresh);
    fresh->line = (unsigned)mark->line + 1;
    fresh->column = (unsigned)mark->column + 1;
    if (b->depth == 0)
        return b->root_mark = fresh;
    level *top = &b->stack[b->depth - 1];
    if (top->key != NULL) {
        fresh->key = top->key;
        if (top->key_line != fresh->line) {
            fresh->line = top->key_line;
            fresh->column = top->key_column;
        }
    }
    if (top->mark->last != NULL)
        top->mark->last->next = fresh;
    else
        top->mark->child = fresh;
    top->mark->last = fresh;
    top->mark->children++;
    return fresh;
}

/* Puts a value where it belongs. Takes the reference. */
static mu_err place(builder *b, json_t *value, const yaml_mark_t *at, node **ret_mark)
{
    if (++b->nodes > NODES_MAX) {
        json_decref(value);
        return refuse(b, "error.yaml.large", at, "");
    }
    node *mark = add_mark(b, at);
    if (ret_mark != NULL)
        *ret_mark = mark;
    if (b->depth == 0) {
        b->root = mu_json_own(b->arena, value);
        return MU_OK;
    }
    level *top = &b->stack[b->depth - 1];
    if (json_is_array(top->json)) {
        json_array_append_new(top->json, value);
    } else {
        json_object_set_new(top->json, top->key, value);
        top->key = NULL;
    }
    return MU_OK;
}

static bool all_digits(const char *text, int base)
{
    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        int digit = *text >= '0' && *text <= '9' ? *text - '0'
                  : *text >= 'a' && *text <= 'f' ? *text - 'a' + 10
                  : *text >= 'A' && *text <= 'F' ? *text - 'A' + 10 : 99;
        if (digit >= base)
            return false;
    }
    return true;
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool looks_real(const char *text)
{
    if (*text == '-' || *text == '+')
        text++;
    size_t whole = strspn(text, "0123456789");
    text += whole;
    if (*text == '.') {
        size_t part = strspn(text + 1, "0123456789");
        if (whole == 0 && part == 0)
            return false;
        text += 1 + part;
    } else if (whole == 0) {
        return false;
    }
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '-' || *text == '+')
            text++;
        return all_digits(text, 10);
    }
    return *text == '\0';
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

/* The core schema; numbers that JSON cannot carry exactly are refused rather than changed. */
static mu_err resolve(builder *b, const char *text, const yaml_mark_t *at, json_t **ret)
{
    static const char *const nulls[] = { "", "~", "null", "Null", "NULL", NULL };
    static const char *const not_numbers[] = { ".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
                                               ".nan", ".NaN", ".NAN", NULL };
    if (is_one_of(text, nulls)) {
        *ret = json_null();
    } else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        *ret = json_boolean(text[0] == 't');
    } else if (is_one_of(text, not_numbers)) {
        return refuse(b, "error.yaml.number", at, text);
    } else if ((strncmp(text, "0o", 2) == 0 && all_digits(text + 2, 8)) || (strncmp(text, "0x", 2) == 0 && all_digits(text + 2, 16))) {
        if (strlen(text) > 14)
            return refuse(b, "error.yaml.number", at, text);
        long long value = strtoll(text + 2, NULL, text[1] == 'o' ? 8 : 16);
        *ret = json_integer(value);
    } else if (all_digits(*text == '-' || *text == '+' ? text + 1 : text, 10)) {
        int64_t value;
        if (!mu_parse_int(*text == '+' ? text + 1 : text, -INT64_C(9007199254740992), INT64_C(9007199254740992), &value))
            return refuse(b, "error.yaml.number", at, text);
        *ret = json_integer(value);
    } else if (looks_real(text)) {
        double value = strtod(text, NULL);
        if (!isfinite(value))
            return refuse(b, "error.yaml.number", at, text);
        *ret = json_real(value);
    } else {
        *ret = json_string(text);
    }
    return MU_OK;
}

static bool wants_key(const builder *b)
{
    return b->depth > 0 && json_is_object(b->stack[b->depth - 1].json) && b->stack[b->depth - 1].key == NULL;
}

static mu_err take_key(builder *b, const char *text, size_t n, bool plain, const yaml_mark_t *at)
{
    level *top = &b->stack[b->depth - 1];
    if (n > KEY_MAX)
        return refuse(b, "error.yaml.key", at, "");
    if (plain && strcmp(text, "<<") == 0)
        return refuse(b, "error.yaml.merge", at, text);
    if (json_object_get(top->json, text) != NULL)
        return refuse(b, "error.yaml.duplicate", at, text);
    top->key = mu_strndup(b->arena, text, n);
    top->key_line = (unsigned)at->line + 1;
    top->key_column = (unsigned)at->column + 1;
    return MU_OK;
}

static mu_err scalar(builder *b, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t n = event->data.scalar.length;
    const yaml_mark_t *at = &event->start_mark;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (event->data.scalar.tag != NULL)
        return refuse(b, "error.yaml.tag", at, (const char *)event->data.scalar.tag);
    if (event->data.scalar.anchor != NULL)
        return refuse(b, "error.yaml.anchor", at, (const char *)event->data.scalar.anchor);
    if (!mu_utf8_valid(text, n)) /* "\0" in a quoted scalar */
        return refuse(b, "error.yaml.text", at, "");
    if (wants_key(b))
        return take_key(b, text, n, plain, at);
    json_t *value = NULL;
    if (plain)
        TRY(resolve(b, text, at, &value));
    else
        value = json_stringn(text, n);
    return place(b, value, at, NULL);
}

static mu_err open_level(builder *b, json_t *fresh, const yaml_event_t *event, const yaml_char_t *tag, const yaml_char_t *anchor)
{
    const char *key = NULL, *name = "";
    if (tag != NULL) {
        key = "error.yaml.tag";
        name = (const char *)tag;
    } else if (anchor != NULL) {
        key = "error.yaml.anchor";
        name = (const char *)anchor;
    } else if (wants_key(b)) {
        key = "error.yaml.key";
    } else if (b->depth == DEPTH_MAX) {
        key = "error.yaml.depth";
        name = "24";
    }
    if (key != NULL) {
        json_decref(fresh);
        return refuse(b, key, &event->start_mark, name);
    }
    node *mark = NULL;
    TRY(place(b, fresh, &event->start_mark, &mark));
    b->stack[b->depth++] = (level){ .json = fresh, .mark = mark };
    return MU_OK;
}

static mu_err take_event(builder *b, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return MU_OK;
    case YAML_DOCUMENT_START_EVENT:
        if (event->data.document_start.tag_directives.start != event->data.document_start.tag_directives.end)
            return refuse(b, "error.yaml.tag", &event->start_mark, "%TAG");
        return ++b->documents == 1 ? MU_OK : refuse(b, "error.yaml.documents", &event->start_mark, "");
    case YAML_ALIAS_EVENT:
        return refuse(b, "error.yaml.anchor", &event->start_mark, (const char *)event->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        return scalar(b, event);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(b, json_array(), event, event->data.sequence_start.tag, event->data.sequence_start.anchor);
    case YAML_MAPPING_START_EVENT:
        return open_level(b, json_object(), event, event->data.mapping_start.tag, event->data.mapping_start.anchor);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        b->depth--;
        return MU_OK;
    }
    return MU_OK;
}

static mu_err run(builder *b, yaml_parser_t *parser)
{
    for (bool end = false; !end; ) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            if (parser->error == YAML_MEMORY_ERROR)
                abort();
            const yaml_mark_t *at = parser->error == YAML_READER_ERROR ? &parser->mark : &parser->problem_mark;
            return refuse(b, "error.yaml.syntax", at, parser->problem != NULL ? parser->problem : "");
        }
        end = event.type == YAML_STREAM_END_EVENT;
        mu_err err = take_event(b, &event);
        yaml_event_delete(&event);
        if (err != MU_OK)
            return err;
    }
    return MU_OK;
}

mu_err mu_yaml_parse(mu_arena *arena, const char *text, size_t n, mu_problem *problem, json_t **ret, mu_marks **ret_marks)
{
    if (n > INPUT_MAX)
        return mu_fail(problem, MU_INVALID, "", "error.yaml.large", "line", "1", "column", "1", "name", "", NULL);
    if (!mu_utf8_valid(text, n))
        return mu_fail(problem, MU_INVALID, "", "error.yaml.text", "line", "1", "column", "1", "name", "", NULL);
    yaml_parser_t parser;
    if (!yaml_parser_initialize(&parser))
        abort();
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3;
        n -= 3;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    builder b = { .arena = arena, .problem = problem };
    mu_err err = run(&b, &parser);
    yaml_parser_delete(&parser);
    if (err != MU_OK)
        return err;
    if (b.root == NULL)
        return mu_fail(problem, MU_INVALID, "", "error.yaml.empty", "line", "1", "column", "1", "name", "", NULL);
    *ret = b.root;
    if (ret_marks != NULL) {
        mu_marks *marks = mu_alloc(arena, sizeof *marks);
        marks->root = b.root_mark;
        *ret_marks = marks;
    }
    return MU_OK;
}

/* Compares a pointer's part, in which ~1 is / and ~0 is ~, with a key. */
static bool part_is(const char *part, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++, key++) {
        char c = part[i];
        if (c == '~' && i + 1 < n && (part[i + 1] == '0' || part[i + 1] == '1'))
            c = part[++i] == '0' ? '~' : '/';
        if (*key != c)
            return false;
    }
    return *key == '\0';
}

static const node *child_of(const node *parent, const char *part, size_t n)
{
    unsigned index = 0;
    char number[16];
    for (const node *at = parent->child; at != NULL; at = at->next, index++) {
        if (at->key != NULL) {
            if (part_is(part, n, at->key))
                return at;
        } else {
            snprintf(number, sizeof number, "%u", index);
            if (strlen(number) == n && memcmp(number, part, n) == 0)
                return at;
        }
    }
    return NULL;
}

mu_position mu_marks_find(const mu_marks *marks, const char *pointer)
{
    mu_position none = { 0, 0 };
    if (marks == NULL || pointer == NULL || (*pointer != '\0' && *pointer != '/'))
        return none;
    const node *at = marks->root;
    while (*pointer == '/' && at != NULL) {
        pointer++;
        size_t n = strcspn(pointer, "/");
        at = child_of(at, pointer, n);
        pointer += n;
    }
    return at != NULL ? (mu_position){ at->line, at->column } : none;
}
