/* Checks of the words: secrets (V25), placeholders where none may stand (V26), checklists people can use under stress (V27, V28),
 * both languages (V29). They walk the document as it is written, so they also see what the model leaves out. */
#include "model.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "json.h"
#include "str.h"

#define ITEMS_MOST  9
#define ITEM_LENGTH 120
#define READ_DO_MOST 20

/* -- V25 --------------------------------------------------------------------------------------------------------------- */

static bool
follows(const char *text, const char *word)
{
    for (const char *at = strcasestr(text, word); at != NULL; at = strcasestr(at + 1, word)) {
        const char *c = at + strlen(word);
        while (*c == ' ')
            c++;
        if ((*c == ':' || *c == '=') && c[1] != '\0' && c[strspn(c + 1, " ") + 1] != '{')
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

static bool
secret_looking(const char *text)
{
    static const char *const words[] = { "password", "passwd", "secret", "api_key", "apikey", "api-key", "access_token", "密码", "口令", "密钥" };

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if (follows(text, words[i]))
            return true;
    return strstr(text, "PRIVATE KEY-----") != NULL || strcasestr(text, "bearer ey") != NULL || strstr(text, "AKIA") != NULL
        || strstr(text, "ghp_") != NULL || url_user(text);
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

static void
walk(mu_reader *r, const json_t *json, const char *pointer, unsigned depth)
{
    const char *key, *text = json_string_value(json);
    json_t *value;
    size_t i;

    if (depth > 40)
        return;
    if (text != NULL && secret_looking(text))
        mu_find(r, "V25", "secret", MU_FINDING_ERROR, "", pointer, NULL);
    if (text != NULL && filler(text))
        mu_find(r, "V29", "filler", MU_FINDING_WARNING, "", pointer, NULL);
    json_object_foreach((json_t *)(uintptr_t)json, key, value)
        walk(r, value, mu_pointer(r->arena, pointer, key), depth + 1);
    json_array_foreach(json, i, value)
        walk(r, value, mu_pointer_at(r->arena, pointer, i), depth + 1);
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
check_node(mu_reader *r, const mu_node *node)
{
    static const char *const texts[] = { "title", "text" };
    static const char *const names[] = { "to", "via", "component", "state", "profile", "stage", "event" };

    for (size_t i = 0; i < MU_COUNT(texts); i++)
        if (json_object_get(node->json, texts[i]) != NULL)
            both_languages(r, json_object_get(node->json, texts[i]), node->path, mu_pointer(r->arena, node->pointer, texts[i]));
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

    walk(r, r->pb->doc, "", 0);
    if (json_object_get(r->pb->doc, "title") != NULL)
        both_languages(r, json_object_get(r->pb->doc, "title"), "", "/title");
    json_object_foreach((json_t *)(uintptr_t)roles, name, role)
        both_languages(r, role, "", mu_pointer(r->arena, "/roles", name));
    for (size_t i = 0; i < r->pb->node_count; i++)
        check_node(r, r->pb->nodes[i]);
}
