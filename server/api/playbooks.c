/* Playbooks: the checker's part of importing one, and the outline of its steps for the page. */
#include <string.h>
#include "handlers.h"
#include "json.h"
#include "playbook.h"
#include "str.h"

/* The text from the form's field or from the file; the file wins. NULL when there is neither. */
static const char *source_text(mu_req *rq, size_t *ret_n)
{
    const json_t *file = json_object_get(mu_body_json(rq), "file");
    const char *text = mu_body(rq, "text"), *encoded = mu_json_str(file, "base64");
    void *bytes;

    if (encoded != NULL && mu_unbase64(mu_req_arena(rq), encoded, &bytes, ret_n) && *ret_n > 0)
        return mu_strndup(mu_req_arena(rq), bytes, *ret_n);
    *ret_n = text != NULL ? strlen(text) : 0;
    return text;
}

/* The arguments of a finding as name, value, … for the problem. */
static const char *const *argument_list(mu_arena *arena, const json_t *args)
{
    const char **list = mu_alloc(arena, (json_object_size(args) * 2 + 1) * sizeof *list), *name;
    size_t n = 0;
    json_t *args_copy = mu_json_own(arena, json_copy((json_t *)(uintptr_t)args)), *value;

    json_object_foreach(args_copy, name, value) {
        if (!json_is_string(value))
            continue;
        list[n++] = mu_strdup(arena, name);
        list[n++] = mu_strdup(arena, json_string_value(value));
    }
    return list;
}

/* A text without a name cannot be kept as a draft: each finding becomes a fault of the field, behind its place in the text. */
static mu_err refuse(mu_req *rq, const mu_findings *findings)
{
    mu_problem *problem = mu_req_problem(rq);
    mu_arena *arena = mu_req_arena(rq);

    for (const mu_finding *f = findings->first; f != NULL; f = f->next) {
        if (f->level != MU_FINDING_ERROR)
            continue;
        (void)mu_fail(problem, MU_INVALID, "/text", "error.playbook.place", "line", mu_printf(arena, "%u", (unsigned)f->at.line),
                      "column", mu_printf(arena, "%u", (unsigned)f->at.column), NULL);
        (void)mu_fail(problem, MU_INVALID, "/text", f->message, NULL);
        if (f->args != NULL && problem->last != NULL)
            problem->last->args = argument_list(arena, f->args);
    }
    return mu_fail(problem, MU_INVALID, "/text", "error.playbook.unreadable", NULL);
}

mu_err mu_api_playbook_import(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    mu_findings findings;
    mu_playbook *playbook;
    json_t *doc = NULL, *body;
    const char *text, *slug, *sha;
    const mu_rows *rows;
    mu_tx *tx;
    size_t n;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_query(tx, Q_playbook_import_check, NO_ARGS, &rows);
    if (err != MU_OK)
        return err;
    if ((text = source_text(rq, &n)) == NULL)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/text", "error.required", NULL);
    if (!mu_utf8_valid(text, n))
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/text", "error.utf8", NULL);
    mu_findings_start(&findings, arena);
    (void)mu_playbook_read(arena, text, n, &findings, &doc, &playbook);
    slug = mu_json_str(doc, "id");
    if (doc == NULL || slug == NULL || !mu_is_slug(slug))
        return refuse(rq, &findings);
    if ((sha = mu_playbook_hash(arena, doc)) == NULL)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/text", "error.playbook.unreadable", NULL);
    err = mu_one(tx, Q_playbook_store, ARGS(slug, mu_json_text(arena, doc), sha, text[strspn(text, " \t\r\n")] == '{' ? "muster-json" : "muster-yaml",
                                            text, mu_json_text(arena, mu_findings_json(&findings)), "draft"), &rows);
    if (err != MU_OK || (err = mu_commit(tx)) != MU_OK)
        return err;
    body = json_pack("{s:s, s:s, s:O}", "slug", slug, "version", mu_col(rows, "version"), "findings", mu_findings_json(&findings));
    return mu_reply_json(rq, 201, body, mu_printf(arena, "/playbooks/%s/versions/%s", slug, mu_col(rows, "version")));
}

mu_err mu_api_playbook_get(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    mu_findings findings;
    mu_playbook *playbook = NULL;
    json_t *body, *document, *needs, *lacks;
    const mu_rows *rows, *lacking;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_playbook_get, ARGS(mu_path(rq, "playbook"), mu_path(rq, "version")), &rows);
    if (err == MU_OK)
        err = mu_json_parse(arena, mu_col(rows, "body"), strlen(mu_col(rows, "body")), mu_req_problem(rq), &body);
    if (err == MU_OK)
        err = mu_json_parse(arena, mu_col(rows, "document"), strlen(mu_col(rows, "document")), mu_req_problem(rq), &document);
    if (err != MU_OK)
        return err;
    mu_findings_start(&findings, arena);
    (void)mu_playbook_parse(arena, document, NULL, &findings, &playbook);
    if (playbook != NULL) {
        needs = mu_playbook_needs(arena, playbook);
        if ((err = mu_one(tx, Q_playbook_lacks, ARGS(mu_json_text(arena, needs)), &lacking)) != MU_OK)
            return err;
        if ((err = mu_json_parse(arena, mu_col(lacking, "lacks"), strlen(mu_col(lacking, "lacks")), mu_req_problem(rq), &lacks)) != MU_OK)
            return err;
        json_object_set(body, "steps", mu_playbook_outline(arena, playbook));
        json_object_set(body, "needs", needs);
        json_object_set(body, "lacks", lacks);
        json_object_set_new(body, "lacks_any", json_boolean(json_array_size(lacks) > 0));
    }
    if ((err = mu_commit(tx)) != MU_OK)
        return err;
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}
