//! Inputs to begin with: small ones that are in order, or nearly so, and reach far into each target.

use kluis_dicom::Phi;
use kluis_dimse::{
    command::{CommandField, CommandSet, element},
    pdu::{
        self, Abort, AbortSource, AssociateRq, AsynchronousOperations, CommonExtendedNegotiation, ExtendedNegotiation,
        Pdu, Pdv, RoleSelection, UserIdentity,
    },
};
use kluis_testkit::{DataSetBuilder, Encoding, Lengths, SmallInstance, data_set::PIXEL_DATA, hostile, part10};

use crate::association::{CT, VERIFICATION, request, uid};

/// The seeds of a target; none for one that needs none.
#[must_use]
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "byte_gate" => {
            gate().into_iter().map(|(source, bytes)| [&[source, 0, 0, 0, 0, 9], bytes.as_slice()].concat()).collect()
        }
        "dicom_json" | "frames" => {
            gate().into_iter().map(|(source, bytes)| [&[source], bytes.as_slice()].concat()).collect()
        }
        "worklist" => worklist(),
        "file_meta" => files().iter().filter_map(|file| Some([&[0, 0, 0, 3], file.get(132..)?].concat())).collect(),
        "pdu" => streams().into_iter().map(|stream| [&[0, 0, 0, 5], stream.as_slice()].concat()).collect(),
        "association" => streams()
            .into_iter()
            .map(|stream| [&[0, 0, 0, 0, 5, 6, 4, 5, 6, 9, 11, 12], stream.as_slice()].concat())
            .collect(),
        "negotiation" => requests().map(|rq| written(&Pdu::AssociateRq(Box::new(rq)))).into(),
        "dimse_command" => commands(),
        "multipart" => stow_bodies().into_iter().map(|body| [b"b\n\0\0\0\x05".as_slice(), &body].concat()).collect(),
        "stow" => stow_bodies().into_iter().map(|body| [STOW_HEAD, &body].concat()).collect(),
        "qido" => QUERIES.iter().map(|text| [&[0], text.as_bytes()].concat()).collect(),
        "accept_header" => ACCEPTS.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "ledger_note" => NOTES.iter().map(|text| text.as_bytes().to_vec()).collect(),
        "pack_reader" => PACKS.iter().map(|steps| steps.to_vec()).collect(),
        "export_proof" => proofs(),
        "proof_verifier" => (0..3).map(|which| [&[which, 9, 77], [which; 40].as_slice()].concat()).collect(),
        _ => Vec::new(),
    }
}

/// An entry and a performed step as DICOM JSON, and data sets of every kind.
fn worklist() -> Vec<Vec<u8>> {
    let data_sets = gate().into_iter().map(|(source, bytes)| [&[source + 1], bytes.as_slice()].concat());
    [ENTRY, STEP].iter().map(|text| [&[0], text.as_bytes()].concat()).chain(data_sets).collect()
}

const ENTRY: &str = r#"{"00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^J"}]},"00100020":{"vr":"LO","Value":["1"]},
"0020000D":{"vr":"UI","Value":["1.2"]},"00401001":{"vr":"SH","Value":["R"]},"00400100":{"vr":"SQ","Value":[{
"00080060":{"vr":"CS","Value":["CT"]},"00400001":{"vr":"AE","Value":["A","B"]},"00400002":{"vr":"DA","Value":["20260102"]},
"00400003":{"vr":"TM","Value":["0815"]},"00400009":{"vr":"SH","Value":["S"]}}]}}"#;

const STEP: &str = r#"[{"00080060":{"vr":"CS","Value":["CT"]},"00400241":{"vr":"AE","Value":["A"]},
"00400244":{"vr":"DA","Value":["20260102"]},"00400245":{"vr":"TM","Value":["0815"]},
"00400252":{"vr":"CS","Value":["IN PROGRESS"]},"00400253":{"vr":"SH","Value":["P"]},"00280030":{"vr":"DS","Value":[0.5,1]},
"00400270":{"vr":"SQ","Value":[{"0020000D":{"vr":"UI","Value":["1.2"]},"00400009":{"vr":"SH","Value":["S"]}}]}}]"#;

const STOW_HEAD: &[u8] = b"multipart/related; type=\"application/dicom\"; boundary=b\n\0\0\0\x05";

/// Each with the number of its source (see `byte_gate::source`).
fn gate() -> Vec<(u8, Vec<u8>)> {
    let set = instance();
    let sequences = with_sequences(Lengths::Undefined);
    let mut all = vec![
        (1, set.encode(Encoding::EXPLICIT_LITTLE)),
        (2, set.encode(Encoding::IMPLICIT_LITTLE)),
        (3, set.encode(Encoding::EXPLICIT_BIG)),
        (4, hostile::deflate_run(&set.encode(Encoding::EXPLICIT_LITTLE), 4)),
        (5, encapsulated(4).encode(Encoding::EXPLICIT_LITTLE)),
        (5, encapsulated(0).encode(Encoding::EXPLICIT_LITTLE)),
        (1, sequences.encode(Encoding::EXPLICIT_LITTLE)),
        (2, with_sequences(Lengths::Defined).encode(Encoding::IMPLICIT_LITTLE)),
        (3, sequences.encode(Encoding::EXPLICIT_BIG)),
        (1, hostile::nested(10, Encoding::EXPLICIT_LITTLE)),
        (1, packed_bits().encode(Encoding::EXPLICIT_LITTLE)),
    ];
    all.extend(files().into_iter().map(|file| (0, file)));
    all
}

fn files() -> Vec<Vec<u8>> {
    let mut files = vec![
        part10::file(&instance(), part10::EXPLICIT_VR_LITTLE_ENDIAN),
        part10::file(&with_sequences(Lengths::Undefined), part10::IMPLICIT_VR_LITTLE_ENDIAN),
        part10::file(&encapsulated(3), part10::JPEG_BASELINE),
        part10::file(&text(), part10::EXPLICIT_VR_LITTLE_ENDIAN),
    ];
    let deflated = hostile::deflate_run(&instance().encode(Encoding::EXPLICIT_LITTLE), 2);
    files.push(part10::file_around(&deflated, CT, "1.2.3", part10::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN));
    files.extend(hostile::repaired().into_iter().map(|(input, _)| input.bytes).filter(|bytes| bytes.len() < 4_000));
    files
}

/// With pixels of a few bytes.
fn instance() -> DataSetBuilder {
    let mut instance = SmallInstance::new(66, 1, 1, 1);
    instance.side_pixels = 4;
    instance.data_set()
}

fn encapsulated(frames: u32) -> DataSetBuilder {
    let table = (0..frames).flat_map(|frame| (frame * 14).to_le_bytes()).collect();
    let fragments = (0..frames.max(2)).map(|_| vec![0xFF, 0xD8, 1, 2, 0xFF, 0xD9]);
    instance()
        .integer((0x0028, 0x0008), i64::from(frames.max(2)))
        .without(PIXEL_DATA)
        .fragments(std::iter::once(table).chain(fragments).collect())
}

fn packed_bits() -> DataSetBuilder {
    instance()
        .integer((0x0028, 0x0008), 3)
        .short((0x0028, 0x0010), 3)
        .short((0x0028, 0x0011), 3)
        .short((0x0028, 0x0100), 1)
}

fn with_sequences(lengths: Lengths) -> DataSetBuilder {
    let item = || DataSetBuilder::new().with_lengths(lengths).text((0x0040, 0x0009), "SH", "STEP1");
    let code = DataSetBuilder::new().with_lengths(lengths).code((0x0008, 0x2218), "T-D1100", "SRT", "Head");
    text()
        .with_lengths(lengths)
        .sequence((0x0008, 0x1140), vec![code, DataSetBuilder::new()])
        .sequence((0x0040, 0x0275), vec![item(), item().text((0x0040, 0x1001), "SH", "RP1")])
}

/// Values of many representations and character sets.
fn text() -> DataSetBuilder {
    instance()
        .text((0x0008, 0x0005), "CS", "ISO 2022 IR 6\\ISO 2022 IR 87")
        .encoded_text((0x0010, 0x0010), "PN", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=")
        .text((0x0008, 0x002A), "DT", "20260102030405.123456+0100")
        .decimals((0x0028, 0x0030), &[0.5, 0.25])
        .double((0x0018, 0x9087), 1.5)
        .tags((0x0028, 0x0009), vec![(0x0018, 0x1063)])
        .bytes((0x0009, 0x1001), "UN", vec![1, 2, 3, 4])
        .words16((0x0009, 0x1002), "OW", vec![1, 2])
        .words32((0x0009, 0x1003), "SL", vec![u32::MAX])
}

fn written(pdu: &Pdu) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = pdu::write(pdu, &mut bytes);
    bytes
}

fn command(field: CommandField, class: &str, has_data_set: bool) -> Vec<u8> {
    let mut set = CommandSet::default();
    set.set_uid(element::AFFECTED_SOP_CLASS_UID, &uid(class));
    set.set_us(element::COMMAND_FIELD, field.0);
    set.set_us(element::MESSAGE_ID, 7);
    set.set_us(element::DATA_SET_TYPE, if has_data_set { 1 } else { 0x0101 });
    if field == CommandField::C_STORE_RQ {
        set.set_us(element::PRIORITY, 0);
        set.set_uid(element::AFFECTED_SOP_INSTANCE_UID, &uid("1.2.3"));
        set.set_text(element::MOVE_ORIGINATOR_AE_TITLE, "MOVER", 16);
        set.set_us(element::MOVE_ORIGINATOR_MESSAGE_ID, 3);
    }
    let mut bytes = Vec::new();
    set.write(&mut bytes);
    bytes
}

fn commands() -> Vec<Vec<u8>> {
    let of = |field: CommandField| command(field, CT, field == CommandField::C_STORE_RQ);
    CommandField::REQUESTS.into_iter().map(of).chain([of(CommandField::C_ECHO_RQ.response())]).collect()
}

fn data(parts: &[(u8, bool, bool, &[u8])]) -> Vec<u8> {
    let pdv = |&(context_id, is_command, is_last, bytes): &(u8, bool, bool, &[u8])| Pdv {
        context_id,
        is_command,
        is_last,
        bytes: bytes.to_vec(),
    };
    written(&Pdu::Data(parts.iter().map(pdv).collect()))
}

/// Requests for an association: the plainest, with a user's identity, and with all that is negotiated.
fn requests() -> [AssociateRq; 3] {
    let mut named = request();
    named.user.identity = Some(UserIdentity {
        kind: 2,
        is_response_requested: true,
        primary: Phi(b"user".to_vec()),
        secondary: Phi(b"pass".to_vec()),
    });
    let mut rich = named.clone();
    rich.user.asynchronous_operations = Some(AsynchronousOperations { invoked: 3, performed: 1 });
    rich.user.roles = vec![RoleSelection { sop_class: uid(CT), is_scu: true, is_scp: true }];
    rich.user.extended = vec![ExtendedNegotiation { sop_class: uid(CT), information: vec![1, 1, 0] }];
    rich.user.common_extended = vec![CommonExtendedNegotiation {
        version: 0,
        sop_class: uid(CT),
        service_class: uid("1.2.840.10008.4.2"),
        related: vec![uid(VERIFICATION)],
    }];
    [request(), named, rich]
}

/// Streams of one association, each beginning with its request.
fn streams() -> Vec<Vec<u8>> {
    let rq = written(&Pdu::AssociateRq(Box::new(request())));
    let echo = command(CommandField::C_ECHO_RQ, VERIFICATION, false);
    let store = command(CommandField::C_STORE_RQ, CT, true);
    let find = command(CommandField::C_FIND_RQ, CT, true);
    let object = instance().encode(Encoding::IMPLICIT_LITTLE);
    let (first, second) = object.split_at(object.len() / 2);
    let (one, other) = echo.split_at(9);
    let release = written(&Pdu::ReleaseRq);
    let abort = written(&Pdu::Abort(Abort { source: AbortSource::User, reason: 0 }));
    let [_, named, _] = requests();
    let named = written(&Pdu::AssociateRq(Box::new(named)));
    vec![
        [rq.as_slice(), &data(&[(1, true, true, &echo)]), &release].concat(),
        [rq.as_slice(), &data(&[(3, true, true, &store), (3, false, true, &object)]), &release].concat(),
        [
            rq.as_slice(),
            &data(&[(3, true, true, &store)]),
            &data(&[(3, false, false, first)]),
            &data(&[(3, false, true, second)]),
        ]
        .concat(),
        [rq.as_slice(), &data(&[(3, true, true, &find)]), &data(&[(3, false, true, first)]), &abort].concat(),
        [named.as_slice(), &data(&[(1, true, false, one), (1, true, true, other)]), &release].concat(),
        [rq.as_slice(), &rq].concat(),
    ]
}

fn stow_bodies() -> Vec<Vec<u8>> {
    let file = part10::file(&instance(), part10::EXPLICIT_VR_LITTLE_ENDIAN);
    let part = |headers: &str, body: &[u8], end: &str| [headers.as_bytes(), body, end.as_bytes()].concat();
    let dicom = "--b\r\nContent-Type: application/dicom\r\n\r\n";
    vec![
        [part(dicom, &file, "\r\n"), part(dicom, &file, "\r\n--b--\r\n")].concat(),
        part("preamble\n--b\nContent-Type: application/dicom\n\n", &file, "\n--b--\nepilogue"),
        part(
            "--b\r\nContent-Type: image/jpeg\r\nContent-Location: /x\r\n\r\n",
            b"\r\n--bb\r\n",
            "\r\n--b  \r\n\r\n\r\n--b--",
        ),
        part("--b\r\n\r\n", file.get(..300).unwrap_or_default(), ""),
    ]
}

const QUERIES: &[&str] = &[
    "PatientName=Mue*&00100020=1?3&limit=5&offset=1&fuzzymatching=true\nM\u{fc}ller^Hans",
    "StudyDate=20260101-20261231&StudyTime=1200-&includefield=all\n20260615",
    "ModalitiesInStudy=CT,MR&emptyvaluematching=true&AccessionNumber=%22%22\nCT",
    "00400275.00400009=STEP*&includefield=00081030,StudyDescription\nSTEP1",
    "StudyInstanceUID=1.2.3%2C1.2.4&multiplevaluematching=true&PatientID=A%5CB\nA",
    "InstanceNumber=3&AcquisitionDateTime=2026-&accept=application%2Fdicom%2Bjson&charset=utf-8\n3",
    "PatientID=*a*b?c*d**\naxxbyczzd",
];

const ACCEPTS: &[&str] = &[
    "multipart/related; type=\"application/dicom\"; transfer-syntax=*;q=0.5, application/dicom",
    "*/*;q=0.1, image/jp2, multipart/related;type=image/*;q=0\napplication/dicom+json",
    "multipart/related; type=application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.90, text/html;q=1.000",
    "1,2,3,99",
    "a/b; c=\"d\\\"e;f,g\"; h=i",
];

const NOTES: &[&str] = &[
    "\0kluis.example/log\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} kluis.example/log AAAA\n",
    "\x01\0\0\0\x05\x01kluis.example/log\n3\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nextension",
    "\x02tile/entries/x001/x234/067.p/12",
    "\x02tile/3/255",
    "\x03kluis.example/log+b2b95c9e+ARVCmn3Xj0VDTLTEwb2X8xZCqWwqFJcRsxQ8rcGRrNk3",
    "\x04{\"time\":\"2026-01-02T03:04:05Z\",\"kind\":\"begin\",\"act\":\"search\",\"door\":\"https\",\"origin\":\"127.0.0.1:1\",\"count\":3}",
];

const PACKS: &[&[u8]] = &[
    &[0, 0, 1, 0x10, 0, 0, 9, 0, 2, 0xFF, 0, 1, 0, 0, 3, 0, 0, 0, 0],
    &[0, 0, 1, 0, 1, 0, 1, 2, 5, 1, 2, 3, 4, 5, 0, 2, 0, 1, 0, 0, 4, 0, 0, 0x20, 0, 1],
    &[0, 0, 1, 0, 1, 0, 1, 5, 0, 9],
    &[1, 0, 2, 1, 1, 1, 1],
    &[0, 1, 1, 0, 0, 0, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
];

/// A proof in its form, and one cut in each of its lines.
fn proofs() -> Vec<Vec<u8>> {
    let (hex, hash) = ("ab".repeat(32), "A".repeat(43) + "=");
    let head = format!(
        "{{\"form\":\"kluis-proof/1\",\"origin\":\"kluis.example/log\",\"key\":\"kluis.example/log+00000000+AAAA\",\
         \"study\":\"{hex}\",\"study_uid\":\"1.2.3\",\"commitment_key\":\"{hex}\",\"checkpoint\":\"kluis.example/log\\n1\\n\"}}\n"
    );
    let object = format!(
        "{{\"state\":\"exported\",\"file\":\"1/1.dcm\",\"leaf\":{{\"index\":0,\"entry\":\"AAAA\",\"path\":\"{hash}\"}},\
         \"opening\":{{\"object\":\"{}\",\"digest\":\"{hex}\",\"length\":10,\"series\":\"1.2\",\"sop_instance\":\"1.3\",\
         \"sop_class\":\"1.4\",\"transfer_syntax\":\"1.2.840.10008.1.2\",\"sender\":\"CT\",\"transport\":\"dicom-tls\",\
         \"received_at_us\":1,\"previous\":null}},\"parts\":{{\"step\":65536,\"list\":[{{\"tag\":\"7FE00010\",\"length\":10,\
         \"frames\":[0],\"hashes\":\"{hash}\"}}]}}}}\n",
        "cd".repeat(16)
    );
    let closing = format!("{{\"line_hashes\":\"{hash}\",\"statement\":\"text\"}}\n");
    let whole = [head.as_str(), &object, &closing].concat();
    [whole.as_str(), &head, &object, &closing].iter().map(|text| [&[9], text.as_bytes()].concat()).collect()
}

#[cfg(test)]
mod tests {
    use crate::TARGETS;

    #[test]
    fn every_target_has_seeds_of_its_length() {
        for target in TARGETS {
            let seeds = super::seeds(target.name);
            assert!(!seeds.is_empty(), "{}", target.name);
            assert!(seeds.iter().all(|seed| seed.len() <= target.longest), "{}", target.name);
        }
    }
}
