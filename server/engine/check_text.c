/* Checks of the words: secrets (V25), placeholders where none may stand (V26), checklists people can use under stress (V27, V28),
 * both languages (V29). They walk the document as it is written, so they also see what the model leaves out. */
#include "check.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "json.h"
#include "str.h"

#define ITEMS_MOST  9
#define ITEM_LENGTH 120
#define READ_DO_MOST 20

/* -- V25 --------------------------------------------------------------------------------------------------------------- */

/* What stands behind "password:" looks like one when it is a run of letters and signs with a figure in it, or all that there is: a sentence
 * about passwords is none. */
static bool
value_like(const char *c)
{
    size_t n = 0, figures = 0;

    if (*c == '\'' || *c == '"')
        c++;
    for (; c[n] > ' ' && c[n] < 0x7f && strchr("'\",;", c[n]) == NULL; n++)
        figures += isdigit((unsigned char)c[n]) != 0;
    if (n < 4 || strncmp(c, "{{", 2) == 0)
        return false;
    return figures > 0 || c[n + strspn(c + n, "'\" .")] == '\0';
}

static bool
follows(const char *text, const char *word)
{
    for (const char *at = strcasestr(text, word); at != NULL; at = strcasestr(at + 1, word)) {
        const char *c = at + strlen(word);
        c += strspn(c, " \"'");
        size_t sign = *c == ':' || *c == '=' ? 1 : mu_starts(c, "：") ? strlen("：") : 0;
        if (sign > 0 && value_like(c + sign + strspn(c + sign, " ")))
            return true;
    }
    return false;
}

/* https://user:password@host: user info is a secret on its way into a log. */
static bool
url_user(const char *text)
{
    const char *host = strstr(text, "://"), *at, *slash;

    if (host == NULL)
        return false;
    at = strchr(host + 3, '@');
    slash = strpbrk(host + 3, "/ \n");
    return at != NULL && (slash == NULL || at < slash);
}

/* Keys of well-known services begin with marks of their own, and so many letters and figures follow. */
static bool
marked(const char *text, const char *mark, size_t length)
{
    for (const char *at = strstr(text, mark); at != NULL; at = strstr(at + 1, mark))
        if (strspn(at + strlen(mark), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") >= length)
            return true;
    return false;
}

static bool
secret_looking(const char *text)
{
    static const struct { const char *mark; size_t length; } marks[] = { { "AKIA", 12 }, { "ghp_", 20 }, { "xoxb-", 20 }, { "sk_live_", 16 },
        { "Bearer ", 20 }, { "bearer ", 20 }, { "Basic ", 12 }, { "eyJ", 40 } };
    static const char *const words[] = { "password", "passwd", "secret", "api_key", "apikey", "api-key", "access_token", "密码", "口令", "密钥" };

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (follows(text, words[i]))
            return true;
    for (size_t i = 0; i < MU_COUNT(marks); i++)
        if (marked(text, marks[i].mark, marks[i].length))
            return true;
    return strstr(text, "PRIVATE KEY-----") != NULL || url_user(text);
}

/* -- V29 --------------------------------------------------------------------------------------------------------------- */

static bool
filler(const char *text)
{
    static const char *const words[] = { "TODO", "FIXME", "TBD", "待定", "待补充", "xxx", "XXX", "lorem ipsum" };

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strstr(text, words[i]) != NULL)
            return true;
    return false;
}

static bool
blank(const char *text)
{
    return text == NULL || text[strspn(text, " \t\r\n")] == '\0';
}

static void
both_languages(mu_reader *r, const json_t *json, const char *path, const char *pointer)
{
    bool zh = !blank(mu_json_str(json, "zh")), en = !blank(mu_json_str(json, "en"));

    if (json_is_string(json))
        mu_find(r, "V29", "one_language", MU_FINDING_WARNING, path, pointer, NULL);
    else if (!zh || !en)
        mu_find(r, "V29", zh ? "no_english" : "no_chinese", MU_FINDING_WARNING, path, pointer, NULL);
}

/* A member that is called like a secret and holds a text that is none of ours: in a request, or as the default of a variable. */
static bool
named_secret(const char *key, const json_t *value)
{
    static const char *const words[] = { "password", "passwd", "secret", "api_key", "apikey", "api-key", "token", "authorization" };
    const char *text = json_string_value(value);

    for (size_t i = 0; i < MU_COUNT(words) && text != NULL && *text != '\0' && strstr(text, "{{") == NULL; i++)
        if (strcasestr(key, words[i]) != NULL)
            return true;
    return false;
}

static void
check_requests(mu_reader *r, const json_t *json, const char *path, const char *pointer)
{
    const char *key;
    json_t *value;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        const char *here = mu_pointer(r->arena, pointer, key);
        if (named_secret(key, value) && !secret_looking(json_string_value(value)))      /* said by walk() */
            mu_find(r, "V25", "secret", MU_FINDING_ERROR, path, here, NULL);
        check_requests(r, value, path, here);
    }
    json_array_foreach(json, i, value)
        check_requests(r, value, path, mu_pointer_at(r->arena, pointer, i));
}

static void
check_vars(mu_reader *r)
{
    for (size_t i = 0; i < r->pb->var_count; i++) {
        const mu_var *var = &r->pb->vars[i];
        const char *place = mu_pointer(r->arena, var->param ? "/params" : "/vars", var->name), *pointer = mu_pointer(r->arena, place, "default");
        if (json_object_get(var->json, "title") != NULL)
            both_languages(r, json_object_get(var->json, "title"), "", mu_pointer(r->arena, place, "title"));
        if (var->initial != NULL && var->type.kind == MU_T_TEXT && named_secret(var->name, var->initial)
            && !secret_looking(json_string_value(var->initial)))
            mu_find(r, "V25", "secret", MU_FINDING_ERROR, "", pointer, NULL);
    }
}

/* Where in the document each step stands: pointer to path. Of a block that is called twice the first. */
static json_t *
step_places(mu_reader *r)
{
    json_t *places = mu_json_own(r->arena, json_object());

    for (size_t i = 0; i < r->pb->node_count; i++)
        if (json_object_get(places, r->pb->nodes[i]->pointer) == NULL)
            json_object_set_new(places, r->pb->nodes[i]->pointer, json_string(r->pb->nodes[i]->path));
    return places;
}

static void
walk(mu_reader *r, const json_t *json, const json_t *places, const char *path, const char *pointer)
{
    const char *key, *text = json_string_value(json), *own = mu_json_str(places, pointer);
    json_t *value;
    size_t i;

    path = own == NULL ? path : own;
    if (text != NULL && secret_looking(text))
        mu_find(r, "V25", "secret", MU_FINDING_ERROR, path, pointer, NULL);
    if (text != NULL && filler(text))
        mu_find(r, "V29", "filler", MU_FINDING_WARNING, path, pointer, NULL);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        walk(r, value, places, path, mu_pointer(r->arena, pointer, key));
    json_array_foreach(json, i, value)
        walk(r, value, places, path, mu_pointer_at(r->arena, pointer, i));
}

/* -- V27, V28: checklists ------------------------------------------------------------------------------------------------ */

static bool
two_actions(const char *text)
{
    static const char *const words[] = { " and then ", ", then ", "; then ", "然后再", "，然后", "，再" };

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strcasestr(text, words[i]) != NULL)
            return true;
    return false;
}

/* English items start with a verb in the imperative. We cannot know all verbs, but articles and pronouns are none. */
static bool
no_verb_first(const char *text)
{
    static const char *const words[] = { "the ", "a ", "an ", "all ", "you ", "we ", "it ", "there ", "this ", "that ", "is ", "are ", "should " };

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (strncasecmp(text, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static void
check_item(mu_reader *r, const mu_node *node, const json_t *item, const char *pointer)
{
    const char *languages[] = { "zh", "en" };

    if (json_object_get(item, "zh") == NULL && json_object_get(item, "en") == NULL)
        both_languages(r, item, node->path, pointer);
    for (size_t i = 0; i < MU_COUNT(languages); i++) {
        const char *text = mu_json_str(item, languages[i]);
        if (text == NULL)
            continue;
        if (mu_utf8_count(text, strlen(text)) > ITEM_LENGTH)
            mu_find(r, "V27", "long_item", MU_FINDING_WARNING, node->path, pointer, "most", "120", NULL);
        if (two_actions(text))
            mu_find(r, "V27", "two_actions", MU_FINDING_WARNING, node->path, pointer, NULL);
    }
    if (mu_json_str(item, "en") != NULL && no_verb_first(mu_json_str(item, "en")))
        mu_find(r, "V27", "verb", MU_FINDING_WARNING, node->path, pointer, NULL);
}

static void
check_checklist(mu_reader *r, const mu_node *node)
{
    const json_t *items = json_object_get(node->json, "items"), *item;
    const char *pointer = mu_pointer(r->arena, node->pointer, "items");
    bool critical = node->critical;
    size_t i;

    json_array_foreach(items, i, item) {
        check_item(r, node, item, mu_pointer_at(r->arena, pointer, i));
        critical = critical || mu_json_bool(item, "critical", false);
    }
    if (json_array_size(items) > ITEMS_MOST)
        mu_find(r, "V27", "many_items", MU_FINDING_WARNING, node->path, pointer, "most", "9", NULL);
    if (!critical)
        mu_find(r, "V28", "no_critical", MU_FINDING_WARNING, node->path, pointer, NULL);
    if (json_array_size(items) > READ_DO_MOST && mu_same(mu_json_str(node->json, "mode"), "read_do"))
        mu_find(r, "V28", "long_read_do", MU_FINDING_WARNING, node->path, pointer, "most", "20", NULL);
}

/* -- V26: places that name things -------------------------------------------------------------------------------------- */

static void
no_placeholder(mu_reader *r, const mu_node *node, const json_t *json, const char *pointer)
{
    size_t i;
    json_t *value;

    if (json_is_string(json) && strstr(json_string_value(json), "{{") != NULL)
        mu_find(r, "V26", "placeholder", MU_FINDING_ERROR, node->path, pointer, NULL);
    json_array_foreach(json, i, value)
        no_placeholder(r, node, value, mu_pointer_at(r->arena, pointer, i));
}

static void
check_named(mu_reader *r, const json_t *list, const char *path, const char *pointer, const char *inner)
{
    const json_t *one;
    size_t i;

    json_array_foreach(list, i, one) {
        const char *here = mu_pointer_at(r->arena, pointer, i);
        if (json_object_get(one, "zh") != NULL || json_object_get(one, "en") != NULL)
            both_languages(r, one, path, here);
        if (inner != NULL)
            check_named(r, json_object_get(one, inner), path, mu_pointer(r->arena, here, inner), NULL);
    }
}

/* One text, or a text for each state of the page. */
static void
check_states(mu_reader *r, const mu_node *node, const json_t *text, const char *pointer)
{
    const char *state;
    json_t *one;

    if (json_is_string(text) || json_object_get(text, "zh") != NULL || json_object_get(text, "en") != NULL) {
        both_languages(r, text, node->path, pointer);
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)text, state, one)
        both_languages(r, one, node->path, mu_pointer(r->arena, pointer, state));
}

static void
check_languages(mu_reader *r, const mu_node *node)
{
    const json_t *title = json_object_get(node->json, "title"), *text = json_object_get(node->json, "text");
    const char *options = mu_pointer(r->arena, node->pointer, "options"), *form = mu_pointer(r->arena, node->pointer, "form");

    if (title != NULL)
        both_languages(r, title, node->path, mu_pointer(r->arena, node->pointer, "title"));
    if (text != NULL)
        check_states(r, node, text, mu_pointer(r->arena, node->pointer, "text"));
    if (node->kind == MU_K_INJECT && text == NULL)
        both_languages(r, node->json, node->path, node->pointer);
    check_named(r, json_object_get(node->json, "options"), node->path, options, NULL);
    check_named(r, json_object_get(node->json, "form"), node->path, form, NULL);
    check_named(r, json_object_get(node->json, "items"), node->path, mu_pointer(r->arena, node->pointer, "items"), "form");
}

static void
check_node(mu_reader *r, const mu_node *node)
{
    static const char *const names[] = { "to", "via", "component", "profile", "stage", "event" };

    check_languages(r, node);
    if (node->http != NULL)
        check_requests(r, json_object_get(node->json, "request"), node->path, mu_pointer(r->arena, node->pointer, "request"));
    for (size_t i = 0; i < MU_COUNT(names); i++)
        no_placeholder(r, node, json_object_get(node->json, names[i]), mu_pointer(r->arena, node->pointer, names[i]));
    if (node->kind == MU_K_CHECKLIST)
        check_checklist(r, node);
}

void
mu_check_text(mu_reader *r)
{
    const json_t *roles = r->pb->roles;
    const char *name;
    json_t *role;

    walk(r, r->pb->doc, step_places(r), "", "");
    check_vars(r);
    if (json_object_get(r->pb->doc, "title") != NULL)
        both_languages(r, json_object_get(r->pb->doc, "title"), "", "/title");
    json_object_foreach((json_t *)(uintptr_t)roles, name, role)
        both_languages(r, role, "", mu_pointer(r->arena, "/roles", name));
    for (size_t i = 0; i < r->pb->node_count; i++)
        check_node(r, r->pb->nodes[i]);
}
