"""Lists the valid image files that the packages pydicom and pydicom-data bring, without downloading any.

    images.py [--limit-bytes N]

Valid: a DICOM file that is read to its last byte, encoded as its transfer syntax says, with Pixel Data and with SOP class,
SOP instance, study and series UIDs that are UIDs and those of its file meta information. Many share a SOP Instance UID though their bytes differ, and cannot be
stored in one archive: each file has a `round` in which its UID is new. Round 0 stands under `files`, the later ones under `again`; the rarer transfer syntaxes
come first. Prints {"files": [{path, sop_class, sop_instance, study, series, transfer_syntax, data_set_offset, bytes,
round}], "again": [...], "left_out": {reason: [path]}}.
"""

import argparse
import json
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

import data_store
import pydicom
from pydicom.filereader import _read_file_meta_info, read_preamble

UID = re.compile(r"[0-9.]{1,64}")
UNDEFINED = 0xFFFFFFFF
COMMON = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--limit-bytes", type=int, default=1 << 40)
    limit = arguments.parse_args().limit_bytes
    warnings.simplefilter("ignore")
    found, left_out = [], {}
    for path in sorted(candidates()):
        try:
            found.append(describe(path, limit))
        except Exception as error:
            reason = str(error) if isinstance(error, LeftOut) else "cannot be read"
            left_out.setdefault(reason, []).append(str(path))
    times = Counter()
    for file in sorted(found, key=lambda file: file["transfer_syntax"] in COMMON):
        file["round"] = times[file["sop_instance"]]
        times[file["sop_instance"]] += 1
    files, again = ([file for file in found if bool(file["round"]) == later] for later in (False, True))
    print(json.dumps({"files": files, "again": again, "left_out": left_out}))
    return 0 if files else 1


class LeftOut(Exception):
    pass


def candidates():
    for folder in (Path(pydicom.__file__).parent / "data", Path(data_store.__file__).parent / "data"):
        yield from (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc", ".json"))


def describe(path, limit):
    with path.open("rb") as file:
        head = file.read(132)
        if head[128:] != b"DICM":
            raise LeftOut("no DICOM file")
        file.seek(0)
        read_preamble(file, force=False)
        meta = _read_file_meta_info(file)
        offset = file.tell()
        first_vr = file.read(6)[4:]
    if path.stat().st_size > limit:
        raise LeftOut("too large")
    data = pydicom.dcmread(path)
    if "PixelData" not in data or not data.get_item("PixelData").value:
        raise LeftOut("no pixel data")
    syntax = meta.get("TransferSyntaxUID")
    if syntax and not syntax.is_deflated and first_vr.isalpha() == syntax.is_implicit_VR:
        raise LeftOut("encoded otherwise than its transfer syntax says")
    if is_cut_short(data):
        raise LeftOut("cut short")
    uids = {
        "sop_class": data.get("SOPClassUID"),
        "sop_instance": data.get("SOPInstanceUID"),
        "study": data.get("StudyInstanceUID"),
        "series": data.get("SeriesInstanceUID"),
        "transfer_syntax": syntax,
    }
    if not all(uid and UID.fullmatch(uid) for uid in uids.values()):
        raise LeftOut("a UID is missing or invalid")
    if (meta.get("MediaStorageSOPClassUID"), meta.get("MediaStorageSOPInstanceUID")) != (uids["sop_class"], uids["sop_instance"]):
        raise LeftOut("its file meta information names another instance")
    return {"path": str(path), **uids, "data_set_offset": offset, "bytes": path.stat().st_size}


def is_cut_short(data):
    for tag in data.keys():
        element = data.get_item(tag)
        length = getattr(element, "length", None)
        if length not in (None, UNDEFINED) and isinstance(element.value, bytes) and len(element.value) != length:
            return True
    # reading every element decodes nested sequences, which fails where those are cut
    data.walk(lambda _, __: None)
    return False


sys.exit(main())
