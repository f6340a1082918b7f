/* Markdown (md4c, CommonMark subset with tables, no raw HTML). Links only to http, https and mailto. Input <= 64 KiB. */
#ifndef MU_MD_H
#define MU_MD_H

#include "base.h"
#include "buf.h"

bool mu_md_html(const char *text, size_t n, mu_buf *out);    /* safe HTML */
bool mu_md_plain(const char *text, size_t n, mu_buf *out);   /* text for mails */

#endif
