#include "ca/meta.h"

#include "ca/record.h"

enum err meta_get(struct store *store, const char *name, struct bytes *ret_row, struct fault *f)
{
    AUTO(bytes) key = {0};
    key_meta(name, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(store, bytes_span(&key), ret_row, NULL, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    *ret_row = (struct bytes){0};
    return OK;
}
