/* Rehearsals: they end, tell what was said and what may be chosen, obey what was chosen, and are the same for the same seed. */
#include "rehearse.h"
#include "test_engine.h"

static mu_playbook *
load(mu_arena *arena, const char *name)
{
    mu_findings findings;
    size_t n;
    char *text = read_file(arena, name, &n);
    mu_playbook *pb;

    text[n] = '\0';
    pb = playbook_of(arena, text, &findings);
    assert_non_null(pb);
    return pb;
}

static json_t *
walk(mu_arena *arena, const mu_playbook *pb, uint64_t seed, const char *choices)
{
    mu_problem problem = { .arena = arena };
    mu_rehearsal how = { .seed = seed };
    json_t *tree = NULL, *told = NULL;

    if (choices != NULL)
        assert_int_equal(mu_json_parse(arena, choices, strlen(choices), &problem, &tree), MU_OK);
    how.choices = tree;
    assert_int_equal(mu_rehearse(arena, pb, &how, &told), MU_OK);
    return told;
}

static bool
has(const json_t *list, const char *member, const char *value)
{
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one)
        if (mu_same(member == NULL ? json_string_value(one) : mu_json_str(one, member), value))
            return true;
    return false;
}

static void
test_first_way(void **state)
{
    json_t *told = walk(*state, load(*state, "playbooks/incident/mobile-banking-outage.yaml"), 0, NULL);

    assert_string_equal(mu_json_str(told, "status"), "succeeded");
    assert_int_equal(json_array_size(json_object_get(told, "problems")), 0);
    assert_int_equal(json_array_size(json_object_get(told, "missing")), 0);
    assert_true(has(json_object_get(told, "messages"), "kind", "notify"));
    assert_true(has(json_object_get(told, "messages"), "kind", "status"));
    assert_true(has(json_object_get(told, "choices"), "name", "classify"));
    assert_true(mu_json_int(json_object_get(told, "rto"), "took", -1) > 0);
    assert_true(mu_json_int(json_object_get(told, "rto"), "longest", -1) >= mu_json_int(json_object_get(told, "rto"), "took", -1));
    assert_true(json_array_size(json_object_get(told, "roles")) > 5);
    assert_false(mu_json_bool(json_array_get(json_object_get(told, "roles"), 0), "filled", true));
}

static void
test_choices(void **state)
{
    mu_playbook *pb = load(*state, "playbooks/incident/mobile-banking-outage.yaml");
    json_t *told = walk(*state, pb, 0, "{\"activate\":\"no\"}");

    assert_string_equal(mu_json_str(told, "outcome"), "stood_down");
    told = walk(*state, pb, 0, "{\"classify\":\"IV\"}");
    assert_true(has(json_object_get(told, "unreached"), NULL, "respond/regulate/nfra_first"));
    told = walk(*state, pb, 0, "{\"confirm.when\":\"late\"}");
    assert_true(has(json_object_get(told, "walk"), "what", "missed"));
}

static void
test_seeds(void **state)
{
    static const char *const names[] = { "playbooks/incident/mobile-banking-outage.yaml", "playbooks/incident/payment-outage.yaml", "playbooks/drill/tabletop.yaml" };

    for (size_t i = 0; i < MU_COUNT(names); i++) {
        mu_playbook *pb = load(*state, names[i]);
        for (uint64_t seed = 1; seed < 30; seed++) {
            json_t *told = walk(*state, pb, seed, NULL);
            assert_true(json_equal(told, walk(*state, pb, seed, NULL)));
            assert_false(mu_json_bool(told, "cut", true));
            assert_true(mu_same(mu_json_str(told, "status"), "succeeded") || mu_same(mu_json_str(told, "status"), "failed"));
        }
    }
}

/* -- called playbooks ------------------------------------------------------------------------------------------------------ */

static const mu_playbook *
find(void *closure, const char *slug, int64_t version)
{
    (void)version;
    return mu_same(slug, "child") ? closure : NULL;
}

static void
test_child(void **state)
{
    mu_findings findings;
    mu_playbook *parent = playbook_of(*state, around(*state, "steps:\n  - {call: sub, playbook: child, with: {what: word}, save: {n: found}}\n  - {task: after, role: a, text: {zh: '{{n}}', en: 'found {{n}}'}}\n"), &findings);
    mu_playbook *child = playbook_of(*state, "format: muster/1\nid: child\ntitle: {zh: 子, en: Child}\nroles: {a: {zh: 甲, en: A}}\nparams: {what: {type: string}}\n"
        "vars: {found: {type: int, default: 0}}\nsteps:\n  - {task: look, role: a, form: [{id: found, zh: 数, en: Number, type: int, var: found}]}\n", &findings);
    mu_rehearsal how = { .find = find, .closure = child };
    json_t *told;

    assert_non_null(parent);
    assert_non_null(child);
    assert_int_equal(mu_rehearse(*state, parent, &how, &told), MU_OK);
    assert_string_equal(mu_json_str(told, "status"), "succeeded");
    assert_true(has(json_object_get(told, "walk"), "path", "look"));
    how.find = NULL;
    assert_int_equal(mu_rehearse(*state, parent, &how, &told), MU_OK);
    assert_true(has(json_object_get(told, "problems"), "kind", "no_playbook"));
}

int main(void)
{
    const struct CMUnitTest tests[] = { ARENA_TEST(test_first_way), ARENA_TEST(test_choices), ARENA_TEST(test_seeds), ARENA_TEST(test_child) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
