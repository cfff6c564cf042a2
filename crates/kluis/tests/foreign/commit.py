"""Storage commitment over TLS with pynetdicom: asks, and takes the answer where it comes.

    commit.py --port PORT --ca CA --cert CERT --key KEY [--calling AE] [--called KLUIS] --queries LIST

LIST is a JSON file: [{"transaction": UID, "instances": [[SOP class, SOP instance]], "release": bool, "wait": seconds,
"action": n, "instance": UID, "listen": {"port": n, "cert": path, "key": path, "after": seconds}}]. With "release" the
association is released as soon as the request is answered; with "listen" somebody listens there, from so many seconds after
the answer on. Without "instances" nothing is asked: it is only listened. Prints {"associated": bool, "answers": [{"status":
number, "reports": [{"on": "same" or "new", "transaction": UID, "type": n, "held": [UID], "failed": {UID: reason}, "calling":
AE}]}], "error": text}.
"""

import json
import ssl
import sys
import threading
import time
import warnings
from pathlib import Path

from peer import parser, tls
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

PUSH_MODEL = "1.2.840.10008.1.20.1"
INSTANCE = "1.2.840.10008.1.20.1.1"


class Reports:
    """The notifications of one query."""

    def __init__(self):
        self.all, self.came = [], threading.Event()

    def handler(self, on):
        def take(event):
            told = event.event_information
            failed = {str(item.ReferencedSOPInstanceUID): item.FailureReason for item in told.get("FailedSOPSequence", [])}
            self.all.append(
                {
                    "on": on,
                    "transaction": str(told.TransactionUID),
                    "type": event.event_type,
                    "held": [str(item.ReferencedSOPInstanceUID) for item in told.get("ReferencedSOPSequence", [])],
                    "failed": failed,
                    "calling": event.assoc.requestor.ae_title,
                }
            )
            self.came.set()
            return 0, None

        return [(evt.EVT_N_EVENT_REPORT, take)]


def main():
    known = parser()
    known.add_argument("--queries", required=True)
    arguments = known.parse_args()
    warnings.simplefilter("ignore")
    answer = {"associated": False, "answers": [], "error": None}
    try:
        for query in json.loads(Path(arguments.queries).read_text()):
            ask(arguments, query, answer)
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))
    return 0 if answer["associated"] and not answer["error"] else 1


def ask(arguments, query, answer):
    reports, told, link = Reports(), {"status": None}, None
    if "instances" in query:
        link, told["status"] = request(arguments, query, reports)
        answer["associated"] = True
        if query.get("release"):
            link.release()
    server = None
    if "listen" in query:
        time.sleep(query["listen"].get("after", 0))
        server = listen(arguments, query["listen"], reports)
    reports.came.wait(query.get("wait", 0))
    if link and link.is_established:
        link.release()
    if server:
        server.shutdown()
    told["reports"] = reports.all
    answer["answers"].append(told)


def request(arguments, query, reports):
    entity = AE(ae_title=arguments.calling)
    entity.add_requested_context(PUSH_MODEL)
    link = entity.associate(
        arguments.host,
        arguments.port,
        ae_title=arguments.called,
        evt_handlers=reports.handler("same"),
        tls_args=(tls(arguments), None),
    )
    if not link.is_established:
        raise ConnectionError("rejected" if link.is_rejected else "aborted")
    wanted = Dataset()
    if query.get("transaction"):
        wanted.TransactionUID = query["transaction"]
    wanted.ReferencedSOPSequence = []
    for sop_class, sop_instance in query["instances"]:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        wanted.ReferencedSOPSequence.append(item)
    status, _ = link.send_n_action(wanted, query.get("action", 1), PUSH_MODEL, query.get("instance", INSTANCE))
    return link, status.Status if "Status" in status else None


def listen(arguments, wanted, reports):
    entity = AE(ae_title=arguments.calling)
    entity.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(wanted["cert"], wanted["key"])
    context.load_verify_locations(arguments.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return entity.start_server(
        ("127.0.0.1", wanted["port"]), block=False, ssl_context=context, evt_handlers=reports.handler("new")
    )


if __name__ == "__main__":
    sys.exit(main())
