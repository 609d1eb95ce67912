"""A process that has imported TensorFlow and runs scripts in forked children, which so start in no time.

It reads requests from stdin, one JSON object a line: the script's `argv`, the file `log` for its output, and optionally
`folder` and `kill_at`: the child kills itself by SIGKILL before its file operation of that number in the folder;
`signal_at`, a part of a path, a number and how often: the child sends itself that signal before it opens such a file;
`user`, the number of the user that the child becomes; `environment`, its variables; `closed`, numbers of streams that
it does not have; `cwd`, the folder that it is in; and `devices`, into how many the CPU is split.
It answers with two lines: the child's process id when it starts; its exit status, negative for a signal, and the number
of its file operations when it ends. A list of requests starts several children at once, and two lists answer it. The
child uses the machine as a script of its own would: importing TensorFlow starts nothing that a fork breaks, as long as
no operation has run.
"""

import gc
import importlib
import json
import os
import runpy
import signal
import sys


def main() -> None:
    for name in ("evaluation", "launch", "layers", "models", "training"):
        importlib.import_module(f"uncertainty_suite.{name}")
    for name in ("keras", "tensorflow", "tensorflow_datasets", "sklearn.datasets", "sklearn.metrics"):
        importlib.import_module(name)  # which the package does at first use only
    gc.freeze()  # or a child that collects garbage copies all that was imported
    for line in sys.stdin:
        request = json.loads(line)
        several = isinstance(request, list)
        children = [start(each) for each in (request if several else [request])]
        processes = [child for child, _ in children]
        print(json.dumps(processes if several else processes[0]), flush=True)
        ended = [end(*child) for child in children]
        print(json.dumps(ended if several else ended[0]), flush=True)


def start(request: dict) -> tuple[int, int]:
    """Fork a child that runs a script; return its process id and what counts its file operations."""
    count_in, count_out = os.pipe()
    child = os.fork()
    if child == 0:
        run_script(request, count_out)
    os.close(count_out)
    return child, count_in


def end(child: int, count_in: int) -> tuple[int, int]:
    """Wait for a child; return its status and the number of its file operations."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    operations = len(os.read(count_in, 1 << 16))
    os.close(count_in)
    return status, operations


def run_script(request: dict, count_out: int) -> None:
    os.setpgrp()  # Ctrl-C in the terminal is for pytest
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    sys.stdin = open(os.devnull)  # noqa: SIM115
    count_operations(request.get("folder"), request.get("kill_at"), count_out)
    if "signal_at" in request:
        signal_at_file(*request["signal_at"])
    if "user" in request:
        os.setuid(request["user"])
    os.environ.update(request.get("environment", {}))
    os.chdir(request.get("cwd", "."))
    for number in request.get("closed", ()):
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    if "devices" in request:
        tensorflow = sys.modules["tensorflow"]
        devices = [tensorflow.config.LogicalDeviceConfiguration()] * request["devices"]
        cpu = tensorflow.config.list_physical_devices("CPU")[0]
        tensorflow.config.set_logical_device_configuration(cpu, devices)
    sys.argv = request["argv"]
    status = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as error:
        status = error.code or 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 70
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    os._exit(status)


def count_operations(folder: str | None, kill_at: int | None, count_out: int) -> None:
    """Note each opening, renaming, removal and synchronisation of a file in a folder, and die at one of them."""
    if folder is None:
        return
    seen = 0

    def note(path: object) -> None:
        nonlocal seen
        if isinstance(path, str | os.PathLike) and not os.fspath(path).startswith(folder):
            return
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        seen += 1
        os.write(count_out, b".")

    def audit(event: str, arguments: tuple) -> None:
        if event in ("open", "os.rename", "os.remove", "os.truncate") and isinstance(arguments[0], str | os.PathLike):
            note(arguments[0])

    fsync = os.fsync

    def noted_fsync(descriptor: int) -> None:  # has no audit event; it is where a file is written and not yet renamed
        note(None)
        fsync(descriptor)

    sys.addaudithook(audit)
    os.fsync = noted_fsync


def signal_at_file(part: str, signum: int, times: int = 1) -> None:
    """Send the own process a signal, so often, before it first opens a file with such a path."""
    sent = False

    def send(times: int) -> None:
        try:
            os.kill(os.getpid(), signum)
        finally:  # even where it was heard
            if times > 1:
                send(times - 1)

    def audit(event: str, arguments: tuple) -> None:
        nonlocal sent
        if event == "open" and not sent and isinstance(arguments[0], str | os.PathLike):
            sent = part in os.fspath(arguments[0])
            if sent:
                send(times)

    sys.addaudithook(audit)


if __name__ == "__main__":
    main()
