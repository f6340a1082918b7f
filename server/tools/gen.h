/* The build-time generator: turns SQL, words and files into C. Runs on the build machine, never on a bank's.
 * It keeps everything in memory until the end and exits on the first mistake, so nothing here is freed. */
#ifndef MU_GEN_H
#define MU_GEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Ends the build with "file:line: message", the form editors and CI understand. line 0: no line. */
void gen_die(const char *file, int line, const char *format, ...) __attribute__((noreturn, format(printf, 3, 4)));
void *gen_more(void *at, size_t n);                           /* realloc that never fails */
char *gen_read(const char *file, size_t *ret_n);              /* whole file, followed by a NUL */
/* Writes `folder/name` only when its content changed, so that nothing is compiled again for nothing. */
void gen_write(const char *folder, const char *name, const void *bytes, size_t n);
const char *gen_base(const char *path);                       /* after the last slash */
void gen_string(FILE *out, const char *text, size_t n);       /* a C string literal, one source line per text line */
void gen_sha256(const void *bytes, size_t n, char ret[65]);   /* lower-case hex */

/* A text that grows: open, fprintf to .file, then gen_close() and use at/n. */
typedef struct { FILE *file; char *at; size_t n; } gen_text;
void gen_open(gen_text *text);
void gen_close(gen_text *text);

void gen_queries(const char *folder, int count, char **files);
void gen_migrations(const char *folder, int count, char **files);
void gen_words(const char *folder, int count, char **files);
void gen_assets(const char *folder, const char *root, int count, char **files);
void gen_version(const char *folder, const char *version);

#endif
