/* What is known of the house around a playbook, for the checker (server/engine/README.md, "Surroundings"). */
#ifndef MU_PLAYBOOK_AROUND_H
#define MU_PLAYBOOK_AROUND_H

#include <jansson.h>
#include "db.h"
#include "playbook.h"

/* Reads and checks a text in its surroundings. *ret_doc is NULL when it cannot be read at all; the slug is that of the text when it
 * has one, else `slug` (may be NULL). Findings say what is wrong with the text; the result only whether the database answered. */
mu_err mu_playbook_look(mu_tx *tx, const char *slug, bool publishing, const char *text, size_t n, mu_findings *findings, json_t **ret_doc, mu_playbook **ret);

#endif
