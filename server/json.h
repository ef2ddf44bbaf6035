/* json.h: records as the JSON objects of the API. Each returns a new value; NULL when memory runs out, which
 * http_json() answers.  Threads: pure. */
#ifndef ENSIGN_SERVER_JSON_H
#define ENSIGN_SERVER_JSON_H

#include <jansson.h>

#include "ca/ca.h"
#include "policies/json.h"

json_t *json_hex(struct span data);
json_t *json_time(int64_t seconds);
/* Owned or borrowed text of PEM blocks or a cursor; null when empty. */
json_t *json_bytes(struct span text);

json_t *json_authority(const struct authority *authority);
/* A cluster that was made just now, whose CAs are not in ca yet. */
json_t *json_cluster_made(const struct cluster_made *made);
/* For a list: without the nodes, of which some clusters have thousands. */
json_t *json_cluster_line(struct ca *ca, const struct cluster *cluster);
/* As json_cluster_made(). Every node asks for it, again and again: the cluster file goes in as the text that it is. */
MUST_USE enum err json_cluster_text(struct ca *ca, const struct cluster *cluster, struct bytes *ret_text,
                                    struct fault *f);
/* take_rest, an object that is not empty, with the cluster file as its member "document". */
MUST_USE enum err json_document_text(const struct cluster *cluster, json_t *take_rest, struct bytes *ret_text,
                                     struct fault *f);
json_t *json_token(const struct token_record *record, int64_t now);
MUST_USE enum err json_decision_text(const struct decision *decision, struct bytes *ret_text, struct fault *f);

/* A page of a list, as json_page() makes it, without PEMs, but with the key that signed each. ERR_IO (CODE_DAMAGED)
 * when a stored certificate does not parse. */
MUST_USE enum err json_certificates_text(struct ca *ca, const struct certificate_record *records, size_t count,
                                         struct span cursor, struct bytes *ret_text, struct fault *f);
/* One, with the certificate itself, its chain (it and the CA that issued it) and the bundle (all CAs of that name).
 * content  what is in the certificate, where it is at hand; NULL: it is read from the record's */
MUST_USE enum err json_certificate_text(struct ca *ca, const struct certificate_record *record,
                                        const struct certificate_content *content, struct bytes *ret_text,
                                        struct fault *f);
/* {"items": […], "next_cursor": null or text}. Takes items. */
json_t *json_page(json_t *take_items, struct span cursor);

/* For CLEANUP(). */
void json_cleanup(json_t **json);

#endif
