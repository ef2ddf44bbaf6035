#include "ca/x509/request.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/der.h"
#include "ca/x509/extension.h"

/* CertificationRequestInfo, RFC 2986 §4.1 */
typedef struct {
    ASN1_INTEGER *version;
    ASN1_STRING *subject, *spki; /* raw DER */
    STACK_OF(X509_ATTRIBUTE) * attributes;
} REQUEST_INFO;

ASN1_SEQUENCE(REQUEST_INFO) = {
    ASN1_SIMPLE(REQUEST_INFO, version, ASN1_INTEGER),
    ASN1_SIMPLE(REQUEST_INFO, subject, ASN1_SEQUENCE),
    ASN1_SIMPLE(REQUEST_INFO, spki, ASN1_SEQUENCE),
    ASN1_IMP_SET_OF_OPT(REQUEST_INFO, attributes, X509_ATTRIBUTE, 0),
} DER_SEQUENCE_END(REQUEST_INFO);

AUTO_POINTER(X509_ATTRIBUTE, X509_ATTRIBUTE_free)

void request_cleanup(struct request *request)
{
    alternative_names_cleanup(&request->names);
    bytes_free(&request->der);
}

/* ---- excess ---- */

enum { OID_TEXT_SIZE = 64 };

static enum err __attribute__((format(printf, 3, 4)))
excess_add(struct request *request, struct fault *f, const char *format, ...)
{
    if (request->excess_count == REQUEST_EXCESS_MAX)
        return fault_set(f, CODE_MALFORMED_CSR, "the request asks for more than %d things that no profile grants",
                         REQUEST_EXCESS_MAX);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(request->excess[request->excess_count++], REQUEST_EXCESS_TEXT, format, arguments);
    va_end(arguments);
    return OK;
}

/* A part that was read well, but holds what we do not issue (CODE_INVALID), is excess; other errors stay errors. */
static enum err excess_if_invalid(struct request *request, enum err err, struct fault *f)
{
    if (err != ERR_INPUT || f->code != CODE_INVALID)
        return err;
    enum err added = excess_add(request, f, "%s", f->text);
    if (added == OK)
        fault_clear(f);
    return added;
}

static enum err excess_add_oid(struct request *request, const char *what, const ASN1_OBJECT *object, struct fault *f)
{
    char oid[OID_TEXT_SIZE];
    OBJ_obj2txt(oid, sizeof oid, object, 1);
    return excess_add(request, f, "%s %s", what, oid);
}

/* ---- extensions ---- */

static enum err extension_malformed(const char *name, struct fault *f)
{
    return fault_set(f, CODE_MALFORMED_CSR, "the extension %s that is asked for is not DER (RFC 5280 §4.2.1)", name);
}

static enum err names_read(struct span value, struct request *request, struct fault *f)
{
    CLEANUP(GENERAL_NAMES_auto) GENERAL_NAMES *names = der_decode(value, ASN1_ITEM_rptr(GENERAL_NAMES));
    if (!names)
        return extension_malformed("subjectAltName", f);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        enum err err = general_name_read(sk_GENERAL_NAME_value(names, i), &request->names, f);
        TRY(excess_if_invalid(request, err, f));
    }
    return OK;
}

static enum err key_usage_read(struct span value, struct request *request, struct fault *f)
{
    CLEANUP(ASN1_BIT_STRING_auto) ASN1_BIT_STRING *usage = der_decode(value, ASN1_ITEM_rptr(ASN1_BIT_STRING));
    if (!usage)
        return extension_malformed("keyUsage", f);
    request->has_key_usage = true;
    request->key_usage = key_usage_bits(usage);
    /* Named bits end with the last one that is set (X.690 §11.2.2), and there are nine. */
    CLEANUP(ASN1_BIT_STRING_auto) ASN1_BIT_STRING *again = key_usage_make(request->key_usage);
    AUTO(bytes) der = {0};
    der_append(&der, again, ASN1_ITEM_rptr(ASN1_BIT_STRING));
    return span_equal(bytes_span(&der), value) ? OK : extension_malformed("keyUsage", f);
}

static enum err extended_key_usage_read(struct span value, struct request *request, struct fault *f)
{
    CLEANUP(EXTENDED_KEY_USAGE_auto)
    EXTENDED_KEY_USAGE *usages = der_decode(value, ASN1_ITEM_rptr(EXTENDED_KEY_USAGE));
    if (!usages)
        return extension_malformed("extendedKeyUsage", f);
    request->has_extended_key_usage = true;
    for (int i = 0; i < sk_ASN1_OBJECT_num(usages); i++) {
        const ASN1_OBJECT *usage = sk_ASN1_OBJECT_value(usages, i);
        unsigned bit = extended_key_usage_bit(usage);
        if (!bit)
            TRY(excess_add_oid(request, "extended key usage", usage, f));
        else if (request->extended_key_usage & bit)
            TRY(excess_add_oid(request, "twice the extended key usage", usage, f));
        request->extended_key_usage |= bit;
    }
    return OK;
}

static enum err basic_constraints_read(struct span value, struct request *request, struct fault *f)
{
    CLEANUP(BASIC_CONSTRAINTS_auto)
    BASIC_CONSTRAINTS *constraints = der_decode(value, ASN1_ITEM_rptr(BASIC_CONSTRAINTS));
    if (!constraints)
        return extension_malformed("basicConstraints", f);
    if (constraints->ca || constraints->pathlen)
        return excess_add(request, f, "basicConstraints of a CA (RFC 5280 §4.2.1.9)");
    return OK;
}

static const struct {
    int nid;
    enum err (*read)(struct span value, struct request *request, struct fault *f);
} readers[] = {
    {NID_subject_alt_name, names_read},
    {NID_key_usage, key_usage_read},
    {NID_ext_key_usage, extended_key_usage_read},
    {NID_basic_constraints, basic_constraints_read},
};

static enum err extension_read(const extension_list *list, int at, struct request *request, struct fault *f)
{
    X509_EXTENSION *extension = sk_X509_EXTENSION_value(list, at);
    const ASN1_OBJECT *type = X509_EXTENSION_get_object(extension);
    if (X509v3_get_ext_by_OBJ(list, type, -1) != at)
        return excess_add_oid(request, "twice the extension", type, f);
    int nid = OBJ_obj2nid(type);
    for (size_t i = 0; i < ARRAY_SIZE(readers); i++)
        if (readers[i].nid == nid)
            return readers[i].read(der_string(X509_EXTENSION_get_data(extension)), request, f);
    return excess_add_oid(request, "extension", type, f);
}

/* OpenSSL reads any byte but 0 as TRUE, and writes it again as it was; DER has 0xff only (X.690 §11.1). */
static bool booleans_are_der(extension_list *list, struct span der)
{
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++) {
        X509_EXTENSION *extension = sk_X509_EXTENSION_value(list, i);
        X509_EXTENSION_set_critical(extension, X509_EXTENSION_get_critical(extension));
    }
    AUTO(bytes) again = {0};
    der_append(&again, list, ASN1_ITEM_rptr(X509_EXTENSIONS));
    return span_equal(bytes_span(&again), der);
}

static enum err extensions_read(struct span der, struct request *request, struct fault *f)
{
    CLEANUP(extension_list_auto) extension_list *list = der_decode(der, ASN1_ITEM_rptr(X509_EXTENSIONS));
    if (!list || !booleans_are_der(list, der))
        return fault_set(f, CODE_MALFORMED_CSR, "extensionRequest is not Extensions in DER (RFC 2985 §5.4.2)");
    for (int i = 0; i < sk_X509_EXTENSION_num(list); i++)
        TRY(extension_read(list, i, request, f));
    return OK;
}

/* ---- attributes ---- */

static enum err attribute_read(X509_ATTRIBUTE *attribute, struct request *request, struct fault *f)
{
    ASN1_OBJECT *type = X509_ATTRIBUTE_get0_object(attribute);
    if (OBJ_obj2nid(type) == NID_pkcs9_challengePassword)
        return excess_add(request, f, "attribute challengePassword"); /* its value may be a secret */
    if (OBJ_obj2nid(type) != NID_ext_req)
        return excess_add_oid(request, "attribute", type, f);
    const ASN1_TYPE *value = X509_ATTRIBUTE_get0_type(attribute, 0);
    if (X509_ATTRIBUTE_count(attribute) != 1 || ASN1_TYPE_get(value) != V_ASN1_SEQUENCE)
        return fault_set(f, CODE_MALFORMED_CSR, "extensionRequest must have exactly one value (RFC 2985 §5.4.2)");
    return extensions_read(der_string(value->value.sequence), request, f);
}

static enum err attributes_read(STACK_OF(X509_ATTRIBUTE) * attributes, struct request *request, struct fault *f)
{
    for (int i = 0; i < sk_X509_ATTRIBUTE_num(attributes); i++) {
        X509_ATTRIBUTE *attribute = sk_X509_ATTRIBUTE_value(attributes, i);
        for (int j = 0; j < i; j++)
            if (OBJ_cmp(X509_ATTRIBUTE_get0_object(attribute),
                        X509_ATTRIBUTE_get0_object(sk_X509_ATTRIBUTE_value(attributes, j))) == 0)
                return fault_set(f, CODE_MALFORMED_CSR, "an attribute twice (RFC 2986 §4.1)");
        TRY(attribute_read(attribute, request, f));
    }
    return OK;
}

/* ---- the request ---- */

static enum err subject_read(struct span der, struct request *request, struct fault *f)
{
    enum err err = distinguished_name_decode(der, &request->subject, f);
    if (err == ERR_INPUT && f->code == CODE_MALFORMED)
        return fault_set(f, CODE_MALFORMED_CSR, "the subject is not a Name in DER (RFC 2986 §4.1)");
    return excess_if_invalid(request, err, f);
}

static enum err info_read(const struct signed_object *object, struct request *request, struct fault *f)
{
    struct span body = object->body;
    CLEANUP(REQUEST_INFO_auto) REQUEST_INFO *info = der_decode(body, ASN1_ITEM_rptr(REQUEST_INFO));
    int64_t version = -1;
    if (!info)
        return fault_set(f, CODE_MALFORMED_CSR, "not a CertificationRequestInfo in DER (RFC 2986 §4.1)");
    if (!ASN1_INTEGER_get_int64(&version, info->version) || version != X509_REQ_VERSION_1)
        return fault_set(f, CODE_MALFORMED_CSR, "the version of the request is not 0 (RFC 2986 §4.1)");
    TRY(public_key_parse_proven(der_locate(body, info->spki), object, &request->public_key, f));
    TRY(subject_read(der_locate(body, info->subject), request, f));
    return attributes_read(info->attributes, request, f);
}

enum err request_parse(struct span der, struct request *ret_request, struct fault *f)
{
    if (der.size > REQUEST_SIZE_MAX)
        return fault_set(f, CODE_TOO_LARGE, "a request of %zu bytes: %d are the most", der.size, REQUEST_SIZE_MAX);
    AUTO(request) request = {0};
    TRY(bytes_copy(der, &request.der, f));
    struct signed_object object;
    if (!signed_object_decode(bytes_span(&request.der), &object))
        return fault_set(f, CODE_MALFORMED_CSR, "not a certification request in DER (RFC 2986 §4.2)");
    TRY(info_read(&object, &request, f));
    *ret_request = request;
    request = (struct request){0};
    return OK;
}

enum err request_parse_pem(struct span pem, struct request *ret_request, struct fault *f)
{
    char label[PEM_LABEL_SIZE], label_behind[PEM_LABEL_SIZE];
    AUTO(bytes) der = {0}, behind = {0};
    enum err err = pem_next(&pem, label, &der, f);
    if (err == ERR_ABSENT ||
        (err == OK && strcmp(label, "CERTIFICATE REQUEST") != 0 && strcmp(label, "NEW CERTIFICATE REQUEST") != 0))
        return fault_set(f, CODE_MALFORMED_CSR, "expected a PEM block \"CERTIFICATE REQUEST\" (RFC 7468 §7)");
    TRY(err);
    if (pem_next(&pem, label_behind, &behind, f) != ERR_ABSENT)
        return fault_set(f, CODE_MALFORMED_CSR, "more than one PEM block: send one request");
    fault_clear(f);
    return request_parse(bytes_span(&der), ret_request, f);
}

/* ---- making ---- */

static enum err attributes_make(const struct alternative_names *names, REQUEST_INFO *info, struct fault *f)
{
    CLEANUP(extension_list_auto) extension_list *list = NULL;
    if (!(info->attributes = sk_X509_ATTRIBUTE_new_null()))
        return fault_no_memory(f);
    if (!names || alternative_names_empty(names))
        return OK;
    AUTO(bytes) value = {0};
    if (!extension_add(&list, NID_subject_alt_name, false, general_names_make(names)))
        return fault_openssl(f, "cannot make a request");
    der_append(&value, list, ASN1_ITEM_rptr(X509_EXTENSIONS));
    TRY(bytes_check(&value, f));
    if (!X509at_add1_attr_by_NID(&info->attributes, NID_ext_req, V_ASN1_SEQUENCE, value.data, (int)value.size))
        return fault_openssl(f, "cannot make a request");
    return OK;
}

static enum err info_make(struct span subject, struct span spki, const struct alternative_names *names,
                          struct bytes *body, struct fault *f)
{
    CLEANUP(REQUEST_INFO_auto) REQUEST_INFO *info = der_new(ASN1_ITEM_rptr(REQUEST_INFO));
    if (!info || !ASN1_INTEGER_set(info->version, X509_REQ_VERSION_1) || !der_string_set(info->subject, subject) ||
        !der_string_set(info->spki, spki))
        return fault_no_memory(f);
    TRY(attributes_make(names, info, f));
    der_append(body, info, ASN1_ITEM_rptr(REQUEST_INFO));
    return bytes_check(body, f);
}

enum err request_make(EVP_PKEY *key, const struct distinguished_name *subject, const struct alternative_names *names,
                      struct bytes *ret_der, struct fault *f)
{
    AUTO(bytes) subject_der = {0}, spki = {0}, body = {0}, signature = {0}, der = {0};
    struct public_key public_key;
    TRY(distinguished_name_encode(subject, &subject_der, f));
    TRY(key_spki(key, &spki, f));
    TRY(public_key_parse(bytes_span(&spki), &public_key, f));
    TRY(info_make(bytes_span(&subject_der), bytes_span(&spki), names, &body, f));
    TRY(key_sign(key, public_key.algorithm, bytes_span(&body), &signature, f));
    struct signed_object object = {bytes_span(&body), signature_algorithm(public_key.algorithm),
                                   bytes_span(&signature)};
    signed_object_append(&der, &object);
    TRY(bytes_check(&der, f));
    *ret_der = der;
    der = (struct bytes){0};
    return OK;
}
