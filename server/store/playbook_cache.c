/* A bounded list under one lock. An entry in use is never freed: whoever uses it holds a reference until the arena of its request
 * ends; the oldest unused entry makes room. */
#include "playbook_cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "run.h"
#include "str.h"

#define PARSE_BYTES ((size_t)256 * 1024 * 1024)

typedef struct entry {
    char         *hash;
    mu_arena     *arena;
    mu_playbook  *playbook;
    unsigned      users;
    struct entry *next;                /* most recently used first */
} entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static entry *kept;

static void
release(void *object)
{
    entry *e = object;

    pthread_mutex_lock(&lock);
    e->users--;
    pthread_mutex_unlock(&lock);
}

static void
drop(entry *e)
{
    mu_arena_free(e->arena);
    free(e->hash);
    free(e);
}

static entry *
take(const char *hash)
{
    for (entry **at = &kept; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->hash, hash) == 0) {
            entry *found = *at;
            *at = found->next;
            found->next = kept;
            kept = found;
            found->users++;
            return found;
        }
    return NULL;
}

static void
trim(size_t most)
{
    size_t n = 0;

    for (entry **at = &kept; *at != NULL;) {
        entry *e = *at;
        if (++n > most && e->users == 0) {
            *at = e->next;
            drop(e);
        } else {
            at = &e->next;
        }
    }
}

const mu_playbook *
mu_playbook_cached(mu_arena *arena, const char *hash)
{
    entry *found;

    pthread_mutex_lock(&lock);
    found = take(hash);
    pthread_mutex_unlock(&lock);
    if (found == NULL)
        return NULL;
    mu_defer(arena, release, found);
    return found->playbook;
}

mu_err
mu_playbook_keep(mu_arena *arena, mu_problem *problem, const char *hash, const char *text, const mu_playbook **ret)
{
    mu_arena *own = mu_arena_new(PARSE_BYTES);
    mu_problem reading = { .arena = own };
    mu_findings findings;
    json_t *doc;
    entry *made, *other;
    mu_playbook *playbook = NULL;

    mu_findings_start(&findings, own);
    if (mu_json_parse(own, text, strlen(text), &reading, &doc) == MU_OK)
        (void)mu_playbook_parse(own, doc, NULL, &findings, &playbook);    /* findings of a published version were waived */
    made = playbook == NULL ? NULL : calloc(1, sizeof *made);
    if (made == NULL) {
        mu_arena_free(own);
        return mu_failf(problem, MU_INTERNAL, "stored playbook %s cannot be read", hash);
    }
    *made = (entry){ .hash = strdup(hash), .arena = own, .playbook = playbook, .users = 1 };
    if (made->hash == NULL)
        abort();
    pthread_mutex_lock(&lock);
    other = take(hash);                           /* another thread may have been faster */
    if (other == NULL) {
        made->next = kept;
        kept = made;
        trim(MU_PLAYBOOKS_KEPT);
    }
    pthread_mutex_unlock(&lock);
    if (other != NULL)
        drop(made);
    mu_defer(arena, release, other != NULL ? other : made);
    *ret = other != NULL ? other->playbook : made->playbook;
    return MU_OK;
}

void
mu_run_cache_clear(void)
{
    pthread_mutex_lock(&lock);
    trim(0);
    pthread_mutex_unlock(&lock);
}
