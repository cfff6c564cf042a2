//! Values to PDUs.

use kluis_dicom::Uid;

use super::{Abort, AssociateAc, AssociateRj, AssociateRq, Pdu, PduError, Pdv, UserInformation, kind};

/// Appends the PDU to `out`.
///
/// # Errors
/// [`PduError::FieldTooLong`] where a value does not fit its length field; `out` is as before then.
pub fn write(pdu: &Pdu, out: &mut Vec<u8>) -> Result<(), PduError> {
    let start = out.len();
    let written = write_pdu(pdu, &mut Writer { out });
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_pdu(pdu: &Pdu, out: &mut Writer<'_>) -> Result<(), PduError> {
    match pdu {
        Pdu::AssociateRq(rq) => out.pdu(kind::ASSOCIATE_RQ, |out| write_rq(rq, out)),
        Pdu::AssociateAc(ac) => out.pdu(kind::ASSOCIATE_AC, |out| write_ac(ac, out)),
        Pdu::AssociateRj(AssociateRj { result, source, reason }) => {
            out.pdu(kind::ASSOCIATE_RJ, |out| out.bytes(&[0, result.code(), *source, *reason]))
        }
        Pdu::Data(pdvs) => out.pdu(kind::DATA_TF, |out| pdvs.iter().try_for_each(|pdv| out.pdv(pdv))),
        Pdu::ReleaseRq => out.pdu(kind::RELEASE_RQ, |out| out.bytes(&[0; 4])),
        Pdu::ReleaseRp => out.pdu(kind::RELEASE_RP, |out| out.bytes(&[0; 4])),
        Pdu::Abort(Abort { source, reason }) => out.pdu(kind::ABORT, |out| out.bytes(&[0, 0, source.code(), *reason])),
    }
}

fn write_rq(rq: &AssociateRq, out: &mut Writer<'_>) -> Result<(), PduError> {
    out.head(rq.protocol_version, &rq.called_ae, &rq.calling_ae, &rq.reserved)?;
    out.uid_item(0x10, rq.application_context.as_ref())?;
    for context in &rq.contexts {
        out.item(0x20, 0, |out| {
            out.bytes(&[context.id, 0, 0, 0])?;
            out.uid_item(0x30, context.abstract_syntax.as_ref())?;
            context.transfer_syntaxes.iter().try_for_each(|uid| out.uid_item(0x40, Some(uid)))
        })?;
    }
    out.user(&rq.user)
}

fn write_ac(ac: &AssociateAc, out: &mut Writer<'_>) -> Result<(), PduError> {
    out.head(ac.protocol_version, &ac.called_ae, &ac.calling_ae, &ac.reserved)?;
    out.uid_item(0x10, ac.application_context.as_ref())?;
    for context in &ac.contexts {
        out.item(0x21, 0, |out| {
            out.bytes(&[context.id, 0, context.result.code(), 0])?;
            out.uid_item(0x40, context.transfer_syntax.as_ref())
        })?;
    }
    out.user(&ac.user)
}

/// Appends fields; lengths are put in when what they count has been written.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

impl Writer<'_> {
    // the Result lets closures end in a plain write
    #[expect(clippy::unnecessary_wraps, reason = "every writing function has one signature")]
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), PduError> {
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    /// A field behind its length of two bytes.
    pub(super) fn field(&mut self, bytes: &[u8]) -> Result<(), PduError> {
        self.block(|out| out.bytes(bytes))
    }

    /// What `contents` writes, behind its length of two bytes.
    pub(super) fn block(
        &mut self,
        contents: impl FnOnce(&mut Writer<'_>) -> Result<(), PduError>,
    ) -> Result<(), PduError> {
        let place = self.out.len();
        self.out.extend_from_slice(&[0; 2]);
        contents(&mut Writer { out: self.out })?;
        let length = u16::try_from(self.written_since(place, 2)).map_err(|_| PduError::FieldTooLong)?;
        self.patch(place, &length.to_be_bytes());
        Ok(())
    }

    pub(super) fn item(
        &mut self,
        kind: u8,
        second: u8,
        contents: impl FnOnce(&mut Writer<'_>) -> Result<(), PduError>,
    ) -> Result<(), PduError> {
        self.bytes(&[kind, second])?;
        self.block(contents)
    }

    fn uid_item(&mut self, kind: u8, uid: Option<&Uid>) -> Result<(), PduError> {
        self.item(kind, 0, |out| out.bytes(uid.map_or(&[][..], |uid| uid.as_str().as_bytes())))
    }

    fn user(&mut self, user: &UserInformation) -> Result<(), PduError> {
        self.item(0x50, 0, |out| user.write(out))
    }

    fn head(&mut self, version: u16, called: &[u8], calling: &[u8], reserved: &[u8]) -> Result<(), PduError> {
        self.bytes(&version.to_be_bytes())?;
        self.bytes(&[0; 2])?;
        self.bytes(called)?;
        self.bytes(calling)?;
        self.bytes(reserved)
    }

    fn pdu(
        &mut self,
        kind: u8,
        contents: impl FnOnce(&mut Writer<'_>) -> Result<(), PduError>,
    ) -> Result<(), PduError> {
        self.bytes(&[kind, 0])?;
        self.long_block(contents)
    }

    fn pdv(&mut self, pdv: &Pdv) -> Result<(), PduError> {
        self.long_block(|out| {
            out.bytes(&[pdv.context_id, u8::from(pdv.is_command) | u8::from(pdv.is_last) << 1])?;
            out.bytes(&pdv.bytes)
        })
    }

    fn long_block(&mut self, contents: impl FnOnce(&mut Writer<'_>) -> Result<(), PduError>) -> Result<(), PduError> {
        let place = self.out.len();
        self.out.extend_from_slice(&[0; 4]);
        contents(&mut Writer { out: self.out })?;
        let length = u32::try_from(self.written_since(place, 4)).map_err(|_| PduError::FieldTooLong)?;
        self.patch(place, &length.to_be_bytes());
        Ok(())
    }

    fn written_since(&self, place: usize, length_field: usize) -> usize {
        self.out.len().saturating_sub(place).saturating_sub(length_field)
    }

    fn patch(&mut self, place: usize, bytes: &[u8]) {
        for (target, byte) in self.out.iter_mut().skip(place).zip(bytes) {
            *target = *byte;
        }
    }
}
