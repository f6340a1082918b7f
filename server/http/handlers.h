/* Prototypes of all handlers, from the route rows; read by the route table and by every .c file of api/. */
#ifndef MU_HANDLERS_H
#define MU_HANDLERS_H

#include "http.h"

#define BODY(name)
#define F(...)
#define ENDBODY
#define FN(function) mu_err function(mu_req *rq);
#define SQL(query)
#define ROUTE(name, method, path, role, body, query, how, page, flags, summary) how
#include "../api/api.def"
#undef BODY
#undef F
#undef ENDBODY
#undef ROUTE
#undef FN
#undef SQL

#endif
