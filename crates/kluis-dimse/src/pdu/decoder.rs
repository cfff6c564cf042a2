//! PDUs from bytes as they arrive.

use super::{Pdu, PduError, kind, read::read_contents};
use crate::limits;

const PDU_HEADER: usize = 6;
const PDV_HEADER: usize = 6;

/// The longest PDUs that are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PduLimits {
    /// A-ASSOCIATE-RQ and -AC, in bytes behind the header.
    pub association: u32,
    /// P-DATA-TF, in bytes behind the header.
    pub data: u32,
}

impl Default for PduLimits {
    /// Of a peer that TLS has authenticated.
    fn default() -> Self {
        Self { association: limits::ASSOCIATION_PDU, data: limits::DATA_PDU }
    }
}

/// What has come in.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'b> {
    /// Any PDU but P-DATA-TF.
    Pdu(Pdu),
    /// The header of a P-DATA-TF; fragments follow.
    Data,
    /// A piece of a presentation data value.
    Fragment {
        /// Presentation context id.
        context_id: u8,
        /// Of a command set, not of a data set.
        is_command: bool,
        /// The command set or data set ends here: the last byte of the last presentation data value.
        is_end: bool,
        /// The bytes; may be empty.
        bytes: &'b [u8],
    },
}

/// One step: so many bytes are used up, and this came of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Step<'b> {
    /// Bytes to be dropped from the start of the input.
    pub consumed: usize,
    /// `None`: more bytes are wanted.
    pub incoming: Option<Incoming<'b>>,
}

/// Turns bytes into PDUs and fragments. Holds at most one association PDU, and only as much of it as has come.
#[derive(Debug)]
pub struct Decoder {
    limits: PduLimits,
    at: Position,
}

#[derive(Debug)]
enum Position {
    Header,
    Gathering { kind: u8, left: usize, contents: Vec<u8> },
    PdvHeader { pdu_left: u32 },
    Pdv { pdu_left: u32, pdv_left: u32, context_id: u8, control: u8 },
}

impl Decoder {
    /// Before the first byte.
    #[must_use]
    pub fn new(limits: PduLimits) -> Self {
        Self { limits, at: Position::Header }
    }

    /// Whether a PDU is under way.
    #[must_use]
    pub fn is_within_pdu(&self) -> bool {
        !matches!(self.at, Position::Header)
    }

    /// Looks at `input`, the bytes received and not consumed so far. To be called again until it wants more bytes.
    ///
    /// # Errors
    /// [`PduError`]; the decoder is of no use afterwards.
    pub fn next<'b>(&mut self, input: &'b [u8]) -> Result<Step<'b>, PduError> {
        match &mut self.at {
            Position::Header => self.header(input),
            Position::Gathering { kind, left, contents } => {
                let (taken, _) = input.split_at_checked(*left).unwrap_or((input, &[]));
                contents.extend_from_slice(taken);
                *left = left.saturating_sub(taken.len());
                if *left > 0 {
                    return Ok(Step { consumed: taken.len(), incoming: None });
                }
                let pdu = read_contents(*kind, contents)?;
                self.at = Position::Header;
                Ok(Step { consumed: taken.len(), incoming: Some(Incoming::Pdu(pdu)) })
            }
            Position::PdvHeader { pdu_left } => {
                let pdu_left = *pdu_left;
                self.pdv_header(pdu_left, input)
            }
            Position::Pdv { pdu_left, pdv_left, context_id, control } => {
                let (pdu_left, pdv_left, context_id, control) = (*pdu_left, *pdv_left, *context_id, *control);
                Ok(self.pdv(pdu_left, pdv_left, context_id, control, input))
            }
        }
    }

    fn header<'b>(&mut self, input: &'b [u8]) -> Result<Step<'b>, PduError> {
        // the type alone may already be wrong: said at once, not when five more bytes have come
        if let Some(kind) = input.first()
            && !(kind::ASSOCIATE_RQ..=kind::ABORT).contains(kind)
        {
            return Err(PduError::UnrecognizedType(*kind));
        }
        let Some([kind, _, length @ ..]) = input.first_chunk::<PDU_HEADER>() else {
            return Ok(Step { consumed: 0, incoming: None });
        };
        let (kind, declared) = (*kind, u32::from_be_bytes(*length));
        let limit = match kind {
            kind::ASSOCIATE_RQ | kind::ASSOCIATE_AC => self.limits.association,
            kind::DATA_TF => self.limits.data,
            _ if declared == 4 => 4,
            _ => return Err(PduError::FixedLength { kind, declared }),
        };
        if declared > limit {
            return Err(PduError::TooLong { kind, declared, limit });
        }
        self.at = match kind {
            kind::DATA_TF if declared == 0 => return Err(PduError::NoPdv),
            kind::DATA_TF => {
                self.at = Position::PdvHeader { pdu_left: declared };
                return Ok(Step { consumed: PDU_HEADER, incoming: Some(Incoming::Data) });
            }
            _ => {
                let left = usize::try_from(declared).map_err(|_| PduError::Truncated)?;
                Position::Gathering { kind, left, contents: Vec::new() }
            }
        };
        self.after(PDU_HEADER, input)
    }

    fn pdv_header<'b>(&mut self, pdu_left: u32, input: &'b [u8]) -> Result<Step<'b>, PduError> {
        let Some([l0, l1, l2, l3, context_id, control]) = input.first_chunk::<PDV_HEADER>() else {
            // a PDU that ends within a header never gets the rest of it
            return match usize::try_from(pdu_left) {
                Ok(left) if left < PDV_HEADER => Err(PduError::PdvLength(pdu_left)),
                _ => Ok(Step { consumed: 0, incoming: None }),
            };
        };
        let length = u32::from_be_bytes([*l0, *l1, *l2, *l3]);
        let wrong = PduError::PdvLength(length);
        let pdv_left = length.checked_sub(2).ok_or(wrong)?;
        let pdu_left = pdu_left.checked_sub(4).and_then(|left| left.checked_sub(length)).ok_or(wrong)?;
        self.at = Position::Pdv { pdu_left, pdv_left, context_id: *context_id, control: *control };
        self.after(PDV_HEADER, input)
    }

    fn pdv<'b>(&mut self, pdu_left: u32, pdv_left: u32, context_id: u8, control: u8, input: &'b [u8]) -> Step<'b> {
        if input.is_empty() && pdv_left > 0 {
            return Step { consumed: 0, incoming: None };
        }
        let wanted = usize::try_from(pdv_left).unwrap_or(usize::MAX);
        let (bytes, _) = input.split_at_checked(wanted).unwrap_or((input, &[]));
        let pdv_left = pdv_left.saturating_sub(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.at = match (pdv_left, pdu_left) {
            (0, 0) => Position::Header,
            (0, pdu_left) => Position::PdvHeader { pdu_left },
            _ => Position::Pdv { pdu_left, pdv_left, context_id, control },
        };
        let is_end = pdv_left == 0 && control & 2 == 2;
        let incoming = Incoming::Fragment { context_id, is_command: control & 1 == 1, is_end, bytes };
        Step { consumed: bytes.len(), incoming: Some(incoming) }
    }

    /// Goes on behind a header. Never twice in a row: contents follow.
    fn after<'b>(&mut self, header: usize, input: &'b [u8]) -> Result<Step<'b>, PduError> {
        let rest = input.get(header..).unwrap_or_default();
        let step = self.next(rest)?;
        Ok(Step { consumed: header.saturating_add(step.consumed), incoming: step.incoming })
    }
}
