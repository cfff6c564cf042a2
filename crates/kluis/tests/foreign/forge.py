"""Makes a manipulated copy of one of the node's logs, with aics-tlog, which knows the C2SP formats and nothing of Kluis.

    forge.py --folder DIR --vkey FILE --old CHECKPOINT --kind KIND --out DIR

`flip-*` change one bit of a file. `remove`, `swap`, `twice` and `cut` change the entries and make all tiles anew under the
old checkpoint; `resign` does so under one that another key of the same name signs. `older` puts an older checkpoint that
the node signed before other entries. Prints {"kind"}.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

from aics_tlog import (
    Checkpoint,
    FileSystemTileReader,
    TileWriter,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    read_entry,
    sign_checkpoint,
    tree_root_from_tiles,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


def main():
    parser = argparse.ArgumentParser()
    for name in ("folder", "vkey", "old", "kind", "out"):
        parser.add_argument(f"--{name}", required=True)
    arguments = parser.parse_args()
    source, out = Path(arguments.folder), Path(arguments.out)
    note = (source / "checkpoint").read_bytes()
    head = parse_checkpoint(parse_note(note).text)
    if arguments.kind.startswith("flip-"):
        shutil.copytree(source, out)
        flip(out, arguments.kind)
    else:
        reader = FileSystemTileReader(source)
        entries = [read_entry(reader, index, head.size) for index in range(head.size)]
        note = forge(arguments, entries, head, note)
        TileWriter(entries).write_to(out)
        (out / "checkpoint").write_bytes(note)
    print(json.dumps({"kind": arguments.kind}))
    return 0


def flip(out, kind):
    path, at = {
        "flip-entry": (out / "tile/entries/000", 1000),
        "flip-hash": (out / "tile/0/000", 1000),
        "flip-root": (out / "checkpoint", None),
        "flip-signature": (out / "checkpoint", -9),
    }[kind]
    data = bytearray(path.read_bytes())
    if at is None:
        at = data.index(b"\n\n") - 9
    # stays a letter or a digit where it is base64
    data[at] ^= 1
    path.write_bytes(bytes(data))


def forge(arguments, entries, head, note):
    kind = arguments.kind
    if kind in ("remove", "resign"):
        del entries[17]
    elif kind == "swap":
        entries[17], entries[200] = entries[200], entries[17]
    elif kind == "twice":
        entries[18] = entries[17]
    elif kind == "cut":
        del entries[290:]
    elif kind == "older":
        old = Path(arguments.old).read_bytes()
        del entries[parse_checkpoint(parse_note(old).text).size :]
        entries[3] = entries[4]
        return old
    if kind == "resign":
        reader = TileWriter(entries).to_memory_reader()
        root = tree_root_from_tiles(reader, len(entries))
        name = parse_vkey(Path(arguments.vkey).read_text().strip()).name
        signed = sign_checkpoint(Checkpoint(head.origin, len(entries), root), Ed25519PrivateKey.generate(), name)
        return signed.to_bytes()
    return note


sys.exit(main())
