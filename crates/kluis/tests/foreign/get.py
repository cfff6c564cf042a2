"""C-GET over TLS with pynetdicom.

    get.py --port PORT --ca CA [--cert CERT --key KEY] [--calling AE] [--called KLUIS] --queries LIST

LIST is a JSON file: [{"model": UID, "keys": {keyword: value}, "take": [[SOP class, transfer syntax]], "answer": status,
"cancel_after": n}]. Each has an association of its own. Prints {"associated": bool, "answers": [{"statuses": [number],
"counts": [remaining, completed, failed, warning] of the last, "failed": [UID], "stored": {UID: {"syntax": UID, "bytes": of
the data set as they came, hexadecimal}}}], "error": text}.
"""

import json
import sys
import warnings
from pathlib import Path

from peer import only_reader, parser, tls
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation

MESSAGE = 7
COUNTS = ("Remaining", "Completed", "Failed", "Warning")


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
    entity = AE(ae_title=arguments.calling)
    entity.add_requested_context(query["model"])
    roles = {}
    for sop_class, syntax in query.get("take", []):
        entity.add_requested_context(sop_class, syntax)
        role = SCP_SCU_RoleSelectionNegotiation()
        role.sop_class_uid, role.scu_role, role.scp_role = sop_class, False, True
        roles[sop_class] = role
    stored = {}

    def store(event):
        data = event.request.DataSet.getvalue()
        syntax = str(event.context.transfer_syntax)
        stored[str(event.request.AffectedSOPInstanceUID)] = {"syntax": syntax, "bytes": data.hex()}
        if len(stored) == query.get("cancel_after"):
            event.assoc.send_c_cancel(MESSAGE, query_model=query["model"])
        return query.get("answer", 0)

    link = entity.associate(
        arguments.host,
        arguments.port,
        ae_title=arguments.called,
        ext_neg=list(roles.values()),
        evt_handlers=[(evt.EVT_C_STORE, store)],
        tls_args=(tls(arguments), None),
    )
    if not link.is_established:
        raise ConnectionError("rejected" if link.is_rejected else "aborted")
    answer["associated"] = True
    statuses, counts, failed = [], [], []
    let_go = only_reader(link)
    for status, identifier in link.send_c_get(data_set(query["keys"]), query["model"], msg_id=MESSAGE):
        statuses.append(status.Status if "Status" in status else None)
        counts = [status.get(f"NumberOf{name}Suboperations") for name in COUNTS]
        if identifier is not None and "FailedSOPInstanceUIDList" in identifier:
            value = identifier.FailedSOPInstanceUIDList
            failed = [value] if isinstance(value, str) else [str(uid) for uid in value]
    alive = link.is_established
    let_go()
    link.release()
    answer["answers"].append(
        {"statuses": statuses, "counts": counts, "failed": failed, "stored": stored, "alive": alive}
    )


def data_set(keys):
    made = Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


if __name__ == "__main__":
    sys.exit(main())
