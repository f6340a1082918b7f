/* Decision tables in three values: true, false, and not known. What is not known is never taken for false. */
#include "decision.h"

#include <string.h>

#include "json.h"
#include "str.h"

#define CONDITION_DEPTH 12

enum { FALSE = 0, TRUE = 1, UNKNOWN = -1 };

/* From the strongest to the weakest; a result is as strong as the weakest rule it stands on. */
static const char *const confidences[] = { "verified", "verified-secondary", "verified-draft", "proposal", "unverified-general", "unverified-unsure" };

static const char *const methods[] = { "highest_level_any_rule", "any_rule", "judgement_any", "gate_then_any_of", "all", "judgement", "none",
    "tolerance_breach" };

/* -- conditions ------------------------------------------------------------------------------------------------------------ */

static void
add_once(json_t *list, const char *text)
{
    size_t i;
    json_t *one;

    if (list == NULL || text == NULL)
        return;
    json_array_foreach(list, i, one)
        if (mu_same(json_string_value(one), text))
            return;
    json_array_append_new(list, json_string(text));
}

/* -1, 0, 1; 2 when the two are not numbers. */
static int
order(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return x < y ? -1 : x > y;
    }
    if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        return x < y ? -1 : x > y;
    }
    return 2;
}

static bool
same(const json_t *a, const json_t *b)
{
    return order(a, b) == 0 || json_equal(a, b);
}

static bool
contained(const json_t *list, const json_t *value)
{
    size_t i;
    json_t *one;

    json_array_foreach(list, i, one)
        if (same(one, value))
            return true;
    return json_is_string(list) && json_is_string(value) && strstr(json_string_value(list), json_string_value(value)) != NULL;
}

static int
compare(const char *op, const json_t *fact, const json_t *value)
{
    int sign = order(fact, value);

    if (mu_same(op, "="))
        return same(fact, value);
    if (mu_same(op, "!="))
        return !same(fact, value);
    if (mu_same(op, "in"))
        return contained(value, fact);
    if (mu_same(op, "contains"))
        return contained(fact, value);
    if (sign == 2)
        return UNKNOWN;                           /* a fact of the wrong type says nothing */
    if (mu_same(op, "<"))
        return sign < 0;
    if (mu_same(op, "<="))
        return sign <= 0;
    if (mu_same(op, ">"))
        return sign > 0;
    return mu_same(op, ">=") ? sign >= 0 : UNKNOWN;
}

static int holds(const json_t *condition, const json_t *facts, json_t *missing, unsigned depth);

static int
combine(const json_t *list, const json_t *facts, json_t *missing, bool all, unsigned depth)
{
    int result = all ? TRUE : FALSE, decided = all ? FALSE : TRUE, one;
    json_t *open = json_array(), *item;
    size_t i;

    json_array_foreach(list, i, item) {
        one = holds(item, facts, open, depth + 1);
        if (one == decided) {
            result = decided;
            break;
        }
        if (one == UNKNOWN)
            result = UNKNOWN;
    }
    if (result == UNKNOWN)                        /* facts of a decided condition are not missing */
        json_array_foreach(open, i, item)
            add_once(missing, json_string_value(item));
    json_decref(open);
    return result;
}

static int
holds(const json_t *condition, const json_t *facts, json_t *missing, unsigned depth)
{
    const char *name = mu_json_str(condition, "fact");
    const json_t *fact;
    int result;

    if (depth > CONDITION_DEPTH)
        return UNKNOWN;
    if (json_is_array(json_object_get(condition, "all")))
        return combine(json_object_get(condition, "all"), facts, missing, true, depth);
    if (json_is_array(json_object_get(condition, "any")))
        return combine(json_object_get(condition, "any"), facts, missing, false, depth);
    if (name == NULL)
        return UNKNOWN;
    fact = json_object_get(facts, name);
    result = fact == NULL || json_is_null(fact) ? UNKNOWN : compare(mu_json_str(condition, "op"), fact, json_object_get(condition, "value"));
    if (result == UNKNOWN)
        add_once(missing, name);
    return result;
}

int
mu_decision_holds(const json_t *condition, const json_t *facts, json_t *missing)
{
    return holds(condition, facts, missing, 0);
}

/* -- results --------------------------------------------------------------------------------------------------------------- */

static size_t
strength(const char *confidence)
{
    for (size_t i = 0; i < MU_COUNT(confidences); i++)
        if (mu_same(confidences[i], confidence))
            return i;
    return MU_COUNT(confidences) - 1;
}

static void
hit(json_t *result, const char *level, const json_t *rule)
{
    json_t *hits = json_object_get(result, "hits"), *row = json_object();
    const char *members[] = { "id", "text", "source", "confidence", "judgement", "note" };
    const char *own = mu_json_str(rule, "confidence"), *so_far = mu_json_str(result, "confidence");

    json_array_append_new(hits, row);
    json_object_set_new(row, "level", json_string(level));
    for (size_t i = 0; i < MU_COUNT(members); i++)
        if (json_object_get(rule, members[i]) != NULL)
            json_object_set(row, members[i], json_object_get(rule, members[i]));
    if (own != NULL && (so_far == NULL || strength(own) > strength(so_far)))
        json_object_set_new(result, "confidence", json_string(own));
}

/* Levels come highest first; the first with a rule that holds is the result, and a higher one with an open rule makes it uncertain. */
static void
by_levels(const json_t *table, const json_t *facts, json_t *result)
{
    const json_t *level, *rule;
    size_t i, j;
    bool found = false;

    json_array_foreach(json_object_get(table, "levels"), i, level) {
        const char *code = mu_json_str(level, "code");
        bool open = false;
        json_array_foreach(json_object_get(level, "rules"), j, rule) {
            json_t *missing = json_array();
            int one = holds(rule, facts, missing, 0);
            if (one == TRUE && (!found || mu_same(mu_json_str(result, "level"), code))) {
                found = true;
                json_object_set_new(result, "level", json_string(code));
                hit(result, code, rule);
            }
            if (one == UNKNOWN && !found) {
                size_t k;
                json_t *name;
                open = true;
                json_array_foreach(missing, k, name)
                    add_once(json_object_get(result, "missing"), json_string_value(name));
            }
            json_decref(missing);
        }
        if (found && mu_same(mu_json_str(result, "level"), code))
            open = false;
        if (open)
            add_once(json_object_get(result, "possible"), code);
    }
    json_object_set_new(result, "certain", json_boolean(json_array_size(json_object_get(result, "possible")) == 0));
}

/* gate AND (auto_major OR at least criteria_needed of the criteria). */
static void
by_gate(const json_t *table, const json_t *facts, json_t *result)
{
    const json_t *criterion, *first = json_array_get(json_object_get(table, "levels"), 0), *automatic = json_object_get(table, "auto_major");
    const char *code = mu_json_str(first, "code") == NULL ? "major" : mu_json_str(first, "code");
    json_t *missing = json_object_get(result, "missing");
    int64_t needed = mu_json_int(table, "criteria_needed", 2), met = 0, open = 0;
    int gate = holds(json_object_get(table, "gate"), facts, missing, 0);
    int sure = automatic == NULL || gate == FALSE ? FALSE : holds(automatic, facts, missing, 0);
    size_t i;

    json_array_foreach(json_object_get(table, "criteria"), i, criterion) {
        int one = gate == FALSE ? FALSE : holds(criterion, facts, missing, 0);
        met += one == TRUE;
        open += one == UNKNOWN;
        if (one == TRUE)
            hit(result, code, criterion);
    }
    if (sure == TRUE)
        hit(result, code, automatic);
    if (gate == TRUE && (sure == TRUE || met >= needed)) {
        json_object_set_new(result, "level", json_string(code));
        json_array_clear(missing);
        json_object_set_new(result, "certain", json_true());
        return;
    }
    json_array_clear(json_object_get(result, "hits"));
    if (gate == FALSE || (sure == FALSE && met + open < needed)) {
        json_array_clear(missing);
        json_object_set_new(result, "certain", json_true());
        return;
    }
    add_once(json_object_get(result, "possible"), code);
    json_object_set_new(result, "certain", json_false());
}

/* -- shape ----------------------------------------------------------------------------------------------------------------- */

static bool
sound_condition(const json_t *condition, unsigned depth)
{
    static const char *const ops[] = { "=", "!=", "<", "<=", ">", ">=", "in", "contains" };
    static const char *const groups[] = { "all", "any" };
    const char *op = mu_json_str(condition, "op");
    size_t i;
    json_t *one;

    if (!json_is_object(condition) || depth > CONDITION_DEPTH)
        return false;
    for (size_t g = 0; g < MU_COUNT(groups); g++) {
        const json_t *list = json_object_get(condition, groups[g]);
        if (list == NULL)
            continue;
        json_array_foreach(list, i, one)
            if (!sound_condition(one, depth + 1))
                return false;
        return json_array_size(list) > 0;
    }
    if (mu_json_str(condition, "fact") == NULL || json_object_get(condition, "value") == NULL)
        return false;
    for (i = 0; i < MU_COUNT(ops); i++)
        if (mu_same(ops[i], op))
            return true;
    return false;
}

static mu_err
check_levels(mu_arena *arena, const json_t *table, mu_problem *problem)
{
    const json_t *level, *rule;
    size_t i, j;
    mu_err err = MU_OK;

    json_array_foreach(json_object_get(table, "levels"), i, level) {
        if (mu_json_str(level, "code") == NULL)
            err = mu_fail(problem, MU_INVALID, mu_printf(arena, "/levels/%zu/code", i), "error.required", NULL);
        json_array_foreach(json_object_get(level, "rules"), j, rule)
            if (!sound_condition(rule, 0))
                err = mu_fail(problem, MU_INVALID, mu_printf(arena, "/levels/%zu/rules/%zu", i, j), "error.profile.condition", NULL);
    }
    return err;
}

mu_err
mu_decision_classify(mu_arena *arena, const json_t *table, const json_t *facts, mu_problem *problem, json_t **ret)
{
    const char *method = mu_json_str(table, "method");
    json_t *result = mu_json_own(arena, json_pack("{s:s?, s:n, s:b, s:[], s:[], s:[], s:n}", "method", method, "level", "certain", 0,
        "possible", "hits", "missing", "confidence"));
    bool known = false;

    *ret = result;
    for (size_t i = 0; i < MU_COUNT(methods); i++)
        known = known || mu_same(methods[i], method);
    if (!known)
        return mu_fail(problem, MU_INVALID, "/method", "error.profile.method", "name", method == NULL ? "" : method, NULL);
    TRY(check_levels(arena, table, problem));
    if (mu_same(method, "gate_then_any_of"))
        by_gate(table, facts, result);
    else if (mu_same(method, "none"))
        json_object_set_new(result, "certain", json_true());
    else if (mu_same(method, "highest_level_any_rule") || mu_same(method, "any_rule") || mu_same(method, "judgement_any"))
        by_levels(table, facts, result);
    return MU_OK;                                 /* all, judgement, tolerance_breach: a person says */
}
