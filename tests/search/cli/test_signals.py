"""What signals do to a command, with real processes; a scheduler sends them more than once."""

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow  # starts processes

BEGIN = """
import contextlib, ctypes, os, signal, sys, threading, time
from search.cli import app as module
module.ENDING_SECONDS = float(sys.argv[1])
def say(word): os.write(1, word.encode() + b"\\n")
def block():
    # In C, where Python's handlers have no turn: a lock that is taken twice.
    lock = ctypes.create_string_buffer(64)
    libc = ctypes.CDLL(None)
    libc.pthread_mutex_lock(lock)
    is_ready = False
    while True:
        try:
            if not is_ready:
                is_ready = True
                say("ready")
            libc.pthread_mutex_lock(lock)
        except KeyboardInterrupt:  # it came just before
            pass
def wait(word):
    say(word)
    while True:
        signal.pause()
def end_slowly():
    try:
        wait("ready")
    finally:
        wait("ending")
def end_when_told():
    try:
        wait("ready")
    finally:
        say("ending")
        sys.stdin.read()
        say("ended")
def with_a_child():
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    say(str(child.pid))
    block()
def ignore_while_they_come():
    # The handler again and again, as the moment in which it is replaced is short.
    done = threading.Event()
    def send():
        while not done.is_set():
            signal.raise_signal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # until the first of the handlers is there
    sender = threading.Thread(target=send)
    sender.start()
    for _ in range(50_000):
        with contextlib.suppress(KeyboardInterrupt):
            ending = module._Signals()
            signal.signal(signal.SIGTERM, ending)
            ending(signal.SIGTERM, None)
    done.set()
    sender.join()
    say("ignored")
module.app = globals()[sys.argv[2]]
module.run()
"""

LONG = "100000"  # seconds


class Process:
    """A command that a test talks to."""

    def __init__(self, mode: str, ending: str = LONG) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", BEGIN, ending, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def hear(self) -> str:
        return self._process.stdout.readline().decode().strip()

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def end(self) -> tuple[int, str, str]:
        out, err = self._process.communicate()
        return self._process.returncode, out.decode(), err.decode()

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start():
    started = []

    def begin(*arguments):
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for process in started:
        if process._process.returncode is None:
            process.kill()


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_that_comes_while_ending_changes_nothing(start, first, second):
    process = start("end_when_told")
    assert process.hear() == "ready"
    process.signal(first)
    assert process.hear() == "ending"
    for _ in range(20):
        process.signal(second)
    code, out, err = process.end()  # closes its standard input
    assert (code, out.split()) == (130, ["ended"])
    assert err == ""


def test_a_signal_that_comes_while_its_handler_is_replaced_is_ignored_without_a_word(start):
    code, out, err = start("ignore_while_they_come").end()
    assert (code, out.split()) == (0, ["ignored"])
    assert err == ""


def test_another_ctrl_c_ends_the_ending(start):
    process = start("end_slowly")
    assert process.hear() == "ready"
    process.signal(signal.SIGTERM)
    assert process.hear() == "ending"
    process.signal(signal.SIGINT)
    assert process.end()[0] == 130


@pytest.mark.parametrize("mode", ["end_slowly", "block"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_ending_has_a_limit_wherever_the_process_is(start, mode, number):
    process = start(mode, "0.1")
    assert process.hear() == "ready"
    process.signal(number)
    code, _, err = process.end()
    assert code == 130
    assert "ending took more than 0.1 s" in err
    assert "foldwise sync" in err


def test_ctrl_c_alone_has_no_limit(start):
    process = start("end_when_told", "0")
    assert process.hear() == "ready"
    process.signal(signal.SIGINT)
    assert process.hear() == "ending"
    assert process.end()[:2] == (130, "ended\n")


def test_processes_that_the_command_started_do_not_outlive_it(start):
    import psutil

    process = start("with_a_child", "0.1")
    child = psutil.Process(int(process.hear()))
    assert process.hear() == "ready"
    process.signal(signal.SIGTERM)
    assert process.end()[0] == 130
    child.wait(timeout=60)
