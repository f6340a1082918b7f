#include "mime.h"

#include <idn2.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "crypto.h"
#include "str.h"

#define LINE_MAX_BYTES 76
#define WORD_MAX       75
#define WORD_HEAD      "=?UTF-8?B?"
#define WORD_TAIL      "?="
#define NAME_MAX_BYTES 300

/* ---- checks ---- */

/* A header value that people wrote: valid UTF-8 without control characters. */
static bool
value_clean(const char *text)
{
    size_t n = strlen(text);

    return mu_utf8_valid(text, n) && !mu_has_control(text, n, false);
}

/* Identifiers and the like: visible ASCII without the characters that would end them. */
static bool
token_clean(const char *text, size_t most)
{
    size_t n = strlen(text);

    if (n == 0 || n > most)
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f || strchr("<>()\",;\\", text[i]) != NULL)
            return false;
    return true;
}

static mu_err
check_token(const char *text, const char *pointer, mu_problem *problem)
{
    if (text != NULL && !token_clean(text, 250))
        return mu_fail(problem, MU_INVALID, pointer, "error.mail.header", NULL);
    return MU_OK;
}

static mu_err
check_value(const char *text, const char *pointer, size_t most, mu_problem *problem)
{
    if (text != NULL && (!value_clean(text) || strlen(text) > most))
        return mu_fail(problem, MU_INVALID, pointer, "error.mail.header", NULL);
    return MU_OK;
}

static mu_err
check_mailbox(const char *text, const char *pointer, mu_problem *problem)
{
    if (text != NULL && !mu_is_email(text))
        return mu_fail(problem, MU_INVALID, pointer, "error.mail.address", NULL);
    return MU_OK;
}

static mu_err
check_body(const char *text, const char *pointer, mu_problem *problem)
{
    if (text != NULL && !mu_utf8_valid(text, strlen(text)))
        return mu_fail(problem, MU_INVALID, pointer, "error.mail.encoding", NULL);
    return MU_OK;
}

static mu_err
check(const mu_mime *m, mu_problem *problem)
{
    if (m->message_id == NULL || m->from == NULL || m->to == NULL || m->subject == NULL || m->text == NULL)
        return mu_fail(problem, MU_INVALID, "", "error.mail.incomplete", NULL);
    TRY(check_token(m->message_id, "/message_id", problem));
    TRY(check_token(m->thread, "/thread", problem));
    TRY(check_token(m->incident, "/incident", problem));
    TRY(check_token(m->severity, "/severity", problem));
    TRY(check_token(m->language, "/language", problem));
    TRY(check_token(m->unsubscribe, "/unsubscribe", problem));
    TRY(check_token(m->list_id, "/list_id", problem));
    TRY(check_mailbox(m->from, "/from", problem));
    TRY(check_mailbox(m->to, "/to", problem));
    TRY(check_mailbox(m->reply_to, "/reply_to", problem));
    TRY(check_value(m->from_name, "/from_name", NAME_MAX_BYTES, problem));
    TRY(check_value(m->to_name, "/to_name", NAME_MAX_BYTES, problem));
    TRY(check_value(m->subject, "/subject", 1000, problem));
    TRY(check_body(m->text, "/text", problem));
    TRY(check_body(m->html, "/html", problem));
    for (size_t i = 0; i < m->file_count; i++) {
        TRY(check_value(m->files[i].name, "/files", 200, problem));
        TRY(check_token(m->files[i].type, "/files", problem));
    }
    return MU_OK;
}

/* Lower-case letters, digits, dots and single hyphens: nothing that IDNA would change or refuse beyond what mu_is_email() does. */
static bool
plain_domain(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '.' || (*c == '-' && c[1] != '-')))
            return false;
    return true;
}

mu_err
mu_mail_address(mu_arena *arena, const char *text, mu_problem *problem, const char *pointer, char **ret)
{
    const char *at = text != NULL ? strrchr(text, '@') : NULL;
    char *domain = NULL, *made;

    if (at == NULL || at == text || at[1] == '\0' || !mu_utf8_valid(text, strlen(text)) || mu_has_control(text, strlen(text), false))
        return mu_fail(problem, MU_INVALID, pointer, "error.mail.address", NULL);
    for (const char *c = text; c < at; c++)
        if ((unsigned char)*c >= 0x7f)
            return mu_fail(problem, MU_INVALID, pointer, "error.mail.local_part", NULL);
    if (plain_domain(at + 1))
        made = mu_strdup(arena, text);
    else if (idn2_to_ascii_8z(at + 1, &domain, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return mu_fail(problem, MU_INVALID, pointer, "error.mail.address", NULL);
    else {
        made = mu_printf(arena, "%.*s@%s", (int)(at - text), text, domain);
        idn2_free(domain);
    }
    if (!mu_is_email(made))
        return mu_fail(problem, MU_INVALID, pointer, "error.mail.address", NULL);
    *ret = made;
    return MU_OK;
}

/* ---- encoding ---- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Base64 of n bytes without a line break; gives the end of what was written: four for every three begun. */
static char *
base64_run(char *to, const uint8_t *at, size_t n)
{
    for (; n >= 3; at += 3, n -= 3) {
        uint32_t v = (uint32_t)at[0] << 16 | (uint32_t)at[1] << 8 | at[2];
        *to++ = base64_digits[v >> 18];
        *to++ = base64_digits[v >> 12 & 63];
        *to++ = base64_digits[v >> 6 & 63];
        *to++ = base64_digits[v & 63];
    }
    if (n > 0) {
        uint32_t v = (uint32_t)at[0] << 16 | (n > 1 ? (uint32_t)at[1] << 8 : 0);
        *to++ = base64_digits[v >> 18];
        *to++ = base64_digits[v >> 12 & 63];
        *to++ = n > 1 ? base64_digits[v >> 6 & 63] : '=';
        *to++ = '=';
    }
    return to;
}

/* A body: 57 bytes make a line of 76. */
static void
base64_body(mu_buf *out, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;
    char *to = mu_buf_grow(out, (n + 2) / 3 * 4 + 2 * ((n + 56) / 57));

    for (size_t done = 0; to != NULL && done < n; done += 57) {
        to = base64_run(to, at + done, n - done < 57 ? n - done : 57);
        *to++ = '\r';
        *to++ = '\n';
    }
}

static bool
plain_ascii(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x7f || (unsigned char)*c < ' ')
            return false;
    return strstr(text, "=?") == NULL;
}

static bool
words(mu_buf *out, const char *text, size_t used, bool force)
{
    size_t n = strlen(text), frame = strlen(WORD_HEAD WORD_TAIL);

    if (!force && plain_ascii(text) && used + n <= LINE_MAX_BYTES && (n == 0 || (text[0] != ' ' && text[n - 1] != ' ')))
        return mu_buf_adds(out, text);
    for (size_t done = 0; done < n;) {
        size_t left = used < LINE_MAX_BYTES ? LINE_MAX_BYTES - used : 0;
        size_t room = left < WORD_MAX ? left : WORD_MAX;
        size_t take = mu_utf8_cut(text + done, n - done, room > frame ? (room - frame) / 4 * 3 : 0);

        if (take > 0) {
            const void *raw = text + done;
            mu_buf_adds(out, WORD_HEAD);
            char *to = mu_buf_grow(out, (take + 2) / 3 * 4);
            if (to != NULL)
                base64_run(to, raw, take);
            mu_buf_adds(out, WORD_TAIL);
            done += take;
        }
        if (done < n)
            mu_buf_adds(out, "\r\n ");
        used = 1;
    }
    return !out->over;
}

bool
mu_mime_words(mu_buf *out, const char *text, size_t used)
{
    return words(out, text, used, false);
}

/* RFC 2231 value characters; everything else is %XX. */
static bool
attribute_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != '\0' && strchr("!#$&+-.^_`{|}~", c) != NULL);
}

static char *
percent(mu_arena *arena, const char *text)
{
    char *made = mu_alloc(arena, strlen(text) * 3 + 1), *to = made;
    static const char digits[] = "0123456789ABCDEF";

    for (const char *c = text; *c != '\0'; c++)
        if (attribute_char(*c))
            *to++ = *c;
        else {
            *to++ = '%';
            *to++ = digits[(unsigned char)*c >> 4];
            *to++ = digits[(unsigned char)*c & 15];
        }
    return made;
}

/* RFC 2231 with continuations: name*0*=UTF-8''…; name*1*=…; one line each, no escape split. */
static void
parameter(mu_buf *out, mu_arena *arena, const char *name, const char *text)
{
    const char *at = percent(arena, text);
    size_t n = strlen(at), room = LINE_MAX_BYTES - 26;

    if (n <= room) {
        mu_buf_addf(out, ";\r\n %s*=UTF-8''%s", name, at);
        return;
    }
    for (unsigned part = 0; n > 0; part++) {
        size_t take = n < room ? n : room;
        if (take < n && at[take - 1] == '%')
            take -= 1;
        else if (take < n && take >= 2 && at[take - 2] == '%')
            take -= 2;
        mu_buf_addf(out, ";\r\n %s*%u*=%s%.*s", name, part, part == 0 ? "UTF-8''" : "", (int)take, at);
        at += take;
        n -= take;
    }
}

/* ---- headers ---- */

static void
header(mu_buf *out, const char *name, const char *value)
{
    if (value != NULL)
        mu_buf_addf(out, "%s:%s%s\r\n", name, strlen(name) + 2 + strlen(value) > LINE_MAX_BYTES ? "\r\n " : " ", value);
}

static void
header_id(mu_buf *out, mu_arena *arena, const char *name, const char *id)
{
    if (id != NULL)
        header(out, name, mu_printf(arena, "<%s>", id));
}

/* Display names are quoted when plain, so that a comma in a name cannot make a second recipient. */
static void
header_mailbox(mu_buf *out, mu_arena *arena, const char *name, const char *label, const char *mailbox)
{
    if (label == NULL || label[0] == '\0') {
        header(out, name, mailbox);
        return;
    }
    if (plain_ascii(label) && strpbrk(label, "\"\\") == NULL && strlen(label) <= 60) {
        header(out, name, mu_printf(arena, "\"%s\"%s<%s>", label, strlen(label) + strlen(mailbox) > 60 ? "\r\n " : " ", mailbox));
        return;
    }
    mu_buf_addf(out, "%s: ", name);
    words(out, label, strlen(name) + 2, true); /* long or with quotes: the encoded form needs no escapes */
    mu_buf_addf(out, "\r\n <%s>\r\n", mailbox);
}

static void
header_date(mu_buf *out, mu_instant at)
{
    static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    time_t seconds = (time_t)(at / MU_SECOND);
    struct tm tm = { 0 };

    gmtime_r(&seconds, &tm);
    mu_buf_addf(out, "Date: %s, %02d %s %04d %02d:%02d:%02d +0000\r\n", days[tm.tm_wday % 7], tm.tm_mday, months[tm.tm_mon % 12],
                tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static void
headers(mu_buf *out, mu_arena *arena, const mu_mime *m)
{
    const char *subject = m->drill ? mu_printf(arena, "%s %s", MU_DRILL_MARK, m->subject) : m->subject;

    header_mailbox(out, arena, "From", m->from_name, m->from);
    header_mailbox(out, arena, "To", m->to_name, m->to);
    header(out, "Reply-To", m->reply_to);
    mu_buf_adds(out, "Subject: ");
    mu_mime_words(out, subject, strlen("Subject: "));
    mu_buf_adds(out, "\r\n");
    header_date(out, m->at);
    header_id(out, arena, "Message-ID", m->message_id);
    header_id(out, arena, "In-Reply-To", m->thread);
    header_id(out, arena, "References", m->thread);
    header(out, "Auto-Submitted", "auto-generated");
    header(out, "X-Auto-Response-Suppress", "All");
    header(out, "Content-Language", m->language);
    if (m->urgent) {
        header(out, "X-Priority", "1");
        header(out, "Importance", "high");
        header(out, "Priority", "urgent");
    }
    header(out, "X-Muster-Incident", m->incident);
    header(out, "X-Muster-Severity", m->severity);
    if (m->drill)
        header(out, "X-Muster-Drill", "yes");
    if (m->list_id != NULL) {
        header(out, "List-Id", mu_printf(arena, "<%s>", m->list_id));
        header(out, "Precedence", "bulk");
    }
    if (m->unsubscribe != NULL) {
        header(out, "List-Unsubscribe", mu_printf(arena, "<%s>", m->unsubscribe));
        header(out, "List-Unsubscribe-Post", "List-Unsubscribe=One-Click");
    }
    header(out, "MIME-Version", "1.0");
}

/* ---- parts ---- */

/* The offset behind <body …>, or 0. */
static size_t
body_start(const char *html)
{
    const char *tag = strcasestr(html, "<body"); /* allowed: looked for, not written */
    const char *end = tag != NULL && strchr(" >\t\r\n", tag[5]) != NULL ? strchr(tag, '>') : NULL;

    return end != NULL ? (size_t)(end - html) + 1 : 0;
}

/* Lines with CRLF (RFC 2046, 4.1.1); those that have it keep it. */
static void
add_lines(mu_buf *out, const char *text, size_t n)
{
    const char *const end = text + n;

    for (const char *line; text < end && (line = memchr(text, '\n', (size_t)(end - text))) != NULL; text = line + 1) {
        size_t length = (size_t)(line - text);
        mu_buf_add(out, text, length > 0 && line[-1] == '\r' ? length - 1 : length);
        mu_buf_add(out, "\r\n", 2);
    }
    mu_buf_add(out, text, (size_t)(end - text));
}

/* Text as base64, the mark in front of `mark_at` where one is due. */
static void
text_part(mu_buf *out, const char *type, const char *text, size_t mark_at, bool drill)
{
    size_t n = strlen(text);
    mu_buf crlf = MU_BUF(2 * n + 64);

    mu_buf_addf(out, "Content-Type: %s; charset=UTF-8\r\nContent-Transfer-Encoding: base64\r\n\r\n", type);
    add_lines(&crlf, text, mark_at);
    if (drill)
        mu_buf_adds(&crlf, MU_DRILL_MARK "\r\n");
    add_lines(&crlf, text + mark_at, n - mark_at);
    if (crlf.over)
        out->over = true;
    base64_body(out, crlf.at != NULL ? crlf.at : "", crlf.n);
    mu_buf_free(&crlf);
}

static void
file_part(mu_buf *out, mu_arena *arena, const mu_mime_file *file, bool drill)
{
    const char *name = drill && strstr(file->name, "[DRILL]") == NULL ? mu_printf(arena, "[DRILL] %s", file->name) : file->name;

    mu_buf_addf(out, "Content-Type: %s;\r\n name=\"", file->type);
    mu_mime_words(out, plain_ascii(name) && strpbrk(name, "\"\\") != NULL ? "file" : name, 7);
    mu_buf_adds(out, "\"\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment");
    parameter(out, arena, "filename", name);
    mu_buf_adds(out, "\r\n\r\n");
    base64_body(out, file->bytes, file->n);
}

static void
alternatives(mu_buf *out, const mu_mime *m, const char *boundary)
{
    if (m->html == NULL) {
        text_part(out, "text/plain", m->text, 0, m->drill);
        return;
    }
    mu_buf_addf(out, "Content-Type: multipart/alternative;\r\n boundary=\"%s_a\"\r\n\r\n--%s_a\r\n", boundary, boundary);
    text_part(out, "text/plain", m->text, 0, m->drill);
    mu_buf_addf(out, "--%s_a\r\n", boundary);
    text_part(out, "text/html", m->html, body_start(m->html), m->drill);
    mu_buf_addf(out, "--%s_a--\r\n", boundary);
}

mu_err
mu_mime_write(mu_arena *arena, const mu_mime *m, mu_problem *problem, mu_buf *out)
{
    uint8_t hash[32];
    const char *boundary;

    TRY(check(m, problem));
    /* From the id, so that every attempt has the same bytes. "_" is no base64 digit: no body line can be a boundary. */
    mu_sha256(m->message_id, strlen(m->message_id), hash);
    boundary = mu_printf(arena, "_mu_%s", mu_hex(arena, hash, 12));
    headers(out, arena, m);
    if (m->file_count > 0) {
        mu_buf_addf(out, "Content-Type: multipart/mixed;\r\n boundary=\"%s_m\"\r\n\r\n--%s_m\r\n", boundary, boundary);
        alternatives(out, m, boundary);
        for (size_t i = 0; i < m->file_count; i++) {
            mu_buf_addf(out, "--%s_m\r\n", boundary);
            file_part(out, arena, &m->files[i], m->drill);
        }
        mu_buf_addf(out, "--%s_m--\r\n", boundary);
    } else
        alternatives(out, m, boundary);
    return out->over ? mu_fail(problem, MU_TOO_LARGE, "", "error.mail.too_large", NULL) : MU_OK;
}
