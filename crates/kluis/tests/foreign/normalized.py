"""Requests of normalized services over TLS with pynetdicom.

    normalized.py --port PORT --ca CA [--cert CERT --key KEY] [--calling AE] [--called KLUIS] --requests LIST

LIST is a JSON file: [{"operation": "N-CREATE" or "N-SET" or "N-GET", "class": UID, "instance": UID or null, "attributes":
DICOM JSON}]. All requests go over one association, one after the other. Prints {"associated": bool, "answers": [{"status":
number, "error_id": number or null, "comment": text or null, "instance": UID or null, "attributes": DICOM JSON or null}],
"error": text}.
"""

import json
import sys
import warnings
from pathlib import Path

from peer import only_reader, parser, tls
from pydicom.dataset import Dataset
from pynetdicom import AE, evt


def main():
    known = parser()
    known.add_argument("--requests", required=True)
    arguments = known.parse_args()
    warnings.simplefilter("ignore")
    answer = {"associated": False, "answers": [], "error": None}
    try:
        ask(arguments, json.loads(Path(arguments.requests).read_text()), answer)
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))
    return 0 if answer["associated"] and not answer["error"] else 1


def ask(arguments, requests, answer):
    entity = AE(ae_title=arguments.calling)
    for sop_class in dict.fromkeys(request["class"] for request in requests):
        entity.add_requested_context(sop_class)
    instances = []
    link = entity.associate(
        arguments.host,
        arguments.port,
        ae_title=arguments.called,
        tls_args=(tls(arguments), None),
        evt_handlers=[(evt.EVT_DIMSE_RECV, lambda event: instances.append(named(event.message)))],
    )
    if not link.is_established:
        raise ConnectionError("rejected" if link.is_rejected else "aborted")
    answer["associated"] = True
    let_go = only_reader(link)
    for request in requests:
        attributes = Dataset.from_json(request.get("attributes") or {})
        send = {
            "N-CREATE": lambda: link.send_n_create(attributes, request["class"], request.get("instance")),
            "N-SET": lambda: link.send_n_set(attributes, request["class"], request["instance"]),
            "N-GET": lambda: link.send_n_get([], request["class"], request["instance"]),
        }[request["operation"]]
        status, returned = send()
        answer["answers"].append(
            {
                "status": status.get("Status"),
                "error_id": status.get("ErrorID"),
                "comment": status.get("ErrorComment"),
                "instance": instances[-1] if instances else None,
                "attributes": returned.to_json_dict() if returned is not None else None,
            }
        )
    let_go()
    link.release()


def named(message):
    uid = message.command_set.get("AffectedSOPInstanceUID")
    return str(uid) if uid else None


sys.exit(main())
