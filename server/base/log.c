#include "log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "str.h"

enum { LINE_MAX_BYTES = 8192 };

static struct {
    bool json, journal;
    mu_log_level least;
    char process[32];
    char separator[18]; /* stands for the blanks of a format string; not guessable, so no value can contain it */
} setup = { .least = MU_LOG_INFO, .separator = "\x1f" };

static _Thread_local char request[64];

void mu_log_setup(const char *format, mu_log_level least, const char *process_name)
{
    setup.json = strcmp(format, "json") == 0;
    setup.journal = getenv("JOURNAL_STREAM") != NULL;
    setup.least = least;
    snprintf(setup.process, sizeof setup.process, "%s", process_name);
    unsigned char random[8];
    if (getrandom(random, sizeof random, 0) == (ssize_t)sizeof random) {
        setup.separator[0] = '\x1f';
        for (size_t i = 0; i < sizeof random; i++)
            snprintf(setup.separator + 1 + 2 * i, 3, "%02x", random[i]);
    }
}

void mu_log_request(const char *request_id)
{
    snprintf(request, sizeof request, "%s", request_id != NULL ? request_id : "");
}

static const char *level_name(mu_log_level level)
{
    switch (level) {
    case MU_LOG_ERROR: return "error";
    case MU_LOG_WARN:  return "warn";
    case MU_LOG_INFO:  return "info";
    case MU_LOG_DEBUG: return "debug";
    }
    return "info";
}

static void add_value(mu_buf *line, const char *text, size_t n)
{
    if (setup.json) {
        char number[24];
        int64_t ignored;
        if (n > 0 && n < sizeof number && (text[0] != '0' || n == 1)) {
            memcpy(number, text, n);
            number[n] = '\0';
            if (text[0] != '-' && mu_parse_int(number, 0, INT64_C(9007199254740992), &ignored)) {
                mu_buf_add(line, text, n);
                return;
            }
        }
        if (mu_utf8_valid(text, n))
            mu_buf_add_json(line, text, n);
        else
            mu_buf_adds(line, "\"(not UTF-8)\"");
        return;
    }
    bool plain = n > 0;
    for (size_t i = 0; i < n && plain; i++)
        plain = (unsigned char)text[i] > ' ' && text[i] != '"' && text[i] != '=' && text[i] != '\\' && text[i] != 0x7f;
    if (plain)
        mu_buf_add(line, text, n);
    else
        mu_buf_add_json(line, text, n);
}

static void add_pair(mu_buf *line, const char *name, size_t name_n, const char *value, size_t value_n)
{
    if (setup.json) {
        mu_buf_addc(line, ',');
        mu_buf_add_json(line, name, name_n);
        mu_buf_addc(line, ':');
    } else {
        mu_buf_addc(line, ' ');
        mu_buf_add(line, name, name_n);
        mu_buf_addc(line, '=');
    }
    add_value(line, value, value_n);
}

/* Splits "name=value" words; a word without a name is kept under "text". */
static void add_pairs(mu_buf *line, const char *words)
{
    size_t skip = strlen(setup.separator);
    while (*words != '\0') {
        const char *next = strstr(words, setup.separator);
        size_t n = next != NULL ? (size_t)(next - words) : strlen(words);
        const char *equals = memchr(words, '=', n);
        if (n > 0 && equals != NULL && equals > words)
            add_pair(line, words, (size_t)(equals - words), equals + 1, n - (size_t)(equals - words) - 1);
        else if (n > 0)
            add_pair(line, "text", 4, words, n);
        words += n + (next != NULL ? skip : 0);
    }
}

/* Blanks of the format become the separator, so that values may hold blanks. */
static void split_format(char *to, size_t size, const char *format)
{
    size_t n = 0, skip = strlen(setup.separator);
    for (; *format != '\0' && n + skip + 1 < size; format++) {
        if (*format == ' ') {
            memcpy(to + n, setup.separator, skip);
            n += skip;
        } else {
            to[n++] = *format;
        }
    }
    to[n] = '\0';
}

void mu_log(mu_log_level level, const char *event, const char *format, ...)
{
    if (level > setup.least)
        return;
    char split[2048], words[LINE_MAX_BYTES / 2], at[32];
    split_format(split, sizeof split, format);
    va_list args;
    va_start(args, format);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (vsnprintf(words, sizeof words, split, args) < 0)
        words[0] = '\0';
#pragma GCC diagnostic pop
    va_end(args);

    MU_BUF_AUTO(line, (size_t)LINE_MAX_BYTES * 6);
    mu_time_write(at, mu_wall_now());
    if (setup.journal)
        mu_buf_addf(&line, "<%d>", (int)level);
    if (setup.json)
        mu_buf_addf(&line, "{\"at\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", at, level_name(level), event);
    else
        mu_buf_addf(&line, "%s level=%s event=%s", at, level_name(level), event);
    if (setup.process[0] != '\0')
        add_pair(&line, "process", 7, setup.process, strlen(setup.process));
    if (request[0] != '\0')
        add_pair(&line, "request", 7, request, strlen(request));
    add_pairs(&line, words);
    mu_buf_adds(&line, setup.json ? "}\n" : "\n");
    if (line.at != NULL && write(STDERR_FILENO, line.at, line.n) < 0) {
        /* Nowhere left to say it. */
    }
}
