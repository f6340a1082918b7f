/* The option table shown: as it stands, as a manual page, as an example file. */
#include <string.h>

#include "clock.h"
#include "conf_private.h"

char *mu_conf_range(mu_arena *arena, const mu_conf_row *row)
{
    switch (row->type) {
    case MU_CONF_TYPE_TEXT:
    case MU_CONF_TYPE_SECRET: return mu_strdup(arena, "one line of UTF-8 text");
    case MU_CONF_TYPE_BOOL:   return mu_strdup(arena, "on or off");
    case MU_CONF_TYPE_ENUM:   return mu_printf(arena, "one of: %s", row->values);
    case MU_CONF_TYPE_INT:
        return mu_printf(arena, "a whole number from %lld to %lld", (long long)row->low, (long long)row->high);
    case MU_CONF_TYPE_SIZE:
        return mu_printf(arena, "a size from %lld to %lld bytes (also 64K, 1M)", (long long)row->low, (long long)row->high);
    case MU_CONF_TYPE_DURATION:
        return mu_printf(arena, "a duration from %s to %s", mu_duration_format(arena, row->low), mu_duration_format(arena, row->high));
    }
    return mu_strdup(arena, "");
}

void mu_conf_print(FILE *out)
{
    const char *section = "";
    for (unsigned i = 0; i < MU_CONF_MAX; i++) {
        const mu_conf_row *row = &mu_conf_rows[i];
        const mu_conf_cell *cell = mu_conf_cell_of(i);
        const char *text = cell->text != NULL ? cell->text : row->fallback;
        if (strcmp(section, row->section) != 0)
            fprintf(out, "%s[%s]\n", i > 0 ? "\n" : "", row->section);
        section = row->section;
        fprintf(out, "%s = %s    # %s\n", row->name, row->type == MU_CONF_TYPE_SECRET && *text != '\0' ? "***" : text,
                cell->origin != NULL ? cell->origin : "default");
    }
}

/* A hyphen of an option is a minus sign to roff, and a line must not begin with a dot or a quote. */
static void roff(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text != '\0'; text++) {
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else
            fputc(*text, out);
    }
}

void mu_conf_manual(FILE *out)
{
    mu_arena *arena = mu_arena_new(0);
    const char *section = "";
    fputs(".TH MUSTER.CONF 5\n.SH NAME\nmuster.conf \\- options of muster\n.SH DESCRIPTION\n"
          "Later places win: defaults, the file, conf.d/*.conf beside it, the environment (MUSTER_SECTION_NAME), "
          "flags (\\-\\-section.name=value).\n"
          "A secret may be kept in a file of its own, named by NAME_file.\n", out);
    for (unsigned i = 0; i < MU_CONF_MAX; i++) {
        const mu_conf_row *row = &mu_conf_rows[i];
        if (strcmp(section, row->section) != 0)
            fprintf(out, ".SH [%s]\n", row->section);
        section = row->section;
        fprintf(out, ".TP\n.B %s\n", row->name);
        roff(out, row->english);
        fputs("\n.br\n", out);
        roff(out, row->chinese);
        fputs("\n.br\nValue: ", out);
        roff(out, mu_conf_range(arena, row));
        if (*row->fallback != '\0') {
            fputs("; default ", out);
            roff(out, row->fallback);
        }
        fputs(".\n", out);
    }
    mu_arena_free(arena);
}

void mu_conf_example(FILE *out)
{
    mu_arena *arena = mu_arena_new(0);
    const char *section = "";
    for (unsigned i = 0; i < MU_CONF_MAX; i++) {
        const mu_conf_row *row = &mu_conf_rows[i];
        if (strcmp(section, row->section) != 0)
            fprintf(out, "%s[%s]\n", i > 0 ? "\n" : "", row->section);
        section = row->section;
        fprintf(out, "# %s\n# %s\n# (%s)\n#%s =%s%s\n", row->chinese, row->english, mu_conf_range(arena, row), row->name,
                *row->fallback != '\0' ? " " : "", row->fallback);
    }
    mu_arena_free(arena);
}
