/* muster check …, report check, routes, manual, version: nothing here changes anything. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include "cli.h"
#include "conf.h"
#include "http.h"
#include "json.h"
#include "profile.h"
#include "str.h"
#include "version.h"
#include "work.h"

int mu_cmd_report_check(mu_cli *cli)
{
    int status = MU_CLI_OK;

    if (cli->argc == 0)
        return mu_cli_usage("report check");
    for (int i = 0; i < cli->argc; i++) {
        char *text;
        size_t n;
        json_t *profile;
        cli->problem = (mu_problem){ .arena = cli->arena };
        mu_err err = mu_cli_read(cli, cli->argv[i], &text, &n);
        if (err == MU_OK)
            err = mu_json_parse(cli->arena, text, n, &cli->problem, &profile);
        if (err == MU_OK)
            err = mu_profile_check(cli->arena, profile, &cli->problem);
        printf("%s: %s\n", cli->argv[i], mu_err_code(err));
        if (mu_cli_report(cli, err) != MU_CLI_OK)
            status = MU_CLI_FAILED;
    }
    return status;
}

static const char *number_named(const void *closure, const char *name)
{
    return mu_json_str(closure, name);
}

/* Settings that are good each for itself, but not together. */
static void warn_of_lease(mu_cli *cli)
{
    const char *given = mu_printf(cli->arena, "%lld", (long long)mu_conf_int(MU_CONF_WORK_LEASE)), *least = mu_printf(cli->arena, "%d", mu_work_lease_least());

    if (mu_conf_int(MU_CONF_WORK_LEASE) >= mu_work_lease_least())
        return;
    mu_cli_words(stderr, "config.lease_short", number_named, mu_json_own(cli->arena, json_pack("{s:s,s:s}", "given", given, "least", least)));
    fputc('\n', stderr);
}

int mu_cmd_check_config(mu_cli *cli)
{
    if (cli->argc > 0)
        return mu_cli_usage("check config");
    mu_conf_print(stdout);
    warn_of_lease(cli);
    return MU_CLI_OK;
}

static const char *method_word(mu_method method)
{
    switch (method) {
    case MU_GET:    return "GET";
    case MU_POST:   return "POST";
    case MU_PUT:    return "PUT";
    case MU_PATCH:  return "PATCH";
    case MU_DELETE: return "DELETE";
    }
    return "";
}

static json_t *flag_words(unsigned flags)
{
    static const struct { unsigned flag; const char *word; } words[] = {
        { MU_R_PAGE_ONLY, "PAGE_ONLY" }, { MU_R_JSON_ONLY, "JSON_ONLY" }, { MU_R_IDEMPOTENT, "IDEMPOTENT" }, { MU_R_IF_MATCH, "IF_MATCH" },
        { MU_R_MULTIPART, "MULTIPART" }, { MU_R_ROOT, "ROOT" }, { MU_R_HINT, "HINT" }, { MU_R_DOWNLOAD, "DOWNLOAD" },
        { MU_R_NO_STORE, "NO_STORE" }, { MU_R_PASSWORD_OK, "PASSWORD_OK" },
    };
    json_t *out = json_array();

    for (size_t i = 0; i < MU_COUNT(words); i++)
        if ((flags & words[i].flag) != 0)
            json_array_append_new(out, json_string(words[i].word));
    return out;
}

/* The table that the server runs by, for whoever reviews who may do what, and for tests that go through all of it. */
int mu_cmd_routes(mu_cli *cli)
{
    const bool json = mu_cli_flag(cli, "--json");

    if (cli->argc > 0)
        return mu_cli_usage("routes");
    for (size_t i = 0; i < mu_routes_count; i++) {
        const mu_route *route = &mu_routes[i];
        json_t *row = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:o}", "name", route->name, "method", method_word(route->method), "path", route->path,
                                "role", mu_role_word(route->role), "page", route->page, "body", route->body != NULL, "flags", flag_words(route->flags));
        char *line = json ? json_dumps(row, 0) : NULL;
        if (json)
            printf("%s%s%s\n", i == 0 ? "[" : "", line != NULL ? line : "null", i + 1 < mu_routes_count ? "," : "]");
        else
            printf("%-6s %-64s %-10s %s\n", method_word(route->method), route->path, mu_role_word(route->role), route->name);
        free(line);
        json_decref(row);
    }
    return MU_CLI_OK;
}

int mu_cmd_manual(mu_cli *cli)
{
    const bool example = mu_cli_flag(cli, "--example"), commands = mu_cli_flag(cli, "--commands");

    if (cli->argc > 0)
        return mu_cli_usage("manual");
    if (commands)
        mu_cli_manual(stdout);
    else if (example)
        mu_conf_example(stdout);
    else
        mu_conf_manual(stdout);
    return MU_CLI_OK;
}

int mu_cmd_version(mu_cli *cli)
{
    (void)cli;
    printf("muster %s\n", mu_version);
    return MU_CLI_OK;
}
