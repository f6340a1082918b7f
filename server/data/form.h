/* Form bodies. Both decoders make the object that mu_spec_check() takes with form = true: names to strings, repeated names to
 * arrays. Empty values are left out: an empty field means "not given". Names with dots stay as they are. */
#ifndef MU_FORM_H
#define MU_FORM_H

#include <jansson.h>
#include "base.h"

#define MU_FORM_FIELDS_MAX 2000

/* application/x-www-form-urlencoded, also a query string. Invalid UTF-8, bad escapes and %00 are faults (MU_MALFORMED). */
mu_err mu_form_urlencoded(mu_arena *arena, const char *body, size_t n, mu_problem *problem, json_t **ret);

/* multipart/form-data (RFC 7578). Files become {"name","type","size","base64"}. */
mu_err mu_form_multipart(mu_arena *arena, const char *content_type, const char *body, size_t n, mu_problem *problem, json_t **ret);

#endif
