//! PDUs from bytes as they arrive (PS3.8 9.3): the same whatever the slices, never more than came in, and written and
//! read again the same.

use kluis_dimse::pdu::{self, Decoder, Incoming, Pdu, PduError, PduLimits};

use crate::input::{Input, slices};

/// What came of a stream; neighbouring fragments of one message are put together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Anything but P-DATA-TF.
    Pdu(Pdu),
    /// The header of a P-DATA-TF.
    Data,
    /// Fragments up to the end of the message or of the PDU.
    Fragment { context_id: u8, is_command: bool, is_end: bool, bytes: Vec<u8> },
}

/// Reads a stream to its end or to the first error.
pub(crate) fn read_all(slices: &[&[u8]]) -> (Vec<Arrived>, Result<bool, PduError>) {
    let mut decoder = Decoder::new(PduLimits::default());
    let mut held: Vec<u8> = Vec::new();
    let mut all = Vec::new();
    for slice in slices {
        held.extend_from_slice(slice);
        let mut used = 0;
        loop {
            let rest = held.get(used..).unwrap_or_default();
            let step = match decoder.next(rest) {
                Ok(step) => step,
                Err(error) => return (all, Err(error)),
            };
            assert!(step.consumed <= rest.len(), "more was consumed than there was");
            used += step.consumed;
            let Some(incoming) = step.incoming else { break };
            note(&mut all, incoming);
        }
        held.drain(..used);
        // less than a header is left over: everything else is the decoder's own
        assert!(held.len() < 6, "{} bytes are held back", held.len());
    }
    let is_within = decoder.is_within_pdu() || !held.is_empty();
    (all, Ok(is_within))
}

fn note(all: &mut Vec<Arrived>, incoming: Incoming<'_>) {
    let fragment = match incoming {
        Incoming::Pdu(pdu) => return all.push(Arrived::Pdu(pdu)),
        Incoming::Data => return all.push(Arrived::Data),
        Incoming::Fragment { context_id, is_command, is_end, bytes } => (context_id, is_command, is_end, bytes),
    };
    let (id, command, end, more) = fragment;
    if let Some(Arrived::Fragment { context_id, is_command, is_end, bytes }) = all.last_mut()
        && (*context_id, *is_command, *is_end) == (id, command, false)
    {
        bytes.extend_from_slice(more);
        *is_end = end;
        return;
    }
    all.push(Arrived::Fragment { context_id: id, is_command: command, is_end: end, bytes: more.to_vec() });
}

/// `seed of the slices (4) | stream`
pub fn pdu(data: &[u8]) {
    let mut input = Input(data);
    let seed = input.long();
    let stream = input.0;
    let (whole, end) = read_all(&[stream]);
    let (sliced, sliced_end) = read_all(&slices(seed, stream));
    assert_eq!(whole, sliced, "slices make another stream");
    match (end, sliced_end) {
        (Ok(a), Ok(b)) => assert_eq!(a, b, "slices end elsewhere"),
        // which of two lengths is named depends on what has come; that it is refused does not
        (Err(PduError::PdvLength(_)), Err(PduError::PdvLength(_))) => {}
        // half a header may wait for its rest in one case only where the other saw that it never comes
        (a, b) => assert_eq!(a, b, "slices fail elsewhere"),
    }
    let carried: usize =
        whole.iter().map(|one| if let Arrived::Fragment { bytes, .. } = one { bytes.len() } else { 0 }).sum();
    assert!(carried <= stream.len());
    assert!(whole.len() <= stream.len(), "more came out than went in");
    for one in &whole {
        if let Arrived::Pdu(pdu) = one {
            written_again(pdu, stream.len());
        }
    }
    read_at_once(stream, &whole);
}

/// A PDU that was read is written and read again the same.
fn written_again(pdu: &Pdu, most: usize) {
    let mut bytes = Vec::new();
    if pdu::write(pdu, &mut bytes).is_err() {
        assert!(most > 60_000, "a PDU of a short stream does not fit its fields");
        assert!(bytes.is_empty(), "half a PDU is left behind");
        return;
    }
    assert_eq!(pdu::read(&bytes), Ok((pdu.clone(), bytes.len())), "written and read, it is another PDU");
    let mut again = Vec::new();
    assert_eq!(pdu::write(pdu, &mut again), Ok(()));
    assert_eq!(again, bytes);
}

/// The reader of whole PDUs and the decoder of streams agree.
fn read_at_once(stream: &[u8], all: &[Arrived]) {
    let Ok((pdu, taken)) = pdu::read(stream) else { return };
    assert!(taken <= stream.len());
    match (&pdu, all.first()) {
        (Pdu::Data(pdvs), Some(Arrived::Data)) => {
            written_again(&pdu, stream.len());
            let fragments = all.iter().skip(1).map_while(|one| match one {
                Arrived::Fragment { bytes, .. } => Some(bytes.as_slice()),
                _ => None,
            });
            let bytes: Vec<&[u8]> = pdvs.iter().map(|pdv| pdv.bytes.as_slice()).collect();
            let fragments: Vec<&[u8]> = fragments.collect();
            assert_eq!(bytes.concat(), fragments.concat(), "the two readers carry other bytes");
        }
        (pdu, Some(Arrived::Pdu(first))) => assert_eq!(pdu, first, "the two readers see another PDU"),
        // the decoder knows limits and lengths that the reader does not ask for
        _ => {}
    }
}
