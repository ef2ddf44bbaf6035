#include "client/pki_folder.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/leaf.h"
#include "client/text.h"
#include "policies/cluster.h"

AUTO_POINTER(BIO, BIO_free)

/* ---- CAs ---- */

enum place { PLACE_PKI, PLACE_ETCD, PLACE_PKI_FOR_ETCD }; /* the last one only when etcd has no folder of its own */

static const struct {
    const char *name;
    enum place place;
    const char *stem;
} places[] = {
    {"etcd-ca", PLACE_ETCD, "ca"},
    {"etcd-ca", PLACE_ETCD, "etcd-ca"},
    {"etcd-ca", PLACE_PKI_FOR_ETCD, "etcd/ca"},
    {"etcd-ca", PLACE_PKI_FOR_ETCD, "etcd/etcd-ca"},
    {"etcd-ca", PLACE_PKI_FOR_ETCD, "etcd-ca"},
    {"kubernetes", PLACE_PKI, "ca"},
    {"front-proxy-ca", PLACE_PKI, "front-proxy-ca"},
};

static const struct {
    const char *certificate, *key;
} suffixes[] = {{".crt", ".key"}, {".pem", "-key.pem"}};

static const char *place_path(const struct pki_folder *folder, enum place place)
{
    if (place == PLACE_ETCD)
        return folder->etcd_path;
    return place == PLACE_PKI || !folder->etcd_path ? folder->path : NULL;
}

static bool path_make(char path[PATH_MAX], const char *folder, const char *stem, const char *suffix)
{
    return snprintf(path, PATH_MAX, "%s/%s%s", folder, stem, suffix) < PATH_MAX;
}

/* The first place with a certificate; false when there is none. */
static bool authority_find(const struct pki_folder *folder, const char *name, struct pki_authority *authority)
{
    authority->name = name;
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        const char *path = place_path(folder, places[i].place);
        if (!path || strcmp(places[i].name, name) != 0)
            continue;
        for (size_t s = 0; s < ARRAY_SIZE(suffixes); s++)
            if (path_make(authority->certificate, path, places[i].stem, suffixes[s].certificate) &&
                path_make(authority->key, path, places[i].stem, suffixes[s].key) &&
                access(authority->certificate, F_OK) == 0)
                return true;
    }
    return false;
}

enum err pki_authorities(const struct pki_folder *folder, bool may_miss, struct pki_authority *ret_authorities,
                         size_t *ret_count, struct fault *f)
{
    size_t count = 0;
    for (const char *const *name = cluster_authorities; *name; name++) {
        struct pki_authority *authority = &ret_authorities[count];
        if (!authority_find(folder, *name, authority)) {
            if (!may_miss)
                fault_reason(f, *name, "no certificate of this CA is there: --generate-missing makes a new CA");
            continue;
        }
        count++;
        if (access(authority->key, F_OK) != 0)
            fault_reason(f, *name, "%.120s is there without its key %.120s: bring it from where it is kept",
                         authority->certificate, authority->key);
    }
    if (count == 0)
        fault_reason(f, "", "there is no CA at all");
    *ret_count = count;
    return fault_if_reasons(f, CODE_INVALID, "the CAs in %.300s are not complete", folder->path);
}

/* ---- leaves ---- */

struct listing {
    const struct pki_authority *authorities;
    const struct import *imports;
    size_t count;
    json_t *items;
};

static X509 *leaf_read(const char *path)
{
    AUTO(bytes) text = {0};
    struct fault ignored = {0};
    return file_read(path, &text, &ignored) == OK ? leaf_read_pem(bytes_span(&text)) : NULL;
}

static json_t *name_json(const X509_NAME *name)
{
    CLEANUP(BIO_auto) BIO *out = BIO_new(BIO_s_mem());
    char text[512] = "";
    if (out && X509_NAME_print_ex(out, name, 0, XN_FLAG_RFC2253) >= 0)
        BIO_gets(out, text, sizeof text);
    printable(text);
    return json_string(text);
}

static json_t *end_json(const X509 *leaf)
{
    struct tm utc;
    char text[TIME_TEXT_SIZE] = "?";
    if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &utc))
        time_text(timegm(&utc), text);
    return json_string(text);
}

static json_t *hex_json(struct span data)
{
    AUTO(bytes) text = {0};
    hex_append(&text, data);
    return json_string(bytes_text(&text));
}

static const char *leaf_authority(const struct listing *listing, X509 *leaf)
{
    for (size_t i = 0; i < listing->count; i++)
        if (leaf_signed_by(leaf, &listing->imports[i].certificate.public_key))
            return listing->authorities[i].name;
    return NULL;
}

static void leaf_add(struct listing *listing, const char *file, X509 *leaf)
{
    uint8_t hash[SHA256_SIZE];
    const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
    const char *authority = leaf_authority(listing, leaf);
    if (X509_digest(leaf, EVP_sha256(), hash, NULL) != 1)
        return;
    json_t *item = json_pack("{ss so so so so so}", "file", file, "serial",
                             hex_json(span(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial))),
                             "sha256", hex_json(SPAN_OF(hash)), "subject", name_json(X509_get_subject_name(leaf)),
                             "issuer", name_json(X509_get_issuer_name(leaf)), "not_after", end_json(leaf));
    if (item && authority)
        json_object_set_new(item, "authority", json_string(authority));
    json_array_append_new(listing->items, item);
}

static int certificate_named(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && (strcmp(dot, ".crt") == 0 || strcmp(dot, ".pem") == 0);
}

/* prefix: how the files of this folder are named in the list. A folder that is not there has nothing. */
static void folder_list(const char *path, const char *prefix, struct listing *listing)
{
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, certificate_named, alphasort);
    for (int i = 0; i < count; i++) {
        char file[PATH_MAX], name[NAME_MAX + 8];
        snprintf(name, sizeof name, "%s%s", prefix, entries[i]->d_name);
        CLEANUP(X509_auto)
        X509 *leaf = path_make(file, path, entries[i]->d_name, "") ? leaf_read(file) : NULL;
        if (leaf && json_array_size(listing->items) < PKI_CERTIFICATES_MAX)
            leaf_add(listing, name, leaf);
        free(entries[i]);
    }
    free(entries);
}

enum err pki_certificates(const struct pki_folder *folder, const struct pki_authority *authorities,
                          const struct import *imports, size_t count, json_t **ret_list, struct fault *f)
{
    struct listing listing = {authorities, imports, count, json_array()};
    char etcd[PATH_MAX];
    if (!listing.items)
        return fault_no_memory(f);
    folder_list(folder->path, "", &listing);
    if (folder->etcd_path)
        folder_list(folder->etcd_path, "etcd/", &listing);
    else if (path_make(etcd, folder->path, "etcd", ""))
        folder_list(etcd, "etcd/", &listing);
    *ret_list = listing.items;
    return OK;
}
