#include "fuzz.h"
#include "str.h"

/* Path segments and form values; times and numbers ride along, since they are read from the same places. */
FUZZ_TARGET(url)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_slice in = { (const char *)data, n };
    char *out;
    size_t out_n;
    if (mu_url_decode(arena, in, false, &out, &out_n)) {
        HOLDS(strlen(out) == out_n && mu_utf8_valid(out, out_n));
        HOLDS(strcmp(out, "..") != 0 && strcmp(out, ".") != 0);
        char *again;
        mu_slice encoded = { mu_url_encode(arena, out), 0 };
        encoded.n = strlen(encoded.at);
        if (strchr(out, '/') == NULL)
            HOLDS(mu_url_decode(arena, encoded, false, &again, NULL) && strcmp(again, out) == 0);
    }
    if (mu_url_decode(arena, in, true, &out, &out_n)) {
        HOLDS(mu_utf8_count(out, out_n) <= out_n);
        for (size_t max = 0; max <= out_n && max < 20; max++)
            HOLDS(mu_utf8_valid(out, mu_utf8_cut(out, out_n, max)));
        (void)mu_has_control(out, out_n, true);
        (void)mu_is_email(out);
        (void)mu_is_ref(out);
        (void)mu_is_uuid(out);
        int64_t number;
        (void)mu_parse_int(out, INT64_MIN, INT64_MAX, &number);
    }
    char *text = mu_strndup(arena, (const char *)data, n);
    void *bytes;
    if (mu_unbase64(arena, text, &bytes, &out_n))
        HOLDS(out_n <= n);
    if (mu_unhex(arena, text, &bytes, &out_n))
        HOLDS(out_n * 2 == strlen(text));
    mu_arena_free(arena);
    return 0;
}
