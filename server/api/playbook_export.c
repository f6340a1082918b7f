/* A version of a playbook as a file: YAML for people and repositories, JSON, or CACAO 2.0 for other organisations' tools. */
#include <stdlib.h>
#include <string.h>
#include "cacao.h"
#include "handlers.h"
#include "str.h"

mu_err mu_api_playbook_export(mu_req *rq)
{
    static const struct { const char *format, *media, *ending; } kinds[] = {
        { "yaml", "application/yaml; charset=utf-8", "yaml" }, { "json", "application/json", "json" }, { "cacao", MU_CACAO_MEDIA_TYPE, "cacao.json" },
    };
    const char *format = mu_query_field(rq, "format"), *readers = mu_query_field(rq, "audience"), *text;
    mu_arena *arena = mu_req_arena(rq);
    mu_audience audience = MU_AUDIENCE_ORGANISATION;
    const mu_rows *rows;
    size_t kind = 0;
    mu_tx *tx;
    mu_err err = mu_req_tx(rq, &tx);

    if (err == MU_OK)
        err = mu_one(tx, Q_playbook_source, ARGS(mu_path(rq, "playbook"), mu_path(rq, "version")), &rows);
    if (err != MU_OK)
        return err;
    for (size_t i = 0; i < MU_COUNT(kinds); i++)
        kind = mu_same(format, kinds[i].format) ? i : kind;
    (void)mu_audience_find(readers, &audience);   /* the field takes only words that are known */
    const mu_version version = { mu_col(rows, "document"), mu_col(rows, "format"), mu_col(rows, "source"), (unsigned)strtoul(mu_col(rows, "version"), NULL, 10),
        mu_col(rows, "created"), mu_col(rows, "modified") };
    if ((err = mu_version_text(arena, &version, kinds[kind].format, audience, mu_req_problem(rq), &text)) != MU_OK || (err = mu_commit(tx)) != MU_OK)
        return err;
    return mu_reply_bytes(rq, 200, kinds[kind].media, mu_printf(arena, "%s-%s.%s", mu_path(rq, "playbook"), mu_path(rq, "version"), kinds[kind].ending), text, strlen(text));
}
