#include "clock.h"
#include "fuzz.h"

FUZZ_TARGET(clock)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    const char *text = mu_strndup(arena, (const char *)data, n);
    mu_instant at, again;
    if (mu_time_parse(text, &at) && at / MU_SECOND > -INT64_C(62135596800) && at / MU_SECOND < INT64_C(253402300800)) {
        HOLDS(mu_time_parse(mu_time_format(arena, at), &again));
        HOLDS(at - again >= 0 && at - again < 1000);
        (void)mu_time_offset(at);
    }
    if (mu_time_parse_local(text, &at))
        (void)mu_time_format(arena, at);
    (void)mu_date_valid(text);
    int64_t seconds, same;
    if (mu_duration_parse(text, &seconds))
        HOLDS(seconds >= 0 && mu_duration_parse(mu_duration_format(arena, seconds), &same) && same == seconds);
    mu_arena_free(arena);
    return 0;
}
