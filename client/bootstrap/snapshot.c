#include "client/bootstrap/snapshot.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "client/bootstrap/scripts.h"
#include "client/files.h"
#include "client/render/roles.h"

enum {
    SECTOR_SIZE = 512,
    MAGIC_AT = 16, /* behind the header of the first page (bbolt: page.go, db.go) */
    DATABASE_SIZE_MIN = 16384,
};

static const uint8_t bbolt_magic[] = {0xed, 0xda, 0x0c, 0xed}; /* 0xED0CDAED */

/* ---- the file ---- */

static bool is_bbolt(struct span content)
{
    return content.size >= MAGIC_AT + sizeof bbolt_magic &&
           memcmp(content.data + MAGIC_AT, bbolt_magic, sizeof bbolt_magic) == 0;
}

enum err snapshot_check(struct span content, const char *name, struct fault *f)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    size_t size = content.size - sizeof digest;
    if (!is_bbolt(content))
        return fault_set(f, CODE_MALFORMED, "\"%.200s\" is no snapshot of etcd", name);
    if (content.size % SECTOR_SIZE == 0)
        return fault_set(f, CODE_MALFORMED,
                         "\"%.200s\" has no checksum: it is cut, or a copy of member/snap/db and no snapshot. Nothing "
                         "tells whether it is whole",
                         name);
    if (content.size % SECTOR_SIZE != sizeof digest || size < DATABASE_SIZE_MIN)
        return fault_set(f, CODE_MALFORMED, "\"%.200s\" is cut: no snapshot of etcd has %zu bytes", name, content.size);
    if (!SHA256(content.data, size, digest))
        return fault_openssl(f, "SHA-256");
    if (memcmp(content.data + size, digest, sizeof digest) != 0)
        return fault_set(f, CODE_DAMAGED, "\"%.200s\" is damaged: its checksum does not fit what is in it", name);
    return OK;
}

enum err snapshot_map(int fd, const char *name, struct snapshot *ret_snapshot, struct fault *f)
{
    AUTO(snapshot) snapshot = {0};
    struct stat status;
    if (fstat(fd, &status) != 0)
        return fault_errno(f, "cannot look at \"%.200s\"", name);
    if (status.st_size <= 0)
        return fault_set(f, CODE_MALFORMED, "\"%.200s\" is empty", name);
    void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return fault_errno(f, "cannot read \"%.200s\"", name);
    snapshot.content = span(data, (size_t)status.st_size);
    TRY(snapshot_check(snapshot.content, name, f));
    sha256_text(snapshot.content, snapshot.digest);
    *ret_snapshot = snapshot;
    snapshot = (struct snapshot){0};
    return OK;
}

enum err snapshot_open(const char *path, struct snapshot *ret_snapshot, struct fault *f)
{
    CLEANUP(fd_cleanup) int fd = -1;
    TRY(file_open_private(path, &fd, f));
    return snapshot_map(fd, path, ret_snapshot, f);
}

void snapshot_cleanup(struct snapshot *snapshot)
{
    if (snapshot->content.data)
        munmap((void *)(uintptr_t)snapshot->content.data, snapshot->content.size);
    *snapshot = (struct snapshot){0};
}

/* ---- what hosts say ---- */

const char *snapshot_line(const char *text, const char *word)
{
    const char *found = NULL;
    size_t size = strlen(word);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, word, size) == 0 && line[size] == ' ')
            found = line + size + 1;
    }
    return found;
}

bool snapshot_status_read(const char *text, struct snapshot_status *ret_status)
{
    long long revision, keys, bytes;
    const char *line = snapshot_line(text, "snapshot");
    if (!line || sscanf(line, "%lld %lld %lld", &revision, &keys, &bytes) != 3)
        return false;
    *ret_status = (struct snapshot_status){revision, keys, bytes};
    return true;
}

/* ---- the step ---- */

const struct step_kind step_snapshot_save = {STAGE_ETCD,
                                             "snapshot_save",
                                             "take a snapshot",
                                             .applies = is_etcd_member,
                                             .deadline_seconds = 3600,
                                             .functions = shipped_snapshot_script};
