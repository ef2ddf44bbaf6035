#include "client/agent/settings.h"

#include <string.h>
#include <unistd.h>

enum { COMMAND_SECONDS = 60, COMMAND_SECONDS_MAX = 600, LIFETIME_SECONDS_MIN = 60 };

static const char *const health_names[] = {"etcd", "apiserver", NULL};

void settings_cleanup(struct settings *settings)
{
    document_free(settings->document);
}

/* ---- reading ---- */

static bool is_none(const struct node *node)
{
    const char *text = json_string_value(node->value);
    return text && strcmp(text, "none") == 0;
}

static void words_read(const struct node *list, struct command_setting *command)
{
    size_t count = node_count(list, NODE_REQUIRED, COMMAND_WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct node word = node_at(list, i);
        node_string(&word, NODE_REQUIRED, &command->words[i]);
    }
    if (node_present(list) && count == 0)
        node_error(list, "a command has at least the name of a program");
}

static void command_read(const struct node *node, const char *name, struct command_setting *ret_command)
{
    static const char *const keys[] = {"command", "timeout", NULL};
    struct node list = node_get(node, "command"), timeout = node_get(node, "timeout");
    *ret_command = (struct command_setting){.name = name, .none = is_none(node), .timeout_seconds = COMMAND_SECONDS};
    if (ret_command->none)
        return;
    node_allow(node, keys);
    words_read(&list, ret_command);
    if (node_duration(&timeout, NODE_OPTIONAL, &ret_command->timeout_seconds) &&
        ret_command->timeout_seconds > COMMAND_SECONDS_MAX)
        node_error(&timeout, "at most %ds", COMMAND_SECONDS_MAX);
}

static void commands_read(const struct node *object, const char *const *names, struct command_setting *commands,
                          size_t *ret_count)
{
    if (!node_present(object))
        return;
    node_allow(object, names);
    for (size_t i = 0; names[i]; i++) {
        struct node entry = node_get(object, names[i]);
        if (node_present(&entry))
            command_read(&entry, names[i], &commands[(*ret_count)++]);
    }
}

static void check_read(const struct node *node, const char *name, struct check_setting *ret_check)
{
    *ret_check = (struct check_setting){.name = name, .none = is_none(node)};
    if (ret_check->none || !node_string(node, NODE_REQUIRED, &ret_check->endpoint))
        return;
    const char *colon = strrchr(ret_check->endpoint, ':');
    if (!colon || colon == ret_check->endpoint || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1) ||
        strlen(ret_check->endpoint) > ENDPOINT_TEXT_MAX)
        node_error(node, "this is not HOST:PORT, nor none");
}

static void checks_read(const struct node *object, const char *const *names, struct settings *settings)
{
    if (!node_present(object))
        return;
    node_allow(object, names);
    for (size_t i = 0; names[i]; i++) {
        struct node entry = node_get(object, names[i]);
        if (node_present(&entry))
            check_read(&entry, names[i], &settings->checks[settings->checks_count++]);
    }
}

static void head_check(const struct node *root)
{
    static const char *const keys[] = {"apiVersion", "kind", "lifetime", "hooks", "check", "health", NULL};
    static const char *const versions[] = {"ensign/v1", NULL}, *const kinds[] = {"Agent", NULL};
    struct node version = node_get(root, "apiVersion"), kind = node_get(root, "kind");
    size_t ignored = 0;
    node_allow(root, keys);
    node_word(&version, NODE_REQUIRED, versions, &ignored);
    node_word(&kind, NODE_REQUIRED, kinds, &ignored);
}

/* Profiles, and the CAs that nodes have bundles of. */
static void names_list(const struct profiles *profiles, const char *ret_names[SETTINGS_MAX + 1])
{
    size_t count = 0;
    for (size_t i = 0; i < profiles->count && i < PROFILES_MAX; i++)
        ret_names[count++] = profiles->items[i].name;
    for (size_t i = 0; cluster_authorities[i] && count < SETTINGS_MAX; i++)
        ret_names[count++] = cluster_authorities[i];
    ret_names[count] = NULL;
}

enum err settings_read(struct document *take_document, const struct profiles *profiles, struct settings *ret_settings,
                       struct fault *f)
{
    AUTO(settings) settings = {.document = take_document};
    struct node root = document_root(settings.document, f);
    struct node hooks = node_get(&root, "hooks"), check = node_get(&root, "check"), health = node_get(&root, "health"),
                lifetime = node_get(&root, "lifetime");
    const char *names[SETTINGS_MAX + 1];
    names_list(profiles, names);
    head_check(&root);
    if (node_duration(&lifetime, NODE_OPTIONAL, &settings.lifetime_seconds) &&
        settings.lifetime_seconds < LIFETIME_SECONDS_MIN)
        node_error(&lifetime, "at least %ds", LIFETIME_SECONDS_MIN);
    commands_read(&hooks, names, settings.hooks, &settings.hooks_count);
    commands_read(&health, health_names, settings.health, &settings.health_count);
    checks_read(&check, names, &settings);
    TRY(fault_if_reasons(f, CODE_INVALID, "%s is no configuration of the agent", document_name(settings.document)));
    *ret_settings = settings;
    settings.document = NULL;
    return OK;
}

enum err settings_load(const char *path, bool required, const struct profiles *profiles, struct settings *ret_settings,
                       struct fault *f)
{
    CLEANUP(document_auto) struct document *document = NULL;
    *ret_settings = (struct settings){0};
    if (!required && access(path, F_OK) != 0)
        return OK;
    TRY(document_load(path, &document, f));
    return settings_read(TAKE(document), profiles, ret_settings, f);
}

/* ---- asking ---- */

static const struct command_setting *command_find(const struct command_setting *commands, size_t count,
                                                  const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

const struct command_setting *settings_hook(const struct settings *settings, const char *name)
{
    return command_find(settings->hooks, settings->hooks_count, name);
}

const struct command_setting *settings_health(const struct settings *settings, enum hook_health health)
{
    return health == HEALTH_NONE
               ? NULL
               : command_find(settings->health, settings->health_count, health_names[health - HEALTH_ETCD]);
}

const struct check_setting *settings_check(const struct settings *settings, const char *profile)
{
    for (size_t i = 0; i < settings->checks_count; i++)
        if (strcmp(settings->checks[i].name, profile) == 0)
            return &settings->checks[i];
    return NULL;
}
