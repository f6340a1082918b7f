/* Signatures: every algorithm in both forms, with keys made here; changed files, wrong keys, dates, certificates. */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "cacao.h"
#include "crypto.h"
#include "json.h"
#include "str.h"
#include "test_help.h"

typedef enum { DIGEST, BYTES } form;
typedef struct { const char *name, *key, *curve, *digest; size_t half; bool pss; } algorithm;

static const algorithm algorithms[] = {
    { "RS256", "RSA", NULL, "SHA256", 0, false }, { "RS384", "RSA", NULL, "SHA384", 0, false }, { "RS512", "RSA", NULL, "SHA512", 0, false },
    { "PS256", "RSA", NULL, "SHA256", 0, true }, { "PS384", "RSA", NULL, "SHA384", 0, true }, { "PS512", "RSA", NULL, "SHA512", 0, true },
    { "ES256", "EC", "P-256", "SHA256", 32, false }, { "ES384", "EC", "P-384", "SHA384", 48, false }, { "ES512", "EC", "P-521", "SHA512", 66, false },
    { "Ed25519", "ED25519", NULL, NULL, 0, false }, { "Ed448", "ED448", NULL, NULL, 0, false },
};

static EVP_PKEY *make_key(const algorithm *a)
{
    EVP_PKEY *key = a->curve != NULL ? EVP_EC_gen(a->curve) : strcmp(a->key, "RSA") == 0 ? EVP_RSA_gen(2048) : EVP_PKEY_Q_keygen(NULL, NULL, a->key);
    assert_non_null(key);
    return key;
}

static char *spki(mu_arena *arena, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    const int n = i2d_PUBKEY(key, &der);
    assert_true(n > 0);
    char *text = mu_base64(arena, der, (size_t)n);
    OPENSSL_free(der);
    return text;
}

/* base64url of the signature; for elliptic curves r and s side by side. */
static char *sign(mu_arena *arena, const algorithm *a, EVP_PKEY *key, const char *message, size_t n)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings;
    unsigned char value[1024], raw[256];
    size_t length = sizeof value;
    assert_int_equal(EVP_DigestSignInit_ex(context, &settings, a->digest, NULL, NULL, key, NULL), 1);
    if (a->pss) {
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST), 1);
    }
    assert_int_equal(EVP_DigestSign(context, value, &length, (const unsigned char *)message, n), 1);
    EVP_MD_CTX_free(context);
    if (a->half == 0)
        return mu_base64url(arena, value, length);
    const unsigned char *at = value;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)length);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, (int)a->half), (int)a->half);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + a->half, (int)a->half), (int)a->half);
    ECDSA_SIG_free(pair);
    return mu_base64url(arena, raw, 2 * a->half);
}

static json_t *new_file(mu_arena *arena)
{
    return mu_json_own(arena, json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:{s:s, s:s}, s:{s:s}}, s:f}", "type", "playbook", "spec_version", "cacao-2.0", "id", "playbook--1", "modified", "2026-01-01T00:00:00.000Z",
        "workflow_start", "start--1", "workflow", "start--1", "type", "start", "on_completion", "end--1", "end--1", "type", "end", "number", 0.5));
}

/* Adds a signature to the file by the standard's steps. */
static json_t *add_signature(mu_arena *arena, json_t *file, const algorithm *a, EVP_PKEY *key, form how)
{
    json_t *signature = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "type", "jss", "id", "jss--1", "signee", "ACME", "related_to", "playbook--1", "related_version", "2026-01-01T00:00:00.000Z",
        "hash_algorithm", "sha-256", "algorithm", a->name, "public_key", spki(arena, key)), *others = json_deep_copy(json_object_get(file, "signatures"));
    mu_buf canonical = MU_BUF(100000);
    json_object_set_new(file, "signatures", json_pack("[O]", signature));
    assert_true(mu_json_canonical(file, &canonical));
    const char *digest = mu_sha256_hex(arena, canonical.at, canonical.n);
    const char *message = how == DIGEST ? digest : canonical.at;
    json_object_set_new(signature, "value", json_string(sign(arena, a, key, message, strlen(message))));
    mu_buf_free(&canonical);
    json_t *all = others != NULL ? others : json_array();
    json_array_append_new(all, signature);
    json_object_set_new(file, "signatures", all);
    return signature;
}

static mu_import look(mu_arena *arena, const json_t *file, const char *now)
{
    const char *text = mu_cacao_text(arena, file);
    mu_import in;
    (void)mu_playbook_import(arena, text, strlen(text), &(mu_import_options){ .now = now }, &in);
    return in;
}

static void judged(mu_arena *arena, const json_t *file, size_t i, const char *state, const char *how)
{
    const json_t *one = json_array_get(look(arena, file, NULL).signatures, i);
    if (!mu_same(mu_json_str(one, "state"), state) || !mu_same(mu_json_str(one, "form"), how))
        print_message("%s\n", mu_json_text(arena, one));
    assert_true(mu_same(mu_json_str(one, "state"), state));
    assert_true(mu_same(mu_json_str(one, "form"), how));
    assert_string_equal(mu_json_str(one, "dates"), "unknown");
}

static void every_algorithm_in_both_forms(void **state)
{
    for (size_t i = 0; i < MU_COUNT(algorithms); i++)
        for (int how = DIGEST; how <= BYTES; how++) {
            mu_arena *arena = mu_arena_new((size_t)64 * 1024 * 1024);
            EVP_PKEY *key = make_key(&algorithms[i]);
            json_t *file = new_file(arena), *signature = add_signature(arena, file, &algorithms[i], key, (form)how);
            judged(arena, file, 0, "valid", how == DIGEST ? "digest" : "bytes");
            json_object_set_new(signature, "signee", json_string("Somebody else"));
            judged(arena, file, 0, "invalid", NULL);
            json_object_set_new(signature, "signee", json_string("ACME"));
            json_object_set_new(file, "name", json_string("changed"));
            judged(arena, file, 0, "invalid", NULL);
            EVP_PKEY_free(key);
            mu_arena_free(arena);
        }
    (void)state;
}

static void several_signatures_do_not_disturb_each_other(void **state)
{
    EVP_PKEY *one = make_key(&algorithms[9]), *two = make_key(&algorithms[6]);
    json_t *file = new_file(*state);
    (void)add_signature(*state, file, &algorithms[9], one, DIGEST);
    json_t *second = add_signature(*state, file, &algorithms[6], two, BYTES);
    judged(*state, file, 0, "valid", "digest");
    judged(*state, file, 1, "valid", "bytes");
    json_object_set_new(second, "public_key", json_string(spki(*state, one)));   /* the key of another kind */
    judged(*state, file, 1, "invalid", NULL);
    judged(*state, file, 0, "valid", "digest");
    EVP_PKEY_free(one);
    EVP_PKEY_free(two);
}

static bool says(const json_t *findings, const char *message)
{
    const json_t *one;
    size_t i;
    json_array_foreach(findings, i, one)
        if (strcmp(mu_json_str(one, "message"), message) == 0)
            return true;
    return false;
}

static void dates_and_subjects_are_findings_of_their_own(void **state)
{
    EVP_PKEY *key = make_key(&algorithms[9]);
    json_t *file = new_file(*state);
    json_object_set_new(file, "revoked", json_true());
    json_object_set_new(file, "valid_until", json_string("2026-02-01T00:00:00.000Z"));
    json_t *signature = add_signature(*state, file, &algorithms[9], key, DIGEST);
    mu_import in = look(*state, file, "2026-03-01T00:00:00Z");
    assert_true(says(in.findings, "finding.S01.digest"));
    assert_true(says(in.findings, "finding.I12"));
    assert_true(says(in.findings, "finding.I13"));
    assert_string_equal(mu_json_str(json_array_get(in.signatures, 0), "dates"), "inside");
    assert_false(says(in.findings, "finding.S04"));
    assert_false(says(in.findings, "finding.S05"));
    json_object_set_new(signature, "valid_until", json_string("2026-02-01T00:00:00Z"));
    json_object_set_new(signature, "related_version", json_string("2025-02-01T00:00:00.000Z"));
    in = look(*state, file, "2026-02-01T00:00:00Z");
    assert_string_equal(mu_json_str(json_array_get(in.signatures, 0), "dates"), "outside");
    assert_true(says(in.findings, "finding.S04"));
    assert_true(says(in.findings, "finding.S05"));
    assert_true(says(in.findings, "finding.S02"));
    EVP_PKEY_free(key);
}

static void the_key_may_stand_in_a_certificate(void **state)
{
    mu_arena *arena = *state;
    EVP_PKEY *key = make_key(&algorithms[6]);
    X509 *certificate = X509_new();
    unsigned char *der = NULL;
    assert_int_equal(X509_set_pubkey(certificate, key), 1);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 1000);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    const int n = i2d_X509(certificate, &der);
    assert_true(n > 0);
    /* the certificate is part of what is signed, so it stands there before */
    json_t *file = new_file(arena), *signature = json_pack("{s:s, s:s, s:[s], s:s, s:s}", "type", "jss", "algorithm", "ES256", "public_cert_chain", mu_base64(arena, der, (size_t)n),
        "related_to", "playbook--1", "related_version", "2026-01-01T00:00:00.000Z");
    mu_buf canonical = MU_BUF(100000);
    json_object_set_new(file, "signatures", json_pack("[o]", signature));
    assert_true(mu_json_canonical(file, &canonical));
    const char *digest = mu_sha256_hex(arena, canonical.at, canonical.n);
    json_object_set_new(signature, "value", json_string(sign(arena, &algorithms[6], key, digest, 64)));
    judged(arena, file, 0, "valid", "digest");
    mu_buf_free(&canonical);
    OPENSSL_free(der);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

static void what_cannot_be_judged_is_said(void **state)
{
    static const struct { const char *signature, *state; } cases[] = {
        { "{}", "unsupported" }, { "7", "invalid" }, { "{\"algorithm\":\"XMSS-SHA2_10_256\"}", "unsupported" }, { "{\"algorithm\":\"RS256\",\"value\":\"AAAA\"}", "no_key" },
        { "{\"algorithm\":\"RS256\",\"public_key\":\"!!\",\"value\":\"AAAA\"}", "no_key" }, { "{\"algorithm\":\"RS256\",\"public_key\":\"AAAA\",\"value\":\"AAAA\"}", "no_key" },
        { "{\"algorithm\":\"RS256\",\"cert_url\":\"https://key.example/\",\"value\":\"AAAA\"}", "no_key" }, { "{\"algorithm\":5,\"public_cert_chain\":[7]}", "unsupported" },
    };
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        json_t *file = new_file(*state), *one;
        one = mu_json_own(*state, json_loads(cases[i].signature, JSON_DECODE_ANY, NULL));
        json_object_set_new(file, "signatures", json_pack("[O]", one));
        const mu_import in = look(*state, file, NULL);
        if (!mu_same(mu_json_str(json_array_get(in.signatures, 0), "state"), cases[i].state))
            print_message("%s\n", cases[i].signature);
        assert_string_equal(mu_json_str(json_array_get(in.signatures, 0), "state"), cases[i].state);
    }
    json_t *many = new_file(*state), *list = json_array();
    for (int i = 0; i < 20; i++)
        json_array_append_new(list, json_object());
    json_object_set_new(many, "signatures", list);
    const mu_import in = look(*state, many, NULL);
    assert_int_equal(json_array_size(in.signatures), 8);
    assert_true(says(in.findings, "finding.S06"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(every_algorithm_in_both_forms),
        ARENA_TEST(several_signatures_do_not_disturb_each_other),
        ARENA_TEST(dates_and_subjects_are_findings_of_their_own),
        ARENA_TEST(the_key_may_stand_in_a_certificate),
        ARENA_TEST(what_cannot_be_judged_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
