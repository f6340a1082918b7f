/* Options: every one is a row in conf.def. Order: defaults < file < conf.d < environment < flags. */
#ifndef MU_CONF_H
#define MU_CONF_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "err.h"

typedef enum {
#define C(id, section, name, type, least, most, fallback, zh, en) MU_CONF_##id,
#include "conf.def"
#undef C
    MU_CONF_MAX
} mu_conf_id;

/* Reads everything. `file` NULL = $MUSTER_CONF, else /etc/muster/muster.conf when it exists. `argv` (with the program's
 * name first; argc NULL: no flags) may hold words of the form --section.name=value or --section.name value; they are taken
 * out, and *argc becomes the number of words left. A lone -- ends the flags. Unknown keys and bad values are errors that name
 * the place and the nearest known key: all of them as faults (error.conf.unknown, .value, .file), the first also as detail. */
mu_err mu_conf_load(mu_problem *problem, const char *file, int *argc, char **argv);

const char *mu_conf_text(mu_conf_id id);       /* never NULL; "" when unset. static until the next load */
int64_t     mu_conf_int(mu_conf_id id);        /* durations in seconds, sizes in bytes */
bool        mu_conf_bool(mu_conf_id id);
void        mu_conf_set(mu_conf_id id, const char *value, const char *origin); /* before threads start */

void mu_conf_print(FILE *out);                 /* every value with its origin, secrets masked: `muster check config` */
void mu_conf_manual(FILE *out);                /* the option list as a manual page (roff) */
void mu_conf_example(FILE *out);               /* a commented example file */

#endif
