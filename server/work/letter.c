#include "letter.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "assets.h"
#include "buf.h"
#include "clock.h"
#include "json.h"
#include "log.h"
#include "mustache.h"
#include "str.h"
#include "words.h"

#define BODY_MAX (1u << 20)
#define RECENT   8
#define TOKEN_LEAST 20 /* shorter ones might stand in a text by chance */

typedef struct { const char *path; const mu_template *template; } kept;
typedef struct { const char *at; size_t n; } slice;

/* The model as JSON text, without what differs from reader to reader: before the token of the link, between it and the recipient,
 * and behind that. `token` is empty where there is no link. */
typedef struct { slice head, token, middle, recipient, tail; } cut;

typedef struct { cut model; mu_letter letter; } rendered;

struct mu_letters {
    mu_arena   *arena;
    kept       *templates;
    size_t      count;
    bool        personal;      /* some template names the recipient: nothing can be shared */
    rendered    recent[RECENT];
    size_t      next;
};

/* ---- templates ---- */

static const mu_template *
find(const mu_letters *letters, const char *purpose, const char *ending)
{
    for (size_t i = 0; i < letters->count; i++) {
        const char *name = letters->templates[i].path + strlen("web/mail/");
        size_t n = strlen(purpose);
        if (strncmp(name, purpose, n) == 0 && mu_same(name + n, ending))
            return letters->templates[i].template;
    }
    return NULL;
}

typedef struct { const mu_letters *letters; const char *ending; } partials;

static const mu_template *
on_partial(void *closure, const char *name)
{
    const partials *p = closure;

    return find(p->letters, name, p->ending);
}

static bool
holds(const mu_asset *asset, const char *word)
{
    return memmem(asset->raw, asset->raw_n, word, strlen(word)) != NULL;
}

static void
keep_template(mu_letters *letters, const mu_asset *asset)
{
    size_t n = strlen(asset->path);
    bool plain = n > 4 && mu_same(asset->path + n - 4, ".txt");
    mu_problem problem = { .arena = letters->arena };
    mu_template *template;

    if (!plain && !(n > 5 && mu_same(asset->path + n - 5, ".html")))
        return;
    if (mu_template_parse(letters->arena, asset->raw, asset->raw_n, plain ? MU_TPL_PLAIN : 0, &problem, &template) != MU_OK) {
        mu_log(MU_LOG_ERROR, "mail.template", "path=%s", asset->path);
        return;
    }
    letters->templates[letters->count++] = (kept){ asset->path, template };
    /* A formatter ({{#md}}ack_url{{/md}}) may take a link to pieces; then it cannot be exchanged afterwards. */
    letters->personal = letters->personal || holds(asset, "recipient") || holds(asset, "}}ack_url{{");
}

mu_letters *
mu_letters_new(void)
{
    mu_arena *arena = mu_arena_new(32u << 20);
    mu_letters *letters = mu_alloc(arena, sizeof *letters);
    size_t count = 0;

    letters->arena = arena;
    for (size_t i = 0; i < mu_assets_count; i++)
        count += mu_starts(mu_assets[i].path, "web/mail/");
    letters->templates = mu_alloc(arena, sizeof(kept) * (count + 1));
    for (size_t i = 0; i < mu_assets_count; i++)
        if (mu_starts(mu_assets[i].path, "web/mail/"))
            keep_template(letters, &mu_assets[i]);
    return letters;
}

void
mu_letters_free(mu_letters *letters)
{
    if (letters != NULL)
        mu_arena_free(letters->arena); /* the letters live in it */
}

void
mu_letters_forget(mu_letters *letters)
{
    memset(letters->recent, 0, sizeof letters->recent);
    letters->next = 0;
}

/* ---- one reader's letter ---- */

/* The text in the reader's language, else in the other one. */
static const char *
text_of(const json_t *texts, const char *language)
{
    const char *text = json_is_string(texts) ? json_string_value(texts) : mu_json_str(texts, language);

    if (text == NULL || text[0] == '\0')
        text = mu_json_str(texts, mu_same(language, "en") ? "zh" : "en");
    return text != NULL ? text : "";
}

static void
add_paragraphs(json_t *model, const char *language)
{
    json_t *list = json_array();
    const char *at = text_of(json_object_get(model, "text"), language);

    for (;;) {
        size_t n = strcspn(at, "\n");
        if (n > 0)
            json_array_append_new(list, json_stringn(at, n));
        if (at[n] == '\0')
            break;
        at += n + 1;
    }
    json_object_set_new(model, "paragraphs", list);
}

/* Rendered text, or NULL when there is no such template. */
static mu_err
render(const mu_letters *letters, mu_arena *arena, const json_t *model, const mu_out_row *row, const char *ending, const char **ret)
{
    const mu_template *template = row->purpose != NULL ? find(letters, row->purpose, ending) : NULL;
    partials closure = { letters, ending };
    mu_render how = { .language = row->language, .word = mu_word, .partial = on_partial, .closure = &closure, .now = mu_wall_now() };
    MU_BUF_AUTO(out, BODY_MAX);

    if (template == NULL)
        template = find(letters, "notification", ending);
    *ret = NULL;
    if (template == NULL)
        return MU_OK;
    TRY(mu_template_render(template, model, &how, &out));
    *ret = mu_strndup(arena, out.at != NULL ? out.at : "", out.n);
    return MU_OK;
}

/* Without templates the words themselves still go out: a missing file must not silence an alarm. */
static const char *
bare_text(mu_arena *arena, const json_t *model, const char *language)
{
    const char *url = mu_json_str(mu_json_at(model, "incident"), "url"), *ack = mu_json_str(model, "ack_url");

    return mu_printf(arena, "%s\n%s%s\n%s\n", text_of(json_object_get(model, "text"), language), url != NULL ? "\n" : "", url != NULL ? url : "", ack != NULL ? ack : "");
}

static mu_err
write_anew(const mu_letters *letters, mu_arena *arena, const mu_out_row *row, mu_problem *problem, mu_letter *ret)
{
    json_t *model;

    TRY(mu_json_parse(arena, row->document, strlen(row->document), problem, &model));
    add_paragraphs(model, row->language);
    *ret = (mu_letter){ .subject = mu_strdup(arena, text_of(json_object_get(model, "subject"), row->language)),
                        .site = mu_strdup(arena, text_of(mu_json_at(model, "site.name"), row->language)),
                        .reader = mu_strdup(arena, text_of(mu_json_at(model, "recipient.name"), row->language)) };
    TRY(render(letters, arena, model, row, ".txt", &ret->text));
    TRY(render(letters, arena, model, row, ".html", &ret->html));
    if (ret->text == NULL)
        ret->text = bare_text(arena, model, row->language);
    return MU_OK;
}

/* ---- sharing ---- */

/* Behind the string that begins at `at` (a quote); NULL when it does not end. */
static const char *
string_end(const char *at)
{
    for (at++; *at != '\0' && *at != '"'; at++)
        if (*at == '\\' && at[1] != '\0')
            at++;
    return *at == '"' ? at + 1 : NULL;
}

/* Behind the value of a member: the comma or brace of the object it stands in. */
static const char *
value_end(const char *at)
{
    int depth = 0;

    for (; at != NULL && *at != '\0'; at++) {
        if (*at == '"') {
            at = string_end(at);
            if (at == NULL)
                return NULL;
        }
        if (depth == 0 && (*at == ',' || *at == '}'))
            return at;
        depth += (*at == '{' || *at == '[') - (*at == '}' || *at == ']');
        if (*at == '\0')
            return NULL;
    }
    return NULL;
}

/* The token at the end of "https://…/ack/TOKEN"; false when it does not look like one that can be exchanged. */
static bool
token_of(slice url, slice *ret)
{
    const char *end = url.at + url.n - 1, *at = end;

    if (url.n < 2 || url.at[0] != '"')
        return url.n == 4 && memcmp(url.at, "null", 4) == 0;
    while (at > url.at + 1 && at[-1] != '/')
        at--;
    for (const char *c = at; c < end; c++)
        if (!((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '_' || *c == '-'))
            return false;
    *ret = (slice){ at, (size_t)(end - at) };
    return ret->n >= TOKEN_LEAST;
}

/* Finds the two members in the outermost object; a link behind the recipient is not shared. */
static bool
cut_model(const char *document, cut *ret)
{
    const char *at = document, *end = document + strlen(document);
    slice url = { 0 };

    *ret = (cut){ 0 };
    if (*at != '{')
        return false;
    while (at != NULL && *at != '\0' && at[1] == '"') {
        const char *name = at + 1, *name_end = string_end(name), *value, *after;
        if (name_end == NULL || *name_end != ':')
            return false;
        value = name_end + 1 + strspn(name_end + 1, " ");
        after = value_end(value);
        if (after == NULL)
            return false;
        if (mu_starts(name, "\"ack_url\":"))
            url = (slice){ value, (size_t)(after - value) };
        else if (mu_starts(name, "\"recipient\":"))
            ret->recipient = (slice){ value, (size_t)(after - value) };
        at = after[0] == ',' && after[1] == ' ' && (url.at == NULL || ret->recipient.at == NULL) ? after + 1 : NULL;
    }
    if (url.at == NULL || ret->recipient.at == NULL || url.at > ret->recipient.at || !token_of(url, &ret->token))
        return false;
    const char *resume = ret->token.at != NULL ? ret->token.at + ret->token.n : url.at;
    ret->head = (slice){ document, (size_t)((ret->token.at != NULL ? ret->token.at : url.at) - document) };
    ret->middle = (slice){ resume, (size_t)(ret->recipient.at - resume) };
    ret->tail = (slice){ ret->recipient.at + ret->recipient.n, (size_t)(end - ret->recipient.at - (ptrdiff_t)ret->recipient.n) };
    return true;
}

static bool
equal(slice a, slice b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.at, b.at, a.n) == 0);
}

/* The text with every `from` replaced. */
static const char *
exchange(mu_arena *arena, const char *text, slice from, slice to)
{
    MU_BUF_AUTO(out, 2 * BODY_MAX);
    size_t left;

    if (text == NULL || from.n == 0)
        return text;
    left = strlen(text);
    for (const char *at; (at = memmem(text, left, from.at, from.n)) != NULL;) {
        mu_buf_add(&out, text, (size_t)(at - text));
        mu_buf_add(&out, to.at, to.n);
        left -= (size_t)(at - text) + from.n;
        text = at + from.n;
    }
    mu_buf_add(&out, text, left);
    return out.over ? NULL : mu_strndup(arena, out.at, out.n);
}

static mu_err
write_like(mu_arena *arena, const rendered *before, const cut *model, const mu_out_row *row, mu_problem *problem, mu_letter *ret)
{
    json_t *recipient;

    TRY(mu_json_parse(arena, model->recipient.at, model->recipient.n, problem, &recipient));
    *ret = before->letter;
    ret->reader = text_of(json_object_get(recipient, "name"), row->language);
    ret->text = exchange(arena, before->letter.text, before->model.token, model->token);
    ret->html = exchange(arena, before->letter.html, before->model.token, model->token);
    return MU_OK;
}

mu_err
mu_letter_write(mu_letters *letters, mu_arena *arena, const mu_out_row *row, mu_problem *problem, mu_letter *ret)
{
    cut model;
    bool shared = !letters->personal && cut_model(row->document, &model);

    for (size_t i = 0; shared && i < RECENT; i++) {
        const rendered *before = &letters->recent[i];
        if (before->letter.text != NULL && equal(before->model.middle, model.middle) && equal(before->model.head, model.head)
            && equal(before->model.tail, model.tail))
            return write_like(arena, before, &model, row, problem, ret);
    }
    TRY(write_anew(letters, arena, row, problem, ret));
    if (shared) {
        letters->recent[letters->next] = (rendered){ model, *ret };
        letters->next = (letters->next + 1) % RECENT;
    }
    return MU_OK;
}
