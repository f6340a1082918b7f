#include <strings.h>

#include "fuzz.h"
#include "md.h"

/* The only markup is ours, and the only schemes are the three allowed ones. */
static void md_tags(const char *html)
{
    static const char *const tags[] = { "h3>", "h4>", "h5>", "h6>", "p>", "strong>", "em>", "code>", "del>", "ul>", "ol>", "ol start=\"", "li>",
                                        "blockquote>", "hr>", "pre>", "table>", "thead>", "tbody>", "tr>", "th>", "td>", "br>", "a>",
                                        "a href=\"http", "a href=\"mailto:", "a href=\"HTTP" };
    for (const char *at = strchr(html, '<'); at != NULL; at = strchr(at, '<')) {
        at++;
        if (*at == '/')
            at++;
        bool known = false;
        for (size_t i = 0; i < MU_COUNT(tags); i++)
            known = known || strncasecmp(at, tags[i], strlen(tags[i])) == 0;
        HOLDS(known);
    }
}

FUZZ_TARGET(md)
{
    mu_buf html = MU_BUF(1000000), plain = MU_BUF(1000000);
    if (mu_md_html((const char *)data, n, &html) && html.at != NULL)
        md_tags(html.at);
    (void)mu_md_plain((const char *)data, n, &plain);
    mu_buf_free(&html);
    mu_buf_free(&plain);
    return 0;
}
