#include "client/install.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ca/base/encode.h"
#include "client/files.h"
#include "client/kubeconfig.h"
#include "client/output.h"
#include "client/predecessor.h"

static const char record_name[] = "installed";

void install_cleanup(struct install *install)
{
    for (size_t i = 0; i < install->count; i++)
        secret_cleanup(&install->files[i].content);
    bytes_free(&install->record);
}

/* ---- the plan ---- */

static enum err file_add(struct install *install, const struct catalogue_item *item, const struct install_pems *pems,
                         const char *path, unsigned mode, struct span content, struct fault *f)
{
    if (install->count == INSTALL_FILES_MAX)
        return fault_set(f, CODE_INTERNAL, "a node has more than %d files", INSTALL_FILES_MAX);
    struct install_file *file = &install->files[install->count++];
    *file = (struct install_file){.path = path, .item = item, .bundle = pems->bundle, .mode = mode};
    return bytes_copy(content, &file->content, f);
}

static enum err kubeconfig_add(struct install *install, const struct cluster *cluster,
                               const struct catalogue_item *item, const struct install_pems *pems, struct fault *f)
{
    const bool by_file = item->certificate_path != NULL;
    const struct kubeconfig kubeconfig = {.server = item->server,
                                          .cluster = cluster->name,
                                          .user = item->content.subject.common_name,
                                          .by_file = by_file,
                                          .bundle_by_file = item->bundle_path != NULL,
                                          .bundle = item->bundle_path ? span_text(item->bundle_path) : pems->bundle,
                                          .certificate =
                                              by_file ? span_text(item->certificate_path) : pems->certificate,
                                          .key = by_file ? span_text(item->key_path) : pems->key};
    CLEANUP(secret_cleanup) struct bytes text = {0};
    if (by_file) {
        TRY(file_add(install, item, pems, item->key_path, item->key_mode, pems->key, f));
        TRY(file_add(install, item, pems, item->certificate_path, item->certificate_mode, pems->certificate, f));
    }
    if (pems->certificate.size > 0)
        TRY(kubeconfig_write(&kubeconfig, &text, f));
    return file_add(install, item, pems, item->path, item->mode, bytes_span(&text), f);
}

enum err install_add(struct install *install, const struct cluster *cluster, const struct catalogue_item *item,
                     const struct install_pems *pems, struct fault *f)
{
    if (item->kind == CATALOGUE_KUBECONFIG)
        return kubeconfig_add(install, cluster, item, pems, f);
    if (item->kind == CATALOGUE_BUNDLE)
        return file_add(install, item, pems, item->path, item->mode, pems->bundle, f);
    TRY(file_add(install, item, pems, item->key_path, item->key_mode, pems->key, f));
    return file_add(install, item, pems, item->path, item->mode, pems->certificate, f);
}

/* ---- the record ---- */

static void line_append(struct bytes *out, const uint8_t digest[SHA256_SIZE], const char *path)
{
    char text[SHA256_TEXT_SIZE];
    hex_text(span(digest, SHA256_SIZE), text, sizeof text);
    bytes_appendf(out, "%s  %s\n", text, path);
}

static enum err record_has(const struct install *install, const uint8_t digest[SHA256_SIZE], const char *path,
                           bool *ret_has, struct fault *f)
{
    AUTO(bytes) line = {0};
    line_append(&line, digest, path);
    TRY(bytes_check(&line, f));
    *ret_has = strstr(bytes_text(&install->record), bytes_text(&line)) != NULL;
    return OK;
}

static enum err record_read(struct install *install, struct fault *f)
{
    bytes_free(&install->record);
    enum err err = file_read_at(install->sets, record_name, &install->record, f);
    if (err != ERR_ABSENT)
        return err;
    fault_clear(f);
    return OK;
}

static bool path_planned(const struct install *install, const char *path, size_t size)
{
    for (size_t i = 0; i < install->count; i++)
        if (strlen(install->files[i].path) == size && memcmp(install->files[i].path, path, size) == 0)
            return true;
    return false;
}

/* What the record says of files that are not planned this time. */
static void record_keep(const struct install *install, struct bytes *out)
{
    const char *line = bytes_text(&install->record);
    for (const char *end; (end = strchr(line, '\n')); line = end + 1) {
        const char *path = line + SHA256_TEXT_SIZE + 1;
        if (path < end && !path_planned(install, path, (size_t)(end - path)))
            bytes_append(out, line, (size_t)(end - line) + 1);
    }
}

static enum err record_write(const struct install *install, struct fault *f)
{
    AUTO(bytes) text = {0};
    bool stands = true;
    for (size_t i = 0; i < install->count; i++) {
        const struct install_file *file = &install->files[i];
        uint8_t digest[SHA256_SIZE];
        bool has = false;
        crypto_hash_sha256(digest, file->content.data, file->content.size);
        TRY(record_has(install, digest, file->path, &has, f));
        stands = stands && has && file->state == INSTALL_SAME;
        line_append(&text, digest, file->path);
        if (file->state == INSTALL_OTHER)
            line_append(&text, file->present, file->path);
    }
    if (stands)
        return OK;
    record_keep(install, &text);
    TRY(bytes_check(&text, f));
    return file_put_at(install->sets, record_name, FILE_MODE_PRIVATE, FILE_REPLACE, bytes_span(&text), f);
}

/* ---- what is there ---- */

/* false: a reason says why it is not as we write it */
static bool status_check(const struct install_file *file, const struct stat *status, struct fault *f)
{
    if ((status->st_mode & 07777) != file->mode)
        fault_reason(f, file->path, "it has the mode %04o instead of %04o", status->st_mode & 07777, file->mode);
    else if (status->st_uid != 0 && status->st_uid != geteuid())
        fault_reason(f, file->path, "it belongs to the user %u", status->st_uid);
    else
        return true;
    return false;
}

static enum err present_read(const struct install *install, const char *path, struct bytes *ret_present,
                             struct stat *ret_status, struct fault *f)
{
    CLEANUP(fd_cleanup) int folder = -1;
    const char *name = NULL;
    TRY(folder_open_parent(install->root, path, false, &folder, &name, f));
    TRY(file_read_at(folder, name, ret_present, f));
    if (fstatat(folder, name, ret_status, AT_SYMLINK_NOFOLLOW) != 0)
        return fault_set(f, CODE_IO, "\"%s\" was removed meanwhile", path);
    return OK;
}

/* That it may go unasked. A key is looked at with the certificate beside it. */
static enum err stranger_check(const struct install *install, const struct install_file *file, struct span present,
                               struct fault *f)
{
    const struct catalogue_item *item = file->item;
    AUTO(bytes) certificate = {0};
    struct stat ignored;
    if (file->path != item->key_path)
        return predecessor_check(item, file->bundle, present, f);
    TRY(present_read(install, item->path, &certificate, &ignored, f));
    return predecessor_check_key(item, file->bundle, bytes_span(&certificate), present, f);
}

static enum err present_check(const struct install *install, struct install_file *file, const struct bytes *present,
                              const struct stat *status, struct fault *f)
{
    bool ours = false, same = span_equal(bytes_span(present), bytes_span(&file->content));
    struct fault why = {0};
    crypto_hash_sha256(file->present, present->data, present->size);
    TRY(record_has(install, file->present, file->path, &ours, f));
    file->state = INSTALL_OTHER;
    if (!same && !ours && stranger_check(install, file, bytes_span(present), &why) != OK)
        fault_reason(f, file->path, "it was changed, or is from somebody else: %.200s", why.text);
    else if (status_check(file, status, f) && same)
        file->state = INSTALL_SAME;
    return OK;
}

static enum err file_look(const struct install *install, struct install_file *file, struct fault *f)
{
    CLEANUP(secret_cleanup) struct bytes present = {0};
    struct stat status;
    struct fault why = {0};
    enum err err = present_read(install, file->path, &present, &status, &why);
    if (err == OK)
        return present_check(install, file, &present, &status, f);
    file->state = INSTALL_ABSENT;
    if (err == ERR_ABSENT)
        return OK;
    *f = why;
    return err;
}

enum err install_check(struct install *install, bool force, struct fault *f)
{
    TRY(record_read(install, f));
    for (size_t i = 0; i < install->count; i++)
        TRY(file_look(install, &install->files[i], f));
    if (force)
        fault_clear(f);
    return fault_if_reasons(f, CODE_CONFLICT,
                            "nothing was installed: these are not as ensign put them there; move them away, or have "
                            "them replaced with --force");
}

/* ---- writing ---- */

struct opened {
    int folder; /* or -1 */
    const char *name;
};

static void opened_cleanup(struct opened (*files)[INSTALL_FILES_MAX])
{
    for (size_t i = 0; i < INSTALL_FILES_MAX; i++)
        fd_cleanup(&(*files)[i].folder);
}

static enum err files_stage(const struct install *install, struct opened *opened, struct fault *f)
{
    for (size_t i = 0; i < install->count; i++) {
        const struct install_file *file = &install->files[i];
        TRY(folder_open_parent(install->root, file->path, true, &opened[i].folder, &opened[i].name, f));
        if (file->state != INSTALL_SAME)
            TRY(file_stage_at(opened[i].folder, opened[i].name, file->mode, bytes_span(&file->content), f));
    }
    return OK;
}

/* Backwards: a certificate, and with the next call its key (see install.h). */
static enum err files_switch(const struct install *install, const struct opened *opened, struct fault *f)
{
    for (size_t i = install->count; i-- > 0;)
        if (install->files[i].state != INSTALL_SAME)
            TRY(file_switch_at(opened[i].folder, opened[i].name,
                               install->files[i].state == INSTALL_ABSENT ? FILE_NEW : FILE_REPLACE, f));
    for (size_t i = 0; i < install->count; i++)
        if (install->files[i].state != INSTALL_SAME)
            TRY(folder_sync(opened[i].folder, f));
    for (size_t i = 0; i < install->count; i++) /* of a run that was interrupted, too: it may be a key */
        file_tidy_at(opened[i].folder, opened[i].name);
    return OK;
}

enum err install_write(struct install *install, struct fault *f)
{
    CLEANUP(opened_cleanup) struct opened opened[INSTALL_FILES_MAX];
    size_t same = 0;
    for (size_t i = 0; i < INSTALL_FILES_MAX; i++)
        opened[i] = (struct opened){-1, NULL};
    TRY(record_write(install, f));
    TRY(files_stage(install, opened, f));
    TRY(files_switch(install, opened, f));
    for (size_t i = 0; i < install->count; i++) {
        if (install->files[i].state == INSTALL_SAME)
            same++;
        else
            message("installed %s", install->files[i].path);
    }
    if (same > 0)
        message("%zu installed files are unchanged", same);
    return OK;
}
