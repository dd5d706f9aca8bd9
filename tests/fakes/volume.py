"""A folder that refuses what a Databricks Volume refuses, for every process and every system call.

`volume(folder)` puts a FUSE file system there that passes everything through to a folder beside
it, but appends (errno 95), writes at any place but the end of what this handle wrote, changes of
size, renames and links (38), locks (95), and fsync (22). The kernel's protocol is spoken here
(`linux/fuse.h`, version 7.31), so that no library is needed: as root by mount(2), else through
`fusermount3`. Where FUSE cannot be had, a library between programs and the system does the
refusing (see `refusing.c`); then only programs started with `environ` meet it.

    with volume(tmp_path / "volume") as there:
        subprocess.run([...], env={**os.environ, **there.environ})
        there.fail("ENOSPC")        # from now on nothing can be created or written
        there.refused               # what was tried in vain: ["append /x", …]
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

WAY = os.environ.get("DBRUN_TEST_VOLUME", "")
"""`fuse` or `preload` to insist on one of the two ways."""


class Volume:
    """A folder that takes whole files only; *environ* is what a program needs to meet it so."""

    def __init__(self, path: Path, backing: Path, environ: dict[str, str]) -> None:
        self.path = path
        self.backing = backing
        self.environ = environ

    def fail(self, name: str = "") -> None:
        """Have every write and creation fail with the error *name*; "" ends it."""
        fault, made = beside(self.backing, "fault"), beside(self.backing, "fault-to-be")
        if name:
            made.write_text(str(getattr(errno, name)))
            made.replace(fault)
        else:
            fault.unlink()

    @property
    def refused(self) -> list[str]:
        """What was refused so far, each as the operation and the path."""
        with contextlib.suppress(FileNotFoundError):
            return beside(self.backing, "refused").read_text().splitlines()
        return []


def beside(backing: Path, name: str) -> Path:
    """A file that steers or tells of a volume."""
    return backing.with_name(f"{backing.name}.{name}")


@contextlib.contextmanager
def volume(path: Path) -> Iterator[Volume]:
    """Make *path* a folder that takes whole files only."""
    backing = path.with_name(path.name + ".backing")
    path.mkdir(parents=True)
    backing.mkdir()
    if WAY != "preload":
        served = _start(path, backing)
        if served is not None:
            try:
                yield Volume(path, backing, {})
            finally:
                _stop(served)
            return
        if WAY == "fuse":
            raise RuntimeError("FUSE cannot be had here")
    backing.rmdir()
    library = _refusing_library(path.parent)
    environ = {"LD_PRELOAD": str(library), "REFUSING_ROOT": str(path)}
    yield Volume(path, path, environ)


def _start(path: Path, backing: Path) -> subprocess.Popen[str] | None:
    """The process that serves the mounted folder; None if nothing can be mounted here."""
    server = subprocess.Popen(
        [sys.executable, __file__, str(backing), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    if server.stdout.readline() == "ready\n":
        return server
    _stop(server)
    return None


def _stop(server: subprocess.Popen[str]) -> None:
    with server:
        assert server.stdin is not None
        server.stdin.close()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def _refusing_library(folder: Path) -> Path:
    """The library that refuses, made by the system's C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise RuntimeError("neither FUSE nor a C compiler is to be had: nothing can refuse")
    made = folder / "refusing.so"
    source = Path(__file__).with_name("refusing.c")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(made), str(source), "-ldl"]
    subprocess.run(command, check=True)
    return made


# The server's side: a process of its own, for a process that waits for its own file system
# cannot answer it.

LOOKUP, FORGET, GETATTR, SETATTR, SYMLINK, MKNOD, MKDIR = 1, 2, 3, 4, 6, 8, 9
UNLINK, RMDIR, RENAME, LINK, OPEN, READ, WRITE, STATFS = 10, 11, 12, 13, 14, 15, 16, 17
RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR = 18, 20, 25, 26, 27, 28, 29
FSYNCDIR, GETLK, SETLK, SETLKW, ACCESS, CREATE, INTERRUPT = 30, 31, 32, 33, 34, 35, 36
DESTROY, BATCH_FORGET, FALLOCATE, RENAME2, COPY_RANGE = 38, 42, 43, 45, 47

ATOMIC_TRUNCATE, POSIX_LOCKS, FLOCK_LOCKS, BIG_WRITES = 1 << 3, 1 << 1, 1 << 10, 1 << 5
FATTR_SIZE = 1 << 3
LARGEST = 1 << 17

Answer = bytes | int | None
"""What to reply: data, an errno, or nothing at all."""


class Handle:
    """An open file. Writes go on where the last one ended; *next* is None if none is allowed."""

    def __init__(self, fd: int, following: int | None) -> None:
        self.fd = fd
        self.next = following


class Server:
    """Answers the kernel's requests on *device* about files below *root*."""

    def __init__(self, root: str, device: int) -> None:
        self._root = root
        self._device = device
        self._paths = {1: ""}
        self._numbers = {"": 1}
        self._handles: dict[int, Handle] = {}
        self._count = 1
        self._fault = str(beside(Path(root), "fault"))
        self._log = str(beside(Path(root), "refused"))
        self._calls: dict[int, Callable[[int, bytes], Answer]] = {
            LOOKUP: self.lookup,
            GETATTR: self.getattr,
            SETATTR: self.setattr,
            MKDIR: self.mkdir,
            UNLINK: self.unlink,
            RMDIR: self.rmdir,
            OPEN: self.open,
            CREATE: self.create,
            READ: self.read,
            WRITE: self.write,
            RELEASE: self.release,
            OPENDIR: lambda node, body: struct.pack("=QII", 0, 0, 0),
            READDIR: self.readdir,
            STATFS: self.statfs,
            FLUSH: lambda node, body: b"",
            RELEASEDIR: lambda node, body: b"",
            ACCESS: lambda node, body: b"",
            FORGET: lambda node, body: None,
            BATCH_FORGET: lambda node, body: None,
            INTERRUPT: lambda node, body: None,
            FSYNC: lambda node, body: errno.EINVAL,
            FSYNCDIR: lambda node, body: errno.EINVAL,
            INIT: self.init,
            DESTROY: lambda node, body: b"",
            RENAME: self._refuse("rename", errno.ENOSYS),
            RENAME2: self._refuse("rename", errno.ENOSYS),
            LINK: self._refuse("link", errno.ENOSYS),
            SYMLINK: self._refuse("symlink", errno.ENOSYS),
            MKNOD: self._refuse("mknod", errno.ENOSYS),
            SETLK: self._refuse("lock", errno.EOPNOTSUPP),
            SETLKW: self._refuse("lock", errno.EOPNOTSUPP),
            GETLK: self._refuse("lock", errno.EOPNOTSUPP),
            FALLOCATE: self._refuse("fallocate", errno.EOPNOTSUPP),
            COPY_RANGE: self._refuse("copy_range", errno.EOPNOTSUPP),
        }

    def serve(self) -> None:
        """Answer until the file system is unmounted."""
        while True:
            try:
                request = os.read(self._device, LARGEST + 4096)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.EINTR):
                    continue
                return
            opcode, unique, node = struct.unpack_from("=4xIQQ", request)
            answer: Answer
            try:
                call = self._calls.get(opcode)
                answer = call(node, request[40:]) if call else errno.ENOSYS
            except OSError as error:
                answer = error.errno or errno.EIO
            if answer is None:
                continue
            code, data = (-answer, b"") if isinstance(answer, int) else (0, answer)
            with contextlib.suppress(OSError):  # whoever asked was killed meanwhile
                os.write(self._device, struct.pack("=IiQ", 16 + len(data), code, unique) + data)

    def init(self, node: int, body: bytes) -> bytes:
        """Agree on the protocol."""
        readahead, offered = struct.unpack_from("=8xII", body)
        wanted = offered & (ATOMIC_TRUNCATE | POSIX_LOCKS | FLOCK_LOCKS | BIG_WRITES)
        said = struct.pack("=IIIIHHII", 7, 31, readahead, wanted, 12, 9, LARGEST, 1)
        return said.ljust(64, b"\0")

    def lookup(self, node: int, body: bytes) -> Answer:
        """A name in a folder."""
        return self._entry(self._below(node, body))

    def getattr(self, node: int, body: bytes) -> Answer:
        """What is known of a file."""
        flags, number = struct.unpack_from("=I4xQ", body)
        if flags & 1 and number in self._handles:
            return struct.pack("=QII", 0, 0, 0) + _attributes(os.fstat(self._handles[number].fd))
        return struct.pack("=QII", 0, 0, 0) + _attributes(os.lstat(self._real(node)))

    def setattr(self, node: int, body: bytes) -> Answer:
        """A change of modes or times is passed over, one of the size refused."""
        (valid,) = struct.unpack_from("=I", body)
        if valid & FATTR_SIZE:
            return self._no("truncate", self._paths[node], errno.EOPNOTSUPP)
        return struct.pack("=QII", 0, 0, 0) + _attributes(os.lstat(self._real(node)))

    def mkdir(self, node: int, body: bytes) -> Answer:
        """A new folder."""
        self._may_fail()
        path = self._below(node, body[8:])
        os.mkdir(self._root + path)
        return self._entry(path)

    def unlink(self, node: int, body: bytes) -> Answer:
        """A file less."""
        self._may_fail(but=errno.ENOSPC)
        return self._gone(node, body, os.unlink)

    def rmdir(self, node: int, body: bytes) -> Answer:
        """A folder less."""
        return self._gone(node, body, os.rmdir)

    def open(self, node: int, body: bytes) -> Answer:
        """An existing file; for writing from its start only."""
        (flags,) = struct.unpack_from("=I", body)
        return self._open(self._paths[node], flags, 0)

    def create(self, node: int, body: bytes) -> Answer:
        """A new file."""
        self._may_fail()
        flags, mode = struct.unpack_from("=II", body)
        path = self._below(node, body[16:])
        opened = self._open(path, flags | os.O_CREAT, mode)
        return self._entry(path) + opened if isinstance(opened, bytes) else opened

    def read(self, node: int, body: bytes) -> Answer:
        """Some bytes of a file."""
        number, offset, size = struct.unpack_from("=QQI", body)
        return os.pread(self._handles[number].fd, size, offset)

    def write(self, node: int, body: bytes) -> Answer:
        """Some bytes more, at the end of those before."""
        self._may_fail()
        number, offset, size = struct.unpack_from("=QQI", body)
        handle = self._handles[number]
        if offset != handle.next:
            return self._no("write", self._paths[node], errno.EOPNOTSUPP)
        written = os.pwrite(handle.fd, body[40 : 40 + size], offset)
        handle.next = offset + written
        return struct.pack("=II", written, 0)

    def release(self, node: int, body: bytes) -> Answer:
        """A file that is closed."""
        (number,) = struct.unpack_from("=Q", body)
        os.close(self._handles.pop(number).fd)
        return b""

    def readdir(self, node: int, body: bytes) -> Answer:
        """Some of the names in a folder."""
        offset, size = struct.unpack_from("=8xQI", body)
        said = b""
        for place, name in enumerate(sorted(os.listdir(self._real(node))), start=1):
            if place > offset:
                spelled = os.fsencode(name)
                entry = struct.pack("=QQII", place, place, len(spelled), 0) + spelled
                entry = entry.ljust(-(-len(entry) // 8) * 8, b"\0")
                if len(said) + len(entry) > size:
                    break
                said += entry
        return said

    def statfs(self, node: int, body: bytes) -> Answer:
        """Room without end."""
        many = 1 << 30
        said = struct.pack("=QQQQQIII", many, many, many, many, many, 4096, 255, 4096)
        return said.ljust(80, b"\0")

    def _open(self, path: str, flags: int, mode: int) -> Answer:
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if flags & os.O_APPEND:
            return self._no("append", path, errno.EOPNOTSUPP)
        if writes:
            self._may_fail()
        kept = flags & (os.O_CREAT | os.O_EXCL | os.O_TRUNC)
        how = os.O_RDWR if writes else os.O_RDONLY
        fd = os.open(self._root + path, how | kept | os.O_NOFOLLOW, mode or 0o600)
        empty = os.fstat(fd).st_size == 0
        self._count += 1
        self._handles[self._count] = Handle(fd, 0 if writes and empty else None)
        return struct.pack("=QII", self._count, 0, 0)

    def _gone(self, node: int, body: bytes, remove: Callable[[str], None]) -> Answer:
        path = self._below(node, body)
        remove(self._root + path)
        number = self._numbers.pop(path, None)
        if number is not None and number not in self._paths:
            del self._paths[number]
        return b""

    def _refuse(self, what: str, code: int) -> Callable[[int, bytes], Answer]:
        return lambda node, body: self._no(what, self._paths[node], code)

    def _no(self, what: str, path: str, code: int) -> int:
        with open(self._log, "a", encoding="utf-8") as log:
            log.write(f"{what} {path}\n")
        return code

    def _may_fail(self, but: int = 0) -> None:
        with contextlib.suppress(FileNotFoundError), open(self._fault, encoding="ascii") as fault:
            code = int(fault.read() or errno.EIO)
            if code != but:
                raise OSError(code, "told to fail")

    def _below(self, node: int, name: bytes) -> str:
        return f"{self._paths[node]}/{os.fsdecode(name.split(bytes(1), 1)[0])}"

    def _real(self, node: int) -> str:
        return self._root + self._paths[node]

    def _entry(self, path: str) -> bytes:
        found = os.lstat(self._root + path)
        number = self._numbers.get(path)
        if number is None:
            self._count += 1
            number = self._numbers[path] = self._count
            self._paths[number] = path
        return struct.pack("=QQQQII", number, 0, 0, 0, 0, 0) + _attributes(found)


def _attributes(found: os.stat_result) -> bytes:
    times = [int(when) for when in (found.st_atime, found.st_mtime, found.st_ctime)]
    parts = [int(when % 1 * 1e9) for when in (found.st_atime, found.st_mtime, found.st_ctime)]
    sizes = (found.st_ino, found.st_size, found.st_blocks, *times, *parts)
    rest = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0)
    return struct.pack("=6Q10I", *sizes, *rest)


def _mount(target: str) -> tuple[int, Callable[[], Any]]:
    """The device to answer on, and what unmounts. Raises `OSError` if that cannot be had."""
    try:
        return _mount_as_root(target)
    except OSError:
        return _mount_by_helper(target)


def _mount_as_root(target: str) -> tuple[int, Callable[[], Any]]:
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode={stat.S_IFDIR:o},user_id={os.getuid()},group_id={os.getgid()}"
    flags = 2 | 4  # no set-user-id programs, no devices
    name = os.fsencode(target)
    if libc.mount(b"dbrun-tests", name, b"fuse", flags, options.encode()) != 0:
        os.close(device)
        raise OSError(ctypes.get_errno(), "mounting is not permitted")
    return device, lambda: libc.umount2(name, 2)  # even while files are open


def _mount_by_helper(target: str) -> tuple[int, Callable[[], Any]]:
    helper = shutil.which("fusermount3") or shutil.which("fusermount")
    if helper is None:
        raise OSError(errno.EPERM, "mounting is not permitted, and there is no fusermount3")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        environ = {**os.environ, "_FUSE_COMMFD": str(theirs.fileno())}
        command = [helper, "-o", "nosuid,nodev", "--", target]
        done = subprocess.run(command, env=environ, pass_fds=(theirs.fileno(),), check=False)
        if done.returncode:
            raise OSError(errno.EPERM, "mounting is not permitted")
        _, (device, *_), _, _ = socket.recv_fds(ours, 16, 1)
    return device, lambda: subprocess.run([helper, "-u", "-z", "--", target], check=False)


def main(backing: str, target: str) -> int:
    """Serve *target* until standard input ends."""
    try:
        device, unmount = _mount(target)
    except OSError as error:
        print(f"no FUSE here: {error}", file=sys.stderr)
        return 1

    def until_told() -> None:
        sys.stdin.read()
        unmount()

    threading.Thread(target=until_told, daemon=True).start()
    print("ready", flush=True)
    Server(backing, device).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
