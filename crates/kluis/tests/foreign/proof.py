"""Verifies an exported study from the description of its proof alone, with aics-tlog, pydicom, blake3 and Python's own
hashes.

    proof.py --vkey FILE --folder DIR

Checks the checkpoint's signature and origin, for each object the commitment, the inclusion of the leaf and the digest of the
data set in its file, and that pydicom reads the file as the object that the proof names. Checks the statement over the
lines too. Prints {"objects", "size", "lines"}, or {"error"} with exit code 1.
"""

import argparse
import base64
import hashlib
import hmac
import json
import struct
import sys
from pathlib import Path

import blake3
import pydicom
from aics_tlog import parse_checkpoint, parse_note, parse_vkey, verify_checkpoint, verify_leaf_inclusion


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vkey", required=True)
    parser.add_argument("--folder", required=True)
    arguments = parser.parse_args()
    try:
        answer = verify(arguments)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


def verify(arguments):
    folder = Path(arguments.folder)
    key = parse_vkey(Path(arguments.vkey).read_text().strip())
    lines = (folder / "proof.jsonl").read_bytes().split(b"\n")
    assert lines.pop() == b"", "the last line has no end"
    closing = json.loads(lines.pop())
    head, objects = json.loads(lines[0]), [json.loads(line) for line in lines[1:]]
    assert head["form"] == "kluis-proof/1"
    note = parse_note(head["checkpoint"].encode())
    signed = verify_checkpoint(note, key, expected_origin=head["origin"])
    assert signed.ok, f"checkpoint: {signed.error}"
    checkpoint = parse_checkpoint(note.text)
    count = 0
    for line in objects:
        entry, opening = base64.b64decode(line["leaf"]["entry"]), line["opening"]
        path = chunks(base64.b64decode(line["leaf"]["path"]))
        index = line["leaf"]["index"]
        assert verify_leaf_inclusion(entry, index, checkpoint.size, path, checkpoint.root), f"leaf {index}"
        leaf = json.loads(entry)
        assert leaf["v"] == 3 and leaf["study"] == head["study"] and leaf["object"] == opening["object"]
        message = b"".join(struct.pack(">Q", len(field)) + field for field in fields(head, opening))
        commitment = hmac.new(bytes.fromhex(head["commitment_key"]), message, hashlib.sha256).hexdigest()
        assert commitment == leaf["commitment"], f"commitment of leaf {index}"
        if line["state"] == "exported":
            check_file(folder / line["file"], opening, line["parts"])
            count += 1
    check_statement(closing, lines, head, key)
    return {"objects": count, "size": checkpoint.size, "lines": len(lines)}


def fields(head, opening):
    uids = [head["study_uid"]] + [opening[name] for name in ("series", "sop_instance", "sop_class", "transfer_syntax")]
    return [
        b"kluis/object-leaf/3",
        bytes.fromhex(opening["object"]),
        bytes.fromhex(opening["digest"]),
        *(uid.encode() for uid in uids),
        opening["sender"].encode(),
        opening["transport"].encode(),
        struct.pack(">q", opening["received_at_us"]),
        bytes.fromhex(opening["previous"] or ""),
    ]


def check_file(path, opening, parts):
    content = path.read_bytes()
    assert content[:128] == bytes(128) and content[128:132] == b"DICM", path.name
    data_set = content[144 + struct.unpack("<I", content[140:144])[0] :]
    assert len(data_set) == opening["length"], path.name
    assert blake3.blake3(data_set).hexdigest() == opening["digest"], path.name
    start = 0
    for part in parts["list"]:
        end = start + part["length"]
        bounds = [frame for frame in part.get("frames", []) if frame > start] + [end]
        hashes, at = [], start
        for bound in bounds:
            while at < bound:
                piece = data_set[at : min(bound, at + parts["step"])]
                hashes.append(blake3.blake3(piece).digest())
                at += len(piece)
        assert b"".join(hashes) == base64.b64decode(part["hashes"]), f"{path.name} {part['tag']}"
        start = end
    assert start == len(data_set), path.name
    read = pydicom.dcmread(path)
    assert read.SOPInstanceUID == opening["sop_instance"] and read.SeriesInstanceUID == opening["series"], path.name
    assert read.file_meta.TransferSyntaxUID == opening["transfer_syntax"], path.name


def check_statement(closing, lines, head, key):
    hashes = b"".join(hashlib.sha256(line).digest() for line in lines)
    assert base64.b64decode(closing["line_hashes"]) == hashes, "the lines are not those that were signed"
    digest = base64.b64encode(hashlib.sha256(hashes).digest()).decode()
    text, _, signature = closing["statement"].partition("\n\n")
    assert text == f"kluis-export/1\n{head['origin']}\n{len(lines)}\n{digest}", text
    signed = base64.b64decode(signature.split(" ")[2])[4:]
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    public = base64.b64decode(head["key"].split("+", 2)[2])[1:]
    assert Path(sys.argv[sys.argv.index("--vkey") + 1]).read_text().strip() == head["key"]
    Ed25519PublicKey.from_public_bytes(public).verify(signed, (text + "\n").encode())


def chunks(joined):
    return [joined[at : at + 32] for at in range(0, len(joined), 32)]


sys.exit(main())
