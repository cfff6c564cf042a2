"""What all DICOM peers of these tests are told on their command line, and TLS from it."""

import argparse
import ssl
import time


def parser():
    made = argparse.ArgumentParser()
    made.add_argument("--host", default="127.0.0.1")
    made.add_argument("--port", type=int, required=True)
    made.add_argument("--ca", required=True)
    made.add_argument("--cert")
    made.add_argument("--key")
    made.add_argument("--calling", default="PYNETDICOM")
    made.add_argument("--called", default="KLUIS")
    return made


def tls(arguments):
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=arguments.ca)
    context.check_hostname = False
    if arguments.cert:
        context.load_cert_chain(arguments.cert, arguments.key)
    return context


def only_reader(link):
    """Holds the association's own thread for as long as we send, so that nobody but us takes answers off the queue; gives
    what lets it go again, which its end needs."""
    checkpoint = link._reactor_checkpoint
    checkpoint.clear()
    until = time.monotonic() + 0.2
    while time.monotonic() < until or not link._is_paused:
        time.sleep(0.01)
    checkpoint.set = lambda: None

    def let_go():
        del checkpoint.set
        checkpoint.set()

    return let_go
