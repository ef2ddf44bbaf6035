/* Stored rows: a row that is read is written as the same bytes (but for a name that stands twice in the service's row,
 * which is read as if it stood once). */
#include "ca/record.h"

#include <string.h>

#include "ca/blocklist.h"
#include "ca/crl.h"
#include "ca/deployed.h"
#include "ca/lineage.h"
#include "ca/revocation.h"
#include "tests/fuzz/fuzz.h"

/* The pattern of all rows: unpack, pack, compare, clean up. */
#define ROW_HOLD(name, row, cleanup, exact)                                                                            \
    static void name##_hold(struct span row)                                                                           \
    {                                                                                                                  \
        static struct name##_record record, record_again;                                                              \
        AUTO(bytes) again = {0}, third = {0};                                                                          \
        struct fault *f = fuzz_fault();                                                                                \
        fuzz_fresh(&record, sizeof record);                                                                            \
        if (!fuzz_kept(name##_record_unpack(row, &record, f), f, &record, sizeof record))                              \
            return;                                                                                                    \
        name##_record_pack(&record, &again);                                                                           \
        HOLDS(!(exact) || span_equal(bytes_span(&again), row));                                                        \
        fuzz_must(name##_record_unpack(bytes_span(&again), &record_again, f), f);                                      \
        name##_record_pack(&record_again, &third);                                                                     \
        HOLDS(span_equal(bytes_span(&again), bytes_span(&third)));                                                     \
        cleanup(&record);                                                                                              \
        cleanup(&record_again);                                                                                        \
    }

static void nothing(const struct token_record *record)
{
    HOLDS(record->uses_count <= TOKEN_USES_MAX);
}

static void lineage_nothing(const struct lineage_record *record)
{
    (void)record;
}

static void deployed_nothing(const struct deployed_record *record)
{
    HOLDS(record->certificates_count <= DEPLOYED_CERTIFICATES_MAX && record->crls_count <= DEPLOYED_CRLS_MAX);
}

static void revocation_nothing(const struct revocation_record *record)
{
    HOLDS(strlen(record->cluster) < sizeof record->cluster);
}

ROW_HOLD(service, row, service_record_cleanup, false)
ROW_HOLD(authority, row, authority_record_cleanup, true)
ROW_HOLD(cluster, row, cluster_record_cleanup, true)
ROW_HOLD(token, row, nothing, true)
ROW_HOLD(certificate, row, certificate_record_cleanup, true)
ROW_HOLD(lineage, row, lineage_nothing, true)
ROW_HOLD(deployed, row, deployed_nothing, true)
ROW_HOLD(revocation, row, revocation_nothing, true)
ROW_HOLD(crl, row, crl_record_cleanup, true)

static void blocklist_hold(struct span text)
{
    struct blocklist list;
    struct fault *f = fuzz_fault();
    fuzz_fresh(&list, sizeof list);
    if (!fuzz_kept(blocklist_parse(text, "blocked-keys", &list, f), f, &list, sizeof list))
        return;
    for (size_t i = 0; i < list.count; i++) {
        struct public_key key = {0};
        memcpy(key.spki_sha256, list.items[i], SHA256_SIZE);
        f = fuzz_fault();
        HOLDS(!fuzz_kept(blocklist_check(&list, &key, f), f, NULL, 0));
    }
    blocklist_cleanup(&list);
}

static void (*const holds[])(struct span) = {service_hold,     authority_hold, cluster_hold, token_hold,
                                             certificate_hold, blocklist_hold, lineage_hold, deployed_hold,
                                             revocation_hold,  crl_hold};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span row = span(data, size);
    uint8_t choice = fuzz_choice(&row, ARRAY_SIZE(holds));
    holds[choice](row);
    return 0;
}

static void names_add(struct alternative_names *names)
{
    struct address address;
    struct fault *f = fuzz_fault();
    fuzz_must(address_parse("10.0.0.1", &address, f), f);
    fuzz_must(alternative_names_add_dns(names, "ca.example.com", f), f);
    fuzz_must(alternative_names_add_address(names, &address, f), f);
}

static void service_seed(void)
{
    AUTO(bytes) row = {0};
    AUTO(service_record) record = {.origin = "example/log", .created_at = 1};
    bytes_append_text(&record.log_blob, "blob");
    names_add(&record.names);
    service_record_pack(&record, &row);
    fuzz_seed_choice(0, bytes_span(&row));
}

static void authority_seed(void)
{
    AUTO(bytes) row = {0};
    AUTO(authority_record) record = {.cluster = "lab", .name = "etcd-ca", .generation = 1, .created_at = 2};
    bytes_append_text(&record.blob, "blob");
    authority_record_pack(&record, &row);
    fuzz_seed_choice(1, bytes_span(&row));
}

static void cluster_seed(void)
{
    AUTO(bytes) row = {0};
    AUTO(cluster_record) record = {.created_at = 1, .created_by = "admin root"};
    bytes_append_text(&record.document, "{}");
    cluster_record_pack(&record, &row);
    fuzz_seed_choice(2, bytes_span(&row));
}

static void token_seed(void)
{
    AUTO(bytes) row = {0};
    struct token_record record = {.cluster = "lab",
                                  .node = "etcdone",
                                  .created_by = "admin root",
                                  .uses = {{.profile = "etcd-member"}, {.profile = "node-identity"}},
                                  .uses_count = 2};
    token_record_pack(&record, &row);
    fuzz_seed_choice(3, bytes_span(&row));
}

static void certificate_seed(void)
{
    AUTO(bytes) row = {0};
    AUTO(certificate_record)
    record = {.cluster = "lab", .authority = "etcd-ca", .node = "n", .profile = "p", .role = REQUESTER_NODE};
    bytes_append_text(&record.certificate, "der");
    certificate_record_pack(&record, &row);
    fuzz_seed_choice(4, bytes_span(&row));
}

static void lineage_seed(void)
{
    AUTO(bytes) row = {0};
    struct lineage_record record = {.cluster = "lab", .node = "n", .profile = "p", .installed_at = 1};
    lineage_record_pack(&record, &row);
    fuzz_seed_choice(6, bytes_span(&row));
}

static void deployed_seed(void)
{
    AUTO(bytes) row = {0};
    static const struct deployed_record record = {
        .cluster = "lab",
        .node = "n",
        .agent_version = "1",
        .certificates = {{.profile = "p", .state = DEPLOYED_FAILED, .detail = "d"}},
        .certificates_count = 1,
        .crls = {{"etcd-ca", 7}},
        .crls_count = 1,
    };
    deployed_record_pack(&record, &row);
    fuzz_seed_choice(7, bytes_span(&row));
}

static void revocation_seed(void)
{
    AUTO(bytes) row = {0};
    struct revocation_record record = {.cluster = "lab", .authority = "etcd-ca", .revoked_at = 1, .reason = 1};
    revocation_record_pack(&record, &row);
    fuzz_seed_choice(8, bytes_span(&row));
}

static void crl_seed(void)
{
    AUTO(bytes) row = {0};
    AUTO(crl_record) record = {.cluster = "lab", .authority = "etcd-ca", .generation = 1, .number = 7};
    bytes_append_text(&record.der, "der");
    crl_record_pack(&record, &row);
    fuzz_seed_choice(9, bytes_span(&row));
}

void fuzz_seeds(void)
{
    service_seed();
    authority_seed();
    cluster_seed();
    token_seed();
    certificate_seed();
    lineage_seed();
    deployed_seed();
    revocation_seed();
    crl_seed();
    fuzz_seed_choice(5,
                     span_text("# comment\n0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef # x\r\n"));
}
