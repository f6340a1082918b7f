/* Points where a test kills the process, to see what is left behind. */
#include "failpoint.h"

#ifdef MU_FAILPOINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
mu_failpoint(const char *name)
{
    static atomic_long hits;
    const char *wanted = getenv("MUSTER_FAIL"), *colon = wanted == NULL ? NULL : strrchr(wanted, ':');
    long at;

    if (colon == NULL || strlen(name) != (size_t)(colon - wanted) || strncmp(wanted, name, strlen(name)) != 0)
        return;
    at = strtol(colon + 1, NULL, 10);
    if (atomic_fetch_add(&hits, 1) + 1 == at)
        kill(getpid(), SIGKILL);                  /* no clean-up, no flush: as if the power had gone */
}
#else
typedef int mu_failpoint_unused;                  /* a translation unit may not be empty */
#endif
