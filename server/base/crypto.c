#include "crypto.h"

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "str.h"

enum { KEY_BYTES = 32, HASHES_AT_ONCE = 2 };

static sem_t hashing;            /* each hash takes 64 MiB: a crowd at the sign-in page must not fill the memory */
static uint8_t site_key[KEY_BYTES];
static bool have_key;

bool mu_crypto_start(void)
{
    static bool started;
    if (started)
        return true;
    started = sodium_init() >= 0 && sem_init(&hashing, 0, HASHES_AT_ONCE) == 0;
    return started;
}

void mu_random(void *bytes, size_t n)
{
    randombytes_buf(bytes, n);
}

char *mu_token(mu_arena *arena, const char *prefix)
{
    uint8_t bytes[32];
    mu_random(bytes, sizeof bytes);
    char *token = mu_printf(arena, "%s%s", prefix, mu_base64url(arena, bytes, sizeof bytes));
    sodium_memzero(bytes, sizeof bytes);
    return token;
}

char *mu_password_make(mu_arena *arena)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyz23456789"; /* without i l o 0 1 */
    char *text = mu_alloc(arena, 18);
    for (int i = 0; i < 17; i++)
        text[i] = i % 6 == 5 ? '-' : letters[randombytes_uniform(sizeof letters - 1)];
    return text;
}

static void take_turn(void)
{
    while (sem_wait(&hashing) != 0 && errno == EINTR) {
    }
}

char *mu_password_hash(mu_arena *arena, const char *password)
{
    char *hash = mu_alloc(arena, crypto_pwhash_STRBYTES);
    take_turn();
    int failed = crypto_pwhash_str(hash, password, strlen(password), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                   crypto_pwhash_MEMLIMIT_INTERACTIVE);
    sem_post(&hashing);
    if (failed != 0) { /* no 64 MiB to be had */
        mu_log(MU_LOG_ERROR, "memory.out", "for=password");
        abort();
    }
    return hash;
}

bool mu_password_matches(const char *hash, const char *password)
{
    if (hash == NULL || password == NULL || !mu_starts(hash, "$argon2id$") || strlen(hash) >= crypto_pwhash_STRBYTES)
        return false;
    char copy[crypto_pwhash_STRBYTES] = "";
    memcpy(copy, hash, strlen(hash));
    take_turn();
    bool matches = crypto_pwhash_str_verify(copy, password, strlen(password)) == 0;
    sem_post(&hashing);
    return matches;
}

void mu_sha256(const void *bytes, size_t n, uint8_t ret[32])
{
    crypto_hash_sha256(ret, bytes, n);
}

char *mu_sha256_hex(mu_arena *arena, const void *bytes, size_t n)
{
    uint8_t hash[32];
    mu_sha256(bytes, n, hash);
    return mu_hex(arena, hash, sizeof hash);
}

char *mu_digest_hex(mu_arena *arena, const void *bytes, size_t n)
{
    uint8_t sum[16];

    crypto_generichash(sum, sizeof sum, bytes, n, NULL, 0);
    return mu_hex(arena, sum, sizeof sum);
}

void mu_hmac_sha256(const void *key, size_t key_n, const void *bytes, size_t n, uint8_t ret[32])
{
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, key, key_n);
    crypto_auth_hmacsha256_update(&state, bytes, n);
    crypto_auth_hmacsha256_final(&state, ret);
    sodium_memzero(&state, sizeof state);
}

bool mu_equal_secret(const void *a, const void *b, size_t n)
{
    return sodium_memcmp(a, b, n) == 0;
}

char *mu_uuid7(mu_arena *arena)
{
    uint8_t u[16];
    mu_random(u, sizeof u);
    uint64_t ms = (uint64_t)(mu_wall_now() / 1000);
    for (int i = 0; i < 6; i++)
        u[i] = (uint8_t)(ms >> (40 - 8 * i));
    u[6] = (uint8_t)(0x70 | (u[6] & 0x0F));
    u[8] = (uint8_t)(0x80 | (u[8] & 0x3F));
    return mu_printf(arena, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4],
                     u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

static bool read_key(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    struct stat info;
    uint8_t extra;
    bool fine = fstat(fd, &info) == 0 && (info.st_mode & 077) == 0 && read(fd, site_key, KEY_BYTES) == KEY_BYTES
             && read(fd, &extra, 1) == 0;
    close(fd);
    return fine;
}

/* Written beside and linked, so that two processes starting at once agree on one whole key. */
static bool make_key(const char *file)
{
    char fresh[4096];
    uint8_t key[KEY_BYTES];
    int n = snprintf(fresh, sizeof fresh, "%s.%ld", file, (long)getpid());
    if (n < 0 || (size_t)n >= sizeof fresh)
        return false;
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    mu_random(key, sizeof key);
    bool fine = write(fd, key, sizeof key) == (ssize_t)sizeof key && fsync(fd) == 0;
    fine = close(fd) == 0 && fine;
    fine = fine && (link(fresh, file) == 0 || errno == EEXIST);
    unlink(fresh);
    sodium_memzero(key, sizeof key);
    return fine;
}

bool mu_seal_key_load(const char *file)
{
    if (access(file, F_OK) != 0 && errno == ENOENT && !make_key(file)) {
        mu_log(MU_LOG_ERROR, "key.make", "file=%s error=%s", file, strerror(errno));
        return false;
    }
    have_key = read_key(file);
    if (!have_key)
        mu_log(MU_LOG_ERROR, "key.read", "file=%s wanted=%s", file, "32 bytes, readable by the owner only");
    return have_key;
}

static void need_key(void)
{
    if (!have_key) {
        mu_log(MU_LOG_ERROR, "key.missing", "mistake=%s", "used before mu_seal_key_load()");
        abort();
    }
}

void mu_derive(const char *purpose, uint8_t ret[32])
{
    need_key();
    char label[128];
    int n = snprintf(label, sizeof label, "muster:%s", purpose);
    if (n < 0 || (size_t)n >= sizeof label)
        abort();
    mu_hmac_sha256(site_key, sizeof site_key, label, (size_t)n, ret);
}

char *mu_seal(mu_arena *arena, const char *clear)
{
    uint8_t key[crypto_secretbox_KEYBYTES];
    size_t n = strlen(clear), whole = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + n;
    uint8_t *box = mu_alloc(arena, whole);
    mu_derive("seal", key);
    mu_random(box, crypto_secretbox_NONCEBYTES);
    crypto_secretbox_easy(box + crypto_secretbox_NONCEBYTES, (const uint8_t *)clear, n, box, key);
    sodium_memzero(key, sizeof key);
    return mu_printf(arena, "s1:%s", mu_base64(arena, box, whole));
}

char *mu_unseal(mu_arena *arena, const char *sealed)
{
    uint8_t key[crypto_secretbox_KEYBYTES];
    void *bytes;
    size_t n, overhead = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
    if (sealed == NULL || !mu_starts(sealed, "s1:") || !mu_unbase64(arena, sealed + 3, &bytes, &n) || n < overhead)
        return NULL;
    uint8_t *box = bytes;
    char *clear = mu_alloc(arena, n - overhead + 1);
    mu_derive("seal", key);
    int failed = crypto_secretbox_open_easy((uint8_t *)clear, box + crypto_secretbox_NONCEBYTES,
                                            n - crypto_secretbox_NONCEBYTES, box, key);
    sodium_memzero(key, sizeof key);
    return failed == 0 ? clear : NULL;
}
