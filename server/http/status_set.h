/* The public page and everything that belongs to it, made into finished responses. Used by status.c only. */
#ifndef MU_STATUS_SET_H
#define MU_STATUS_SET_H

#include "req.h"

#define MU_STATUS_ITEMS_MAX 256
#define MU_STATUS_BYTES_MAX (8u << 20)

/* One thing to give out. language "" means the same for every reader. */
typedef struct {
    char  path[96], file[112], language[4];
    const char *media;
    char *bytes;
    size_t n;
    int   status;
    mu_head_kind kind;
    char  etag[40];
    struct MHD_Response *plain, *gzip, *same;
} mu_status_item;

typedef struct { mu_status_item items[MU_STATUS_ITEMS_MAX]; unsigned n; } mu_status_set;

/* Renders the snapshot in both languages, its feeds and its documents. `code` is the status they are sent with; `stale` NULL or
 * what the page says about its age. The caller frees it with mu_status_free(); answers under way keep their own reference. */
mu_status_set *mu_status_make(mu_arena *arena, const json_t *snapshot, int code, const json_t *stale);
void mu_status_free(mu_status_set *set);

/* Writes the files of a set below a folder, each in one step, so that a reader never sees half of one. */
bool mu_status_write(const char *folder, const mu_status_set *set);
bool mu_status_write_file(const char *folder, const char *name, const char *bytes, size_t n);

#endif
