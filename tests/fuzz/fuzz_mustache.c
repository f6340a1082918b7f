#include "fuzz.h"
#include "json.h"
#include "mustache.h"

/* A template, a NUL, and a model. An odd number of bytes puts the model into a template of ours instead, whose output may
 * then contain no markup. */

static const char *fuzz_word(const char *language, const char *key)
{
    (void)language;
    return strlen(key) % 3 == 0 ? NULL : strlen(key) % 3 == 1 ? "{x} & {a.b} {" : "{n} <of> {ago} {at} {m}{s}{h}{d}";
}

static const mu_template *fuzz_partial(void *closure, const char *name)
{
    return *name == 'p' ? closure : NULL;
}

FUZZ_TARGET(mustache)
{
    static const char fixed[] = "{{x}}{{a.b}}{{#l}}{{.}}{{y}}{{/l}}{{#t}}k.{{x}}{{/t}}{{#duration}}x{{/duration}}{{#local}}x{{/local}}";
    const uint8_t *nul = n > 0 ? memchr(data, 0, n) : NULL;
    if (nul == NULL)
        return 0;
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_problem problem = { .arena = arena };
    bool ours = n % 2 == 1;
    const char *text = ours ? fixed : (const char *)data;
    size_t text_n = ours ? strlen(fixed) : (size_t)(nul - data);
    mu_template *tpl;
    json_t *model;
    if (mu_template_parse(arena, text, text_n, 0, &problem, &tpl) == MU_OK
        && mu_json_parse(arena, (const char *)nul + 1, n - (size_t)(nul - data) - 1, &problem, &model) == MU_OK) {
        mu_render how = { .language = "en", .word = fuzz_word, .partial = fuzz_partial, .closure = tpl, .now = 0 };
        mu_buf out = MU_BUF(100000);
        mu_err err = mu_template_render(tpl, model, &how, &out);
        HOLDS(err == MU_OK || err == MU_TOO_LARGE || err == MU_INVALID);
        HOLDS(err != MU_OK || mu_buf_addc(&out, '!') || out.n == out.max);
        if (ours && out.at != NULL)
            HOLDS(strpbrk(out.at, "<>\"'") == NULL);
        mu_buf_free(&out);
    }
    mu_arena_free(arena);
    return 0;
}
