//! Foreign programs at the public doors: DCMTK, pynetdicom, dicomweb-client, aics-tlog, Chromium with OHIF.

mod client;
mod commitment;
mod dcmtk;
mod find;
mod get;
mod identity;
mod ledger;
mod matching;
mod moves;
mod orthanc;
mod routes;
mod same_set;
mod viewer;
mod worklist;
