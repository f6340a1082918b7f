/* The plain form of a ZIP archive: a header before each member, then the list of all, then where the list begins. */
#include "zip.h"

#include <string.h>
#include <zlib.h>

#define DAY_ONE 0x0021u                /* 1980-01-01, the first day a ZIP archive knows */

static void
number(mu_buf *out, uint32_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        mu_buf_addc(out, (char)(unsigned char)(value >> (8 * i)));
}

/* What both headers of a member have in common: version, flags, method, time, date, sum, sizes, lengths. */
static void
description(mu_buf *out, const mu_zip_member *m)
{
    uint32_t sum = (uint32_t)crc32(0, (const unsigned char *)m->bytes, (uInt)m->n);

    number(out, 20, 2);
    number(out, 0, 2);
    number(out, 0, 2);
    number(out, 0, 2);
    number(out, DAY_ONE, 2);
    number(out, sum, 4);
    number(out, (uint32_t)m->n, 4);
    number(out, (uint32_t)m->n, 4);
    number(out, (uint32_t)strlen(m->name), 2);
    number(out, 0, 2);
}

bool
mu_zip_write(mu_buf *out, const mu_zip_member *members, size_t count)
{
    uint32_t at[MU_ZIP_MEMBERS], list;

    if (count > MU_ZIP_MEMBERS || out->n != 0 || out->max > UINT32_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        at[i] = (uint32_t)out->n;
        number(out, 0x04034b50u, 4);
        description(out, &members[i]);
        mu_buf_adds(out, members[i].name);
        mu_buf_add(out, members[i].bytes, members[i].n);
    }
    list = (uint32_t)out->n;
    for (size_t i = 0; i < count; i++) {
        number(out, 0x02014b50u, 4);
        number(out, 20, 2);
        description(out, &members[i]);
        number(out, 0, 2);                 /* no comment, first disk, no attributes */
        number(out, 0, 4);
        number(out, 0, 4);
        number(out, at[i], 4);
        mu_buf_adds(out, members[i].name);
    }
    uint32_t end = (uint32_t)out->n;
    number(out, 0x06054b50u, 4);
    number(out, 0, 4);
    number(out, (uint32_t)count, 2);
    number(out, (uint32_t)count, 2);
    number(out, end - list, 4);
    number(out, list, 4);
    number(out, 0, 2);
    return !out->over;
}
