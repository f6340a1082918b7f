/* Emergency plans: what needs the playbooks' documents or the engine besides SQL. */
#include <string.h>
#include "handlers.h"
#include "bind.h"
#include "buf.h"
#include "document.h"
#include "json.h"
#include "playbook_text.h"
#include "run.h"
#include "str.h"
#include "worddiff.h"

/* Steps say who does them in words; with `only`, those of other roles are left out. */
static void
name_steps(json_t *steps, const json_t *document, const char *only)
{
    for (size_t i = json_array_size(steps); i-- > 0;) {
        json_t *step = json_array_get(steps, i), *name = NULL;
        const char *role = mu_json_str(step, "role");
        if (only != NULL && !mu_same(role, only)) {
            json_array_remove(steps, i);
            continue;
        }
        if (role != NULL)
            name = json_object_get(json_object_get(document, "roles"), role);
        if (name != NULL)
            json_object_set(step, "role_name", name);
    }
}

/* Section `from` of what a playbook fills, or NULL when it says nothing there. */
static json_t *
filled(json_t *sections, const char *from)
{
    json_t *section;
    size_t i;

    json_array_foreach(sections, i, section)
        if (mu_same(mu_json_str(section, "section"), from) && !json_is_true(json_object_get(section, "empty")))
            return section;
    return NULL;
}

/* What the linked playbooks say is put into the sections that ask for it (`from`): [{"playbook","title","version","facts","steps"}].
 * The people of a playbook are not repeated: a plan has its own list. */
static void
fill_sections(mu_arena *arena, json_t *sections, const json_t *playbooks, const char *only)
{
    const json_t *playbook;
    json_t *section;
    size_t i, k;

    json_array_foreach(playbooks, i, playbook) {
        const json_t *document = json_object_get(playbook, "document");
        json_t *parts = mu_document_plan(arena, document);
        json_array_foreach(sections, k, section) {
            const char *from = mu_json_str(section, "from");
            json_t *part = from != NULL ? filled(parts, from) : NULL, *list, *entry;
            if (part == NULL)
                continue;
            name_steps(json_object_get(part, "steps"), document, only);
            if (json_array_size(json_object_get(part, "steps")) + json_array_size(json_object_get(part, "facts")) == 0
                || (only != NULL && json_array_size(json_object_get(part, "steps")) == 0))
                continue;
            list = json_object_get(section, "generated");
            if (list == NULL) {
                list = json_array();
                json_object_set_new(section, "generated", list);
            }
            entry = json_pack("{s:O, s:O, s:O}", "playbook", json_object_get(playbook, "slug"), "title", json_object_get(playbook, "title"), "version", json_object_get(playbook, "version"));
            if (only == NULL && json_object_get(part, "facts") != NULL)
                json_object_set(entry, "facts", json_object_get(part, "facts"));
            if (json_array_size(json_object_get(part, "steps")) > 0)
                json_object_set(entry, "steps", json_object_get(part, "steps"));
            json_array_append_new(list, entry);
        }
    }
}

mu_err
mu_api_plan_get(mu_req *rq)
{
    json_t *body, *playbooks;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_plan_whole, mu_bind(rq, Q_plan_whole), &rows));
    TRY(mu_column_json(rq, rows, "body", &body));
    TRY(mu_column_json(rq, rows, "playbooks", &playbooks));
    TRY(mu_commit(tx));
    fill_sections(mu_req_arena(rq), json_object_get(body, "sections"), playbooks, NULL);
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

/* ---- comparison ---- */

static const char *
words_of(const json_t *text, const char *language)
{
    const char *words = json_is_string(text) ? json_string_value(text) : mu_json_str(text, language);

    return words != NULL ? words : "";
}

/* Adds {"part","title","language","pieces"} for each language in which the two texts differ. */
static void
compare_texts(mu_arena *arena, json_t *out, const char *part, const json_t *title, const json_t *older, const json_t *newer)
{
    static const char *const languages[] = { "zh", "en" };

    for (size_t i = 0; i < MU_COUNT(languages); i++) {
        const char *was = words_of(older, languages[i]), *is = words_of(newer, languages[i]);
        if (!mu_same(was, is))
            json_array_append_new(out, json_pack("{s:s, s:O?, s:s, s:s, s:O}", "part", part, "title", title, "language", languages[i],
                                                 "lang", i == 0 ? "zh-CN" : "en", "pieces", mu_worddiff(arena, was, is)));
    }
}

static const json_t *
with_id(const json_t *list, const char *member, const char *id)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one)
        if (mu_same(mu_json_str(one, member), id))
            return one;
    return NULL;
}

/* A row of a list as one text in a language, member after member. */
static char *
row_text(mu_arena *arena, const json_t *row, const char *language)
{
    MU_BUF_AUTO(out, 1u << 20);
    const char *key;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)row, key, value) {
        const char *text = json_is_object(value) ? mu_document_text(value, language) : json_string_value(value);
        if (json_is_integer(value))
            text = mu_printf(arena, "%lld s", (long long)json_integer_value(value));
        if (text != NULL && text[0] != '\0')
            (void)(mu_buf_adds(&out, out.n > 0 ? " · " : "") && mu_buf_adds(&out, text));
    }
    return mu_strndup(arena, out.at != NULL ? out.at : "", out.n);
}

/* Lists are compared as texts with a line for each row. */
static json_t *
list_text(mu_arena *arena, const json_t *list)
{
    static const char *const languages[] = { "zh", "en" };
    json_t *out = mu_json_own(arena, json_object());
    const json_t *row;
    size_t i;

    for (size_t l = 0; l < MU_COUNT(languages); l++) {
        MU_BUF_AUTO(lines, 4u << 20);
        json_array_foreach(list, i, row) {
            const char *text = json_is_string(row) ? json_string_value(row) : row_text(arena, row, languages[l]);
            (void)(mu_buf_adds(&lines, text) && mu_buf_addc(&lines, '\n'));
        }
        json_object_set_new(out, languages[l], json_stringn(lines.at != NULL ? lines.at : "", lines.n));
    }
    return out;
}

static json_t *
compare(mu_arena *arena, const json_t *older, const json_t *newer)
{
    static const char *const lists[] = { "levels", "roles", "audiences", "services", "playbooks" };
    const json_t *was = json_object_get(older, "body"), *is = json_object_get(newer, "body"), *section;
    json_t *out = json_array();
    size_t i;

    compare_texts(arena, out, "title", NULL, json_object_get(older, "title"), json_object_get(newer, "title"));
    json_array_foreach(json_object_get(is, "sections"), i, section) {
        const char *id = mu_json_str(section, "id");
        compare_texts(arena, out, id, json_object_get(section, "title"), json_object_get(with_id(json_object_get(was, "sections"), "id", id), "text"), json_object_get(section, "text"));
    }
    json_array_foreach(json_object_get(was, "sections"), i, section)
        if (with_id(json_object_get(is, "sections"), "id", mu_json_str(section, "id")) == NULL)
            compare_texts(arena, out, mu_json_str(section, "id"), json_object_get(section, "title"), json_object_get(section, "text"), NULL);
    for (i = 0; i < MU_COUNT(lists); i++)
        compare_texts(arena, out, lists[i], NULL, list_text(arena, json_object_get(was, lists[i])), list_text(arena, json_object_get(is, lists[i])));
    return out;
}

mu_err
mu_api_plan_compare(mu_req *rq)
{
    json_t *body, *older, *newer, *found;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_plan_pair, mu_bind(rq, Q_plan_pair), &rows));
    TRY(mu_column_json(rq, rows, "body", &body));
    TRY(mu_column_json(rq, rows, "older", &older));
    TRY(mu_column_json(rq, rows, "newer", &newer));
    TRY(mu_commit(tx));
    found = compare(mu_req_arena(rq), older, newer);
    json_object_set_new(body, "same", json_boolean(json_array_size(found) == 0));
    json_object_set_new(body, "differences", found);
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}

/* ---- paper ---- */

mu_err
mu_api_plan_print(mu_req *rq)
{
    const char *language = mu_body(rq, "language") != NULL ? mu_body(rq, "language") : mu_req_language(rq);
    json_t *model, *playbooks;
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_plan_pack_model, ARGS(mu_path(rq, "plan"), mu_body(rq, "role"), language), &rows));
    TRY(mu_column_json(rq, rows, "model", &model));
    TRY(mu_column_json(rq, rows, "playbooks", &playbooks));
    fill_sections(mu_req_arena(rq), json_object_get(model, "sections"), playbooks, mu_json_str(model, "role"));
    TRY(mu_one(tx, Q_plan_pack_store, ARGS(mu_path(rq, "plan"), mu_json_text(mu_req_arena(rq), model)), &rows));
    return mu_reply_rows(rq, tx, rows);
}

mu_err
mu_api_plan_pack_file(mu_req *rq)
{
    const mu_rows *rows;
    void *bytes;
    size_t n;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_plan_pack_file, mu_bind(rq, Q_plan_pack_file), &rows));
    if (mu_col(rows, "media") == NULL)
        return mu_reply_rows(rq, tx, rows);
    if (!mu_unbase64(mu_req_arena(rq), mu_col(rows, "body"), &bytes, &n))
        return mu_failf(mu_req_problem(rq), MU_INTERNAL, "a document is not base64");
    TRY(mu_commit(tx));
    return mu_reply_bytes(rq, 200, mu_col(rows, "media"), mu_col(rows, "file_name"), bytes, n);
}

/* ---- activation ---- */

mu_err
mu_api_plan_activate(mu_req *rq)
{
    const mu_rows *made, *rows;
    json_t *runs;
    const json_t *run;
    size_t i;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    TRY(mu_one(tx, Q_plan_activate, mu_bind(rq, Q_plan_activate), &made));
    TRY(mu_column_json(rq, made, "runs", &runs));
    json_array_foreach(runs, i, run)
        TRY(mu_run_start(tx, mu_json_str(run, "run"), json_object_get(run, "start"), NULL, NULL, NULL));
    TRY(mu_one(tx, Q_plan_activated, ARGS(mu_path(rq, "incident")), &rows));
    mu_req_hint(rq, mu_printf(mu_req_arena(rq), "incident:%s *", mu_col(made, "ref")));
    return mu_reply_rows(rq, tx, rows);
}
