#include "qr.h"

#include <qrencode.h>
#include <string.h>

#include "arena.h"
#include "buf.h"

#define TEXT_MAX 512
#define QUIET    4

/* Length of the run of dark modules that begins at x. */
static int
dark_run(const QRcode *code, int x, int y)
{
    int n = 0;

    while (x + n < code->width && (code->data[y * code->width + x + n] & 1) != 0)
        n++;
    return n;
}

char *
mu_qr_path(mu_arena *arena, const char *text, int *ret_side)
{
    MU_BUF_AUTO(out, 1u << 18);
    QRcode *code = text[0] != '\0' && strlen(text) <= TEXT_MAX ? QRcode_encodeString8bit(text, 0, QR_ECLEVEL_M) : NULL;
    bool good = code != NULL;

    for (int y = 0; good && y < code->width; y++)
        for (int x = 0, n; good && x < code->width; x += n > 0 ? n : 1)
            if ((n = dark_run(code, x, y)) > 0)
                good = mu_buf_addf(&out, "M%d %dh%dv1h-%dz", x + QUIET, y + QUIET, n, n);
    if (good)
        *ret_side = code->width + 2 * QUIET;
    QRcode_free(code);
    return good ? mu_strndup(arena, out.at, out.n) : NULL;
}
