"""C-ECHO and C-STORE over TLS with pynetdicom.

    dimse.py --port PORT --ca CA [--cert CERT --key KEY] [--calling AE] [--called KLUIS] [--files LIST]

Data sets go as they stand in the files. Prints {"associated": bool, "echo": status, "stored": n, "failed": [{path, status}],
"refused": [{sop_class, transfer_syntax}], "slowest_s": seconds of the slowest C-STORE, "error": text}; exit code 0 when C-ECHO and every C-STORE succeeded.
"""

import json
import sys
import time
import warnings
from pathlib import Path

from peer import only_reader, parser, tls
from pynetdicom import AE, _config
from pynetdicom.sop_class import Verification

_config.STORE_SEND_CHUNKED_DATASET = True
_config.ENFORCE_UID_CONFORMANCE = False
CONTEXTS = 127


def main():
    known = parser()
    known.add_argument("--files")
    arguments = known.parse_args()
    warnings.simplefilter("ignore")
    answer = {"associated": False, "echo": None, "stored": 0, "failed": [], "refused": [], "slowest_s": 0, "error": None}
    listed = json.loads(Path(arguments.files).read_text()) if arguments.files else []
    files = listed["files"] if isinstance(listed, dict) else listed
    try:
        for batch in batches(files):
            associate(arguments, batch, answer)
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(answer))
    done = answer["echo"] == 0 and answer["stored"] == len(files) and not answer["error"]
    return 0 if done else 1


def batches(files):
    """Groups of files whose presentation contexts fit into one association; at least one group."""
    groups = [{}]
    for file in files:
        context = (file["sop_class"], file["transfer_syntax"])
        if context not in groups[-1] and len(groups[-1]) == CONTEXTS:
            groups.append({})
        groups[-1].setdefault(context, []).append(file)
    return groups


def associate(arguments, contexts, answer):
    entity = AE(ae_title=arguments.calling)
    entity.add_requested_context(Verification)
    for sop_class, transfer_syntax in contexts:
        entity.add_requested_context(sop_class, transfer_syntax)
    link = entity.associate(arguments.host, arguments.port, ae_title=arguments.called, tls_args=(tls(arguments), None))
    if not link.is_established:
        raise ConnectionError("rejected" if link.is_rejected else "aborted")
    answer["associated"] = True
    let_go = only_reader(link)
    answer["echo"] = status_of(link.send_c_echo())
    accepted = {(context.abstract_syntax, context.transfer_syntax[0]) for context in link.accepted_contexts}
    for (sop_class, transfer_syntax), files in contexts.items():
        if (sop_class, transfer_syntax) not in accepted:
            answer["refused"].append({"sop_class": sop_class, "transfer_syntax": transfer_syntax})
            continue
        for file in files:
            start = time.monotonic()
            status = status_of(link.send_c_store(file["path"]))
            answer["slowest_s"] = max(answer["slowest_s"], time.monotonic() - start)
            if status == 0:
                answer["stored"] += 1
            else:
                answer["failed"].append({"path": file["path"], "status": status})
    let_go()
    link.release()


def status_of(answer):
    return answer.Status if "Status" in answer else None


sys.exit(main())
