//! A lean C-STORE client (PS3.7 9.1.1, PS3.8 9.3): one association, CT Image Storage, Explicit VR Little Endian.
//!
//! Written by hand so that it costs little next to the server it loads, and so that our own codec does not stand on both
//! sides. May not contain: what the product needs.

mod retrieval;

use std::{
    io::{Read, Write},
    net::SocketAddr,
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    slices::CT_IMAGE,
    stream::{Stream, Tls},
};

pub use retrieval::Retrieval;

const VERIFICATION_OF_CONTEXTS: &str = "1.2.840.10008.3.1.1.1";
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
const CONTEXT: u8 = 1;
const OUR_MAXIMUM: u32 = 65_536;
/// A peer that takes PDUs of any length gets them of this one.
const LONGEST: u32 = 131_072;
const COMMAND_SENT: u8 = 3;
const DATA_SENT: u8 = 0;
const DATA_ENDS: u8 = 2;

/// An association on which slices are sent one after the other.
pub struct Association {
    stream: Stream,
    maximum: usize,
    message_id: u16,
    message: Vec<u8>,
}

impl Association {
    /// Connects and associates.
    pub fn open(address: SocketAddr, tls: Option<&Tls>, calling: &str, called: &str) -> Result<Self> {
        let mut stream = Stream::connect(address, tls)?;
        stream.write_all(&request(calling, called))?;
        stream.flush()?;
        let (kind, body) = read_pdu(&mut stream)?;
        ensure!(kind == 2, "the association was answered by PDU {kind:02X}H");
        let maximum = accepted(&body)?;
        let maximum = if maximum == 0 { LONGEST } else { maximum.min(LONGEST) };
        Ok(Self { stream, maximum: usize::try_from(maximum)?, message_id: 0, message: Vec::new() })
    }

    /// Stores one data set and waits for its answer; fails where that is no success.
    pub fn store(&mut self, instance: &str, data_set: &[u8]) -> Result<()> {
        self.message_id = self.message_id.wrapping_add(1);
        self.message.clear();
        pdv(&mut self.message, COMMAND_SENT, &store_command(self.message_id, instance));
        // the header of a PDV takes 6 bytes of the PDU, and fragments are even
        let room = self.maximum.saturating_sub(6).max(2) & !1;
        let mut fragments = data_set.chunks(room).peekable();
        while let Some(fragment) = fragments.next() {
            let header = if fragments.peek().is_none() { DATA_ENDS } else { DATA_SENT };
            pdv(&mut self.message, header, fragment);
        }
        self.stream.write_all(&self.message)?;
        self.stream.flush()?;
        let (kind, body) = read_pdu(&mut self.stream)?;
        ensure!(kind == 4, "a store was answered by PDU {kind:02X}H");
        let status = status(body.get(6..).unwrap_or_default())?;
        ensure!(status == 0, "status {status:04X}H");
        Ok(())
    }

    /// Releases the association.
    pub fn release(mut self) -> Result<()> {
        self.stream.write_all(&[5, 0, 0, 0, 0, 4, 0, 0, 0, 0])?;
        self.stream.flush()?;
        let (kind, _) = read_pdu(&mut self.stream)?;
        ensure!(kind == 6, "the release was answered by PDU {kind:02X}H");
        Ok(())
    }
}

/// A-ASSOCIATE-RQ (PS3.8 9.3.2).
fn request(calling: &str, called: &str) -> Vec<u8> {
    let mut context = vec![CONTEXT, 0, 0, 0];
    item(&mut context, 0x30, CT_IMAGE.as_bytes());
    item(&mut context, 0x40, EXPLICIT_LITTLE.as_bytes());
    let mut contexts = Vec::new();
    item(&mut contexts, 0x20, &context);
    request_around(calling, called, &contexts, &[])
}

/// The same around items of presentation contexts and of further user information.
fn request_around(calling: &str, called: &str, contexts: &[u8], further: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1, 0, 0];
    body.extend_from_slice(format!("{called:<16.16}{calling:<16.16}").as_bytes());
    body.extend_from_slice(&[0; 32]);
    item(&mut body, 0x10, VERIFICATION_OF_CONTEXTS.as_bytes());
    body.extend_from_slice(contexts);
    let mut user = Vec::new();
    item(&mut user, 0x51, &OUR_MAXIMUM.to_be_bytes());
    item(&mut user, 0x52, b"2.25.161803398874989484820458683436563812");
    user.extend_from_slice(further);
    item(&mut body, 0x50, &user);
    let mut pdu = vec![1, 0];
    pdu.extend_from_slice(&length32(body.len()));
    pdu.extend_from_slice(&body);
    pdu
}

fn item(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.extend_from_slice(&[kind, 0]);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(value);
}

/// The maximum length that the peer takes, from the body of an A-ASSOCIATE-AC whose contexts must all be accepted.
fn accepted(body: &[u8]) -> Result<u32> {
    let mut maximum = 0;
    let mut is_accepted = true;
    for (kind, value) in items(body.get(68..).unwrap_or_default()) {
        match kind {
            0x21 => is_accepted &= value.get(2) == Some(&0),
            0x50 => {
                let length = items(value).find(|(kind, _)| *kind == 0x51).map(|(_, value)| value);
                maximum = u32::from_be_bytes(length.unwrap_or_default().try_into().context("maximum length")?);
            }
            _ => {}
        }
    }
    ensure!(is_accepted, "the peer does not take all contexts");
    Ok(maximum)
}

fn items(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&[kind, _, high, low], behind) = rest.split_first_chunk::<4>()?;
        let (value, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        rest = behind;
        Some((kind, value))
    })
}

/// C-STORE-RQ (PS3.7 9.3.1.1) in Implicit VR Little Endian.
fn store_command(message_id: u16, instance: &str) -> Vec<u8> {
    let mut rest = Vec::new();
    element(&mut rest, 0x0002, &padded(CT_IMAGE));
    element(&mut rest, 0x0100, &1_u16.to_le_bytes());
    element(&mut rest, 0x0110, &message_id.to_le_bytes());
    element(&mut rest, 0x0700, &0_u16.to_le_bytes());
    element(&mut rest, 0x0800, &1_u16.to_le_bytes());
    element(&mut rest, 0x1000, &padded(instance));
    let mut command = Vec::new();
    element(&mut command, 0x0000, &u32::try_from(rest.len()).unwrap_or_default().to_le_bytes());
    command.extend_from_slice(&rest);
    command
}

fn element(out: &mut Vec<u8>, number: u16, value: &[u8]) {
    out.extend_from_slice(&[0, 0]);
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or_default().to_le_bytes());
    out.extend_from_slice(value);
}

fn padded(uid: &str) -> Vec<u8> {
    let mut value = uid.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(0);
    }
    value
}

/// A P-DATA-TF of one PDV (PS3.8 9.3.5).
fn pdv(out: &mut Vec<u8>, header: u8, fragment: &[u8]) {
    out.extend_from_slice(&[4, 0]);
    out.extend_from_slice(&length32(fragment.len().saturating_add(6)));
    out.extend_from_slice(&length32(fragment.len().saturating_add(2)));
    out.extend_from_slice(&[CONTEXT, header]);
    out.extend_from_slice(fragment);
}

/// Status (0000,0900) of a command set.
fn status(command: &[u8]) -> Result<u16> {
    Ok(u16::from_le_bytes(value_of(command, 0x0900)?.try_into().context("status")?))
}

/// The value of an element of a command set.
fn value_of(mut rest: &[u8], number: u16) -> Result<&[u8]> {
    while let Some((&[_, _, low, high, a, b, c, d], behind)) = rest.split_first_chunk::<8>() {
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d]))?;
        let (value, behind) = behind.split_at_checked(length).context("a command is cut off")?;
        if u16::from_le_bytes([low, high]) == number {
            return Ok(value);
        }
        rest = behind;
    }
    bail!("a command without (0000,{number:04X})")
}

fn read_pdu(stream: &mut Stream) -> Result<(u8, Vec<u8>)> {
    let mut head = [0; 6];
    stream.read_exact(&mut head).context("no answer")?;
    let [kind, _, a, b, c, d] = head;
    let length = u32::from_be_bytes([a, b, c, d]);
    ensure!(length <= 1 << 20, "a PDU of {length} bytes");
    let mut body = vec![0; usize::try_from(length)?];
    stream.read_exact(&mut body)?;
    Ok((kind, body))
}

fn length32(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use kluis_dimse::pdu::{Decoder, Incoming, Pdu, PduLimits};

    use super::*;

    #[test]
    fn our_codec_reads_what_the_client_writes() {
        let mut decoder = Decoder::new(PduLimits::default());
        let bytes = request("BENCH", "KLUIS");
        let step = decoder.next(&bytes).unwrap();
        let Some(Incoming::Pdu(Pdu::AssociateRq(rq))) = step.incoming else { panic!("no request") };
        assert_eq!(rq.contexts.len(), 1);
    }

    #[test]
    fn status_is_found_behind_other_elements() {
        let mut command = Vec::new();
        element(&mut command, 0x0100, &0x8001_u16.to_le_bytes());
        element(&mut command, 0x0900, &0xA700_u16.to_le_bytes());
        assert_eq!(status(&command).unwrap(), 0xA700);
        assert!(status(&command[..10]).is_err());
    }
}
