/* Which of the two languages a caller reads. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "req.h"

static const char *known(const char *tag, size_t n)
{
    if (n >= 2 && strncasecmp(tag, "zh", 2) == 0 && (n == 2 || tag[2] == '-'))
        return "zh";
    if (n >= 2 && strncasecmp(tag, "en", 2) == 0 && (n == 2 || tag[2] == '-'))
        return "en";
    return NULL;
}

/* Weight in thousandths of ";q=0.8" (RFC 9110, 12.4.2); 1000 without one, 0 when malformed. */
static int weight(const char *params, size_t n)
{
    const char *q = memchr(params, '=', n), *end = params + n;
    int value, scale = 100;

    if (n == 0)
        return 1000;
    if (q == NULL || q + 1 == end || (q[1] != '0' && q[1] != '1'))
        return 0;
    value = (q[1] - '0') * 1000;
    if (q + 2 < end && q[2] == '.')
        for (const char *digit = q + 3; digit < end && *digit >= '0' && *digit <= '9' && scale > 0; digit++, scale /= 10)
            value += (*digit - '0') * scale;
    return value > 1000 ? 1000 : value;
}

static const char *best_of(const char *accept)
{
    const char *best = NULL;
    int best_weight = 0;

    while (*accept != '\0') {
        const char *end = strchrnul(accept, ',');
        size_t tag_n, n;
        accept += strspn(accept, " \t");
        if (accept > end)
            break;
        n = (size_t)(end - accept);
        tag_n = strcspn(accept, "; \t,");
        const char *language = known(accept, tag_n < n ? tag_n : n);
        const int w = language != NULL ? weight(accept + (tag_n < n ? tag_n : n), n - (tag_n < n ? tag_n : n)) : 0;
        if (w > best_weight) {
            best = language;
            best_weight = w;
        }
        accept = *end == ',' ? end + 1 : end;
    }
    return best;
}

/* What was asked for in the address wins, so that a link to the other language works for everybody; then the choice kept
 * in the cookie, then what the browser says, then the site's own. */
const char *mu_language_of(const char *accept, const char *cookie, const char *asked, const char *fallback)
{
    const char *found = asked != NULL ? known(asked, strlen(asked)) : NULL;

    if (found == NULL && cookie != NULL)
        found = known(cookie, strlen(cookie));
    if (found == NULL && accept != NULL)
        found = best_of(accept);
    if (found == NULL && fallback != NULL)
        found = known(fallback, strlen(fallback));
    return found != NULL ? found : "zh";
}
