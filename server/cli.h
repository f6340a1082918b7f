/* The program's commands: each is a row in cli.def and a function here. */
#ifndef MU_CLI_H
#define MU_CLI_H

#include <stdio.h>
#include "base.h"
#include "cluster.h"
#include "db.h"

typedef struct {
    int          argc;            /* words after the command and without the options */
    char       **argv;
    int          all_argc;        /* the command line as it came, for children that get the same options */
    char       **all_argv;
    mu_arena    *arena;
    mu_problem   problem;
    char         data_dir[512];   /* absolute, once mu_cli_data() was called */
    const char  *url, *direct_url;
    mu_cluster   cluster;         /* filled when there is no database.url */
    bool         embedded, cluster_ours;
} mu_cli;

/* Exit statuses: done, refused or failed, wrong usage. */
enum { MU_CLI_OK = 0, MU_CLI_FAILED = 1, MU_CLI_USAGE = 2 };

/* Makes the data directory when it is missing and finds its absolute name. */
mu_err mu_cli_data(mu_cli *cli);
/* Where the database is: the configured address, or the private cluster, which is not started yet. */
mu_err mu_cli_locate(mu_cli *cli);
/* mu_cli_locate() and, for the private cluster, starts it. mu_cli_end() stops it again when it was started here. */
mu_err mu_cli_database(mu_cli *cli);
void   mu_cli_end(mu_cli *cli);
/* The words of a key in the operator's language, {placeholders} filled by `value`; the key itself when there are none. */
void   mu_cli_words(FILE *out, const char *key, const char *(*value)(const void *closure, const char *name), const void *closure);
/* Says on standard error what went wrong, and returns MU_CLI_FAILED (MU_CLI_OK for MU_OK). */
int    mu_cli_report(mu_cli *cli, mu_err err);
/* Says how the command is used, and returns MU_CLI_USAGE. */
int    mu_cli_usage(const char *words);
/* The manual page of the commands (roff). */
void   mu_cli_manual(FILE *out);
/* Takes the word out of argv when it is there. */
bool   mu_cli_flag(mu_cli *cli, const char *word);
/* Takes "--name VALUE" out of argv and gives the value; NULL when it is not there. Borrowed. */
const char *mu_cli_option(mu_cli *cli, const char *option);
/* The operator's language by the environment: "zh" or "en". */
const char *mu_cli_language(void);
/* A whole file ("-": standard input) of at most 256 MiB, followed by a NUL; owner: the arena. */
mu_err mu_cli_read(mu_cli *cli, const char *path, char **ret, size_t *ret_n);
/* Random sources, time zone, locale, limits of the process: before any thread. False: said why on standard error. */
bool   mu_cli_prepare(void);

#define CMD(words, arguments, function, zh, en) int function(mu_cli *cli);
#include "cli.def"
#undef CMD

#endif
