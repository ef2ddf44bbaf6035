/* fixture.h: a whole CA in a temporary folder: store, and a real signer in a process of its own. */
#ifndef ENSIGN_TESTS_UNIT_CA_FIXTURE_H
#define ENSIGN_TESTS_UNIT_CA_FIXTURE_H

#include <sys/types.h>

#include "ca/issue.h"

struct fixture {
    char folder[64]; /* removed at the end */
    char database[80];
    pid_t signer_pid;
    struct signer *signer;
    struct clock_basis basis; /* with an hour offline */
    struct ca *ca;
};

/* cmocka group set-up and tear-down; *state is the struct fixture. The cluster "lab" has etcdone (10.0.0.1), etcdtwo
 * (10.0.0.2), masterone (10.0.0.11). */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void fixture_signer_start(struct fixture *fixture);
void fixture_signer_kill(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture);

/* A fresh P-256 key's request, PEM, without names. */
struct bytes fixture_csr(void);

/* Issues as an operator; fails the test when refused. */
void fixture_issue(struct fixture *fixture, const char *profile, const char *node, struct issue_result *ret_result);

struct issue_request fixture_request(const char *profile, const char *node, struct span csr);

/* A token for the node; its id is in the request's caller afterwards. */
void fixture_token(struct fixture *fixture, const char *node, struct issue_request *request);

#endif
