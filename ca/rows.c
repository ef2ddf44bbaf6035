#include "ca/rows.h"

struct reading {
    row_read *read;
    void *context;
    struct fault *f;
    enum err err;
};

static bool reading_row(void *context, struct span key, struct span row)
{
    (void)key;
    struct reading *reading = context;
    bool more = true;
    reading->err = reading->read(reading->context, row, &more, reading->f);
    return reading->err == OK && more;
}

enum err rows_each(struct store *store, const struct bytes *from, const struct bytes *to, row_read *read, void *context,
                   struct fault *f)
{
    struct reading reading = {read, context, f, OK};
    TRY(bytes_check(from, f));
    TRY(bytes_check(to, f));
    TRY(store_scan(store, bytes_span(from), bytes_span(to), false, reading_row, &reading, f));
    return reading.err;
}
