/* The route table and its specs, made from server/api/api.def, which is read several times with different macros:
 * field lists, specs, rows; the prototypes of the handlers are in handlers.h. */
#include <stddef.h>
#include <string.h>
#include "handlers.h"
#include "routes.h"

/* The words that a row may use as flags. */
enum {
    PAGE_ONLY = MU_R_PAGE_ONLY, JSON_ONLY = MU_R_JSON_ONLY, IDEMPOTENT = MU_R_IDEMPOTENT, IF_MATCH = MU_R_IF_MATCH,
    MULTIPART = MU_R_MULTIPART, ROOT = MU_R_ROOT, HINT = MU_R_HINT, DOWNLOAD = MU_R_DOWNLOAD, NO_STORE = MU_R_NO_STORE,
    PASSWORD_OK = MU_R_PASSWORD_OK
};

/* 1: fields. Not const: the element type of a list is a word in the row and is looked up once at start. */
#define BODY(name) static mu_field fields_##name[] = {
#define F(name, type, required, least, most, values, help) { #name, MU_F_##type, MU_F_STR, (required) != 0, least, most, values, help },
#define ENDBODY };
#define ROUTE(...)
#include "../api/api.def"
#undef BODY
#undef F
#undef ENDBODY

/* 2: specs */
#define BODY(name) static const mu_spec spec_##name = { #name, fields_##name, MU_COUNT(fields_##name) };
#define F(...)
#define ENDBODY
#include "../api/api.def"
#undef BODY
#undef ROUTE

/* 3: rows. `none` as a spec's name gives NULL: its probe has a comma in it, any other name's has not. */
#define PROBE_none ~, NULL
#define SECOND(first, second, ...) second
#define CHOOSE(...) SECOND(__VA_ARGS__)
#define SPEC(name) CHOOSE(PROBE_##name, &spec_##name, NULL)
#define BODY(name)
#define FN(function) .fn = function
#define SQL(query)   .sql = Q_##query
#define ROUTE(route_name, verb, at, who, body_name, query_name, how, page_name, flag_words, text) \
    { .name = #route_name, .method = MU_##verb, .path = at, .role = MU_ROLE_##who, .body = SPEC(body_name), .query = SPEC(query_name), \
      how, .page = page_name, .flags = flag_words, .summary = text },

const mu_route mu_routes[] = {
#include "../api/api.def"
};
const size_t mu_routes_count = MU_COUNT(mu_routes);
#undef BODY
#undef ROUTE

static const struct { const char *word; mu_field_type type; } element_types[] = {
    { "STR", MU_F_STR }, { "TEXT", MU_F_TEXT }, { "INT", MU_F_INT }, { "ENUM", MU_F_ENUM }, { "SLUG", MU_F_SLUG }, { "REF", MU_F_REF },
    { "UUID", MU_F_UUID }, { "EMAIL", MU_F_EMAIL }, { "URL", MU_F_URL }, { "TIME", MU_F_TIME }, { "DATE", MU_F_DATE },
    { "DURATION", MU_F_DURATION }, { "FILE", MU_F_FILE }, { "JSON", MU_F_JSON },
};

/* "REF", or "ENUM a b c" with the values behind the type. */
static void set_elements(mu_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const size_t n = fields[i].values != NULL ? strcspn(fields[i].values, " ") : 0;
        if (fields[i].type != MU_F_LIST || n == 0)
            continue;
        for (size_t k = 0; k < MU_COUNT(element_types); k++)
            if (strlen(element_types[k].word) == n && memcmp(element_types[k].word, fields[i].values, n) == 0) {
                fields[i].of = element_types[k].type;
                fields[i].values += n + strspn(fields[i].values + n, " ");
                break;
            }
    }
}

void mu_routes_prepare(void)
{
    static bool done;

    if (done)
        return;
    done = true;
#define BODY(name) set_elements(fields_##name, MU_COUNT(fields_##name));
#define ROUTE(...)
#include "../api/api.def"
}
