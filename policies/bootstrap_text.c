#include "policies/bootstrap_text.h"

#include <stdio.h>
#include <string.h>

#include "ca/base/encode.h"
#include "ca/x509/name.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define LETTERS LOWER UPPER DIGITS

enum { MAP_SIZE_MAX = 256, LABEL_MAX = 63, INTERFACE_MAX = 15, USER_MAX = 32, TEXT_MAX = 1024 };

/* 1..max characters of these, the first of which is among `first`. */
static bool consists(const char *text, const char *first, const char *rest, size_t max)
{
    size_t size = strlen(text);
    return size >= 1 && size <= max && strchr(first, text[0]) && strspn(text, rest) == size;
}

static bool user_valid(const char *text)
{
    return consists(text, LOWER "_", LOWER DIGITS "_.-", USER_MAX);
}

static bool host_name_valid(const char *text)
{
    struct address address;
    struct fault no_address = {0};
    return dns_name_valid(text) || address_parse(text, &address, &no_address) == OK;
}

/* What a name of the type says stands in the key again (RFC 4253 section 6.6); that it does, SSH sees. */
static bool host_key_valid(const char *text)
{
    const char *blank = strchr(text, ' ');
    struct fault no_base64 = {0};
    AUTO(bytes) key = {0};
    size_t type_size = blank ? (size_t)(blank - text) : 0;
    return type_size && type_size < 64 && strspn(text, LETTERS "@.-") == type_size && text[0] != '-' &&
           base64_decode(span_text(blank + 1), &key, &no_base64) == OK && key.size >= 32;
}

static bool path_valid(const char *text)
{
    return consists(text, "/", LETTERS "/._+:@-", TEXT_MAX) && text[1] && !strstr(text, "..") && !strstr(text, "//");
}

static bool socket_valid(const char *text)
{
    return strncmp(text, "unix://", 7) == 0 && path_valid(text + 7);
}

static bool image_valid(const char *text)
{
    return consists(text, LETTERS, LETTERS "/._:@-", TEXT_MAX);
}

static bool interface_valid(const char *text)
{
    return consists(text, LETTERS, LETTERS "._@-", INTERFACE_MAX);
}

static bool package_version_valid(const char *text)
{
    return consists(text, DIGITS, LETTERS ".+~:-", 128);
}

static bool printable(const char *text, const char *without)
{
    for (const char *at = text; *at; at++)
        if (*at < 0x20 || *at > 0x7e || strchr(without, *at))
            return false;
    return strlen(text) <= TEXT_MAX;
}

static bool apt_line_valid(const char *text)
{
    return strncmp(text, "deb ", 4) == 0 && printable(text, "'\"\\$`#");
}

static bool phase_valid(const char *text)
{
    return consists(text, LOWER, LOWER DIGITS "/-", 128);
}

static bool argument_valid(const char *text)
{
    return consists(text, LETTERS, LETTERS "._-", 128);
}

static bool value_valid(const char *text)
{
    return printable(text, "'\"\\$`");
}

/* What etcd.c of client/render/ sets from the cluster file and the catalogue. */
static bool etcd_variable_valid(const char *text)
{
    static const char *const taken[] = {"NAME",    "DATA_DIR",  "LISTEN_",     "ADVERTISE_", "INITIAL_", "CERT_",
                                        "KEY_",    "TRUSTED_",  "CLIENT_CERT", "CLIENT_CRL", "PEER_",    "AUTO_TLS",
                                        "CONFIG_", "DISCOVERY", "FORCE_NEW",   NULL};
    if (strncmp(text, "ETCD_", 5) != 0 || !consists(text, "E", UPPER DIGITS "_", 128))
        return false;
    for (size_t i = 0; taken[i]; i++)
        if (strncmp(text + 5, taken[i], strlen(taken[i])) == 0)
            return false;
    return text[5] != '\0';
}

/* Letters and digits at both ends (kubernetes.io/docs/concepts/overview/working-with-objects/labels). */
static bool label_word_valid(const char *text, size_t size)
{
    char copy[LABEL_MAX + 1];
    if (size < 1 || size > LABEL_MAX)
        return false;
    snprintf(copy, sizeof copy, "%.*s", (int)size, text);
    return consists(copy, LETTERS, LETTERS "._-", LABEL_MAX) && strchr(LETTERS, copy[size - 1]);
}

static bool label_key_valid(const char *text, size_t size)
{
    char prefix[DNS_NAME_MAX + 1];
    const char *slash = memchr(text, '/', size);
    if (!slash)
        return label_word_valid(text, size);
    size_t before = (size_t)(slash - text);
    if (before >= sizeof prefix)
        return false;
    snprintf(prefix, sizeof prefix, "%.*s", (int)before, text);
    return dns_name_valid(prefix) && label_word_valid(slash + 1, size - before - 1);
}

static bool label_valid(const char *text)
{
    return label_key_valid(text, strlen(text));
}

static bool label_value_valid(const char *text)
{
    return !text[0] || label_word_valid(text, strlen(text));
}

static bool taint_valid(const char *text)
{
    static const char *const effects[] = {"NoSchedule", "PreferNoSchedule", "NoExecute"};
    const char *colon = strrchr(text, ':');
    if (!colon)
        return false;
    size_t size = (size_t)(colon - text);
    const char *equals = memchr(text, '=', size);
    size_t key = equals ? (size_t)(equals - text) : size;
    if (!label_key_valid(text, key) || (equals && size > key + 1 && !label_word_valid(equals + 1, size - key - 1)))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(effects); i++)
        if (strcmp(colon + 1, effects[i]) == 0)
            return true;
    return false;
}

const struct text_kind text_user = {user_valid, "name of a user"};
const struct text_kind text_host_name = {host_name_valid, "DNS name in lower case and no address"};
const struct text_kind text_host_key = {host_key_valid, "host key as in known_hosts: its type and base64"};
const struct text_kind text_path = {path_valid, "absolute path of plain characters"};
const struct text_kind text_socket = {socket_valid, "socket, such as unix:///run/containerd/containerd.sock"};
const struct text_kind text_image = {image_valid, "name of an image"};
const struct text_kind text_interface = {interface_valid, "name of a network interface"};
const struct text_kind text_package_version = {package_version_valid, "version of a Debian package"};
const struct text_kind text_apt_line = {apt_line_valid, "line of APT's"};
const struct text_kind text_phase = {phase_valid, "phase of kubeadm, such as addon/kube-proxy"};
const struct text_kind text_argument = {argument_valid, "name of an option (without dashes before it) or of a feature"};
const struct text_kind text_value = {value_valid, "text of printable ASCII without quotes, backslash and \"$\""};
const struct text_kind text_etcd_variable = {etcd_variable_valid,
                                             "variable of etcd's that the cluster file does not give already"};
const struct text_kind text_label = {label_valid, "name of a label"};
const struct text_kind text_label_value = {label_value_valid, "value of a label"};
const struct text_kind text_taint = {taint_valid, "taint, such as dedicated=gpu:NoSchedule"};

/* ---- reading ---- */

static void wrong(const struct node *node, const char *text, const struct text_kind *kind)
{
    node_error(node, "\"%s\" is no %s", text, kind->what);
}

void text_read(const struct node *object, const char *key, struct text_kind kind, const char **text)
{
    struct node node = node_get(object, key);
    const char *found;
    if (!node_string(&node, NODE_OPTIONAL, &found))
        return;
    if (kind.valid(found))
        *text = found;
    else
        wrong(&node, found, &kind);
}

static bool map_is(const struct node *object)
{
    if (node_present(object) && !json_is_object(object->value))
        node_error(object, "an object of names and values is expected here");
    else if (json_object_size(object->value) > MAP_SIZE_MAX)
        node_error(object, "these are more than %d", MAP_SIZE_MAX);
    else
        return node_present(object);
    return false;
}

const json_t *text_map_read(const struct node *object, struct text_kind name, struct text_kind value)
{
    const char *key, *text;
    json_t *member;
    if (!map_is(object))
        return NULL;
    json_object_foreach(object->value, key, member)
    {
        struct node node = node_get(object, key);
        if (!name.valid(key))
            wrong(&node, key, &name);
        if (node_string(&node, NODE_REQUIRED, &text) && !value.valid(text))
            wrong(&node, text, &value);
    }
    return object->value;
}

const json_t *truth_map_read(const struct node *object, struct text_kind name)
{
    const char *key;
    json_t *member;
    bool truth;
    if (!map_is(object))
        return NULL;
    json_object_foreach(object->value, key, member)
    {
        struct node node = node_get(object, key);
        if (!name.valid(key))
            wrong(&node, key, &name);
        node_bool(&node, NODE_REQUIRED, &truth);
    }
    return object->value;
}

const json_t *text_list_read(const struct node *array, size_t max, struct text_kind kind)
{
    const char *text;
    size_t count = node_count(array, NODE_OPTIONAL, max);
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(array, i);
        if (node_string(&item, NODE_REQUIRED, &text) && !kind.valid(text))
            wrong(&item, text, &kind);
    }
    return json_is_array(array->value) ? array->value : NULL;
}
