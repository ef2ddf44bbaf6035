/* Profiles: what is accepted is accepted again as JSON, with the same meaning. */
#include "policies/profile.h"

#include <stdlib.h>
#include <string.h>

#include "policies/shipped.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/x509.h"

static void profile_hold(const struct profile *profile)
{
    HOLDS(dns_name_valid(profile->name) && profile->requesters && profile->keys && profile->key_usage);
    HOLDS(profile->extended_key_usage && profile->lifetime_seconds > 0 && profile->backdate_seconds >= 0);
    HOLDS((profile->common_name_from == COMMON_NAME_LITERAL) == (profile->subject.common_name[0] != '\0'));
    HOLDS(!(profile->key_usage & (USAGE_KEY_CERT_SIGN | USAGE_CRL_SIGN)));
}

static bool profiles_same(const struct profile *a, const struct profile *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->description, b->description) == 0 &&
           strcmp(a->issuer, b->issuer) == 0 && a->requesters == b->requesters && a->node_roles == b->node_roles &&
           a->common_name_from == b->common_name_from && subject_same(&a->subject, &b->subject) &&
           strcmp(a->common_name_prefix, b->common_name_prefix) == 0 &&
           a->organizations_from == b->organizations_from && a->names_from == b->names_from &&
           names_same(&a->names, &b->names) && a->key_usage == b->key_usage &&
           a->extended_key_usage == b->extended_key_usage && a->keys == b->keys &&
           a->lifetime_seconds == b->lifetime_seconds && a->backdate_seconds == b->backdate_seconds;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(document_auto) struct document *document = NULL, *json = NULL;
    struct profile profile;
    AUTO(profile) again = {0};
    struct fault *f = fuzz_fault();
    if (document_parse(span(data, size), "profile.yaml", &document, f) != OK)
        return 0;
    fuzz_fresh(&profile, sizeof profile);
    if (!fuzz_kept(profile_read(document, &profile, f), f, &profile, sizeof profile))
        return 0;
    profile_hold(&profile);
    char *text = json_dumps(document_json(document), JSON_COMPACT);
    HOLDS(text);
    fuzz_must(document_parse_json(span_text(text), &json, f), f);
    free(text);
    fuzz_must(profile_read(json, &again, f), f);
    HOLDS(profiles_same(&profile, &again));
    profile_cleanup(&profile);
    return 0;
}

void fuzz_seeds(void)
{
    for (const struct shipped_document *shipped = shipped_profiles; shipped->name; shipped++)
        fuzz_seed_text(shipped->text);
}
