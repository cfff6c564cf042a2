"""What the DICOMweb scripts share: a client of dicomweb-client that trusts one CA and shows one token."""

import json
from pathlib import Path

import requests
from dicomweb_client import DICOMwebClient


def add_arguments(arguments):
    arguments.add_argument("--url", required=True, help="https://HOST:PORT/dicom-web")
    arguments.add_argument("--ca", required=True, help="certificate of the node's CA")
    arguments.add_argument("--token", required=True, help="bearer token, or @FILE that holds it")
    arguments.add_argument("--files", required=True, help="JSON file: what images.py prints, or a list of its files")


def client(arguments):
    session = requests.Session()
    session.trust_env = False
    session.verify = arguments.ca
    token = arguments.token
    if token.startswith("@"):
        token = Path(token[1:]).read_text().strip()
    session.headers["Authorization"] = f"Bearer {token}"
    return DICOMwebClient(url=arguments.url, session=session, timeout=120, permissive_uid=True)


def files(arguments):
    listed = json.loads(Path(arguments.files).read_text())
    return listed["files"] if isinstance(listed, dict) else listed


def parts(response):
    """The bodies of a multipart answer, byte for byte."""
    boundary = None
    for parameter in response.headers["Content-Type"].split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "boundary":
            boundary = value.strip('"').encode()
    delimiter = b"\r\n--" + boundary
    for part in (b"\r\n" + response.content).split(delimiter)[1:]:
        if part.startswith(b"--"):
            return
        yield part.partition(b"\r\n\r\n")[2]
    raise ValueError("the multipart answer has no end")
