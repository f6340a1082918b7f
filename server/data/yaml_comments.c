/* Comments are what stands between two tokens and begins with #: nothing inside a quoted or block scalar is taken for one. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "mu_yaml.h"

/* The place `count` characters further on; marks of libyaml count characters, not bytes. */
static size_t forward(const char *text, size_t n, size_t at, size_t count)
{
    for (; at < n && count > 0; count--)
        for (at++; at < n && ((unsigned char)text[at] & 0xc0) == 0x80; at++)
            ;
    return at;
}

bool mu_yaml_has_comments(const char *text, size_t n)
{
    yaml_parser_t parser;
    size_t at = 0, seen = 0;
    bool found = false, more = true;

    if (memchr(text, '#', n) == NULL || !yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
    while (more && !found) {
        yaml_token_t token;
        if (!yaml_parser_scan(&parser, &token))
            break;
        if (token.start_mark.index > seen) {
            const size_t next = forward(text, n, at, token.start_mark.index - seen);
            found = memchr(text + at, '#', next - at) != NULL;
            at = next;
            seen = token.start_mark.index;
        }
        if (token.end_mark.index > seen) {
            at = forward(text, n, at, token.end_mark.index - seen);
            seen = token.end_mark.index;
        }
        more = token.type != YAML_STREAM_END_TOKEN;
        yaml_token_delete(&token);
    }
    yaml_parser_delete(&parser);
    return found;
}
