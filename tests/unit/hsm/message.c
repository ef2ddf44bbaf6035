/* Messages between the server and the signer: what is written is read again, what is damaged is refused. */
#include <stdio.h>
#include <string.h>

#include "hsm/signer_message.h"
#include "tests/unit/hsm/fixture.h"

static void request_sample(struct authority_request *ret_request)
{
    struct fault f = {0};
    struct address address;
    struct certificate_content content;
    struct grant grant;
    authority_content(&content, &grant);
    assert_ok(alternative_names_add_dns(&content.names, "etcd-ca", &f), &f);
    assert_ok(alternative_names_add_dns(&content.names, "etcd-ca.example", &f), &f);
    assert_ok(address_parse("192.0.2.61", &address, &f), &f);
    assert_ok(alternative_names_add_address(&content.names, &address, &f), &f);
    assert_ok(address_parse("2001:db8::61", &address, &f), &f);
    assert_ok(alternative_names_add_address(&content.names, &address, &f), &f);
    snprintf(content.subject.organizations[0], ATTRIBUTE_MAX + 1, "system:nodes");
    content.subject.organizations_count = 1;
    *ret_request = (struct authority_request){.algorithm = KEY_ECDSA_P384,
                                              .content = content,
                                              .extended_key_usage = EXTENDED_CLIENT_AUTH,
                                              .lifetime_max_seconds = 86400};
    memset(ret_request->serial, 7, sizeof ret_request->serial);
}

static void test_authority_request(void **state)
{
    (void)state;
    struct fault f = {0};
    struct authority_request request, back;
    AUTO(bytes) message = {0}, again = {0};
    request_sample(&request);
    authority_request_pack(&request, &message);
    struct unpack in = unpack_begin(bytes_span(&message));
    assert_ok(authority_request_unpack(&in, &back, &f), &f);
    authority_request_pack(&back, &again);
    assert_true(span_equal(bytes_span(&message), bytes_span(&again)));
    assert_int_equal(back.algorithm, KEY_ECDSA_P384);
    assert_string_equal(back.content.subject.organizations[0], "system:nodes");
    assert_true(alternative_names_has_dns(&back.content.names, "etcd-ca.example"));
    assert_int_equal(back.content.names.addresses_count, 2);
    assert_true(back.content.authority);

    for (size_t size = 0; size < message.size; size++) {
        struct authority_request untouched = {.lifetime_max_seconds = -1};
        in = unpack_begin(span(message.data, size));
        assert_int_not_equal(authority_request_unpack(&in, &untouched, &f), OK);
        assert_int_equal(untouched.lifetime_max_seconds, -1);
        fault_clear(&f);
    }
    certificate_content_cleanup(&request.content);
    certificate_content_cleanup(&back.content);
}

static void test_authority_request_refused(void **state)
{
    (void)state;
    struct fault f = {0};
    struct authority_request request, back;
    static const uint8_t algorithms[] = {KEY_NONE, KEY_ALGORITHM_COUNT, 255};
    request_sample(&request);
    for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
        AUTO(bytes) message = {0};
        authority_request_pack(&request, &message);
        message.data[0] = algorithms[i];
        struct unpack in = unpack_begin(bytes_span(&message));
        assert_fault(authority_request_unpack(&in, &back, &f), &f, CODE_DAMAGED);
    }
    AUTO(bytes) longer = {0}, organizations = {0};
    authority_request_pack(&request, &longer);
    pack_u8(&longer, 0);
    struct unpack in = unpack_begin(bytes_span(&longer));
    assert_fault(authority_request_unpack(&in, &back, &f), &f, CODE_DAMAGED);

    pack_u8(&organizations, KEY_ECDSA_P256);
    pack_text(&organizations, "etcd-ca");
    pack_u8(&organizations, ORGANIZATIONS_MAX + 1);
    for (size_t i = 0; i < 4096; i++)
        pack_u32(&organizations, 0);
    in = unpack_begin(bytes_span(&organizations));
    assert_int_not_equal(authority_request_unpack(&in, &back, &f), OK);
    certificate_content_cleanup(&request.content);
}

static void test_sign_request(void **state)
{
    (void)state;
    struct fault f = {0};
    static struct sign_request request, back;
    AUTO(bytes) message = {0};
    static const char *const blobs[] = {"first", "second", "first", "first", "second"};
    static const char *const drafts[] = {"a", "bb", "ccc", "dddd", "eeeee"};
    request = (struct sign_request){0};
    for (size_t i = 0; i < ARRAY_SIZE(drafts); i++)
        assert_true(sign_request_add(&request, span_text(blobs[i]), span_text(drafts[i])));
    assert_int_equal(request.blobs_count, 2);
    sign_request_pack(&request, &message);
    struct unpack in = unpack_begin(bytes_span(&message));
    assert_ok(sign_request_unpack(&in, &back, &f), &f);
    assert_int_equal(back.drafts_count, ARRAY_SIZE(drafts));
    for (size_t i = 0; i < ARRAY_SIZE(drafts); i++) {
        assert_true(span_equal(back.drafts[i].draft, span_text(drafts[i])));
        assert_true(span_equal(back.blobs[back.drafts[i].blob], span_text(blobs[i])));
    }
    for (size_t size = 0; size < message.size; size++) {
        in = unpack_begin(span(message.data, size));
        assert_fault(sign_request_unpack(&in, &back, &f), &f, CODE_DAMAGED);
    }
}

/* However it is filled, neither the request nor its answer is larger than a message. */
static void test_sign_request_limits(void **state)
{
    (void)state;
    static uint8_t zeros[MESSAGE_SIZE_MAX + 1];
    static const size_t sizes[] = {0, 1, 600, 4000, 50000, MESSAGE_SIZE_MAX / 2};
    static struct sign_request request;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        AUTO(bytes) message = {0};
        request = (struct sign_request){0};
        size_t count = 0;
        while (sign_request_add(&request, span_text("blob"), span(zeros, sizes[i])))
            count++;
        assert_in_range(count, 1, SIGN_DRAFTS_MAX);
        assert_int_equal(request.drafts_count, count);
        sign_request_pack(&request, &message);
        assert_in_range(message.size, 1, MESSAGE_SIZE_MAX - SIGN_HEADER / 2);
        assert_in_range(count * (sizes[i] + SIGN_OVERHEAD), 1, MESSAGE_SIZE_MAX);
    }
    request = (struct sign_request){0};
    assert_false(sign_request_add(&request, span_text("blob"), span(zeros, MESSAGE_SIZE_MAX)));
    assert_false(sign_request_add(&request, span(zeros, MESSAGE_SIZE_MAX + 1), span_text("draft")));
    assert_int_equal(request.blobs_count, 0);
    assert_true(sign_request_add(&request, span_text("blob"), span_text("draft")));
}

/* Thousands of tiny drafts fit into a message, but not their answers. */
static void test_sign_request_flood_refused(void **state)
{
    (void)state;
    struct fault f = {0};
    static struct sign_request back;
    static const uint16_t counts[] = {SIGN_DRAFTS_MAX - 1, SIGN_DRAFTS_MAX + 1, 10000};
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
        AUTO(bytes) message = {0};
        pack_u16(&message, 1);
        pack_text(&message, "blob");
        pack_u16(&message, counts[i]);
        for (size_t draft = 0; draft < counts[i]; draft++) {
            pack_u16(&message, 0);
            pack_text(&message, "");
        }
        struct unpack in = unpack_begin(bytes_span(&message));
        enum err err = sign_request_unpack(&in, &back, &f);
        assert_int_equal(err == OK, counts[i] < SIGN_DRAFTS_MAX);
        fault_clear(&f);
    }
    AUTO(bytes) message = {0};
    pack_u16(&message, 1);
    pack_text(&message, "blob");
    pack_u16(&message, 1);
    pack_u16(&message, 1); /* of a blob that is not there */
    pack_text(&message, "draft");
    struct unpack in = unpack_begin(bytes_span(&message));
    assert_fault(sign_request_unpack(&in, &back, &f), &f, CODE_DAMAGED);
}

static void test_fault(void **state)
{
    (void)state;
    static const size_t rooms[] = {SIGN_OVERHEAD, 4096, MESSAGE_SIZE_MAX};
    struct fault fault = {0};
    char longest[sizeof fault.reasons[0].text], text[sizeof fault.text];
    memset(longest, 'r', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    memset(text, 't', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t i = 0; i < FAULT_REASONS_MAX + 3; i++)
        fault_reason(&fault, "/pointer", "%s", longest);
    assert_int_equal(fault_set(&fault, CODE_POLICY_DENIED, "%s", text), ERR_DENIED);

    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        AUTO(bytes) message = {0};
        struct fault back = {0};
        result_pack_fault(&message, &fault, rooms[i]);
        assert_in_range(message.size, 1, rooms[i]);
        struct unpack in = unpack_begin(bytes_span(&message));
        assert_fault(result_unpack(&in, &back), &back, CODE_POLICY_DENIED);
        assert_int_equal(in.rest.size, 0);
    }
    AUTO(bytes) message = {0};
    struct fault back = {0};
    result_pack_fault(&message, &fault, MESSAGE_SIZE_MAX);
    struct unpack in = unpack_begin(bytes_span(&message));
    assert_int_equal(result_unpack(&in, &back), ERR_DENIED);
    assert_string_equal(back.text, text);
    assert_int_equal(back.reasons_count, FAULT_REASONS_MAX);
    assert_int_equal(back.reasons_omitted, 3);
    assert_string_equal(back.reasons[31].text, longest);
    for (size_t size = 2; size < message.size; size += 7) {
        in = unpack_begin(span(message.data, size));
        assert_fault(result_unpack(&in, &back), &back, CODE_DAMAGED);
    }
}

static void test_fault_unknown_code(void **state)
{
    (void)state;
    AUTO(bytes) message = {0};
    struct fault back = {0};
    pack_u16(&message, CODE_COUNT);
    pack_text(&message, "text");
    pack_u32(&message, 0);
    pack_u8(&message, 0);
    struct unpack in = unpack_begin(bytes_span(&message));
    assert_fault(result_unpack(&in, &back), &back, CODE_DAMAGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_authority_request),
        cmocka_unit_test(test_authority_request_refused),
        cmocka_unit_test(test_sign_request),
        cmocka_unit_test(test_sign_request_limits),
        cmocka_unit_test(test_sign_request_flood_refused),
        cmocka_unit_test(test_fault),
        cmocka_unit_test(test_fault_unknown_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
