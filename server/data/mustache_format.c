/* Words with placeholders, and the formatters of times, durations and Markdown. */
#include "mustache_private.h"

#include <stdio.h>
#include <string.h>

#include "md.h"
#include "str.h"

static const char *args_find(const char *const *args, const char *name)
{
    for (; args != NULL && args[0] != NULL; args += 2)
        if (strcmp(args[0], name) == 0)
            return args[1];
    return NULL;
}

/* The value of a dotted name given as one text. */
static const json_t *context_find(const mu_state *state, char *name)
{
    const char *path[8];
    unsigned parts = 0;
    for (char *at = name; at != NULL && parts < MU_COUNT(path); ) {
        char *dot = strchr(at, '.');
        if (dot != NULL)
            *dot++ = '\0';
        path[parts++] = at;
        at = dot;
    }
    return mu_state_find(state, path, parts);
}

/* Is the number called n one? Chinese has one form only, so "other" is asked when there is no "one". */
static bool is_one(const mu_state *state, const char *const *args)
{
    const char *given = args_find(args, "n");
    if (given != NULL)
        return strcmp(given, "1") == 0;
    static const char *const path[] = { "n" };
    const json_t *n = mu_state_find(state, path, 1);
    return (json_is_integer(n) && json_integer_value(n) == 1) || mu_same(json_string_value(n), "1");
}

static const char *look_up(const mu_state *state, const char *key, const char *const *args)
{
    if (state->how->word == NULL)
        return NULL;
    const char *word = state->how->word(state->how->language, key);
    if (word != NULL)
        return word;
    char plural[MU_TPL_KEY + 8];
    if (is_one(state, args)) {
        snprintf(plural, sizeof plural, "%s#one", key);
        word = state->how->word(state->how->language, plural);
    }
    if (word == NULL) {
        snprintf(plural, sizeof plural, "%s#other", key);
        word = state->how->word(state->how->language, plural);
    }
    return word;
}

static bool is_name(const char *text, size_t n)
{
    if (n == 0 || n >= MU_TPL_NAME)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.'))
            return false;
    }
    return true;
}

static bool placeholder(mu_state *state, const char *text, size_t n, const char *const *args)
{
    char name[MU_TPL_NAME];
    memcpy(name, text, n);
    name[n] = '\0';
    const char *given = args_find(args, name);
    if (given != NULL)
        return mu_state_add(state, given, strlen(given));
    return mu_state_value(state, context_find(state, name), false);
}

bool mu_state_word(mu_state *state, const char *key, const char *const *args)
{
    const char *word = look_up(state, key, args);
    if (word == NULL)
        return mu_buf_adds(state->out, "⟦") && mu_state_add(state, key, strlen(key)) && mu_buf_adds(state->out, "⟧");
    while (*word != '\0') {
        size_t n = strcspn(word, "{");
        if (!mu_state_add(state, word, n))
            return false;
        word += n;
        if (*word == '\0')
            break;
        size_t m = strcspn(word + 1, "}");
        if (word[1 + m] == '}' && is_name(word + 1, m)) {
            if (!placeholder(state, word + 1, m, args))
                return false;
            word += m + 2;
        } else {
            if (!mu_state_add(state, word, 1))
                return false;
            word++;
        }
    }
    return true;
}

static bool counted(mu_state *state, const char *key, int64_t n)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", (long long)n);
    const char *args[] = { "n", number, NULL };
    return mu_state_word(state, key, args);
}

static bool two_parts(mu_state *state, const char *key, const char *const names[2], int64_t large, int small, int digits)
{
    char left[24], right[24];
    snprintf(left, sizeof left, "%lld", (long long)large);
    snprintf(right, sizeof right, "%0*d", digits, small);
    const char *args[] = { names[0], left, names[1], right, NULL };
    return mu_state_word(state, key, args);
}

static bool duration(mu_state *state, int64_t seconds)
{
    if (seconds < 0) {
        if (!mu_buf_addc(state->out, '-'))
            return false;
        seconds = seconds == INT64_MIN ? INT64_MAX : -seconds;
    }
    static const char *const minutes[] = { "m", "s" }, *const hours[] = { "h", "m" }, *const days[] = { "d", "h" };
    if (seconds < 60)
        return counted(state, "time.duration.seconds", seconds);
    if (seconds < 600 && seconds % 60 != 0)
        return two_parts(state, "time.duration.minutes_seconds", minutes, seconds / 60, (int)(seconds % 60), 2);
    if (seconds < 3600)
        return counted(state, "time.duration.minutes", seconds / 60);
    if (seconds < 86400)
        return two_parts(state, "time.duration.hours", hours, seconds / 3600, (int)(seconds / 60 % 60), 2);
    return two_parts(state, "time.duration.days", days, seconds / 86400, (int)(seconds / 3600 % 24), 1);
}

/* "12 min ago", "in 3 h". */
static bool ago(mu_state *state, int64_t seconds)
{
    bool future = seconds < 0;
    int64_t n = future ? -seconds : seconds;
    if (n < 60)
        return mu_state_word(state, "time.ago.now", NULL);
    if (n < 3600)
        return counted(state, future ? "time.in.minutes" : "time.ago.minutes", n / 60);
    if (n < 86400)
        return counted(state, future ? "time.in.hours" : "time.ago.hours", n / 3600);
    return counted(state, future ? "time.in.days" : "time.ago.days", n / 86400);
}

/* The relative word is made apart and unescaped, because it becomes a placeholder of time.relative, which escapes. */
static bool relative(mu_state *state, mu_instant at, const char *date, const char *clock)
{
    char absolute[48];
    int64_t seconds = (state->how->now - at) / MU_SECOND;
    bool near = seconds > -86400 && seconds < 86400;
    snprintf(absolute, sizeof absolute, near ? "%s%s" : "%s %s", near ? "" : date, clock);
    mu_buf word = MU_BUF(MU_TPL_KEY), *out = state->out;
    bool plain = state->plain;
    state->out = &word;
    state->plain = true;
    bool fine = ago(state, seconds);
    state->out = out;
    state->plain = plain;
    const char *args[] = { "ago", word.at != NULL ? word.at : "", "at", absolute, NULL };
    fine = fine && mu_state_word(state, "time.relative", args);
    mu_buf_free(&word);
    return fine;
}

static bool instant(mu_state *state, mu_format format, mu_instant at)
{
    char date[12], clock[8], utc[32];
    mu_civil c;
    mu_time_civil(at, mu_time_offset(at), &c);
    mu_civil_date(date, &c);
    mu_civil_clock(clock, &c);
    mu_buf *out = state->out;
    if (format == FORMAT_LOCAL)
        return mu_buf_adds(out, date) && mu_buf_addc(out, 'T') && mu_buf_adds(out, clock);
    mu_time_write(utc, at);
    bool fine = state->plain || (mu_buf_adds(out, "<time datetime=\"") && mu_buf_adds(out, utc)
                                 && mu_buf_adds(out, format == FORMAT_RELATIVE ? "\" data-relative>" : "\">"));
    if (format == FORMAT_RELATIVE)
        fine = fine && relative(state, at, date, clock);
    if (format == FORMAT_DATE || format == FORMAT_TIME)
        fine = fine && mu_buf_adds(out, date);
    if (format == FORMAT_TIME)
        fine = fine && mu_buf_addc(out, ' ');
    if (format == FORMAT_CLOCK || format == FORMAT_TIME)
        fine = fine && mu_buf_adds(out, clock);
    return fine && (state->plain || mu_buf_adds(out, "</time>"));
}

static bool format_duration(mu_state *state, const json_t *value)
{
    int64_t seconds;
    if (json_is_number(value)) {
        double number = json_number_value(value);
        return number > -1e15 && number < 1e15 ? duration(state, (int64_t)number) : mu_state_value(state, value, false);
    }
    const char *text = json_string_value(value);
    if (text != NULL && (mu_parse_int(text, -INT64_C(1000000000000), INT64_C(1000000000000), &seconds)
                         || mu_duration_parse(text, &seconds)))
        return duration(state, seconds);
    return mu_state_value(state, value, false);
}

bool mu_state_format(mu_state *state, mu_format format, const json_t *value)
{
    value = mu_state_text(state, value);
    if (value == NULL || json_is_null(value) || mu_same(json_string_value(value), ""))
        return true;
    if (format == FORMAT_DURATION)
        return format_duration(state, value);
    const char *text = json_string_value(value);
    if (text == NULL)
        return mu_state_value(state, value, false);
    if (format == FORMAT_MD) {
        size_t n = json_string_length(value);
        size_t before = state->out->n;
        if (state->plain ? mu_md_plain(text, n, state->out) : mu_md_html(text, n, state->out))
            return true;
        if (state->out->over)
            return false;
        state->out->n = before; /* too long or unreadable as Markdown: shown as it is */
        return mu_state_add(state, text, n);
    }
    mu_instant at;
    if (mu_time_parse(text, &at))
        return instant(state, format, at);
    if (format == FORMAT_DATE && mu_date_valid(text))
        return state->plain ? mu_buf_adds(state->out, text)
                            : mu_buf_addf(state->out, "<time datetime=\"%s\">%s</time>", text, text);
    return mu_state_value(state, value, false);
}
