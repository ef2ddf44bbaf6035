#include "policies/difference.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"

const char *const difference_words[] = {NULL, "names", "issuer", "profile"};

/* Adds to the detail: "a; b". What has no room is left out. */
__attribute__((format(printf, 2, 3))) static void add(char *detail, const char *format, ...)
{
    size_t used = strlen(detail);
    va_list arguments;
    va_start(arguments, format);
    if (used > 0 && used + 2 < DIFFERENCE_TEXT_SIZE) {
        memcpy(detail + used, "; ", 3);
        used += 2;
    }
    vsnprintf(detail + used, DIFFERENCE_TEXT_SIZE - used, format, arguments);
    va_end(arguments);
}

/* Of these names, those that the others are without. */
static void names_without(const struct alternative_names *names, const struct alternative_names *others,
                          const char *what, char *detail)
{
    for (size_t i = 0; i < names->dns_count; i++)
        if (!alternative_names_has_dns(others, names->dns[i]))
            add(detail, "%s %s", what, names->dns[i]);
    for (size_t i = 0; i < names->addresses_count; i++)
        if (!alternative_names_has_address(others, &names->addresses[i])) {
            char text[ADDRESS_TEXT_SIZE];
            address_text(&names->addresses[i], text);
            add(detail, "%s %s", what, text);
        }
}

static void subject_compare(const struct certificate_content *has, const struct certificate_content *today,
                            char *detail)
{
    char before[100], now[100];
    if (distinguished_name_equal(&has->subject, &today->subject))
        return;
    distinguished_name_text(&has->subject, before, sizeof before);
    distinguished_name_text(&today->subject, now, sizeof now);
    add(detail, "subject \"%s\" instead of \"%s\"", before, now);
}

/* keyEncipherment follows from the kind of the key, which the node may choose (decide.c). */
static void usages_compare(const struct certificate *certificate, const struct catalogue_item *item, char *detail)
{
    const struct certificate_content *has = &certificate->body.content;
    bool rsa = key_algorithm_is_rsa(certificate->public_key.algorithm);
    unsigned ignored = rsa == key_algorithm_is_rsa(item->algorithm) ? 0 : USAGE_KEY_ENCIPHERMENT;
    if (((has->key_usage ^ item->content.key_usage) & ~ignored) ||
        has->extended_key_usage != item->content.extended_key_usage)
        add(detail, "other usages");
}

static void profile_compare(const struct certificate *certificate, const struct profile *profile, char *detail)
{
    const struct certificate_content *has = &certificate->body.content;
    if (!(profile->keys & 1u << certificate->public_key.algorithm))
        add(detail, "the profile takes no %s keys", key_algorithm_name(certificate->public_key.algorithm));
    if (has->not_after - has->not_before > profile->lifetime_seconds + profile->backdate_seconds) {
        char text[DURATION_TEXT_SIZE];
        duration_text(profile->lifetime_seconds, text);
        add(detail, "it lives longer than %s", text);
    }
}

enum difference difference_find(const struct certificate *certificate, const struct catalogue_item *item,
                                const uint8_t issuer_key[KEY_IDENTIFIER_SIZE], char ret_detail[DIFFERENCE_TEXT_SIZE])
{
    const struct certificate_content *has = &certificate->body.content, *today = &item->content;
    ret_detail[0] = '\0';
    subject_compare(has, today, ret_detail);
    names_without(&today->names, &has->names, "without", ret_detail);
    names_without(&has->names, &today->names, "with", ret_detail);
    usages_compare(certificate, item, ret_detail);
    if (ret_detail[0])
        return DIFFERENCE_NAMES;
    if (!certificate->body.has_authority_key_identifier ||
        memcmp(certificate->body.authority_key_identifier, issuer_key, KEY_IDENTIFIER_SIZE) != 0) {
        add(ret_detail, "of another CA than the one that issues now");
        return DIFFERENCE_ISSUER;
    }
    profile_compare(certificate, item->profile, ret_detail);
    return ret_detail[0] ? DIFFERENCE_PROFILE : DIFFERENCE_NONE;
}
