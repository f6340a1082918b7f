/* The text of a playbook on its way in and out: what the handlers of playbooks share. */
#ifndef MU_PLAYBOOK_TEXT_H
#define MU_PLAYBOOK_TEXT_H

#include "handlers.h"
#include "playbook.h"

/* The field `text` of the request, or an uploaded file. NULL and a fault recorded when it is missing or no UTF-8. */
const char *mu_playbook_text(mu_req *rq, size_t *ret_n);
const char *mu_playbook_file(mu_req *rq, const json_t *file, size_t *ret_n);

/* "muster-json" or "muster-yaml", by the first character. */
const char *mu_playbook_format(const char *text);

/* [{"n","line","is_bad","found":[finding]}] for showing a text with what was found beside its lines; at most 3,000 lines. */
json_t *mu_playbook_lines(mu_arena *arena, const char *text, const json_t *findings);

/* Findings in the reader's language: each gets "text" and, when there is one, "remedy". In place. */
void mu_playbook_speak(mu_req *rq, json_t *findings);

/* Each finding of level error becomes a fault of the field, behind its place in the text: for a text that cannot be kept. */
mu_err mu_playbook_refuse(mu_req *rq, const json_t *findings);

#endif
