/* A fuzz target is one function over bytes. Built alone it is libFuzzer's entry; tests/unit/test_corpus.c includes the
 * same files under other names and replays the corpora in every test run. */
#ifndef MU_FUZZ_H
#define MU_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"

#ifdef MU_FUZZ_REPLAY
#define FUZZ_TARGET(name) \
    static int fuzz_##name(const uint8_t *data, size_t n); \
    static int fuzz_##name(const uint8_t *data, size_t n)
#else
#define FUZZ_TARGET(name) \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n); \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
#endif

/* Larger than any target needs: passing an arena's limit is tested elsewhere. */
#define FUZZ_ARENA ((size_t)1024 * 1024 * 1024)

/* A property that does not hold is a crash. */
#define HOLDS(property) do { if (!(property)) abort(); } while (0)

#endif
