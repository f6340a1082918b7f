/* What every file of Muster may use: attributes, clean-up of foreign objects, and the error shorthand.
 * The calls we do not use are listed in tools/lint.sh, which runs on every build. */
#ifndef MU_BASE_H
#define MU_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MU_MUST      __attribute__((warn_unused_result))
#define MU_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define MU_SENTINEL  __attribute__((sentinel))
#define MU_NONNULL   __attribute__((nonnull))
#define MU_NORETURN  __attribute__((noreturn))
#define MU_CLEAN(fn) __attribute__((cleanup(fn)))

#define MU_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Leave the function with the error of `expr`, if it has one. */
#define TRY(expr) do { mu_err try_err_ = (expr); if (try_err_ != MU_OK) return try_err_; } while (0)

#include "arena.h"
#include "err.h"

#endif
