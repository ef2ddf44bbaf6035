"""Makes another process do a system call, as who has broken into it would. Root and x86-64 only."""
import ctypes
import os
import platform
import signal

SINGLESTEP, GETREGS, SETREGS, ATTACH, DETACH = 9, 12, 13, 16, 17
RAX, RDX, RSI, RDI, ORIG_RAX, RIP = 10, 12, 13, 14, 15, 16  # in struct user_regs_struct
REGISTERS = 27
SYSCALL_SIZE = 2  # of the instruction

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def possible():
    return os.geteuid() == 0 and platform.machine() == 'x86_64'


def ptrace(request, pid, data=None):
    if libc.ptrace(request, pid, None, data) < 0:
        raise OSError(ctypes.get_errno(), 'ptrace')


def inject(pid, call, *arguments):
    """What the call returned; None when the process was killed for it. The process has to wait in a system call: behind
    it the call is done, and then the process goes on waiting."""
    ptrace(ATTACH, pid)
    assert os.WIFSTOPPED(os.waitpid(pid, 0)[1])
    saved, changed = (ctypes.c_ulong * REGISTERS)(), (ctypes.c_ulong * REGISTERS)()
    ptrace(GETREGS, pid, saved)
    changed[:] = saved[:]
    changed[RIP] -= SYSCALL_SIZE
    changed[RAX] = call
    changed[ORIG_RAX] = ctypes.c_ulong(-1).value  # what was interrupted is not begun again here
    for register, argument in zip((RDI, RSI, RDX), arguments):
        changed[register] = argument
    ptrace(SETREGS, pid, changed)
    ptrace(SINGLESTEP, pid)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGSYS, status
        return None
    ptrace(GETREGS, pid, changed)
    ptrace(SETREGS, pid, saved)
    ptrace(DETACH, pid)
    return ctypes.c_long(changed[RAX]).value
