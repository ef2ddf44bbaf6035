#include "hsm/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum err secret_new(size_t size, struct secret *ret_secret, struct fault *f)
{
    if (sodium_init() < 0)
        return fault_set(f, CODE_CRYPTO, "libsodium does not start");
    uint8_t *data = sodium_malloc(size);
    if (!data)
        return fault_no_memory(f);
    *ret_secret = (struct secret){data, size};
    return OK;
}

void secret_cleanup(struct secret *secret)
{
    sodium_free(secret->data);
    *secret = (struct secret){0};
}

static void descriptor_close(const int *descriptor)
{
    if (*descriptor >= 0)
        close(*descriptor);
}

static bool owner_trusted(const struct stat *status)
{
    return status->st_uid == geteuid() || status->st_uid == 0;
}

static enum err file_check(enum secret_kind kind, int descriptor, const char *path, struct fault *f)
{
    static const mode_t forbidden[] = {[SECRET_FILE] = 077, [SECRET_CREDENTIAL] = 037};
    struct stat status;
    if (fstat(descriptor, &status) < 0)
        return fault_errno(f, "%s cannot be examined", path);
    if (!S_ISREG(status.st_mode))
        return fault_set(f, CODE_IO, "%s is not a regular file", path);
    if (!owner_trusted(&status))
        return fault_set(f, CODE_IO, "%s belongs to another user: give it to the one that runs this program", path);
    if (status.st_mode & forbidden[kind])
        return fault_set(f, CODE_IO, "%s is open to others than its owner (mode %04o): chmod 600 it", path,
                         (unsigned)status.st_mode & 07777);
    return OK;
}

enum err secret_folder(const char *path, char ret_folder[SECRET_PATH_SIZE], struct fault *f)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 1;
    if (length >= SECRET_PATH_SIZE)
        return fault_set(f, CODE_IO, "the path of a secret file is too long");
    memcpy(ret_folder, slash ? path : ".", length);
    ret_folder[length] = '\0';
    return OK;
}

/* Whoever can write the folder can put another file in the place of the secret. */
static enum err folder_check(const char *path, struct fault *f)
{
    char folder[SECRET_PATH_SIZE];
    TRY(secret_folder(path, folder, f));
    struct stat status;
    if (stat(folder, &status) < 0)
        return fault_errno(f, "%s cannot be examined", folder);
    if (!owner_trusted(&status) || status.st_mode & 022)
        return fault_set(f, CODE_IO, "%s can be written by others, who could exchange %s: chmod go-w it", folder, path);
    return OK;
}

/* As much as there is and fits. */
static enum err descriptor_read(int descriptor, const char *path, struct secret *secret, struct fault *f)
{
    size_t used = 0;
    while (used < secret->size) {
        ssize_t n = read(descriptor, secret->data + used, secret->size - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(f, "%s cannot be read", path);
        if (n == 0)
            break;
        used += (size_t)n;
    }
    secret->size = used;
    return OK;
}

enum err secret_read(enum secret_kind kind, const char *path, size_t max, struct secret *ret_secret, struct fault *f)
{
    CLEANUP(descriptor_close) int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0)
        return fault_errno(f, "%s cannot be opened", path);
    TRY(file_check(kind, descriptor, path, f));
    TRY(folder_check(path, f));

    AUTO(secret) secret = {0};
    TRY(secret_new(max + 2, &secret, f)); /* a newline, and one more to see that a file is too long */
    TRY(descriptor_read(descriptor, path, &secret, f));
    if (secret.size > 0 && secret.data[secret.size - 1] == '\n')
        secret.size--;
    if (secret.size > max)
        return fault_set(f, CODE_IO, "%s holds more than %zu bytes", path, max);
    *ret_secret = secret;
    secret = (struct secret){0};
    return OK;
}

enum err secret_create(const char *path, struct span content, struct fault *f)
{
    char folder[SECRET_PATH_SIZE];
    TRY(secret_folder(path, folder, f));
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (file < 0)
        return fault_errno(f, "%s cannot be made", path);
    int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool written = write(file, content.data, content.size) == (ssize_t)content.size && fsync(file) == 0 &&
                   directory >= 0 && fsync(directory) == 0;
    enum err err = written ? OK : fault_errno(f, "%s cannot be written", path);
    close(file);
    if (directory >= 0)
        close(directory);
    if (!written)
        unlink(path);
    return err;
}
