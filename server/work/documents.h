/* PDF and DOCX of a report: rendered from the frozen document by the same template as its page, then converted by a program in a
 * sandbox. Each is a row of table job: ordered, claimed, done or failed with a reason people can act on. */
#ifndef MU_DOCUMENTS_H
#define MU_DOCUMENTS_H

#include "bell.h"
#include "outbox.h"

/* The loop of the document thread; returns when the bell stops. */
void mu_documents_loop(const mu_outbox *outbox, mu_bell *bell, int poll_ms);

/* NULL when a page names nothing outside itself, else the offending tag's name or address (cut to 80 bytes, in the arena). Only
 * tags and style sheets count: a text that mentions an address is only a text. Pure. */
const char *mu_document_outside(mu_arena *arena, const char *html);

/* `muster document-child DIRECTORY PROGRAM ARGUMENT…`: shuts itself in (no network, the directory and the system's files only,
 * limits on memory, time, files) as far as the kernel permits, and becomes PROGRAM. Not for people. */
int mu_document_child(int argc, char **argv);

#endif
