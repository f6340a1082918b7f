/* Outgoing addresses as text. libcurl's own parser reads them, so the checker and the dialler cannot disagree. */
#ifndef MU_URL_H
#define MU_URL_H

#include "address.h"

/* NULL when the URL may be called, else the key of the reason: error.url.malformed, .scheme (https only, or http by setting),
 * .user_info, .host (empty or not ASCII: write its A-label), .port (a well-known port of another protocol), .fragment,
 * .address (a literal address the policy refuses), .too_long (over MU_URL_MAX bytes). Static. */
const char *mu_url_fault(const char *url, bool http, const mu_cidrs *allow);

#define MU_URL_MAX 2048

/* scheme://host:port/…abcd: what may be shown in logs and pages, since paths and queries of hooks are secrets. At most the last
 * four characters are kept, and none of a short path. "?" when it cannot be parsed. Owner: the arena. */
char *mu_url_redacted(mu_arena *arena, const char *url);

#endif
