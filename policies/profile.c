#include "policies/profile.h"

#include <stdlib.h>
#include <string.h>

#include "policies/cluster.h"
#include "policies/shipped.h"
#include "policies/words.h"

const char *const node_role_words[] = {"etcd", "control-plane", "worker", "load-balancer", NULL};

/* In the order of the bits of enum requester. */
const char *const requester_words[] = {"token", "node", "operator", "admin", "auditor", "service", NULL};
static const char *const name_source_words[] = {"node.name",     "node.hostnames",    "node.addresses",
                                                "service.names", "cluster.apiserver", NULL};

/* The authorities of a cluster, and the service's own. */
static const char *const issuer_words[] = {"etcd-ca", "kubernetes", "front-proxy-ca", AUTHORITY_SERVICE, NULL};

static const unsigned leaf_usages = USAGE_DIGITAL_SIGNATURE | USAGE_KEY_ENCIPHERMENT;
static const int64_t backdate_max_seconds = 3600, lifetime_min_seconds = 600, lifetime_max_seconds = 366LL * 86400;

/* ---- parts of the document ---- */

static void common_name_prefix_read(const struct node *subject, struct profile *profile)
{
    static const char *const prefixes[] = {KUBELET_COMMON_NAME_PREFIX, NULL};
    struct node prefix = node_get(subject, "commonNamePrefix");
    size_t word;
    if (!node_word(&prefix, NODE_OPTIONAL, prefixes, &word))
        return;
    strcpy(profile->common_name_prefix, prefixes[word]);
    if (profile->common_name_from != COMMON_NAME_NODE)
        node_error(&prefix, "commonNamePrefix goes before a node's name: it needs commonNameFrom: node.name");
}

static void common_name_read(const struct node *subject, struct profile *profile)
{
    static const char *const sources[] = {"node.name", "identity.name", "user.name", NULL};
    struct node literal = node_get(subject, "commonName");
    struct node from = node_get(subject, "commonNameFrom");
    size_t source;
    if (node_present(&literal) == node_present(&from))
        node_error(subject, "\"subject\" must have one of commonName and commonNameFrom");
    node_text(&literal, NODE_OPTIONAL, profile->subject.common_name, sizeof profile->subject.common_name);
    if (node_word(&from, NODE_OPTIONAL, sources, &source))
        profile->common_name_from = (enum common_name_source)(COMMON_NAME_NODE + source);
    common_name_prefix_read(subject, profile);
}

static void organizations_read(const struct node *subject, struct profile *profile)
{
    static const char *const sources[] = {"kubernetes.kubelet-client", "kubernetes.admin", "kubernetes.super-admin",
                                          "user.groups", NULL};
    struct node organizations = node_get(subject, "organizations");
    struct node from = node_get(subject, "organizationsFrom");
    size_t source;
    if (node_present(&organizations) && node_present(&from))
        node_error(subject, "\"subject\" may have one of organizations and organizationsFrom");
    if (node_word(&from, NODE_OPTIONAL, sources, &source))
        profile->organizations_from = (enum organization_source)(ORGANIZATIONS_KUBELET_CLIENT + source);
    if (profile->organizations_from == ORGANIZATIONS_USER && profile->common_name_from != COMMON_NAME_USER)
        node_error(&from, "user.groups are those of a user: they need commonNameFrom: user.name");
    size_t count = node_count(&organizations, NODE_OPTIONAL, ORGANIZATIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&organizations, i);
        char *text = profile->subject.organizations[profile->subject.organizations_count];
        if (node_text(&item, NODE_REQUIRED, text, ATTRIBUTE_MAX + 1))
            profile->subject.organizations_count++;
    }
}

static void subject_read(const struct node *root, struct profile *profile)
{
    static const char *const keys[] = {"commonName",    "commonNameFrom",    "commonNamePrefix",
                                       "organizations", "organizationsFrom", NULL};
    struct node subject = node_get(root, "subject");
    if (!node_present(&subject))
        node_error(root, "\"subject\" is missing");
    node_allow(&subject, keys);
    common_name_read(&subject, profile);
    organizations_read(&subject, profile);
}

static void dns_read(const struct node *list, struct profile *profile)
{
    size_t count = node_count(list, NODE_OPTIONAL, ALTERNATIVE_NAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(list, i);
        const char *name;
        if (!node_string(&item, NODE_REQUIRED, &name))
            continue;
        struct fault fault = {0};
        if (!dns_name_valid(name))
            node_error(&item, "\"%s\" is no DNS name in lower case", name);
        else if (alternative_names_add_dns(&profile->names, name, &fault) != OK)
            node_error(&item, "%s", fault.text);
    }
}

static void addresses_read(const struct node *list, struct profile *profile)
{
    size_t count = node_count(list, NODE_OPTIONAL, ALTERNATIVE_NAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(list, i);
        const char *text;
        struct address address;
        struct fault fault = {0};
        if (!node_string(&item, NODE_REQUIRED, &text))
            continue;
        if (address_parse(text, &address, &fault) != OK ||
            alternative_names_add_address(&profile->names, &address, &fault) != OK)
            node_error(&item, "%s", fault.text);
    }
}

static void names_read(const struct node *root, struct profile *profile)
{
    static const char *const keys[] = {"from", "dns", "addresses", NULL};
    struct node names = node_get(root, "names");
    struct node from = node_get(&names, "from");
    struct node dns = node_get(&names, "dns");
    struct node addresses = node_get(&names, "addresses");
    node_allow(&names, keys);
    profile->names_from = words_read(&from, NODE_OPTIONAL, name_source_words);
    dns_read(&dns, profile);
    addresses_read(&addresses, profile);
}

static void usages_read(const struct node *root, struct profile *profile)
{
    struct node usage = node_get(root, "keyUsage");
    struct node extended = node_get(root, "extendedKeyUsage");
    struct node keys = node_get(root, "keys");
    profile->key_usage = words_read(&usage, NODE_REQUIRED, usage_words);
    profile->extended_key_usage = words_read(&extended, NODE_REQUIRED, extended_usage_words);
    profile->keys = words_read(&keys, NODE_REQUIRED, key_words) << KEY_ECDSA_P256;
    if (profile->key_usage & ~leaf_usages || !(profile->key_usage & USAGE_DIGITAL_SIGNATURE))
        node_error(&usage, "a profile has digitalSignature, and at most keyEncipherment with it");
    if (!profile->extended_key_usage)
        node_error(&extended, "a profile needs serverAuth or clientAuth");
    if (!profile->keys)
        node_error(&keys, "a profile needs at least one kind of key");
    bool named = profile->names_from || !alternative_names_empty(&profile->names);
    if (profile->extended_key_usage & EXTENDED_SERVER_AUTH && !named)
        node_error(&extended, "a certificate for serverAuth needs names");
}

static void times_read(const struct node *root, struct profile *profile)
{
    struct node lifetime = node_get(root, "lifetime");
    struct node standard = node_get(root, "defaultLifetime");
    struct node backdate = node_get(root, "backdate");
    if (node_duration(&lifetime, NODE_REQUIRED, &profile->lifetime_seconds) &&
        (profile->lifetime_seconds < lifetime_min_seconds || profile->lifetime_seconds > lifetime_max_seconds))
        node_error(&lifetime, "a certificate lives between 10 minutes and 366 days");
    profile->default_lifetime_seconds = profile->lifetime_seconds;
    if (node_duration(&standard, NODE_OPTIONAL, &profile->default_lifetime_seconds) &&
        (profile->default_lifetime_seconds < lifetime_min_seconds ||
         profile->default_lifetime_seconds > profile->lifetime_seconds))
        node_error(&standard, "defaultLifetime is at least 10 minutes and not longer than lifetime");
    if (node_duration(&backdate, NODE_REQUIRED, &profile->backdate_seconds) &&
        profile->backdate_seconds > backdate_max_seconds)
        node_error(&backdate, "a certificate is backdated by an hour at most");
}

/* Which requesters and nodes fit together. */
static void audience_read(const struct node *root, struct profile *profile)
{
    struct node requesters = node_get(root, "requesters");
    struct node roles = node_get(root, "nodeRoles");
    profile->requesters = words_read(&requesters, NODE_REQUIRED, requester_words);
    profile->node_roles = words_read(&roles, NODE_REQUIRED, node_role_words);
    if (!profile->requesters)
        node_error(&requesters, "nobody could ask for this profile");
    unsigned node_sources = NAMES_NODE_NAME | NAMES_NODE_HOSTNAMES | NAMES_NODE_ADDRESSES | NAMES_APISERVER;
    bool of_user = profile->common_name_from == COMMON_NAME_USER;
    bool of_version = profile->organizations_from != ORGANIZATIONS_LITERAL && !of_user;
    bool of_node = profile->names_from & node_sources || profile->common_name_from == COMMON_NAME_NODE || of_version;
    bool of_nobody =
        profile->names_from & NAMES_SERVICE || profile->common_name_from == COMMON_NAME_IDENTITY || of_user;
    if (of_node && !profile->node_roles)
        node_error(&roles, "a profile that takes names from a node or its cluster needs nodeRoles");
    if (of_nobody && profile->node_roles)
        node_error(&roles, "a profile of an identity, a user or of the service itself is not for nodes");
    if (of_user && strcmp(profile->issuer, AUTHORITY_SERVICE) == 0)
        node_error(&roles, "a profile of a user is issued by a CA of the cluster");
    if (profile->requesters & (REQUESTER_TOKEN | REQUESTER_NODE) && !profile->node_roles)
        node_error(&requesters, "a profile without nodeRoles is not for tokens and nodes");
}

enum err profile_read(const struct document *document, struct profile *ret_profile, struct fault *f)
{
    static const char *const keys[] = {
        "apiVersion", "kind",  "name",     "description",      "issuer", "requesters", "nodeRoles",
        "subject",    "names", "keyUsage", "extendedKeyUsage", "keys",   "lifetime",   "defaultLifetime",
        "backdate",   NULL};
    AUTO(profile) profile = {0};
    struct node root = document_root(document, f);
    struct node name = node_get(&root, "name");
    struct node description = node_get(&root, "description");
    struct node issuer = node_get(&root, "issuer");
    size_t word;
    node_allow(&root, keys);
    document_kind(&root, "Profile");
    if (node_text(&name, NODE_REQUIRED, profile.name, sizeof profile.name) &&
        (!dns_name_valid(profile.name) || strchr(profile.name, '.')))
        node_error(&name, "\"%s\" is no name of lower-case letters, digits and hyphens", profile.name);
    node_text(&description, NODE_REQUIRED, profile.description, sizeof profile.description);
    if (node_word(&issuer, NODE_REQUIRED, issuer_words, &word))
        strcpy(profile.issuer, issuer_words[word]);
    subject_read(&root, &profile);
    names_read(&root, &profile);
    audience_read(&root, &profile);
    usages_read(&root, &profile);
    times_read(&root, &profile);
    TRY(fault_if_reasons(f, CODE_INVALID, "%s is not a valid profile", document_name(document)));
    *ret_profile = profile;
    profile = (struct profile){0};
    return OK;
}

void profile_cleanup(struct profile *profile)
{
    alternative_names_cleanup(&profile->names);
}

/* ---- the subject ---- */

size_t profile_name_max(const struct profile *profile)
{
    return ATTRIBUTE_MAX - strlen(profile->common_name_prefix);
}

/* The organization that this version has here: "" for none, NULL when it has no such subject. */
static const char *organization_of(const struct profile *profile, const struct kubernetes_facts *facts)
{
    switch (profile->organizations_from) {
    case ORGANIZATIONS_KUBELET_CLIENT:
        return facts->kubelet_client_organization;
    case ORGANIZATIONS_ADMIN:
        return facts->admin_organization;
    case ORGANIZATIONS_SUPER_ADMIN:
        return facts->super_admin_organization;
    case ORGANIZATIONS_USER:
    case ORGANIZATIONS_LITERAL:
        break;
    }
    return "";
}

bool profile_subject(const struct profile *profile, const char *name, const struct kubernetes_facts *facts,
                     struct distinguished_name *ret_subject)
{
    const char *organization = facts ? organization_of(profile, facts) : "";
    if (!organization)
        return false;
    *ret_subject = profile->subject;
    if (profile->common_name_from != COMMON_NAME_LITERAL)
        snprintf(ret_subject->common_name, sizeof ret_subject->common_name, "%s%.*s", profile->common_name_prefix,
                 (int)profile_name_max(profile), name);
    if (organization[0])
        strcpy(ret_subject->organizations[ret_subject->organizations_count++], organization);
    return true;
}

/* ---- the shipped ones ---- */

static enum err shipped_read(const struct shipped_document *shipped, struct profile *ret_profile, struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    TRY(document_parse(span_text(shipped->text), shipped->name, &document, f));
    return profile_read(document, ret_profile, f);
}

enum err profiles_shipped(struct profiles *ret_profiles, struct fault *f)
{
    AUTO(profiles) profiles = {.items = calloc(PROFILES_MAX, sizeof(struct profile))};
    if (!profiles.items)
        return fault_no_memory(f);
    for (const struct shipped_document *shipped = shipped_profiles; shipped->name; shipped++) {
        if (profiles.count == PROFILES_MAX)
            return fault_set(f, CODE_INTERNAL, "more than %d profiles", PROFILES_MAX);
        TRY(shipped_read(shipped, &profiles.items[profiles.count], f));
        profiles.count++;
    }
    *ret_profiles = profiles;
    profiles = (struct profiles){0};
    return OK;
}

const struct profile *profiles_find(const struct profiles *profiles, const char *name)
{
    for (size_t i = 0; i < profiles->count; i++)
        if (strcmp(profiles->items[i].name, name) == 0)
            return &profiles->items[i];
    return NULL;
}

void profiles_cleanup(struct profiles *profiles)
{
    for (size_t i = 0; i < profiles->count; i++)
        profile_cleanup(&profiles->items[i]);
    free(profiles->items);
}
