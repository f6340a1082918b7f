/* What stands between handlers and queries: parameters that are not in the request (hashes, sealed secrets), and columns that hold documents. */
#ifndef MU_BIND_H
#define MU_BIND_H

#include "http.h"

/* mu_bind(), then `pairs` (name, value, name, value, …, NULL) put in by name; a value may be NULL. A name the query has not is a
 * mistake of ours and is left out. Owner: the arena of the request. */
const char *const *mu_bind_with(mu_req *rq, enum mu_query_id query, const char *const *pairs);

/* A column of the first row that holds a document of ours; *ret is NULL where the column is. Owner: the arena of the request. */
mu_err mu_column_json(mu_req *rq, const mu_rows *rows, const char *name, json_t **ret);

/* A path of this site that a form may send people to afterwards, else `fallback`. Never another host. */
const char *mu_own_path(const char *path, const char *fallback);

#endif
