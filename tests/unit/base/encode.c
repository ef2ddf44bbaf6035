/* Text forms: hex, base64, PEM, time, duration. */
#include <stdio.h>

#include "ca/base/encode.h"
#include "tests/unit/base/suite.h"

/* FIPS 180-2, B.1, and of nothing */
static void sha256_vectors(void **state)
{
    (void)state;
    char text[SHA256_TEXT_SIZE];
    sha256_text(span_text("abc"), text);
    assert_string_equal(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_text((struct span){0}, text);
    assert_string_equal(text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hex_round_trip(void **state)
{
    (void)state;
    static const uint8_t data[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    char text[11];
    uint8_t back[5];
    struct fault f = {0};
    AUTO(bytes) out = {0};
    hex_append(&out, SPAN_OF(data));
    hex_text(SPAN_OF(data), text, sizeof text);
    assert_string_equal(text, "00017f80ff");
    assert_string_equal(bytes_text(&out), text);
    assert_ok(hex_decode("00017F80fF", back, sizeof back, &f), &f);
    assert_memory_equal(back, data, sizeof data);
}

static void hex_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {"", "0", "001", "0g", "00 1", " 001", "0x01", "00:1", "00010", "000102"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint8_t back[2] = {0xaa, 0xaa};
        struct fault f = {0};
        assert_int_equal(hex_decode(cases[i], back, sizeof back, &f), ERR_INPUT);
        assert_int_equal(back[0], 0xaa); /* untouched */
    }
}

/* RFC 4648 section 10, and the two letters in which the alphabets differ. */
static void base64_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *plain, *base64, *base64url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff", "+/8=", "-_8"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        AUTO(bytes) text = {0}, url = {0}, back = {0}, url_back = {0};
        base64_append(&text, span_text(cases[i].plain));
        base64url_append(&url, span_text(cases[i].plain));
        assert_string_equal(bytes_text(&text), cases[i].base64);
        assert_string_equal(bytes_text(&url), cases[i].base64url);
        assert_ok(base64_decode(bytes_span(&text), &back, &f), &f);
        assert_ok(base64url_decode(bytes_span(&url), &url_back, &f), &f);
        assert_string_equal(bytes_text(&back), cases[i].plain);
        assert_string_equal(bytes_text(&url_back), cases[i].plain);
    }
}

static void base64_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool url;
    } cases[] = {
        {"Zg", false},        {"Zg=", false},    {"Zg===", false}, {"Zh==", false}, {"Z", false},
        {"Zm9v Zm9v", false}, {"Zm9v\n", false}, {"-_8=", false},  {"=", false},    {"Zg==x", false},
        {"Zg==", true},       {"+/8", true},     {"Zh", true},     {"Zm8=", true},  {"Zm9v ", true},
        {"Zm9\xff", false},   {"Zm9\x80", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(bytes) back = {0};
        struct fault f = {0};
        struct span text = span_text(cases[i].text);
        enum err err = cases[i].url ? base64url_decode(text, &back, &f) : base64_decode(text, &back, &f);
        if (err != ERR_INPUT || back.data)
            fail_msg("taken: %s", cases[i].text);
    }
}

static void pem_round_trip(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 47, 48, 49, 96, 1000};
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        AUTO(bytes) text = {0}, der = {0};
        struct fault f = {0};
        pem_append(&text, "CERTIFICATE", span(data, sizes[i]));
        assert_ok(pem_decode(bytes_span(&text), "CERTIFICATE", &der, &f), &f);
        assert_true(span_equal(bytes_span(&der), span(data, sizes[i])));
        for (const char *line = bytes_text(&text); *line; line += strcspn(line, "\n") + 1)
            assert_true(strcspn(line, "\n") <= 64);
    }
}

static void pem_blocks_follow_each_other(void **state)
{
    (void)state;
    struct fault f = {0};
    char label[PEM_LABEL_SIZE];
    struct span text = span_text("Subject: one\n-----BEGIN A-----\r\nAAEC\r\n-----END A-----\r\nsome text\n"
                                 "-----BEGIN B C-----\nAw==\n-----END B C-----\n");
    AUTO(bytes) first = {0}, second = {0}, none = {0};
    assert_ok(pem_next(&text, label, &first, &f), &f);
    assert_string_equal(label, "A");
    assert_int_equal(first.size, 3);
    assert_ok(pem_next(&text, label, &second, &f), &f);
    assert_string_equal(label, "B C");
    assert_int_equal(second.size, 1);
    assert_int_equal(pem_next(&text, label, &none, &f), ERR_ABSENT);
}

static void pem_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err err;
    } cases[] = {
        {"", ERR_ABSENT},
        {"nothing", ERR_ABSENT},
        {"-----BEGIN ", ERR_INPUT},
        {"-----BEGIN -----\nAA==\n-----END -----\n", ERR_INPUT},
        {"-----BEGIN X\n-----\nAA==\n-----END X-----\n", ERR_INPUT},
        {"-----BEGIN X -----\nAA==\n-----END X -----\n", ERR_INPUT},
        {"-----BEGIN  X-----\nAA==\n-----END  X-----\n", ERR_INPUT},
        {"-----BEGIN X--Y-----\nAA==\n-----END X--Y-----\n", ERR_INPUT},
        {"-----BEGIN X\001Y-----\nAA==\n-----END X\001Y-----\n", ERR_INPUT},
        {"-----BEGIN X\377Y-----\nAA==\n-----END X\377Y-----\n", ERR_INPUT},
        {"-----BEGIN X-----\nAA==\n", ERR_INPUT},
        {"-----BEGIN X-----\nAA==\n-----END Y-----\n", ERR_INPUT},
        {"-----BEGIN X-----\n-----END X-----\n", ERR_INPUT},
        {"-----BEGIN X-----\nAA\n-----END X-----\n", ERR_INPUT},
        {"-----BEGIN X-----\nA*==\n-----END X-----\n", ERR_INPUT},
        {"-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END X-----\n", ERR_INPUT},
        {"-----BEGIN X-----\nAA==\nAA==\n-----END X-----\n", ERR_INPUT},
        {"-----BEGIN Y-----\nAA==\n-----END Y-----\n", ERR_INPUT},
        {"-----BEGIN X-----\nAA==\n-----END X-----\n-----BEGIN X-----\nAA==\n-----END X-----\n", ERR_INPUT},
        {"-----BEGIN X-----\nAA==\n-----END X-----\n-----BEGIN Y-----\n", ERR_INPUT},
        {"-----BEGIN 0123456789012345678901234567890123456789012345678901234567890123-----\nAA==\n", ERR_INPUT},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(bytes) der = {0};
        struct fault f = {0};
        if (pem_decode(span_text(cases[i].text), "X", &der, &f) != cases[i].err || der.data)
            fail_msg("case %zu: %s", i, line_of(&f));
    }
}

static void time_texts(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1582934400, "2020-02-29T00:00:00Z"},
        {1795233600, "2026-11-21T04:00:00Z"},
        {4294967296, "2106-02-07T06:28:16Z"},
        {253402300799, "9999-12-31T23:59:59Z"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[TIME_TEXT_SIZE];
        time_text(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
        int64_t seconds = -1;
        struct fault f = {0};
        assert_int_equal(time_parse(text, &seconds, &f), OK);
        assert_int_equal(seconds, cases[i].seconds);
    }
}

/* Years that no calendar reaches are shown as they are, and not read. */
static void times_without_a_text(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } cases[] = {{INT64_MAX, "9223372036854775807s"}, {INT64_MIN, "-9223372036854775808s"}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[TIME_TEXT_SIZE];
        time_text(cases[i].seconds, text);
        assert_string_equal(text, cases[i].text);
        int64_t seconds = -1;
        struct fault f = {0};
        assert_int_equal(time_parse(text, &seconds, &f), ERR_INPUT);
        assert_int_equal(seconds, -1);
    }
}

static void time_refuses(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "now",
        "2026-11-21",
        "2026-11-21T04:00:00",
        "2026-11-21T04:00:00+01:00",
        "2026-11-21 04:00:00Z",
        "2026-11-21T04:00:00Z ",
        " 2026-11-21T04:00:00Z",
        "2026-11-21T4:00:00Z",
        "2026-02-30T04:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T04:00:60Z",
        "2026-11-21T04:00:00.5Z",
        "99999-11-21T04:00:00Z",
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t seconds = -1;
        struct fault f = {0};
        if (time_parse(cases[i], &seconds, &f) != ERR_INPUT)
            fail_msg("\"%s\" was taken", cases[i]);
        assert_int_equal(seconds, -1);
    }
}

static void durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds; /* 0: refused */
        const char *shortest;
    } cases[] = {
        {"90s", 90, "90s"},
        {"5m", 300, "5m"},
        {"8760h", 31536000, "365d"},
        {"1d", 86400, "1d"},
        {"36600d", 3162240000, "36600d"},
        {"007m", 420, "7m"},
        {"", 0, NULL},
        {"s", 0, NULL},
        {"0s", 0, NULL},
        {"36601d", 0, NULL},
        {"-5m", 0, NULL},
        {"+5m", 0, NULL},
        {"5", 0, NULL},
        {"5 m", 0, NULL},
        {" 5m", 0, NULL},
        {"5M", 0, NULL},
        {"1.5h", 0, NULL},
        {"1h30m", 0, NULL},
        {"5w", 0, NULL},
        {"99999999999s", 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int64_t seconds = 0;
        char text[DURATION_TEXT_SIZE];
        struct fault f = {0};
        enum err err = duration_parse(cases[i].text, &seconds, &f);
        if ((err == OK) != (cases[i].seconds > 0) || seconds != cases[i].seconds)
            fail_msg("%s: %lld", cases[i].text, (long long)seconds);
        if (err != OK)
            continue;
        duration_text(seconds, text);
        assert_string_equal(text, cases[i].shortest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_vectors),
        cmocka_unit_test(hex_round_trip),
        cmocka_unit_test(hex_refuses),
        cmocka_unit_test(base64_vectors),
        cmocka_unit_test(base64_refuses),
        cmocka_unit_test(pem_round_trip),
        cmocka_unit_test(pem_blocks_follow_each_other),
        cmocka_unit_test(pem_refuses),
        cmocka_unit_test(time_texts),
        cmocka_unit_test(times_without_a_text),
        cmocka_unit_test(time_refuses),
        cmocka_unit_test(durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
