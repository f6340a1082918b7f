/* The editor of playbooks: text with findings beside its lines, and the form face. Both keep the text; the form writes it anew. */
#include <string.h>
#include "playbook_text.h"
#include "assets.h"
#include "bind.h"
#include "document.h"
#include "json.h"
#include "mu_yaml.h"
#include "playbook_around.h"
#include "str.h"

#define STARTER "web/playbook_new.yaml"

/* What the editor shows of a text: the findings in words, the lines, the steps. New reference. */
static mu_err looked_at(mu_req *rq, mu_tx *tx, const char *slug, const char *text, size_t n, json_t **ret)
{
    mu_arena *arena = mu_req_arena(rq);
    mu_findings findings;
    mu_playbook *playbook;
    json_t *doc, *list;

    TRY(mu_playbook_look(tx, slug, false, text, n, &findings, &doc, &playbook));
    list = mu_findings_json(&findings);
    mu_playbook_speak(rq, list);
    *ret = mu_json_own(arena, json_pack("{s:O, s:b, s:b, s:i, s:i, s:b}", "findings", list, "has_findings", json_array_size(list) > 0, "readable", doc != NULL,
                                        "errors", (int)findings.errors, "warnings", (int)findings.warnings, "checked", true));
    if (playbook != NULL)
        json_object_set(*ret, "steps", mu_playbook_outline(arena, playbook));
    return MU_OK;
}

mu_err mu_api_playbook_new(mu_req *rq)
{
    const mu_asset *starter = mu_asset_find(STARTER);
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_query(tx, Q_playbook_import_check, NO_ARGS, &rows));
    TRY(mu_commit(tx));
    return mu_reply_json(rq, 200, json_pack("{s:s, s:b, s:{s:b}}", "source", starter != NULL ? starter->raw : "", "fresh", true, "can", "save", true), NULL);
}

mu_err mu_api_playbook_check(mu_req *rq)
{
    const char *text, *slug = mu_path(rq, "playbook");
    const mu_rows *rows;
    json_t *body;
    mu_tx *tx;
    size_t n;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_query(tx, Q_playbook_import_check, NO_ARGS, &rows));
    if ((text = mu_playbook_text(rq, &n)) == NULL)
        return MU_INVALID;
    TRY(looked_at(rq, tx, slug, text, n, &body));
    json_object_set(body, "lines", mu_playbook_lines(mu_req_arena(rq), text, json_object_get(body, "findings")));
    TRY(mu_commit(tx));
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

/* The open draft, or what a new one begins with. An imported file of another format is shown as the YAML it became. */
static mu_err begin(mu_req *rq, mu_tx **ret_tx, json_t **ret_body, const char **ret_text)
{
    json_t *document;
    const mu_rows *rows;

    TRY(mu_req_tx(rq, ret_tx));
    TRY(mu_one(*ret_tx, Q_playbook_edit_get, mu_bind(rq, Q_playbook_edit_get), &rows));
    TRY(mu_column_json(rq, rows, "body", ret_body));
    TRY(mu_column_json(rq, rows, "document", &document));
    *ret_text = mu_col(rows, "source");
    if (*ret_text == NULL || mu_same(mu_json_str(*ret_body, "format"), "cacao-2.0"))
        *ret_text = mu_playbook_yaml(mu_req_arena(rq), document);
    if (*ret_text == NULL)
        *ret_text = "";
    json_object_set_new(*ret_body, "source", json_string(*ret_text));
    if (mu_req_face(rq) == MU_FACE_JSON)
        mu_reply_header(rq, "ETag", mu_printf(mu_req_arena(rq), "\"%s\"", mu_col(rows, "etag")));
    return MU_OK;
}

mu_err mu_api_playbook_edit(mu_req *rq)
{
    json_t *body, *seen;
    const char *text;
    mu_tx *tx;

    TRY(begin(rq, &tx, &body, &text));
    TRY(looked_at(rq, tx, mu_path(rq, "playbook"), text, strlen(text), &seen));
    json_object_update(body, seen);
    json_object_set(body, "lines", mu_playbook_lines(mu_req_arena(rq), text, json_object_get(seen, "findings")));
    TRY(mu_commit(tx));
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

/* Keeps a text. One that is no YAML at all is kept as well; one that names another playbook is refused. */
static mu_err keep(mu_req *rq, mu_tx *tx, const char *text, size_t n, const char *where)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *slug = mu_path(rq, "playbook"), *own;
    mu_findings findings;
    mu_playbook *playbook;
    json_t *doc, *list;
    const mu_rows *rows;

    TRY(mu_playbook_look(tx, slug, false, text, n, &findings, &doc, &playbook));
    own = mu_json_str(doc, "id");
    if (own != NULL && !mu_same(own, slug))
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/text", "error.playbook.other_id", "id", own, "name", slug, NULL);
    list = mu_findings_json(&findings);
    TRY(mu_one(tx, Q_playbook_draft_save, mu_bind_with(rq, Q_playbook_draft_save, ARGS("source", text, "body", doc != NULL ? mu_json_text(arena, doc) : NULL,
        "sha256", doc != NULL ? mu_playbook_hash(arena, doc) : NULL, "format", mu_playbook_format(text), "findings", mu_json_text(arena, list))), &rows));
    TRY(mu_commit(tx));
    mu_playbook_speak(rq, list);
    const char *tag = mu_printf(arena, "%s-%s", mu_col(rows, "version"), mu_col(rows, "revision"));
    if (mu_req_face(rq) == MU_FACE_JSON)
        mu_reply_header(rq, "ETag", mu_printf(arena, "\"%s\"", tag));
    return mu_reply_json(rq, 200, json_pack("{s:s, s:s, s:s, s:b, s:b, s:O}", "slug", slug, "version", mu_col(rows, "version"), "etag", tag,
                                            "changed", mu_same(mu_col(rows, "changed"), "t"), "readable", doc != NULL, "findings", list), where);
}

mu_err mu_api_playbook_save(mu_req *rq)
{
    const mu_rows *rows;
    const char *text;
    mu_tx *tx;
    size_t n;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_query(tx, Q_playbook_import_check, NO_ARGS, &rows));
    if ((text = mu_playbook_text(rq, &n)) == NULL)
        return MU_INVALID;
    return keep(rq, tx, text, n, mu_printf(mu_req_arena(rq), "/playbooks/%s/draft", mu_path(rq, "playbook")));
}

/* ---- the form face ---- */

/* Both languages of a text, as the two inputs show them. */
static json_t *two(const json_t *text)
{
    if (json_is_string(text))
        return json_pack("{s:O, s:O}", "zh", text, "en", text);
    return json_pack("{s:s, s:s}", "zh", mu_json_str(text, "zh") != NULL ? mu_json_str(text, "zh") : "", "en", mu_json_str(text, "en") != NULL ? mu_json_str(text, "en") : "");
}

static json_t *role_choices(const json_t *document, const char *chosen)
{
    json_t *out = json_array(), *role;
    const char *id;
    bool seen = chosen == NULL;

    json_object_foreach(json_object_get(document, "roles"), id, role) {
        json_array_append_new(out, json_pack("{s:s, s:O, s:b}", "id", id, "name", json_object_size(role) > 0 ? role : json_object_get(document, "id"), "selected", mu_same(id, chosen)));
        seen = seen || mu_same(id, chosen);
    }
    if (!seen)
        json_array_append_new(out, json_pack("{s:s, s:s, s:b}", "id", chosen, "name", chosen, "selected", true));
    return out;
}

static json_t *item_rows(mu_arena *arena, const json_t *step, const char *pointer)
{
    const json_t *items = json_object_get(step, "items"), *item;
    json_t *out = json_array();
    size_t i;

    json_array_foreach(items, i, item)
        json_array_append_new(out, json_pack("{s:s, s:s, s:o, s:b, s:b, s:b, s:i}", "at", mu_printf(arena, "%s/items/%zu", pointer, i), "id",
            mu_json_str(item, "id") != NULL ? mu_json_str(item, "id") : "", "text", two(item), "critical", json_is_true(json_object_get(item, "critical")), "first", i == 0,
            "last", i + 1 == json_array_size(items), "number", (int)i + 1));
    return out;
}

static json_t *step_row(mu_arena *arena, const json_t *document, const mu_written_step *step)
{
    const json_t *deadline = json_object_get(step->json, "deadline"), *escalate = json_object_get(deadline, "escalate"), *one;
    const char *role = mu_json_str(step->json, "role"), *chain = "";
    const bool has_role = role != NULL || mu_same(step->kind, "task") || mu_same(step->kind, "checklist") || mu_same(step->kind, "decide") || mu_same(step->kind, "report");
    json_t *title = json_object_get(step->json, "title");
    size_t i;

    json_array_foreach(escalate, i, one)
        chain = mu_printf(arena, "%s%s%s", chain, i > 0 ? " " : "", json_is_string(one) ? json_string_value(one) : "");
    return json_pack("{s:s, s:s, s:s, s:i, s:o, s:o, s:o, s:b, s:o, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:o, s:s}", "at", step->pointer, "id", step->id, "kind", step->kind,
        "depth", (int)(step->depth < 3 ? step->depth : 3), "shown", title != NULL ? json_incref(title) : json_string(step->id), "title", two(title),
        "text", two(json_object_get(step->json, "text")), "has_role", has_role, "roles", role_choices(document, role),
        "after", mu_json_str(deadline, "after") != NULL ? mu_json_str(deadline, "after") : "", "warn", mu_json_str(deadline, "warn") != NULL ? mu_json_str(deadline, "warn") : "",
        "escalate", chain, "critical", json_is_true(json_object_get(step->json, "critical")), "first", step->index == 0, "last", step->index + 1 == step->count,
        "is_checklist", mu_same(step->kind, "checklist"), "items", item_rows(arena, step->json, step->pointer), "within", step->within);
}

static json_t *plan_rows(const json_t *document)
{
    static const char *const words[] = { "category", "rto", "rpo", "review" }, *const texts[] = { "basis", "scope", "principles", "department" };
    const json_t *plan = json_object_get(document, "plan");
    json_t *out = json_object(), *lines = json_array(), *languages = json_array();

    for (size_t i = 0; i < MU_COUNT(words); i++)
        json_array_append_new(lines, json_pack("{s:s, s:s}", "name", words[i], "value", mu_json_str(plan, words[i]) != NULL ? mu_json_str(plan, words[i]) : ""));
    for (size_t i = 0; i < MU_COUNT(texts); i++)
        json_array_append_new(languages, json_pack("{s:s, s:o, s:b}", "name", texts[i], "text", two(json_object_get(plan, texts[i])), "is_list", json_is_array(json_object_get(plan, texts[i]))));
    json_object_set_new(out, "words", lines);
    json_object_set_new(out, "texts", languages);
    json_object_set_new(out, "important_system", json_boolean(json_is_true(json_object_get(plan, "important_system"))));
    return out;
}

static json_t *role_rows(mu_arena *arena, const json_t *document)
{
    json_t *out = json_array(), *role;
    const char *id;

    json_object_foreach(json_object_get(document, "roles"), id, role) {
        const int64_t min = mu_json_int(role, "min", -1), max = mu_json_int(role, "max", -1);
        json_array_append_new(out, json_pack("{s:s, s:s, s:o, s:s, s:s, s:o}", "id", id, "at", mu_printf(arena, "/roles/%s", id), "name", two(role),
            "min", min >= 0 ? mu_printf(arena, "%lld", (long long)min) : "", "max", max >= 0 ? mu_printf(arena, "%lld", (long long)max) : "",
            "deputies", role_choices(document, mu_json_str(role, "deputy"))));
    }
    return out;
}

/* The document behind a text; NULL when it cannot be read. */
static json_t *read_document(mu_arena *arena, const char *text)
{
    mu_problem problem = { .arena = arena };
    json_t *document = NULL;

    if (text[strspn(text, " \t\r\n")] == '{')
        (void)mu_json_parse(arena, text, strlen(text), &problem, &document);
    else
        (void)mu_yaml_parse(arena, text, strlen(text), &problem, &document, NULL);
    return json_is_object(document) ? document : NULL;
}

static bool has_comments(const char *text)
{
    return mu_same(mu_playbook_format(text), "muster-yaml") && mu_yaml_has_comments(text, strlen(text));
}

mu_err mu_api_playbook_form(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    json_t *body, *document, *list = json_array();
    mu_written_step *steps;
    const char *text;
    mu_tx *tx;

    TRY(begin(rq, &tx, &body, &text));
    TRY(mu_commit(tx));
    document = read_document(arena, text);
    json_object_set_new(body, "steps", list);
    json_object_set_new(body, "unreadable", json_boolean(document == NULL));
    json_object_set_new(body, "comments", json_boolean(has_comments(text)));
    if (document != NULL) {
        const size_t n = mu_document_steps(arena, document, &steps);
        for (size_t i = 0; i < n; i++)
            json_array_append_new(list, step_row(arena, document, &steps[i]));
        json_object_set_new(body, "names", two(json_object_get(document, "title")));
        json_object_set_new(body, "plan", plan_rows(document));
        json_object_set_new(body, "roles", role_rows(arena, document));
        json_object_set_new(body, "role_choices", role_choices(document, NULL));
    }
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

/* Where the page goes on after an edit: the step it was about. */
static const char *place_of(mu_req *rq, const json_t *document)
{
    const char *at = mu_body(rq, "at"), *part = mu_body(rq, "part"), *anchor = part;
    mu_written_step *steps;
    const size_t n = mu_document_steps(mu_req_arena(rq), document, &steps);

    if (mu_same(mu_body(rq, "act"), "add") && mu_same(part, "step") && mu_body(rq, "id") != NULL)
        anchor = mu_printf(mu_req_arena(rq), "step-%s", mu_body(rq, "id"));
    else if ((mu_same(part, "step") || mu_same(part, "item")) && at != NULL)
        for (size_t i = 0; i < n; i++)
            if (mu_starts(at, steps[i].pointer) && (at[strlen(steps[i].pointer)] == '\0' || mu_starts(at + strlen(steps[i].pointer), "/items")))
                anchor = mu_printf(mu_req_arena(rq), "step-%s", steps[i].id);
    return mu_printf(mu_req_arena(rq), "/playbooks/%s/form#%s", mu_path(rq, "playbook"), anchor);
}

mu_err mu_api_playbook_change(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    const char *text, *where;
    json_t *body, *document;
    mu_tx *tx;

    TRY(begin(rq, &tx, &body, &text));
    if ((document = read_document(arena, text)) == NULL)
        return mu_fail(mu_req_problem(rq), MU_CONFLICT, "", "error.playbook.form_unreadable", NULL);
    if (has_comments(text) && !json_is_true(json_object_get(mu_body_json(rq), "drop_comments")))
        return mu_fail(mu_req_problem(rq), MU_CONFLICT, "/drop_comments", "error.playbook.comments", NULL);
    where = place_of(rq, document);
    TRY(mu_document_edit(arena, document, mu_body_json(rq), mu_req_problem(rq)));
    if ((text = mu_playbook_yaml(arena, document)) == NULL)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "", "error.yaml.large", NULL);
    return keep(rq, tx, text, strlen(text), where);
}
