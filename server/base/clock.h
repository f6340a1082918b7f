/* Times and durations. Facts are stamped by the database (app_now()); here they are only read, written and compared.
 * An instant is microseconds since 1970-01-01T00:00:00Z. */
#ifndef MU_CLOCK_H
#define MU_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include "arena.h"

typedef int64_t mu_instant;
#define MU_SECOND INT64_C(1000000)

/* RFC 3339 and its relatives: 'Z', +08:00, +0800, fraction of 0-9 digits, 'T' or space. False when malformed. */
bool  mu_time_parse(const char *text, mu_instant *ret);
/* What an HTML datetime-local field sends: YYYY-MM-DDTHH:MM[:SS], in the site's zone. */
bool  mu_time_parse_local(const char *text, mu_instant *ret);
/* A day that exists, YYYY-MM-DD. */
bool  mu_date_valid(const char *text);
/* 2026-11-23T06:05:09.123Z */
char *mu_time_format(mu_arena *arena, mu_instant at);
void  mu_time_write(char ret[32], mu_instant at);   /* the same without an arena */

/* The calendar's reading of an instant at an offset east of UTC; month and day from 1. */
typedef struct { int64_t year; int month, day, hour, minute, second, micros; } mu_civil;
void    mu_time_civil(mu_instant at, int64_t offset_seconds, mu_civil *ret);
void    mu_civil_date(char ret[12], const mu_civil *c);     /* 2026-11-23 */
void    mu_civil_clock(char ret[8], const mu_civil *c);     /* 14:05 */
int64_t mu_time_offset(mu_instant at);              /* of the site's zone, in seconds */

/* strftime in the site's zone (the process's TZ, set once at start by mu_time_zone()). */
char *mu_time_local(mu_arena *arena, mu_instant at, const char *format);
bool  mu_time_zone(const char *iana_name);          /* before any thread starts; false when unknown */

/* "90s" "5m" "2h" "1d" "1h30m", "PT5M", "P1DT2H", "P2W": seconds, 0 to 10 years (3653 days). False when malformed. */
bool  mu_duration_parse(const char *text, int64_t *ret_seconds);
char *mu_duration_format(mu_arena *arena, int64_t seconds);   /* canonical short form: "90s" "5m" "2h" "1d" "1h30m" */

mu_instant mu_wall_now(void);          /* CLOCK_REALTIME: for log lines and leases, never for facts */
int64_t    mu_monotonic_ms(void);      /* CLOCK_MONOTONIC: for deadlines inside a process */

#endif
