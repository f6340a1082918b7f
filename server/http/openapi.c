/* /openapi.json (3.1.0), made from the rows and specs that the server itself runs by. */
#include <stdlib.h>
#include <string.h>
#include "assets.h"
#include "req.h"
#include "version.h"

static struct { char *text; size_t n; struct MHD_Response *response; } api;

static const char *const verbs[] = { "get", "post", "put", "patch", "delete" };

static json_t *error_response(const char *text)
{
    return json_pack("{s:s,s:{s:{s:{s:s}}}}", "description", text, "content", "application/problem+json", "schema", "$ref", "#/components/schemas/Problem");
}

/* "/incidents/{incident:ref}" -> "/incidents/{incident}", and the parameters on the way. */
static char *open_path(mu_arena *arena, const mu_route *route, json_t *parameters)
{
    char *out = mu_strdup(arena, "");

    for (const char *at = route->path; *at != '\0';) {
        const char *open = strchrnul(at, '{'), *colon = *open == '{' ? strchr(open, ':') : NULL, *close = colon != NULL ? strchr(colon, '}') : NULL;
        out = mu_printf(arena, "%s%.*s", out, (int)(open - at), at);
        if (close == NULL)
            break;
        const char *name = mu_strndup(arena, open + 1, (size_t)(colon - open) - 1), *type = mu_strndup(arena, colon + 1, (size_t)(close - colon) - 1);
        json_t *schema = json_pack("{s:s}", "type", mu_same(type, "int") ? "integer" : "string");
        if (mu_same(type, "uuid"))
            json_object_set_new(schema, "format", json_string("uuid"));
        if (mu_same(type, "ref"))
            json_object_set_new(schema, "pattern", json_string("^[A-Z]{2,4}-[0-9]{4}-[0-9]{4,6}$"));
        json_array_append_new(parameters, json_pack("{s:s,s:s,s:b,s:o}", "name", name, "in", "path", "required", 1, "schema", schema));
        out = mu_printf(arena, "%s{%s}", out, name);
        at = close + 1;
    }
    return out;
}

static void add_query(json_t *parameters, const mu_spec *spec)
{
    json_t *schema, *properties, *property;
    const char *name;

    if (spec == NULL)
        return;
    schema = mu_spec_schema(spec);
    properties = json_object_get(schema, "properties");
    json_object_foreach(properties, name, property) {
        const char *help = json_string_value(json_object_get(property, "description"));
        bool required = false;
        for (size_t i = 0; i < spec->count; i++)
            required = required || (mu_same(spec->fields[i].name, name) && spec->fields[i].required);
        json_array_append_new(parameters, json_pack("{s:s,s:s,s:b,s:s,s:O}", "name", name, "in", "query", "required", required,
                                                    "description", help != NULL ? help : "", "schema", property));
    }
    json_decref(schema);
}

static void add_header(json_t *parameters, const char *name, bool required, const char *text)
{
    json_array_append_new(parameters, json_pack("{s:s,s:s,s:b,s:s,s:{s:s}}", "name", name, "in", "header", "required", required, "description", text, "schema", "type", "string"));
}

static json_t *responses_of(const mu_route *route)
{
    json_t *out = json_object();
    const char *media = (route->flags & MU_R_DOWNLOAD) != 0 ? "application/octet-stream" : "application/json";
    json_t *good = json_pack("{s:s,s:{s:{s:{}}}}", "description", route->method == MU_GET ? "The document" : "Done", "content", media, "schema");

    json_object_set_new(out, "200", good);
    if (route->method == MU_POST)
        json_object_set_new(out, "201", json_pack("{s:s,s:{s:{s:s,s:{s:s}}},s:{s:{s:{}}}}", "description", "Made", "headers", "Location", "description", "Where it is",
                                                  "schema", "type", "string", "content", "application/json", "schema"));
    if (route->method != MU_GET)
        json_object_set_new(out, "204", json_pack("{s:s}", "description", "Done, nothing to say"));
    if (route->method == MU_GET)
        json_object_set_new(out, "304", json_pack("{s:s}", "description", "Not changed"));
    json_object_set_new(out, "400", error_response("Malformed"));
    if (route->role != MU_ROLE_PUBLIC) {
        json_object_set_new(out, "401", error_response("Not signed in"));
        json_object_set_new(out, "403", error_response("The role is missing"));
    }
    json_object_set_new(out, "404", error_response("Not found"));
    if (route->method != MU_GET) {
        json_object_set_new(out, "409", error_response("Not possible in this state"));
        json_object_set_new(out, "415", error_response("Another content type is needed"));
    }
    if ((route->flags & MU_R_IF_MATCH) != 0) {
        json_object_set_new(out, "412", error_response("It has changed meanwhile"));
        json_object_set_new(out, "428", error_response("If-Match is missing"));
    }
    json_object_set_new(out, "422", error_response("A field is wrong"));
    json_object_set_new(out, "429", error_response("Too many attempts"));
    json_object_set_new(out, "503", error_response("Busy, or the database is away"));
    return out;
}

static const char *tag_of(mu_arena *arena, const mu_route *route)
{
    const size_t n = strcspn(route->path + 1, "/");

    return n > 0 ? mu_strndup(arena, route->path + 1, n) : "home";
}

static json_t *operation_of(mu_arena *arena, const mu_route *route, json_t *parameters, json_t *schemas)
{
    json_t *out = json_pack("{s:s,s:s,s:[s]}", "operationId", route->name, "summary", route->summary, "tags", tag_of(arena, route));

    add_query(parameters, route->query);
    if ((route->flags & MU_R_IF_MATCH) != 0)
        add_header(parameters, "If-Match", true, "The ETag of the version that is changed");
    if ((route->flags & MU_R_IDEMPOTENT) != 0)
        add_header(parameters, "Idempotency-Key", false, "The same key with the same body gets the first answer again");
    if (json_array_size(parameters) > 0)
        json_object_set(out, "parameters", parameters);
    if (route->role == MU_ROLE_PUBLIC)
        json_object_set_new(out, "security", json_array());
    if (route->body != NULL) {
        json_t *body = json_pack("{s:b,s:{s:{s:{s:s}}}}", "required", 1, "content", "application/json", "schema", "$ref",
                                 mu_printf(arena, "#/components/schemas/%s", route->body->name));
        if (json_object_get(schemas, route->body->name) == NULL)
            json_object_set_new(schemas, route->body->name, mu_spec_schema(route->body));
        json_object_set_new(out, "requestBody", body);
    }
    json_object_set_new(out, "responses", responses_of(route));
    return out;
}

static json_t *frame(void)
{
    return json_pack("{s:s,s:{s:s,s:s,s:s,s:{s:s,s:s}},s:[{s:s,s:s}],s:[{s:[]},{s:[]}],s:[],s:{},s:{}}",
        "openapi", "3.1.0",
        "info", "title", "Muster", "version", mu_version, "description", "Incident response and continuity drills. Every page has this twin: same path, same role, same fields.",
        "license", "name", "Apache-2.0", "identifier", "Apache-2.0",
        "servers", "url", "/api/v1", "description", "This server",
        "security", "bearer", "cookie", "tags", "paths", "components");
}

static json_t *components_of(json_t *schemas)
{
    json_t *fault = json_pack("{s:s,s:{s:{s:s},s:{s:s},s:{s:s}},s:[s,s,s]}", "type", "object", "properties", "pointer", "type", "string", "code", "type", "string",
                              "detail", "type", "string", "required", "pointer", "code", "detail");
    json_t *problem = json_pack("{s:s,s:[s,s,s,s],s:{s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:{s:s},s:{s:s,s:o}}}", "type", "object",
        "required", "type", "title", "status", "code", "properties", "type", "type", "string", "title", "type", "string", "status", "type", "integer",
        "detail", "type", "string", "instance", "type", "string", "code", "type", "string", "errors", "type", "array", "items", fault);

    json_object_set_new(schemas, "Problem", problem);
    return json_pack("{s:{s:{s:s,s:s},s:{s:s,s:s,s:s}},s:O}", "securitySchemes", "bearer", "type", "http", "scheme", "bearer",
                     "cookie", "type", "apiKey", "in", "cookie", "name", mu_auth_cookie(), "schemas", schemas);
}

json_t *mu_openapi_make(void)
{
    MU_CLEAN(mu_arena_freep) mu_arena *arena = mu_arena_new(0);
    json_t *out = frame(), *paths = json_object_get(out, "paths"), *schemas = json_object(), *tags = json_object_get(out, "tags"), *seen = json_object();

    for (size_t i = 0; i < mu_routes_count; i++) {
        const mu_route *route = &mu_routes[i];
        json_t *parameters, *path;
        char *address;
        if ((route->flags & MU_R_PAGE_ONLY) != 0)
            continue;
        parameters = json_array();
        address = open_path(arena, route, parameters);
        path = json_object_get(paths, address);
        if (path == NULL) {
            path = json_object();
            json_object_set_new(paths, address, path);
            if ((route->flags & MU_R_ROOT) != 0)
                json_object_set_new(path, "servers", json_pack("[{s:s,s:s}]", "url", "/", "description", "Outside the versioned interface"));
        }
        json_object_set_new(path, verbs[route->method], operation_of(arena, route, parameters, schemas));
        json_decref(parameters);
        if (json_object_get(seen, tag_of(arena, route)) == NULL) {
            json_object_set_new(seen, tag_of(arena, route), json_true());
            json_array_append_new(tags, json_pack("{s:s,s:s}", "name", tag_of(arena, route), "description", mu_printf(arena, "Below /%s", tag_of(arena, route))));
        }
    }
    json_object_set_new(out, "components", components_of(schemas));
    json_decref(schemas);
    json_decref(seen);
    return out;
}

mu_err mu_openapi_start(mu_problem *problem)
{
    json_t *tree = mu_openapi_make();

    api.text = tree != NULL ? json_dumps(tree, JSON_INDENT(1)) : NULL;
    json_decref(tree);
    if (api.text == NULL)
        return mu_failf(problem, MU_INTERNAL, "the OpenAPI document could not be made");
    api.n = strlen(api.text);
    api.response = MHD_create_response_from_buffer(api.n, api.text, MHD_RESPMEM_PERSISTENT);
    mu_head_fields(api.response, MU_HEAD_DATA);
    MHD_add_response_header(api.response, "Content-Type", "application/json");
    MHD_add_response_header(api.response, "Cache-Control", "no-cache");
    return MU_OK;
}

void mu_openapi_stop(void)
{
    if (api.response != NULL)
        MHD_destroy_response(api.response);
    free(api.text);
    api.response = NULL;
    api.text = NULL;
}

bool mu_openapi_answer(mu_req *rq)
{
    if (rq->method != MU_GET || !(mu_same(rq->path, "/openapi.json") && rq->face == MU_FACE_PAGE))
        return false;
    rq->out.status = 200;
    rq->out.finished = api.response;
    return true;
}
