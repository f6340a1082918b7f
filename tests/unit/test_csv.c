#include "csv.h"
#include "json.h"
#include "test_help.h"

static void reads(mu_arena *arena, const char *text, const char *want)
{
    mu_problem problem = { .arena = arena };
    json_t *columns, *rows = NULL;
    mu_err err = mu_csv_parse(arena, text, strlen(text), &problem, &columns, &rows);
    if (err != MU_OK)
        print_message("%s: %s\n", text, problem.first->key);
    assert_int_equal(err, MU_OK);
    assert_string_equal(mu_json_text(arena, rows), want);
}

static void tables_are_read(void **state)
{
    mu_arena *arena = *state;
    reads(arena, "a,b\n1,2\n3,\n", "[{\"_line\":2,\"a\":\"1\",\"b\":\"2\"},{\"_line\":3,\"a\":\"3\"}]");
    reads(arena, "\xEF\xBB\xBF a ;b\r\n1;\"x;\"\"y\"\"\r\nz\"\r\n\r\n5;6", "[{\"_line\":2,\"a\":\"1\",\"b\":\"x;\\\"y\\\"\\r\\nz\"},{\"_line\":5,\"a\":\"5\",\"b\":\"6\"}]");
    reads(arena, "名\tb\n演\t2", "[{\"_line\":2,\"名\":\"演\",\"b\":\"2\"}]");
    reads(arena, "a\n", "[]");
    reads(arena, "\"a,b\";c\n1;2", "[{\"_line\":2,\"a,b\":\"1\",\"c\":\"2\"}]");
}

static void bad_tables_name_the_line(void **state)
{
    static const struct { const char *text, *key, *line; } bad[] = {
        { "", "error.csv.empty", "1" }, { "a,b\n1,2\n3\n", "error.csv.width", "3" }, { "a,b\n1,2,3\n", "error.csv.width", "2" },
        { "a,a\n1,2", "error.csv.doubled", "1" }, { "a,\n1,2", "error.csv.column", "1" }, { "a,_line\n1,2", "error.csv.column", "1" },
        { "a\n\"x\n", "error.csv.quote", "2" }, { "a\n\"x\"y\n", "error.csv.quote", "2" }, { "a\nx\"y\n", "error.csv.quote", "2" },
        { "a\n\xff\n", "error.csv.utf8", "1" },
    };
    for (size_t i = 0; i < MU_COUNT(bad); i++) {
        mu_problem problem = { .arena = *state };
        json_t *columns, *rows;
        assert_int_equal(mu_csv_parse(*state, bad[i].text, strlen(bad[i].text), &problem, &columns, &rows), MU_INVALID);
        const mu_fault *fault = find_fault(&problem, "", bad[i].key);
        assert_non_null(fault);
        assert_string_equal(fault_arg(fault, "line"), bad[i].line);
    }
    mu_problem problem = { .arena = *state };
    json_t *columns, *rows;
    assert_int_equal(mu_csv_parse(*state, "a,b\n1\n2\n3,3\n4\n", 14, &problem, &columns, &rows), MU_INVALID);
    assert_int_equal(problem.count, 3);
}

static void cells_are_safe_for_spreadsheets(void **state)
{
    (void)state;
    static const struct { const char *text, *want; } cells[] = {
        { "plain", "plain" }, { "", "" }, { "=1+1", "'=1+1" }, { "+x", "'+x" }, { "-x", "'-x" }, { "@x", "'@x" }, { "\tx", "\"'\tx\"" },
        { "\rx", "\"'\rx\"" }, { "a,b", "\"a,b\"" }, { "a\"b", "\"a\"\"b\"" }, { "=a,\"b", "\"'=a,\"\"b\"" }, { "a\nb", "\"a\nb\"" }, { "1-2", "1-2" },
    };
    for (size_t i = 0; i < MU_COUNT(cells); i++) {
        mu_buf out = MU_BUF(100);
        assert_true(mu_csv_cell(&out, cells[i].text));
        assert_string_equal(out.at != NULL ? out.at : "", cells[i].want);
        mu_buf_free(&out);
    }
}

/* What is written can be read again, but for the apostrophe before a formula. */
static void cells_go_there_and_back(void **state)
{
    mu_arena *arena = *state;
    uint64_t seed = 5;
    for (int round = 0; round < 1000; round++) {
        static const char letters[] = "ab,;\"\n\r\t x演=";
        char cell[24] = "x";
        size_t n = 1;
        for (uint64_t k = next_random(&seed) % 20; k > 0; k--) {
            char c = letters[next_random(&seed) % (sizeof letters - 1)];
            if ((unsigned char)c < 0x80)
                cell[n++] = c;
        }
        cell[n] = '\0';
        mu_buf out = MU_BUF(1000);
        mu_buf_adds(&out, "first,second\n");
        assert_true(mu_csv_cell(&out, cell) && mu_buf_adds(&out, ",") && mu_csv_cell(&out, cell));
        mu_problem problem = { .arena = arena };
        json_t *columns, *rows;
        assert_int_equal(mu_csv_parse(arena, out.at, out.n, &problem, &columns, &rows), MU_OK);
        assert_string_equal(mu_json_str(json_array_get(rows, 0), "second"), cell);
        mu_buf_free(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ARENA_TEST(tables_are_read),
        ARENA_TEST(bad_tables_name_the_line),
        cmocka_unit_test(cells_are_safe_for_spreadsheets),
        ARENA_TEST(cells_go_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
