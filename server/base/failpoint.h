/* Points where a test may kill the process: MUSTER_FAIL=name:n ends it with SIGKILL at the n-th time the point is passed.
 * Compiled only with MU_FAILPOINTS; otherwise a point costs nothing. Names are unique; `grep -rho 'MU_FP([a-z_.]*)'` lists them. */
#ifndef MU_FAILPOINT_H
#define MU_FAILPOINT_H

#ifdef MU_FAILPOINTS
void mu_failpoint(const char *name);
#define MU_FP(name) mu_failpoint(#name)
#else
#define MU_FP(name) ((void)0)
#endif

#endif
