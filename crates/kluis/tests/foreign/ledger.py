"""Verifies one of the node's logs with aics-tlog, which knows the C2SP formats and nothing of Kluis.

    ledger.py --vkey FILE (--folder DIR | --url URL --ca CA --token TOKEN) [--old CHECKPOINT] [--entry N] [--all]

Checks the checkpoint's signature and origin, every tile and entry bundle against its root, the inclusion of the first and
last entry, with --all of every entry, and with --old that the tree has only grown since. Prints {"origin", "size", "root",
"tiles", "bundles", "included", "grown_from", "entry"}, or {"error"} with exit code 1.
"""

import argparse
import base64
import json
import sys
from pathlib import Path

import requests
from aics_tlog import (
    FileSystemTileReader,
    audit_tiles,
    consistency_proof_from_tiles,
    inclusion_proof_from_tiles,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    read_entry,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)
from aics_tlog.tiles import entry_bundle_path, tile_path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vkey", required=True)
    parser.add_argument("--folder")
    parser.add_argument("--url")
    parser.add_argument("--ca")
    parser.add_argument("--token")
    parser.add_argument("--old")
    parser.add_argument("--entry", type=int)
    parser.add_argument("--all", action="store_true")
    arguments = parser.parse_args()
    try:
        answer = verify(arguments)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))
    return 1 if "error" in answer else 0


def verify(arguments):
    files = Folder(arguments.folder) if arguments.folder else Site(arguments)
    key = parse_vkey(Path(arguments.vkey).read_text().strip())
    note = parse_note(files.read("checkpoint"))
    signed = verify_checkpoint(note, key, expected_origin=key.name)
    if not signed.ok:
        return {"error": f"checkpoint: {signed.error}"}
    head = parse_checkpoint(note.text)
    reader = files.tiles()
    audit = audit_tiles(reader, head.size, head.root)
    indices = range(head.size) if arguments.all else {0, head.size - 1} if head.size else ()
    for index in indices:
        proof = inclusion_proof_from_tiles(reader, index, head.size)
        if not verify_leaf_inclusion(read_entry(reader, index, head.size), index, head.size, proof, head.root):
            return {"error": f"entry {index} is not included"}
    answer = {"origin": head.origin, "size": head.size, "root": head.root.hex(), "tiles": audit.tiles, "bundles": audit.bundles}
    answer["included"] = len(indices)
    if arguments.old:
        kept = parse_note(Path(arguments.old).read_bytes())
        signed = verify_checkpoint(kept, key, expected_origin=key.name)
        if not signed.ok:
            return {"error": f"kept checkpoint: {signed.error}"}
        old = parse_checkpoint(kept.text)
        proof = consistency_proof_from_tiles(reader, old.size, head.size)
        if not verify_consistency(old.size, head.size, old.root, head.root, proof):
            return {"error": f"the tree did not grow from the one of {old.size} entries"}
        answer["grown_from"] = old.size
    if arguments.entry is not None:
        answer["entry"] = base64.b64encode(read_entry(reader, arguments.entry, head.size)).decode()
    return answer


class Folder:
    def __init__(self, folder):
        self.folder = Path(folder)

    def read(self, path):
        return (self.folder / path).read_bytes()

    def tiles(self):
        return FileSystemTileReader(self.folder)


class Site:
    def __init__(self, arguments):
        self.url = arguments.url.rstrip("/")
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = arguments.ca
        self.session.headers["Authorization"] = f"Bearer {arguments.token}"

    def read(self, path):
        response = self.session.get(f"{self.url}/{path}", timeout=30)
        if response.status_code == 404:
            return None
        response.raise_for_status()
        return response.content

    def tiles(self):
        return self

    def read_tile(self, level, index, width):
        return self.read(tile_path(level, index, width))

    def read_entry_bundle(self, index, width):
        return self.read(entry_bundle_path(index, width))


sys.exit(main())
