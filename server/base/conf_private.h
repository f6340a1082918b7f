/* The option table as conf.c and conf_print.c see it. */
#ifndef MU_CONF_PRIVATE_H
#define MU_CONF_PRIVATE_H

#include "conf.h"

typedef enum {
    MU_CONF_TYPE_TEXT, MU_CONF_TYPE_SECRET, MU_CONF_TYPE_INT, MU_CONF_TYPE_BOOL, MU_CONF_TYPE_DURATION, MU_CONF_TYPE_SIZE,
    MU_CONF_TYPE_ENUM
} mu_conf_type;

typedef struct {
    const char *section, *name, *fallback, *chinese, *english, *values;
    mu_conf_type type;
    int64_t low, high;
} mu_conf_row;

typedef struct { char *text, *origin; int64_t number; } mu_conf_cell;

extern const mu_conf_row mu_conf_rows[MU_CONF_MAX];

const mu_conf_cell *mu_conf_cell_of(unsigned id);
/* What a value may be, in English: "a whole number from 1 to 64". Owner: the arena. */
char *mu_conf_range(mu_arena *arena, const mu_conf_row *row);

#endif
