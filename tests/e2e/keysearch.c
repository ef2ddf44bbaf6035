/* keysearch STATE SEAL_KEY_FILE PID: looks for every private CA key of a state folder in the memory of a process.
 * Prints "<keys> <keys found>". A key counts as found when its secret number (the EC scalar, or an RSA prime), big- or
 * little-endian, or its PKCS#8 DER stands in any readable mapping. */
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ca/ca.h"
#include "hsm/seal.h"

enum { KEYS_MAX = 64, PATTERNS_MAX = 3 };

struct needle {
    struct bytes patterns[PATTERNS_MAX];
    bool found;
};

struct search {
    struct seal seal;
    struct needle needles[KEYS_MAX];
    size_t count;
};

static void stop(const struct fault *f)
{
    char line[1024];
    fault_line(f, line, sizeof line);
    fprintf(stderr, "keysearch: %s\n", line);
    exit(1);
}

/* The secret number of a key. */
static BIGNUM *key_number(EVP_PKEY *key)
{
    BIGNUM *number = NULL;
    const char *name = EVP_PKEY_is_a(key, "RSA") ? OSSL_PKEY_PARAM_RSA_FACTOR1 : OSSL_PKEY_PARAM_PRIV_KEY;
    if (!EVP_PKEY_get_bn_param(key, name, &number))
        exit(1);
    return number;
}

static void needle_add(struct needle *needle, struct span pkcs8)
{
    const unsigned char *at = pkcs8.data;
    EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &at, (long)pkcs8.size);
    if (!key)
        exit(1);
    BIGNUM *number = key_number(key);
    size_t size = (size_t)BN_num_bytes(number);
    unsigned char *big = malloc(size), *little = malloc(size);
    if (!big || !little || BN_bn2bin(number, big) < 0 || BN_bn2lebinpad(number, little, (int)size) < 0)
        exit(1);
    bytes_append(&needle->patterns[0], big, size);
    bytes_append(&needle->patterns[1], little, size);
    bytes_append_span(&needle->patterns[2], pkcs8);
    free(big);
    free(little);
    BN_clear_free(number);
    EVP_PKEY_free(key);
}

static bool authority_row(void *context, struct span key, struct span value)
{
    (void)key;
    struct search *search = context;
    struct fault f = {0};
    AUTO(authority_record) record = {0};
    AUTO(secret) plain = {0};
    AUTO(grant) grant = {0};
    if (authority_record_unpack(value, &record, &f) != OK ||
        seal_unwrap(&search->seal, bytes_span(&record.blob), &plain, &f) != OK)
        stop(&f);
    struct unpack in = unpack_begin(span(plain.data, plain.size));
    unpack_u8(&in);
    if (grant_unpack(&in, &grant, &f) != OK || search->count == KEYS_MAX)
        stop(&f);
    needle_add(&search->needles[search->count++], unpack_span(&in));
    return true;
}

static void keys_load(struct search *search, const char *state, const char *seal_key)
{
    struct fault f = {0};
    struct store *store = NULL;
    struct seal_config config = {.source = SEAL_KEY_FILE};
    AUTO(bytes) from = {0};
    AUTO(bytes) to = {0};
    key_prefix('a', &from);
    key_prefix_end('a', &to);
    snprintf(config.path, sizeof config.path, "%s", seal_key);
    if (seal_open(&config, state, &search->seal, &f) != OK || ca_store_open(state, &store, &f) != OK ||
        store_scan(store, bytes_span(&from), bytes_span(&to), false, authority_row, search, &f) != OK)
        stop(&f);
    store_close(store);
}

static void chunk_search(struct search *search, const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < search->count; i++)
        for (size_t p = 0; p < PATTERNS_MAX; p++) {
            const struct bytes *pattern = &search->needles[i].patterns[p];
            if (memmem(data, size, pattern->data, pattern->size))
                search->needles[i].found = true;
        }
}

/* Piece by piece, with an overlap longer than any key. Ends where nothing can be read, which is behind the end of a
 * mapped file. */
static void mapping_search(struct search *search, int memory, unsigned long begin, unsigned long end)
{
    enum { CHUNK = 4 << 20, OVERLAP = 8192 };
    static unsigned char data[CHUNK];
    for (unsigned long at = begin; at < end; at += CHUNK - OVERLAP) {
        size_t size = end - at < CHUNK ? end - at : CHUNK;
        ssize_t got = pread(memory, data, size, (off_t)at);
        if (got <= 0)
            return;
        chunk_search(search, data, (size_t)got);
    }
}

static void process_search(struct search *search, const char *pid)
{
    char path[64], line[4096];
    snprintf(path, sizeof path, "/proc/%s/mem", pid);
    int memory = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/%s/maps", pid);
    FILE *maps = fopen(path, "re");
    if (memory < 0 || !maps)
        exit(1);
    while (fgets(line, sizeof line, maps)) {
        unsigned long begin, end;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &begin, &end, mode) == 3 && mode[0] == 'r')
            mapping_search(search, memory, begin, end);
    }
    fclose(maps);
    close(memory);
}

int main(int argc, char **argv)
{
    static struct search search;
    if (argc != 4)
        return 2;
    keys_load(&search, argv[1], argv[2]);
    process_search(&search, argv[3]);
    size_t found = 0;
    for (size_t i = 0; i < search.count; i++)
        found += search.needles[i].found;
    printf("%zu %zu\n", search.count, found);
    return 0;
}
