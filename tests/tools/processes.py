"Is a process still there?"

import time

import psutil


def wait_until(ready, seconds):
    "What `ready()` says when it is true; what it says in the end if it never is."
    end = time.monotonic() + seconds
    while not (o := ready()) and time.monotonic() < end:
        time.sleep(0.1)
    return o


def runs(pid):
    "Is there such a process, and not only as a zombie that nobody has asked for?"
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def gone(pid, within=20):
    return wait_until(lambda: not runs(pid), within)
