"""moto's server, with one request at a time: `moto_server.py PORT`.

moto looks whether a version id is taken, and takes it, in two steps: of two writers whose requests its threads answer at
the same time both may win, and one update is lost. AWS is taken to do that in one step.
"""

import sys
from threading import Lock

from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

application = DomainDispatcherApplication(create_backend_app)
turn = Lock()


def one_at_a_time(environ, start_response):
    with turn:
        return application(environ, start_response)


run_simple("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True, request_handler=MotoRequestHandler)
