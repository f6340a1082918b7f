/* The calendar is computed here (proleptic Gregorian, days since 1970-03-01 shifted eras), because the C library's
 * converters know only the process's zone and are slow under a lock. Zone offsets still come from the C library. */
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Days since 1970-01-01. Years are counted from March, so that the leap day is the last one. */
static int64_t days_of(int64_t year, int month, int day)
{
    if (month <= 2)
        year--;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2 ? 1 : 0);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

static int days_in(int64_t year, int month)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Reads exactly n digits. */
static bool number(const char **text, int n, int *ret)
{
    int value = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit((*text)[i]))
            return false;
        value = value * 10 + ((*text)[i] - '0');
    }
    *text += n;
    *ret = value;
    return true;
}

static bool literal(const char **text, char c)
{
    if (**text != c)
        return false;
    (*text)++;
    return true;
}

static bool date(const char **text, int *year, int *month, int *day)
{
    return number(text, 4, year) && literal(text, '-') && number(text, 2, month) && literal(text, '-')
        && number(text, 2, day) && *year >= 1 && *month >= 1 && *month <= 12 && *day >= 1 && *day <= days_in(*year, *month);
}

bool mu_date_valid(const char *text)
{
    int year, month, day;
    return date(&text, &year, &month, &day) && *text == '\0';
}

static bool offset_of(const char **text, int64_t *ret_seconds)
{
    if (literal(text, 'Z') || literal(text, 'z')) {
        *ret_seconds = 0;
        return true;
    }
    int sign = **text == '-' ? -1 : 1, hours, minutes = 0;
    if (!literal(text, '+') && !literal(text, '-'))
        return false;
    if (!number(text, 2, &hours))
        return false;
    if (literal(text, ':')) {
        if (!number(text, 2, &minutes))
            return false;
    } else if (is_digit(**text) && !number(text, 2, &minutes)) {
        return false;
    }
    if (hours > 18 || minutes > 59)
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool mu_time_parse(const char *text, mu_instant *ret)
{
    int year, month, day, hour, minute, second;
    if (!date(&text, &year, &month, &day))
        return false;
    if (!literal(&text, 'T') && !literal(&text, 't') && !literal(&text, ' '))
        return false;
    if (!number(&text, 2, &hour) || !literal(&text, ':') || !number(&text, 2, &minute) || !literal(&text, ':')
        || !number(&text, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    int64_t micros = 0;
    if (literal(&text, '.')) {
        int digits = 0;
        for (int64_t unit = 100000; is_digit(*text) && digits < 9; text++, digits++, unit /= 10)
            micros += unit * (*text - '0'); /* unit is 0 behind the sixth digit */
        if (digits == 0)
            return false;
    }
    int64_t offset;
    if (!offset_of(&text, &offset) || *text != '\0')
        return false;
    int64_t seconds = days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    *ret = seconds * MU_SECOND + micros;
    return true;
}

bool mu_time_parse_local(const char *text, mu_instant *ret)
{
    int year, month, day, hour, minute, second = 0;
    if (!date(&text, &year, &month, &day) || (!literal(&text, 'T') && !literal(&text, ' ')))
        return false;
    if (!number(&text, 2, &hour) || !literal(&text, ':') || !number(&text, 2, &minute) || hour > 23 || minute > 59)
        return false;
    if (literal(&text, ':') && (!number(&text, 2, &second) || second > 59))
        return false;
    if (*text != '\0')
        return false;
    struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour, .tm_min = minute,
                     .tm_sec = second, .tm_isdst = -1 };
    *ret = (mu_instant)mktime(&tm) * MU_SECOND;
    return true;
}

void mu_time_civil(mu_instant at, int64_t offset_seconds, mu_civil *ret)
{
    int64_t second = floor_div(at, MU_SECOND) + offset_seconds;
    int64_t day = floor_div(second, 86400);
    int64_t of_day = second - day * 86400;
    date_of(day, &ret->year, &ret->month, &ret->day);
    ret->hour = (int)(of_day / 3600);
    ret->minute = (int)(of_day / 60 % 60);
    ret->second = (int)(of_day % 60);
    ret->micros = (int)(at % MU_SECOND + (at % MU_SECOND < 0 ? MU_SECOND : 0));
}

/* Printed by hand: pages show times by the hundred, and printf was a fifth of their cost. */
static char *digits(char *to, int n, int value)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + n;
}

static char *letter(char *to, char c)
{
    *to = c;
    return to + 1;
}

static int year_of(const mu_civil *c)
{
    return c->year < 0 ? 0 : c->year > 9999 ? 9999 : (int)c->year; /* not a time of ours; keep the form whatever happens */
}

void mu_civil_date(char ret[12], const mu_civil *c)
{
    char *to = letter(digits(ret, 4, year_of(c)), '-');
    to = letter(digits(to, 2, c->month), '-');
    *digits(to, 2, c->day) = '\0';
}

void mu_civil_clock(char ret[8], const mu_civil *c)
{
    *digits(letter(digits(ret, 2, c->hour), ':'), 2, c->minute) = '\0';
}

void mu_time_write(char ret[32], mu_instant at)
{
    mu_civil c;
    mu_time_civil(at, 0, &c);
    mu_civil_date(ret, &c);
    mu_civil_clock(ret + 11, &c);
    ret[10] = 'T';
    char *to = letter(digits(letter(ret + 16, ':'), 2, c.second), '.');
    to = letter(digits(to, 3, c.micros / 1000), 'Z');
    *to = '\0';
}

char *mu_time_format(mu_arena *arena, mu_instant at)
{
    char text[32];
    mu_time_write(text, at);
    return mu_strdup(arena, text);
}

static bool local_tm(mu_instant at, struct tm *tm)
{
    time_t seconds = (time_t)floor_div(at, MU_SECOND);
    return localtime_r(&seconds, tm) != NULL; /* allowed: the re-entrant form */
}

int64_t mu_time_offset(mu_instant at)
{
    /* Every zone change since 1972 falls on a quarter of an hour of UTC; one quarter has one offset. */
    static _Thread_local struct { int64_t quarter, offset; bool set; } cache[16];
    int64_t quarter = floor_div(at, 900 * MU_SECOND);
    unsigned slot = (unsigned)quarter & 15u;
    bool modern = quarter > 70128; /* 1972-01-01 */
    if (modern && cache[slot].set && cache[slot].quarter == quarter)
        return cache[slot].offset;
    struct tm tm;
    int64_t offset = local_tm(at, &tm) ? tm.tm_gmtoff : 0;
    if (modern) {
        cache[slot].quarter = quarter;
        cache[slot].offset = offset;
        cache[slot].set = true;
    }
    return offset;
}

char *mu_time_local(mu_arena *arena, mu_instant at, const char *format)
{
    struct tm tm;
    char text[256] = "";
    if (!local_tm(at, &tm))
        return mu_strdup(arena, "");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, sizeof text, format, &tm);
#pragma GCC diagnostic pop
    return mu_strndup(arena, text, n);
}

bool mu_time_zone(const char *iana_name)
{
    char path[256];
    if (iana_name[0] == '\0' || iana_name[0] == '/' || strstr(iana_name, "..") != NULL)
        return false;
    int n = snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", iana_name);
    if (n < 0 || (size_t)n >= sizeof path)
        return false;
    FILE *file = fopen(path, "rbe");
    char magic[4] = "";
    bool known = file != NULL && fread(magic, 1, 4, file) == 4 && memcmp(magic, "TZif", 4) == 0;
    if (file != NULL)
        fclose(file);
    if (!known && strcmp(iana_name, "UTC") != 0)
        return false;
    if (setenv("TZ", iana_name, 1) != 0)
        return false;
    tzset();
    return true;
}

enum { DURATION_MAX_DAYS = 3653 };

static const struct { char unit; int64_t seconds; } short_units[] = { { 'd', 86400 }, { 'h', 3600 }, { 'm', 60 }, { 's', 1 } };

/* Adds digits followed by one of `units` (largest first, each at most once). */
static bool add_part(const char **text, const char *units, const int64_t *seconds, size_t *next, int64_t *total)
{
    int64_t value = 0;
    int digits = 0;
    for (; is_digit(**text); (*text)++) {
        if (++digits > 9)
            return false;
        value = value * 10 + (**text - '0');
    }
    if (digits == 0)
        return false;
    for (size_t i = *next; units[i] != '\0'; i++) {
        if (units[i] == **text) {
            *total += value * seconds[i];
            *next = i + 1;
            (*text)++;
            return true;
        }
    }
    return false;
}

static bool iso_duration(const char *text, int64_t *total)
{
    static const int64_t day_seconds[] = { 7 * 86400, 86400 }, time_seconds[] = { 3600, 60, 1 };
    size_t next = 0, parts = 0;
    for (; *text != '\0' && *text != 'T'; parts++)
        if (!add_part(&text, "WD", day_seconds, &next, total))
            return false;
    if (*text == 'T') {
        text++;
        next = 0;
        if (*text == '\0')
            return false;
        for (; *text != '\0'; parts++)
            if (!add_part(&text, "HMS", time_seconds, &next, total))
                return false;
    }
    return parts > 0;
}

bool mu_duration_parse(const char *text, int64_t *ret_seconds)
{
    static const int64_t seconds[] = { 86400, 3600, 60, 1 };
    int64_t total = 0;
    if (*text == 'P') {
        if (!iso_duration(text + 1, &total))
            return false;
    } else {
        size_t next = 0;
        do {
            if (!add_part(&text, "dhms", seconds, &next, &total))
                return false;
        } while (*text != '\0');
    }
    if (total > (int64_t)DURATION_MAX_DAYS * 86400)
        return false;
    *ret_seconds = total;
    return true;
}

char *mu_duration_format(mu_arena *arena, int64_t seconds)
{
    if (seconds < 0)
        return mu_printf(arena, "-%s", mu_duration_format(arena, seconds == INT64_MIN ? INT64_MAX : -seconds));
    if (seconds == 0 || (seconds < 120 && seconds % 60 != 0)) /* "90s" reads better than "1m30s" */
        return mu_printf(arena, "%llds", (long long)seconds);
    char text[128] = "";
    size_t n = 0;
    for (size_t i = 0; i < sizeof short_units / sizeof short_units[0]; i++) {
        int64_t value = seconds / short_units[i].seconds;
        seconds %= short_units[i].seconds;
        if (value > 0) {
            int added = snprintf(text + n, sizeof text - n, "%lld%c", (long long)value, short_units[i].unit);
            if (added > 0)
                n += (size_t)added;
        }
    }
    return mu_strndup(arena, text, n);
}

mu_instant mu_wall_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (mu_instant)now.tv_sec * MU_SECOND + now.tv_nsec / 1000;
}

int64_t mu_monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
