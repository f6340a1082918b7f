/* Queues an answer: status, body, and the header fields that every answer of its kind has. */
#include <stdio.h>
#include <string.h>
#include "conf.h"
#include "req.h"

#define CSP_APP "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " \
    "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types muster"
/* The public page runs no script and may be framed by the portals of the institution itself. */
#define CSP_STATUS "default-src 'none'; style-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self' "
/* Files of others and documents: no script, no form, no frame, even when a browser shows them. */
#define CSP_FILE "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
#define PERMISSIONS "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()"

static void add(struct MHD_Response *response, const char *name, const char *value)
{
    (void)MHD_add_response_header(response, name, value);
}

void mu_head_fields(struct MHD_Response *response, mu_head_kind kind)
{
    const char *policy = CSP_FILE, *frames = mu_conf_text(MU_CONF_STATUS_FRAMES);
    char text[1024];

    switch (kind) {
    case MU_HEAD_PAGE:   policy = CSP_APP; break;
    case MU_HEAD_STATUS:
        snprintf(text, sizeof text, CSP_STATUS "%.700s", strpbrk(frames, ";,\r\n") == NULL ? frames : "");
        policy = text;
        break;
    case MU_HEAD_DATA:
    case MU_HEAD_OPEN:
    case MU_HEAD_STATIC: break;
    case MU_HEAD_STREAM: policy = NULL; break;   /* never shown as a document, and kept in memory as long as the stream */
    }
    add(response, "X-Content-Type-Options", "nosniff");
    if (policy != NULL) {
        add(response, "Content-Security-Policy", policy);
        add(response, "Referrer-Policy", "same-origin");
    }
    if (mu_auth_secure())
        add(response, "Strict-Transport-Security", "max-age=31536000");
    if (kind == MU_HEAD_OPEN)
        add(response, "Access-Control-Allow-Origin", "*");
    else
        add(response, "Cross-Origin-Resource-Policy", "same-origin");
    if (kind == MU_HEAD_PAGE || kind == MU_HEAD_STATUS) {
        add(response, "Cross-Origin-Opener-Policy", "same-origin");
        add(response, "Permissions-Policy", PERMISSIONS);
    }
}

static bool has_field(const mu_req *rq, const char *name)
{
    for (const mu_field_line *line = rq->out.fields; line != NULL; line = line->next)
        if (strcmp(line->name, name) == 0)
            return true;
    return false;
}

enum MHD_Result mu_send(mu_req *rq)
{
    const mu_output *out = &rq->out;
    struct MHD_Response *response = out->finished;
    enum MHD_Result queued;

    if (response != NULL)
        return MHD_queue_response(rq->con, (unsigned)out->status, response);
    /* The bytes live in the request's arena, which is freed only after the connection is done with them. */
    response = MHD_create_response_from_buffer(out->size, (void *)(uintptr_t)(out->bytes != NULL ? out->bytes : ""), MHD_RESPMEM_PERSISTENT);
    if (response == NULL)
        return MHD_NO;
    mu_head_fields(response, !out->file && out->media != NULL && mu_starts(out->media, "text/html") ? MU_HEAD_PAGE : MU_HEAD_DATA);
    if (out->media != NULL)
        add(response, "Content-Type", out->media);
    if (!has_field(rq, "Cache-Control"))
        add(response, "Cache-Control", "no-store");
    add(response, "X-Request-Id", rq->id);
    if (rq->trace != NULL)
        add(response, "traceparent", rq->trace);
    if (!mu_loop_is_open())
        add(response, "Connection", "close");
    for (const mu_field_line *line = out->fields; line != NULL; line = line->next)
        add(response, line->name, line->value);
    queued = MHD_queue_response(rq->con, (unsigned)out->status, response);
    MHD_destroy_response(response);
    return queued;
}
