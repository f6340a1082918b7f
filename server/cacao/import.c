/* From bytes in any of the formats to a document of our own with findings. */
#include "import.h"

#include <string.h>

#include "clock.h"
#include "json.h"
#include "playbook.h"
#include "str.h"

#define ROUND_ENDS "end--00000000-0000-4000-8000-000000000000"   /* where the way back to the head of a loop leads to */

/* ---- before the walk: ways back, and how many lines reach a step ---------------------------------------------------- */

enum { NEW, OPEN, CLOSED };

typedef struct { json_t *places, *targets; } references;

static void take(void *closure, const char *place, const char *id)
{
    references *all = closure;

    json_array_append_new(all->places, json_string(place));
    json_array_append_new(all->targets, json_string(id));
}

static void redirect(mu_arena *arena, json_t *step, const char *place)
{
    int64_t n;

    if (mu_starts(place, "next_steps/")) {
        if (mu_parse_int(place + 11, 0, 1000000, &n))
            json_array_set_new(json_object_get(step, "next_steps"), (size_t)n, json_string(ROUND_ENDS));
    } else if (mu_starts(place, "cases/")) {
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(step, "cases"), name, value)
            if (strcmp(place, mu_pointer(arena, "cases", name)) == 0)
                json_object_set_new(json_object_get(step, "cases"), name, json_string(ROUND_ENDS));
    } else {
        json_object_set_new(step, place, json_string(ROUND_ENDS));
    }
}

static int64_t count(const json_t *map, const char *id)
{
    return mu_json_int(map, id, 0);
}

/* Depth first from the start, with a stack of our own: a reference to a step that is still open is a way back to the head of a loop. */
static void read_graph(importer *im, const char *root)
{
    json_t *state = mu_json_own(im->arena, json_object()), *stack = mu_json_own(im->arena, json_array()), *work = mu_json_own(im->arena, json_object());

    if (root == NULL || json_object_get(im->workflow, root) == NULL || count(im->degree, root) > 0)
        return;
    json_object_set_new(im->degree, root, json_integer(1));
    json_array_append_new(stack, json_string(root));
    while (json_array_size(stack) > 0) {
        const char *id = json_string_value(json_array_get(stack, json_array_size(stack) - 1));
        json_t *step = json_object_get(im->workflow, id);
        if (json_object_get(work, id) == NULL) {
            references all = { json_array(), json_array() };
            mu_cacao_references(im->arena, step, take, &all);
            json_object_set_new(work, id, json_pack("{s:o, s:o, s:i}", "places", all.places, "targets", all.targets, "at", 0));
            json_object_set_new(state, id, json_integer(OPEN));
        }
        json_t *mine = json_object_get(work, id);
        const size_t at = (size_t)mu_json_int(mine, "at", 0);
        const char *to = json_string_value(json_array_get(json_object_get(mine, "targets"), at));
        if (to == NULL) {
            json_object_set_new(state, id, json_integer(CLOSED));
            json_array_remove(stack, json_array_size(stack) - 1);
            continue;
        }
        json_object_set_new(mine, "at", json_integer((json_int_t)at + 1));
        if (count(state, to) == OPEN) {
            redirect(im->arena, step, json_string_value(json_array_get(json_object_get(mine, "places"), at)));
            continue;
        }
        const bool known = count(im->degree, to) > 0;
        json_object_set_new(im->degree, to, json_integer(count(im->degree, to) + 1));
        if (!known && json_object_get(im->workflow, to) != NULL)
            json_array_append_new(stack, json_string(to));
    }
}

/* The line from `from` reaches `to`, and nothing else leads into it on the way. */
static bool joins(const importer *im, const char *from, const char *to)
{
    for (int i = 0; i < 100 && from != NULL && to != NULL; i++) {
        if (strcmp(from, to) == 0)
            return true;
        if (count(im->degree, from) != 1)
            return false;
        from = mu_cacao_next(json_object_get(im->workflow, from));
    }
    return false;
}

static void read_joins(importer *im)
{
    json_t *step, *less = mu_json_own(im->arena, json_object()), *value;
    const char *id;

    json_object_foreach(im->workflow, id, step) {
        const char *failure = mu_json_str(step, "on_failure"), *next = mu_cacao_next(step);
        const size_t commands = json_array_size(json_object_get(step, "commands"));
        if (failure == NULL || count(im->degree, id) == 0)
            continue;
        if (mu_same(failure, next) || (commands <= 1 && joins(im, failure, next))) {
            json_object_set_new(im->joined, id, json_true());
            json_object_set_new(less, next, json_integer(count(less, next) + 1));
        } else if (commands > 1) {   /* each command fails for itself */
            json_object_set_new(less, failure, json_integer(count(less, failure) - 1));
        }
    }
    json_object_foreach(less, id, value)
        json_object_set_new(im->degree, id, json_integer(count(im->degree, id) - json_integer_value(value)));
}

/* ---- the document ------------------------------------------------------------------------------------------------ */

static void cut_secret(void *closure, const char *pointer, json_t *holder, const char *member)
{
    importer *im = closure;

    (void)pointer;
    json_object_del(holder, member);
    im->secrets++;
}

/* What the file says of itself and has no place in our format; without secrets, signatures (they are of the bytes) and the graph. */
static json_t *kept_parts(importer *im)
{
    static const char *const said[] = { "type", "spec_version", "name", "modified", "workflow", "workflow_start", "workflow_exception", "playbook_variables", "signatures" };
    json_t *rest = json_deep_copy(im->file), *unreached = json_object(), *step, *out;
    const char *id;

    for (size_t i = 0; i < MU_COUNT(said); i++)
        json_object_del(rest, said[i]);
    mu_cacao_secrets(im->arena, rest, cut_secret, im);
    json_object_foreach(json_object_get(im->file, "workflow"), id, step)
        if (count(im->degree, id) == 0)
            json_object_set(unreached, id, step);
    out = json_pack("{s:o, s:O}", "playbook", rest, "steps", im->kept);
    if (json_object_size(unreached) > 0)
        json_object_set(out, "unreached", unreached);
    json_decref(unreached);
    return out;
}

static json_t *exception_block(importer *im)
{
    const char *exception = mu_json_str(im->file, "workflow_exception");
    const json_t *step = exception != NULL ? json_object_get(im->workflow, exception) : NULL;
    json_t *list;

    if (exception == NULL)
        return NULL;
    if (step == NULL)
        mu_cacao_find(im->r, "I03", WARNING, NULL, "", "/workflow_exception", "name", exception, NULL);
    list = step != NULL && !mu_cacao_is_end(step) ? mu_import_walk(im, exception, NULL, 1, true) : json_array();
    if (json_array_size(list) == 0)
        json_array_append_new(list, json_pack("{s:s, s:s}", "end", mu_import_id(im, "failed", "failed"), "outcome", "failed"));
    return list;
}

static json_t *foreign_document(importer *im)
{
    const char *name = mu_json_str(im->file, "name"), *id = mu_json_str(im->file, "id"), *about = mu_json_str(im->file, "description");
    const char *slug = mu_import_slug(im->arena, name, true);
    json_t *doc, *steps, *on_error, *plan = json_object();

    if (slug == NULL)
        slug = id != NULL && mu_is_slug(id) ? id : "imported-playbook";
    steps = mu_import_walk(im, mu_json_str(im->file, "workflow_start"), NULL, 0, true);
    on_error = exception_block(im);
    mu_import_blocks(im);
    if (about != NULL)
        json_object_set_new(plan, "scope", mu_import_title(im, about));
    doc = json_pack("{s:s, s:s, s:o, s:O, s:O, s:o}", "format", MU_PLAYBOOK_FORMAT, "id", slug, "title", mu_import_title(im, name != NULL ? name : slug),
        "roles", im->roles, "vars", im->vars, "steps", steps);
    if (json_object_size(plan) > 0)
        json_object_set(doc, "plan", plan);
    json_decref(plan);
    if (on_error != NULL)
        json_object_set_new(doc, "on_error", on_error);
    if (json_object_size(im->blocks) > 0)
        json_object_set(doc, "blocks", im->blocks);
    json_object_set_new(doc, "x-cacao", kept_parts(im));
    return doc;
}

/* What steps of others needed; `elsewhere` has its names already. */
static void merge(json_t *doc, const char *member, json_t *more, const json_t *elsewhere)
{
    json_t *ours = json_object_get(doc, member), *value;
    const char *name;

    json_object_foreach(more, name, value) {
        if (json_object_get(ours, name) != NULL || json_object_get(elsewhere, name) != NULL)
            continue;
        if (!json_is_object(ours)) {
            json_object_set_new(doc, member, json_object());
            ours = json_object_get(doc, member);
        }
        json_object_set(ours, name, value);
    }
}

/* A file we wrote: the document is in the extension, its lists are in the graph. Steps that somebody added are imported like any other. */
static json_t *own_document(importer *im, const json_t *extension)
{
    json_t *doc = json_deep_copy(json_object_get(extension, "document")), *blocks = json_object_get(doc, "blocks"), *first;
    const char *name;

    json_object_set_new(doc, "steps", mu_import_walk(im, mu_json_str(im->file, "workflow_start"), NULL, 0, true));
    json_object_foreach(json_object_get(extension, "blocks"), name, first)
        json_object_set_new(im->blocks, name, mu_import_walk(im, json_string_value(first), NULL, 0, false));
    if (mu_same(mu_json_str(json_object_get(doc, "on_error"), "branch"), "workflow_exception"))
        json_object_set_new(doc, "on_error", mu_import_walk(im, mu_json_str(im->file, "workflow_exception"), NULL, 0, true));
    mu_import_blocks(im);
    if (json_is_object(blocks))
        json_object_update(blocks, im->blocks);
    else if (json_object_size(im->blocks) > 0)
        json_object_set(doc, "blocks", im->blocks);
    merge(doc, "roles", im->roles, NULL);
    merge(doc, "vars", im->vars, json_object_get(doc, "params"));
    return doc;
}

/* Ids and variables of our own document are taken before the others get theirs. */
static void reserve(importer *im, const json_t *extension)
{
    const json_t *doc = json_object_get(extension, "document");
    static const char *const members[] = { "vars", "params" };
    json_t *all, *value, *step;
    const char *name;

    for (size_t i = 0; i < MU_COUNT(members); i++) {
        all = json_object_get(doc, members[i]);
        json_object_foreach(all, name, value) {
            json_object_set_new(im->names, name, json_string(name));
            json_object_set(im->vars, name, value);
        }
    }
    json_object_update(im->roles, json_object_get(doc, "roles"));
    json_object_foreach(json_object_get(extension, "blocks"), name, value)
        json_object_set_new(im->ids, name, json_true());
    json_object_foreach(im->workflow, name, step) {
        const json_t *native = json_object_get(mu_cacao_extension(step), "step");
        const char *member;
        json_object_foreach((json_t *)(uintptr_t)native, member, value)
            if (json_is_string(value))   /* more names than ids: harmless */
                json_object_set_new(im->ids, json_string_value(value), json_true());
    }
}

json_t *mu_cacao_document(reporter *r, json_t *file, const mu_import_options *options, unsigned *ret_secrets)
{
    mu_arena *arena = r->arena;
    importer im = { .arena = arena, .r = r, .file = file, .options = options };
    json_t **const maps[] = { &im.ids, &im.counts, &im.names, &im.vars, &im.roles, &im.degree, &im.joined, &im.visited, &im.block_of, &im.blocks, &im.kept };
    const json_t *extension = json_object_get(json_object_get(file, "playbook_extensions"), MU_CACAO_EXTENSION);
    json_t *doc;

    for (size_t i = 0; i < MU_COUNT(maps); i++)
        *maps[i] = mu_json_own(arena, json_object());
    im.queue = mu_json_own(arena, json_array());
    im.workflow = mu_json_own(arena, json_deep_copy(json_object_get(file, "workflow")));
    json_object_set_new(im.workflow, ROUND_ENDS, json_pack("{s:s}", "type", "end"));
    im.ours = json_is_object(json_object_get(extension, "document")) && mu_same(mu_json_str(json_object_get(extension, "document"), "format"), MU_PLAYBOOK_FORMAT);
    read_graph(&im, mu_json_str(file, "workflow_start"));
    read_graph(&im, mu_json_str(file, "workflow_exception"));
    if (im.ours)
        reserve(&im, extension);
    else
        read_joins(&im);
    mu_import_variables(&im);
    doc = mu_json_own(arena, im.ours ? own_document(&im, extension) : foreign_document(&im));
    *ret_secrets = im.secrets;
    return r->errors == 0 ? doc : NULL;
}

/* ---- any format -------------------------------------------------------------------------------------------------- */

static unsigned append_native(mu_arena *arena, json_t *list, const json_t *doc)
{
    mu_findings findings;
    mu_playbook *playbook;

    mu_findings_start(&findings, arena);
    (void)mu_playbook_parse(arena, doc, NULL, &findings, &playbook);
    json_array_extend(list, mu_findings_json(&findings));
    return findings.errors;
}

/* What the author says about using the playbook at all. */
static void author_says(reporter *r, const json_t *file, const char *now)
{
    const char *from = mu_json_str(file, "valid_from"), *until = mu_json_str(file, "valid_until");
    mu_instant at, edge;

    if (mu_json_bool(file, "revoked", false))
        mu_cacao_find(r, "I12", WARNING, NULL, "", "/revoked", NULL);
    if (now != NULL && mu_time_parse(now, &at) && ((from != NULL && mu_time_parse(from, &edge) && at < edge) || (until != NULL && mu_time_parse(until, &edge) && at >= edge)))
        mu_cacao_find(r, "I13", WARNING, NULL, "", "/valid_until", NULL);
}

static void import_cacao(mu_arena *arena, const char *text, size_t n, const mu_import_options *options, mu_import *ret)
{
    reporter r = { .arena = arena };
    json_t *file = NULL;

    ret->source_format = "cacao-2.0";
    ret->verdict = mu_cacao_check(arena, text, n, &ret->findings, &file);
    r.list = ret->findings;
    if (file != NULL) {
        ret->signatures = mu_cacao_signatures(&r, file, options->now);
        author_says(&r, file, options->now);
        ret->tlp = mu_cacao_tlp(file);
        if (ret->tlp != NULL)
            mu_cacao_find(&r, "I10", NOTE, NULL, "", "/markings", "name", ret->tlp, NULL);
    }
    if (ret->verdict == MU_CACAO_WARN && options->strict)
        mu_cacao_find(&r, "I07", ERROR, NULL, "", "", NULL);
    else if (ret->verdict != MU_CACAO_REJECT)
        ret->document = mu_cacao_document(&r, file, options, &ret->secrets);
    if (ret->secrets > 0)
        mu_cacao_find(&r, "I14", ERROR, NULL, "", "", "count", mu_printf(arena, "%u", ret->secrets), NULL);
    ret->errors = r.errors + (ret->verdict == MU_CACAO_REJECT ? 1 : 0);
    if (ret->document != NULL)
        ret->errors += append_native(arena, ret->findings, ret->document);
}

mu_err mu_playbook_import(mu_arena *arena, const char *text, size_t n, const mu_import_options *options, mu_import *ret)
{
    static const mu_import_options tolerant = { 0 };
    mu_findings findings;
    mu_playbook *playbook;

    *ret = (mu_import){ .verdict = MU_CACAO_OK };
    if (mu_cacao_looks(text, n)) {
        import_cacao(arena, text, n, options != NULL ? options : &tolerant, ret);
    } else {
        const size_t blank = strspn(text, " \t\r\n");
        mu_findings_start(&findings, arena);
        (void)mu_playbook_read(arena, text + (text[blank] == '{' ? blank : 0), n - (text[blank] == '{' ? blank : 0), &findings, &ret->document, &playbook);
        ret->source_format = text[blank] == '{' ? "muster-json" : "muster-yaml";
        ret->findings = mu_findings_json(&findings);
        ret->errors = findings.errors;
    }
    if (ret->signatures == NULL)
        ret->signatures = mu_json_own(arena, json_array());
    return ret->document != NULL ? MU_OK : MU_INVALID;
}
