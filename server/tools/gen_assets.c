/* assets: every file of web/ (but its words) and of playbooks/ -> assets.h, assets.c, assets.S and assets.bin.
 * All bytes lie in one file that the assembler takes in as it is: a table of hex numbers would cost seconds and megabytes,
 * and a linker-made object would give the program an executable stack. Each file is followed by a NUL, so that a template
 * is a C string as it lies there. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "gen.h"

static const struct { const char *suffix, *media; } kinds[] = {
    { ".html", "text/html; charset=utf-8" },        { ".css", "text/css; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },    { ".svg", "image/svg+xml" },
    { ".txt", "text/plain; charset=utf-8" },        { ".md", "text/markdown; charset=utf-8" },
    { ".json", "application/json" },                { ".webmanifest", "application/manifest+json" },
    { ".atom", "application/atom+xml; charset=utf-8" }, { ".rss", "application/rss+xml; charset=utf-8" },
    { ".xml", "application/xml; charset=utf-8" },   { ".yaml", "application/yaml" },
    { ".png", "image/png" },                        { ".ico", "image/vnd.microsoft.icon" },
    { ".woff2", "font/woff2" },
};

static const char *media_of(const char *path)
{
    const char *dot = strrchr(gen_base(path), '.');

    for (size_t i = 0; dot != NULL && i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(dot, kinds[i].suffix) == 0)
            return kinds[i].media;
    return "application/octet-stream";
}

/* gzip -n -9: no name, no time, so that the same bytes give the same bytes. NULL when it would not be smaller. */
static unsigned char *zip(const char *bytes, size_t n, size_t *ret_n)
{
    z_stream z;
    const size_t most = n + n / 1000 + 1024;
    unsigned char *out = gen_more(NULL, most), *in = gen_more(NULL, n);

    memcpy(in, bytes, n);
    memset(&z, 0, sizeof z);
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
        gen_die("muster_gen", 0, "zlib does not start");
    z.next_in = in;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)most;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END)
        gen_die("muster_gen", 0, "zlib failed");
    *ret_n = z.total_out;
    deflateEnd(&z);
    out[9] = 3;   /* the system byte, fixed */
    return *ret_n + 32 < n ? out : NULL;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void write_fixed(const char *folder)
{
    static const char header[] =
        "/* The files compiled in: templates, styles, scripts, mail templates, playbooks. All static. */\n"
        "#ifndef MU_ASSETS_H\n#define MU_ASSETS_H\n\n#include <stddef.h>\n\n"
        "typedef struct {\n"
        "    const char *path;            /* in the source tree: \"web/incident.html\", \"playbooks/incident/x.yaml\" */\n"
        "    const char *media;           /* Content-Type */\n"
        "    const char *sha256;          /* 64 hex digits of the raw bytes */\n"
        "    const char *hash;            /* the first 16 of them, for names and ETags */\n"
        "    const char *raw;             /* followed by a NUL that does not count */\n"
        "    size_t raw_n;\n"
        "    const char *gzip;            /* NULL when it would not be smaller */\n"
        "    size_t gzip_n;\n"
        "} mu_asset;\n\n"
        "extern const mu_asset mu_assets[];   /* sorted by path; ends with a row whose path is NULL */\n"
        "extern const size_t mu_assets_count;\n"
        "const mu_asset *mu_asset_find(const char *path);   /* NULL when there is none */\n\n#endif\n";

    gen_write(folder, "assets.h", header, sizeof header - 1);
}

static void write_assembler(const char *folder)
{
    gen_text out;

    gen_open(&out);
    fprintf(out.file,
        "    .section .rodata\n    .balign 16\n    .globl mu_assets_bytes\n    .hidden mu_assets_bytes\n    .type mu_assets_bytes, %%object\n"
        "mu_assets_bytes:\n    .incbin \"%s/assets.bin\"\nmu_assets_end:\n    .byte 0\n    .size mu_assets_bytes, mu_assets_end - mu_assets_bytes\n"
        "    .section .note.GNU-stack,\"\",%%progbits\n", folder);
    gen_close(&out);
    gen_write(folder, "assets.S", out.at, out.n);
}

static void put(gen_text *blob, const void *bytes, size_t n, size_t *offset)
{
    static const char zeros[16] = { 0 };
    const size_t pad = 16 - n % 16;   /* at least one: the NUL */

    fwrite(bytes, 1, n, blob->file);
    fwrite(zeros, 1, pad, blob->file);
    *offset += n + pad;
}

void gen_assets(const char *folder, const char *root, int count, char **files)
{
    gen_text blob, out;
    size_t offset = 0;
    const size_t root_n = strlen(root);

    qsort(files, (size_t)count, sizeof *files, by_path);
    gen_open(&blob);
    gen_open(&out);
    fputs("#include <stdlib.h>\n#include <string.h>\n#include \"assets.h\"\n\nextern const char mu_assets_bytes[];\n\nconst mu_asset mu_assets[] = {\n", out.file);
    for (int i = 0; i < count; i++) {
        size_t n = 0, zipped_n = 0;
        char hash[65];
        if (strncmp(files[i], root, root_n) != 0 || files[i][root_n] != '/')
            gen_die(files[i], 0, "not below %s", root);
        const char *bytes = gen_read(files[i], &n);
        const unsigned char *zipped = zip(bytes, n, &zipped_n);
        gen_sha256(bytes, n, hash);
        fprintf(out.file, "  { \"%s\", \"%s\", \"%s\", \"%.16s\", mu_assets_bytes + %zu, %zu, ", files[i] + root_n + 1, media_of(files[i]), hash, hash, offset, n);
        put(&blob, bytes, n, &offset);
        if (zipped != NULL) {
            fprintf(out.file, "mu_assets_bytes + %zu, %zu },\n", offset, zipped_n);
            put(&blob, zipped, zipped_n, &offset);
        } else {
            fputs("NULL, 0 },\n", out.file);
        }
    }
    fprintf(out.file, "  { NULL, NULL, NULL, NULL, NULL, 0, NULL, 0 }\n};\nconst size_t mu_assets_count = %d;\n\n"
        "static int by_path(const void *key, const void *at)\n{\n    return strcmp(key, ((const mu_asset *)at)->path);\n}\n\n"
        "const mu_asset *mu_asset_find(const char *path)\n{\n"
        "    return path != NULL ? bsearch(path, mu_assets, mu_assets_count, sizeof mu_assets[0], by_path) : NULL;\n}\n", count);
    gen_close(&out);
    gen_close(&blob);
    gen_write(folder, "assets.bin", blob.at, blob.n);
    write_fixed(folder);
    write_assembler(folder);
    gen_write(folder, "assets.c", out.at, out.n);
}
