/* certificates.c: reading what was issued, and recognising who presents it. */
#include <string.h>

#include "ca/base/encode.h"
#include "ca/lineage.h"

enum err certificate_get(struct ca *ca, const uint8_t serial[SERIAL_SIZE], struct certificate_record *ret_record,
                         struct fault *f)
{
    AUTO(bytes) key = {0};
    AUTO(bytes) row = {0};
    key_certificate(serial, &key);
    TRY(bytes_check(&key, f));
    enum err err = store_get(ca->store, bytes_span(&key), &row, NULL, f);
    if (err == ERR_ABSENT)
        return fault_set(f, CODE_NOT_FOUND, "no certificate with this serial was issued here");
    TRY(err);
    return certificate_record_unpack(bytes_span(&row), ret_record, f);
}

/* The record decides, never what the certificate says of itself: it must be byte for byte what was issued. */
static enum err record_authenticate(const struct certificate_record *record, struct span der, int64_t now,
                                    struct caller *ret_caller, struct fault *f)
{
    if (!span_equal(bytes_span(&record->certificate), der) || !record->role)
        return fault_set(f, CODE_UNAUTHENTICATED, "this certificate is no identity of this service");
    const char *state = certificate_record_state(record, now);
    if (strcmp(state, "valid") != 0 || now < record->not_before)
        return fault_set(f, CODE_UNAUTHENTICATED, "this identity is %s; have a new one made",
                         now < record->not_before ? "not valid yet" : state);
    struct caller caller = {.kind = record->role};
    strcpy(caller.name, record->role == REQUESTER_NODE ? record->node : record->identity);
    if (record->role == REQUESTER_NODE) {
        strcpy(caller.cluster, record->cluster);
        strcpy(caller.node, record->node);
    }
    *ret_caller = caller;
    return OK;
}

/* A node's identity counts until its successor is installed. */
static enum err identity_check(struct ca *ca, const struct certificate_record *record, struct fault *f)
{
    const struct place place = {record->cluster, record->node, record->profile};
    struct lineage_record lineage;
    uint64_t revision;
    if (record->role != REQUESTER_NODE)
        return OK;
    TRY(lineage_row(ca, &place, &lineage, &revision, f));
    if (!lineage_superseded(&lineage, record->serial))
        return OK;
    char serial[SERIAL_TEXT_SIZE];
    hex_text(SPAN_OF(lineage.current), serial, sizeof serial);
    return fault_set(f, CODE_UNAUTHENTICATED, "this identity is superseded by %s, which is installed", serial);
}

enum err certificate_authenticate(struct ca *ca, struct span der, bool replaced_too, struct caller *ret_caller,
                                  struct fault *f)
{
    uint8_t serial[SERIAL_SIZE];
    AUTO(certificate_record) record = {0};
    enum err err = certificate_serial(der, serial, f);
    if (err == OK)
        err = certificate_get(ca, serial, &record, f);
    if (err == ERR_INPUT || err == ERR_ABSENT) {
        fault_clear(f);
        return fault_set(f, CODE_UNAUTHENTICATED, "this certificate is no identity of this service");
    }
    TRY(err);
    TRY(record_authenticate(&record, der, ca_now(ca), ret_caller, f));
    return replaced_too ? OK : identity_check(ca, &record, f);
}
