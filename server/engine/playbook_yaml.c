/* A playbook as YAML: the format's own order of keys, so that an edit in a form gives a small difference. */
#include "playbook.h"

#include "yaml_write.h"

/* The order of the tables in the description of the format: what a thing is comes first, then who, when, what, and what follows. */
static const char *const order[] = {
    "format", "id",
    "task", "checklist", "decide", "approve", "notify", "http", "status", "report", "wait", "set", "if", "switch", "while", "for_each",
    "parallel", "call", "inject", "milestone", "end",
    "title",
    "cond", "on", "in", "as", "value", "critical", "zh", "en", "min", "max", "deputy", "resolve", "text", "when", "plan",
    "category", "important_system", "services", "rto", "rpo", "basis", "scope", "principles", "warning", "review", "department",
    "roles", "vars", "params",
    "type", "of", "values", "default", "from", "constant", "secret",
    "component", "state", "profile", "stage", "at", "to", "via",
    "role", "mode", "into", "options", "grades", "default_after", "by", "count", "not", "request", "method", "url", "headers", "body", "timeout",
    "expect", "status", "json", "retry", "backoff", "factor", "cap", "save", "effect",
    "for", "until", "event", "at_once", "every", "on_max", "join", "block", "playbook", "with", "clock", "start", "stop", "phase", "outcome",
    "var", "required", "form", "items", "after", "warn", "escalate", "within",
    "deadline", "sign", "fields", "ack", "attachment", "score", "evidence", "types", "refs", "drill", "simulate", "note",
    "blocks", "then", "else", "cases", "branches", "steps", "on_reject", "on_error", "injects", "x-cacao",
    NULL,
};

/* Keys here are the author's. */
static const char *const maps[] = { "roles", "vars", "params", "blocks", "branches", "cases", "values", "with", "save", "headers", "json", "body", "x-cacao", NULL };

char *
mu_playbook_yaml(mu_arena *arena, const json_t *doc)
{
    static const mu_yaml_style style = { order, maps };
    MU_BUF_AUTO(out, MU_PLAYBOOK_BYTES);

    return mu_yaml_write(arena, doc, &style, &out) ? mu_strndup(arena, out.at, out.n) : NULL;
}
