/* The model behind mu_playbook; private to this folder. Everything is made once and lives in the arena of the parse. */
#ifndef MU_MODEL_H
#define MU_MODEL_H

#include "expression.h"
#include "playbook.h"

typedef enum {
#define K(id, name, person) MU_K_##id,
#include "kinds.def"
#undef K
    MU_K_COUNT
} mu_kind;

typedef struct mu_node mu_node;
typedef struct mu_block mu_block;

typedef enum { MU_ERR_PASS, MU_ERR_FAIL, MU_ERR_CONTINUE, MU_ERR_ASK, MU_ERR_BLOCK } mu_on_error;
typedef enum { MU_THEN_NONE, MU_THEN_PROCEED, MU_THEN_FAIL, MU_THEN_SKIP, MU_THEN_BLOCK } mu_then;
typedef enum { MU_REJECT_ASK, MU_REJECT_END, MU_REJECT_BLOCK } mu_on_reject;
typedef enum { MU_DRILL_DEFAULT, MU_DRILL_SIMULATE, MU_DRILL_MARK, MU_DRILL_SKIP, MU_DRILL_REAL } mu_drill;
typedef enum { MU_MAX_FAIL, MU_MAX_CONTINUE, MU_MAX_ASK } mu_on_max;
/* Aside: injects outside `steps` and steps the commander adds; they follow nothing and nothing follows them. */
typedef enum { MU_BLOCK_MAIN, MU_BLOCK_BRANCH, MU_BLOCK_HANDLER, MU_BLOCK_ASIDE } mu_block_kind;

/* A duration, or the variable that holds one. */
typedef struct { bool given; int64_t seconds; const char *variable; } mu_length;

/* An http step: what is asked, what is expected, and how often it is asked again. */
typedef struct {
    const char   *method, *connection, *url;       /* url: what follows {{conn.x}}, with its placeholders */
    const json_t *headers, *body;                  /* as written, or NULL */
    mu_length     timeout;
    bool          once;                            /* never sent twice without a person's word */
    const json_t *status, *json;                   /* expect; NULL: any 2xx, any body */
    int64_t       retries, backoff, cap;           /* seconds; retries 0: none */
    int64_t       factor;                          /* in thousandths */
} mu_http;

/* What is expected of people after an inject. */
typedef struct {
    bool          given;
    const char   *step;                            /* id; NULL: a controller judges */
    mu_length     within;
    int64_t       score;
} mu_expected;

/* A list of steps. A handler (on_error, on_reject, deadline) runs in the place of its owner; the playbook's own has no owner. */
struct mu_block {
    const char   *name, *path;         /* path of its steps' parent, "" at the root */
    mu_block_kind kind;
    mu_node      *owner;
    mu_node     **steps;
    size_t        count;
};

typedef struct {
    bool        given;
    mu_length   after;
    const char *from;                  /* a milestone; NULL: the start of the step */
    int64_t     warn;                  /* seconds before; -1: none */
    const char **escalate;
    size_t      escalate_count;
    mu_then     then;
    mu_block   *block;
} mu_node_deadline;

struct mu_node {
    mu_kind       kind;
    const char   *id, *path, *pointer;
    unsigned      ord, depth;
    mu_block     *block;               /* the block it stands in, and its place there */
    size_t        index;
    const json_t *json;                /* the step as written */
    const mu_expression *when;
    const char   *role;                /* approve: by.role */
    mu_node_deadline deadline;
    mu_on_error   on_error;
    mu_block     *on_error_block;
    bool          critical;
    int64_t       evidence;            /* least number of attachments */
    mu_drill      drill;
    const json_t *simulated;           /* the pretended result, or NULL */
    mu_block    **blocks;              /* branches in sorted order; then, else; cases in sorted order and the default; the body of a loop; the called block */
    size_t        block_count;
    size_t        join;                /* parallel: how many branches must end */
    int64_t       count;               /* approve: by.count; report: sign.count; notify: ack.required */
    const char   *sign_role;           /* report */
    mu_on_reject  on_reject;
    const char   *reject_outcome;
    mu_block     *reject_block;
    const mu_expression *cond;         /* if, while; wait until; switch on; for_each in; inject at */
    mu_length     length;              /* wait for; decide default_after; notify ack within */
    const char  **names;               /* set: variables in sorted order; decide: into */
    const mu_expression **values;      /* set */
    size_t        name_count;
    int64_t       most;                /* while, for_each: max; 0: not given */
    mu_length     every;               /* while: the pause before a further round */
    mu_on_max     on_max;
    const char   *as;                  /* for_each: what an item is called in the body */
    mu_type       item;                /* and its type */
    int64_t       at_once;
    const mu_http *http;
    const char   *playbook;            /* call of a playbook: its slug; NULL: call of a block */
    int64_t       version;             /* 0: the latest published */
    bool          watch;               /* join: false */
    const char  **with;                /* parameters in sorted order, and what they are given */
    const mu_expression **given;
    size_t        with_count;
    const char  **save;                /* http, call: our variables in sorted order, and where their values come from */
    const char  **saved_from;
    size_t        save_count;
    mu_expected   expected;            /* inject */
    bool          adhoc;               /* added by the commander; not of the playbook */
};

typedef struct {
    const char   *name;
    mu_type       type;
    const json_t *initial;             /* default, or NULL */
    const char   *from;                /* trigger, form, profile.X, or NULL */
    const json_t *json;                /* as written */
    bool          constant, secret, param;
} mu_var;

struct mu_playbook {
    mu_arena     *arena;
    const json_t *doc;
    const char   *id;
    const json_t *roles;               /* object */
    mu_var       *vars;                /* vars sorted by name, then params sorted by name */
    size_t        var_count;
    mu_block     *main, *on_error, *injects;   /* injects: NULL when there are none */
    mu_node     **nodes;               /* in order of `ord` */
    mu_node     **by_path;             /* sorted by path */
    size_t        node_count;
    const mu_node **milestones;        /* sorted by id */
    size_t        milestone_count;
    int64_t       rto;                 /* seconds; 0: not given */
};

/* While parsing. */
typedef struct {
    mu_arena     *arena;
    mu_findings  *findings;
    const mu_marks *marks;
    mu_playbook  *pb;
    json_t       *ids;                 /* step id -> pointer of its definition */
    json_t       *called;              /* names of blocks that something uses, each with its size */
    size_t        inlined;             /* bytes of blocks put in their places so far */
    const char   *calls[MU_PLAYBOOK_DEPTH];
    size_t        call_depth, depth;
    size_t        written;             /* steps as written */
    size_t        capacity;
    bool          broken;              /* no model can be made */
} mu_reader;

const char *mu_kind_name(mu_kind kind);
bool        mu_kind_find(const char *name, mu_kind *ret);
bool        mu_kind_person(mu_kind kind);        /* a person closes it */

const mu_node *mu_node_find(const mu_playbook *pb, const char *path);
bool           mu_node_below(const mu_node *node, const mu_node *top);   /* at any depth; not itself */
const mu_var  *mu_var_find(const mu_playbook *pb, const char *name);
const mu_node *mu_milestone_find(const mu_playbook *pb, const char *id);
bool           mu_role_known(const mu_playbook *pb, const char *role);
/* Types of variables, milestones and run facts. */
bool           mu_name_type(void *playbook, const char *name, mu_type *ret);
/* The same as seen from a step: the items of the for_each steps around it hide variables. The closure is a mu_seen. */
typedef struct { const mu_playbook *pb; const mu_node *node; } mu_seen;
bool           mu_seen_type(void *seen, const char *name, mu_type *ret);
/* The for_each around the step whose items have that name; NULL: none. */
const mu_node *mu_item_owner(const mu_node *node, const char *name);

/* Findings. The variadic part is name, value pairs of the message's placeholders, closed by NULL. */
void mu_find(mu_reader *r, const char *rule, const char *what, mu_finding_level level, const char *path, const char *pointer, ...)
    __attribute__((sentinel));
/* The same for rules without which there is no model: sets `broken`. */
#define MU_BREAK(r, ...) ((r)->broken = true, mu_find((r), __VA_ARGS__))

/* Sorted member names of an object; count in *ret_n. Owner: the arena. */
const char **mu_sorted_keys(mu_arena *arena, const json_t *object, size_t *ret_n);

/* Checks the members of an object against the table called `name` in fields.def. */
void mu_fields_check(mu_reader *r, const char *name, const json_t *object, const char *path, const char *pointer);

mu_block *mu_block_read(mu_reader *r, const json_t *json, const char *name, mu_block_kind kind, mu_node *owner,
    const char *path, const char *pointer);
void mu_step_details(mu_reader *r, mu_node *node);                            /* what belongs to its kind */
void mu_read_if(mu_reader *r, mu_node *node);
void mu_read_switch(mu_reader *r, mu_node *node);
void mu_read_while(mu_reader *r, mu_node *node);
void mu_read_for_each(mu_reader *r, mu_node *node);
void mu_read_parallel(mu_reader *r, mu_node *node);
void mu_read_call(mu_reader *r, mu_node *node);
void mu_save_read(mu_reader *r, mu_node *node);     /* http, call */
void mu_read_http(mu_reader *r, mu_node *node);
void mu_read_inject(mu_reader *r, mu_node *node);
void mu_wrong_value(mu_reader *r, const mu_node *node, const char *pointer, const char *field);
const mu_expression *mu_expression_read(mu_reader *r, const mu_node *node, const char *text, const char *pointer);
bool mu_length_read(mu_reader *r, const mu_node *node, const char *text, const char *pointer, mu_length *ret);
const mu_expression *mu_condition_read(mu_reader *r, const mu_node *node, const char *member);

/* Notes that a block is put in a place. False, with a finding: all together they have become too large. */
bool mu_room_for_block(mu_reader *r, const char *name, const json_t *steps);
void mu_check_all(mu_reader *r);       /* after the whole tree is known; what can be judged of a broken one is judged, too */

/* Texts with {{x}}. */
typedef enum { MU_FILL_PLAIN, MU_FILL_MARKDOWN } mu_fill;
/* Calls fn for each name; false: an unclosed or malformed placeholder. */
bool mu_text_names(mu_arena *arena, const char *text, void (*fn)(void *closure, const char *name), void *closure);
char *mu_text_fill(mu_arena *arena, const char *text, const mu_names *names, mu_fill how);

/* Parts of a request. Each value is encoded for where it stands; one that cannot stand there, or has no value, makes the whole NULL.
 * The placeholder of a secret stays, and its name is added to `secrets`; no value can bring such a placeholder in. */
typedef enum { MU_PLACE_URL, MU_PLACE_HEADER, MU_PLACE_JSON, MU_PLACE_FORM, MU_PLACE_TEXT } mu_place;
char *mu_place_fill(mu_arena *arena, const char *text, const mu_names *names, mu_place where, json_t *secrets);

#endif
