#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf.h"
#include "test_help.h"

static char folder[64];

static const char *file_of(mu_arena *arena, const char *name, const char *text)
{
    char *path = mu_printf(arena, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    return path;
}

static mu_err load(mu_arena *arena, mu_problem *problem, const char *text)
{
    *problem = (mu_problem){ .arena = arena };
    return mu_conf_load(problem, file_of(arena, "muster.conf", text), NULL, NULL);
}

static int make_folder(void **state)
{
    unsetenv("MUSTER_CONF");
    snprintf(folder, sizeof folder, "/tmp/muster-conf-XXXXXX");
    return mkdtemp(folder) == NULL || setup_arena(state) != 0;
}

static int drop_folder(void **state)
{
    mu_arena *arena = *state;
    static const char *const names[] = { "muster.conf", "secret", "conf.d/10.conf", "conf.d/20.conf", "out" };
    for (size_t i = 0; i < MU_COUNT(names); i++)
        unlink(mu_printf(arena, "%s/%s", folder, names[i]));
    rmdir(mu_printf(arena, "%s/conf.d", folder));
    rmdir(folder);
    return teardown_arena(state);
}

#define CONF_TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, drop_folder)

static void a_file_is_read(void **state)
{
    mu_problem problem;
    assert_int_equal(load(*state, &problem, "# comment\n\n[http]\n port = 9000 \nbody = 2M\ndeadline=PT1M\n[hooks]\nhttp = on\n[log]\nlevel = debug\n"
                          "[smtp]\npassword = a = b # c\n"), MU_OK);
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_PORT), 9000);
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_BODY), 2 * 1024 * 1024);
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_DEADLINE), 60);
    assert_true(mu_conf_bool(MU_CONF_HOOKS_HTTP));
    assert_string_equal(mu_conf_text(MU_CONF_LOG_LEVEL), "debug");
    assert_string_equal(mu_conf_text(MU_CONF_SMTP_PASSWORD), "a = b # c");
    assert_string_equal(mu_conf_text(MU_CONF_HTTP_ADDRESS), "127.0.0.1");
}

static void later_places_win(void **state)
{
    mu_arena *arena = *state;
    mkdir(mu_printf(arena, "%s/conf.d", folder), 0700);
    file_of(arena, "conf.d/10.conf", "[http]\nport = 2\nqueue = 2\nthreads = 2\n");
    file_of(arena, "conf.d/20.conf", "[http]\nqueue = 3\nthreads = 3\n");
    const char *conf = file_of(arena, "muster.conf", "[http]\nport = 1\nqueue = 1\nthreads = 1\nconnections = 100\n");
    setenv("MUSTER_HTTP_THREADS", "4", 1);
    char *argv[] = { (char[]){ "muster" }, (char[]){ "serve" }, (char[]){ "--http.body=4096" }, (char[]){ "--help" },
                     (char[]){ "--http.address" }, (char[]){ "::1" }, (char[]){ "--" }, (char[]){ "--http.port=7" }, NULL };
    int argc = 8;
    mu_problem problem = { .arena = arena };
    assert_int_equal(mu_conf_load(&problem, conf, &argc, argv), MU_OK);
    unsetenv("MUSTER_HTTP_THREADS");
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_CONNECTIONS), 100);
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_PORT), 2);
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_QUEUE), 3);
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_THREADS), 4);
    assert_int_equal(mu_conf_int(MU_CONF_HTTP_BODY), 4096);
    assert_string_equal(mu_conf_text(MU_CONF_HTTP_ADDRESS), "::1");
    assert_int_equal(argc, 5);
    assert_string_equal(argv[1], "serve");
    assert_string_equal(argv[2], "--help");
    assert_string_equal(argv[3], "--");
    assert_string_equal(argv[4], "--http.port=7");
}

static void secrets_come_from_files_and_are_masked(void **state)
{
    mu_arena *arena = *state;
    mu_problem problem;
    const char *secret = file_of(arena, "secret", "hush-hush\n");
    assert_int_equal(load(arena, &problem, mu_printf(arena, "[smtp]\npassword_file = %s\nuser = u\n", secret)), MU_OK);
    assert_string_equal(mu_conf_text(MU_CONF_SMTP_PASSWORD), "hush-hush");
    setenv("MUSTER_METRICS_TOKEN_FILE", secret, 1);
    assert_int_equal(load(arena, &problem, ""), MU_OK);
    unsetenv("MUSTER_METRICS_TOKEN_FILE");
    assert_string_equal(mu_conf_text(MU_CONF_METRICS_TOKEN), "hush-hush");

    char *path = mu_printf(arena, "%s/out", folder), text[20000] = "";
    FILE *out = fopen(path, "w+");
    mu_conf_print(out);
    rewind(out);
    text[fread(text, 1, sizeof text - 1, out)] = '\0';
    fclose(out);
    assert_null(strstr(text, "hush"));
    assert_non_null(strstr(text, "token = ***    # MUSTER_METRICS_TOKEN_FILE ("));
    assert_non_null(strstr(text, "port = 8080    # default"));

    assert_int_equal(load(arena, &problem, "[smtp]\npassword_file = /nowhere/at/all\n"), MU_INVALID);
    assert_non_null(find_fault(&problem, "", "error.conf.file"));
    assert_int_equal(load(arena, &problem, "[smtp]\nuser_file = x\n"), MU_INVALID); /* only secrets */
}

static void mistakes_name_the_place_and_the_nearest_option(void **state)
{
    mu_arena *arena = *state;
    mu_problem problem;
    assert_int_equal(load(arena, &problem, "[http]\n\nprot = 1\nport = 70000\nbody = lots\n[log]\nformat = xml\nnonsense\n[x\n"), MU_INVALID);
    assert_int_equal(problem.count, 6);
    assert_string_equal(fault_arg(problem.first, "nearest"), "http.port");
    assert_string_equal(fault_arg(problem.first, "origin"), mu_printf(arena, "%s/muster.conf:3", folder));
    assert_string_equal(fault_arg(find_fault(&problem, "", "error.conf.value"), "wanted"), "a whole number from 0 to 65535");
    assert_non_null(strstr(problem.detail, "prot"));

    char *argv[] = { (char[]){ "muster" }, (char[]){ "--htp.port=1" }, NULL };
    int argc = 2;
    problem = (mu_problem){ .arena = arena };
    assert_int_equal(mu_conf_load(&problem, NULL, &argc, argv), MU_INVALID);
    assert_string_equal(fault_arg(problem.first, "nearest"), "http.port");
    problem = (mu_problem){ .arena = arena };
    assert_int_equal(mu_conf_load(&problem, "/nowhere/muster.conf", NULL, NULL), MU_INVALID);
    assert_int_equal(load(arena, &problem, "[smtp]\npassword = a\x07\n"), MU_INVALID);
    assert_string_equal(fault_arg(problem.first, "value"), "***");
    setenv("MUSTER_SMTP_PORT", "x", 1);
    assert_int_equal(load(arena, &problem, ""), MU_INVALID);
    unsetenv("MUSTER_SMTP_PORT");
}

/* The example names every option, and reads back as nothing but defaults. */
static void the_example_is_a_good_file(void **state)
{
    mu_arena *arena = *state;
    char *path = mu_printf(arena, "%s/muster.conf", folder);
    FILE *out = fopen(path, "w");
    mu_conf_example(out);
    fclose(out);
    mu_problem problem = { .arena = arena };
    assert_int_equal(mu_conf_load(&problem, path, NULL, NULL), MU_OK);
    char text[40000] = "";
    out = fopen(path, "r");
    text[fread(text, 1, sizeof text - 1, out)] = '\0';
    fclose(out);
    for (char *c = text; (c = strchr(c, '#')) != NULL; c++) /* each option enabled with its default must be good too */
        if (c[1] != ' ')
            *c = ' ';
    file_of(arena, "muster.conf", text);
    problem = (mu_problem){ .arena = arena };
    mu_err err = mu_conf_load(&problem, path, NULL, NULL);
    if (err != MU_OK)
        print_message("%s\n", problem.detail);
    assert_int_equal(err, MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CONF_TEST(a_file_is_read),
        CONF_TEST(later_places_win),
        CONF_TEST(secrets_come_from_files_and_are_masked),
        CONF_TEST(mistakes_name_the_place_and_the_nearest_option),
        CONF_TEST(the_example_is_a_good_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
