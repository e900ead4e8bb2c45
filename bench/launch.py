"""Runs one command and writes what it used to a file: exit code, wall, user and system seconds, peak memory in KiB.

    python3 -I -S launch.py REPORT PROGRAM [ARGUMENT...]      PROGRAM is an absolute path

A program of its own, because Linux counts the memory of the process that forks towards the peak of the command. This
one imports only built-in modules, so the smallest peak that can be seen is about 5 MiB, not that of the whole harness.
"""

import posix
import sys
import time

report, command = sys.argv[1], sys.argv[2:]
start = time.perf_counter()
child = posix.fork()
if child == 0:
    try:
        # If memory runs out, the kernel ends the command and not something else on the machine.
        posix.write(posix.open("/proc/self/oom_score_adj", posix.O_WRONLY), b"1000")
        posix.execv(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr, flush=True)
    posix._exit(127)
_, status, usage = posix.wait4(child, 0)
wall = time.perf_counter() - start
with open(report, "w") as file:
    file.write(f"{posix.waitstatus_to_exitcode(status)} {wall} {usage.ru_utime} {usage.ru_stime} {usage.ru_maxrss}")
