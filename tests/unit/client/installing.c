/* Installing items of the catalogue below a root, without a service. */
#include "client/install.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/files.h"
#include "tests/unit/client/fixture.h"

static const struct cluster cluster = {.name = "lab"};
static const struct catalogue_item member = {.kind = CATALOGUE_CERTIFICATE,
                                             .path = "/etc/etcd/pki/member.crt",
                                             .key_path = "/etc/etcd/pki/member.key",
                                             .mode = 0644,
                                             .key_mode = 0600};
static const struct catalogue_item bundle = {.kind = CATALOGUE_BUNDLE, .path = "/etc/etcd/pki/ca.crt", .mode = 0644};
static const struct catalogue_item pair = {.kind = CATALOGUE_KEY_PAIR,
                                           .path = "/etc/kubernetes/pki/sa.pub",
                                           .key_path = "/etc/kubernetes/pki/sa.key",
                                           .mode = 0600,
                                           .key_mode = 0600};
static const struct catalogue_item kubeconfig = {.kind = CATALOGUE_KUBECONFIG,
                                                 .path = "/etc/kubernetes/admin.conf",
                                                 .mode = 0600,
                                                 .server = "https://192.0.2.81:6443",
                                                 .content.subject.common_name = "kubernetes-admin"};
static const struct catalogue_item referring = {.kind = CATALOGUE_KUBECONFIG,
                                                .path = "/etc/kubernetes/kubelet.conf",
                                                .certificate_path = "/etc/kubernetes/pki/kubelet-client.crt",
                                                .key_path = "/etc/kubernetes/pki/kubelet-client.key",
                                                .bundle_path = "/etc/kubernetes/pki/ca.crt",
                                                .mode = 0600,
                                                .certificate_mode = 0644,
                                                .key_mode = 0600,
                                                .server = "https://192.0.2.81:6443",
                                                .content.subject.common_name = "system:node:w1"};

struct place {
    char *folder;
    int root, sets;
};

static int place_make(void **state)
{
    static struct place place;
    struct fault f = {0};
    umask(0);
    place.folder = folder_make();
    assert_int_equal(folder_open(path_inside(place.folder, "root"), &place.root, &f), OK);
    assert_int_equal(folder_open(path_inside(place.folder, "sets"), &place.sets, &f), OK);
    *state = &place;
    return 0;
}

static int place_drop(void **state)
{
    struct place *place = *state;
    close(place->root);
    close(place->sets);
    folder_drop(place->folder);
    return 0;
}

/* Plans this item of these PEMs, and installs it. */
static enum err item_install(const struct place *place, const struct catalogue_item *item, const char *key,
                             const char *certificate, bool force, struct fault *f)
{
    AUTO(install) install = {.root = place->root, .sets = place->sets};
    const struct install_pems pems = {span_text(key), span_text(certificate), span_text("bundle\n")};
    fault_clear(f);
    TRY(install_add(&install, &cluster, item, &pems, f));
    TRY(install_check(&install, force, f));
    return install_write(&install, f);
}

static void assert_file(const struct place *place, const char *path, unsigned mode, const char *content)
{
    struct stat status;
    struct fault f = {0};
    AUTO(bytes) text = {0};
    char below[128];
    snprintf(below, sizeof below, "root%s", path);
    assert_int_equal(stat(path_inside(place->folder, below), &status), 0);
    assert_int_equal(status.st_mode & 07777, mode);
    assert_int_equal(file_read(path_inside(place->folder, below), &text, &f), OK);
    assert_string_equal(bytes_text(&text), content);
}

static void each_kind_has_its_files(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(item_install(place, &bundle, "", "", false, &f), OK);
    assert_int_equal(item_install(place, &member, "key\n", "certificate\n", false, &f), OK);
    assert_int_equal(item_install(place, &pair, "private\n", "public\n", false, &f), OK);
    assert_int_equal(item_install(place, &kubeconfig, "key\n", "certificate\n", false, &f), OK);
    assert_file(place, "/etc/etcd/pki/ca.crt", 0644, "bundle\n");
    assert_file(place, "/etc/etcd/pki/member.crt", 0644, "certificate\n");
    assert_file(place, "/etc/etcd/pki/member.key", 0600, "key\n");
    assert_file(place, "/etc/kubernetes/pki/sa.pub", 0600, "public\n");
    assert_file(place, "/etc/kubernetes/pki/sa.key", 0600, "private\n");
    assert_int_equal(item_install(place, &referring, "key\n", "certificate\n", false, &f), OK);
    assert_file(place, "/etc/kubernetes/pki/kubelet-client.crt", 0644, "certificate\n");
    assert_file(place, "/etc/kubernetes/pki/kubelet-client.key", 0600, "key\n");
    AUTO(bytes) text = {0};
    AUTO(bytes) names = {0};
    assert_int_equal(file_read_private(path_inside(place->folder, "root/etc/kubernetes/kubelet.conf"), &names, &f), OK);
    assert_non_null(strstr(bytes_text(&names), "client-key: \"/etc/kubernetes/pki/kubelet-client.key\"\n"));
    assert_non_null(strstr(bytes_text(&names), "certificate-authority: \"/etc/kubernetes/pki/ca.crt\"\n"));
    assert_null(strstr(bytes_text(&names), "-data"));
    assert_int_equal(file_read_private(path_inside(place->folder, "root/etc/kubernetes/admin.conf"), &text, &f), OK);
    assert_non_null(strstr(bytes_text(&text), "current-context: \"kubernetes-admin@lab\"\n"));
    struct stat status;
    assert_int_equal(stat(path_inside(place->folder, "root/etc/etcd"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0755);
}

static enum err bundle_install(const struct place *place, const char *text, bool force, struct fault *f)
{
    AUTO(install) install = {.root = place->root, .sets = place->sets};
    const struct install_pems pems = {.bundle = span_text(text)};
    fault_clear(f);
    TRY(install_add(&install, &cluster, &bundle, &pems, f));
    TRY(install_check(&install, force, f));
    return install_write(&install, f);
}

static void only_what_is_ours_is_replaced(void **state)
{
    const struct place *place = *state;
    static const struct {
        const char *present; /* put there by somebody else after "one" was installed; NULL: nothing */
        bool recorded;       /* the record is still there */
        const char *then;    /* to be installed */
        bool force;
        enum err expected;
    } cases[] = {
        {NULL, true, "one", false, OK},         {NULL, true, "two", false, OK},
        {NULL, false, "one", false, OK},        {NULL, false, "two", false, ERR_CONFLICT},
        {"two", false, "two", false, OK},       {"three", true, "two", false, ERR_CONFLICT},
        {"", true, "two", false, ERR_CONFLICT}, {"three", true, "two", true, OK},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        assert_int_equal(bundle_install(place, "one", true, &f), OK);
        if (!cases[i].recorded)
            assert_int_equal(unlinkat(place->sets, "installed", 0), 0);
        if (cases[i].present)
            file_write(place->folder, "root/etc/etcd/pki/ca.crt", 0644, cases[i].present);
        if (bundle_install(place, cases[i].then, cases[i].force, &f) != cases[i].expected)
            fail_msg("case %zu: %s", i, f.text);
        const char *before = cases[i].present ? cases[i].present : "one";
        assert_file(place, "/etc/etcd/pki/ca.crt", 0644, cases[i].expected == OK ? cases[i].then : before);
        /* A second time nothing is in the way. */
        assert_int_equal(bundle_install(place, cases[i].then, false, &f), cases[i].expected);
    }
}

/* Another item's line stays when one is written. */
static void record_keeps_what_is_not_planned(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    assert_int_equal(item_install(place, &member, "key\n", "certificate\n", false, &f), OK);
    assert_int_equal(item_install(place, &pair, "private\n", "public\n", false, &f), OK);
    assert_int_equal(item_install(place, &member, "key 2\n", "certificate 2\n", false, &f), OK);
    assert_int_equal(item_install(place, &pair, "private 2\n", "public 2\n", false, &f), OK);
    assert_file(place, "/etc/kubernetes/pki/sa.key", 0600, "private 2\n");
    AUTO(bytes) record = {0};
    assert_int_equal(file_read_private(path_inside(place->folder, "sets/installed"), &record, &f), OK);
    size_t lines = 0;
    for (const char *at = bytes_text(&record); (at = strchr(at, '\n')); at++)
        lines++;
    assert_int_equal(lines, 8); /* of four files what is there and what was before */
}

/* A damaged record makes nothing ours. */
static void damaged_record_is_no_permission(void **state)
{
    const struct place *place = *state;
    static const char *const damaged[] = {"", "\n", "\n\n  \n", "x  /etc/etcd/pki/member.key\n",
                                          "  /etc/etcd/pki/member.crt\n/etc/etcd/pki/member.crt"};
    struct fault f = {0};
    assert_int_equal(item_install(place, &member, "key\n", "certificate\n", false, &f), OK);
    for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
        file_write(place->folder, "sets/installed", 0600, damaged[i]);
        assert_int_equal(item_install(place, &member, "key 2\n", "certificate 2\n", false, &f), ERR_CONFLICT);
        assert_int_equal(f.reasons_count, 2);
        assert_int_equal(item_install(place, &member, "key\n", "certificate\n", false, &f), OK);
    }
    assert_int_equal(item_install(place, &member, "key 2\n", "certificate 2\n", false, &f), OK);
}

/* All files that are refused are named, and the one that could be written is not. */
static void nothing_is_written_when_one_is_refused(void **state)
{
    const struct place *place = *state;
    struct fault f = {0};
    AUTO(install) install = {.root = place->root, .sets = place->sets};
    const struct install_pems pems = {span_text("key\n"), span_text("certificate\n"), span_text("bundle\n")};
    assert_int_equal(item_install(place, &member, "key\n", "certificate\n", false, &f), OK);
    assert_int_equal(chmod(path_inside(place->folder, "root/etc/etcd/pki/member.key"), 0640), 0);
    file_write(place->folder, "root/etc/etcd/pki/member.crt", 0644, "edited\n");
    assert_int_equal(install_add(&install, &cluster, &bundle, &pems, &f), OK);
    assert_int_equal(install_add(&install, &cluster, &member, &pems, &f), OK);
    assert_int_equal(install_check(&install, false, &f), ERR_CONFLICT);
    assert_int_equal(f.reasons_count, 2);
    assert_string_equal(f.reasons[0].pointer, "/etc/etcd/pki/member.key");
    assert_string_equal(f.reasons[1].pointer, "/etc/etcd/pki/member.crt");
    assert_int_equal(install.files[0].state, INSTALL_ABSENT);
    assert_int_equal(access(path_inside(place->folder, "root/etc/etcd/pki/ca.crt"), F_OK), -1);
}

/* An item whose certificate is not there yet: what lies in its place is refused, unless it is known as ours. */
static void unknown_content_is_not_taken_for_ours(void **state)
{
    const struct place *place = *state;
    static const struct install_pems unknown = {0};
    struct fault f = {0};
    for (int i = 0; i < 2; i++) {
        AUTO(install) install = {.root = place->root, .sets = place->sets};
        assert_int_equal(install_add(&install, &cluster, &kubeconfig, &unknown, &f), OK);
        assert_int_equal(install_check(&install, false, &f), OK); /* absent, then ours */
        assert_int_equal(item_install(place, &kubeconfig, "key\n", "certificate\n", false, &f), OK);
    }
    AUTO(install) install = {.root = place->root, .sets = place->sets};
    file_write(place->folder, "root/etc/kubernetes/admin.conf", 0600, "kubeadm's\n");
    assert_int_equal(install_add(&install, &cluster, &kubeconfig, &unknown, &f), OK);
    assert_int_equal(install_check(&install, false, &f), ERR_CONFLICT);
}

#define WITH_PLACE(test) cmocka_unit_test_setup_teardown(test, place_make, place_drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_PLACE(each_kind_has_its_files),
        WITH_PLACE(only_what_is_ours_is_replaced),
        WITH_PLACE(record_keeps_what_is_not_planned),
        WITH_PLACE(damaged_record_is_no_permission),
        WITH_PLACE(nothing_is_written_when_one_is_refused),
        WITH_PLACE(unknown_content_is_not_taken_for_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
