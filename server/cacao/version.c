/* A stored version as a file. What was imported and never edited goes out as it came in, byte for byte. */
#include "cacao_private.h"

#include <string.h>

#include "crypto.h"
#include "json.h"
#include "playbook.h"
#include "str.h"

/* The marking of the file the version was made of, or that the document keeps. */
static mu_err allowed(const mu_version *v, const char *source, const json_t *doc, mu_arena *arena, mu_audience audience, mu_problem *problem)
{
    if (source != NULL && mu_same(v->source_format, "cacao-2.0"))
        TRY(mu_cacao_export_source(arena, source, strlen(source), audience, problem));
    return mu_cacao_allows(json_object_get(json_object_get(doc, "x-cacao"), "playbook"), audience, problem);
}

mu_err mu_version_text(mu_arena *arena, const mu_version *v, const char *format, mu_audience audience, mu_problem *problem, const char **ret)
{
    const mu_export_options options = { .version = v->version, .created = v->created, .modified = v->modified, .audience = audience };
    const char *source = v->source;
    json_t *doc, *file;

    TRY(mu_json_parse(arena, v->document, strlen(v->document), problem, &doc));
    if (source != NULL && mu_starts(source, "s1:") && (source = mu_unseal(arena, source)) == NULL)
        return mu_fail(problem, MU_INVALID, "", "error.cacao.sealed", NULL);
    TRY(allowed(v, source, doc, arena, audience, problem));
    if (mu_same(format, "cacao") && mu_same(v->source_format, "cacao-2.0") && source != NULL) {
        *ret = source;
    } else if (mu_same(format, "cacao")) {
        TRY(mu_cacao_export(arena, doc, &options, problem, &file));
        *ret = mu_cacao_text(arena, file);
    } else if (mu_same(format, "json")) {
        *ret = mu_cacao_text(arena, doc);
    } else {
        *ret = mu_same(v->source_format, "muster-yaml") && source != NULL ? source : mu_playbook_yaml(arena, doc);
    }
    return *ret != NULL ? MU_OK : mu_fail(problem, MU_INVALID, "", "error.cacao.form", "name", format, NULL);
}
