/* muster playbook rehearse: walks a playbook in simulated time and tells what would happen and what would be said. Nobody is told,
 * nothing is stored, no database is asked. */
#include <stdio.h>
#include <string.h>
#include "assets.h"
#include "cli.h"
#include "clock.h"
#include "json.h"
#include "playbook.h"
#include "rehearse.h"
#include "str.h"

/* The playbooks a walk may call: the files given, then those that come with the program. */
typedef struct { mu_cli *cli; const mu_playbook *given[64]; int count; } library;

static const mu_playbook *read_text(library *l, const char *name, const char *text, size_t n)
{
    mu_findings findings;
    mu_playbook *playbook = NULL;

    mu_findings_start(&findings, l->cli->arena);
    (void)mu_playbook_read(l->cli->arena, text, n, &findings, NULL, &playbook);
    if (playbook == NULL)
        fprintf(stderr, "muster: %s: muster playbook check %s\n", name, name);
    return playbook;
}

static const mu_playbook *find(void *closure, const char *slug, int64_t version)
{
    library *l = closure;
    static const char *const folders[] = { "blocks", "incident", "drill" };

    (void)version;   /* files have none */
    for (int i = 0; i < l->count; i++)
        if (mu_same(mu_playbook_id(l->given[i]), slug))
            return l->given[i];
    for (size_t i = 0; i < MU_COUNT(folders); i++) {
        const mu_asset *asset = mu_asset_find(mu_printf(l->cli->arena, "playbooks/%s/%s.yaml", folders[i], slug));
        if (asset != NULL)
            return read_text(l, asset->path, asset->raw, asset->raw_n);
    }
    return NULL;
}

/* ---- what is said ---- */

static const char *member(const void *closure, const char *name)
{
    const json_t *value = mu_json_at(closure, name);

    if (json_is_object(value))
        value = json_object_get(value, mu_cli_language()) != NULL ? json_object_get(value, mu_cli_language()) : json_object_get(value, "zh") != NULL ? json_object_get(value, "zh") : json_object_get(value, "en");
    return json_string_value(value);
}

static void say(const char *key, const json_t *values)
{
    mu_cli_words(stdout, key, member, values);
    putchar('\n');
}

static void say_after(const json_t *line)
{
    const long long seconds = mu_json_int(line, "after", 0);

    printf("%3lld:%02lld:%02lld  %*s", seconds / 3600, seconds / 60 % 60, seconds % 60, (int)mu_json_int(line, "depth", 0) * 2, "");
}

static void say_walk(mu_cli *cli, const json_t *told)
{
    const json_t *line;
    size_t i;

    json_array_foreach(json_object_get(told, "walk"), i, line) {
        const char *title = member(line, "title"), *value = json_is_object(json_object_get(line, "value")) ? member(json_object_get(line, "value"), mu_cli_language())
            : json_object_get(line, "value") != NULL && !json_is_null(json_object_get(line, "value")) ? mu_json_text(cli->arena, json_object_get(line, "value")) : NULL;
        say_after(line);
        printf("%s: ", title != NULL ? title : mu_json_str(line, "path"));
        mu_cli_words(stdout, mu_printf(cli->arena, "rehearsal.what.%s", mu_json_str(line, "what")), member, line);
        if (value != NULL)
            printf(" %s", value);
        if (member(line, "who.name") != NULL)
            printf(" (%s)", member(line, "who.name"));
        putchar('\n');
    }
}

static void say_messages(const json_t *told)
{
    const json_t *line;
    size_t i;

    json_array_foreach(json_object_get(told, "messages"), i, line) {
        say_after(line);
        printf("%s %s: %s", mu_json_str(line, "kind"), mu_json_str(line, "path"), member(line, "title") != NULL ? member(line, "title") : "");
        printf("%s%s\n", member(line, "text") != NULL ? " / " : "", member(line, "text") != NULL ? member(line, "text") : "");
    }
}

static void say_list(const json_t *told, const char *list, const char *key)
{
    const json_t *one;
    size_t i;

    json_array_foreach(json_object_get(told, list), i, one)
        say(key, one);
}

static void say_all(mu_cli *cli, const json_t *told)
{
    json_t *rto = json_object_get(told, "rto"), *times = mu_json_own(cli->arena, json_object());
    static const char *const names[] = { "target", "took", "longest" };

    say("rehearsal.walk", told);
    say_walk(cli, told);
    say("rehearsal.messages", told);
    say_messages(told);
    for (size_t i = 0; i < MU_COUNT(names); i++)
        json_object_set_new(times, names[i], json_string(json_object_get(rto, names[i]) == NULL ? "–" : mu_duration_format(cli->arena, mu_json_int(rto, names[i], 0))));
    if (mu_json_bool(rto, "has_target", false))
        say("rehearsal.rto", times);
    if (mu_json_bool(rto, "over", false) || mu_json_bool(rto, "longest_over", false))
        say("rehearsal.rto.over", times);
    say_list(told, "missing", "rehearsal.missing");
    say_list(told, "problems", "rehearsal.problem");
    say(mu_json_bool(told, "cut", false) ? "rehearsal.cut" : "rehearsal.end", told);
}

/* "confirm.users=5", "classify=II", "restore/mitigate.when=late". */
static bool take_choices(mu_cli *cli, json_t *choices)
{
    const char *word;

    while ((word = mu_cli_option(cli, "--choose")) != NULL) {
        const char *equal = strchr(word, '=');
        if (equal == NULL || equal == word)
            return false;
        json_object_set_new(choices, mu_strndup(cli->arena, word, (size_t)(equal - word)), json_string(equal + 1));
    }
    return true;
}

int mu_cmd_playbook_rehearse(mu_cli *cli)
{
    library l = { .cli = cli };
    json_t *choices = mu_json_own(cli->arena, json_object()), *told;
    const char *seed = mu_cli_option(cli, "--seed"), *severity = mu_cli_option(cli, "--severity");
    const bool json = mu_cli_flag(cli, "--json");
    int64_t number = 0;
    mu_rehearsal how = { .choices = choices, .severity = severity, .find = find, .closure = &l };

    if (!take_choices(cli, choices) || cli->argc == 0 || cli->argc > (int)MU_COUNT(l.given) || (seed != NULL && !mu_parse_int(seed, 0, INT64_MAX, &number)))
        return mu_cli_usage("playbook rehearse");
    how.seed = (uint64_t)number;
    for (int i = 0; i < cli->argc; i++) {
        char *text;
        size_t n;
        const mu_err err = mu_cli_read(cli, cli->argv[i], &text, &n);
        if (err != MU_OK)
            return mu_cli_report(cli, err);
        if ((l.given[l.count++] = read_text(&l, cli->argv[i], text, n)) == NULL)
            return MU_CLI_FAILED;
    }
    const mu_err err = mu_rehearse(cli->arena, l.given[0], &how, &told);
    if (json)
        printf("%s\n", mu_json_text(cli->arena, told));
    else if (err == MU_OK)
        say_all(cli, told);
    else
        say(mu_json_str(told, "refused"), told);
    return err == MU_OK && mu_same(mu_json_str(told, "status"), "succeeded") && json_array_size(json_object_get(told, "problems")) == 0 ? MU_CLI_OK : MU_CLI_FAILED;
}
