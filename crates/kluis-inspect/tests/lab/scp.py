"""A provider of pynetdicom that answers C-ECHO, and C-FIND with nothing, whoever asks: scp.py PORT"""

import sys

from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification


def find(event):
    return iter(())


ae = AE(ae_title="PYNET")
ae.add_supported_context(Verification)
ae.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
ae.start_server(("127.0.0.1", int(sys.argv[1])), block=True, evt_handlers=[(evt.EVT_C_FIND, find)])
