"""Forks, signals and interpreter shutdown."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import CONFIG, SECRET
from keeper_secrets_manager_core.configkeys import ConfigKeys

from ksm_storage.aws import AwsSecretStorage

FORKS = """
import faulthandler, os, signal, sys, threading
from keeper_secrets_manager_core.configkeys import ConfigKeys
from ksm_storage import StorageError
from ksm_storage.aws import AwsSecretStorage

storage = AwsSecretStorage.from_default_config("ksm-config")
stop = threading.Event()
def load():
    number = 0
    while not stop.is_set():
        number += 1
        storage.set(ConfigKeys.KEY_URL, str(number))
        AwsSecretStorage.from_default_config("ksm-config")
threads = [threading.Thread(target=load) for _ in range(3)]
def write(number):
    while True:
        try:
            return storage.set(ConfigKeys.KEY_BINDING_KEY, number)
        except StorageError as error:
            # The threads of the parent process write all the time, and may win each time.
            if error.kind != "conflict": raise
for thread in threads: thread.start()
# Slow is no failure; a process without progress shows its stack, and ends.
faulthandler.register(signal.SIGALRM, chain=True)
try:
    for number in range(int(sys.argv[1])):
        signal.alarm(150)
        child = os.fork()
        if child == 0:
            signal.alarm(120)
            assert storage.get(ConfigKeys.KEY_HOSTNAME) == "keepersecurity.com"
            if number % 10 == 0:
                storage.refresh()
                write(str(number))
                AwsSecretStorage.from_default_config("ksm-config")
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == 0, (number, status)
finally:
    signal.alarm(0)
    stop.set()
    for thread in threads: thread.join()
assert storage.refresh()["bindingKey"] == str((int(sys.argv[1]) - 1) // 10 * 10)
"""


@pytest.fixture
def stored(emulator):
    emulator.store(CONFIG)
    return emulator


def test_children_use_the_storage(stored, run):
    run(FORKS, "50", timeout=None)


@pytest.mark.slow
def test_thousand_children_use_the_storage(stored, run):
    run(FORKS, "1000", timeout=None)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing_works(stored, tmp_path, method):
    program = tmp_path / "program.py"
    program.write_text(
        """
import multiprocessing, sys
from ksm_storage.aws import AwsSecretStorage

storage = AwsSecretStorage.from_default_config("ksm-config") if sys.argv[1] == "fork" else None

def count(config):
    config["count"] = config.get("count", 0) + 1

def work(number):
    (storage or AwsSecretStorage.from_default_config("ksm-config")).update(count)
    return number

if __name__ == "__main__":
    with multiprocessing.get_context(sys.argv[1]).Pool(3) as pool:
        assert pool.map(work, range(12)) == list(range(12))
"""
    )
    subprocess.run([sys.executable, program, method], check=True, timeout=120)
    assert stored.stored()["count"] == 12


def test_gunicorn_preloads_a_storage(stored, tmp_path):
    (tmp_path / "app.py").write_text(
        """
import os
from ksm_storage.aws import AwsSecretStorage

storage = AwsSecretStorage.from_default_config("ksm-config")
master = os.getpid()

def app(environ, start_response):
    assert os.getpid() != master
    def count(config):
        config["count"] = config.get("count", 0) + 1
    body = str(storage.update(count)["count"]).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
    )
    socket = tmp_path / "socket"
    command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2", "--bind", f"unix:{socket}", "app:app"]
    server = subprocess.Popen([*command, "--log-level", "warning", "--no-control-socket"], cwd=tmp_path)
    try:
        counts = [request(str(socket)) for _ in range(20)]
    finally:
        server.terminate()
        assert server.wait(30) == 0
    assert counts == list(range(1, 21))
    assert stored.stored()["count"] == 20


def request(path):
    import http.client
    import socket

    for _ in range(600):
        connection = http.client.HTTPConnection("localhost", timeout=30)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.connect(path)
            break
        except OSError:
            connection.sock.close()
            time.sleep(0.1)
    connection.request("GET", "/")
    reply = connection.getresponse()
    assert reply.status == 200, reply.read()
    return int(reply.read())


WAITS = {
    "open": "start(); AwsSecretStorage.from_default_config('ksm-config')",
    "set": "storage = AwsSecretStorage.from_default_config('ksm-config'); start(); storage.set(ConfigKeys.KEY_URL, 'u')",
    "update": "storage = AwsSecretStorage.from_default_config('ksm-config'); start(); storage.update(lambda config: time.sleep(60))",
}


def interrupt(stored, wait):
    """The seconds from a signal to its effect."""
    program = f"""
import signal, sys, time
from keeper_secrets_manager_core.configkeys import ConfigKeys
from ksm_storage.aws import AwsSecretStorage
signal.signal(signal.SIGINT, signal.default_int_handler)
def start(): print("started", flush=True); sys.stdin.readline()
try:
    {WAITS[wait]}
except KeyboardInterrupt:
    print(time.monotonic())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "started\n"
    if wait != "update":
        stored.fail("GetSecretValue", *[{"before": "hang"}] * 3)
    process.stdin.write("\n")
    process.stdin.flush()
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    output = process.communicate(timeout=30)[0]
    stored.control("DELETE", "/faults")
    return float(output) - sent


@pytest.mark.parametrize("wait", WAITS)
def test_interrupt_ends_a_wait(stored, wait):
    # A busy machine may delay some attempts, but not all.
    assert any(interrupt(stored, wait) < 0.2 for _ in range(3))


def test_handler_of_a_signal_may_use_the_storage(stored, run):
    stored.fail("GetSecretValue", {"delay_ms": 0}, {"delay_ms": 1000})
    program = """
import signal
from keeper_secrets_manager_core.configkeys import ConfigKeys
from ksm_storage.aws import AwsSecretStorage
storage = AwsSecretStorage.from_default_config("ksm-config")
signal.signal(signal.SIGALRM, lambda *_: print(storage.set(ConfigKeys.KEY_URL, "u")["url"]))
signal.setitimer(signal.ITIMER_REAL, 0.2)
storage.refresh()
"""
    assert run(program).stdout == "u\n"


def test_other_threads_run_during_a_wait(stored):
    stored.fail("GetSecretValue", {"delay_ms": 500})
    import threading

    ticks, stop = [], threading.Event()

    def tick():
        while not stop.is_set():
            ticks.append(time.monotonic())
            time.sleep(0.005)

    thread = threading.Thread(target=tick)
    thread.start()
    AwsSecretStorage.from_default_config(SECRET)
    stop.set()
    thread.join()
    assert len(ticks) > 20


def test_interpreter_ends_during_calls(stored, run):
    """Daemon threads write and log while the interpreter is finalized."""
    program = """
import logging, sys, threading, time
from keeper_secrets_manager_core.configkeys import ConfigKeys
from ksm_storage.aws import AwsSecretStorage
logging.basicConfig(level=logging.DEBUG)
def work():
    while True:
        try:
            storage = AwsSecretStorage("ksm-config")
            storage.update(lambda config: {**config, "url": str(time.monotonic())})
        except Exception:
            pass
for _ in range(4): threading.Thread(target=work, daemon=True).start()
time.sleep(float(sys.argv[1]))
"""
    for number in range(5):
        ended = run(program, str(0.3 + number / 25), timeout=30)
        assert "panicked" not in ended.stderr


def test_warnings_are_logged_at_the_end(stored, run):
    """A write continues after an interrupt. Its check gets no answer, and is abandoned after two seconds."""
    stored.fail("GetSecretValue", {"delay_ms": 0}, {"delay_ms": 0}, *[{"before": "hang"}] * 3)
    program = """
import logging, signal, time
from keeper_secrets_manager_core.configkeys import ConfigKeys
logging.basicConfig(format="%(name)s %(levelname)s %(message)s")
from ksm_storage.aws import AwsSecretStorage
storage = AwsSecretStorage.from_default_config("ksm-config")
signal.signal(signal.SIGALRM, signal.default_int_handler)
signal.setitimer(signal.ITIMER_REAL, 1)
try:
    storage.set(ConfigKeys.KEY_URL, "u")
except KeyboardInterrupt:
    time.sleep(3)
    print("slept")
"""
    ended = run(program)
    assert ended.stdout == "slept\n"
    assert "ksm.storage WARNING unverified: " in ended.stderr
    assert stored.stored()["url"] == "u"


def test_disabled_logger_of_the_sdk_hides_no_warning(stored, run):
    """``SecretsManager`` disables the logger ``ksm`` unless it is given a level."""
    stored.store({"username": "u"})
    program = """
import logging
logging.basicConfig()
logging.getLogger("ksm").disabled = True
from ksm_storage.aws import AwsSecretStorage
AwsSecretStorage.from_default_config("ksm-config")
"""
    assert "unrecognized: " in run(program).stderr


@pytest.mark.parametrize("use", ["storage.set(ConfigKeys.KEY_URL, 'u')", "storage.refresh()", "ksm_storage.open('memory:')"])
def test_finalizers_use_a_storage_at_the_end(stored, run, use):
    """Modules are gone when the interpreter finalizes the objects of the main module."""
    program = f"""
import os
import ksm_storage
from keeper_secrets_manager_core.configkeys import ConfigKeys
from ksm_storage.aws import AwsSecretStorage
class Own:
    def __init__(self): self.storage = AwsSecretStorage.from_default_config("ksm-config")
    def __del__(self):
        storage = self.storage
        try:
            {use}
            os.write(1, b"used")
        except BaseException as error:
            os.write(1, repr(error).encode())
own = Own()
"""
    assert run(program).stdout == "used"


def test_fork_in_a_change_is_named(stored, run):
    """Only the parent process has the threads that store the change."""
    program = """
import os, time
from ksm_storage import StorageError
from ksm_storage.aws import AwsSecretStorage
storage = AwsSecretStorage.from_default_config("ksm-config")
child = None
def change(config):
    global child
    child = os.fork()
    config["url"] = "u" if child else "from the child"
try:
    print(storage.update(change)["url"], os.waitpid(child, 0)[1])
except StorageError as error:
    assert child == 0 and "forked" in str(error) and error.outcome == "not_applied", error
    storage.refresh()
"""
    start = time.monotonic()
    assert run(program).stdout == "u 0\n"
    assert time.monotonic() - start < 12
    assert stored.stored()["url"] == "u"


LIMIT = """
import os, resource, signal
import ksm_storage
def limit(room):
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + room if room else -1, -1))
"""


def test_missing_threads_are_an_error(run):
    """Tokio panics if it cannot start its first thread, and hangs if it cannot start its second."""
    program = """
for room in range(1 << 20, 7 << 20, 1 << 18):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        limit(room)
        try:
            ksm_storage.open("memory:")
        except ksm_storage.StorageError as error:
            assert error.kind == "runtime" and "threads" in str(error), error
            limit(0)
            assert ksm_storage.open("memory:").is_empty()
            os._exit(3)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert set(run(LIMIT + program).stdout.split()) == {"0", "3"}


def test_panic_is_an_exception(run, tmp_path):
    """Tokio panics if it cannot start a thread for a file."""
    program = """
with open("config.json", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
    file.write('{"hostname": "h"}')
ksm_storage.open("memory:")
limit(1 << 20)
try:
    ksm_storage.open("file:config.json")
except ksm_storage.StorageError as error:
    print(error.kind, error.outcome, error)
limit(0)
print(ksm_storage.open("file:config.json").read_storage())
"""
    ended = run(LIMIT + program)
    assert "panicked at" in ended.stderr
    shown, read = ended.stdout.splitlines()
    assert shown.startswith("unexpected unknown ") and "panicked" in shown and "os error" not in shown
    assert read == "{'hostname': 'h'}"


def test_child_ends_without_a_hang(stored, run):
    """The forked child exits normally, not through ``os._exit``."""
    program = """
import os, sys
from ksm_storage.aws import AwsSecretStorage
storage = AwsSecretStorage.from_default_config("ksm-config")
child = os.fork()
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    storage.refresh()
"""
    run(program, timeout=30)


def test_own_keys_of_processes_are_kept(stored):
    """Each process writes its own key; Keeper's class keeps only one of them."""
    program = """
import sys
from keeper_secrets_manager_core.configkeys import ConfigKeys
from ksm_storage.aws import AwsSecretStorage
AwsSecretStorage.from_default_config("ksm-config").set(ConfigKeys[sys.argv[1]], "own")
"""
    keys = ["KEY_URL", "KEY_BINDING_KEY", "KEY_BINDING_TOKEN", "KEY_APP_KEY"]
    processes = [subprocess.Popen([sys.executable, "-c", program, key], env=os.environ) for key in keys]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert all(stored.stored()[ConfigKeys[key].value] == "own" for key in keys)
