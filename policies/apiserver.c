#include "policies/apiserver.h"

#include <stdio.h>
#include <string.h>

static const char *const service_names[] = {"kubernetes", "kubernetes.default", "kubernetes.default.svc"};

struct address apiserver_service_address(const struct cluster *cluster)
{
    struct address address = cluster->service_subnet.base;
    address.data[address.size - 1]++; /* cluster_read() sees to it that the subnet has room */
    return address;
}

static enum err dns_add(struct alternative_names *names, const char *name, struct fault *f)
{
    return alternative_names_has_dns(names, name) ? OK : alternative_names_add_dns(names, name, f);
}

static enum err address_add(struct alternative_names *names, const struct address *address, struct fault *f)
{
    return alternative_names_has_address(names, address) ? OK : alternative_names_add_address(names, address, f);
}

static enum err endpoint_add(const struct cluster *cluster, struct alternative_names *names, struct fault *f)
{
    struct address address;
    struct fault no_address = {0};
    if (!cluster->endpoint_host[0])
        return OK;
    if (address_parse(cluster->endpoint_host, &address, &no_address) == OK)
        return address_add(names, &address, f);
    return dns_add(names, cluster->endpoint_host, f);
}

enum err apiserver_names_add(const struct cluster *cluster, const struct node_entry *node,
                             struct alternative_names *names, struct fault *f)
{
    char name[sizeof CLUSTER_DNS_SERVICE + sizeof cluster->dns_domain];
    const struct address service = apiserver_service_address(cluster);
    const struct alternative_names *more = &cluster->apiserver_names;
    for (size_t i = 0; i < ARRAY_SIZE(service_names); i++)
        TRY(dns_add(names, service_names[i], f));
    snprintf(name, sizeof name, CLUSTER_DNS_SERVICE "%s", cluster->dns_domain);
    TRY(dns_add(names, name, f));
    TRY(address_add(names, &service, f));
    TRY(address_add(names, &node->names.addresses[0], f));
    TRY(endpoint_add(cluster, names, f));
    for (size_t i = 0; i < more->dns_count; i++)
        TRY(dns_add(names, more->dns[i], f));
    for (size_t i = 0; i < more->addresses_count; i++)
        TRY(address_add(names, &more->addresses[i], f));
    return OK;
}

/* ---- URLs ---- */

static void url_write(const char *host, unsigned port, char ret_url[SERVER_URL_SIZE])
{
    bool version6 = strchr(host, ':') != NULL;
    snprintf(ret_url, SERVER_URL_SIZE, "https://%s%s%s:%u", version6 ? "[" : "", host, version6 ? "]" : "", port);
}

void apiserver_url_local(const struct node_entry *node, char ret_url[SERVER_URL_SIZE])
{
    char text[ADDRESS_TEXT_SIZE];
    address_text(&node->names.addresses[0], text);
    url_write(text, APISERVER_PORT, ret_url);
}

void apiserver_url(const struct cluster *cluster, const struct node_entry *node, char ret_url[SERVER_URL_SIZE])
{
    if (cluster->endpoint_host[0])
        url_write(cluster->endpoint_host, cluster->endpoint_port, ret_url);
    else
        apiserver_url_local(node->roles & ROLE_CONTROL_PLANE ? node : cluster_first_control_plane(cluster), ret_url);
}
