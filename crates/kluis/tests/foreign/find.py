"""C-FIND over TLS with pynetdicom.

    find.py --port PORT --ca CA [--cert CERT --key KEY] [--calling AE] [--called KLUIS] --queries LIST

LIST is a JSON file: [{"model": UID, "keys": {keyword: value}, "extended": [byte], "cancel_after": n}]; a value that is an
object is the item of a sequence, "SpecificCharacterSet" counts for the text behind it. All queries go over one association.
Prints {"associated": bool, "agreed": {model: [byte]}, "answers": [{"statuses": [number], "matches": [DICOM JSON]}], "error": text}.
"""

import json
import sys
import warnings
from pathlib import Path

from peer import only_reader, parser, tls
from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation

MESSAGE = 7


def main():
    known = parser()
    known.add_argument("--queries", required=True)
    arguments = known.parse_args()
    warnings.simplefilter("ignore")
    answer = {"associated": False, "agreed": {}, "answers": [], "error": None}
    try:
        ask(arguments, json.loads(Path(arguments.queries).read_text()), answer)
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))
    return 0 if answer["associated"] and not answer["error"] else 1


def ask(arguments, queries, answer):
    entity = AE(ae_title=arguments.calling)
    extended = []
    for query in queries:
        if query["model"] not in {context.abstract_syntax for context in entity.requested_contexts}:
            entity.add_requested_context(query["model"], query.get("syntaxes") or None)
        if "extended" in query:
            item = SOPClassExtendedNegotiation()
            item.sop_class_uid = query["model"]
            item.service_class_application_information = bytes(query["extended"])
            extended.append(item)
    link = entity.associate(
        arguments.host,
        arguments.port,
        ae_title=arguments.called,
        ext_neg=extended,
        tls_args=(tls(arguments), None),
    )
    if not link.is_established:
        raise ConnectionError("rejected" if link.is_rejected else "aborted")
    answer["associated"] = True
    answer["agreed"] = {str(uid): list(information) for uid, information in link.acceptor.sop_class_extended.items()}
    let_go = only_reader(link)
    for query in queries:
        statuses, matches = [], []
        for status, match in link.send_c_find(data_set(query["keys"]), query["model"], msg_id=MESSAGE):
            statuses.append(status.Status if "Status" in status else None)
            if match is not None:
                matches.append(match.to_json_dict())
            if len(matches) == query.get("cancel_after"):
                link.send_c_cancel(MESSAGE, query_model=query["model"])
        answer["answers"].append({"statuses": statuses, "matches": matches})
    let_go()
    link.release()


def data_set(keys):
    made = Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, [data_set(value)] if isinstance(value, dict) else value)
    return made


sys.exit(main())
