/* The flow of a playbook as Graphviz source. Colours are those of the light page; whoever serves the picture swaps them for the dark
 * one, so each is used for one thing only. Labels are plain strings, never markup. */
#include "document.h"

#include <string.h>

#include "buf.h"
#include "json.h"
#include "playbook.h"
#include "str.h"
#include "words.h"

#define PICTURE_BYTES (4u << 20)
#define LABEL_MOST    120       /* characters of a title; the outline has all of it */
#define LINE_COLUMNS  26        /* of a label; a character beyond U+2E80 takes two */
#define NOBODY        0         /* no node: nothing leads on from here */

typedef struct { mu_arena *arena; mu_buf *out; const char *language; unsigned nodes, steps; } drawing;

/* Quoted for dot: in a string only the quote and the backslash mean something. Lines are broken between words, or anywhere in Chinese. */
static void
add_text(drawing *d, const char *text)
{
    const size_t n = mu_utf8_cut(text, strlen(text), LABEL_MOST * 3);
    unsigned column = 0, characters = 0;

    for (size_t i = 0; i < n;) {
        const unsigned char c = (unsigned char)text[i];
        const size_t width = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        const bool wide = width >= 3;
        if (++characters > LABEL_MOST) {
            mu_buf_adds(d->out, "…");
            return;
        }
        if ((column >= LINE_COLUMNS && (c == ' ' || wide)) || column >= LINE_COLUMNS + 14) {
            mu_buf_adds(d->out, "\\n");
            column = 0;
            if (c == ' ') {
                i++;
                continue;
            }
        }
        if (c == '"' || c == '\\')
            mu_buf_addc(d->out, '\\');
        if (c < 0x20)
            mu_buf_addc(d->out, ' ');
        else
            mu_buf_add(d->out, text + i, width);
        column += wide ? 2 : 1;
        i += width;
    }
    if (n < strlen(text))
        mu_buf_adds(d->out, "…");
}

static const char *
word(const drawing *d, const char *key)
{
    const char *text = mu_word(d->language, key);

    return text != NULL ? text : key;
}

static const char *
shape_of(const char *kind)
{
    static const struct { const char *kind, *look; } looks[] = {
        { "if", "shape=diamond,margin=\"0.02,0.02\"" }, { "switch", "shape=diamond,margin=\"0.02,0.02\"" }, { "decide", "shape=hexagon" },
        { "approve", "shape=hexagon" }, { "while", "shape=house" }, { "for_each", "shape=house" }, { "wait", "shape=ellipse" },
        { "milestone", "shape=ellipse,style=\"filled,bold\"" }, { "end", "shape=doubleoctagon" }, { "call", "shape=box,peripheries=2" },
        { "parallel", "shape=box,style=\"filled,bold\"" }, { "inject", "shape=note" },
    };

    for (size_t i = 0; i < MU_COUNT(looks); i++)
        if (mu_same(looks[i].kind, kind))
            return looks[i].look;
    return "shape=box,style=\"filled,rounded\"";
}

static unsigned
node(drawing *d, const json_t *step, const char *kind)
{
    const char *title = mu_document_text(json_object_get(step, "title"), d->language), *role = mu_json_str(step, "role");
    const char *what = mu_json_str(step, mu_same(kind, "if") || mu_same(kind, "while") ? "cond" : mu_same(kind, "switch") ? "on" : mu_same(kind, "for_each") ? "in" : "");
    const unsigned id = ++d->nodes;

    if (role == NULL)
        role = mu_json_str(json_object_get(step, "by"), "role");
    mu_buf_addf(d->out, "n%u [%s,label=\"", id, shape_of(kind));
    add_text(d, word(d, mu_printf(d->arena, "step.kind.%s", kind)));
    if (role != NULL) {
        mu_buf_adds(d->out, " · ");
        add_text(d, role);
    }
    mu_buf_adds(d->out, "\\n");
    add_text(d, title != NULL ? title : what != NULL ? what : mu_json_str(step, kind));
    mu_buf_addf(d->out, "\"%s];\n", json_is_true(json_object_get(step, "critical")) ? ",color=\"#a80f1c\",penwidth=2" : "");
    return id;
}

static unsigned
point(drawing *d)
{
    mu_buf_addf(d->out, "n%u [shape=point,width=0.08];\n", ++d->nodes);
    return d->nodes;
}

static void
edge(drawing *d, unsigned from, unsigned to, const char *label, const char *look)
{
    if (from == NOBODY || to == NOBODY)
        return;
    mu_buf_addf(d->out, "n%u -> n%u [label=\"", from, to);
    if (label != NULL)
        add_text(d, label);
    mu_buf_addf(d->out, "\"%s%s];\n", look[0] != '\0' ? "," : "", look);
}

static unsigned list(drawing *d, const json_t *steps, unsigned from, const char *label, const char *look, unsigned depth);

/* The branches of a step come together again, unless each of them ends. */
static unsigned
branches(drawing *d, const json_t *step, const char *kind, unsigned from, unsigned depth)
{
    const unsigned together = point(d);
    unsigned arrived = 0, end;
    json_t *branch;
    const char *name;

    json_object_foreach(json_object_get(step, mu_same(kind, "parallel") ? "branches" : "cases"), name, branch) {
        end = json_is_array(branch) ? list(d, branch, from, name, "", depth + 1) : from;
        edge(d, end, together, end == from ? name : NULL, "");
        arrived += end != NOBODY;
    }
    if (!mu_same(kind, "parallel")) {
        const bool two = mu_same(kind, "if");
        const char *other = word(d, "playbook.flow.else");
        const json_t *rest = json_object_get(step, two ? "else" : "default");
        if (two) {
            end = list(d, json_object_get(step, "then"), from, word(d, "playbook.flow.then"), "", depth + 1);
            edge(d, end, together, end == from ? word(d, "playbook.flow.then") : NULL, "");
            arrived += end != NOBODY;
        }
        end = json_is_array(rest) ? list(d, rest, from, other, "", depth + 1) : from;
        edge(d, end, together, end == from ? other : NULL, "");
        arrived += end != NOBODY;
    }
    return arrived > 0 ? together : NOBODY;
}

/* Blocks that run instead of the step hang beside it. */
static void
handlers(drawing *d, const json_t *step, unsigned from, unsigned depth)
{
    static const struct { const char *member, *word; } kinds[] = {
        { "on_error", "playbook.flow.on_error" }, { "on_reject", "playbook.flow.on_reject" }, { "on_max", "playbook.flow.on_max" },
    };
    const json_t *then = json_object_get(json_object_get(step, "deadline"), "then");

    for (size_t i = 0; i < MU_COUNT(kinds); i++)
        if (json_is_array(json_object_get(step, kinds[i].member)))
            (void)list(d, json_object_get(step, kinds[i].member), from, word(d, kinds[i].word), "style=dashed,constraint=false", depth + 1);
    if (json_is_array(then))
        (void)list(d, then, from, word(d, "playbook.flow.deadline"), "style=dashed,constraint=false", depth + 1);
}

static unsigned
one(drawing *d, const json_t *step, const char *kind, unsigned from, const char *label, const char *look, unsigned depth)
{
    const unsigned self = node(d, step, kind);
    unsigned end = self;

    edge(d, from, self, label, look);
    if (mu_same(kind, "if") || mu_same(kind, "switch") || mu_same(kind, "parallel"))
        end = branches(d, step, kind, self, depth);
    else if (mu_same(kind, "while") || mu_same(kind, "for_each"))
        edge(d, list(d, json_object_get(step, "steps"), self, NULL, "", depth + 1), self, word(d, "playbook.flow.again"), "style=dashed");
    handlers(d, step, self, depth);
    return mu_same(kind, "end") ? NOBODY : end;
}

static unsigned
list(drawing *d, const json_t *steps, unsigned from, const char *label, const char *look, unsigned depth)
{
    const json_t *step;
    size_t i;

    if (depth > MU_PLAYBOOK_DEPTH)
        return from;
    json_array_foreach(steps, i, step) {
        const char *kind = mu_document_kind(step);
        if (kind == NULL || ++d->steps > MU_PLAYBOOK_STEPS)
            continue;
        from = one(d, step, kind, from, label, look, depth);
        label = NULL;
        look = "";
    }
    return from;
}

static void
apart(drawing *d, const json_t *steps, const char *title)
{
    if (json_array_size(steps) == 0)
        return;
    mu_buf_addf(d->out, "subgraph cluster_%u {label=\"", ++d->nodes);
    add_text(d, title);
    mu_buf_adds(d->out, "\";color=\"#828b98\";fontcolor=\"#14181d\";style=dashed;\n");
    (void)list(d, steps, NOBODY, NULL, "", 1);
    mu_buf_adds(d->out, "}\n");
}

char *
mu_document_dot(mu_arena *arena, const json_t *doc, const char *language)
{
    MU_BUF_AUTO(out, PICTURE_BYTES);
    drawing d = { .arena = arena, .out = &out, .language = language };
    const char *name;
    json_t *block;

    mu_buf_adds(&out, "digraph playbook {\nbgcolor=\"transparent\";rankdir=TB;nodesep=0.3;ranksep=0.35;fontname=\"sans-serif\";fontsize=12;\n"
                      "node [fontname=\"sans-serif\",fontsize=12,style=filled,fillcolor=\"#ffffff\",color=\"#828b98\",fontcolor=\"#14181d\",margin=\"0.16,0.07\"];\n"
                      "edge [fontname=\"sans-serif\",fontsize=11,color=\"#5a6270\",fontcolor=\"#3b4350\",arrowsize=0.7];\n");
    (void)list(&d, json_object_get(doc, "steps"), NOBODY, NULL, "", 0);
    json_object_foreach(json_object_get(doc, "blocks"), name, block)
        apart(&d, block, mu_printf(arena, "%s %s", word(&d, "playbook.flow.block"), name));
    apart(&d, json_object_get(doc, "on_error"), word(&d, "playbook.flow.failed"));
    mu_buf_adds(&out, "}\n");
    return out.over ? NULL : mu_strndup(arena, out.at, out.n);
}
