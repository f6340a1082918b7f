/* A form that could not be taken because the database is away, the disk full or everybody busy: the page that says so carries what was
 * typed, to be sent again at one press and under the same key. */
#include "json.h"
#include "req.h"

#define TYPED_MOST (256u * 1024u)      /* bytes of a body that is still read when all handlers are busy */

/* When it was refused before anybody had read it. What is wrong in it does not matter here. */
static void read_late(mu_req *rq)
{
    const mu_problem kept = rq->problem;

    if (rq->given != NULL || rq->overrun || rq->bytes_n == 0 || rq->bytes_n > TYPED_MOST)
        return;
    rq->problem = (mu_problem){ .arena = rq->arena };
    if (mu_input_read(rq) != MU_OK)
        rq->given = NULL;
    rq->problem = kept;
}

static bool has_secret(const mu_spec *spec)
{
    for (size_t i = 0; spec != NULL && i < spec->count; i++)
        if (spec->fields[i].type == MU_F_SECRET)
            return true;
    return false;
}

static void field(json_t *fields, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        json_array_append_new(fields, json_pack("{s:s, s:s}", "name", name, "value", value));
}

static json_t *typed(mu_req *rq)
{
    json_t *fields = json_array(), *value, *item, *all = mu_input_showable(rq);
    const char *name;
    size_t i;

    json_object_foreach(all, name, value) {
        field(fields, name, json_string_value(value));
        json_array_foreach(value, i, item)
            field(fields, name, json_string_value(item));
    }
    return fields;
}

static json_t *hidden(mu_req *rq)
{
    json_t *fields = json_array();

    field(fields, "_csrf", rq->form_token);
    field(fields, "_key", rq->key);
    field(fields, "_etag", rq->etag_in);
    field(fields, "_method", rq->method_word);
    return fields;
}

json_t *mu_again_form(mu_req *rq)
{
    json_t *fields;

    if (rq->face != MU_FACE_PAGE || rq->method == MU_GET || rq->route == NULL || mu_err_status(rq->problem.code) < 500)
        return NULL;
    read_late(rq);
    /* Another site must not put words into a form of ours, and one with a password in it is filled in anew. */
    if (rq->given == NULL || !rq->body_was_form || has_secret(rq->route->body) || !mu_auth_same_origin(rq))
        return NULL;
    fields = typed(rq);
    return json_pack("{s:s, s:b, s:b, s:o, s:o}", "action", rq->query_text[0] != '\0' ? mu_printf(rq->arena, "%s?%s", rq->path, rq->query_text) : rq->path,
                     "multipart", (rq->route->flags & MU_R_MULTIPART) != 0, "any", json_array_size(fields) > 0, "fields", fields, "hidden", hidden(rq));
}
