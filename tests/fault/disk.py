"""A small ext4 file system in a file, to fill it, to make it fail, or to cut its power."""
import ctypes
import fcntl
import functools
import os
import pathlib
import struct

from lib.service import run, wait_for
from outcome import Skipped

EXT4_IOC_SHUTDOWN, NO_LOG_FLUSH = 0x8004587d, 2
CLONE_NEWNS = 0x00020000


@functools.cache
def mounts_private():
    """What is mounted from now on ends with this process, however that is."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise Skipped('only root may mount a file system')
    run('mount', '--make-rprivate', '/', check=False)  # fails in a chroot, where nothing is shared anyway


class Disk:
    def __init__(self, folder, mebibytes=256, options='errors=continue'):
        mounts_private()
        self.options = 'loop,' + options
        self.image, self.folder = folder / 'disk.img', folder / 'disk'
        self.folder.mkdir()
        with open(self.image, 'wb') as image:
            image.truncate(mebibytes << 20)
        run('mkfs.ext4', '-q', self.image)
        if run('mount', '-o', self.options, self.image, self.folder, check=False).returncode != 0:
            raise Skipped('mounting is not permitted here')

    def mount(self):
        run('mount', '-o', self.options, self.image, self.folder)

    def unmount(self):
        """A child that the supervisor started in its last moment may need another one to die."""
        wait_for('the file system to be free', lambda: run('umount', self.folder, check=False).returncode == 0)

    def cut_power(self):
        """What is not on the disk at this moment never gets there, the journal included."""
        fd = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(fd, EXT4_IOC_SHUTDOWN, struct.pack('I', NO_LOG_FLUSH))
        os.close(fd)

    def fail(self):
        """As after an error on the disk: the kernel makes the file system read-only, until it is mounted anew."""
        device = os.stat(self.folder).st_dev
        name = os.path.basename(os.readlink(f'/sys/dev/block/{os.major(device)}:{os.minor(device)}'))
        try:
            pathlib.Path(f'/sys/fs/ext4/{name}/trigger_fs_error').write_text('1')
        except OSError:
            pass  # the kernel triggers the error and then says that the disk is read-only

    def settle(self):
        os.sync()
