"""C-STORE over TLS with DCMTK's storescu, each file in its own transfer syntax.

    storescu.py --port PORT --ca CA --cert CERT --key KEY [--calling AE] [--called KLUIS] --files LIST

storescu reads each data set and encodes it anew. One run per transfer syntax, with a profile that proposes it for the SOP
classes at hand; where a run fails, its files go one by one. Prints {"sent": n, "unreadable": [path], "failed": [{path,
log}]}: what DCMTK itself cannot read is no failure of the node. Exit code 0 when nothing failed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

UNREADABLE = ("Bad DICOM file", "No SOP Class or Instance UID in file")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", required=True)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--cert", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--calling", default="STORESCU")
    parser.add_argument("--called", default="KLUIS")
    parser.add_argument("--files", required=True)
    arguments = parser.parse_args()
    listed = json.loads(Path(arguments.files).read_text())
    by_syntax = {}
    for file in listed["files"] if isinstance(listed, dict) else listed:
        by_syntax.setdefault(file["transfer_syntax"], []).append(file)
    answer = {"sent": 0, "unreadable": [], "failed": []}
    for syntax, files in by_syntax.items():
        if send(arguments, syntax, files)[0] == 0:
            answer["sent"] += len(files)
            continue
        for file in files:
            code, log = send(arguments, syntax, [file])
            if code == 0:
                answer["sent"] += 1
            elif any(reason in log for reason in UNREADABLE):
                answer["unreadable"].append(file["path"])
            else:
                answer["failed"].append({"path": file["path"], "log": log[-2000:]})
    print(json.dumps(answer))
    return 1 if answer["failed"] else 0


def send(arguments, syntax, files):
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile.cfg"
        profile.write_text(proposal(syntax, sorted({file["sop_class"] for file in files})))
        command = ["storescu", "-v", "+tls", arguments.key, arguments.cert, "+cf", arguments.ca]
        command += ["-aet", arguments.calling, "-aec", arguments.called, "-xf", str(profile), "Default"]
        command += [arguments.host, arguments.port, *(file["path"] for file in files)]
        # without it, storescu waits 40 ms for each message
        environment = {**os.environ, "TCP_NODELAY": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        return done.returncode, done.stdout


def proposal(syntax, classes):
    contexts = "".join(f"PresentationContext{number} = {uid}\\Own\n" for number, uid in enumerate(classes, 1))
    return (
        f"[[TransferSyntaxes]]\n[Own]\nTransferSyntax1 = {syntax}\n"
        f"[[PresentationContexts]]\n[All]\n{contexts}"
        "[[Profiles]]\n[Default]\nPresentationContexts = All\n"
    )


sys.exit(main())
