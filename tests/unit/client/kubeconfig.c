/* Kubeconfigs. */
#include <string.h>

#include "client/kubeconfig.h"
#include "tests/unit/client/fixture.h"

static void as_kubeadm_writes_it(void **state)
{
    (void)state;
    const struct kubeconfig embedded = {.server = "https://192.168.29.81:6443",
                                        .cluster = "kubernetes",
                                        .user = "system:node:\"a\"",
                                        .bundle = span_text("bundle\n"),
                                        .certificate = span_text("certificate\n"),
                                        .key = span_text("key\n")};
    AUTO(bytes) text = {0};
    struct fault f = {0};
    assert_int_equal(kubeconfig_write(&embedded, &text, &f), OK);
    assert_string_equal(bytes_text(&text), "apiVersion: v1\n"
                                           "clusters:\n"
                                           "- cluster:\n"
                                           "    certificate-authority-data: YnVuZGxlCg==\n"
                                           "    server: \"https://192.168.29.81:6443\"\n"
                                           "  name: \"kubernetes\"\n"
                                           "contexts:\n"
                                           "- context:\n"
                                           "    cluster: \"kubernetes\"\n"
                                           "    user: \"system:node:\\\"a\\\"\"\n"
                                           "  name: \"system:node:\\\"a\\\"@kubernetes\"\n"
                                           "current-context: \"system:node:\\\"a\\\"@kubernetes\"\n"
                                           "kind: Config\n"
                                           "preferences: {}\n"
                                           "users:\n"
                                           "- name: \"system:node:\\\"a\\\"\"\n"
                                           "  user:\n"
                                           "    client-certificate-data: Y2VydGlmaWNhdGUK\n"
                                           "    client-key-data: a2V5Cg==\n");
}

static void files_are_referred_to(void **state)
{
    (void)state;
    const struct kubeconfig by_file = {.server = "https://a:6443",
                                       .cluster = "kubernetes",
                                       .user = "kubernetes-admin",
                                       .by_file = true,
                                       .bundle_by_file = true,
                                       .bundle = span_text("/etc/kubernetes/pki/ca.crt"),
                                       .certificate = span_text("/a/tls.crt"),
                                       .key = span_text("/a/tls.key")};
    AUTO(bytes) text = {0};
    struct fault f = {0};
    assert_int_equal(kubeconfig_write(&by_file, &text, &f), OK);
    assert_non_null(strstr(bytes_text(&text), "    certificate-authority: \"/etc/kubernetes/pki/ca.crt\"\n"));
    assert_non_null(strstr(bytes_text(&text), "    client-certificate: \"/a/tls.crt\"\n"));
    assert_non_null(strstr(bytes_text(&text), "    client-key: \"/a/tls.key\"\n"));
    assert_null(strstr(bytes_text(&text), "-data"));
}

static void what_is_missing_or_not_printable_is_refused(void **state)
{
    (void)state;
    const struct span file = span_text("/a");
    const struct kubeconfig cases[] = {
        {"https://a\n", "kubernetes", "a", false, false, file, file, file},
        {"https://a", "", "a", false, false, file, file, file},
        {"https://a", "kubernetes", "\x1b", false, false, file, file, file},
        {"https://a", "kubernetes", "a", false, false, {0}, file, file},
        {"https://a", "kubernetes", "a", true, true, file, file, span_text("/a\nb")},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(bytes) text = {0};
        struct fault f = {0};
        assert_int_equal(kubeconfig_write(&cases[i], &text, &f), ERR_INPUT);
        assert_int_equal(text.size, 0);
    }
}

/* What was written is read; what somebody else wrote, or has two of anything, is not. */
static void own_files_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to; /* from NULL: as it was written */
    } cases[] = {
        {NULL, NULL},
        {"users:\n", "users:\n- name: b\n  user: {}\n"},
        {"contexts:\n", "contexts:\n- name: b\n"},
        {"clusters:\n", "clusters: []\nother:\n"},
        {"client-key-data: a2V5Cg==", "client-key: /a"},
        {"client-key-data: a2V5Cg==", "client-key-data: a2V5C"},
        {"client-certificate-data", "token"},
        {"certificate-authority-data: YnVuZGxlCg==", "insecure-skip-tls-verify: true"},
        {"server: ", "proxy: "},
        {"apiVersion: v1\n", "*\n"},
    };
    const struct kubeconfig written = {.server = "https://a:6443",
                                       .cluster = "rbac",
                                       .user = "jane",
                                       .bundle = span_text("bundle\n"),
                                       .certificate = span_text("certificate\n"),
                                       .key = span_text("key\n")};
    AUTO(bytes) text = {0};
    struct fault f = {0};
    assert_int_equal(kubeconfig_write(&written, &text, &f), OK);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        AUTO(bytes) edited = {0};
        AUTO(kubeconfig_content) content = {0};
        fault_clear(&f);
        const char *at = cases[i].from ? strstr(bytes_text(&text), cases[i].from) : NULL;
        if (!at) {
            assert_null(cases[i].from);
            assert_int_equal(kubeconfig_read(bytes_span(&text), &content, &f), OK);
            assert_string_equal(content.server, "https://a:6443");
            assert_string_equal(content.cluster, "rbac");
            assert_string_equal(content.user, "jane");
            assert_string_equal(bytes_text(&content.bundle), "bundle\n");
            assert_string_equal(bytes_text(&content.certificate), "certificate\n");
            assert_string_equal(bytes_text(&content.key), "key\n");
            continue;
        }
        bytes_appendf(&edited, "%.*s%s%s", (int)(at - bytes_text(&text)), bytes_text(&text), cases[i].to,
                      at + strlen(cases[i].from));
        if (kubeconfig_read(bytes_span(&edited), &content, &f) != ERR_INPUT)
            fail_msg("taken: %s", cases[i].to);
        assert_null(content.document);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_kubeadm_writes_it),
        cmocka_unit_test(files_are_referred_to),
        cmocka_unit_test(own_files_are_read),
        cmocka_unit_test(what_is_missing_or_not_printable_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
