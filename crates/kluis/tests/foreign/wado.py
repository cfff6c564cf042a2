"""Fetches each file's instance by WADO-RS with `transfer-syntax=*` and compares it with the file.

    wado.py --url URL --ca CA --token TOKEN --files LIST [--compare bytes|elements]

`bytes`: the data sets are equal from the first data element on. `elements`: all elements are equal but for group lengths,
trailing padding, and how lengths are written, which is what a sender that encodes anew may change.
dicomweb-client reads each answer as well. Prints {"compared": n, "different": [...], "missing": [...], "errors": [text]}.
"""

import argparse
import io
import json
import sys
import warnings
from pathlib import Path

import pydicom
import web
from dicomweb_client.web import _Transaction
from pydicom.filereader import _read_file_meta_info, read_preamble

ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
TRAILING_PADDING = 0xFFFCFFFC


def main():
    arguments = argparse.ArgumentParser()
    web.add_arguments(arguments)
    arguments.add_argument("--compare", choices=("bytes", "elements"), default="bytes")
    arguments = arguments.parse_args()
    warnings.simplefilter("ignore")
    client, files = web.client(arguments), web.files(arguments)
    answer = {"compared": 0, "different": [], "missing": [], "errors": []}
    for file in files:
        try:
            bodies = fetch(client, file)
            if len(bodies) != 1:
                answer["missing"].append({"path": file["path"], "parts": len(bodies)})
                continue
            difference = compare(file, bodies[0], arguments.compare)
            if difference:
                answer["different"].append({"path": file["path"], "difference": difference})
            client.retrieve_instance(file["study"], file["series"], file["sop_instance"], media_types=(("application/dicom", "*"),))
            answer["compared"] += 1
        except Exception as error:
            answer["errors"].append(f"{file['path']}: {type(error).__name__}: {error}")
    print(json.dumps(answer))
    return 1 if answer["different"] or answer["missing"] or answer["errors"] else 0


def fetch(client, file):
    url = client._get_instances_url(_Transaction.RETRIEVE, file["study"], file["series"], file["sop_instance"])
    response = client._session.get(url, headers={"Accept": ACCEPT}, timeout=120)
    if response.status_code == 404:
        return []
    response.raise_for_status()
    return list(web.parts(response))


def compare(file, body, how):
    if how == "bytes":
        sent, got = Path(file["path"]).read_bytes()[file["data_set_offset"] :], body[data_set_offset(body) :]
        if sent == got:
            return None
        at = next((place for place, (one, other) in enumerate(zip(sent, got)) if one != other), min(len(sent), len(got)))
        return f"{len(sent)} and {len(got)} bytes, first difference at {at}"
    return unequal(pydicom.dcmread(file["path"]), pydicom.dcmread(io.BytesIO(body)))


def data_set_offset(body):
    stream = io.BytesIO(body)
    read_preamble(stream, force=False)
    _read_file_meta_info(stream)
    return stream.tell()


def unequal(sent, got, within=""):
    ours, theirs = ({tag for tag in data.keys() if tag.element and tag != TRAILING_PADDING} for data in (sent, got))
    if ours != theirs:
        return f"{within}tags {sorted(str(tag) for tag in ours ^ theirs)}"
    for tag in sorted(ours):
        one, other = sent[tag].value, got[tag].value
        if sent[tag].VR == "SQ":
            if len(one) != len(other):
                return f"{within}{tag}: {len(one)} and {len(other)} items"
            for item, (first, second) in enumerate(zip(one, other)):
                difference = unequal(first, second, f"{within}{tag}[{item}] ")
                if difference:
                    return difference
        elif plain(one) != plain(other):
            return f"{within}{tag}"
    return None


def plain(value):
    return value.rstrip(b"\0") if isinstance(value, bytes) else str(value).strip()


sys.exit(main())
