#include "policies/decide.h"

#include <string.h>

#include "ca/base/encode.h"
#include "policies/apiserver.h"

static const int64_t lifetime_min_seconds = 60;

/* What the decision is made from, and where its reasons go. */
struct inquiry {
    const struct profile *profile;
    const struct caller *caller;
    const struct subject_of_decision *subject;
    const struct request *request;
    const struct node_entry *node; /* of the inventory; NULL when there is none */
    struct fault *f;
};

/* ---- who may ask ---- */

/* The words whose bits are set. */
static void words_text(unsigned bits, const char *const *words, char *ret_text, size_t size)
{
    ret_text[0] = '\0';
    for (size_t i = 0; words[i]; i++)
        if (bits & 1u << i) {
            size_t used = strlen(ret_text);
            snprintf(ret_text + used, size - used, "%s%s", used ? ", " : "", words[i]);
        }
}

static void caller_check(const struct inquiry *in)
{
    const struct caller *caller = in->caller;
    if (!(in->profile->requesters & caller->kind)) {
        char kind[80], allowed[80];
        words_text(caller->kind, requester_words, kind, sizeof kind);
        words_text(in->profile->requesters, requester_words, allowed, sizeof allowed);
        fault_reason(in->f, "/profile", "profile \"%s\" is for %s to ask for; this caller is %s", in->profile->name,
                     allowed, kind);
    }
    if (caller->kind != REQUESTER_TOKEN && caller->kind != REQUESTER_NODE)
        return;
    if (!in->subject->cluster || strcmp(in->subject->cluster->name, caller->cluster) != 0)
        fault_reason(in->f, "/cluster", "this caller belongs to cluster \"%s\"", caller->cluster);
    if (strcmp(in->subject->node, caller->node) != 0)
        fault_reason(in->f, "/node", "this caller is for node \"%s\" only", caller->node);
}

/* All control planes have one certificate: of the key that its custodian made. */
static void shared_check(const struct inquiry *in)
{
    const struct subject_of_decision *subject = in->subject;
    const char *custodian = subject->custodian;
    if (!custodian[0])
        fault_reason(in->f, "/node",
                     "the control planes of cluster \"%s\" share one %s; none has claimed its key yet, as `ensign "
                     "enroll` does",
                     subject->cluster->name, in->profile->name);
    else if (strcmp(custodian, in->node->name) != 0)
        fault_reason(in->f, "/node", "the control planes of cluster \"%s\" share one %s, and \"%s\" is its custodian",
                     subject->cluster->name, in->profile->name, custodian);
    else if (subject->key_unclaimed)
        fault_reason(in->f, "/csr/publicKey", "\"%s\" claimed another key for the %s that the control planes share",
                     custodian, in->profile->name);
}

/* The profile is for nodes: which one, and does it have the role? */
static void node_check(struct inquiry *in)
{
    const struct subject_of_decision *subject = in->subject;
    if (!in->profile->node_roles) {
        if (subject->node[0])
            fault_reason(in->f, "/node", "profile \"%s\" is not for nodes", in->profile->name);
        return;
    }
    in->node = subject->cluster ? cluster_node(subject->cluster, subject->node) : NULL;
    if (!in->node) {
        if (subject->node[0])
            fault_reason(in->f, "/node", "the inventory has no node \"%s\"", subject->node);
        else
            fault_reason(in->f, "/node", "which node? profile \"%s\" is for one", in->profile->name);
        return;
    }
    char wanted[80], has[80];
    words_text(in->profile->node_roles, node_role_words, wanted, sizeof wanted);
    words_text(in->node->roles, node_role_words, has, sizeof has);
    if (!(in->node->roles & in->profile->node_roles))
        fault_reason(in->f, "/node", "profile \"%s\" is for nodes with the role %s; \"%s\" has %s", in->profile->name,
                     wanted, in->node->name, has);
    else if (subject->custodian)
        shared_check(in);
}

/* ---- what is in it ---- */

static enum err names_add(struct alternative_names *names, const struct alternative_names *more, bool dns,
                          bool addresses, struct fault *f)
{
    for (size_t i = 0; dns && i < more->dns_count; i++)
        if (!alternative_names_has_dns(names, more->dns[i]))
            TRY(alternative_names_add_dns(names, more->dns[i], f));
    for (size_t i = 0; addresses && i < more->addresses_count; i++)
        if (!alternative_names_has_address(names, &more->addresses[i]))
            TRY(alternative_names_add_address(names, &more->addresses[i], f));
    return OK;
}

static enum err names_build(const struct inquiry *in, struct alternative_names *names)
{
    unsigned from = in->profile->names_from;
    if (in->node) {
        if (from & NAMES_NODE_NAME)
            TRY(alternative_names_add_dns(names, in->node->name, in->f));
        TRY(names_add(names, &in->node->names, from & NAMES_NODE_HOSTNAMES, from & NAMES_NODE_ADDRESSES, in->f));
        if (from & NAMES_APISERVER)
            TRY(apiserver_names_add(in->subject->cluster, in->node, names, in->f));
    }
    if (from & NAMES_SERVICE && in->subject->service_names)
        TRY(names_add(names, in->subject->service_names, true, true, in->f));
    return names_add(names, &in->profile->names, true, true, in->f);
}

static void name_check(const struct inquiry *in, const char *name)
{
    static const char *const pointers[] = {"", "/node", "/name", "/user"};
    const char *prefix = in->profile->common_name_prefix;
    enum common_name_source from = in->profile->common_name_from;
    if (from == COMMON_NAME_IDENTITY && !person_name_valid(name))
        fault_reason(in->f, "/name", "an identity's name has letters, digits and . - _ @");
    if (strlen(name) > profile_name_max(in->profile))
        fault_reason(in->f, pointers[from], "a common name has at most %d characters (RFC 5280 A.1)%s%s%s",
                     ATTRIBUTE_MAX, prefix[0] ? ", with \"" : "", prefix, prefix[0] ? "\" before the node's name" : "");
}

/* Whom the certificate is for, where that is no node; "" when nobody was named. */
static const char *person(const struct inquiry *in)
{
    const struct subject_of_decision *subject = in->subject;
    if (in->profile->common_name_from == COMMON_NAME_USER)
        return subject->user.name ? subject->user.name : "";
    return in->profile->common_name_from == COMMON_NAME_IDENTITY ? subject->identity : "";
}

static void groups_add(const struct user *user, struct distinguished_name *subject)
{
    for (size_t i = 0; i < user->groups_count && subject->organizations_count < ORGANIZATIONS_MAX; i++)
        snprintf(subject->organizations[subject->organizations_count++], ATTRIBUTE_MAX + 1, "%s", user->groups[i]);
}

static void subject_build(const struct inquiry *in, struct distinguished_name *subject)
{
    const struct cluster *cluster = in->subject->cluster;
    const char *name = in->profile->common_name_from == COMMON_NAME_NODE ? in->subject->node : person(in);
    if (in->profile->common_name_from != COMMON_NAME_LITERAL)
        name_check(in, name);
    if (!profile_subject(in->profile, name, cluster ? cluster_kubernetes(cluster) : NULL, subject))
        fault_reason(in->f, "/profile", "Kubernetes 1.%u has no %s", in->subject->cluster->kubernetes_minor,
                     in->profile->name);
    if (in->profile->organizations_from == ORGANIZATIONS_USER)
        groups_add(&in->subject->user, subject);
}

/* Whatever the profile says: who may do everything in a cluster is for its admins to decide, and for the node that has
 * to have such a certificate. As the group of a user nobody gets these (user_check). */
static void administration_check(const struct inquiry *in, const struct distinguished_name *subject)
{
    const unsigned trusted = REQUESTER_ADMIN | REQUESTER_TOKEN | REQUESTER_NODE;
    if (in->caller->kind & trusted || in->profile->organizations_from == ORGANIZATIONS_USER)
        return;
    for (size_t i = 0; i < subject->organizations_count; i++)
        if (kubernetes_group_is_admins(subject->organizations[i]))
            fault_reason(in->f, "/profile", "O=%s may do everything in the cluster: an admin may ask for it%s",
                         subject->organizations[i],
                         in->profile->node_roles ? ", or the node itself, with a token (ensign token create)" : "");
}

/* keyEncipherment is for RSA key transport to servers only: RFC 8813 section 3 forbids it for ECDSA. */
static unsigned key_usage_build(const struct inquiry *in)
{
    bool transport = key_algorithm_is_rsa(in->request->public_key.algorithm) &&
                     in->profile->extended_key_usage & EXTENDED_SERVER_AUTH;
    return in->profile->key_usage & ~(transport ? 0u : (unsigned)USAGE_KEY_ENCIPHERMENT);
}

/* The lifetime asked for, where the profile gives it; else a reason, and the profile's. */
static int64_t lifetime_choose(const struct inquiry *in)
{
    int64_t asked = in->subject->lifetime_seconds, longest = in->profile->lifetime_seconds;
    if (asked == 0)
        return in->profile->default_lifetime_seconds;
    if (asked >= lifetime_min_seconds && asked <= longest)
        return asked;
    char text[DURATION_TEXT_SIZE];
    duration_text(longest, text);
    fault_reason(in->f, "/lifetime_seconds", "profile \"%s\" gives between 60s and %s", in->profile->name, text);
    return longest;
}

static void times_build(const struct inquiry *in, int64_t now, struct certificate_content *content)
{
    content->not_before = now - in->profile->backdate_seconds;
    content->not_after = now + lifetime_choose(in);
    if (content->not_after > in->subject->authority_not_after)
        content->not_after = in->subject->authority_not_after;
    if (content->not_after <= now)
        fault_reason(in->f, "/profile", "the CA that issues it has expired");
}

/* ---- what is asked for, against it ---- */

static const char *owner_of_dns(const struct inquiry *in, const char *name)
{
    const struct cluster *cluster = in->subject->cluster;
    for (size_t i = 0; cluster && i < cluster->nodes_count; i++)
        if (strcmp(cluster->nodes[i].name, name) == 0 || alternative_names_has_dns(&cluster->nodes[i].names, name))
            return cluster->nodes[i].name;
    return NULL;
}

static const char *owner_of_address(const struct inquiry *in, const struct address *address)
{
    const struct cluster *cluster = in->subject->cluster;
    for (size_t i = 0; cluster && i < cluster->nodes_count; i++)
        if (alternative_names_has_address(&cluster->nodes[i].names, address))
            return cluster->nodes[i].name;
    return NULL;
}

static void name_refuse(const struct inquiry *in, const char *kind, const char *name, const char *owner)
{
    fault_reason(in->f, "/csr/subjectAltName", "%s %s %s%s", kind, name,
                 owner ? "belongs to node " : "is none that this profile gives", owner ? owner : "");
}

static void names_check(const struct inquiry *in, const struct alternative_names *granted)
{
    const struct alternative_names *asked = &in->request->names;
    for (size_t i = 0; i < asked->dns_count; i++)
        if (!alternative_names_has_dns(granted, asked->dns[i])) {
            const char *owner = owner_of_dns(in, asked->dns[i]);
            bool own = owner && strcmp(owner, in->subject->node) == 0;
            name_refuse(in, "name", asked->dns[i], own ? NULL : owner);
        }
    for (size_t i = 0; i < asked->addresses_count; i++)
        if (!alternative_names_has_address(granted, &asked->addresses[i])) {
            char text[ADDRESS_TEXT_SIZE];
            address_text(&asked->addresses[i], text);
            const char *owner = owner_of_address(in, &asked->addresses[i]);
            bool own = owner && strcmp(owner, in->subject->node) == 0;
            name_refuse(in, "address", text, own ? NULL : owner);
        }
}

static void request_check(const struct inquiry *in, const struct certificate_content *content)
{
    const struct request *request = in->request;
    char asked[300], granted[300];
    if (!distinguished_name_empty(&request->subject) &&
        !distinguished_name_equal(&request->subject, &content->subject)) {
        distinguished_name_text(&request->subject, asked, sizeof asked);
        distinguished_name_text(&content->subject, granted, sizeof granted);
        fault_reason(in->f, "/csr/subject", "asks for \"%.120s\"; this profile gives \"%.120s\"", asked, granted);
    }
    names_check(in, &content->names);
    if (request->has_key_usage && request->key_usage & ~in->profile->key_usage) {
        usage_text(request->key_usage & ~in->profile->key_usage, asked, sizeof asked);
        fault_reason(in->f, "/csr/keyUsage", "asks for %s, which this profile does not give", asked);
    }
    if (request->has_extended_key_usage && request->extended_key_usage & ~in->profile->extended_key_usage) {
        extended_usage_text(request->extended_key_usage & ~in->profile->extended_key_usage, asked, sizeof asked);
        fault_reason(in->f, "/csr/extendedKeyUsage", "asks for %s, which this profile does not give", asked);
    }
    if (!(in->profile->keys & 1u << request->public_key.algorithm))
        fault_reason(in->f, "/csr/publicKey", "profile \"%s\" does not take %s keys", in->profile->name,
                     key_algorithm_name(request->public_key.algorithm));
    if (in->subject->key_owner)
        fault_reason(in->f, "/csr/publicKey", "this public key belongs to %s: make a new key", in->subject->key_owner);
    for (size_t i = 0; i < request->excess_count; i++)
        fault_reason(in->f, "/csr/extensions", "%s", request->excess[i]);
}

/* ---- the decision ---- */

static void decision_name(const struct inquiry *in, struct decision *decision)
{
    decision->profile = in->profile;
    snprintf(decision->authority, sizeof decision->authority, "%s", in->profile->issuer);
    snprintf(decision->cluster, sizeof decision->cluster, "%s",
             in->node || in->profile->common_name_from == COMMON_NAME_USER ? in->subject->cluster->name
                                                                           : CLUSTER_SERVICE);
    snprintf(decision->node, sizeof decision->node, "%s", in->node ? in->node->name : "");
    snprintf(decision->identity, sizeof decision->identity, "%s", person(in));
}

enum err decide(const struct profile *profile, const struct caller *caller, const struct subject_of_decision *subject,
                const struct request *request, int64_t now, struct decision *ret_decision, struct fault *f)
{
    struct inquiry in = {profile, caller, subject, request, NULL, f};
    AUTO(decision) decision = {0};
    struct certificate_content *content = &decision.content;
    caller_check(&in);
    node_check(&in);
    user_check(profile, subject->cluster, &subject->user, f);
    TRY(names_build(&in, &content->names));
    subject_build(&in, &content->subject);
    administration_check(&in, &content->subject);
    content->key_usage = key_usage_build(&in);
    content->extended_key_usage = profile->extended_key_usage;
    times_build(&in, now, content);
    request_check(&in, content);
    TRY(fault_if_reasons(f, CODE_POLICY_DENIED, "profile \"%s\" does not allow this certificate", profile->name));
    decision_name(&in, &decision);
    *ret_decision = decision;
    decision = (struct decision){0};
    return OK;
}

void decision_cleanup(struct decision *decision)
{
    certificate_content_cleanup(&decision->content);
}
