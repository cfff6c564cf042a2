//! A lean client of C-GET and C-MOVE (PS3.7 9.1.3, 9.1.4): one study of CT images, Study Root, Explicit VR Little Endian. What
//! comes is counted and dropped.

use std::{io::Write, net::SocketAddr};

use anyhow::{Context, Result, bail, ensure};

use super::{accepted, element, item, length32, padded, read_pdu, request_around, value_of};
use crate::{
    slices::CT_IMAGE,
    stream::{Stream, Tls},
};

const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
const STUDY_ROOT_GET: &str = "1.2.840.10008.5.1.4.1.2.2.3";
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
const QUERY_CONTEXT: u8 = 1;
const IMAGE_CONTEXT: u8 = 3;
const C_STORE_RQ: u16 = 0x0001;
const PENDING: u16 = 0xFF00;

/// An association for one retrieval after the other.
pub struct Retrieval {
    stream: Stream,
    is_get: bool,
    message_id: u16,
}

impl Retrieval {
    /// Connects and associates.
    pub fn open(address: SocketAddr, tls: Option<&Tls>, calling: &str, called: &str, is_get: bool) -> Result<Self> {
        let mut contexts = Vec::new();
        let model = if is_get { STUDY_ROOT_GET } else { STUDY_ROOT_MOVE };
        for (id, class) in [(QUERY_CONTEXT, model), (IMAGE_CONTEXT, CT_IMAGE)].into_iter().take(1 + usize::from(is_get))
        {
            let mut context = vec![id, 0, 0, 0];
            item(&mut context, 0x30, class.as_bytes());
            item(&mut context, 0x40, EXPLICIT_LITTLE.as_bytes());
            item(&mut contexts, 0x20, &context);
        }
        let mut role = u16::try_from(CT_IMAGE.len())?.to_be_bytes().to_vec();
        role.extend_from_slice(CT_IMAGE.as_bytes());
        // neither user nor not: provider
        role.extend_from_slice(&[0, 1]);
        let mut roles = Vec::new();
        if is_get {
            item(&mut roles, 0x54, &role);
        }
        let mut stream = Stream::connect(address, tls)?;
        stream.write_all(&request_around(calling, called, &contexts, &roles))?;
        stream.flush()?;
        let (kind, body) = read_pdu(&mut stream)?;
        ensure!(kind == 2, "the association was answered by PDU {kind:02X}H");
        accepted(&body)?;
        Ok(Self { stream, is_get, message_id: 0 })
    }

    /// Gets a study; how many images came, and their bytes.
    pub fn get(&mut self, study: &str) -> Result<(usize, usize)> {
        self.ask(0x0010, study, None)?;
        let (mut images, mut bytes) = (0, 0);
        loop {
            let (command, data) = self.message()?;
            match u16_of(&command, 0x0100)? {
                C_STORE_RQ => {
                    images += 1;
                    bytes += data;
                    self.answer(&command)?;
                }
                _ if u16_of(&command, 0x0900)? == PENDING => {}
                _ => {
                    let status = u16_of(&command, 0x0900)?;
                    ensure!(status == 0, "status {status:04X}H");
                    return Ok((images, bytes));
                }
            }
        }
    }

    /// Has a study sent; how many images were completed.
    pub fn transfer(&mut self, study: &str, destination: &str) -> Result<usize> {
        self.ask(0x0021, study, Some(destination))?;
        loop {
            let (command, _) = self.message()?;
            let status = u16_of(&command, 0x0900)?;
            if status != PENDING {
                ensure!(status == 0, "status {status:04X}H");
                return Ok(usize::from(u16_of(&command, 0x1021)?));
            }
        }
    }

    fn ask(&mut self, field: u16, study: &str, destination: Option<&str>) -> Result<()> {
        self.message_id = self.message_id.wrapping_add(1);
        let mut rest = Vec::new();
        element(&mut rest, 0x0002, &padded(if self.is_get { STUDY_ROOT_GET } else { STUDY_ROOT_MOVE }));
        element(&mut rest, 0x0100, &field.to_le_bytes());
        element(&mut rest, 0x0110, &self.message_id.to_le_bytes());
        if let Some(destination) = destination {
            element(
                &mut rest,
                0x0600,
                format!("{destination:<width$}", width = destination.len().next_multiple_of(2)).as_bytes(),
            );
        }
        element(&mut rest, 0x0700, &0_u16.to_le_bytes());
        element(&mut rest, 0x0800, &1_u16.to_le_bytes());
        let mut message = Vec::new();
        pdv(&mut message, QUERY_CONTEXT, 3, &with_length(&rest));
        let mut keys = Vec::new();
        explicit(&mut keys, (0x0008, 0x0052), b"CS", b"STUDY ");
        explicit(&mut keys, (0x0020, 0x000D), b"UI", &padded(study));
        pdv(&mut message, QUERY_CONTEXT, 2, &keys);
        self.stream.write_all(&message)?;
        Ok(self.stream.flush()?)
    }

    /// The next message: its command set, and how many bytes of data set came with it.
    fn message(&mut self) -> Result<(Vec<u8>, usize)> {
        let (mut command, mut bytes, mut is_whole) = (Vec::new(), 0, false);
        loop {
            let (kind, body) = read_pdu(&mut self.stream)?;
            ensure!(kind == 4, "PDU {kind:02X}H");
            let mut rest = body.as_slice();
            while let Some((length, behind)) = rest.split_first_chunk::<4>() {
                let length = usize::try_from(u32::from_be_bytes(*length))?;
                let (value, behind) = behind.split_at_checked(length).context("a PDV is cut off")?;
                rest = behind;
                let Some(([_, header], fragment)) = value.split_first_chunk::<2>() else {
                    bail!("a PDV without header")
                };
                match header & 1 {
                    1 => {
                        command.extend_from_slice(fragment);
                        is_whole |= header & 2 == 2 && u16_of(&command, 0x0800)? == 0x0101;
                    }
                    _ => {
                        bytes += fragment.len();
                        is_whole |= header & 2 == 2;
                    }
                }
            }
            if is_whole {
                return Ok((command, bytes));
            }
        }
    }

    /// C-STORE-RSP with success.
    fn answer(&mut self, request: &[u8]) -> Result<()> {
        let mut rest = Vec::new();
        element(&mut rest, 0x0002, value_of(request, 0x0002)?);
        element(&mut rest, 0x0100, &0x8001_u16.to_le_bytes());
        element(&mut rest, 0x0120, value_of(request, 0x0110)?);
        element(&mut rest, 0x0800, &0x0101_u16.to_le_bytes());
        element(&mut rest, 0x0900, &0_u16.to_le_bytes());
        element(&mut rest, 0x1000, value_of(request, 0x1000)?);
        let mut message = Vec::new();
        pdv(&mut message, IMAGE_CONTEXT, 3, &with_length(&rest));
        self.stream.write_all(&message)?;
        Ok(self.stream.flush()?)
    }
}

fn with_length(rest: &[u8]) -> Vec<u8> {
    let mut command = Vec::new();
    element(&mut command, 0x0000, &u32::try_from(rest.len()).unwrap_or_default().to_le_bytes());
    command.extend_from_slice(rest);
    command
}

fn explicit(out: &mut Vec<u8>, (group, number): (u16, u16), vr: &[u8; 2], value: &[u8]) {
    out.extend_from_slice(&group.to_le_bytes());
    out.extend_from_slice(&number.to_le_bytes());
    out.extend_from_slice(vr);
    out.extend_from_slice(&u16::try_from(value.len()).unwrap_or_default().to_le_bytes());
    out.extend_from_slice(value);
}

fn pdv(out: &mut Vec<u8>, context: u8, header: u8, fragment: &[u8]) {
    out.extend_from_slice(&[4, 0]);
    out.extend_from_slice(&length32(fragment.len().saturating_add(6)));
    out.extend_from_slice(&length32(fragment.len().saturating_add(2)));
    out.extend_from_slice(&[context, header]);
    out.extend_from_slice(fragment);
}

fn u16_of(command: &[u8], number: u16) -> Result<u16> {
    Ok(u16::from_le_bytes(value_of(command, number)?.try_into().context("no number of 16 bits")?))
}
