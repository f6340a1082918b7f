/* Steps that reach people and machines outside: requests (V20, V22, V23, V24, V26), what drills do (V20, V21), what may be cancelled on
 * the way (V31), and what an approval guards (V32). */
#include "expression_tree.h"
#include "check.h"

#include <string.h>

#include "json.h"
#include "str.h"

/* Can what this step does not be taken back? */
static bool
outside(const mu_reader *r, const mu_node *node)
{
    const char *called = node->kind == MU_K_CALL ? mu_json_str(node->json, "playbook") : NULL;
    size_t i;
    json_t *to;

    if (node->kind == MU_K_STATUS || (node->kind == MU_K_HTTP && !mu_same(node->http->method, "GET") && !mu_same(node->http->method, "HEAD")))
        return true;
    if (called != NULL)
        return mu_json_bool(mu_call_summary(r, called), "outside", false);
    json_array_foreach(node->kind == MU_K_NOTIFY ? json_object_get(node->json, "to") : NULL, i, to)
        if (json_is_string(to) && mu_starts(json_string_value(to), "contact."))
            return true;
    return false;
}

/* Branches that are cancelled when enough others have ended: an effect in them may or may not have happened. */
static void
check_join(mu_reader *r, const mu_node *parallel)
{
    for (size_t i = parallel->ord + 1; i < r->pb->node_count && mu_node_below(r->pb->nodes[i], parallel); i++) {
        const mu_node *node = r->pb->nodes[i];
        if (outside(r, node))
            mu_find(r, "V31", "cancelled", MU_FINDING_WARNING, node->path, node->pointer, "name", node->id, "join", parallel->id, NULL);
    }
}

/* The first step outside that a block comes to before anybody is asked again; NULL: none. *ret_asked: somebody surely is. */
static const mu_node *
first_outside(const mu_reader *r, const mu_block *block, size_t from, bool *ret_asked)
{
    for (size_t i = from; i < block->count; i++) {
        const mu_node *node = block->steps[i], *found = NULL;
        bool firm = node->kind == MU_K_APPROVE && node->when == NULL && node->deadline.then != MU_THEN_PROCEED;
        if (firm || node->kind == MU_K_END) {
            *ret_asked = true;
            return NULL;
        }
        if (outside(r, node))
            return node;
        for (size_t b = 0; b < node->block_count && found == NULL; b++) {
            bool asked = false;
            found = first_outside(r, node->blocks[b], 0, &asked);
        }
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* Nobody answered, and it goes on all the same: what comes next must not be something that cannot be taken back. */
static void
check_proceed(mu_reader *r, const mu_node *approve)
{
    const mu_node *found = NULL;
    bool asked = false;

    for (const mu_node *n = approve; n != NULL && found == NULL && !asked; n = n->block->owner)
        found = first_outside(r, n->block, n->index + 1, &asked);
    if (found != NULL)
        mu_find(r, "V32", "proceeds", MU_FINDING_ERROR, approve->path,
            mu_pointer(r->arena, mu_pointer(r->arena, approve->pointer, "deadline"), "then"), "name", found->id, NULL);
}

/* -- http ---------------------------------------------------------------------------------------------------------------------- */

static const char *
at(const mu_reader *r, const mu_node *node, const char *member)
{
    return mu_pointer(r->arena, node->pointer, member);
}

/* The address begins with {{conn.NAME}}, and what follows is a path or a query: neither a text nor a value can lead elsewhere. */
static void
check_url(mu_reader *r, const mu_node *node)
{
    const char *pointer = mu_pointer(r->arena, at(r, node, "request"), "url"), *url = mu_json_str(json_object_get(node->json, "request"), "url");
    const char *scheme, *host, *placeholder, *rest = node->http->url;

    if (url == NULL)
        return;
    if (*node->http->connection != '\0') {
        if (!mu_is_slug(node->http->connection))
            MU_BREAK(r, strchr(node->http->connection, '{') != NULL ? "V26" : "V12", strchr(node->http->connection, '{') != NULL ? "host" : "connection",
                MU_FINDING_ERROR, node->path, pointer, "name", node->http->connection, NULL);
        else if (mu_starts(rest, "{{"))
            MU_BREAK(r, "V26", "host", MU_FINDING_ERROR, node->path, pointer, NULL);
        else if (*rest != '\0' && *rest != '/' && *rest != '?')
            MU_BREAK(r, "V22", "host", MU_FINDING_ERROR, node->path, pointer, NULL);
        else if (strchr(rest, '#') != NULL)
            MU_BREAK(r, "V01", "wrong_value", MU_FINDING_ERROR, node->path, pointer, "field", "url", NULL);
        return;
    }
    scheme = strstr(url, "://");
    host = scheme == NULL ? url : scheme + 3;
    placeholder = strstr(url, "{{");
    if (placeholder != NULL && placeholder <= host + strcspn(host, "/?#"))
        MU_BREAK(r, "V26", "host", MU_FINDING_ERROR, node->path, pointer, NULL);
    else
        MU_BREAK(r, "V22", "host", MU_FINDING_ERROR, node->path, pointer, NULL);
}

static void
check_header_names(mu_reader *r, const mu_node *node)
{
    size_t n;
    const char **names = mu_sorted_keys(r->arena, node->http->headers, &n);

    for (size_t i = 0; i < n; i++)
        if (strstr(names[i], "{{") != NULL)
            MU_BREAK(r, "V26", "header", MU_FINDING_ERROR, node->path,
                mu_pointer(r->arena, mu_pointer(r->arena, at(r, node, "request"), "headers"), names[i]), NULL);
}

static void
check_http(mu_reader *r, const mu_node *node)
{
    const char *effect = mu_json_str(node->json, "effect"), *method = node->http->method;
    bool reads = mu_same(method, "GET") || mu_same(method, "HEAD");

    check_url(r, node);
    check_header_names(r, node);
    if (node->simulated == NULL && node->drill != MU_DRILL_SKIP && node->drill != MU_DRILL_REAL && node->drill != MU_DRILL_MARK)
        mu_find(r, "V20", "no_result", MU_FINDING_ERROR, node->path, node->pointer, NULL);
    if (node->simulated != NULL && !json_is_integer(json_object_get(node->simulated, "status")))
        mu_find(r, "V20", "no_status", MU_FINDING_ERROR, node->path, at(r, node, "drill"), NULL);
    if (!node->http->timeout.given)
        mu_find(r, "V22", "timeout", MU_FINDING_ERROR, node->path, at(r, node, "request"), NULL);
    if (!reads && effect == NULL)
        mu_find(r, "V22", "effect", MU_FINDING_ERROR, node->path, node->pointer, NULL);
    if (mu_same(effect, "once") && json_object_get(node->json, "retry") != NULL)
        mu_find(r, "V23", "retry_once", MU_FINDING_ERROR, node->path, at(r, node, "retry"), NULL);
    if (json_object_get(node->json, "expect") == NULL)
        mu_find(r, "V24", "no_expect", MU_FINDING_WARNING, node->path, node->pointer, NULL);
}

/* -- drills --------------------------------------------------------------------------------------------------------------------- */

/* Does the condition rule out a real run? run.mode != 'real', or == or in with other modes only, alone or joined by `and`. */
static bool
never_real(const mu_expression *e)
{
    bool mode = e != NULL && e->left != NULL && e->left->op == MU_OP_NAME && strcmp(e->left->name, "run.mode") == 0;
    const char *word = mode && e->right != NULL && e->right->op == MU_OP_LITERAL ? e->right->literal.text : NULL;

    if (e == NULL)
        return false;
    if (e->op == MU_OP_AND)
        return never_real(e->left) || never_real(e->right);
    if (e->op == MU_OP_OR)
        return never_real(e->left) && never_real(e->right);
    if (!mode)
        return false;
    if (e->op == MU_OP_NE)
        return mu_same(word, "real");
    if (e->op == MU_OP_EQ)
        return word != NULL && !mu_same(word, "real");
    if (e->op != MU_OP_IN || e->right == NULL || e->right->op != MU_OP_LIST || e->right->count == 0)
        return false;
    for (size_t i = 0; i < e->right->count; i++)
        if (e->right->items[i]->op != MU_OP_LITERAL || mu_same(e->right->items[i]->literal.text, "real"))
            return false;
    return true;
}

static void
check_inject(mu_reader *r, const mu_node *node)
{
    for (const mu_node *n = node; n != NULL; n = n->block->owner) {
        const mu_node *owner = n->block->owner;
        bool then = owner != NULL && owner->kind == MU_K_IF && n->block == owner->blocks[0];
        if (n->block->kind == MU_BLOCK_ASIDE || never_real(n->when) || (then && never_real(owner->cond)))
            return;
    }
    mu_find(r, "V21", "reached", MU_FINDING_ERROR, node->path, node->pointer, NULL);
}

static void
check_drill(mu_reader *r, const mu_node *node)
{
    if (node->drill == MU_DRILL_REAL && !mu_json_bool(mu_around(r, "policy"), "drill_real", false))
        mu_find(r, "V20", "real", MU_FINDING_ERROR, node->path, at(r, node, "drill"), NULL);
    if (node->kind == MU_K_INJECT)
        check_inject(r, node);
    if (node->kind == MU_K_HTTP)
        check_http(r, node);
}

void
mu_check_outside(mu_reader *r)
{
    for (size_t i = 0; i < r->pb->node_count; i++) {
        const mu_node *node = r->pb->nodes[i];
        check_drill(r, node);
        if (node->kind == MU_K_PARALLEL && node->join < node->block_count)
            check_join(r, node);
        if (node->kind == MU_K_APPROVE && node->deadline.then == MU_THEN_PROCEED)
            check_proceed(r, node);
    }
}
