/* Thin wrapper on libsodium. mu_crypto_start() comes first, before any thread. */
#ifndef MU_CRYPTO_H
#define MU_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "arena.h"

bool  mu_crypto_start(void);
void  mu_random(void *bytes, size_t n);
char *mu_token(mu_arena *arena, const char *prefix);           /* prefix + 32 random bytes as base64url */
char *mu_password_make(mu_arena *arena);                       /* a one-time password people can type: xxxxx-xxxxx-xxxxx, no look-alikes */
char *mu_password_hash(mu_arena *arena, const char *password); /* Argon2id, interactive limits; at most two run at once (64 MiB each) */
bool  mu_password_matches(const char *hash, const char *password); /* constant time; false for a malformed hash */
void  mu_sha256(const void *bytes, size_t n, uint8_t ret[32]);
char *mu_sha256_hex(mu_arena *arena, const void *bytes, size_t n);
char *mu_digest_hex(mu_arena *arena, const void *bytes, size_t n); /* BLAKE2b, 128 bits: for tags of pages, several times faster; never kept */
void  mu_hmac_sha256(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t ret[32]);
bool  mu_equal_secret(const void *a, const void *b, size_t n); /* constant time */
char *mu_uuid7(mu_arena *arena);                               /* RFC 9562, version 7 */

/* Secret box under the site key (32 bytes in DATA/key, mode 0600, made on first use). Sealed text: "s1:" + base64. */
bool  mu_seal_key_load(const char *file);
char *mu_seal(mu_arena *arena, const char *clear);
char *mu_unseal(mu_arena *arena, const char *sealed);          /* NULL: not ours, damaged, or another key */
/* A key derived from the site key for one purpose ("cursor", "form", "link"), so that no secret needs a table. */
void  mu_derive(const char *purpose, uint8_t ret[32]);

#endif
