/* A table of services comes in: bytes to rows here, everything else in the database. */
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include "handlers.h"
#include "bind.h"
#include "csv.h"
#include "json.h"
#include "str.h"

#define IMPORT_MEMORY ((size_t)1 << 30)
#define IMPORT_SECONDS 130   /* a little more than services_import_time gives the server */

static void free_big(void *arena)
{
    mu_arena_free(arena);
}

/* Spreadsheets of Chinese systems save GB 18030 unless told otherwise. False: neither that nor UTF-8. */
static bool to_utf8(mu_arena *arena, const char **text, size_t *n)
{
    if (mu_utf8_valid(*text, *n))
        return true;
    iconv_t cd = iconv_open("UTF-8", "GB18030");
    if (cd == (iconv_t)-1)
        return false;
    size_t room = *n * 2 + 16, left = room, in_left = *n;
    char *out = mu_alloc(arena, room), *to = out, *in = mu_alloc(arena, *n + 1);
    memcpy(in, *text, *n);
    bool fine = iconv(cd, &in, &in_left, &to, &left) != (size_t)-1 && in_left == 0;
    (void)iconv_close(cd);
    *text = out;
    *n = room - left;
    return fine && mu_utf8_valid(out, *n);
}

/* The uploaded file, or what was pasted. */
static mu_err table_text(mu_req *rq, mu_arena *arena, const char **text, size_t *n, const char **name)
{
    const json_t *file = json_object_get(mu_body_json(rq), "table");
    const char *coded = mu_json_str(file, "base64"), *pasted = mu_json_str(mu_body_json(rq), "text");
    void *bytes;

    *name = mu_json_str(file, "name");
    if (coded != NULL && coded[0] != '\0') {
        if (!mu_unbase64(arena, coded, &bytes, n))
            return mu_fail(mu_req_problem(rq), MU_INVALID, "/table", "error.import.unreadable", NULL);
        *text = bytes;
    } else if (pasted != NULL) {
        *text = pasted;
        *n = strlen(pasted);
    } else {
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/table", "error.import.nothing", NULL);
    }
    return to_utf8(arena, text, n) ? MU_OK : mu_fail(mu_req_problem(rq), MU_INVALID, "/table", "error.import.encoding", NULL);
}

/* What is wrong with the table is said beside the field it came in. */
static mu_err at_field(mu_req *rq, mu_err err)
{
    mu_fault *fault = mu_req_problem(rq)->first;

    if (fault != NULL && (fault->pointer == NULL || fault->pointer[0] == '\0'))
        fault->pointer = mu_json_str(json_object_get(mu_body_json(rq), "table"), "base64") != NULL ? "/table" : "/text";
    return err;
}

mu_err mu_api_services_import(mu_req *rq)
{
    mu_arena *big = mu_arena_new(IMPORT_MEMORY);   /* a hundred thousand rows do not fit into the memory of a request */
    const char *text = NULL, *name = NULL;
    json_t *columns, *all;
    const mu_rows *rows;
    mu_tx *tx;
    size_t n = 0;
    mu_err err;

    mu_defer(mu_req_arena(rq), free_big, big);
    TRY(mu_req_tx(rq, &tx));   /* whoever may not import is told so before the table is read */
    TRY(table_text(rq, big, &text, &n, &name));
    err = mu_csv_parse(big, text, n, mu_req_problem(rq), &columns, &all);
    if (err != MU_OK)
        return at_field(rq, err);
    if (json_array_size(all) == 0)
        return mu_fail(mu_req_problem(rq), MU_INVALID, "/table", "error.import.nothing", NULL);
    TRY(mu_req_tx(rq, &tx));
    mu_tx_patience(tx, IMPORT_SECONDS);
    TRY(mu_one(tx, Q_services_import_time, NO_ARGS, &rows));
    TRY(mu_one(tx, Q_services_import_check, mu_bind_with(rq, Q_services_import_check,
        ARGS("rows", mu_json_text(big, all), "columns", mu_json_text(big, columns), "file_name", name)), &rows));
    return mu_reply_rows(rq, tx, rows);
}

mu_err mu_api_services_import_confirm(mu_req *rq)
{
    const mu_rows *rows;
    mu_tx *tx;

    TRY(mu_req_tx(rq, &tx));
    mu_tx_patience(tx, IMPORT_SECONDS);
    TRY(mu_one(tx, Q_services_import_time, NO_ARGS, &rows));
    TRY(mu_one(tx, Q_services_import_confirm, mu_bind(rq, Q_services_import_confirm), &rows));
    return mu_reply_rows(rq, tx, rows);
}
