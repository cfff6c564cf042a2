//! PDUs that are wholly there to values.

use kluis_dicom::Uid;

use super::{
    Abort, AssociateAc, AssociateRj, AssociateRq, ContextReply, Pdu, PduError, Pdv, ProposedContext, UserInformation,
    cursor::Cursor, kind,
};
use crate::limits;

/// Reads one PDU from the start of `bytes`; returns it and the number of bytes it took.
///
/// # Errors
/// [`PduError`]; [`PduError::Truncated`] also where `bytes` ends before the PDU does.
pub fn read(bytes: &[u8]) -> Result<(Pdu, usize), PduError> {
    let mut cursor = Cursor(bytes);
    let [kind, _reserved] = cursor.array()?;
    let length = cursor.u32()?;
    let contents = cursor.take(usize::try_from(length).map_err(|_| PduError::Truncated)?)?;
    let taken = bytes.len().saturating_sub(cursor.0.len());
    let pdu = match kind {
        kind::DATA_TF => Pdu::Data(read_pdvs(Cursor(contents))?),
        _ => read_contents(kind, contents)?,
    };
    Ok((pdu, taken))
}

/// Reads the contents of a PDU other than P-DATA-TF.
pub(super) fn read_contents(kind: u8, contents: &[u8]) -> Result<Pdu, PduError> {
    let mut cursor = Cursor(contents);
    match kind {
        kind::ASSOCIATE_RQ => read_rq(cursor).map(|rq| Pdu::AssociateRq(Box::new(rq))),
        kind::ASSOCIATE_AC => read_ac(cursor).map(|ac| Pdu::AssociateAc(Box::new(ac))),
        kind::ASSOCIATE_RJ => {
            let [_, result, source, reason] = cursor.array()?;
            Ok(Pdu::AssociateRj(AssociateRj { result: result.into(), source, reason }))
        }
        kind::RELEASE_RQ => Ok(Pdu::ReleaseRq),
        kind::RELEASE_RP => Ok(Pdu::ReleaseRp),
        kind::ABORT => {
            let [_, _, source, reason] = cursor.array()?;
            Ok(Pdu::Abort(Abort { source: source.into(), reason }))
        }
        other => Err(PduError::UnrecognizedType(other)),
    }
}

fn read_pdvs(mut cursor: Cursor<'_>) -> Result<Vec<Pdv>, PduError> {
    let mut pdvs = Vec::new();
    while !cursor.is_empty() {
        let length = cursor.u32()?;
        let wrong = |_| PduError::PdvLength(length);
        let item = cursor.take(usize::try_from(length).unwrap_or(usize::MAX)).map_err(wrong)?;
        let mut item = Cursor(item);
        let [context_id, control] = item.array().map_err(wrong)?;
        pdvs.push(Pdv {
            context_id,
            is_command: control & 1 == 1,
            is_last: control & 2 == 2,
            bytes: item.rest().to_vec(),
        });
    }
    if pdvs.is_empty() { Err(PduError::NoPdv) } else { Ok(pdvs) }
}

fn read_rq(mut cursor: Cursor<'_>) -> Result<AssociateRq, PduError> {
    let protocol_version = cursor.u16()?;
    let _reserved = cursor.u16()?;
    let mut rq = AssociateRq {
        protocol_version,
        called_ae: cursor.array()?,
        calling_ae: cursor.array()?,
        reserved: cursor.array()?,
        application_context: None,
        contexts: Vec::new(),
        user: UserInformation::default(),
    };
    let mut ids = ContextIds::default();
    while !cursor.is_empty() {
        let (kind, _, contents) = cursor.item()?;
        match kind {
            0x10 => rq.application_context = Uid::from_value(contents.0).ok(),
            0x20 => rq.contexts.push(read_proposed(contents, &mut ids)?),
            0x50 => rq.user = UserInformation::read(contents)?,
            // PS3.8 9.3.1: unrecognised items are skipped
            _ => {}
        }
    }
    Ok(rq)
}

fn read_proposed(mut contents: Cursor<'_>, ids: &mut ContextIds) -> Result<ProposedContext, PduError> {
    let [id, ..] = contents.array::<4>()?;
    ids.insert(id)?;
    let mut context = ProposedContext { id, abstract_syntax: None, transfer_syntaxes: Vec::new() };
    while !contents.is_empty() {
        let (kind, _, name) = contents.item()?;
        match kind {
            0x30 => context.abstract_syntax = Uid::from_value(name.0).ok(),
            0x40 if context.transfer_syntaxes.len() >= limits::TRANSFER_SYNTAXES => {
                return Err(PduError::TooManyItems(kind));
            }
            0x40 => context.transfer_syntaxes.extend(Uid::from_value(name.0).ok()),
            _ => {}
        }
    }
    Ok(context)
}

fn read_ac(mut cursor: Cursor<'_>) -> Result<AssociateAc, PduError> {
    let protocol_version = cursor.u16()?;
    let _reserved = cursor.u16()?;
    let mut ac = AssociateAc {
        protocol_version,
        called_ae: cursor.array()?,
        calling_ae: cursor.array()?,
        reserved: cursor.array()?,
        application_context: None,
        contexts: Vec::new(),
        user: UserInformation::default(),
    };
    let mut ids = ContextIds::default();
    while !cursor.is_empty() {
        let (kind, _, contents) = cursor.item()?;
        match kind {
            0x10 => ac.application_context = Uid::from_value(contents.0).ok(),
            0x21 => ac.contexts.push(read_reply(contents, &mut ids)?),
            0x50 => ac.user = UserInformation::read(contents)?,
            _ => {}
        }
    }
    Ok(ac)
}

fn read_reply(mut contents: Cursor<'_>, ids: &mut ContextIds) -> Result<ContextReply, PduError> {
    let [id, _, result, _] = contents.array()?;
    ids.insert(id)?;
    let mut transfer_syntax = None;
    while !contents.is_empty() {
        let (kind, _, name) = contents.item()?;
        if kind == 0x40 {
            transfer_syntax = Uid::from_value(name.0).ok();
        }
    }
    Ok(ContextReply { id, result: result.into(), transfer_syntax })
}

/// The ids seen so far: odd, each once, hence at most 128.
#[derive(Default)]
struct ContextIds(u128);

impl ContextIds {
    fn insert(&mut self, id: u8) -> Result<(), PduError> {
        if id.is_multiple_of(2) {
            return Err(PduError::EvenContextId(id));
        }
        let bit = 1_u128 << (id / 2);
        if self.0 & bit != 0 {
            return Err(PduError::DuplicateContextId(id));
        }
        self.0 |= bit;
        Ok(())
    }
}
