/* muster_gen KIND FOLDER …: what each kind makes is told at the head of its own file. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>
#include "gen.h"

void gen_die(const char *file, int line, const char *format, ...)
{
    va_list args;

    if (line > 0)
        fprintf(stderr, "%s:%d: error: ", file, line);
    else
        fprintf(stderr, "%s: error: ", file);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

void *gen_more(void *at, size_t n)
{
    void *ret = realloc(at, n > 0 ? n : 1);

    if (ret == NULL)
        gen_die("muster_gen", 0, "out of memory");
    return ret;
}

char *gen_read(const char *file, size_t *ret_n)
{
    FILE *in = fopen(file, "rbe");
    char *at = NULL;
    size_t n = 0, got = 0;

    if (in == NULL)
        gen_die(file, 0, "%s", strerror(errno));
    do {
        at = gen_more(at, n + 65536 + 1);
        got = fread(at + n, 1, 65536, in);
        n += got;
    } while (got > 0);
    if (ferror(in))
        gen_die(file, 0, "%s", strerror(errno));
    fclose(in);
    at[n] = '\0';
    *ret_n = n;
    return at;
}

static bool already_there(const char *path, const void *bytes, size_t n)
{
    FILE *in = fopen(path, "rbe");
    size_t have = 0;

    if (in == NULL)
        return false;
    fclose(in);
    const char *at = gen_read(path, &have);
    return have == n && memcmp(at, bytes, n) == 0;
}

void gen_write(const char *folder, const char *name, const void *bytes, size_t n)
{
    char path[4096];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (already_there(path, bytes, n))
        return;
    FILE *out = fopen(path, "wbe");
    if (out == NULL)
        gen_die(path, 0, "%s", strerror(errno));
    if (fwrite(bytes, 1, n, out) != n || fclose(out) != 0)
        gen_die(path, 0, "%s", strerror(errno));
}

const char *gen_base(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? slash + 1 : path;
}

void gen_string(FILE *out, const char *text, size_t n)
{
    fputs("\"", out);
    for (size_t i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            fputs(i + 1 < n ? "\\n\"\n    \"" : "\\n", out);
        else if (c == '"' || c == '\\' || c == '?')   /* '?': C17 knows trigraphs */
            fprintf(out, "\\%c", c);
        else if (c < 32 || c == 127)
            fprintf(out, "\\%03o", c);
        else
            fputc(c, out);
    }
    fputs("\"", out);
}

void gen_sha256(const void *bytes, size_t n, char ret[65])
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, bytes, n);
    sodium_bin2hex(ret, 65, hash, sizeof hash);
}

void gen_open(gen_text *text)
{
    text->at = NULL;
    text->n = 0;
    text->file = open_memstream(&text->at, &text->n);
    if (text->file == NULL)
        gen_die("muster_gen", 0, "out of memory");
}

void gen_close(gen_text *text)
{
    if (fclose(text->file) != 0)
        gen_die("muster_gen", 0, "out of memory");
    text->file = NULL;
}

void gen_version(const char *folder, const char *version)
{
    gen_text header, source;

    gen_open(&header);
    fputs("#ifndef MU_VERSION_H\n#define MU_VERSION_H\n\nextern const char mu_version[]; /* static */\n\n#endif\n", header.file);
    gen_close(&header);
    gen_write(folder, "version.h", header.at, header.n);
    gen_open(&source);
    fputs("#include \"version.h\"\n\nconst char mu_version[] = ", source.file);
    gen_string(source.file, version, strlen(version));
    fputs(";\n", source.file);
    gen_close(&source);
    gen_write(folder, "version.c", source.at, source.n);
}

int main(int argc, char **argv)
{
    if (argc < 3 || sodium_init() < 0)
        gen_die("muster_gen", 0, "usage: muster_gen queries|migrations|words|assets|version FOLDER ...");
    const char *kind = argv[1], *folder = argv[2];
    if (strcmp(kind, "queries") == 0)
        gen_queries(folder, argc - 3, argv + 3);
    else if (strcmp(kind, "migrations") == 0)
        gen_migrations(folder, argc - 3, argv + 3);
    else if (strcmp(kind, "words") == 0)
        gen_words(folder, argc - 3, argv + 3);
    else if (strcmp(kind, "assets") == 0 && argc > 3)
        gen_assets(folder, argv[3], argc - 4, argv + 4);
    else if (strcmp(kind, "version") == 0 && argc == 4)
        gen_version(folder, argv[3]);
    else
        gen_die("muster_gen", 0, "no such kind: %s", kind);
    return 0;
}
