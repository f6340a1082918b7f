/* Prototypes of all handlers, from the route rows; every .c file of this folder includes it. */
#ifndef MU_HANDLERS_H
#define MU_HANDLERS_H

#include "http.h"

#define BODY(name)
#define F(...)
#define ENDBODY
#define FN(function) mu_err function(mu_req *rq);
#define SQL(query)
#define ROUTE(name, method, path, role, body, query, how, page, flags, summary) how
#include "api.def"
#undef BODY
#undef F
#undef ENDBODY
#undef ROUTE
#undef FN
#undef SQL

#endif
