//! Data sets for the tests of this crate, in explicit VR little endian or big endian.

use crate::{
    Tag, VR,
    part10::{Outline, Source, has_long_length},
};

/// Builds a data set from its elements.
pub(crate) struct Sample {
    bytes: Vec<u8>,
    is_big_endian: bool,
}

impl Sample {
    pub(crate) fn little_endian() -> Self {
        Self { bytes: Vec::new(), is_big_endian: false }
    }

    pub(crate) fn big_endian() -> Self {
        Self { bytes: Vec::new(), is_big_endian: true }
    }

    /// Appends an element, padded to an even length.
    pub(crate) fn with(mut self, tag: (u16, u16), vr: VR, value: impl AsRef<[u8]>) -> Self {
        let mut value = value.as_ref().to_vec();
        if value.len() % 2 == 1 {
            let is_binary = matches!(vr, VR::UI | VR::OB | VR::UN);
            value.push(if is_binary { 0 } else { b' ' });
        }
        self.header(Tag(tag.0, tag.1), vr, u32::try_from(value.len()).unwrap());
        self.bytes.extend_from_slice(&value);
        self
    }

    /// Appends a sequence of defined length whose items are the bytes of the data sets.
    pub(crate) fn with_sequence(mut self, tag: (u16, u16), items: Vec<Sample>) -> Self {
        let length: usize = items.iter().map(|item| item.bytes.len() + 8).sum();
        self.header(Tag(tag.0, tag.1), VR::SQ, u32::try_from(length).unwrap());
        for item in items {
            self.push_u16(0xFFFE);
            self.push_u16(0xE000);
            self.push_u32(u32::try_from(item.bytes.len()).unwrap());
            self.bytes.extend_from_slice(&item.bytes);
        }
        self
    }

    pub(crate) fn outline(&self) -> Outline {
        let uid = if self.is_big_endian { "1.2.840.10008.1.2.2" } else { "1.2.840.10008.1.2.1" };
        Outline::of(Source::DataSet { transfer_syntax: uid.parse().unwrap() }, &self.bytes).unwrap()
    }

    fn header(&mut self, tag: Tag, vr: VR, length: u32) {
        self.push_u16(tag.0);
        self.push_u16(tag.1);
        self.bytes.extend_from_slice(vr.to_string().as_bytes());
        if has_long_length(vr) {
            self.push_u16(0);
            self.push_u32(length);
        } else {
            self.push_u16(u16::try_from(length).unwrap());
        }
    }

    fn push_u16(&mut self, number: u16) {
        let bytes = if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }

    fn push_u32(&mut self, number: u32) {
        let bytes = if self.is_big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.bytes.extend_from_slice(&bytes);
    }
}
