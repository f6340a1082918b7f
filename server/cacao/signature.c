/* JSON signatures of a playbook. The standard's own test vector signs the lower-case hexadecimal text of the digest of the canonical form, where
 * one would expect the canonical bytes; both are tried, in that order, and the answer says which one matched. Dates are judged apart. */
#include "cacao_private.h"

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#include "clock.h"
#include "json.h"
#include "str.h"

enum { SIGNATURES_MAX = 8, KEY_TEXT = 16 * 1024, VALUE_TEXT = 8 * 1024, KEY_BITS = 8192 };

typedef enum { RSA_PKCS1, RSA_PSS, ELLIPTIC, EDWARDS } family;
typedef struct { const char *name, *digest; family family; int bits; } algorithm;

static const algorithm algorithms[] = {
    { "RS256", "SHA256", RSA_PKCS1, 0 }, { "RS384", "SHA384", RSA_PKCS1, 0 }, { "RS512", "SHA512", RSA_PKCS1, 0 },
    { "PS256", "SHA256", RSA_PSS, 0 }, { "PS384", "SHA384", RSA_PSS, 0 }, { "PS512", "SHA512", RSA_PSS, 0 },
    { "ES256", "SHA256", ELLIPTIC, 256 }, { "ES384", "SHA384", ELLIPTIC, 384 }, { "ES512", "SHA512", ELLIPTIC, 521 },
    { "Ed25519", NULL, EDWARDS, EVP_PKEY_ED25519 }, { "Ed448", NULL, EDWARDS, EVP_PKEY_ED448 },
};

static void drop_key(EVP_PKEY **key) { EVP_PKEY_free(*key); }
static void drop_context(EVP_MD_CTX **context) { EVP_MD_CTX_free(*context); }
static void drop_pair(ECDSA_SIG **pair) { ECDSA_SIG_free(*pair); }

/* The signer's key: as it stands in the signature, or that of the first certificate. Certificates are not traced to a root: whom to trust is
 * for people to say. Nothing is fetched from an address in the file. */
static EVP_PKEY *read_key(mu_arena *arena, const json_t *signature)
{
    const char *text = mu_json_str(signature, "public_key"), *chain = json_string_value(json_array_get(json_object_get(signature, "public_cert_chain"), 0));
    const unsigned char *at;
    void *bytes;
    size_t n;

    if (text == NULL)
        text = chain;
    if (text == NULL || strlen(text) > KEY_TEXT || !mu_unbase64(arena, text, &bytes, &n))
        return NULL;
    at = bytes;
    if (text != chain)
        return d2i_PUBKEY(NULL, &at, (long)n);
    X509 *certificate = d2i_X509(NULL, &at, (long)n);
    EVP_PKEY *key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    return key;
}

static bool key_fits(const algorithm *a, EVP_PKEY *key)
{
    const int type = EVP_PKEY_get_base_id(key);

    switch (a->family) {
    case RSA_PKCS1: return type == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) <= KEY_BITS;
    case RSA_PSS:   return (type == EVP_PKEY_RSA || type == EVP_PKEY_RSA_PSS) && EVP_PKEY_get_bits(key) <= KEY_BITS;
    case ELLIPTIC:  return type == EVP_PKEY_EC && EVP_PKEY_get_bits(key) == a->bits;
    case EDWARDS:   return type == a->bits;
    }
    return false;
}

/* JSON signatures write r and s side by side, libcrypto wants them in DER; a value that is DER already is left alone. */
static bool elliptic_value(mu_arena *arena, const algorithm *a, void **bytes, size_t *n)
{
    const size_t half = ((size_t)a->bits + 7) / 8;
    unsigned char *out = NULL;

    if (*n != 2 * half)
        return true;
    ECDSA_SIG *pair MU_CLEAN(drop_pair) = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(*bytes, (int)half, NULL), *s = BN_bin2bn((unsigned char *)*bytes + half, (int)half, NULL);
    if (pair == NULL || r == NULL || s == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        return false;
    }
    const int length = i2d_ECDSA_SIG(pair, &out);
    if (length <= 0)
        return false;
    *bytes = mu_alloc(arena, (size_t)length);
    memcpy(*bytes, out, (size_t)length);
    *n = (size_t)length;
    OPENSSL_free(out);
    return true;
}

static bool verifies(const algorithm *a, EVP_PKEY *key, const void *value, size_t value_n, const void *message, size_t n)
{
    EVP_MD_CTX *context MU_CLEAN(drop_context) = EVP_MD_CTX_new();
    EVP_PKEY_CTX *settings = NULL;

    if (context == NULL || EVP_DigestVerifyInit_ex(context, &settings, a->digest, NULL, NULL, key, NULL) != 1)
        return false;
    if (a->family == RSA_PSS && (EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) != 1 || EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_AUTO) != 1))
        return false;
    return EVP_DigestVerify(context, value, value_n, message, n) == 1;
}

/* The message: the playbook with this signature alone, without its value, in canonical form. */
static bool signed_bytes(const json_t *file, const json_t *signature, mu_buf *out)
{
    json_t *copy = json_copy((json_t *)(uintptr_t)file), *bare = json_copy((json_t *)(uintptr_t)signature);

    json_object_del(bare, "value");
    json_object_set_new(copy, "signatures", json_pack("[o]", bare));
    const bool good = mu_json_canonical(copy, out);
    json_decref(copy);
    return good;
}

static char *digest_text(mu_arena *arena, const char *name, const mu_buf *bytes)
{
    static const struct { const char *theirs, *ours; } names[] = { { "sha-256", "SHA256" }, { "sha-384", "SHA384" }, { "sha-512", "SHA512" },
        { "sha3-256", "SHA3-256" }, { "sha3-384", "SHA3-384" }, { "sha3-512", "SHA3-512" } };
    unsigned char hash[EVP_MAX_MD_SIZE];
    size_t n = 0;

    for (size_t i = 0; i < MU_COUNT(names); i++)
        if (strcasecmp(name != NULL ? name : "sha-256", names[i].theirs) == 0 && EVP_Q_digest(NULL, names[i].ours, NULL, bytes->at, bytes->n, hash, &n) == 1)
            return mu_hex(arena, hash, n);
    return NULL;
}

typedef struct { const char *state, *form; } outcome;

static outcome judge(mu_arena *arena, const json_t *file, const json_t *signature)
{
    const char *name = mu_json_str(signature, "algorithm"), *text = mu_json_str(signature, "value"), *digest;
    const algorithm *a = NULL;
    MU_BUF_AUTO(bytes, 4 * MU_CACAO_BYTES);
    void *value;
    size_t n;

    for (size_t i = 0; i < MU_COUNT(algorithms); i++)
        if (name != NULL && strcasecmp(name, algorithms[i].name) == 0)
            a = &algorithms[i];
    if (a == NULL)
        return (outcome){ "unsupported", NULL };
    EVP_PKEY *key MU_CLEAN(drop_key) = read_key(arena, signature);
    if (key == NULL)
        return (outcome){ "no_key", NULL };
    if (!key_fits(a, key) || text == NULL || strlen(text) > VALUE_TEXT || !mu_unbase64(arena, text, &value, &n) || n == 0 || !signed_bytes(file, signature, &bytes))
        return (outcome){ "invalid", NULL };
    if (a->family == ELLIPTIC && !elliptic_value(arena, a, &value, &n))
        return (outcome){ "invalid", NULL };
    digest = digest_text(arena, mu_json_str(signature, "hash_algorithm"), &bytes);
    if (digest != NULL && verifies(a, key, value, n, digest, strlen(digest)))
        return (outcome){ "valid", "digest" };
    if (verifies(a, key, value, n, bytes.at, bytes.n))
        return (outcome){ "valid", "bytes" };
    return (outcome){ "invalid", NULL };
}

static const char *dates(const json_t *signature, const char *now)
{
    const char *from = mu_json_str(signature, "valid_from"), *until = mu_json_str(signature, "valid_until");
    mu_instant at, edge;

    if (now == NULL || !mu_time_parse(now, &at))
        return "unknown";
    if ((from != NULL && (!mu_time_parse(from, &edge) || at < edge)) || (until != NULL && (!mu_time_parse(until, &edge) || at >= edge)))
        return "outside";
    return "inside";
}

static void report(reporter *r, const json_t *file, const json_t *signature, outcome o, const char *when, const char *pointer)
{
    const char *who = mu_json_str(signature, "signee");

    if (strcmp(o.state, "valid") == 0)
        mu_cacao_find(r, "S01", NOTE, o.form, "", pointer, "name", who, NULL);
    else if (strcmp(o.state, "invalid") == 0)
        mu_cacao_find(r, "S02", WARNING, NULL, "", pointer, "name", who, NULL);
    else
        mu_cacao_find(r, "S03", WARNING, o.state, "", pointer, "name", who, "algorithm", mu_json_str(signature, "algorithm"), NULL);
    if (strcmp(when, "outside") == 0)
        mu_cacao_find(r, "S04", WARNING, NULL, "", pointer, "name", who, NULL);
    if (!mu_same(mu_json_str(signature, "related_to"), mu_json_str(file, "id")) || !mu_same(mu_json_str(signature, "related_version"), mu_json_str(file, "modified")))
        mu_cacao_find(r, "S05", WARNING, NULL, "", pointer, "name", who, NULL);
}

json_t *mu_cacao_signatures(reporter *r, const json_t *file, const char *now)
{
    const json_t *list = json_object_get(file, "signatures"), *signature;
    json_t *out = mu_json_own(r->arena, json_array());
    size_t i;

    json_array_foreach(list, i, signature) {
        const char *pointer = mu_printf(r->arena, "/signatures/%zu", i), *when = dates(signature, now);
        if (i >= SIGNATURES_MAX) {
            mu_cacao_find(r, "S06", WARNING, NULL, "", pointer, "most", "8", NULL);
            break;
        }
        const outcome o = json_is_object(signature) ? judge(r->arena, file, signature) : (outcome){ "invalid", NULL };
        report(r, file, signature, o, when, pointer);
        json_array_append_new(out, json_pack("{s:s?, s:s?, s:s?, s:s, s:s?, s:s}", "id", mu_json_str(signature, "id"), "signee", mu_json_str(signature, "signee"),
            "algorithm", mu_json_str(signature, "algorithm"), "state", o.state, "form", o.form, "dates", when));
    }
    return out;
}
