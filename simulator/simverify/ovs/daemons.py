"""The two daemons of a private Open vSwitch: started, watched, and surely killed.

A small shell waits for the end of this process and then kills what is left, so that not even a
SIGKILL leaves daemons behind.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from pathlib import Path

from simverify.ovs.unixctl import OvsError

_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
_START_S = 20.0
_ATTEMPTS = 5
_NOT_OPENED = "failed to open socket (Broken pipe)"
_COMMAND_S = 60.0
_LONGEST_DIRECTORY = 70
"""A unix socket's path ends at 107 bytes; behind the directory stands a bridge's name."""
_WATCH = 'read -r _; kill -9 "$2" "$3"; [ -z "$1" ] || rm -rf "$1"'


def find_program(name: str) -> str:
    """Return the path of one of Open vSwitch's programs.

    Raises:
        OvsError: it is not installed.
    """
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")
    if path is None:
        raise OvsError(f"{name} is not installed: apt-get install openvswitch-switch")
    return path


class Daemons:
    """A running ovsdb-server and ovs-vswitchd in dummy mode."""

    def __init__(self, directory: Path | None, *, flow_limit: int | None) -> None:
        """Start them.

        Args:
            directory: where to run; kept afterwards. None is a temporary one, which is removed.
            flow_limit: how many flows the datapath may cache; None is Open vSwitch's default.

        Raises:
            OvsError: Open vSwitch is not installed, or did not start.
        """
        programs = {name: find_program(name) for name in ("ovsdb-tool", "ovs-vsctl", "ovs-ofctl")}
        server, switch = find_program("ovsdb-server"), find_program("ovs-vswitchd")
        if not _SCHEMA.exists():
            raise OvsError(f"{_SCHEMA} is missing: apt-get install openvswitch-switch")
        self._programs = programs
        temporary = directory is None
        self.directory = directory or Path(tempfile.mkdtemp(prefix="simverify-ovs-"))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._finish = weakref.finalize(
            self, _end, self._processes, str(self.directory) if temporary else None, os.getpid()
        )
        try:
            self._start(server, switch, flow_limit)
            self._watch(str(self.directory) if temporary else "")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Kill them, and remove the temporary directory."""
        self._finish()

    def run(self, program: str, *arguments: str, text: str = "") -> str:
        """Run `program` against these daemons with `text` as its input; return what it printed.

        Raises:
            OvsError: it failed; the message is its own.
        """
        command = [self._programs[program], *arguments]
        for attempt in range(_ATTEMPTS):
            try:
                done = subprocess.run(
                    command,
                    input=text,
                    capture_output=True,
                    text=True,
                    env=self._environment(),
                    timeout=_COMMAND_S,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                message = f"{program} {arguments[0]}: no answer in {_COMMAND_S:.0f} s"
                raise OvsError(message) from error
            if not done.returncode:
                return done.stdout
            said = done.stderr.strip() or done.stdout.strip()
            if _NOT_OPENED not in said:
                break
            # a busy switch turns connections away: nothing was asked of it yet
            time.sleep(0.1 * (attempt + 1))
        raise OvsError(f"{program} {' '.join(arguments)}: {said or done.returncode}")

    def log(self, lines: int = 10) -> str:
        """Return the last lines of the switch's log."""
        path = self.directory / "ovs-vswitchd.log"
        if not path.exists():
            return ""
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _start(self, server: str, switch: str, flow_limit: int | None) -> None:
        here = self.directory
        if len(str(here)) > _LONGEST_DIRECTORY:
            raise OvsError(f"{here}: the path is too long for a unix socket")
        here.mkdir(parents=True, exist_ok=True)
        self.run("ovsdb-tool", "create", str(here / "conf.db"), str(_SCHEMA))
        remote, log = f"punix:{here}/db.sock", "--log-file={}/{}.log"
        self._spawn(
            server,
            str(here / "conf.db"),
            f"--remote={remote}",
            f"--unixctl={here}/db.ctl",
            log.format(here, "ovsdb-server"),
        )
        self._await(here / "db.sock")
        limit = () if flow_limit is None else _limit(flow_limit)
        self.run("ovs-vsctl", "--no-wait", "init", *limit)
        self._spawn(
            switch,
            remote[1:],
            # `override` would make dummies of tunnel ports, too.
            "--enable-dummy=system",
            "--disable-system-route",
            f"--unixctl={here}/ctl",
            log.format(here, "ovs-vswitchd"),
        )
        self._await(here / "ctl")

    def _environment(self) -> dict[str, str]:
        names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        private = dict.fromkeys(names, str(self.directory))
        return {**os.environ, **private, "OVS_SYSLOG_METHOD": "null", "LC_ALL": "C"}

    def _spawn(self, program: str, *arguments: str) -> None:
        process = subprocess.Popen(
            [program, *arguments, "--no-chdir", "-vconsole:off"],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A Ctrl-C at the terminal is for the caller, who still may ask these something.
            start_new_session=True,
        )
        self._processes.append(process)

    def _await(self, path: Path) -> None:
        """Wait until the youngest daemon listens at `path`."""
        end = time.monotonic() + _START_S
        process = self._processes[-1]
        while not _listens(path):
            if process.poll() is not None:
                raise OvsError(f"{process.args!r} ended at once: {self.log()}")
            if time.monotonic() > end:
                raise OvsError(f"{process.args!r} did not start in {_START_S:.0f} s")
            time.sleep(0.002)

    def _watch(self, directory: str) -> None:
        pids = [str(process.pid) for process in self._processes]
        watcher = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", directory, *pids],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        # The watcher dies first: it must not kill a process that took over an old number.
        self._processes.insert(0, watcher)


def _listens(path: Path) -> bool:
    """Say whether somebody takes connections at `path`; its file is there a moment before."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _limit(flows: int) -> tuple[str, ...]:
    return ("--", "set", "Open_vSwitch", ".", f"other_config:flow-limit={flows}")


def _end(processes: list[subprocess.Popen[bytes]], directory: str | None, owner: int) -> None:
    """Kill `processes` and remove `directory`, unless this is a fork of the owner."""
    if os.getpid() != owner:
        return
    for process in processes:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
    if directory is not None:
        shutil.rmtree(directory, ignore_errors=True)
