"""C-MOVE over TLS with pynetdicom, which may play the destination as well.

    move.py --port PORT --ca CA --cert CERT --key KEY [--calling AE] [--called KLUIS] --queries LIST

LIST is a JSON file: [{"model": UID, "keys": {keyword: value}, "destination": AE, "listen": {"port": n, "cert": path, "key":
path, "take": [[SOP class, transfer syntax]], "answer": status, "drop_after": n}, "cancel_after": n}]. Where there is a
"listen", somebody listens there over TLS while the query runs, and takes what it says; "drop_after" aborts its associations
behind so many objects. Prints {"associated": bool, "answers": [{"statuses": [number], "counts": [remaining, completed,
failed, warning] of the last, "pending": the same of each before, "failed": [UID], "comment": text, "stored": {UID: {"syntax":
UID, "bytes": hexadecimal, "originator": [AE, message ID]}}, "calling": [AE of who came], "associations": at once at most,
"alive": bool}], "error": text}.
"""

import json
import ssl
import sys
import threading
import warnings
from pathlib import Path

from get import data_set
from peer import only_reader, parser, tls
from pynetdicom import AE, evt

MESSAGE = 77
COUNTS = ("Remaining", "Completed", "Failed", "Warning")


class Destination:
    """Keeps what comes."""

    def __init__(self, arguments, title, listen):
        self.listen, self.stored, self.calling = listen, {}, set()
        self.at_once, self.most, self.lock = 0, 0, threading.Lock()
        self.reached = threading.Event()
        entity = AE(ae_title=title)
        entity.maximum_associations = listen.get("associations", 10)
        for sop_class, syntax in listen["take"]:
            entity.add_supported_context(sop_class, syntax)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(listen["cert"], listen["key"])
        context.load_verify_locations(arguments.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        handlers = [(evt.EVT_C_STORE, self.store), (evt.EVT_ESTABLISHED, self.came), (evt.EVT_CONN_CLOSE, self.went)]
        self.server = entity.start_server(
            ("127.0.0.1", listen["port"]), block=False, ssl_context=context, evt_handlers=handlers
        )

    def came(self, event):
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.calling.add(event.assoc.requestor.ae_title)

    def went(self, _):
        with self.lock:
            self.at_once -= 1

    def store(self, event):
        request = event.request
        with self.lock:
            self.stored[str(request.AffectedSOPInstanceUID)] = {
                "syntax": str(event.context.transfer_syntax),
                "bytes": request.DataSet.getvalue().hex(),
                "originator": [request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID],
            }
            count = len(self.stored)
        self.reached.set()
        if count == self.listen.get("drop_after"):
            event.assoc.abort()
        return self.listen.get("answer", 0)


def main():
    known = parser()
    known.add_argument("--queries", required=True)
    arguments = known.parse_args()
    warnings.simplefilter("ignore")
    answer = {"associated": False, "answers": [], "error": None}
    try:
        for query in json.loads(Path(arguments.queries).read_text()):
            destination = None
            if "listen" in query:
                destination = Destination(arguments, query["destination"], query["listen"])
            try:
                ask(arguments, query, answer, destination)
            finally:
                if destination:
                    destination.server.shutdown()
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))
    return 0 if answer["associated"] and not answer["error"] else 1


def ask(arguments, query, answer, destination):
    entity = AE(ae_title=arguments.calling)
    entity.dimse_timeout = 60
    entity.add_requested_context(query["model"])
    link = entity.associate(arguments.host, arguments.port, ae_title=arguments.called, tls_args=(tls(arguments), None))
    if not link.is_established:
        raise ConnectionError("rejected" if link.is_rejected else "aborted")
    answer["associated"] = True
    let_go = only_reader(link)
    statuses, counts, failed, comment = [], [], [], None
    keys = data_set(query["keys"])
    for status, identifier in link.send_c_move(keys, query["destination"], query["model"], msg_id=MESSAGE):
        statuses.append(status.Status if "Status" in status else None)
        counts.append([status.get(f"NumberOf{name}Suboperations") for name in COUNTS])
        comment = status.get("ErrorComment")
        if identifier is not None and "FailedSOPInstanceUIDList" in identifier:
            value = identifier.FailedSOPInstanceUIDList
            failed = [value] if isinstance(value, str) else [str(uid) for uid in value]
        if len(statuses) == query.get("cancel_after"):
            link.send_c_cancel(MESSAGE, query_model=query["model"])
    alive = link.is_established
    let_go()
    link.release()
    told = {"statuses": statuses, "counts": counts[-1] if counts else [], "pending": counts[:-1], "failed": failed}
    told.update({"comment": comment, "alive": alive, "stored": {}, "calling": [], "associations": 0})
    if destination:
        told.update({"stored": destination.stored, "calling": sorted(destination.calling)})
        told["associations"] = destination.most
    answer["answers"].append(told)


if __name__ == "__main__":
    sys.exit(main())
