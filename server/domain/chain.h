/* Proof of an export: recomputes the hash chain of an incident's timeline, or of the audit log, from the document alone. Pure.
 *
 * hash = lower-case hex of SHA-256(prev_hash || RFC 8785 form of the hashed members), the first prev_hash being 64 zeros.
 * Hashed of a timeline event: incident, seq, at, recorded_at, kind, actor, actor_name, text, data; of an audit event: seq, at, actor,
 * actor_name, action, object, data. A member that has no value is null, never missing. The rest of an incident's export is covered by
 * document_sha256: the hash of the RFC 8785 form of the document without timeline and document_sha256. */
#ifndef MU_CHAIN_H
#define MU_CHAIN_H

#include "base.h"

typedef struct mu_chain_report {
    bool        good;
    int64_t     first;         /* number of the first event: 1 but for a part of the audit log */
    int64_t     events;        /* events that were read and are in order up to the first bad one */
    int64_t     bad_seq;       /* number of the first event that does not fit; 0 when none or when the document's frame is wrong */
    const char *what;          /* NULL when good, else a word key: chain.hash, chain.previous, chain.sequence, chain.member,
                                  chain.reference, chain.end, chain.document */
    const char *ref;           /* the incident's reference, NULL for an audit log; arena */
    const char *last_hash;     /* of the last good event, to be compared with one kept elsewhere; arena or static */
} mu_chain_report;

/* `text` = an export of format muster-incident-1 or muster-audit-1. A document that is not JSON, or of another format, gives
 * MU_MALFORMED or MU_INVALID with a fault; a chain that does not hold is MU_OK with good = false. */
mu_err mu_chain_verify(mu_arena *arena, const char *text, size_t n, mu_problem *problem, mu_chain_report *ret);

#endif
