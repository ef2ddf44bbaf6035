#include "ca/log/merkle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/crypto.h>
#include <sodium.h>

#include "ca/base/encode.h"

enum { SIZES_MAX = 130, HASH_TEXT_SIZE = 2 * MERKLE_HASH_SIZE + 1 };

/* The tree of eight leaves that the implementations of RFC 6962 share as test vectors; root: of the leaves up to here.
 */
static const struct {
    const char *leaf;
    const char *root;
} vectors[] = {
    {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
    {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
    {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
    {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
    {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
    {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
    {"606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
};

static bool memory_exhausted; /* what OpenSSL is told */

static void *openssl_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return memory_exhausted ? NULL : malloc(size);
}

static void *openssl_realloc(void *data, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return memory_exhausted ? NULL : realloc(data, size);
}

static void openssl_free(void *data, const char *file, int line)
{
    (void)file, (void)line;
    free(data);
}

static void assert_root(const struct merkle_frontier *frontier, const char *expected)
{
    struct merkle_hash root;
    char text[HASH_TEXT_SIZE];
    merkle_root(frontier, &root);
    hex_text(SPAN_OF(root.data), text, sizeof text);
    assert_string_equal(text, expected);
}

static void vectors_append(void)
{
    struct merkle_frontier frontier = {0};
    assert_root(&frontier, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
        struct fault f = {0};
        uint8_t leaf[16];
        size_t size = strlen(vectors[i].leaf) / 2;
        struct merkle_hash hash;
        assert_int_equal(hex_decode(vectors[i].leaf, leaf, size, &f), OK);
        merkle_leaf_hash(span(leaf, size), &hash);
        merkle_append(&frontier, &hash);
        assert_root(&frontier, vectors[i].root);
    }
}

static void roots_are_those_of_the_vectors(void **state)
{
    (void)state;
    vectors_append();
}

static void roots_are_the_same_without_memory(void **state)
{
    (void)state;
    memory_exhausted = true;
    assert_null(OPENSSL_malloc(1)); /* control: OpenSSL does get none */
    vectors_append();
    memory_exhausted = false;
}

/* RFC 9162 §2.1.1 word by word, with the other library. */
static void reference_root(const struct span *leaves, size_t count, uint8_t ret_root[MERKLE_HASH_SIZE])
{
    AUTO(bytes) input = {0};
    uint8_t left[MERKLE_HASH_SIZE], right[MERKLE_HASH_SIZE];
    size_t half = 1;
    while (half * 2 < count)
        half *= 2;
    if (count == 1) {
        pack_u8(&input, 0);
        bytes_append_span(&input, leaves[0]);
    } else if (count > 1) {
        reference_root(leaves, half, left);
        reference_root(leaves + half, count - half, right);
        pack_u8(&input, 1);
        bytes_append(&input, left, sizeof left);
        bytes_append(&input, right, sizeof right);
    }
    crypto_hash_sha256(ret_root, input.data, input.size);
}

static void roots_are_those_of_the_definition(void **state)
{
    (void)state;
    struct merkle_frontier frontier = {0};
    uint8_t data[SIZES_MAX + 1];
    struct span leaves[SIZES_MAX + 1];
    for (size_t size = 0; size <= SIZES_MAX; size++) {
        uint8_t expected[MERKLE_HASH_SIZE];
        struct merkle_hash root;
        reference_root(leaves, size, expected);
        merkle_root(&frontier, &root);
        assert_int_equal(frontier.size, size);
        assert_memory_equal(root.data, expected, sizeof expected);

        struct merkle_hash hash;
        data[size] = (uint8_t)size;
        leaves[size] = span(data, size + 1); /* leaves of growing length */
        merkle_leaf_hash(leaves[size], &hash);
        merkle_append(&frontier, &hash);
    }
}

static void frontier_of(uint64_t size, struct merkle_frontier *ret_frontier)
{
    *ret_frontier = (struct merkle_frontier){0};
    for (uint64_t i = 0; i < size; i++) {
        struct merkle_hash hash;
        merkle_leaf_hash(SPAN_OF(&i), &hash);
        merkle_append(ret_frontier, &hash);
    }
}

static void frontiers_go_on_after_packing(void **state)
{
    (void)state;
    for (uint64_t size = 0; size <= SIZES_MAX; size++) {
        struct merkle_frontier frontier, again;
        struct merkle_hash leaf = {{42}}, root, root_again;
        AUTO(bytes) packed = {0};
        frontier_of(size, &frontier);
        merkle_frontier_pack(&frontier, &packed);
        memset(&again, 0xaa, sizeof again);
        struct unpack in = unpack_begin(bytes_span(&packed));
        struct fault f = {0};
        merkle_frontier_unpack(&in, &again);
        assert_int_equal(unpack_finish(&in, "the frontier", &f), OK);

        merkle_append(&frontier, &leaf);
        merkle_append(&again, &leaf);
        merkle_root(&frontier, &root);
        merkle_root(&again, &root_again);
        assert_memory_equal(root.data, root_again.data, MERKLE_HASH_SIZE);
    }
}

static void cut_frontiers_are_refused(void **state)
{
    (void)state;
    struct merkle_frontier frontier, untouched = {.size = 99}, result = untouched;
    AUTO(bytes) packed = {0};
    frontier_of(7, &frontier);
    merkle_frontier_pack(&frontier, &packed);
    assert_int_equal(packed.size, 8 + 3 * MERKLE_HASH_SIZE);
    for (size_t size = 0; size < packed.size; size++) {
        struct unpack in = unpack_begin(span(packed.data, size));
        merkle_frontier_unpack(&in, &result);
        assert_true(in.failed);
        assert_memory_equal(&result, &untouched, sizeof result);
    }
}

static void the_largest_size_is_the_limit(void **state)
{
    (void)state;
    static const struct {
        uint64_t size;
        bool good;
    } rows[] = {{INT64_MAX, true}, {(uint64_t)1 << 63, false}, {UINT64_MAX, false}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        static const uint8_t hashes[64 * MERKLE_HASH_SIZE];
        AUTO(bytes) packed = {0};
        struct merkle_frontier frontier;
        pack_u64(&packed, rows[i].size);
        bytes_append_span(&packed, SPAN_OF(hashes));
        struct unpack in = unpack_begin(bytes_span(&packed));
        merkle_frontier_unpack(&in, &frontier);
        assert_int_equal(!in.failed, rows[i].good);
    }
}

int main(void)
{
    if (!CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free))
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_are_those_of_the_vectors),    cmocka_unit_test(roots_are_the_same_without_memory),
        cmocka_unit_test(roots_are_those_of_the_definition), cmocka_unit_test(frontiers_go_on_after_packing),
        cmocka_unit_test(cut_frontiers_are_refused),         cmocka_unit_test(the_largest_size_is_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
