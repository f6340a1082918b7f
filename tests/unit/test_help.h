/* What the unit tests of base and data share: cmocka, an arena per test, and a look at the faults of a problem. */
#ifndef MU_TEST_HELP_H
#define MU_TEST_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base.h"

static inline int setup_arena(void **state)
{
    *state = mu_arena_new((size_t)64 * 1024 * 1024);
    return 0;
}

static inline int teardown_arena(void **state)
{
    mu_arena_free(*state);
    return 0;
}

#define ARENA_TEST(name) cmocka_unit_test_setup_teardown(name, setup_arena, teardown_arena)

/* The fault at a pointer with a key, NULL when there is none. */
static inline const mu_fault *find_fault(const mu_problem *problem, const char *pointer, const char *key)
{
    for (const mu_fault *fault = problem->first; fault != NULL; fault = fault->next)
        if (strcmp(fault->pointer, pointer) == 0 && fault->key != NULL && strcmp(fault->key, key) == 0)
            return fault;
    return NULL;
}

static inline const char *fault_arg(const mu_fault *fault, const char *name)
{
    for (const char *const *at = fault != NULL ? fault->args : NULL; at != NULL && at[0] != NULL; at += 2)
        if (strcmp(at[0], name) == 0)
            return at[1];
    return "";
}

/* A small generator of numbers for property tests; the seed is printed by whoever finds a failure. */
static inline uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

#endif
