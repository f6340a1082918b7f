/* Field specs: one list checks a JSON body and a form alike, collects every bad field, and describes itself for OpenAPI. */
#ifndef MU_SPEC_H
#define MU_SPEC_H

#include <jansson.h>
#include "base.h"
#include "buf.h"

/* Most characters of a text whose field sets no bound of its own. */
enum { MU_STR_MOST = 255, MU_TEXT_MOST = 20000, MU_SECRET_MOST = 1024, MU_NAME_MOST = 200 };

typedef enum {
    MU_F_STR,      /* one line; least, most in characters (most 0: 255); control characters refused */
    MU_F_TEXT,     /* many lines (most 0: 20,000 characters); CR LF becomes LF */
    MU_F_INT,      /* least, most; both 0: any within 2^53 */
    MU_F_BOOL,     /* JSON true/false; form: on, true, 1, yes; off, false, 0, no; absent in a form means false */
    MU_F_ENUM,     /* `values`, space separated */
    MU_F_SLUG, MU_F_REF, MU_F_UUID, MU_F_EMAIL,
    MU_F_URL,      /* http or https, no user info; at most 2,048 bytes */
    MU_F_TIME,     /* RFC 3339; a form may send YYYY-MM-DDTHH:MM in the site's zone. Made UTC with milliseconds */
    MU_F_DATE,     /* YYYY-MM-DD */
    MU_F_DURATION, /* "5m", "PT5M"; least, most in seconds. Made the short form, which PostgreSQL reads as an interval */
    MU_F_LANG_TEXT,/* a string or {"zh":…,"en":…}; form: fields NAME.zh and NAME.en, or NAME. A string stays a string.
                      least, most as for TEXT. One line when most is at most MU_NAME_MOST (names), else many */
    MU_F_SECRET,   /* like STR (most 0: 1,024), not trimmed, never echoed back into a page or a log */
    MU_F_LIST,     /* list of strings, each checked as `of` (with `values`); form: repeated names; least, most count (most 0: 100) */
    MU_F_JSON,     /* any JSON object or list, depth <= 16. A form sends it as text, or as fields NAME.MEMBER (MEMBER of
                      [A-Za-z0-9_.-]{1,64}), which make an object of texts; a repeated one makes a list of texts */
    MU_F_FILE      /* {name, type, size, base64}, as the multipart decoder makes it; most: bytes (0: no own limit) */
} mu_field_type;

typedef struct mu_field {
    const char   *name;
    mu_field_type type, of;
    bool          required;
    int64_t       least, most;
    const char   *values;
    const char   *help;      /* English sentence for OpenAPI */
} mu_field;

typedef struct { const char *name; const mu_field *fields; size_t count; } mu_spec;

/* Checks `in` (an object) and makes *ret (arena): the same members, trimmed and coerced (numbers of forms become numbers,
 * times RFC 3339 in UTC). In a JSON body null stands for "clear this" and is kept for a field that is not required; in a
 * form a member whose name starts with "_" is the form's own and is left out. Unknown members are faults by name. All
 * faults are collected in `problem` (pointer "/name", "/name/zh", "/name/3"); returns MU_INVALID if any.
 *
 * Fault keys and their placeholders: error.field.required, .unknown, .type {expected}, .short {least}, .long {most},
 * .range {least} {most}, .control, .enum {values}, .slug, .ref, .uuid, .email, .url, .time, .date, .duration, .few {least},
 * .many {most}, .depth {most}, .json, .file, .file_large {most}. */
mu_err mu_spec_check(mu_arena *arena, const mu_spec *spec, const json_t *in, bool form, mu_problem *problem, json_t **ret);

/* The spec as a JSON Schema (2020-12) object. The caller owns the reference. */
json_t *mu_spec_schema(const mu_spec *spec);

#endif
