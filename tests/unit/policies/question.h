/* question.h: questions for decide(), with a small cluster and the shipped profiles. */
#ifndef ENSIGN_TESTS_UNIT_POLICIES_QUESTION_H
#define ENSIGN_TESTS_UNIT_POLICIES_QUESTION_H

#include "tests/unit/policies/suite.h"

static const int64_t now = 1795233600, day = 86400;

static const char lab[] =
    "apiVersion: ensign/v1\n"
    "kind: Cluster\n"
    "name: lab\n"
    "kubernetesVersion: \"1.31\"\n"
    "users: {groups: [manager, developers, \"team:night shift\"]}\n"
    "etcd: {topology: external}\n"
    "nodes:\n"
    "  - {name: etcdone, hostnames: [etcdone.example.com], addresses: [192.168.29.61], roles: [etcd]}\n"
    "  - {name: etcdtwo, hostnames: [etcdtwo.example.com], addresses: [192.168.29.62], roles: [etcd]}\n"
    "  - {name: masterone, addresses: [192.168.29.51], roles: [control-plane]}\n"
    "  - {name: workerone, addresses: [192.168.29.71], roles: [worker]}\n";

struct fixture {
    struct profiles profiles;
    struct cluster cluster;
    struct alternative_names service_names;
};

/* A question that is answered yes: etcdone's token asks for etcd-member. Each test changes what it is about. */
struct question {
    const char *profile;
    struct caller caller;
    struct subject_of_decision subject;
    struct request request;
};

static inline int fixture_make(void **state)
{
    struct fault f = {0};
    static struct fixture fixture;
    CLEANUP(document_auto) struct document *document = NULL;
    assert_ok(profiles_shipped(&fixture.profiles, &f), &f);
    assert_ok(document_parse(span_text(lab), "lab.yaml", &document, &f), &f);
    assert_ok(cluster_read(document, &fixture.cluster, &f), &f);
    assert_ok(alternative_names_add_dns(&fixture.service_names, "ca.example.com", &f), &f);
    *state = &fixture;
    return 0;
}

static inline int fixture_free(void **state)
{
    struct fixture *fixture = *state;
    profiles_cleanup(&fixture->profiles);
    cluster_cleanup(&fixture->cluster);
    alternative_names_cleanup(&fixture->service_names);
    return 0;
}

static inline struct question question_make(const struct fixture *fixture)
{
    return (struct question){
        .profile = "etcd-member",
        .caller = {.kind = REQUESTER_TOKEN, .name = "00ff", .cluster = "lab", .node = "etcdone"},
        .subject = {.cluster = &fixture->cluster,
                    .node = "etcdone",
                    .identity = "",
                    .authority_not_after = now + 3650 * day},
        .request = {.public_key = {.algorithm = KEY_ECDSA_P256}},
    };
}

static inline void question_cleanup(struct question *question)
{
    alternative_names_cleanup(&question->request.names);
}

static inline enum err ask(const struct fixture *fixture, const struct question *question,
                           struct decision *ret_decision, struct fault *f)
{
    const struct profile *profile = profiles_find(&fixture->profiles, question->profile);
    assert_non_null(profile);
    return decide(profile, &question->caller, &question->subject, &question->request, now, ret_decision, f);
}

/* The question is answered no, for exactly this one reason. */
static inline void denied(const struct fixture *fixture, const struct question *question, const char *pointer,
                          const char *says)
{
    struct fault f = {0};
    struct decision decision = {.node = "untouched"};
    if (ask(fixture, question, &decision, &f) != ERR_DENIED)
        fail_msg("granted, but expected \"%s: %s\"", pointer, says);
    assert_int_equal(f.code, CODE_POLICY_DENIED);
    assert_string_equal(decision.node, "untouched");
    assert_reason(&f, pointer, says);
    if (f.reasons_count != 1)
        fail_msg("one reason expected: %s", line_of(&f));
}

static inline void dns_ask(struct question *question, const char *name)
{
    struct fault f = {0};
    assert_ok(alternative_names_add_dns(&question->request.names, name, &f), &f);
}

static inline void address_ask(struct question *question, const char *text)
{
    struct fault f = {0};
    struct address address;
    assert_ok(address_parse(text, &address, &f), &f);
    assert_ok(alternative_names_add_address(&question->request.names, &address, &f), &f);
}

#endif
