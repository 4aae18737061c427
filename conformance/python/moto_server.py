"""moto's server, with one request at a time: `moto_server.py PORT`.

moto takes the label AWSCURRENT off one version before it adds the next one. A read that another thread answers in
between finds no secret, which AWS never shows.
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
