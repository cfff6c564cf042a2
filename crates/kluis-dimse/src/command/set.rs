//! A command set as elements (PS3.7 6.3.1).

use std::collections::BTreeMap;

use kluis_dicom::{AeTitle, Tag, Uid};

use super::CommandError;
use crate::limits;

/// Element numbers of group 0000 (PS3.7 E.1).
pub mod element {
    /// Command Group Length, UL
    pub const GROUP_LENGTH: u16 = 0x0000;
    /// Affected SOP Class UID, UI
    pub const AFFECTED_SOP_CLASS_UID: u16 = 0x0002;
    /// Requested SOP Class UID, UI
    pub const REQUESTED_SOP_CLASS_UID: u16 = 0x0003;
    /// Command Field, US
    pub const COMMAND_FIELD: u16 = 0x0100;
    /// Message ID, US
    pub const MESSAGE_ID: u16 = 0x0110;
    /// Message ID Being Responded To, US
    pub const MESSAGE_ID_BEING_RESPONDED_TO: u16 = 0x0120;
    /// Move Destination, AE
    pub const MOVE_DESTINATION: u16 = 0x0600;
    /// Priority, US
    pub const PRIORITY: u16 = 0x0700;
    /// Command Data Set Type, US
    pub const DATA_SET_TYPE: u16 = 0x0800;
    /// Status, US
    pub const STATUS: u16 = 0x0900;
    /// Offending Element, AT
    pub const OFFENDING_ELEMENT: u16 = 0x0901;
    /// Error Comment, LO
    pub const ERROR_COMMENT: u16 = 0x0902;
    /// Error ID, US
    pub const ERROR_ID: u16 = 0x0903;
    /// Affected SOP Instance UID, UI
    pub const AFFECTED_SOP_INSTANCE_UID: u16 = 0x1000;
    /// Requested SOP Instance UID, UI
    pub const REQUESTED_SOP_INSTANCE_UID: u16 = 0x1001;
    /// Event Type ID, US
    pub const EVENT_TYPE_ID: u16 = 0x1002;
    /// Attribute Identifier List, AT
    pub const ATTRIBUTE_IDENTIFIER_LIST: u16 = 0x1005;
    /// Action Type ID, US
    pub const ACTION_TYPE_ID: u16 = 0x1008;
    /// Number of Remaining Sub-operations, US
    pub const REMAINING: u16 = 0x1020;
    /// Number of Completed Sub-operations, US
    pub const COMPLETED: u16 = 0x1021;
    /// Number of Failed Sub-operations, US
    pub const FAILED: u16 = 0x1022;
    /// Number of Warning Sub-operations, US
    pub const WARNING: u16 = 0x1023;
    /// Move Originator Application Entity Title, AE
    pub const MOVE_ORIGINATOR_AE_TITLE: u16 = 0x1030;
    /// Move Originator Message ID, US
    pub const MOVE_ORIGINATOR_MESSAGE_ID: u16 = 0x1031;
}

/// The elements of a command set but for the group length, by element number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CommandSet {
    elements: BTreeMap<u16, Vec<u8>>,
}

impl CommandSet {
    /// Reads a whole command set. The group length is not believed, and the order is not asked for: neither is needed.
    ///
    /// # Errors
    /// [`CommandError`]
    pub fn read(mut bytes: &[u8]) -> Result<Self, CommandError> {
        let mut set = Self::default();
        while !bytes.is_empty() {
            let Some(([g0, g1, e0, e1, l0, l1, l2, l3], rest)) = bytes.split_first_chunk::<8>() else {
                return Err(CommandError::TruncatedHeader);
            };
            let group = u16::from_le_bytes([*g0, *g1]);
            let element = u16::from_le_bytes([*e0, *e1]);
            if group != 0 {
                return Err(CommandError::Group { group, element });
            }
            let length = u32::from_le_bytes([*l0, *l1, *l2, *l3]);
            let (value, rest) = usize::try_from(length)
                .ok()
                .and_then(|length| rest.split_at_checked(length))
                .ok_or(CommandError::Truncated(element))?;
            bytes = rest;
            if element == element::GROUP_LENGTH {
                continue;
            }
            if set.elements.len() >= limits::COMMAND_ELEMENTS {
                return Err(CommandError::TooManyElements);
            }
            if set.elements.insert(element, value.to_vec()).is_some() {
                return Err(CommandError::Duplicate(element));
            }
        }
        Ok(set)
    }

    /// Appends the command set with its group length.
    pub fn write(&self, out: &mut Vec<u8>) {
        // elements were read within limits or set by us: the sum fits
        let length: usize = self.elements.values().map(|value| value.len().saturating_add(8)).sum();
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        write_element(element::GROUP_LENGTH, &length.to_le_bytes(), out);
        for (element, value) in &self.elements {
            write_element(*element, value, out);
        }
    }

    /// The value of an element, as it stands.
    #[must_use]
    pub fn value(&self, element: u16) -> Option<&[u8]> {
        self.elements.get(&element).map(Vec::as_slice)
    }

    /// A value of VR US.
    #[must_use]
    pub fn us(&self, element: u16) -> Option<u16> {
        self.value(element)?.try_into().ok().map(u16::from_le_bytes)
    }

    /// Values of VR AT; `None` where their bytes are no whole number of tags.
    #[must_use]
    pub fn tags(&self, element: u16) -> Option<Vec<Tag>> {
        let (tags, rest) = self.value(element)?.as_chunks::<4>();
        let tag = |[g0, g1, e0, e1]: &[u8; 4]| Tag(u16::from_le_bytes([*g0, *g1]), u16::from_le_bytes([*e0, *e1]));
        rest.is_empty().then(|| tags.iter().map(tag).collect())
    }

    /// A value of VR UI.
    #[must_use]
    pub fn uid(&self, element: u16) -> Option<Uid> {
        Uid::from_value(self.value(element)?).ok()
    }

    /// A value of VR AE.
    #[must_use]
    pub fn ae(&self, element: u16) -> Option<AeTitle> {
        std::str::from_utf8(self.value(element)?).ok()?.trim_end_matches('\0').parse().ok()
    }

    /// Sets a value of VR US.
    pub fn set_us(&mut self, element: u16, value: u16) {
        self.elements.insert(element, value.to_le_bytes().to_vec());
    }

    /// Sets values of VR AT.
    pub fn set_tags(&mut self, element: u16, tags: &[Tag]) {
        let bytes = |tag: &Tag| [tag.0.to_le_bytes(), tag.1.to_le_bytes()].concat();
        self.elements.insert(element, tags.iter().flat_map(bytes).collect());
    }

    /// Sets a value of VR UI, padded with NUL (PS3.5 9.1).
    pub fn set_uid(&mut self, element: u16, uid: &Uid) {
        self.elements.insert(element, padded(uid.as_str().bytes(), 0));
    }

    /// Sets a text value of at most `longest` ASCII characters, padded with space; what is not printable ASCII becomes
    /// a question mark.
    pub fn set_text(&mut self, element: u16, text: &str, longest: usize) {
        let bytes = text.chars().take(longest).map(|character| match u8::try_from(character) {
            Ok(byte @ b' '..=b'~') if byte != b'\\' => byte,
            _ => b'?',
        });
        self.elements.insert(element, padded(bytes, b' '));
    }
}

fn padded(bytes: impl Iterator<Item = u8>, padding: u8) -> Vec<u8> {
    let mut value: Vec<u8> = bytes.collect();
    if value.len() % 2 == 1 {
        value.push(padding);
    }
    value
}

fn write_element(element: u16, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&element.to_le_bytes());
    out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(value);
}
