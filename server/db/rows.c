/* Reading results. */
#include "db.h"

#include <string.h>
#include "connect.h"

int mu_rows_count(const mu_rows *rows)
{
    return rows != NULL && rows->result != NULL ? PQntuples(rows->result) : 0;
}

int mu_rows_column(const mu_rows *rows, const char *name)
{
    /* Not PQfnumber(): it folds case and takes quotes. */
    const int n = rows != NULL && rows->result != NULL ? PQnfields(rows->result) : 0;

    for (int i = 0; i < n; i++)
        if (strcmp(PQfname(rows->result, i), name) == 0)
            return i;
    return -1;
}

const char *mu_cell(const mu_rows *rows, int row, int column)
{
    if (row < 0 || row >= mu_rows_count(rows) || column < 0 || column >= PQnfields(rows->result) || PQgetisnull(rows->result, row, column))
        return NULL;
    return PQgetvalue(rows->result, row, column);
}

size_t mu_cell_size(const mu_rows *rows, int row, int column)
{
    return mu_cell(rows, row, column) != NULL ? (size_t)PQgetlength(rows->result, row, column) : 0;
}

const char *mu_col(const mu_rows *rows, const char *name)
{
    return mu_cell(rows, 0, mu_rows_column(rows, name));
}
