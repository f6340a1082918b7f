/* What the parser of templates leaves for the renderer. Private to mustache*.c. */
#ifndef MU_MUSTACHE_PRIVATE_H
#define MU_MUSTACHE_PRIVATE_H

#include "mustache.h"

enum { MU_TPL_DEPTH = 32, MU_TPL_NAME = 128, MU_TPL_KEY = 1024 };

typedef enum {
    OP_TEXT,      /* text, n */
    OP_VALUE,     /* path, escaped */
    OP_RAW,       /* path, as it is */
    OP_SECTION,   /* path, jump: the matching OP_END */
    OP_INVERTED,  /* path, jump */
    OP_WORD,      /* text is the key, jump 0; or text NULL and the key is what is rendered up to jump */
    OP_FORMAT,    /* path, format */
    OP_PARTIAL,   /* text is the name, indent what stands before a standalone tag */
    OP_END        /* of a section, inverted section or word */
} mu_op_kind;

typedef enum { FORMAT_TIME, FORMAT_DATE, FORMAT_CLOCK, FORMAT_RELATIVE, FORMAT_DURATION, FORMAT_LOCAL, FORMAT_MD } mu_format;

typedef struct {
    mu_op_kind kind;
    mu_format format;
    bool fresh;               /* first on its line: a partial's indentation goes before it */
    bool standalone;          /* of a partial: alone on its line */
    unsigned parts;           /* of path; 0 is the implicit iterator "." */
    const char *const *path;
    const char *text;
    size_t n;
    const char *indent;
    size_t jump;
} mu_op;

struct mu_template {
    mu_op *ops;
    size_t n;
    bool plain;
};

typedef struct {
    const mu_render *how;
    mu_buf *out;
    const json_t *stack[MU_TPL_DEPTH];
    unsigned depth, partials;
    uint64_t left;            /* operations still allowed */
    bool plain;
    const char *indent;       /* of the partial being rendered; "" mostly */
} mu_state;

/* Value of a name in the context, NULL when absent. Borrowed. */
const json_t *mu_state_find(const mu_state *state, const char *const *path, unsigned parts);
/* The text of a language object for the reader, or the value itself. Borrowed. */
const json_t *mu_state_text(const mu_state *state, const json_t *value);
bool mu_state_value(mu_state *state, const json_t *value, bool raw);
/* Adds text escaped as the template asks. */
bool mu_state_add(mu_state *state, const char *text, size_t n);

/* Placeholders given by the program come first; then the context's values. NULL-terminated name, value pairs, or NULL. */
bool mu_state_word(mu_state *state, const char *key, const char *const *args);
bool mu_state_format(mu_state *state, mu_format format, const json_t *value);

#endif
