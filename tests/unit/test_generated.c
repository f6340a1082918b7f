/* What the build made from files: every embedded file is found, whole and zipped alike; every template parses and asks for nothing
 * that does not exist; every query's parameters are the ones its text uses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include "assets.h"
#include "crypto.h"
#include "db.h"
#include "migrations.h"
#include "mustache.h"
#include "str.h"
#include "version.h"
#include "words.h"

static void unzip(const mu_asset *asset, char *out)
{
    z_stream z;

    memset(&z, 0, sizeof z);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    unsigned char *in = malloc(asset->gzip_n);
    assert_non_null(in);
    memcpy(in, asset->gzip, asset->gzip_n);
    z.next_in = in;
    z.avail_in = (uInt)asset->gzip_n;
    z.next_out = (unsigned char *)out;
    z.avail_out = (uInt)asset->raw_n;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, asset->raw_n);
    inflateEnd(&z);
    free(in);
}

static void test_assets(void **state)
{
    mu_arena *arena = mu_arena_new(64 << 20);

    (void)state;
    assert_null(mu_asset_find("web/no-such-file"));
    assert_null(mu_asset_find(NULL));
    for (size_t i = 0; i < mu_assets_count; i++) {
        const mu_asset *asset = &mu_assets[i];
        assert_ptr_equal(mu_asset_find(asset->path), asset);
        assert_int_equal(asset->raw[asset->raw_n], '\0');
        assert_string_equal(mu_sha256_hex(arena, asset->raw, asset->raw_n), asset->sha256);
        assert_memory_equal(asset->hash, asset->sha256, strlen(asset->hash));
        if (asset->gzip != NULL) {
            char *out = mu_alloc(arena, asset->raw_n + 1);
            unzip(asset, out);
            assert_memory_equal(out, asset->raw, asset->raw_n);
        }
    }
    assert_null(mu_assets[mu_assets_count].path);
    mu_arena_free(arena);
}

typedef struct { const char *path; unsigned missing; } asker;

static void ask(void *closure, const char *kind, const char *name)
{
    asker *a = closure;
    char text[256];

    if (mu_same(kind, "partial")) {
        if (mu_starts(a->path, "web/mail/"))   /* mails have parts of their own, one per form */
            snprintf(text, sizeof text, "web/mail/%s%s", name, strrchr(a->path, '.'));
        else
            snprintf(text, sizeof text, "web/%s.html", name);
        if (mu_asset_find(text) == NULL) {
            a->missing++;
            print_error("%s: there is no part %s\n", a->path, name);
        }
        return;
    }
    snprintf(text, sizeof text, "%s#other", name);
    static const char *const languages[] = { "zh", "en" };
    for (size_t i = 0; i < MU_COUNT(languages); i++)
        if (mu_word(languages[i], name) == NULL && mu_word(languages[i], text) == NULL) {
            a->missing++;
            print_error("%s: no word %s in %s\n", a->path, name, languages[i]);
        }
}

static void test_templates(void **state)
{
    mu_arena *arena = mu_arena_new(64 << 20);
    unsigned bad = 0;

    (void)state;
    for (const mu_asset *asset = mu_assets; asset->path != NULL; asset++) {
        const char *dot = strrchr(asset->path, '.');
        const bool plain = mu_same(dot, ".txt");
        if (!mu_starts(asset->path, "web/") || !(plain || mu_same(dot, ".html") || mu_same(dot, ".atom") || mu_same(dot, ".rss")))
            continue;
        mu_problem problem = { .arena = arena };
        mu_template *tpl;
        asker a = { asset->path, 0 };
        if (mu_template_parse(arena, asset->raw, asset->raw_n, plain ? MU_TPL_PLAIN : 0, &problem, &tpl) != MU_OK) {
            print_error("%s: %s line %s\n", asset->path, problem.first != NULL ? problem.first->key : "?",
                        problem.first != NULL && problem.first->args[0] != NULL ? problem.first->args[1] : "?");
            bad++;
            continue;
        }
        mu_template_walk(tpl, ask, &a);
        bad += a.missing;
    }
    mu_arena_free(arena);
    assert_int_equal(bad, 0);
}

static void test_words(void **state)
{
    (void)state;
    assert_null(mu_word("en", "no.such.key"));
    assert_null(mu_word("zh", NULL));
    if (mu_word("en", "severity.I") != NULL) {
        assert_string_not_equal(mu_word("en", "severity.I"), mu_word("zh-CN", "severity.I"));
        assert_ptr_equal(mu_word("zh", "severity.I"), mu_word(NULL, "severity.I"));
    }
}

static void test_queries(void **state)
{
    (void)state;
    for (int i = Q_none; i < MU_QUERY_MAX; i++) {
        const mu_query_row *row = &mu_query_info[i];
        int n = 0;
        while (row->params[n] != NULL)
            n++;
        assert_int_equal(n, row->nparams);
        assert_non_null(row->sql);
        if (i > Q_none + 1)
            assert_true(strcmp(mu_query_info[i - 1].name, row->name) < 0);
    }
}

static void test_scripts(void **state)
{
    mu_arena *arena = mu_arena_new(0);

    (void)state;
    assert_true(mu_migrations_count > 0);
    for (size_t i = 0; i < mu_migrations_count; i++) {
        assert_string_equal(mu_sha256_hex(arena, mu_migrations[i].sql, strlen(mu_migrations[i].sql)), mu_migrations[i].sha256);
        assert_true(i == 0 || mu_migrations[i].number > mu_migrations[i - 1].number);
    }
    assert_null(mu_migrations[mu_migrations_count].name);
    assert_true(strlen(mu_version) >= 5);
    mu_arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_assets), cmocka_unit_test(test_templates), cmocka_unit_test(test_words), cmocka_unit_test(test_queries), cmocka_unit_test(test_scripts),
    };

    if (!mu_crypto_start())
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
