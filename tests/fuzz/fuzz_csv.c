#include "csv.h"
#include "fuzz.h"

FUZZ_TARGET(csv)
{
    mu_arena *arena = mu_arena_new(FUZZ_ARENA);
    mu_problem problem = { .arena = arena };
    json_t *columns, *rows;
    if (mu_csv_parse(arena, (const char *)data, n, &problem, &columns, &rows) == MU_OK) {
        for (size_t i = 0; i < json_array_size(rows); i++)
            HOLDS(json_object_size(json_array_get(rows, i)) <= json_array_size(columns) + 1);
    } else {
        HOLDS(problem.count > 0);
    }
    mu_buf cell = MU_BUF(SIZE_MAX / 2);
    HOLDS(mu_csv_cell(&cell, mu_strndup(arena, (const char *)data, n)));
    HOLDS(cell.at == NULL || strchr("=+-@\t\r", cell.at[0]) == NULL || cell.at[0] == '\0');
    mu_buf_free(&cell);
    mu_arena_free(arena);
    return 0;
}
