use kluis_dicom::{Phi, Uid};
use proptest::{collection::vec, option, prelude::*};

use super::*;
use crate::limits;

fn uid() -> impl Strategy<Value = Uid> {
    "[0-9]{1,3}(\\.[0-9]{1,5}){0,9}".prop_map(|text| text.parse().unwrap())
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn user_information() -> impl Strategy<Value = UserInformation> {
    let role = (uid(), any::<bool>(), any::<bool>()).prop_map(|(sop_class, is_scu, is_scp)| RoleSelection {
        sop_class,
        is_scu,
        is_scp,
    });
    let extended = (uid(), bytes()).prop_map(|(sop_class, information)| ExtendedNegotiation { sop_class, information });
    let common =
        (any::<u8>(), uid(), uid(), vec(uid(), 0..4)).prop_map(|(version, sop_class, service_class, related)| {
            CommonExtendedNegotiation { version, sop_class, service_class, related }
        });
    let identity =
        (any::<u8>(), any::<bool>(), bytes(), bytes()).prop_map(|(kind, is_response_requested, primary, secondary)| {
            UserIdentity { kind, is_response_requested, primary: Phi(primary), secondary: Phi(secondary) }
        });
    let unknown = (0x5A_u8.., bytes()).prop_map(|(kind, bytes)| UnknownSubItem { kind, bytes });
    let window =
        (any::<u16>(), any::<u16>()).prop_map(|(invoked, performed)| AsynchronousOperations { invoked, performed });
    (
        (option::of(any::<u32>()), option::of(uid()), option::of(bytes()), option::of(window)),
        (vec(role, 0..4), vec(extended, 0..4), vec(common, 0..3)),
        (option::of(identity), option::of(bytes()), vec(unknown, 0..3)),
    )
        .prop_map(|(first, second, third)| UserInformation {
            maximum_length: first.0,
            implementation_class_uid: first.1,
            implementation_version: first.2,
            asynchronous_operations: first.3,
            roles: second.0,
            extended: second.1,
            common_extended: second.2,
            identity: third.0,
            identity_response: third.1,
            unknown: third.2,
        })
}

/// Distinct odd ids.
fn ids() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::subsequence((0..128_u8).map(|n| n * 2 + 1).collect::<Vec<_>>(), 0..6)
}

fn rq() -> impl Strategy<Value = Pdu> {
    let contexts = ids().prop_flat_map(|ids| {
        let count = ids.len();
        vec((option::of(uid()), vec(uid(), 0..5)), count).prop_map(move |contexts| {
            let with_ids = ids.iter().zip(contexts);
            with_ids
                .map(|(id, (abstract_syntax, transfer_syntaxes))| ProposedContext {
                    id: *id,
                    abstract_syntax,
                    transfer_syntaxes,
                })
                .collect::<Vec<_>>()
        })
    });
    (
        any::<u16>(),
        any::<[u8; 16]>(),
        any::<[u8; 16]>(),
        any::<[u8; 32]>(),
        option::of(uid()),
        contexts,
        user_information(),
    )
        .prop_map(|(protocol_version, called_ae, calling_ae, reserved, application_context, contexts, user)| {
            Pdu::AssociateRq(Box::new(AssociateRq {
                protocol_version,
                called_ae,
                calling_ae,
                reserved,
                application_context,
                contexts,
                user,
            }))
        })
}

fn ac() -> impl Strategy<Value = Pdu> {
    let contexts = ids().prop_flat_map(|ids| {
        let count = ids.len();
        vec((any::<u8>(), option::of(uid())), count).prop_map(move |contexts| {
            let with_ids = ids.iter().zip(contexts);
            with_ids
                .map(|(id, (result, transfer_syntax))| ContextReply { id: *id, result: result.into(), transfer_syntax })
                .collect::<Vec<_>>()
        })
    });
    (any::<[u8; 16]>(), any::<[u8; 32]>(), option::of(uid()), contexts, user_information()).prop_map(
        |(ae, reserved, application_context, contexts, user)| {
            Pdu::AssociateAc(Box::new(AssociateAc {
                protocol_version: 1,
                called_ae: ae,
                calling_ae: ae,
                reserved,
                application_context,
                contexts,
                user,
            }))
        },
    )
}

fn data() -> impl Strategy<Value = Pdu> {
    let pdv = (any::<u8>(), any::<bool>(), any::<bool>(), bytes())
        .prop_map(|(context_id, is_command, is_last, bytes)| Pdv { context_id, is_command, is_last, bytes });
    vec(pdv, 1..5).prop_map(Pdu::Data)
}

fn any_pdu() -> impl Strategy<Value = Pdu> {
    prop_oneof![
        rq(),
        ac(),
        data(),
        (any::<u8>(), any::<u8>(), any::<u8>()).prop_map(|(result, source, reason)| Pdu::AssociateRj(AssociateRj {
            result: result.into(),
            source,
            reason
        })),
        Just(Pdu::ReleaseRq),
        Just(Pdu::ReleaseRp),
        (any::<u8>(), any::<u8>()).prop_map(|(source, reason)| Pdu::Abort(Abort { source: source.into(), reason })),
    ]
}

fn written(pdu: &Pdu) -> Vec<u8> {
    let mut out = Vec::new();
    write(pdu, &mut out).unwrap();
    out
}

/// Feeds a decoder with pieces of the given length and puts the fragments of P-DATA-TFs together again.
fn decoded(stream: &[u8], piece: usize, limits: PduLimits) -> Result<Vec<Pdu>, PduError> {
    let mut decoder = Decoder::new(limits);
    let mut buffer = Vec::new();
    let mut pdus: Vec<Pdu> = Vec::new();
    let mut pending: Option<Pdv> = None;
    for piece in stream.chunks(piece.max(1)) {
        buffer.extend_from_slice(piece);
        let mut start = 0;
        loop {
            let step = decoder.next(&buffer[start..])?;
            start += step.consumed;
            match step.incoming {
                None => break,
                Some(Incoming::Pdu(pdu)) => pdus.push(pdu),
                Some(Incoming::Data) => pdus.push(Pdu::Data(Vec::new())),
                Some(Incoming::Fragment { context_id, is_command, is_end, bytes }) => {
                    let pdv = pending.get_or_insert(Pdv { context_id, is_command, is_last: false, bytes: Vec::new() });
                    pdv.bytes.extend_from_slice(bytes);
                    if is_end {
                        pdv.is_last = true;
                        let Some(Pdu::Data(pdvs)) = pdus.last_mut() else { panic!("fragment outside P-DATA-TF") };
                        pdvs.extend(pending.take());
                    }
                }
            }
        }
        buffer.drain(..start);
    }
    Ok(pdus)
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(pdu in any_pdu()) {
        let bytes = written(&pdu);
        prop_assert_eq!(read(&bytes), Ok((pdu, bytes.len())));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300), kind in 0_u8..9, piece in 1_usize..50) {
        let _ = read(&bytes);
        let mut framed = vec![kind, 0];
        framed.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        framed.extend(&bytes);
        let _ = read(&framed);
        let _ = decoded(&framed, piece, PduLimits::default());
    }

    #[test]
    fn a_changed_byte_never_panics(pdu in any_pdu(), at in any::<proptest::sample::Index>(), byte: u8, piece in 1_usize..50) {
        let mut bytes = written(&pdu);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&bytes);
        let _ = decoded(&bytes, piece, PduLimits::default());
    }

    /// Where the stream is cut makes no difference. Every value is last here, as pieces of two values cannot be told.
    #[test]
    fn a24_pieces_of_any_length_give_the_same_pdus(pdus in vec(any_pdu(), 1..4), piece in 1_usize..70) {
        let pdus: Vec<Pdu> = pdus.into_iter().map(|pdu| match pdu {
            Pdu::Data(pdvs) => Pdu::Data(pdvs.into_iter().map(|pdv| Pdv { is_last: true, ..pdv }).collect()),
            other => other,
        }).collect();
        let stream: Vec<u8> = pdus.iter().flat_map(written).collect();
        prop_assert_eq!(decoded(&stream, piece, PduLimits::default()), Ok(pdus));
    }
}

fn header(kind: u8, length: u32) -> Vec<u8> {
    let mut bytes = vec![kind, 0];
    bytes.extend(length.to_be_bytes());
    bytes
}

#[test]
fn a15_unrecognised_types_are_named_by_their_first_byte() {
    for kind in [0x00, 0x08, 0x47, 0xFF] {
        let mut decoder = Decoder::new(PduLimits::default());
        assert_eq!(decoder.next(&[kind]), Err(PduError::UnrecognizedType(kind)));
    }
}

#[test]
fn a17_lying_lengths_are_refused_at_the_header() {
    let (association, data) = (limits::ASSOCIATION_PDU, limits::DATA_PDU);
    for (kind, declared, error) in [
        (kind::ASSOCIATE_RQ, u32::MAX, PduError::TooLong { kind: 1, declared: u32::MAX, limit: association }),
        (
            kind::ASSOCIATE_RQ,
            association + 1,
            PduError::TooLong { kind: 1, declared: association + 1, limit: association },
        ),
        (kind::DATA_TF, u32::MAX, PduError::TooLong { kind: 4, declared: u32::MAX, limit: data }),
        (kind::DATA_TF, data + 1, PduError::TooLong { kind: 4, declared: data + 1, limit: data }),
        (kind::DATA_TF, 0, PduError::NoPdv),
        (kind::RELEASE_RQ, 5, PduError::FixedLength { kind: 5, declared: 5 }),
        (kind::ABORT, u32::MAX, PduError::FixedLength { kind: 7, declared: u32::MAX }),
    ] {
        let mut decoder = Decoder::new(PduLimits::default());
        assert_eq!(decoder.next(&header(kind, declared)), Err(error));
    }
    // the largest ones that are allowed wait for their bytes
    for (kind, declared) in [(kind::ASSOCIATE_RQ, association), (kind::DATA_TF, data)] {
        assert!(Decoder::new(PduLimits::default()).next(&header(kind, declared)).is_ok());
    }
}

#[test]
fn a_presentation_data_value_stays_within_its_pdu() {
    for (pdu_length, pdv_length) in [(20, 17), (20, u32::MAX), (20, 1), (20, 0), (5, 1), (10, 7)] {
        let mut bytes = header(kind::DATA_TF, pdu_length);
        bytes.extend(pdv_length.to_be_bytes());
        bytes.extend([1, 3]);
        bytes.extend([0; 40]);
        let result = decoded(&bytes, 1, PduLimits::default());
        assert!(matches!(result, Err(PduError::PdvLength(_))), "{pdu_length} {pdv_length}: {result:?}");
    }
}

#[test]
fn a11_context_ids_are_odd_and_stand_once() {
    let rq = |ids: &[u8]| {
        let contexts = ids
            .iter()
            .map(|id| ProposedContext { id: *id, abstract_syntax: None, transfer_syntaxes: Vec::new() })
            .collect();
        written(&Pdu::AssociateRq(Box::new(AssociateRq {
            protocol_version: 1,
            called_ae: *b"KLUIS           ",
            calling_ae: *b"MODALITY        ",
            reserved: [0; 32],
            application_context: None,
            contexts,
            user: UserInformation::default(),
        })))
    };
    assert_eq!(read(&rq(&[1, 2])), Err(PduError::EvenContextId(2)));
    assert_eq!(read(&rq(&[0])), Err(PduError::EvenContextId(0)));
    assert_eq!(read(&rq(&[1, 3, 1])), Err(PduError::DuplicateContextId(1)));
    let all: Vec<u8> = (0..128).map(|n| n * 2 + 1).collect();
    assert!(read(&rq(&all)).is_ok());
}

#[test]
fn items_have_limits() {
    let mut user = Vec::new();
    for _ in 0..=limits::USER_SUB_ITEMS {
        user.extend([0x5F, 0, 0, 0]);
    }
    let mut contents = vec![0, 1, 0, 0];
    contents.extend([b' '; 32]);
    contents.extend([0; 32]);
    contents.extend([0x50, 0]);
    contents.extend(u16::try_from(user.len()).unwrap().to_be_bytes());
    contents.extend(user);
    let mut bytes = header(kind::ASSOCIATE_RQ, u32::try_from(contents.len()).unwrap());
    bytes.extend(contents);
    assert_eq!(read(&bytes), Err(PduError::TooManyItems(0x5F)));
}

#[test]
fn an_identity_is_never_shown() {
    let identity = UserIdentity {
        kind: 2,
        is_response_requested: true,
        primary: Phi(b"alice".to_vec()),
        secondary: Phi(b"secret".to_vec()),
    };
    let shown = format!("{identity:?}");
    assert!(shown.contains("Phi(..)") && !shown.contains("115"), "{shown}");
}
