#include "fuzz.h"
#include "cacao.h"
#include "json.h"
#include "mu_yaml.h"
#include "playbook.h"

/* A document the engine takes goes out and comes back equal, and nothing in the file is one we would reject ourselves. */
static void cacao_there_and_back(mu_arena *arena, const json_t *doc)
{
    static const mu_export_options options = { .version = 1, .created = "2026-11-25T00:00:00Z", .modified = "2026-11-25T00:00:00Z" };
    mu_problem problem = { .arena = arena };
    mu_findings findings;
    mu_playbook *playbook;
    mu_import in;
    json_t *file, *list;

    mu_findings_start(&findings, arena);
    (void)mu_playbook_parse(arena, doc, NULL, &findings, &playbook);
    if (mu_cacao_export(arena, doc, &options, &problem, &file) != MU_OK) {
        HOLDS(problem.count > 0);
        return;
    }
    const char *text = mu_cacao_text(arena, file);
    HOLDS(text != NULL);
    const size_t n = strlen(text);
    const mu_cacao_verdict verdict = mu_cacao_check(arena, text, n, &list, NULL);
    const mu_err err = mu_playbook_import(arena, text, n, NULL, &in);
    if (playbook == NULL || n > MU_CACAO_BYTES || strcmp(mu_json_str(json_array_get(list, 0), "id") != NULL ? mu_json_str(json_array_get(list, 0), "id") : "", "C001") == 0)
        return;   /* too large or too deep as a file */
    HOLDS(verdict != MU_CACAO_REJECT);
    HOLDS(err == MU_OK);
    HOLDS(json_equal(in.document, doc));
}

FUZZ_TARGET(cacao)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_problem problem = { .arena = arena };
    mu_import in;
    json_t *again;

    if (n <= 32768) {
        const char *text = mu_strndup(arena, (const char *)data, n);
        const mu_err err = mu_playbook_import(arena, text, n, NULL, &in);
        HOLDS((err == MU_OK) == (in.document != NULL));
        HOLDS(json_is_array(in.findings) && json_is_array(in.signatures));
        HOLDS(in.document != NULL || in.errors > 0);
        if (in.document != NULL) {
            const char *yaml = mu_playbook_yaml(arena, in.document);
            if (yaml != NULL) {
                HOLDS(mu_yaml_parse(arena, yaml, strlen(yaml), &problem, &again, NULL) == MU_OK);
                HOLDS(json_equal(again, in.document));
            }
            cacao_there_and_back(arena, in.document);
        }
    }
    mu_arena_free(arena);
    return 0;
}
