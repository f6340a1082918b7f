#ifndef MU_ROUTES_H
#define MU_ROUTES_H

/* Settles what the compiler cannot: the element types of list fields. Before any thread; a second call does nothing. */
void mu_routes_prepare(void);

#endif
