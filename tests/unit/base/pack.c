/* The packed form: bytes as written, round trips, and everything that a damaged one can be. */
#include "ca/base/pack.h"
#include "tests/unit/base/suite.h"

struct row {
    uint8_t a;
    uint16_t b;
    uint32_t c;
    uint64_t d;
    int64_t e;
    uint8_t fixed[3];
    struct span blob;
    char text[6];
};

static void row_pack(struct bytes *out, const struct row *row)
{
    pack_u8(out, row->a);
    pack_u16(out, row->b);
    pack_u32(out, row->c);
    pack_u64(out, row->d);
    pack_i64(out, row->e);
    pack_fixed(out, SPAN_OF(row->fixed));
    pack_span(out, row->blob);
    pack_text(out, row->text);
}

static enum err row_unpack(struct span data, struct row *row, struct fault *f)
{
    struct unpack in = unpack_begin(data);
    row->a = unpack_u8(&in);
    row->b = unpack_u16(&in);
    row->c = unpack_u32(&in);
    row->d = unpack_u64(&in);
    row->e = unpack_i64(&in);
    unpack_fixed(&in, row->fixed, sizeof row->fixed);
    row->blob = unpack_span(&in);
    unpack_text(&in, row->text, sizeof row->text);
    return unpack_finish(&in, "row", f);
}

static const uint8_t blob[] = {9, 0, 8};
static const struct row sample = {0xfe, 0x0102,    0x03040506,          0x0708090a0b0c0d0e,
                                  -2,   {1, 2, 3}, {blob, sizeof blob}, "hello"};

static void bytes_are_as_specified(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0xfe, 1,    2,    3,    4,    5,    6,    7,    8,    9,   10,  11,  12,  13,
                                       14,   0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 1,   2,   3,   0,   0,
                                       0,    3,    9,    0,    8,    0,    0,    0,    5,    'h', 'e', 'l', 'l', 'o'};
    AUTO(bytes) packed = {0};
    row_pack(&packed, &sample);
    assert_int_equal(packed.size, sizeof expected);
    assert_memory_equal(packed.data, expected, sizeof expected);
}

static void rows_round_trip(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {0},
        {0xff, 0xffff, 0xffffffff, UINT64_MAX, INT64_MIN, {255, 255, 255}, {blob, 1}, "12345"},
        {1, 1, 1, 1, INT64_MAX, {0}, {NULL, 0}, ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        AUTO(bytes) packed = {0};
        AUTO(bytes) again = {0};
        struct row back;
        struct fault f = {0};
        row_pack(&packed, &rows[i]);
        assert_ok(row_unpack(bytes_span(&packed), &back, &f), &f);
        row_pack(&again, &back);
        assert_true(span_equal(bytes_span(&packed), bytes_span(&again)));
        assert_true(back.d == rows[i].d && back.e == rows[i].e);
        assert_string_equal(back.text, rows[i].text);
    }
}

/* Each prefix is damaged, and nothing is read beyond it: each is a copy of its own, under the sanitizer. */
static void truncations_are_damage(void **state)
{
    (void)state;
    AUTO(bytes) packed = {0};
    row_pack(&packed, &sample);
    for (size_t size = 0; size < packed.size; size++) {
        AUTO(bytes) part = {0};
        struct row row;
        struct fault f = {0};
        assert_ok(bytes_copy(span(packed.data, size), &part, &f), &f);
        assert_int_equal(row_unpack(bytes_span(&part), &row, &f), ERR_IO);
        assert_int_equal(f.code, CODE_DAMAGED);
        assert_says(&f, "row is cut short");
    }
    struct row row;
    struct fault f = {0};
    pack_u8(&packed, 0);
    assert_int_equal(row_unpack(bytes_span(&packed), &row, &f), ERR_IO);
    assert_says(&f, "1 bytes too many");
}

static void lengths_that_lie(void **state)
{
    (void)state;
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 1, 2, 3};
    static const uint8_t with_nul[] = {0, 0, 0, 3, 'a', 0, 'b'};
    static const uint8_t too_long[] = {0, 0, 0, 4, 'a', 'b', 'c', 'd'};
    char text[4] = "xyz";
    struct unpack in = unpack_begin(SPAN_OF(huge));
    assert_int_equal(unpack_span(&in).size, 0);
    assert_true(in.failed);
    assert_int_equal(unpack_u8(&in), 0); /* once failed, it stays so */
    in = unpack_begin(SPAN_OF(with_nul));
    unpack_text(&in, text, sizeof text);
    assert_true(in.failed);
    assert_string_equal(text, "");
    in = unpack_begin(SPAN_OF(too_long));
    unpack_text(&in, text, sizeof text);
    assert_true(in.failed);
    in = unpack_begin(SPAN_OF(too_long));
    char room[5];
    unpack_text(&in, room, sizeof room);
    assert_false(in.failed);
    assert_string_equal(room, "abcd");
}

static void fixed_beyond_the_end_is_zero(void **state)
{
    (void)state;
    uint8_t value[4] = {7, 7, 7, 7}, zero[4] = {0};
    struct unpack in = unpack_begin(span("abc", 3));
    unpack_fixed(&in, value, sizeof value);
    assert_true(in.failed);
    assert_memory_equal(value, zero, sizeof zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_as_specified),       cmocka_unit_test(rows_round_trip),
        cmocka_unit_test(truncations_are_damage),       cmocka_unit_test(lengths_that_lie),
        cmocka_unit_test(fixed_beyond_the_end_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
