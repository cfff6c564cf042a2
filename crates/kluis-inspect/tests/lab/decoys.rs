//! Services that are no archives: one that takes everything and finds a marked patient under every key, and a program of
//! pynetdicom that answers searches of anybody.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
};

use kluis_dimse::{
    command::{CommandField, CommandSet, Message, element},
    pdu::{AssociateAc, ContextReply, ContextResult, Pdu, Pdv, read, write},
};
use kluis_inspect::scan::{Confidence, Grade, Level, Proof};

use super::{
    network,
    site::{MARK, Site, local, rules, service},
};

/// Takes every context and answers every search with one marked patient.
fn imitate(mut stream: TcpStream) {
    let mut held = Vec::new();
    let mut piece = [0; 4096];
    loop {
        while let Ok((pdu, taken)) = read(&held) {
            held.drain(..taken);
            let mut out = Vec::new();
            for answer in answers(&pdu) {
                write(&answer, &mut out).unwrap();
            }
            if stream.write_all(&out).is_err() || matches!(pdu, Pdu::ReleaseRq | Pdu::Abort(_)) {
                return;
            }
        }
        match stream.read(&mut piece) {
            Ok(count @ 1..) => held.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
}

fn answers(pdu: &Pdu) -> Vec<Pdu> {
    match pdu {
        Pdu::AssociateRq(request) => {
            let contexts = request.contexts.iter().map(|context| ContextReply {
                id: context.id,
                result: ContextResult::Acceptance,
                transfer_syntax: context.transfer_syntaxes.first().cloned(),
            });
            let mut user = request.user.clone();
            user.implementation_class_uid = "1.2.276.0.7230010.3.0.3.6.7".parse().ok();
            user.implementation_version = Some(b"ANOTHER_NAME".to_vec());
            vec![Pdu::AssociateAc(Box::new(AssociateAc {
                protocol_version: 1,
                called_ae: request.called_ae,
                calling_ae: request.calling_ae,
                reserved: request.reserved,
                application_context: request.application_context.clone(),
                contexts: contexts.collect(),
                user,
            }))]
        }
        Pdu::Data(pdvs) if pdvs[0].is_command => answer(&pdvs[0]),
        Pdu::ReleaseRq => vec![Pdu::ReleaseRp],
        _ => Vec::new(),
    }
}

fn answer(pdv: &Pdv) -> Vec<Pdu> {
    let set = CommandSet::read(&pdv.bytes).unwrap();
    let (field, id) = match Message::read(&set).unwrap() {
        Message::Echo(request) | Message::Find(request) | Message::Get(request) | Message::Other(request) => {
            (request.field, request.message_id)
        }
        _ => return Vec::new(),
    };
    let response = |status: u16, has_data_set: bool| {
        let mut set = CommandSet::default();
        set.set_us(element::COMMAND_FIELD, field.response().0);
        set.set_us(element::MESSAGE_ID_BEING_RESPONDED_TO, id);
        set.set_us(element::DATA_SET_TYPE, if has_data_set { 1 } else { 0x0101 });
        set.set_us(element::STATUS, status);
        let mut bytes = Vec::new();
        set.write(&mut bytes);
        Pdu::Data(vec![Pdv { context_id: pdv.context_id, is_command: true, is_last: true, bytes }])
    };
    if field != CommandField::C_FIND_RQ {
        return vec![response(0, false)];
    }
    let mut row = vec![0x10, 0, 0x10, 0];
    row.extend_from_slice(&u32::try_from(MARK.len()).unwrap().to_le_bytes());
    row.extend_from_slice(MARK.as_bytes());
    let row = Pdu::Data(vec![Pdv { context_id: pdv.context_id, is_command: false, is_last: true, bytes: row }]);
    vec![response(0xFF00, true), row, response(0, false)]
}

#[test]
fn what_imitates_an_archive_is_marked_and_not_counted() {
    if !network::is_inside("decoys::what_imitates_an_archive_is_marked_and_not_counted") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:104").unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || imitate(stream));
        }
    });
    let site = Site::new();
    let scan = site.run(&local(&[104], "allow_count = true")).unwrap();
    let decoy = service(&scan, 104);
    let dicom = decoy.dicom.as_ref().unwrap();
    assert!(dicom.takes_any_class && dicom.ignores_keys, "{dicom:#?}");
    // it says the class UID of one product and the version name of none
    assert_eq!((decoy.product.name.as_str(), decoy.product.confidence), ("unknown", Confidence::Unknown));
    assert!(scan.assets[0].is_decoy);
    assert_eq!(scan.grade(), Grade::A);
    assert_eq!(site.marks(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn pynetdicom_that_answers_anybody() {
    if !network::is_inside("decoys::pynetdicom_that_answers_anybody") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tools = std::env::var_os("KLUIS_TOOLS").map_or_else(|| root.join("../../.tools"), Into::into);
    let site = Site::new();
    let mut command = Command::new(tools.join("venv/bin/python"));
    command.arg(root.join("tests/lab/scp.py")).arg("11112");
    let _program = network::Program::start(&mut command, site.folder.path(), &[11112]);
    let scan = site.run(&local(&[11112], "")).unwrap();
    let found = service(&scan, 11112);
    assert_eq!((found.level, found.proof, found.read_level), (Level::E3, Proof::Proved, Level::E3), "{found:#?}");
    assert_eq!((found.product.name.as_str(), found.product.confidence), ("pynetdicom", Confidence::Certain));
    assert_eq!(rules(&scan, 11112), ["dicom-associates-anyone", "dicom-clear", "dicom-find-open"]);
    assert_eq!(scan.grade(), Grade::D);
}
