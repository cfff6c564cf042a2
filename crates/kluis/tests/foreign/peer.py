"""What all DICOM peers of these tests are told on their command line, and TLS from it."""

import argparse
import ssl


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
