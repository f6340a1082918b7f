/* QR codes for paper: what to draw, not how it is drawn. */
#ifndef MU_QR_H
#define MU_QR_H

#include "base.h"

/* `text` (an address, 1 to 512 bytes) as the path of an SVG picture: dark modules as rectangles one unit high, within a square of *ret_side
 * units that includes the quiet zone of four; error correction M (ISO/IEC 18004). The same text gives the same path. NULL when it does
 * not fit. Owner: the arena. */
char *mu_qr_path(mu_arena *arena, const char *text, int *ret_side);

#endif
