#include "client/bootstrap/facts.h"

#include <stdlib.h>
#include <string.h>

#include "client/bootstrap/scripts.h"
#include "client/bootstrap/ssh.h"

static const char *const fact_names[FACTS_COUNT + 1] = {
    "os_id",      "os_version",      "architecture",      "kernel",      "hostname", "machine_id", "cpus",
    "memory_kib", "package_manager", "time_synchronized", "ports_known", NULL,
};

/* How many cells a row has, and which of them are numbers (bits). */
static const struct {
    const char *name;
    size_t cells;
    unsigned numbers;
} lists[LISTS_COUNT] = {
    [LIST_SWAPS] = {"swaps", 2, 1U << 1},   [LIST_DISKS] = {"disks", 4, 1U << 1 | 1U << 2},
    [LIST_ADDRESSES] = {"addresses", 2, 0}, [LIST_ROUTES] = {"routes", 1, 0},
    [LIST_NAMES] = {"names", 2, 0},         [LIST_PORTS] = {"ports", 4, 1U << 1},
    [LIST_MODULES] = {"modules", 2, 0},     [LIST_SYSCTLS] = {"sysctls", 2, 0},
    [LIST_VERSIONS] = {"versions", 2, 0},   [LIST_UNITS] = {"units", 4, 0},
    [LIST_FILES] = {"files", 7, 0},         [LIST_AUTHORITIES] = {"authorities", 2, 0},
    [LIST_REMAINS] = {"remains", 1, 0},     [LIST_BEGUN] = {"begun", 1, 0},
};

/* ---- reading ---- */

static bool printable_ascii(const char *text)
{
    size_t size = 0;
    for (; *text; text++, size++)
        if (*text < ' ' || *text > '~' || size == FACT_TEXT_MAX)
            return false;
    return true;
}

static bool number_valid(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 15 && text[digits] == '\0';
}

int64_t fact_number(const char *cell)
{
    return strtoll(cell, NULL, 10);
}

static bool text_read(const struct node *node, enum node_presence presence, const char **ret_text)
{
    const char *text;
    if (!node_string(node, presence, &text))
        return false;
    if (!printable_ascii(text)) {
        node_error(node, "a text of a host has at most %d characters of printable ASCII", FACT_TEXT_MAX);
        return false;
    }
    *ret_text = text;
    return true;
}

static void number_fact_read(const struct node *root, const char *name, const char *text, int64_t *ret_number)
{
    struct node node = node_get(root, name);
    if (!text[0])
        return;
    if (number_valid(text))
        *ret_number = fact_number(text);
    else
        node_error(&node, "this is no number");
}

static void row_read(const struct node *node, enum fact_list list, struct fact_row *row)
{
    size_t count = node_count(node, NODE_REQUIRED, FACT_CELLS_MAX + 1);
    if (count != lists[list].cells) {
        node_error(node, "a row of %s has %zu cells", lists[list].name, lists[list].cells);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct node cell = node_at(node, i);
        if (text_read(&cell, NODE_REQUIRED, &row->cells[i]) && lists[list].numbers & 1U << i &&
            !number_valid(row->cells[i]))
            node_error(&cell, "this is no number");
    }
}

static enum err list_read(const struct node *root, enum fact_list list, struct fact_rows *rows, struct fault *f)
{
    struct node node = node_get(root, lists[list].name);
    size_t count = node_count(&node, NODE_OPTIONAL, FACT_ROWS_MAX);
    if (count == 0)
        return OK;
    rows->rows = calloc(count, sizeof *rows->rows);
    if (!rows->rows)
        return fault_no_memory(f);
    rows->count = count;
    for (size_t i = 0; i < count; i++) {
        struct node item = node_at(&node, i);
        for (size_t cell = 0; cell <= FACT_CELLS_MAX; cell++)
            rows->rows[i].cells[cell] = "";
        row_read(&item, list, &rows->rows[i]);
    }
    return OK;
}

static void version_check(const struct node *root)
{
    struct node version = node_get(root, "version");
    int64_t number;
    node_integer(&version, NODE_REQUIRED, 1, 1, &number);
}

static void members_check(const struct node *root)
{
    const char *names[FACTS_COUNT + LISTS_COUNT + 2] = {"version"};
    size_t count = 1;
    for (size_t i = 0; i < FACTS_COUNT; i++)
        names[count++] = fact_names[i];
    for (size_t i = 0; i < LISTS_COUNT; i++)
        names[count++] = lists[i].name;
    node_allow(root, names);
}

enum err facts_read(struct span text, struct host_facts *ret_facts, struct fault *f)
{
    AUTO(host_facts) facts = {.cpus = -1, .memory_kib = -1};
    if (text.size > FACTS_SIZE_MAX)
        return fault_set(f, CODE_TOO_LARGE, "the facts of a host have at most %d bytes", FACTS_SIZE_MAX);
    TRY(document_parse_json(text, &facts.document, f));
    struct node root = document_root(facts.document, f);
    members_check(&root);
    version_check(&root);
    for (size_t i = 0; i < FACTS_COUNT; i++) {
        struct node node = node_get(&root, fact_names[i]);
        facts.texts[i] = "";
        text_read(&node, NODE_OPTIONAL, &facts.texts[i]);
    }
    number_fact_read(&root, fact_names[FACT_CPUS], facts.texts[FACT_CPUS], &facts.cpus);
    number_fact_read(&root, fact_names[FACT_MEMORY_KIB], facts.texts[FACT_MEMORY_KIB], &facts.memory_kib);
    for (enum fact_list i = 0; i < LISTS_COUNT; i++)
        TRY(list_read(&root, i, &facts.lists[i], f));
    TRY(fault_if_reasons(f, CODE_INVALID, "what the host says of itself is not what it was asked for"));
    *ret_facts = facts;
    facts = (struct host_facts){0};
    return OK;
}

void host_facts_cleanup(struct host_facts *facts)
{
    for (size_t i = 0; i < LISTS_COUNT; i++)
        free(facts->lists[i].rows);
    document_free(facts->document);
}

const struct fact_row *fact_find(const struct host_facts *facts, enum fact_list list, const char *first)
{
    const struct fact_rows *rows = &facts->lists[list];
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->rows[i].cells[0], first) == 0)
            return &rows->rows[i];
    return NULL;
}

bool fact_is_file(const struct host_facts *facts, const char *path)
{
    const struct fact_row *row = fact_find(facts, LIST_FILES, path);
    return row && strcmp(row->cells[1], "file") == 0;
}

bool fact_is_active(const struct host_facts *facts, const char *unit)
{
    const struct fact_row *row = fact_find(facts, LIST_UNITS, unit);
    return row && strcmp(row->cells[2], "active") == 0;
}

/* ---- asking ---- */

static enum err variable_write(struct bytes *out, const char *name, const char *const *texts, struct fault *f)
{
    AUTO(bytes) lines = {0};
    for (; texts && *texts; texts++) {
        if (!**texts || !printable_ascii(*texts))
            return fault_set(f, CODE_INVALID, "a host is asked for texts of printable ASCII only");
        bytes_appendf(&lines, "%s\n", *texts);
    }
    TRY(bytes_check(&lines, f));
    bytes_appendf(out, "%s=", name);
    shell_quote(out, bytes_text(&lines));
    bytes_append_text(out, "\n");
    return OK;
}

enum err facts_script(const struct facts_question *question, struct bytes *ret_script, struct fault *f)
{
    AUTO(bytes) script = {0};
    TRY(variable_write(&script, "names", question->names, f));
    TRY(variable_write(&script, "files", question->files, f));
    TRY(variable_write(&script, "folders", question->folders, f));
    TRY(variable_write(&script, "programs", question->programs, f));
    bytes_append_text(&script, shipped_facts_script);
    return bytes_give(&script, ret_script, f);
}
