/* Playbooks: import, one version, publishing, comparison, and what is made from a version: files, printed sections, pictures. */
#include <string.h>
#include "playbook_text.h"
#include "bind.h"
#include "cacao.h"
#include "clock.h"
#include "crypto.h"
#include "document.h"
#include "json.h"
#include "playbook_around.h"
#include "str.h"

/* Reads a text of any format and keeps it as a draft. A CACAO file keeps its own bytes as source, sealed while there are secrets in it. */
static mu_err take_in(mu_req *rq, mu_tx *tx, const char *text, size_t n, json_t **ret)
{
    mu_arena *arena = mu_req_arena(rq);
    const bool cacao = mu_cacao_looks(text, n);
    const mu_import_options options = { .now = mu_time_format(arena, mu_wall_now()) };
    const char *slug, *sha, *source = text;
    mu_findings findings;
    mu_playbook *playbook;
    mu_import in = { .document = NULL };
    json_t *doc, *list;
    const mu_rows *rows;

    mu_findings_start(&findings, arena);
    if (cacao)
        (void)mu_playbook_import(arena, text, n, &options, &in);
    else
        TRY(mu_playbook_look(tx, NULL, false, text, n, &findings, &in.document, &playbook));
    doc = in.document;
    list = cacao ? in.findings : mu_findings_json(&findings);
    slug = mu_json_str(doc, "id");
    if (doc == NULL || slug == NULL || !mu_is_slug(slug) || (sha = mu_playbook_hash(arena, doc)) == NULL)
        return mu_playbook_refuse(rq, list);
    if (in.secrets > 0 && (source = mu_seal(arena, text)) == NULL)
        return mu_failf(mu_req_problem(rq), MU_INTERNAL, "nothing can be sealed");
    TRY(mu_one(tx, Q_playbook_store, ARGS(slug, mu_json_text(arena, doc), sha, cacao ? in.source_format : mu_playbook_format(text), source, mu_json_text(arena, list), "draft"), &rows));
    *ret = json_pack("{s:s, s:s, s:O}", "slug", slug, "version", mu_col(rows, "version"), "findings", list);
    return MU_OK;
}

/* One file or several. With several it is all or nothing, and the fault names the file. */
mu_err mu_api_playbook_import(mu_req *rq)
{
    const json_t *files = json_object_get(mu_body_json(rq), "file"), *file;
    json_t *made = mu_json_own(mu_req_arena(rq), json_array()), *one;
    const char *text;
    const mu_rows *rows;
    mu_tx *tx;
    size_t i, n;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_query(tx, Q_playbook_import_check, NO_ARGS, &rows));
    json_array_foreach(files, i, file) {
        if ((text = mu_playbook_file(rq, file, &n)) == NULL)
            return MU_INVALID;
        const mu_err err = take_in(rq, tx, text, n, &one);
        if (err == MU_INVALID && json_array_size(files) > 1)
            return mu_fail(mu_req_problem(rq), MU_INVALID, "/file", "error.playbook.file", "name", mu_json_str(file, "name"), NULL);
        TRY(err);
        json_array_append_new(made, one);
    }
    if (json_array_size(made) == 0) {
        if ((text = mu_playbook_text(rq, &n)) == NULL)
            return MU_INVALID;
        TRY(take_in(rq, tx, text, n, &one));
        json_array_append_new(made, one);
    }
    TRY(mu_commit(tx));
    one = json_array_get(made, 0);
    if (json_array_size(made) > 1)
        return mu_reply_json(rq, 201, json_pack("{s:O}", "playbooks", made), "/playbooks");
    return mu_reply_json(rq, 201, json_incref(one), mu_printf(mu_req_arena(rq), "/playbooks/%s/versions/%s", mu_json_str(one, "slug"), mu_json_str(one, "version")));
}

/* The outline, and what the playbook names that is not set up here. */
static mu_err add_outline(mu_req *rq, mu_tx *tx, json_t *body, const json_t *document)
{
    mu_arena *arena = mu_req_arena(rq);
    mu_findings findings;
    mu_playbook *playbook = NULL;
    json_t *needs, *lacks;
    const mu_rows *rows;

    mu_findings_start(&findings, arena);
    (void)mu_playbook_parse(arena, document, NULL, &findings, &playbook);
    if (playbook == NULL)
        return MU_OK;
    needs = mu_playbook_needs(arena, playbook);
    TRY(mu_one(tx, Q_playbook_lacks, ARGS(mu_json_text(arena, needs)), &rows));
    TRY(mu_column_json(rq, rows, "lacks", &lacks));
    json_object_set(body, "steps", mu_playbook_outline(arena, playbook));
    json_object_set(body, "needs", needs);
    json_object_set(body, "lacks", lacks);
    json_object_set_new(body, "lacks_any", json_boolean(json_array_size(lacks) > 0));
    return MU_OK;
}

mu_err mu_api_playbook_get(mu_req *rq)
{
    json_t *body, *document, *findings;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_playbook_get, ARGS(mu_path(rq, "playbook"), mu_path(rq, "version"), mu_req_language(rq)), &rows));
    TRY(mu_column_json(rq, rows, "body", &body));
    TRY(mu_column_json(rq, rows, "document", &document));
    TRY(mu_column_json(rq, rows, "findings", &findings));
    mu_playbook_speak(rq, json_object_get(body, "findings"));
    if (mu_col(rows, "source") != NULL && !mu_starts(mu_col(rows, "source"), "s1:"))
        json_object_set(body, "lines", mu_playbook_lines(mu_req_arena(rq), mu_col(rows, "source"), findings));
    TRY(add_outline(rq, tx, body, document));
    TRY(mu_commit(tx));
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

/* The checker looks once more, as strictly as it can: with what is known of the house today. What it finds is kept even when it
 * stops the publication, so that the page shows why. */
mu_err mu_api_playbook_publish(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *slug = mu_path(rq, "playbook"), *version = mu_path(rq, "version"), *text;
    mu_findings findings;
    mu_playbook *playbook;
    json_t *doc;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_playbook_recheck, ARGS(slug, version), &rows));
    text = mu_col(rows, "source") != NULL ? mu_col(rows, "source") : mu_col(rows, "document");
    TRY(mu_playbook_look(tx, slug, true, text, strlen(text), &findings, &doc, &playbook));
    TRY(mu_one(tx, Q_playbook_publish, ARGS(slug, version, mu_json_text(arena, mu_findings_json(&findings)), mu_body(rq, "note"), mu_body(rq, "let_pass")), &rows));
    const char *outcome = mu_strdup(arena, mu_col(rows, "outcome")), *n_open = mu_strdup(arena, mu_col(rows, "n"));
    TRY(mu_commit(tx));
    if (!mu_same(outcome, "published"))
        return mu_fail(mu_req_problem(rq), MU_CONFLICT, mu_same(outcome, "error.playbook.warnings") ? "/let_pass" : "", outcome, "n", n_open, NULL);
    return mu_reply_json(rq, 201, json_object(), mu_printf(arena, "/playbooks/%s/versions/%s", slug, version));
}

static json_t *only_different(const json_t *steps)
{
    json_t *out = json_array(), *step;
    size_t i;

    json_array_foreach(steps, i, step)
        if (!mu_same(mu_json_str(step, "change"), "same"))
            json_array_append(out, step);
    return out;
}

mu_err mu_api_playbook_compare(mu_req *rq)
{
    json_t *body, *older, *newer, *compared;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_playbook_pair, mu_bind(rq, Q_playbook_pair), &rows));
    TRY(mu_column_json(rq, rows, "body", &body));
    TRY(mu_column_json(rq, rows, "older", &older));
    TRY(mu_column_json(rq, rows, "newer", &newer));
    TRY(mu_commit(tx));
    compared = mu_document_compare(mu_req_arena(rq), older, newer);
    json_object_set_new(compared, "changed_steps", only_different(json_object_get(compared, "steps")));
    json_object_set_new(body, "unchanged", json_integer((json_int_t)(json_array_size(json_object_get(compared, "steps")) - json_array_size(json_object_get(compared, "changed_steps")))));
    json_object_update(body, compared);
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

static mu_err source(mu_req *rq, json_t **ret_body, json_t **ret_document, const mu_rows **ret_rows)
{
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_playbook_whole, ARGS(mu_path(rq, "playbook"), mu_path(rq, "version")), ret_rows));
    TRY(mu_column_json(rq, *ret_rows, "body", ret_body));
    TRY(mu_column_json(rq, *ret_rows, "document", ret_document));
    return mu_commit(tx);
}

/* Names of roles and who holds them stand beside the ids. */
static void name_roles(json_t *sections, const json_t *document, const json_t *holders)
{
    json_t *section, *row;
    size_t i, k;

    json_array_foreach(sections, i, section) {
        json_array_foreach(json_object_get(section, "rows"), k, row)
            if (json_object_get(holders, mu_json_str(row, "id")) != NULL)
                json_object_set(row, "holders", json_object_get(holders, mu_json_str(row, "id")));
        json_array_foreach(json_object_get(section, "steps"), k, row) {
            json_t *role = mu_json_str(row, "role") != NULL ? json_object_get(json_object_get(document, "roles"), mu_json_str(row, "role")) : NULL;
            if (role != NULL)
                json_object_set(row, "role_name", role);
        }
    }
}

mu_err mu_api_playbook_plan(mu_req *rq)
{
    json_t *body, *document, *sections;
    const mu_rows *rows;

    TRY(source(rq, &body, &document, &rows));
    sections = mu_document_plan(mu_req_arena(rq), document);
    name_roles(sections, document, json_object_get(body, "holders"));
    json_object_set(body, "sections", sections);
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

/* The picture is drawn in the colours of a light page. Each of these colours is used for one thing, so each has its dark twin. */
static void darken(char *svg)
{
    static const char twins[][2][8] = { { "#14181d", "#e6eaf0" }, { "#ffffff", "#1a2029" }, { "#828b98", "#6b7686" }, { "#5a6270", "#a3acb9" },
                                        { "#3b4350", "#c3cad5" }, { "#a80f1c", "#ff9aa2" } };

    for (char *at = strchr(svg, '#'); at != NULL; at = strchr(at + 1, '#'))
        for (size_t i = 0; i < MU_COUNT(twins); i++)
            if (strncmp(at, twins[i][0], 7) == 0 && at > svg && at[-1] == '"' && at[7] == '"') {
                memcpy(at, twins[i][1], 7);
                break;
            }
}

mu_err mu_api_playbook_picture(mu_req *rq)
{
    const mu_rows *rows;
    const char *state;
    char *svg;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_playbook_picture, mu_bind(rq, Q_playbook_picture), &rows));
    TRY(mu_commit(tx));
    state = mu_col(rows, "state");
    if (mu_same(state, "failed"))
        return mu_fail(mu_req_problem(rq), MU_NOT_FOUND, "", mu_col(rows, "error"), NULL);
    if (mu_col(rows, "svg") == NULL)
        return mu_reply_json(rq, 202, json_pack("{s:s}", "state", state), NULL);
    svg = mu_strdup(mu_req_arena(rq), mu_col(rows, "svg"));
    if (mu_same(mu_col(rows, "colours"), "dark"))
        darken(svg);
    return mu_reply_bytes(rq, 200, "image/svg+xml", NULL, svg, strlen(svg));
}
