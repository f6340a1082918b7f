#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto.h"
#include "str.h"
#include "test_help.h"

static char key_file[64];

static int start(void **state)
{
    (void)state;
    snprintf(key_file, sizeof key_file, "/tmp/muster-key-%ld", (long)getpid());
    unlink(key_file);
    return mu_crypto_start() ? 0 : 1;
}

static int stop(void **state)
{
    (void)state;
    unlink(key_file);
    return 0;
}

static void hashes_match_known_answers(void **state)
{
    mu_arena *arena = *state;
    assert_string_equal(mu_sha256_hex(arena, "abc", 3), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    uint8_t mac[32];
    mu_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac); /* RFC 4231, case 2 */
    assert_string_equal(mu_hex(arena, mac, 32), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    assert_true(mu_equal_secret("abc", "abc", 3));
    assert_false(mu_equal_secret("abc", "abd", 3));
}

static void passwords(void **state)
{
    mu_arena *arena = *state;
    char *hash = mu_password_hash(arena, "correct horse");
    assert_true(mu_starts(hash, "$argon2id$v=19$m=65536,t=2,p=1$"));
    assert_true(mu_password_matches(hash, "correct horse"));
    assert_false(mu_password_matches(hash, "correct horsf"));
    assert_false(mu_password_matches(hash, ""));
    assert_false(mu_password_matches("", "x") || mu_password_matches("$argon2id$nonsense", "x") || mu_password_matches(NULL, "x")
                 || mu_password_matches("plain", "plain"));
    char *made = mu_password_make(arena);
    assert_int_equal(strlen(made), 17);
    assert_true(made[5] == '-' && made[11] == '-');
    assert_null(strpbrk(made, "ilo01"));
}

static void tokens_and_identifiers(void **state)
{
    mu_arena *arena = *state;
    char *a = mu_token(arena, "mus_"), *b = mu_token(arena, "mus_");
    assert_true(mu_starts(a, "mus_") && strlen(a) == 47 && strcmp(a, b) != 0);
    char *first = mu_uuid7(arena);
    assert_true(mu_is_uuid(first) && first[14] == '7' && strchr("89ab", first[19]) != NULL);
}

static void sealed_text_opens_only_with_the_key(void **state)
{
    mu_arena *arena = *state;
    assert_true(mu_seal_key_load(key_file));
    struct stat info;
    assert_int_equal(stat(key_file, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(info.st_size, 32);
    char *sealed = mu_seal(arena, "webhook secret 演");
    assert_true(mu_starts(sealed, "s1:"));
    assert_string_not_equal(sealed, mu_seal(arena, "webhook secret 演"));
    assert_string_equal(mu_unseal(arena, sealed), "webhook secret 演");
    assert_string_equal(mu_unseal(arena, mu_seal(arena, "")), "");
    char *damaged = mu_strdup(arena, sealed);
    damaged[20] = damaged[20] == 'A' ? 'B' : 'A';
    assert_null(mu_unseal(arena, damaged));
    assert_null(mu_unseal(arena, "s1:"));
    assert_null(mu_unseal(arena, "plain"));
    assert_null(mu_unseal(arena, NULL));

    uint8_t one[32], two[32], again[32];
    mu_derive("cursor", one);
    mu_derive("form", two);
    assert_memory_not_equal(one, two, 32);
    assert_true(mu_seal_key_load(key_file)); /* the same key on the next start */
    mu_derive("cursor", again);
    assert_memory_equal(one, again, 32);

    unlink(key_file);
    assert_true(mu_seal_key_load(key_file)); /* another key */
    assert_null(mu_unseal(arena, sealed));
    assert_int_equal(chmod(key_file, 0644), 0);
    assert_false(mu_seal_key_load(key_file));
    assert_int_equal(chmod(key_file, 0600), 0);
    assert_int_equal(truncate(key_file, 16), 0);
    assert_false(mu_seal_key_load(key_file));
    assert_false(mu_seal_key_load("/nowhere/at/all/key"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(hashes_match_known_answers),
        ARENA_TEST(passwords),
        ARENA_TEST(tokens_and_identifiers),
        ARENA_TEST(sealed_text_opens_only_with_the_key),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
