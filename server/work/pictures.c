#include "pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf.h"
#include "document.h"
#include "json.h"
#include "log.h"
#include "process.h"
#include "str.h"

#define LEASE       90             /* seconds; longer than the deadline of the program */
#define DEADLINE_MS 45000
#define SVG_MAX     (4u << 20)

typedef struct { const char *sha256, *language, *token, *document, *slug; } order;

static bool
claim(const mu_outbox *outbox, mu_arena *arena, order *ret)
{
    mu_problem problem = { .arena = arena };
    const mu_rows *rows;
    mu_tx *tx;

    if (mu_tx_begin(outbox->db, arena, &problem, &tx) != MU_OK)
        return false;
    const int index = mu_tx_queue(tx, Q_picture_claim, ARGS(mu_printf(arena, "%d", LEASE)));
    if (mu_commit(tx) != MU_OK)
        return false;
    rows = mu_tx_rows(tx, index);
    if (mu_rows_count(rows) == 0)
        return false;
    *ret = (order){ mu_col(rows, "sha256"), mu_col(rows, "language"), mu_col(rows, "token"), mu_col(rows, "document"), mu_col(rows, "slug") };
    return true;
}

static mu_err
settle(const mu_outbox *outbox, mu_arena *arena, const order *job, const char *svg, const char *error)
{
    mu_problem problem = { .arena = arena };
    mu_tx *tx;

    TRY(mu_tx_begin(outbox->db, arena, &problem, &tx));
    mu_tx_queue(tx, Q_picture_done, ARGS(job->sha256, job->language, job->token, svg, error));
    return mu_commit(tx);
}

/* dot reads its source on standard input and writes the picture to standard output: it needs no file at all. */
static const char *
draw(mu_arena *arena, const char *directory, const char *source, const char **ret)
{
    char *const argv[] = { mu_strdup(arena, "muster"), mu_strdup(arena, "document-child"), mu_strdup(arena, directory),
                           mu_strdup(arena, mu_conf_text(MU_CONF_REPORT_DOT)), mu_strdup(arena, "-Tsvg"), NULL };
    char *const env[] = { mu_strdup(arena, "PATH=/usr/local/bin:/usr/bin:/bin"), mu_strdup(arena, "LANG=C.UTF-8"), mu_printf(arena, "HOME=%s", directory), NULL };
    mu_process p = { .program = mu_process_self(), .argv = argv, .env = env, .input = source, .input_n = strlen(source), .deadline_ms = DEADLINE_MS, .output_max = SVG_MAX };
    const char *error = "error.picture.failed", *svg;

    mu_process_run(&p, 1);
    if (p.end == MU_PROCESS_EXITED && p.code == 127)
        error = "error.picture.missing";
    else if (p.end == MU_PROCESS_EXITED && p.code == 0 && p.output.n > 0 && mu_utf8_valid(p.output.at, p.output.n)) {
        /* Without the XML prologue, which names a file of another house. */
        char *text = mu_strndup(arena, p.output.at, p.output.n);
        svg = strstr(text, "<svg"); /* allowed: looked for, not written */
        if (svg != NULL) {
            *ret = svg;
            error = NULL;
        }
    }
    if (error != NULL)
        mu_log(MU_LOG_WARN, "picture.failed", "end=%d code=%d said=\"%.*s\"", (int)p.end, p.code, (int)(p.errors.n < 200 ? p.errors.n : 200), p.errors.at != NULL ? p.errors.at : "");
    mu_buf_free(&p.output);
    mu_buf_free(&p.errors);
    return error;
}

bool
mu_picture_one(const mu_outbox *outbox, const char *root)
{
    mu_arena *arena MU_CLEAN(mu_arena_freep) = mu_arena_new(128u << 20);
    mu_problem problem = { .arena = arena };
    const char *svg = NULL, *error = "error.picture.failed", *source = NULL;
    json_t *document = NULL;
    order job;

    if (!claim(outbox, arena, &job))
        return false;
    if (job.document != NULL && mu_json_parse(arena, job.document, strlen(job.document), &problem, &document) == MU_OK)
        source = mu_document_dot(arena, document, job.language);
    if (source != NULL)
        error = draw(arena, root, source, &svg);
    if (settle(outbox, arena, &job, svg, error) != MU_OK)
        return false;
    if (job.slug != NULL)
        mu_hint(outbox->db, mu_printf(arena, "playbook:%s *", job.slug));
    return true;
}
