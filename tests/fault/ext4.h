/* ext4.h: a small ext4 file system in a file, to fill it, to make it fail, or to cut its power. Needs root and a loop
 * device. */
#ifndef ENSIGN_TESTS_FAULT_EXT4_H
#define ENSIGN_TESTS_FAULT_EXT4_H

#include <stdbool.h>

struct ext4 {
    char image[64];
    char folder[64]; /* where it is mounted */
    bool mounted;
};

/* What this process mounts from now on ends with it, however that is. */
void mounts_private(void);

/* A new one, mounted. False: not permitted here, and nothing is left behind. */
bool ext4_make(unsigned mebibytes, struct ext4 *ret_disk);
bool ext4_mount(struct ext4 *disk);
bool ext4_unmount(struct ext4 *disk);

/* What is not on the disk at this moment never gets there, the journal included (EXT4_IOC_SHUTDOWN, no log flush). */
bool ext4_cut_power(const struct ext4 *disk);

/* As after an error on the disk: the kernel makes the file system read-only. */
bool ext4_fail(const struct ext4 *disk);

void ext4_remove(struct ext4 *disk);

#endif
