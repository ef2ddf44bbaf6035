/* deployment.h: what the agents of nodes report, held against the newest that was issued.
 *
 *     installed        its files are in their places; nobody shows it to who connects
 *     served           and its server presents it
 *     waiting-restart  and its server presents it once it is restarted
 *     not-served       and its server presents another one
 *     failed           it could not be installed
 *     other            the node has another one than this, or none
 *     silent           the agent was not heard of for an hour: what it said last may be over
 *     outdated         of a CRL: the service has a newer one
 *
 * Threads: pure. */
#ifndef ENSIGN_CLIENT_DEPLOYMENT_H
#define ENSIGN_CLIENT_DEPLOYMENT_H

#include <jansson.h>
#include <stdbool.h>

/* The item of the API's list of this node; NULL: it has reported nothing. */
const json_t *deployment_of(const json_t *items, const char *node);

/* Adds to a row what the node says of this profile's certificate: {"deployed", "deployed_serial", "served_serial",
 * "deployed_detail", "seen_at"}, null for what is not known.
 *   report  of deployment_of()
 *   serial  the one that counts; NULL: none was issued
 * False when memory runs out. */
bool deployment_members(json_t *row, const json_t *report, const char *profile, const char *serial);

/* A new row for a CRL of a report, with the members of client/inspection.h but its times; NULL when memory runs out. */
json_t *deployment_crl_row(const char *cluster, const json_t *report, const json_t *crl);

/* Whether a row says that something is not in use where it belongs. */
bool deployment_is_wrong(const json_t *row);

#endif
