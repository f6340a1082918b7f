/* Which addresses we may call. The rule is checked against the address that is about to be dialled, never against a name,
 * so a name that changes its answer between check and call gains nothing. */
#ifndef MU_ADDRESS_H
#define MU_ADDRESS_H

#include <sys/socket.h>
#include "base.h"

/* One network, `bits` of `bytes` counted from the left. family is AF_INET or AF_INET6. */
typedef struct { int family; uint8_t bytes[16]; unsigned bits; } mu_cidr;
typedef struct { const mu_cidr *list; size_t count; } mu_cidrs;

#define MU_CIDRS_MAX 256

/* Reads "10.1.0.0/16, 192.168.7.9, fd00::/8": networks or single addresses, separated by commas or spaces; "" is the empty
 * list. A bad entry, bits set behind the mask or more than MU_CIDRS_MAX entries is a fault (MU_INVALID) that names the entry;
 * `pointer` names the setting. The list lives in the arena. */
mu_err mu_cidrs_parse(mu_arena *arena, const char *text, mu_problem *problem, const char *pointer, mu_cidrs *ret) MU_MUST;

/* Whether the address lies in one of the networks of its own family. */
bool mu_cidrs_match(const mu_cidrs *cidrs, const struct sockaddr *address);

/* True for public unicast addresses and for those in `allow`. Everything the IANA special-purpose registries (RFC 6890 and
 * its updates) keep apart is refused: this host, private use, shared space, loopback, link-local, documentation, benchmarking,
 * protocol assignments, unique-local, and IPv6 forms that carry an IPv4 address (mapped, compatible, 6to4, Teredo, NAT64).
 * Unspecified, broadcast and multicast addresses are refused even when listed, and so is any other family. */
bool mu_address_allowed(const struct sockaddr *address, const mu_cidrs *allow);

/* The address as text, for logs; "?" for another family. Owner: the arena. */
char *mu_address_text(mu_arena *arena, const struct sockaddr *address);

#endif
