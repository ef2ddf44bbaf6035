/* decide.h: may this caller have this certificate? Pure: no clock, no store. A certificate is built from the decision
 * alone; a request that asks for anything that is not in the decision is refused, with every reason at once. */
#ifndef ENSIGN_POLICIES_DECIDE_H
#define ENSIGN_POLICIES_DECIDE_H

#include "ca/x509/request.h"
#include "policies/users.h"

/* Who asks, as server/auth found out. */
struct caller {
    enum requester kind;
    char name[DNS_NAME_MAX + 1];        /* of the identity; for a token its id in hexadecimal */
    char cluster[CLUSTER_NAME_MAX + 1]; /* of a token or node, else empty */
    char node[DNS_NAME_MAX + 1];        /* of a token or node, else empty */
};

/* What a profile is applied to. A profile for nodes needs cluster and node, one for
 * users cluster and user; `identity` needs a name; `service` names. */
struct subject_of_decision {
    const struct cluster *cluster; /* NULL for identity and service */
    const char *node;              /* the name asked for; "" when none */
    const char *identity;          /* the common name of a person's or program's identity; "" when none */
    struct user user;
    const struct alternative_names *service_names; /* NULL but for `service` */
    int64_t authority_not_after;                   /* of the issuing CA */
    int64_t lifetime_seconds; /* asked for; 0: the profile's default. Shorter is granted, longer refused */
    /* Of a profile of which the control planes of the cluster share one certificate: who made its key, "" when nobody
     * has, and whether the request is for another one. NULL: each has its own. */
    const char *custodian;
    bool key_unclaimed;
    const char *key_owner; /* who else has the public key, "a CA", say; NULL: nobody. One node may have one key for
                              several of its profiles */
};

struct decision {
    const struct profile *profile; /* borrowed */
    struct certificate_content content;
    char cluster[CLUSTER_NAME_MAX + 1]; /* CLUSTER_SERVICE for identity and service */
    char authority[AUTHORITY_NAME_MAX + 1];
    char node[DNS_NAME_MAX + 1];
    char identity[DNS_NAME_MAX + 1]; /* or the user */
};

/* keyEncipherment is granted only to RSA keys with serverAuth (RFC 8813 §3; zlint finds it elsewhere).
 * not_before = now - backdate; not_after = now + lifetime, cut to the CA's.
 * A subject in a group that may do everything in the cluster (kubernetes_group_is_admins) is for admins and for the
 * node's own token or identity, whoever else the profile is for.
 * Key usages asked for are compared with the profile's: a request may ask for keyEncipherment whatever its key.
 * Errors: ERR_DENIED (CODE_POLICY_DENIED) with all reasons, pointers "/profile", "/cluster", "/node", "/name" (of an
 * identity), "/user", "/groups", "/groups/0"…, "/csr/subject", "/csr/subjectAltName", "/csr/keyUsage",
 * "/csr/extendedKeyUsage", "/csr/extensions",
 * "/csr/publicKey", "/lifetime_seconds". */
MUST_USE enum err decide(const struct profile *profile, const struct caller *caller,
                         const struct subject_of_decision *subject, const struct request *request, int64_t now,
                         struct decision *ret_decision, struct fault *f);
void decision_cleanup(struct decision *decision);

#endif
