/* What can be said of a playbook's document as it is written, without a model: its steps, how two versions differ, its picture, what it
 * fills of an emergency plan, and the edits of a form. Any JSON may come in; what does not fit is left out. Pure. */
#ifndef MU_DOCUMENT_H
#define MU_DOCUMENT_H

#include <jansson.h>
#include "base.h"

/* A step where it is written. Text lives in the arena, `json` is borrowed from the document. */
typedef struct {
    const char   *id, *kind;
    const char   *pointer;      /* JSON Pointer of the step */
    const char   *list;         /* JSON Pointer of the list it stands in */
    const char   *path;         /* ids and branch names from the root, as the engine names it; blocks begin with "blocks/NAME" */
    const char   *within;       /* path without the step's own id */
    size_t        index, count; /* its place in the list, and how long that is */
    unsigned      depth;
    const json_t *json;
} mu_written_step;

/* The member that says what kind of step an object is; NULL: it is none. */
const char *mu_document_kind(const json_t *step);

/* The steps in the order they are written, at most MU_PLAYBOOK_STEPS; those of blocks, of on_error and injects come last. */
size_t mu_document_steps(mu_arena *arena, const json_t *doc, mu_written_step **ret);

/* Version against version, by step: {"same": bool, "title"/"text": change?, "plan": [change], "roles": [entry], "vars": [entry],
 * "params": [entry], "blocks": [entry], "steps": [{"id","kind","title","change": added|removed|changed|moved|moved_changed|same,
 * "from","to": paths, "fields": [change]}]} with change = {"name","old","new"} (texts; a structure as YAML). Owner: the arena. */
json_t *mu_document_compare(mu_arena *arena, const json_t *older, const json_t *newer);

/* Graphviz source of the flow, for `dot`. language: "zh" or "en". Labels are encoded: nothing in a text can become markup. */
char *mu_document_dot(mu_arena *arena, const json_t *doc, const char *language);

/* The sections of an emergency plan this playbook fills: [{"section": word, "parts": [{…}]}]. Owner: the arena. */
json_t *mu_document_plan(mu_arena *arena, const json_t *doc);

/* One edit of the form, in place: `change` is {"part": playbook|plan|role|step|item, "act": set|add|remove|up|down, "at": JSON Pointer,
 * and the fields of that part}. A field that is absent stays; an empty text takes it out. MU_INVALID with the field, or MU_NOT_FOUND. */
mu_err mu_document_edit(mu_arena *arena, json_t *doc, const json_t *change, mu_problem *problem);

/* A text in the language, else in the other one; NULL when there is neither. */
const char *mu_document_text(const json_t *text, const char *language);

#endif
