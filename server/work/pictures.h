/* Pictures of playbooks: Graphviz draws them in the sandbox of the document programs, once for each content and language. */
#ifndef MU_PICTURES_H
#define MU_PICTURES_H

#include "outbox.h"

/* Draws the next one that is wanted; false when there is none, or the database is away. `root`: a directory for its work. */
bool mu_picture_one(const mu_outbox *outbox, const char *root);

#endif
