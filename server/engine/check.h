/* What the files check_*.c share; private to them. */
#ifndef MU_CHECK_H
#define MU_CHECK_H

#include "model.h"

void mu_check_names(mu_reader *r);     /* V07 V09 V11 V12 V25 V26: names and types */
void mu_check_people(mu_reader *r);    /* V12 V13 V16 V17 V19: roles, escalation, approvals, reports */
void mu_check_flow(mu_reader *r);      /* V03 V08 V10 V18: along the flow */
void mu_check_loops(mu_reader *r);     /* V05 V06: loops */
void mu_check_calls(mu_reader *r);     /* V04 V05 V07 V09 V11 V12: calls of other playbooks */
void mu_check_outside(mu_reader *r);   /* V20 V21 V22 V23 V24 V26 V31 V32: what reaches people and machines outside */
void mu_check_around(mu_reader *r);    /* V02 V12 V13 V14 V33: against the surroundings */
void mu_check_text(mu_reader *r);      /* V25 V26 V27 V28 V29: the words */

void mu_check_role(mu_reader *r, const mu_node *node, const char *role, const char *pointer);
/* Can `before` have happened when `node` starts? */
bool mu_can_precede(const mu_node *before, const mu_node *node);
/* Does a switch take some way whatever its value is? */
bool mu_switch_complete(const mu_playbook *pb, const mu_node *node);
/* How many items a for_each has, where the list is written out or constant; -1: not known. */
int64_t mu_list_length(const mu_playbook *pb, const mu_node *loop);
/* May a value of the type be put where the other is wanted? Texts are looked at again when they are known. */
bool mu_type_fits(const mu_type *type, const mu_type *want);
/* A member of the surroundings; NULL: not known. */
const json_t *mu_around(const mu_reader *r, const char *member);
/* Is the name in a list of texts, or a member of an object? */
bool mu_among(const json_t *names, const char *name);

/* "slug" or "slug@3" to slug and version (-1: none; -2: not a number). Owner of *ret_slug: the arena. */
int64_t mu_call_split(mu_arena *arena, const char *text, const char **ret_slug);
/* The summary of the playbook named, in the surroundings; NULL: not known. */
const json_t *mu_call_summary(const mu_reader *r, const char *text);

#endif
