"""A service in which calls fail that a real system fails only under conditions that cannot be had at will: the other
side of failing.c."""
import mmap
import os
import struct

import faults
from lib.service import BUILD
from outcome import Skipped

LIBRARY = BUILD / 'tests/fault/libfailing.so'
FORM = struct.Struct('=iiqqi4x')  # struct control


class FailingService(faults.FaultService):
    def __init__(self):
        if not LIBRARY.exists():
            raise Skipped('a sanitizer has an allocator of its own')
        super().__init__()
        path = self.folder / 'failing'
        path.write_bytes(bytes(FORM.size))
        self.control_file = open(path, 'r+b')
        self.control = mmap.mmap(self.control_file.fileno(), FORM.size)
        self.environment = {'LD_PRELOAD': str(LIBRARY), 'ENSIGN_FAILING': str(path)}

    def start(self):
        os.environ.update(self.environment)
        try:
            return super().start()
        finally:
            for name in self.environment:
                del os.environ[name]

    def memory_fail(self, pid, left, lasting=False):
        """The allocation after `left` - 1 others fails in this process, and, if lasting, all after it."""
        self.control[:FORM.size] = FORM.pack(0, lasting, left, 0, 0)
        self.control[:4] = struct.pack('=i', pid)

    def memory_left(self):
        return FORM.unpack(self.control[:FORM.size])[2]

    def memory_end(self):
        """How many failed."""
        self.control[:4] = bytes(4)
        return FORM.unpack(self.control[:FORM.size])[3]

    def read_only(self, on):
        self.control[24:28] = struct.pack('=i', on)
