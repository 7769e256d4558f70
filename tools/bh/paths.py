# SPDX-License-Identifier: MIT
"""Where things are: the tree, its build folder, the cache outside the tree."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import tempfile

TREE = pathlib.Path(__file__).resolve().parents[2]
BUILD = TREE / "build"
HYPERVISOR = BUILD / "hypervisor" / "bulkhead.elf32"


def cache_dir():
    """The cache folder: BULKHEAD_CACHE, else bulkhead in the user's cache folder."""
    own = os.environ.get("BULKHEAD_CACHE")
    if own:
        path = pathlib.Path(own)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
        path = pathlib.Path(base) / "bulkhead"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@contextlib.contextmanager
def locked(path):
    """Holds an exclusive lock on a file (made when missing); waits for other processes."""
    with open(path, "a", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def staged_dir(final):
    """
    A folder to fill that becomes FINAL at the end of the block, and vanishes when the block
    fails, so that FINAL is whole whenever it exists. The caller holds the cache's lock.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for left in final.parent.glob(".new-*"):  # by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    stage = pathlib.Path(tempfile.mkdtemp(prefix=".new-", dir=final.parent))
    try:
        os.chmod(stage, 0o755)
        yield stage
        if final.exists():
            shutil.rmtree(final)
        os.rename(stage, final)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise


def write_whole(path, data):
    """Writes DATA (bytes) so that PATH is never seen half written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(fd, "wb") as handle:
            handle.write(data)
        os.chmod(name, 0o644)
        os.rename(name, path)
    except BaseException:
        os.unlink(name)
        raise
