/* Parameters of a query that are not in the request: hashes, sealed secrets. */
#ifndef MU_BIND_H
#define MU_BIND_H

#include "http.h"

/* mu_bind(), then `pairs` (name, value, name, value, …, NULL) put in by name; a value may be NULL. A name the query has not is a
 * mistake of ours and is left out. Owner: the arena of the request. */
const char *const *mu_bind_with(mu_req *rq, enum mu_query_id query, const char *const *pairs);

/* A path of this site that a form may send people to afterwards, else `fallback`. Never another host. */
const char *mu_own_path(const char *path, const char *fallback);

#endif
