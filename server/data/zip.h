/* Writes ZIP archives: stored members, no compression, every time stamp the same, so that equal members give equal bytes. */
#ifndef MU_ZIP_H
#define MU_ZIP_H

#include "base.h"
#include "buf.h"

#define MU_ZIP_MEMBERS 64u             /* more are refused */

/* name: path inside the archive, "/" between folders, ASCII; bytes are borrowed. */
typedef struct { const char *name, *bytes; size_t n; } mu_zip_member;

/* Appends a whole archive to `out`, which must be empty. False when out's maximum is passed or there are too many members. */
bool mu_zip_write(mu_buf *out, const mu_zip_member *members, size_t count);

#endif
