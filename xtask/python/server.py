"""A third-party emulator: `server.py moto|ministack PORT`. It ends when its standard input is closed.

moto checks that a version ID is unused, and takes it, in two steps: two writers served by different threads may both
win, and an update is lost. AWS does it in one step. Therefore moto answers one request at a time.
"""

import os
import sys
from threading import Lock, Thread


def moto(port):
    from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import run_simple

    application = DomainDispatcherApplication(create_backend_app)
    turn = Lock()

    def one_at_a_time(environ, start_response):
        with turn:
            return application(environ, start_response)

    run_simple("127.0.0.1", port, one_at_a_time, threaded=True, request_handler=MotoRequestHandler)


def ministack(port):
    from hypercorn.__main__ import main

    # A single process, without workers.
    main(["ministack.app:app", "--workers", "0", "-b", f"127.0.0.1:{port}"])


def end_with_parent():
    sys.stdin.buffer.read()
    os._exit(0)


Thread(target=end_with_parent, daemon=True).start()
{"moto": moto, "ministack": ministack}[sys.argv[1]](int(sys.argv[2]))
