/* words: web/i18n/en.json and zh-CN.json -> words.h, words.c. The build fails when one language lacks a key the other has,
 * or when the {placeholders} of a key differ, because nobody would see either before a user does.
 * Plural: KEY#one and KEY#other stand for KEY; a language without plurals has KEY or KEY#other alone. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "gen.h"

typedef struct { const char *key, *text; } word;
typedef struct { const char *file; word *rows; size_t n; } language;

static int by_key(const void *a, const void *b)
{
    return strcmp(((const word *)a)->key, ((const word *)b)->key);
}

static void load(language *lang, const char *file)
{
    json_error_t error;
    json_t *object = json_load_file(file, JSON_REJECT_DUPLICATES, &error), *value;
    const char *key;

    if (object == NULL)
        gen_die(file, error.line, "%s", error.text);
    if (!json_is_object(object))
        gen_die(file, 1, "not an object of words");
    lang->file = file;
    json_object_foreach(object, key, value) {
        if (!json_is_string(value))
            gen_die(file, 0, "%s: not a text (keys are flat)", key);
        if (json_string_value(value)[0] == '\0')
            gen_die(file, 0, "%s: empty", key);
        lang->rows = gen_more(lang->rows, (lang->n + 1) * sizeof *lang->rows);
        lang->rows[lang->n++] = (word){ key, json_string_value(value) };
    }
    if (lang->n > 0)
        qsort(lang->rows, lang->n, sizeof *lang->rows, by_key);
}

static const char *find(const language *lang, const char *key)
{
    const word probe = { key, NULL };
    const word *hit = lang->n > 0 ? bsearch(&probe, lang->rows, lang->n, sizeof *lang->rows, by_key) : NULL;

    return hit != NULL ? hit->text : NULL;
}

/* The text that stands for a key whatever its plural forms: KEY itself or KEY#other. */
static const char *chief(const language *lang, const char *base)
{
    char other[520];
    const char *text = find(lang, base);

    snprintf(other, sizeof other, "%s#other", base);
    return text != NULL ? text : find(lang, other);
}

/* Next {name} of a text from *at; false at the end. */
static bool placeholder(const char **at, const char **ret, size_t *ret_n)
{
    for (const char *p = *at; *p != '\0'; p++) {
        if (*p != '{')
            continue;
        const char *q = p + 1;
        while (isalnum((unsigned char)*q) || *q == '_')
            q++;
        if (*q == '}' && q > p + 1) {
            *ret = p + 1;
            *ret_n = (size_t)(q - p - 1);
            *at = q + 1;
            return true;
        }
    }
    return false;
}

static bool has_all(const char *text, const char *other)
{
    const char *name, *found;
    size_t n, found_n;

    while (placeholder(&text, &name, &n)) {
        const char *at = other;
        bool hit = false;
        while (!hit && placeholder(&at, &found, &found_n))
            hit = found_n == n && memcmp(found, name, n) == 0;
        if (!hit)
            return false;
    }
    return true;
}

static int compare(const language *one, const language *two)
{
    int faults = 0;

    for (size_t i = 0; i < one->n; i++) {
        char base[512];
        if (strlen(one->rows[i].key) >= sizeof base)
            gen_die(one->file, 0, "a key longer than %zu bytes", sizeof base - 1);
        snprintf(base, sizeof base, "%s", one->rows[i].key);
        char *mark = strchr(base, '#');
        if (mark != NULL)
            *mark = '\0';
        const char *ours = chief(one, base), *theirs = chief(two, base);
        if (ours == NULL)
            faults++, fprintf(stderr, "%s: error: %s has no #other\n", one->file, base);
        else if (theirs == NULL)
            faults++, fprintf(stderr, "%s: error: key %s is missing\n", two->file, base);
        else if (!has_all(ours, theirs))
            faults++, fprintf(stderr, "%s: error: key %s lacks a placeholder of %s\n", two->file, base, one->file);
    }
    return faults;
}

static void table(FILE *out, const char *name, const language *lang)
{
    fprintf(out, "static const row %s[] = {\n", name);
    for (size_t i = 0; i < lang->n; i++) {
        fputs("  { ", out);
        gen_string(out, lang->rows[i].key, strlen(lang->rows[i].key));
        fputs(", ", out);
        gen_string(out, lang->rows[i].text, strlen(lang->rows[i].text));
        fputs(" },\n", out);
    }
    fputs("  { \"\", \"\" }\n};\n", out);
}

void gen_words(const char *folder, int count, char **files)
{
    static const char header[] =
        "/* The words of web/i18n. */\n#ifndef MU_WORDS_H\n#define MU_WORDS_H\n\n"
        "/* The text of a key, NULL when there is none. language: \"en\", anything else is Chinese. Result: static. */\n"
        "const char *mu_word(const char *language, const char *key);\n\n#endif\n";
    language en = { "en.json", NULL, 0 }, zh = { "zh-CN.json", NULL, 0 };
    gen_text out;

    for (int i = 0; i < count; i++) {
        if (strcmp(gen_base(files[i]), "en.json") == 0)
            load(&en, files[i]);
        else if (strcmp(gen_base(files[i]), "zh-CN.json") == 0)
            load(&zh, files[i]);
        else
            gen_die(files[i], 0, "neither en.json nor zh-CN.json");
    }
    if (compare(&en, &zh) + compare(&zh, &en) > 0)
        exit(1);
    gen_write(folder, "words.h", header, sizeof header - 1);
    gen_open(&out);
    fputs("#include <stdlib.h>\n#include <string.h>\n#include \"words.h\"\n\ntypedef struct { const char *key, *text; } row;\n", out.file);
    table(out.file, "words_en", &en);
    table(out.file, "words_zh", &zh);
    fprintf(out.file,
        "\nstatic int by_key(const void *key, const void *at)\n{\n    return strcmp(key, ((const row *)at)->key);\n}\n\n"
        "const char *mu_word(const char *language, const char *key)\n{\n"
        "    const int english = language != NULL && strncmp(language, \"en\", 2) == 0;\n"
        "    const row *hit = key == NULL ? NULL : english ? bsearch(key, words_en, %zu, sizeof(row), by_key)\n"
        "                                                  : bsearch(key, words_zh, %zu, sizeof(row), by_key);\n"
        "    return hit != NULL ? hit->text : NULL;\n}\n", en.n, zh.n);
    gen_close(&out);
    gen_write(folder, "words.c", out.at, out.n);
}
