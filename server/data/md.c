/* Markdown through md4c's callbacks. One walker, two faces: safe HTML and text for mails. */
#include "md.h"

#include <md4c.h>
#include <stdlib.h>
#include <string.h>

#include "str.h"

enum { INPUT_MAX = 64 * 1024, LIST_DEPTH = 16, LINK_MAX = 2048, PADDING = 64 };

typedef struct {
    mu_buf *out;
    const char *input;           /* our copy, with its padding */
    size_t input_n;
    bool html;
    unsigned depth;              /* of lists */
    struct { bool ordered; unsigned next; } lists[LIST_DEPTH];
    bool links[LIST_DEPTH];      /* was the open link allowed? */
    char hrefs[LIST_DEPTH][LINK_MAX];
    unsigned links_n;
    unsigned cells;              /* of the open table row */
} walker;

static bool put(walker *w, const char *text)
{
    return mu_buf_adds(w->out, text);
}

/* Text mode: a block begins on a line of its own. */
static bool new_line(walker *w)
{
    return w->out->n == 0 || w->out->at[w->out->n - 1] == '\n' || mu_buf_addc(w->out, '\n');
}

static bool new_paragraph(walker *w)
{
    size_t n = w->out->n;
    if (n == 0 || (n >= 2 && w->out->at[n - 1] == '\n' && w->out->at[n - 2] == '\n'))
        return true;
    return new_line(w) && mu_buf_addc(w->out, '\n');
}

/* The address as text: of entities only &amp; is resolved, any other could hide a scheme. */
static bool href_of(const MD_ATTRIBUTE *attribute, char *to)
{
    size_t n = 0;
    for (unsigned i = 0; attribute->substr_offsets != NULL && attribute->substr_offsets[i] < attribute->size; i++) {
        const char *at = attribute->text + attribute->substr_offsets[i];
        size_t length = attribute->substr_offsets[i + 1] - attribute->substr_offsets[i];
        if (attribute->substr_types[i] == MD_TEXT_ENTITY) {
            if (length != 5 || memcmp(at, "&amp;", 5) != 0)
                return false;
            length = 1;
        } else if (attribute->substr_types[i] != MD_TEXT_NORMAL) {
            return false;
        }
        if (n + length >= LINK_MAX)
            return false;
        memcpy(to + n, at, length);
        n += length;
    }
    to[n] = '\0';
    return n > 0;
}

static bool link_allowed(const char *href)
{
    for (const char *c = href; *c != '\0'; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '"' || *c == '<' || *c == '>' || *c == '\\')
            return false;
    return strncasecmp(href, "https://", 8) == 0 || strncasecmp(href, "http://", 7) == 0 || strncasecmp(href, "mailto:", 7) == 0;
}

static bool open_link(walker *w, const MD_SPAN_A_DETAIL *detail)
{
    if (w->links_n >= LIST_DEPTH) {
        w->links_n++;
        return true;
    }
    char *href = w->hrefs[w->links_n];
    bool allowed = href_of(&detail->href, href) && link_allowed(href);
    w->links[w->links_n++] = allowed;
    if (!allowed || !w->html)
        return true;
    return put(w, "<a href=\"") && mu_buf_add_html(w->out, href, strlen(href))
        && put(w, "\" rel=\"noopener noreferrer nofollow\">");
}

static bool close_link(walker *w)
{
    w->links_n--;
    if (w->links_n >= LIST_DEPTH || !w->links[w->links_n])
        return true;
    if (w->html)
        return put(w, "</a>");
    const char *href = w->hrefs[w->links_n];
    size_t n = strlen(href);
    if (w->out->n >= n && memcmp(w->out->at + w->out->n - n, href, n) == 0) /* the text is the address already */
        return true;
    return put(w, " (") && put(w, href) && put(w, ")");
}

static bool list_item(walker *w)
{
    if (w->html)
        return put(w, "<li>");
    if (!new_line(w))
        return false;
    unsigned level = w->depth > LIST_DEPTH ? LIST_DEPTH : w->depth;
    for (unsigned i = 1; i < level; i++)
        if (!put(w, "  "))
            return false;
    if (level > 0 && w->lists[level - 1].ordered)
        return mu_buf_addf(w->out, "%u. ", w->lists[level - 1].next++);
    return put(w, "- ");
}

static bool open_list(walker *w, bool ordered, unsigned start)
{
    if (w->depth < LIST_DEPTH) {
        w->lists[w->depth].ordered = ordered;
        w->lists[w->depth].next = start;
    }
    w->depth++;
    if (!w->html)
        return w->depth > 1 || new_paragraph(w);
    if (ordered && start != 1)
        return mu_buf_addf(w->out, "<ol start=\"%u\">\n", start);
    return put(w, ordered ? "<ol>\n" : "<ul>\n");
}

static bool open_cell(walker *w, bool header)
{
    if (w->html)
        return put(w, header ? "<th>" : "<td>");
    return w->cells++ == 0 || put(w, " | ");
}

/* Headings start at h3: h1 and h2 belong to the page. */
static bool heading(walker *w, unsigned level, bool close)
{
    if (!w->html)
        return close ? new_line(w) : new_paragraph(w);
    return mu_buf_addf(w->out, "<%sh%u>%s", close ? "/" : "", level + 2 > 6 ? 6 : level + 2, close ? "\n" : "");
}

static int done(bool fine)
{
    return fine ? 0 : 1;
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *closure)
{
    walker *w = closure;
    switch (type) {
    case MD_BLOCK_DOC:   return 0;
    case MD_BLOCK_QUOTE: return done(w->html ? put(w, "<blockquote>\n") : new_paragraph(w));
    case MD_BLOCK_UL:    return done(open_list(w, false, 1));
    case MD_BLOCK_OL:    return done(open_list(w, true, ((MD_BLOCK_OL_DETAIL *)detail)->start));
    case MD_BLOCK_LI:    return done(list_item(w));
    case MD_BLOCK_HR:    return done(w->html ? put(w, "<hr>\n") : new_paragraph(w) && put(w, "----\n"));
    case MD_BLOCK_H:     return done(heading(w, ((MD_BLOCK_H_DETAIL *)detail)->level, false));
    case MD_BLOCK_CODE:  return done(w->html ? put(w, "<pre><code>") : new_paragraph(w));
    case MD_BLOCK_HTML:  return 0;
    case MD_BLOCK_P:     return done(w->html ? put(w, "<p>") : w->depth > 0 || new_paragraph(w));
    case MD_BLOCK_TABLE: return done(w->html ? put(w, "<table>\n") : new_paragraph(w));
    case MD_BLOCK_THEAD: return done(!w->html || put(w, "<thead>\n"));
    case MD_BLOCK_TBODY: return done(!w->html || put(w, "<tbody>\n"));
    case MD_BLOCK_TR:
        w->cells = 0;
        return done(w->html ? put(w, "<tr>") : new_line(w));
    case MD_BLOCK_TH:    return done(open_cell(w, true));
    case MD_BLOCK_TD:    return done(open_cell(w, false));
    }
    return 0;
}

static bool close_list(walker *w, const char *html)
{
    if (w->depth > 0)
        w->depth--;
    return w->html ? put(w, html) : new_line(w);
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *closure)
{
    walker *w = closure;
    switch (type) {
    case MD_BLOCK_DOC:   return done(w->html || new_line(w));
    case MD_BLOCK_QUOTE: return done(w->html ? put(w, "</blockquote>\n") : new_line(w));
    case MD_BLOCK_UL:    return done(close_list(w, "</ul>\n"));
    case MD_BLOCK_OL:    return done(close_list(w, "</ol>\n"));
    case MD_BLOCK_LI:    return done(w->html ? put(w, "</li>\n") : new_line(w));
    case MD_BLOCK_HR:    return 0;
    case MD_BLOCK_H:     return done(heading(w, ((MD_BLOCK_H_DETAIL *)detail)->level, true));
    case MD_BLOCK_CODE:  return done(w->html ? put(w, "</code></pre>\n") : new_line(w));
    case MD_BLOCK_HTML:  return 0;
    case MD_BLOCK_P:     return done(w->html ? put(w, "</p>\n") : new_line(w));
    case MD_BLOCK_TABLE: return done(w->html ? put(w, "</table>\n") : new_line(w));
    case MD_BLOCK_THEAD: return done(!w->html || put(w, "</thead>\n"));
    case MD_BLOCK_TBODY: return done(!w->html || put(w, "</tbody>\n"));
    case MD_BLOCK_TR:    return done(w->html ? put(w, "</tr>\n") : new_line(w));
    case MD_BLOCK_TH:    return done(!w->html || put(w, "</th>"));
    case MD_BLOCK_TD:    return done(!w->html || put(w, "</td>"));
    }
    return 0;
}

static int span(walker *w, MD_SPANTYPE type, void *detail, bool enter)
{
    switch (type) {
    case MD_SPAN_EM:     return done(!w->html || put(w, enter ? "<em>" : "</em>"));
    case MD_SPAN_STRONG: return done(!w->html || put(w, enter ? "<strong>" : "</strong>"));
    case MD_SPAN_CODE:   return done(!w->html || put(w, enter ? "<code>" : "</code>"));
    case MD_SPAN_DEL:    return done(!w->html || put(w, enter ? "<del>" : "</del>"));
    case MD_SPAN_A:      return done(enter ? open_link(w, detail) : close_link(w));
    case MD_SPAN_IMG:    /* remote pictures would tell a stranger who reads the page */
    case MD_SPAN_LATEXMATH:
    case MD_SPAN_LATEXMATH_DISPLAY:
    case MD_SPAN_WIKILINK:
    case MD_SPAN_U:      return 0;
    }
    return 0;
}

static int enter_span(MD_SPANTYPE type, void *detail, void *closure)
{
    return span(closure, type, detail, true);
}

static int leave_span(MD_SPANTYPE type, void *detail, void *closure)
{
    return span(closure, type, detail, false);
}

/* An entity is harmless in HTML as it stands, once it is known to look like one. */
static bool entity(walker *w, const char *text, size_t n)
{
    static const struct { const char *name, *text; } common[] = {
        { "&amp;", "&" }, { "&lt;", "<" }, { "&gt;", ">" }, { "&quot;", "\"" }, { "&nbsp;", " " } };
    if (w->html)
        return memchr(text, '<', n) == NULL && memchr(text, '"', n) == NULL ? mu_buf_add(w->out, text, n)
                                                                          : mu_buf_add_html(w->out, text, n);
    for (size_t i = 0; i < MU_COUNT(common); i++)
        if (n == strlen(common[i].name) && memcmp(text, common[i].name, n) == 0)
            return put(w, common[i].text);
    return mu_buf_add(w->out, text, n);
}

/* Text comes from our copy of the input, or is a short constant of md4c. Anything else would be a fault of md4c. */
static bool within(const walker *w, const char *text, size_t n)
{
    uintptr_t at = (uintptr_t)text, from = (uintptr_t)w->input;
    return at >= from && at <= from + w->input_n ? n <= from + w->input_n - at : n <= 16;
}

static int add_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE n, void *closure)
{
    walker *w = closure;
    if (!within(w, text, n))
        return 1;
    switch (type) {
    case MD_TEXT_NULLCHAR:  return done(put(w, "\xEF\xBF\xBD"));
    case MD_TEXT_BR:        return done(put(w, w->html ? "<br>\n" : "\n"));
    case MD_TEXT_SOFTBR:    return done(put(w, "\n"));
    case MD_TEXT_ENTITY:    return done(entity(w, text, n));
    case MD_TEXT_NORMAL:
    case MD_TEXT_CODE:
    case MD_TEXT_HTML:
    case MD_TEXT_LATEXMATH:
        return done(w->html ? mu_buf_add_html(w->out, text, n) : mu_buf_add(w->out, text, n));
    }
    return 0;
}

static bool render(const char *text, size_t n, mu_buf *out, bool html)
{
    if (n > INPUT_MAX || !mu_utf8_valid(text, n))
        return false;
    /* md4c 0.4.8 reads a little behind the end of its input (found by fuzzing); there it finds a line end and zeros. */
    walker *w = calloc(1, sizeof *w);
    char *copy = calloc(1, n + 1 + PADDING);
    if (w == NULL || copy == NULL)
        abort();
    if (n > 0)
        memcpy(copy, text, n);
    copy[n] = '\n';
    w->out = out;
    w->input = copy;
    w->input_n = n + 1;
    w->html = html;
    MD_PARSER parser = { .flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_NOHTML | MD_FLAG_PERMISSIVEURLAUTOLINKS
                                  | MD_FLAG_NOINDENTEDCODEBLOCKS,
                         .enter_block = enter_block, .leave_block = leave_block, .enter_span = enter_span,
                         .leave_span = leave_span, .text = add_text };
    bool fine = md_parse(copy, (MD_SIZE)(n + 1), &parser, w) == 0 && !out->over; /* md4c forgets a stop inside a paragraph */
    free(copy);
    free(w);
    return fine;
}

bool mu_md_html(const char *text, size_t n, mu_buf *out)
{
    return render(text, n, out, true);
}

bool mu_md_plain(const char *text, size_t n, mu_buf *out)
{
    return render(text, n, out, false);
}
