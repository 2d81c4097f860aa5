"""A listening socket in; out: the service answering on it, from one process or from several that share what was imported.

`bentoml serve serving.service:Huitou` works as well. It imports everything once in a process that only watches and once
more in every worker, and puts its own timers in front of the gate; here the worker is the process itself, further workers
are forked from one that has imported everything already, and the gate comes first.
"""

import errno
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from features.errors import InputError
from serving.one_write import OneWriteProtocol
from serving.settings import place_from_environment

log = logging.getLogger("huitou.server")

# What a worker ends with when the app could not start: starting it again would end the same way.
NEVER_STARTED = 3
# A worker that died is replaced; not more often than this.
REST_SECONDS = 1.0
# How long open requests may take once the service is told to end.
GRACE_SECONDS = 10
ENDING = (signal.SIGTERM, signal.SIGINT)


def run(listening: socket.socket, workers: int = 1) -> int:
    """Answer on a socket until SIGTERM or SIGINT; returns 0 after an ordered end, 1 where the service could not start.

    The environment says what is served: see `serving.settings.place_from_environment`.
    """
    from serving.service import application

    if workers == 1:
        return _answering(application(), listening)
    # Everything that every worker needs is imported before they part; nothing is opened.
    import serving.app
    import serving.gate
    import serving.runtime  # noqa: F401 - only to have it imported

    app = application()
    gc.collect()
    gc.freeze()
    return _several(workers, lambda: _answering(app, listening))


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens on the address.

    Raises InputError where it cannot: the port is taken or not allowed, or the host is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends each answer at once instead of waiting for the client to confirm its head.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(2048)
    except OSError as error:
        found.close()
        raise InputError(
            f"cannot listen on {host}:{port}: {error.strerror}; end what has the port (a forgotten huitou serve or demo?) "
            "or choose another with --port"
            if error.errno == errno.EADDRINUSE
            else f"cannot listen on {host}:{port}: {error.strerror}; choose a --host of this machine and a --port above 1023"
        ) from error
    return found


def _answering(app: Any, listening: socket.socket) -> int:
    config = uvicorn.Config(
        app,
        http=OneWriteProtocol,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    # uvicorn raises the signal that ended it once more, for whoever was listening before.
    before = signal.signal(signal.SIGTERM, lambda number, frame: None)
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        return 0
    except SystemExit as left:
        return int(bool(left.code))
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _several(workers: int, answering: Callable[[], int]) -> int:
    """Fork the workers, replace those that die, and end them all when told to."""
    running: dict[int, float] = {}
    ending = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal ending
        ending = True
        for pid in running:
            os.kill(pid, signal.SIGTERM)

    def start() -> None:
        # A signal that comes between the fork and its note would miss the new worker.
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        pid = os.fork()
        if pid:
            running[pid] = time.monotonic()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            return
        code = 1
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
            code = NEVER_STARTED if answering() else 0
        finally:
            sys.stderr.flush()
            os._exit(code)

    before = {number: signal.signal(number, end) for number in ENDING}
    failed = False
    try:
        for _ in range(workers):
            start()
        while running:
            pid, status = os.waitpid(-1, 0)
            began = running.pop(pid, None)
            if began is None or ending:
                continue
            code = os.waitstatus_to_exitcode(status)
            if code == NEVER_STARTED:
                failed = True
                end(signal.SIGTERM, None)
                continue
            log.error("a worker ended; another takes its place", extra={"exit_code": code})
            time.sleep(max(0.0, REST_SECONDS - (time.monotonic() - began)))
            if not ending:
                start()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 1 if failed else 0


if __name__ == "__main__":
    settings = place_from_environment().settings
    sys.exit(run(listen_on(settings.host, settings.port), settings.workers))
