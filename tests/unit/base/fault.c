/* Faults: the table of codes, reasons, and one line for people. */
#include <errno.h>
#include <openssl/err.h>

#include "tests/unit/base/suite.h"

static void table_is_complete(void **state)
{
    (void)state;
    for (enum code code = CODE_NONE + 1; code < CODE_COUNT; code++) {
        assert_non_null(code_name(code));
        assert_int_equal(code_by_name(code_name(code)), code); /* so names are unique */
        assert_int_equal(code_name(code)[strspn(code_name(code), "abcdefghijklmnopqrstuvwxyz_")], '\0');
        assert_int_not_equal(code_err(code), OK);
        assert_in_range(code_http_status(code), 202, 599);
        assert_in_range(code_exit(code), 1, 7);
    }
    assert_int_equal(code_by_name("none"), CODE_NONE);
    assert_int_equal(code_by_name("no such code"), CODE_NONE);
}

static void table_keeps_its_promises(void **state)
{
    (void)state;
    static const struct {
        enum code code;
        const char *name;
        enum err err;
        int status, exit;
    } rows[] = {
        {CODE_MALFORMED_CSR, "malformed_csr", ERR_INPUT, 400, 1},
        {CODE_WEAK_KEY, "weak_key", ERR_INPUT, 400, 1},
        {CODE_UNAUTHENTICATED, "unauthenticated", ERR_AUTH, 401, 3},
        {CODE_POLICY_DENIED, "policy_denied", ERR_DENIED, 403, 3},
        {CODE_NOT_FOUND, "not_found", ERR_ABSENT, 404, 1},
        {CODE_KEY_CONFLICT, "key_conflict", ERR_CONFLICT, 409, 6},
        {CODE_TOO_LARGE, "too_large", ERR_LIMIT, 413, 1},
        {CODE_IDEMPOTENCY_MISMATCH, "idempotency_mismatch", ERR_CONFLICT, 422, 6},
        {CODE_RATE_LIMITED, "rate_limited", ERR_LIMIT, 429, 4},
        {CODE_SEALED, "sealed", ERR_IO, 503, 4},
        {CODE_READ_ONLY, "read_only", ERR_IO, 503, 4},
        {CODE_RESTORED, "restored", ERR_IO, 503, 4},
        {CODE_SIGNER_DOWN, "signer_down", ERR_IO, 503, 4},
        {CODE_USAGE, "usage", ERR_INPUT, 400, 2},
        {CODE_EXPIRING, "expiring", ERR_CONFLICT, 409, 5},
        {CODE_PENDING, "pending", ERR_CONFLICT, 202, 7},
        {CODE_UNREACHABLE, "unreachable", ERR_IO, 503, 4},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_string_equal(code_name(rows[i].code), rows[i].name);
        assert_int_equal(code_err(rows[i].code), rows[i].err);
        assert_int_equal(code_http_status(rows[i].code), rows[i].status);
        assert_int_equal(code_exit(rows[i].code), rows[i].exit);
    }
}

static void reasons_are_kept_and_counted(void **state)
{
    (void)state;
    struct fault f = {0};
    assert_ok(fault_if_reasons(&f, CODE_INVALID, "nothing wrong"), &f);
    assert_int_equal(f.code, CODE_NONE);
    for (int i = 0; i < FAULT_REASONS_MAX + 3; i++)
        fault_reason(&f, "/x", "number %d", i);
    assert_int_equal(f.code, CODE_NONE);
    assert_int_equal(fault_if_reasons(&f, CODE_POLICY_DENIED, "%s", "no"), ERR_DENIED);
    assert_int_equal(f.code, CODE_POLICY_DENIED);
    assert_int_equal(f.reasons_count, FAULT_REASONS_MAX);
    assert_int_equal(f.reasons_omitted, 3);
    assert_says(&f, "no (/x: number 0; /x: number 1;");
    assert_says(&f, "; and 3 more)");
    fault_clear(&f);
    assert_string_equal(line_of(&f), "");
    assert_ok(fault_if_reasons(&f, CODE_INVALID, "nothing wrong"), &f);
}

static void line_is_cut_to_its_size(void **state)
{
    (void)state;
    struct fault f = {0};
    fault_reason(&f, "/a", "first");
    fault_reason(&f, "", "second");
    assert_int_equal(fault_set(&f, CODE_INVALID, "text"), ERR_INPUT);
    static const char whole[] = "text (/a: first; second)";
    char line[64];
    fault_line(&f, line, sizeof line);
    assert_string_equal(line, whole);
    for (size_t size = 1; size <= sizeof whole; size++) {
        memset(line, '#', sizeof line);
        fault_line(&f, line, size);
        assert_int_equal(strlen(line), size - 1);
        assert_memory_equal(line, whole, size - 1);
        assert_int_equal(line[size], '#');
    }
}

/* Half a letter would be no UTF-8, and a line that is none is no JSON string: it could not be stored in the log. */
static void line_is_not_cut_within_a_section_sign(void **state)
{
    (void)state;
    struct fault f = {0};
    char line[16];
    assert_int_equal(fault_set(&f, CODE_INVALID, "RFC §4"), ERR_INPUT);
    fault_line(&f, line, sizeof "RFC §" - 1);
    assert_string_equal(line, "RFC ");
    fault_line(&f, line, sizeof "RFC §");
    assert_string_equal(line, "RFC §");
}

/* What others sent may be quoted in a fault; it must not steer a terminal or break a log line. */
static void texts_are_printable(void **state)
{
    (void)state;
    struct fault f = {0};
    fault_reason(&f, "/\x1b[2J", "a\nb\x7f\xc3\xa9");
    assert_int_equal(fault_set(&f, CODE_INVALID, "%s", "\r\"x\"\t\x9b"), ERR_INPUT);
    assert_string_equal(line_of(&f), "?\"x\"\?\? (/?[2J: a?b\?\?\?)");
}

/* "§" is two bytes: a text that is cut between them is still valid UTF-8. */
static void sections_are_kept_whole(void **state)
{
    (void)state;
    char text[] = "RFC 5280 §4.2 \xc2 \xa7", long_text[600];
    text_clean(text);
    assert_string_equal(text, "RFC 5280 §4.2 ? ?");
    struct fault f = {0};
    memset(long_text, 'x', sizeof f.text - 2);
    strcpy(long_text + sizeof f.text - 2, "§");
    assert_int_equal(fault_set(&f, CODE_INVALID, "%s", long_text), ERR_INPUT);
    assert_int_equal(f.text[sizeof f.text - 2], '?');
}

static void words_that_may_be_secrets_are_hidden(void **state)
{
    (void)state;
    static const struct {
        const char *text, *shown;
    } rows[] = {
        {"no node \"etcdone\"", "no node \"etcdone\""},
        {"0cf550be29b1c157b379fe6b2bde77ef2032465e", "0cf550be29b1c157b379fe6b2bde77ef2032465e"},
        {"0cf550be29b1c157b379fe6b2bde77ef2032465e0 is hidden", "(41 characters) is hidden"},
        {"gke-a-very-long-lower-case-name-of-a-node-pool-7", "gke-a-very-long-lower-case-name-of-a-node-pool-7"},
        {"\"ensign1.AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbC\", and", "\"ensign1.(41 characters)\", and"},
        {"/nodes/0/0cf550be29b1c157b379fe6b2bde77ef2032465e0", "/nodes/0/(41 characters)"},
        {"/a/very/long/path/of/a/body/that/has/no/capital/at/all",
         "/a/very/long/path/of/a/body/that/has/no/capital/at/all"},
        {"csr MHcCAQEEIAbCdEfGhIjKlMnOpQrStUvWx/z0123456789AbCdEfGhIjKlMn+pQrS=, so", "csr (65 characters), so"},
        {"/v1/MHcCAQEEIAbCdEfGhIjKlMnOpQ%2FrStUvWx%2B0123456789?a=b", "(53 characters)?a=b"},
        {"/MHcCAQEEIAbCdEfGhIjKlMnOpQ~1rStUvWx~10123456789: unknown", "(48 characters): unknown"},
        {"/-----BEGIN%20PRIVATE%20KEY-----%0AMHcCAQEEIAbCdEf", "/-----BEGIN%20PRIVATE%20KEY-----(hidden)"},
        {"CN=MHcCAQEEIOR\\+nDvNMaA/mS7wIQ5XGn0lDXA\\+RH0YK3lJ/x5Hit; O", "(55 characters); O"},
        {"/cluster/kubernetes/apiServer/certSANs/12/controlPlaneEndpoint: not-of-this-cluster-at-all",
         "/cluster/kubernetes/apiServer/certSANs/12/controlPlaneEndpoint: not-of-this-cluster-at-all"},
        {"CN=-----BEGIN EC PRIVATE KEY-----\\0AMHcCAQEEIAbCdEf; O=b", "CN=-----BEGIN EC PRIVATE KEY-----(hidden)"},
        {"CN=-----BEGIN PRIVATE KEY-----\\0AMHc", "CN=-----BEGIN PRIVATE KEY-----"},
        {"", ""},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fault f = {0};
        fault_reason(&f, rows[i].text, "%s", rows[i].text);
        assert_int_equal(fault_set(&f, CODE_INVALID, "%s", rows[i].text), ERR_INPUT);
        fault_hide_secrets(&f);
        assert_string_equal(f.text, rows[i].shown);
        assert_string_equal(f.reasons[0].pointer, rows[i].shown);
        assert_string_equal(f.reasons[0].text, rows[i].shown);
    }
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char longer[2000];
    struct fault f = {0};
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    fault_reason(&f, longer, "%s", longer);
    assert_int_equal(fault_set(&f, CODE_INVALID, "%s", longer), ERR_INPUT);
    assert_int_equal(strlen(f.text), sizeof f.text - 1);
    assert_int_equal(strlen(f.reasons[0].pointer), sizeof f.reasons[0].pointer - 1);
    assert_int_equal(strlen(f.reasons[0].text), sizeof f.reasons[0].text - 1);
}

static void errno_chooses_the_code(void **state)
{
    (void)state;
    static const struct {
        int number;
        enum code code;
    } cases[] = {
        {ENOENT, CODE_IO}, {EIO, CODE_IO}, {ENOSPC, CODE_READ_ONLY}, {EDQUOT, CODE_READ_ONLY}, {EROFS, CODE_READ_ONLY}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        errno = cases[i].number;
        assert_int_equal(fault_errno(&f, "cannot open %s", "x"), ERR_IO);
        assert_int_equal(f.code, cases[i].code);
        assert_says(&f, "cannot open x: ");
        assert_says(&f, strerror(cases[i].number));
    }
}

static void openssl_errors_are_taken(void **state)
{
    (void)state;
    struct fault f = {0};
    ERR_raise(ERR_LIB_ASN1, ERR_R_NESTED_ASN1_ERROR);
    assert_int_equal(fault_openssl(&f, "cannot sign"), ERR_CRYPTO);
    assert_says(&f, "cannot sign: error:");
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(fault_no_memory(&f), ERR_NOMEM);
}

static void want_of_memory_is_no_bad_input(void **state)
{
    (void)state;
    struct fault f = {0};
    ERR_raise(ERR_LIB_ASN1, ERR_R_MALLOC_FAILURE);
    ERR_raise(ERR_LIB_ASN1, ERR_R_NESTED_ASN1_ERROR);
    assert_int_equal(fault_set(&f, CODE_MALFORMED_CSR, "not DER"), ERR_NOMEM);
    assert_int_equal(f.code, CODE_NO_MEMORY);
    assert_int_equal(fault_set(&f, CODE_MALFORMED_CSR, "not DER"), ERR_INPUT); /* it is said once */
    ERR_raise(ERR_LIB_ASN1, ERR_R_MALLOC_FAILURE);
    assert_int_equal(fault_openssl(&f, "cannot sign"), ERR_NOMEM);
    assert_int_equal(fault_set(&f, CODE_MALFORMED_CSR, "not DER"), ERR_INPUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_complete),
        cmocka_unit_test(table_keeps_its_promises),
        cmocka_unit_test(reasons_are_kept_and_counted),
        cmocka_unit_test(line_is_cut_to_its_size),
        cmocka_unit_test(line_is_not_cut_within_a_section_sign),
        cmocka_unit_test(texts_are_printable),
        cmocka_unit_test(words_that_may_be_secrets_are_hidden),
        cmocka_unit_test(long_texts_are_cut),
        cmocka_unit_test(sections_are_kept_whole),
        cmocka_unit_test(errno_chooses_the_code),
        cmocka_unit_test(openssl_errors_are_taken),
        cmocka_unit_test(want_of_memory_is_no_bad_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
