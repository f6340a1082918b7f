/* Parameters of a query that are not in the request, and where a form may send people afterwards. */
#include <string.h>
#include "bind.h"
#include "json.h"
#include "str.h"

const char *const *mu_bind_with(mu_req *rq, enum mu_query_id query, const char *const *pairs)
{
    const mu_query_row *row = &mu_query_info[query];
    const char *const *bound = mu_bind(rq, query);
    const char **out = mu_alloc(mu_req_arena(rq), ((size_t)row->nparams + 1) * sizeof *out);

    for (int i = 0; i < row->nparams; i++) {
        out[i] = bound[i];
        for (const char *const *pair = pairs; pair[0] != NULL; pair += 2)
            if (mu_same(pair[0], row->params[i]))
                out[i] = pair[1];
    }
    return out;
}

mu_err mu_column_json(mu_req *rq, const mu_rows *rows, const char *name, json_t **ret)
{
    const char *text = mu_col(rows, name);

    *ret = NULL;
    return text != NULL ? mu_json_parse(mu_req_arena(rq), text, strlen(text), mu_req_problem(rq), ret) : MU_OK;
}

const char *mu_own_path(const char *path, const char *fallback)
{
    if (path == NULL || path[0] != '/' || path[1] == '/' || path[1] == '\\' || strlen(path) > 2000)
        return fallback;
    for (const char *at = path; *at != '\0'; at++)
        if ((unsigned char)*at <= ' ' || *at == '\\' || *at == 127)
            return fallback;
    return path;
}
