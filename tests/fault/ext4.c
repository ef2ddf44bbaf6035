#include "tests/fault/ext4.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define IOCTL_SHUTDOWN _IOR('X', 125, uint32_t)
enum { SHUTDOWN_WITHOUT_LOG_FLUSH = 2 };

void mounts_private(void)
{
    if (unshare(CLONE_NEWNS) == 0)
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* Errors go nowhere: that something is not permitted here is told by the caller. */
static bool run(const char *const *arguments)
{
    pid_t child;
    int status;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    int error = posix_spawnp(&child, arguments[0], &actions, NULL, (char *const *)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error == 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool ext4_mount(struct ext4 *disk)
{
    disk->mounted =
        run((const char *const[]){"mount", "-o", "loop,errors=remount-ro", disk->image, disk->folder, NULL});
    return disk->mounted;
}

bool ext4_unmount(struct ext4 *disk)
{
    disk->mounted = disk->mounted && umount(disk->folder) != 0;
    return !disk->mounted;
}

static bool image_make(unsigned mebibytes, struct ext4 *disk)
{
    int image = mkstemp(disk->image);
    if (image < 0)
        return false;
    bool good = ftruncate(image, (off_t)mebibytes << 20) == 0;
    close(image);
    return good && run((const char *const[]){"mkfs.ext4", "-q", "-F", disk->image, NULL});
}

bool ext4_make(unsigned mebibytes, struct ext4 *ret_disk)
{
    *ret_disk = (struct ext4){P_tmpdir "/ensign-ext4-image-XXXXXX", P_tmpdir "/ensign-ext4-XXXXXX", false};
    if (mkdtemp(ret_disk->folder) && image_make(mebibytes, ret_disk) && ext4_mount(ret_disk))
        return true;
    ext4_remove(ret_disk);
    return false;
}

bool ext4_cut_power(const struct ext4 *disk)
{
    uint32_t how = SHUTDOWN_WITHOUT_LOG_FLUSH;
    int folder = open(disk->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = folder >= 0 && ioctl(folder, IOCTL_SHUTDOWN, &how) == 0;
    if (folder >= 0)
        close(folder);
    return good;
}

bool ext4_fail(const struct ext4 *disk)
{
    struct stat status;
    char path[128], device[128] = {0};
    if (stat(disk->folder, &status) != 0)
        return false;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(status.st_dev), minor(status.st_dev));
    if (readlink(path, device, sizeof device - 1) < 0 || !strrchr(device, '/'))
        return false;
    snprintf(path, sizeof path, "/sys/fs/ext4%.64s/trigger_fs_error", strrchr(device, '/'));
    int trigger = open(path, O_WRONLY | O_CLOEXEC);
    if (trigger < 0)
        return false;
    (void)!write(trigger, "1", 1); /* the kernel triggers the error and then says that the disk is read-only */
    close(trigger);
    return true;
}

void ext4_remove(struct ext4 *disk)
{
    ext4_unmount(disk);
    unlink(disk->image);
    rmdir(disk->folder);
}
