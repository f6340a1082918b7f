/* muster COMMAND …: finds the row of cli.def, reads the options, runs it. */
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli.h"
#include "clock.h"
#include "conf.h"
#include "crypto.h"
#include "documents.h"
#include "fetch.h"
#include "log.h"
#include "mail.h"
#include "str.h"
#include "words.h"

static const struct { const char *words, *arguments; int (*run)(mu_cli *cli); const char *zh, *en; } commands[] = {
#define CMD(words, arguments, function, zh, en) { words, arguments, function, zh, en },
#include "cli.def"
#undef CMD
};

#define HELP_COLUMN 42   /* where the explanations begin; a longer command has its explanation on the next line */

static bool chinese(void)
{
    const char *lang = getenv("LC_ALL");

    if (lang == NULL || *lang == '\0')
        lang = getenv("LC_MESSAGES");
    if (lang == NULL || *lang == '\0')
        lang = getenv("LANG");
    return lang != NULL && strncmp(lang, "zh", 2) == 0;
}

static void print_commands(FILE *out)
{
    const bool zh = chinese();

    fprintf(out, "%s muster COMMAND [--SECTION.NAME=VALUE]...\n\n", zh ? "用法：" : "usage:");
    for (size_t i = 0; i < MU_COUNT(commands); i++) {
        const int width = fprintf(out, "  %s %s", commands[i].words, commands[i].arguments);
        fprintf(out, "%s%*s%s\n", width < HELP_COLUMN ? "" : "\n", width < HELP_COLUMN ? HELP_COLUMN - width : HELP_COLUMN, "", zh ? commands[i].zh : commands[i].en);
    }
}

int mu_cmd_help(mu_cli *cli)
{
    (void)cli;
    print_commands(stdout);
    return MU_CLI_OK;
}

void mu_cli_manual(FILE *out)
{
    fputs(".TH MUSTER 1\n.SH NAME\nmuster \\- incident response and continuity drills\n.SH SYNOPSIS\n.B muster\n"
          "COMMAND [\\-\\-config FILE] [\\-\\-SECTION.NAME=VALUE]...\n.SH COMMANDS\n", out);
    for (size_t i = 0; i < MU_COUNT(commands); i++) {
        fprintf(out, ".TP\n.B muster %s\n", commands[i].words);
        for (const char *p = commands[i].arguments; *p != '\0'; p++)
            fprintf(out, "%s%c", *p == '-' ? "\\" : "", *p);
        fprintf(out, "\n.br\n%s\n.br\n%s\n", commands[i].en, commands[i].zh);
    }
    fputs(".SH EXIT STATUS\n0: done. 1: refused or failed. 2: wrong usage.\n.SH SEE ALSO\nmuster.conf(5)\n", out);
}

int mu_cli_usage(const char *words)
{
    for (size_t i = 0; i < MU_COUNT(commands); i++)
        if (mu_same(commands[i].words, words))
            fprintf(stderr, "%s muster %s %s\n", chinese() ? "用法：" : "usage:", words, commands[i].arguments);
    return MU_CLI_USAGE;
}

bool mu_cli_flag(mu_cli *cli, const char *word)
{
    for (int i = 0; i < cli->argc; i++) {
        if (!mu_same(cli->argv[i], word))
            continue;
        memmove(&cli->argv[i], &cli->argv[i + 1], (size_t)(cli->argc - i - 1) * sizeof *cli->argv);
        cli->argc--;
        return true;
    }
    return false;
}

const char *mu_cli_option(mu_cli *cli, const char *option)
{
    for (int i = 0; i + 1 < cli->argc; i++) {
        if (!mu_same(cli->argv[i], option))
            continue;
        const char *value = cli->argv[i + 1];
        memmove(&cli->argv[i], &cli->argv[i + 2], (size_t)(cli->argc - i - 2) * sizeof *cli->argv);
        cli->argc -= 2;
        return value;
    }
    return NULL;
}

const char *mu_cli_language(void)
{
    return chinese() ? "zh" : "en";
}

void mu_cli_words(FILE *out, const char *key, const char *(*value)(const void *closure, const char *name), const void *closure)
{
    const char *text = key != NULL ? mu_word(mu_cli_language(), key) : NULL;

    if (text == NULL)
        text = key != NULL ? key : "";
    while (*text != '\0') {
        const char *end = *text == '{' ? strchr(text, '}') : NULL;
        char name[64];
        if (end == NULL || (size_t)(end - text) >= sizeof name) {
            fputc(*text++, out);
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(end - text - 1), text + 1);
        const char *found = value(closure, name);
        fputs(found != NULL ? found : "", out);
        text = end + 1;
    }
}

static const char *fault_arg(const void *closure, const char *name)
{
    const mu_fault *fault = closure;

    for (size_t i = 0; fault->args != NULL && fault->args[i] != NULL; i += 2)
        if (mu_same(fault->args[i], name))
            return fault->args[i + 1];
    return NULL;
}

int mu_cli_report(mu_cli *cli, mu_err err)
{
    const mu_problem *problem = &cli->problem;

    if (err == MU_OK)
        return MU_CLI_OK;
    if (problem->detail != NULL)
        fprintf(stderr, "muster: %s\n", problem->detail);
    for (const mu_fault *fault = problem->detail == NULL ? problem->first : NULL; fault != NULL; fault = fault->next) {
        fprintf(stderr, "muster: %s%s", fault->pointer, fault->pointer[0] != '\0' ? " " : "");
        mu_cli_words(stderr, fault->key != NULL ? fault->key : mu_err_code(err), fault_arg, fault);
        fputc('\n', stderr);
    }
    if (problem->detail == NULL && problem->first == NULL)
        fprintf(stderr, "muster: %s\n", mu_err_code(err));
    return MU_CLI_FAILED;
}

/* ---- where things are ---- */

mu_err mu_cli_data(mu_cli *cli)
{
    char full[PATH_MAX];
    const char *wanted = mu_conf_text(MU_CONF_DATA_DIR), *state = getenv("STATE_DIRECTORY");

    if (wanted[0] == '\0')
        wanted = state != NULL && state[0] == '/' ? state : access("/var/lib/muster", W_OK) == 0 ? "/var/lib/muster" : ".data";
    if (mkdir(wanted, 0700) != 0 && errno != EEXIST)
        return mu_failf(&cli->problem, MU_INVALID, "data directory %s: %s", wanted, strerror(errno));
    if (realpath(wanted, full) == NULL || strlen(full) >= sizeof cli->data_dir)
        return mu_failf(&cli->problem, MU_INVALID, "data directory %s: %s", wanted, strerror(errno));
    snprintf(cli->data_dir, sizeof cli->data_dir, "%.*s", (int)sizeof cli->data_dir - 1, full);
    mu_conf_set(MU_CONF_DATA_DIR, cli->data_dir, "command line");
    return MU_OK;
}

mu_err mu_cli_locate(mu_cli *cli)
{
    const char *url = mu_conf_text(MU_CONF_DATABASE_URL), *direct = mu_conf_text(MU_CONF_DATABASE_DIRECT);

    if (url[0] == '\0') {
        TRY(mu_cli_data(cli));
        TRY(mu_cluster_locate(cli->data_dir, &cli->cluster, &cli->problem));
        cli->embedded = true;
        url = cli->cluster.url;
    }
    cli->url = mu_strdup(cli->arena, url);
    cli->direct_url = direct[0] != '\0' && !cli->embedded ? mu_strdup(cli->arena, direct) : cli->url;
    return MU_OK;
}

mu_err mu_cli_database(mu_cli *cli)
{
    TRY(mu_cli_locate(cli));
    return cli->embedded ? mu_cluster_start(&cli->cluster, &cli->cluster_ours, &cli->problem) : MU_OK;
}

void mu_cli_end(mu_cli *cli)
{
    if (cli->cluster_ours && mu_cluster_stop(&cli->cluster, &cli->problem) != MU_OK)
        (void)mu_cli_report(cli, MU_INTERNAL);
    cli->cluster_ours = false;
}

/* ---- the process ---- */

static void raise_limit(int resource, rlim_t most)
{
    struct rlimit limit;

    if (getrlimit(resource, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > most ? most : limit.rlim_max;
    (void)setrlimit(resource, &limit);
}

bool mu_cli_prepare(void)
{
    const struct rlimit none = { 0, 0 };

    umask(077);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        mu_log(MU_LOG_WARN, "start.limits", "error=%s", strerror(errno));
    raise_limit(RLIMIT_NOFILE, 65536);
    signal(SIGPIPE, SIG_IGN);
    json_object_seed(0);
    if (setlocale(LC_ALL, "C.UTF-8") == NULL || !mu_crypto_start() || !mu_fetch_start_library()) {
        fprintf(stderr, "muster: a library does not start\n");
        return false;
    }
    if (!mu_time_zone(mu_conf_text(MU_CONF_SITE_TIME_ZONE))) {
        fprintf(stderr, "muster: site.time_zone: no such time zone: %s\n", mu_conf_text(MU_CONF_SITE_TIME_ZONE));
        return false;
    }
    return true;
}

static mu_log_level level_of(const char *word)
{
    return mu_same(word, "error") ? MU_LOG_ERROR : mu_same(word, "warn") ? MU_LOG_WARN : mu_same(word, "debug") ? MU_LOG_DEBUG : MU_LOG_INFO;
}

/* How many of the first words are the command; 0 when they are not. */
static int matches(const char *words, int argc, char **argv)
{
    int n = 0;

    for (const char *at = words; *at != '\0'; n++) {
        const size_t length = strcspn(at, " ");
        if (n >= argc || strlen(argv[n]) != length || strncmp(argv[n], at, length) != 0)
            return 0;
        at += length;
        at += *at == ' ';
    }
    return n;
}

/* --config FILE or --config=FILE, taken out of argv. */
static const char *take_config(int *argc, char **argv)
{
    for (int i = 1; i < *argc; i++) {
        int taken = 1;
        const char *file = NULL;
        if (mu_starts(argv[i], "--config=")) {
            file = argv[i] + strlen("--config=");
        } else if (mu_same(argv[i], "--config") && i + 1 < *argc) {
            file = argv[i + 1];
            taken = 2;
        } else {
            continue;
        }
        memmove(&argv[i], &argv[i + taken], (size_t)(*argc - i - taken + 1) * sizeof *argv);
        *argc -= taken;
        return file;
    }
    return NULL;
}

static int run_command(int argc, char **argv, mu_cli *cli)
{
    const char *file = take_config(&argc, argv);
    size_t best = MU_COUNT(commands);
    int words = 0;

    if (mu_conf_load(&cli->problem, file, &argc, argv) != MU_OK)
        return mu_cli_report(cli, MU_INVALID);
    for (size_t i = 0; i < MU_COUNT(commands); i++) {
        const int n = matches(commands[i].words, argc - 1, argv + 1);
        if (n > words) {
            words = n;
            best = i;
        }
    }
    if (best == MU_COUNT(commands)) {
        print_commands(argc > 1 && (mu_same(argv[1], "--help") || mu_same(argv[1], "-h")) ? stdout : stderr);
        return argc > 1 && (mu_same(argv[1], "--help") || mu_same(argv[1], "-h")) ? MU_CLI_OK : MU_CLI_USAGE;
    }
    cli->argc = argc - 1 - words;
    cli->argv = argv + 1 + words;
    if (mu_cli_flag(cli, "--help") || mu_cli_flag(cli, "-h")) {
        (void)mu_cli_usage(commands[best].words);
        return MU_CLI_OK;
    }
    mu_log_setup(mu_conf_text(MU_CONF_LOG_FORMAT), level_of(mu_conf_text(MU_CONF_LOG_LEVEL)), argv[1]);
    if (!mu_cli_prepare())
        return MU_CLI_FAILED;
    return commands[best].run(cli);
}

int main(int argc, char **argv)
{
    mu_cli cli = { .all_argc = argc };
    sigset_t set;

    /* Children for one piece of work each: they take everything from standard input. */
    if (argc > 1 && mu_same(argv[1], "mail-child"))
        return mu_mail_child();
    if (argc > 1 && mu_same(argv[1], "document-child"))
        return mu_document_child(argc - 1, argv + 1);

    /* Before any library makes a thread; the loops read these from a descriptor. */
    if (argc > 1 && (mu_same(argv[1], "serve") || mu_same(argv[1], "work"))) {
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGCHLD);
        sigprocmask(SIG_BLOCK, &set, NULL);
    }
    cli.all_argv = calloc((size_t)argc + 1, sizeof *cli.all_argv);
    cli.arena = mu_arena_new(256u << 20);
    if (cli.all_argv == NULL)
        return MU_CLI_FAILED;
    memcpy(cli.all_argv, argv, (size_t)argc * sizeof *argv);
    cli.problem.arena = cli.arena;
    const int status = run_command(argc, argv, &cli);
    mu_cli_end(&cli);
    mu_arena_free(cli.arena);
    free(cli.all_argv);
    return status;
}
