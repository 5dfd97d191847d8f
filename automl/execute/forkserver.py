"""The fork server: it has the libraries loaded, so that a worker starts in milliseconds, and all share that memory."""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import selectors
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress

from automl.artifact import skops_io
from automl.execute import worker

CORE = ("automl.execute.trial", "sklearn.base")
"""What the server loads before all else: without these no trial begins."""

_MESSAGE = 1 << 16  # bytes, at most, of a request


class ForkServer:
    """The driver's end: it asks for workers, and hears when they end."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "automl.execute.forkserver", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # Its own session: Ctrl-C is for the driver, which decides what becomes of the workers.
                start_new_session=True,
                env={
                    # GNU OpenMP's threads spin while they wait: for long, and beside any busy process a fit is much
                    # slower; not at all, and a booster's many short loops take four times as long.
                    "GOMP_SPINCOUNT": "1000",
                    **os.environ,
                    "AUTOML_DRIVER": str(os.getpid()),
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                },
            )
        self.loaded: frozenset[str] = frozenset()
        """The modules that it was asked to load: whoever is forked from now on has them."""
        self._rest = b""
        self._forked: dict[int, int] = {}  # number of the request -> process
        self._ended: dict[int, int] = {}  # process -> exit code, negative for a signal
        self._asked = 0
        self._gone = False

    @property
    def alive(self) -> bool:
        """Whether it can be asked for workers."""
        return not self._gone and self.process.poll() is None

    def fork(self, stdin: int, stdout: int, modules: Iterable[str] = ()) -> int:
        """Ask for a worker that reads jobs from one file descriptor and writes outcomes to the other; its number.

        The server imports `modules` first, for this worker and all later ones.

        Raises
        ------
        OSError : the server has died.
        """
        self.loaded |= frozenset(modules)
        socket.send_fds(self._socket, [json.dumps(sorted(self.loaded)).encode()], [stdin, stdout])
        self._asked += 1
        return self._asked - 1

    def pid(self, number: int) -> int | None:
        """The process of a worker, once the server has forked it; None if it died before."""
        while number not in self._forked and self._hear():
            pass
        return self._forked.get(number)

    def is_forked(self, number: int) -> bool:
        """Whether a worker is there: the server may still be loading what it needs."""
        while select.select([self._socket], [], [], 0)[0] and self._hear():
            pass
        return number in self._forked

    def wait(self, number: int) -> int:
        """The exit code of a worker that has ended, or is about to; negative for a signal."""
        pid = self.pid(number)
        while pid is not None and pid not in self._ended and self._hear():
            pass
        return -signal.SIGKILL if pid is None else self._ended.get(pid, -signal.SIGKILL)

    def kill(self, number: int) -> None:
        """End a worker and whatever it started, and wait until it has ended; one that is not there yet will not work.

        Call it when its file descriptors are closed here.
        """
        if self.alive and not self.is_forked(number):
            return
        pid = self.pid(number)
        if pid is not None and pid not in self._ended:
            for kill in (os.killpg, os.kill):  # it has no group of its own yet if it was forked just now
                with suppress(ProcessLookupError):
                    kill(pid, signal.SIGKILL)
        self.wait(number)

    def close(self) -> None:
        """End the server; its workers end with it."""
        self._socket.close()
        self.process.kill()
        self.process.wait()

    def _hear(self) -> bool:
        """Wait for news; False if the server has died."""
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            data = b""
        self._gone = self._gone or not data  # its workers die with it, and may be seen to before its own death is told
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            pid, code = json.loads(line)
            if code is None:
                self._forked[len(self._forked)] = pid
            else:
                self._ended[pid] = code
        return bool(data)


def main() -> None:
    """Load the libraries, then fork a worker whenever one is asked for, until the driver goes."""
    worker.die_with_parent(int(os.environ["AUTOML_DRIVER"]))
    driver = socket.socket(fileno=int(sys.argv[1]))
    os.dup2(2, 1)  # libraries may print
    gc.disable()  # what modules leave is not garbage: looking for some takes a tenth of the time that they load in
    for name in CORE:
        importlib.import_module(name)
    loaded: set[str] = set()
    later = [skops_io]  # most need it when they end; it is loaded while nobody asks for anything
    child, woken = socket.socketpair()
    child.setblocking(False)
    signal.set_wakeup_fd(child.fileno())
    signal.signal(signal.SIGCHLD, lambda *_: None)
    with selectors.DefaultSelector() as selector:
        selector.register(driver, selectors.EVENT_READ)
        selector.register(woken, selectors.EVENT_READ)
        while True:
            news = selector.select(0 if later else None)
            if not news:
                later.pop()()
                worker.give_back()
            for key, _ in news:
                if key.fileobj is woken:
                    woken.recv(1024)
                    _tell_ended(driver)
                    continue
                data, fds, _, _ = socket.recv_fds(driver, _MESSAGE, 2)
                if not data:
                    return
                if wanted := set(json.loads(data)) - loaded:
                    loaded |= wanted
                    _load(wanted)
                gc.freeze()  # collections in workers would copy the pages that all of them share
                server, pid = os.getpid(), os.fork()
                if not pid:
                    gc.enable()
                    worker.die_with_parent(server)
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    for unneeded in (driver, child, woken, selector):
                        unneeded.close()
                    _become_worker(*fds)
                for fd in fds:
                    os.close(fd)
                _tell(driver, pid, None)


def _load(modules: Iterable[str]) -> None:
    """Import what the workers to come need. What cannot be imported is for the job that needs it to say."""
    for name in sorted(modules):
        with suppress(Exception):
            importlib.import_module(name)
    worker.give_back()


def _become_worker(jobs: int, outcomes: int) -> None:
    """Serve jobs, and never come back."""
    code = 1
    try:
        if _is_closed(outcomes):  # while the server was loading, the driver thought better of it
            os._exit(0)
        os.setsid()
        with os.fdopen(jobs) as read, os.fdopen(outcomes, "w", buffering=1) as written:
            worker.serve(read, written)
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _is_closed(pipe: int) -> bool:
    """Whether nobody reads what is written into a pipe."""
    poll = select.poll()
    poll.register(pipe, 0)
    return bool(poll.poll(0))


def _tell_ended(driver: socket.socket) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            _tell(driver, pid, os.waitstatus_to_exitcode(status))


def _tell(driver: socket.socket, pid: int, code: int | None) -> None:
    driver.sendall(json.dumps([pid, code]).encode() + b"\n")


if __name__ == "__main__":
    main()
