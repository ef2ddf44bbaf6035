"""The clock of ensignd_clock (tests/fault/clock.c): what is added to the machine's time, changed while it runs."""
import calendar
import os
import pathlib
import struct
import tempfile
import time


class Clock:
    """Make it before the service: ensignd finds the file by its environment."""

    FIELDS = ('wall_seconds', 'uptime_seconds', 'boot', 'believed')

    def __init__(self):
        handle, path = tempfile.mkstemp(prefix='ensign-clock-')
        self.path, self.file = pathlib.Path(path), os.fdopen(handle, 'r+b', buffering=0)
        self.values = dict.fromkeys(self.FIELDS, 0)
        self.set()
        os.environ['ENSIGN_TEST_CLOCK'] = path

    def close(self):
        self.file.close()
        self.path.unlink()

    def set(self, **values):
        """Sets the given fields, one by one and each as a whole; the others stay."""
        self.values.update(values)
        for index, field in enumerate(self.FIELDS):
            os.pwrite(self.file.fileno(), struct.pack('@q', self.values[field]), 8 * index)

    def pass_time(self, seconds):
        """As if that much time had passed; sleeping counts."""
        self.set(wall_seconds=self.values['wall_seconds'] + seconds,
                 uptime_seconds=self.values['uptime_seconds'] + seconds)

    def now(self):
        """What the service's clock says."""
        return int(time.time()) + self.values['wall_seconds']


def text(seconds):
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))


def seconds(time_text):
    return calendar.timegm(time.strptime(time_text, '%Y-%m-%dT%H:%M:%SZ'))
