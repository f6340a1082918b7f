/* Mustache templates: the specification's required modules, plus words and formatters.
 *
 * A section is left out when its value is absent, null, false, "", 0 or an empty list. Numbers print as JSON prints them,
 * booleans as true and false; lists and objects without a text print nothing.
 *
 * Beyond the specification (the names t, time, date, clock, relative, duration, local and md are taken as section names):
 *   {{#t}}key{{/t}}      the word of that key in the reader's language. The inside is rendered first, so a key may be made of
 *                        values: {{#t}}incident.state.{{state}}{{/t}}. Placeholders {name} of the word are looked up in the
 *                        context; word and values are escaped. Where the word has plural forms (key#one, key#other), {n} chooses.
 *   {{#time}}at{{/time}} the instant called `at` as <time datetime="…">2026-11-23 14:05</time>, in the site's zone. Likewise by
 *                        the name of a value: date, clock (14:05), relative ("12 min ago · 14:05", against `now`), duration
 *                        (of seconds), local (for datetime-local fields), md (Markdown to safe HTML). An absent value gives nothing.
 *   {{#items.0}}         is there any? A number of one digit behind a dot names an element of a list.
 *   {{x}}                of an object with "zh" or "en": the text in the reader's language, else in the other one.
 *   {{#list.0}}          an element of a list by a number of one digit; as a section it asks whether there is any.
 * {{{x}}} and {{&x}} are refused unless the last part of x ends in "_html" or "_svg", or the flags allow it.
 *
 * Values of the formatters: an instant is RFC 3339 text; date also takes YYYY-MM-DD; duration takes seconds or "1h30m".
 *
 * Words the formatters need (each with {n} unless said otherwise; plural forms allowed):
 *   time.relative         {ago} and {at}: "{ago} · {at}"; {at} is the clock, or date and clock from one day on
 *   time.ago.now          under one minute, past or future; no placeholder
 *   time.ago.minutes  time.ago.hours  time.ago.days
 *   time.in.minutes   time.in.hours   time.in.days
 *   time.duration.seconds          under one minute
 *   time.duration.minutes_seconds  {m} {s}: under ten minutes, s of two digits, not 00
 *   time.duration.minutes          under one hour
 *   time.duration.hours            {h} {m}: under one day, m of two digits
 *   time.duration.days             {d} {h} */
#ifndef MU_MUSTACHE_H
#define MU_MUSTACHE_H

#include <jansson.h>
#include "base.h"
#include "buf.h"
#include "clock.h"

typedef struct mu_template mu_template;

typedef struct {
    const char *language;                                                     /* "zh" or "en" */
    const char *(*word)(const char *language, const char *key);               /* NULL: unknown, the key is shown in ⟦ ⟧ */
    const mu_template *(*partial)(void *closure, const char *name);           /* NULL: unknown, renders as nothing */
    void       *closure;
    mu_instant  now;                                                          /* for relative times */
} mu_render;

enum {
    MU_TPL_PLAIN = 1, /* text output, nothing is escaped (text mails) */
    MU_TPL_RAW   = 2  /* {{{x}}} with any name: for tests against the specification only */
};

/* Parses once into a flat list of operations. `flags`: MU_TPL_…, 0 for HTML. Errors name the line (MU_INVALID, key
 * error.template.*, args line and name). Sections nest at most 32 deep. The template lives in the arena and borrows nothing. */
mu_err mu_template_parse(mu_arena *arena, const char *text, size_t n, unsigned flags, mu_problem *problem, mu_template **ret);

/* Renders `model` (an object) into `out`. MU_TOO_LARGE when out's maximum or ten million operations are passed, MU_INVALID
 * when the context stack or the partials go deeper than 32. Whether partials escape is decided by the outermost template. Safe from many threads. */
mu_err mu_template_render(const mu_template *tpl, const json_t *model, const mu_render *how, mu_buf *out);

/* Calls fn for every partial ("partial") and every literal word key ("word") used; for the build's checks. */
void mu_template_walk(const mu_template *tpl, void (*fn)(void *closure, const char *kind, const char *name), void *closure);

#endif
