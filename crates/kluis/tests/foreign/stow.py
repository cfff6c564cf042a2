"""Stores files by STOW-RS with dicomweb-client.

    stow.py --url URL --ca CA --token TOKEN --files LIST [--batch 16] [--encode]

Files go as they stand, byte for byte; with --encode, pydicom writes them anew, as the client does by itself.
Prints {"stored": [sop instance], "failed": [{sop_instance, reason}], "warned": [...], "errors": [text]}; exit code 0 when
all are stored.
"""

import argparse
import json
import sys
from pathlib import Path

import pydicom
import requests
import web
from dicomweb_client.web import _Transaction


def main():
    arguments = argparse.ArgumentParser()
    web.add_arguments(arguments)
    arguments.add_argument("--batch", type=int, default=16)
    arguments.add_argument("--encode", action="store_true")
    arguments = arguments.parse_args()
    client, files = web.client(arguments), web.files(arguments)
    answer = {"stored": [], "failed": [], "warned": [], "errors": []}
    for start in range(0, len(files), arguments.batch):
        batch = files[start : start + arguments.batch]
        try:
            collect(send(client, batch, arguments.encode), answer)
        except requests.HTTPError as error:
            # 409 carries the same answer as 200 (PS3.18 10.5.3.2)
            collect_refused(error.response, batch, answer)
        except Exception as error:
            answer["errors"].append(f"{type(error).__name__}: {error}")
    print(json.dumps(answer))
    return 0 if len(answer["stored"]) == len(files) and not answer["errors"] else 1


def send(client, batch, encode):
    if encode:
        return client.store_instances([pydicom.dcmread(file["path"]) for file in batch])
    url = client._get_studies_url(_Transaction.STORE)
    return client._http_post_multipart_application_dicom(url, [Path(file["path"]).read_bytes() for file in batch])


def collect(data, answer):
    for item in data.get("ReferencedSOPSequence", []):
        answer["stored"].append(item.ReferencedSOPInstanceUID)
        if "WarningReason" in item:
            answer["warned"].append({"sop_instance": item.ReferencedSOPInstanceUID, "reason": item.WarningReason})
    for item in data.get("FailedSOPSequence", []):
        answer["failed"].append({"sop_instance": item.get("ReferencedSOPInstanceUID"), "reason": item.FailureReason})


def collect_refused(response, batch, answer):
    try:
        collect(pydicom.Dataset.from_json(response.json()), answer)
    except ValueError:
        answer["errors"].append(f"{response.status_code} for {[file['path'] for file in batch]}")


sys.exit(main())
