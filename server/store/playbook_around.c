#include "playbook_around.h"

#include <string.h>

#include "json.h"
#include "str.h"

/* The name a text gives itself, found without checking anything. */
static const char *
name_of(mu_arena *arena, const char *text, size_t n)
{
    mu_problem problem = { .arena = arena };
    json_t *doc = NULL;
    const char *slug;

    if (text[strspn(text, " \t\r\n")] == '{')
        (void)mu_json_parse(arena, text, n, &problem, &doc);
    else
        (void)mu_yaml_parse(arena, text, n, &problem, &doc, NULL);
    slug = mu_json_str(doc, "id");
    return slug != NULL && mu_is_slug(slug) ? slug : NULL;
}

mu_err
mu_playbook_look(mu_tx *tx, const char *slug, bool publishing, const char *text, size_t n, mu_findings *findings, json_t **ret_doc, mu_playbook **ret)
{
    const char *own = name_of(mu_tx_arena(tx), text, n);
    const mu_rows *rows;
    json_t *around;

    *ret_doc = NULL;
    *ret = NULL;
    TRY(mu_one(tx, Q_playbook_around, ARGS(own != NULL ? own : slug, publishing ? "true" : "false"), &rows));
    TRY(mu_json_parse(mu_tx_arena(tx), mu_col(rows, "around"), strlen(mu_col(rows, "around")), mu_tx_problem(tx), &around));
    mu_findings_start(findings, mu_tx_arena(tx));
    findings->around = around;
    (void)mu_playbook_read(mu_tx_arena(tx), text, n, findings, ret_doc, ret);
    return MU_OK;
}
