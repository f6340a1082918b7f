/* The rehearsal of a version: nothing is stored and nobody is told, so every choice is part of the address and the page can be sent
 * to a colleague. */
#include <string.h>
#include "figures.h"
#include "handlers.h"
#include "json.h"
#include "playbook.h"
#include "rehearse.h"
#include "str.h"

/* Documents of the playbooks that may be called, slug -> document; read once each. */
typedef struct { mu_arena *arena; const json_t *documents; const char *slugs[64]; const mu_playbook *read[64]; size_t count; } shelf;

static const mu_playbook *find(void *closure, const char *slug, int64_t version)
{
    shelf *s = closure;
    const json_t *document = json_object_get(s->documents, slug);
    mu_playbook *playbook = NULL;
    mu_findings findings;

    (void)version;   /* the query gives the version that a run would take today */
    for (size_t i = 0; i < s->count; i++)
        if (mu_same(s->slugs[i], slug))
            return s->read[i];
    if (document == NULL || s->count == MU_COUNT(s->read))
        return NULL;
    mu_findings_start(&findings, s->arena);
    (void)mu_playbook_parse(s->arena, document, NULL, &findings, &playbook);
    s->slugs[s->count] = mu_strdup(s->arena, slug);
    s->read[s->count++] = playbook;
    return playbook;
}

/* ["step=value", …] as {"step": value}. */
static mu_err read_choices(mu_req *rq, json_t *choices)
{
    const char *text = mu_query_field(rq, "choose");
    json_t *list = NULL, *one;
    size_t i;

    if (text == NULL)
        return MU_OK;
    TRY(mu_json_parse(mu_req_arena(rq), text, strlen(text), mu_req_problem(rq), &list));
    json_array_foreach(list, i, one) {
        const char *word = json_string_value(one), *equal = word == NULL ? NULL : strchr(word, '=');
        if (equal == NULL || equal == word)
            return mu_fail(mu_req_problem(rq), MU_INVALID, "/choose", "error.rehearsal.choice", NULL);
        if (equal[1] != '\0')
            json_object_set_new(choices, mu_strndup(mu_req_arena(rq), word, (size_t)(equal - word)), json_string(equal + 1));
    }
    return MU_OK;
}

/* Options as the form sends them back: "step=value", with the one that was taken marked; the empty one leaves it open. */
static void offer(mu_arena *arena, json_t *told, const json_t *choices)
{
    json_t *choice, *option;
    size_t i, k;

    json_array_foreach(json_object_get(told, "choices"), i, choice) {
        const char *name = mu_json_str(choice, "name");
        json_array_foreach(json_object_get(choice, "options"), k, option) {
            const json_t *value = json_object_get(option, "value");
            const char *text = json_is_string(value) ? json_string_value(value) : mu_json_text(arena, value);
            json_object_set_new(option, "send", json_string(mu_printf(arena, "%s=%s", name, text)));
            json_object_set_new(option, "label", json_object_get(option, "zh") != NULL || json_object_get(option, "en") != NULL
                ? json_pack("{s:O*, s:O*}", "zh", json_object_get(option, "zh"), "en", json_object_get(option, "en")) : json_string(text));
            json_object_set_new(option, "is_chosen", json_boolean(mu_same(json_string_value(json_object_get(choices, name)), text)));
            json_object_set_new(option, "is_taken", json_boolean(json_equal(value, json_object_get(choice, "chosen"))));
            json_object_set_new(option, "is_answer", json_boolean(mu_same(mu_json_str(choice, "kind"), "approve")));
        }
    }
}

/* A value of a line of the walk, as a text for people: an item's words, or what was written. */
static void name_values(mu_arena *arena, json_t *told)
{
    json_t *line;
    size_t i;

    json_array_foreach(json_object_get(told, "walk"), i, line) {
        const json_t *value = json_object_get(line, "value");
        if (value != NULL && !json_is_null(value) && !json_is_string(value))
            json_object_set_new(line, "value", json_object_get(value, "zh") != NULL || json_object_get(value, "en") != NULL
                ? json_pack("{s:O*, s:O*}", "zh", json_object_get(value, "zh"), "en", json_object_get(value, "en")) : json_string(mu_json_text(arena, value)));
    }
}

static json_t *parse(mu_req *rq, const char *text, mu_err *err)
{
    json_t *tree = NULL;

    if (*err == MU_OK)
        *err = mu_json_parse(mu_req_arena(rq), text, strlen(text), mu_req_problem(rq), &tree);
    return tree;
}

mu_err mu_api_playbook_rehearse(mu_req *rq)
{
    mu_arena *arena = mu_req_arena(rq);
    json_t *choices = mu_json_own(arena, json_object()), *body, *document, *around, *told;
    const char *seed = mu_query_field(rq, "seed");
    shelf called = { .arena = arena };
    mu_rehearsal how = { .choices = choices, .severity = mu_query_field(rq, "severity"), .find = find, .closure = &called };
    mu_playbook *playbook = NULL;
    mu_findings findings;
    const mu_rows *rows;
    int64_t number = 0;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_playbook_rehearsal, ARGS(mu_path(rq, "playbook"), mu_path(rq, "version")), &rows);
    if (err == MU_OK)
        err = read_choices(rq, choices);
    if (err != MU_OK)
        return err;
    body = parse(rq, mu_col(rows, "body"), &err);
    document = parse(rq, mu_col(rows, "document"), &err);
    around = parse(rq, mu_col(rows, "around"), &err);
    if (err != MU_OK || (err = mu_commit(tx)) != MU_OK)
        return err;
    if (seed != NULL && mu_parse_int(seed, 0, INT64_MAX, &number))
        how.seed = (uint64_t)number;
    how.roles = json_object_get(around, "roles");
    how.profile = mu_json_own(arena, mu_profile_figures(arena, around));
    called.documents = json_object_get(around, "playbooks");
    mu_findings_start(&findings, arena);
    (void)mu_playbook_parse(arena, document, NULL, &findings, &playbook);
    if (playbook == NULL)
        return mu_fail(mu_req_problem(rq), MU_CONFLICT, NULL, "error.playbook.findings", NULL);
    if (mu_rehearse(arena, playbook, &how, &told) != MU_OK)
        return mu_fail(mu_req_problem(rq), MU_CONFLICT, NULL, "error.rehearsal.start", NULL);
    offer(arena, told, choices);
    name_values(arena, told);
    json_object_set(body, "rehearsal", told);
    json_object_set_new(body, "seed", json_integer(number));
    json_object_set_new(body, "next_seed", json_integer(number + 1));
    json_object_set_new(body, "has_choices", json_boolean(json_array_size(json_object_get(told, "choices")) > 0));
    return mu_reply_json(rq, 200, json_incref(body), NULL);
}
