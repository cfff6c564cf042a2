//! Multi-frame images of any size that are never held: every byte follows from the seed and its place.
//!
//! What is sent is made while it is sent, and what comes back is compared with what is made again.

use std::io::{self, Read};

use crate::{
    data_set::DataSetBuilder,
    part10,
    random::{Random, uid},
};

/// Multi-frame Grayscale Word Secondary Capture Image Storage.
pub const MULTI_FRAME_WORD: &str = "1.2.840.10008.5.1.4.1.1.7.3";
/// JPEG 2000 Image Compression (Lossless Only); the frames are noise that no decoder would take.
pub const JPEG_2000_LOSSLESS: &str = "1.2.840.10008.1.2.4.90";

/// Bytes of the noise that pixels are made of: a prime, so that frames do not repeat.
const NOISE_BYTES: u64 = 65_521;
/// From one stretch of noise to the next it begins at another place.
const NOISE_STEP: u64 = 7_919;
/// The size of an item header, in bytes.
const ITEM_HEADER: u64 = 8;

/// How the pixel data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// As one value.
    Native,
    /// In fragments, with the places of the frames in the basic offset table.
    BasicOffsetTable {
        /// Of each frame.
        fragments: u32,
    },
    /// In one fragment a frame, with the places in (7FE0,0001) and (7FE0,0002), and an empty basic offset table.
    ExtendedOffsetTable,
}

/// A multi-frame image.
#[derive(Debug, Clone)]
pub struct Giant {
    /// Study Instance UID.
    pub study: String,
    /// Series Instance UID.
    pub series: String,
    /// SOP Instance UID.
    pub sop_instance: String,
    /// Number of frames.
    pub frames: u32,
    frame_bytes: u64,
    pixels: Pixels,
    /// The data set up to the first byte of the pixels, or of the first fragment's item header.
    head: Vec<u8>,
    /// Twice, so that it can be read from any place on.
    noise: Vec<u8>,
    first: u64,
}

impl Giant {
    /// Image `number` of the study of this seed: `frames` frames of `side_pixels` by `side_pixels` pixels of 16 bits. Of
    /// an encapsulated one the frames are as long as native ones would be.
    #[must_use]
    pub fn new(seed: u64, number: u32, frames: u32, side_pixels: u16, pixels: Pixels) -> Self {
        let sop_instance = uid(seed, &format!("giant {number}"));
        let mut random = Random::new(seed, &sop_instance);
        let mut noise = random.bytes(usize::try_from(NOISE_BYTES).unwrap_or_default());
        noise.extend_from_within(..);
        let mut giant = Self {
            study: uid(seed, "study of giants"),
            series: uid(seed, "series of giants"),
            frame_bytes: 2 * u64::from(side_pixels) * u64::from(side_pixels),
            first: random.bits() % NOISE_BYTES,
            head: Vec::new(),
            sop_instance,
            frames,
            pixels,
            noise,
        };
        giant.head = giant.encode_head(number, side_pixels);
        giant
    }

    /// UID of the transfer syntax.
    #[must_use]
    pub fn transfer_syntax(&self) -> &'static str {
        if self.pixels == Pixels::Native { part10::EXPLICIT_VR_LITTLE_ENDIAN } else { JPEG_2000_LOSSLESS }
    }

    /// Bytes of one frame.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        self.frame_bytes
    }

    /// Bytes of the data set.
    #[must_use]
    pub fn data_set_bytes(&self) -> u64 {
        let tail = if self.pixels == Pixels::Native { 0 } else { ITEM_HEADER };
        self.head_bytes() + u64::from(self.frames) * self.stored_frame_bytes() + tail
    }

    /// Preamble, `DICM` and file meta group, to stand in front of the data set.
    #[must_use]
    pub fn file_meta(&self) -> Vec<u8> {
        part10::file_around(&[], MULTI_FRAME_WORD, &self.sop_instance, self.transfer_syntax())
    }

    /// The data set, made while it is read.
    #[must_use]
    pub fn reader(&self) -> GiantReader<'_> {
        GiantReader { giant: self, at: 0 }
    }

    /// The pixels of frame `number`, counted from 1.
    #[must_use]
    pub fn frame(&self, number: u32) -> Vec<u8> {
        let mut frame = vec![0; usize::try_from(self.frame_bytes).unwrap_or_default()];
        self.fill_noise(u64::from(number.saturating_sub(1)) * self.frame_bytes, &mut frame);
        frame
    }

    /// Fills `out` with the data set from `offset` on, up to its end; gives how many bytes those are.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let now = self.read_stretch(offset + filled as u64, rest);
            if now == 0 {
                break;
            }
            filled += now;
        }
        filled
    }

    fn head_bytes(&self) -> u64 {
        self.head.len() as u64
    }

    fn fragments_per_frame(&self) -> u64 {
        match self.pixels {
            Pixels::BasicOffsetTable { fragments } => u64::from(fragments.max(1)),
            Pixels::Native | Pixels::ExtendedOffsetTable => 1,
        }
    }

    /// With the item headers.
    fn stored_frame_bytes(&self) -> u64 {
        match self.pixels {
            Pixels::Native => self.frame_bytes,
            _ => self.frame_bytes + self.fragments_per_frame() * ITEM_HEADER,
        }
    }

    /// A stretch that is made in one go, at most up to the next item header.
    fn read_stretch(&self, offset: u64, out: &mut [u8]) -> usize {
        let Some(within) = offset.checked_sub(self.head_bytes()) else {
            let from = usize::try_from(offset).unwrap_or(usize::MAX);
            return copy(self.head.get(from..).unwrap_or_default(), out);
        };
        let all = u64::from(self.frames) * self.stored_frame_bytes();
        if self.pixels == Pixels::Native {
            let length = usize::try_from(all.saturating_sub(within)).unwrap_or(usize::MAX).min(out.len());
            self.fill_noise(within, out.get_mut(..length).unwrap_or_default());
            return length;
        }
        if let Some(behind) = within.checked_sub(all) {
            let from = usize::try_from(behind).unwrap_or(usize::MAX);
            return copy([0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0].get(from..).unwrap_or_default(), out);
        }
        let fragment_bytes = self.frame_bytes / self.fragments_per_frame();
        let (fragment, at) = (within / (fragment_bytes + ITEM_HEADER), within % (fragment_bytes + ITEM_HEADER));
        if let Some(content) = at.checked_sub(ITEM_HEADER) {
            let length = usize::try_from(fragment_bytes - content).unwrap_or(usize::MAX).min(out.len());
            self.fill_noise(fragment * fragment_bytes + content, out.get_mut(..length).unwrap_or_default());
            return length;
        }
        let length = u32::try_from(fragment_bytes).unwrap_or_default();
        let item = [[0xFE, 0xFF, 0x00, 0xE0], length.to_le_bytes()].concat();
        copy(item.get(usize::try_from(at).unwrap_or_default()..).unwrap_or_default(), out)
    }

    fn fill_noise(&self, mut at: u64, out: &mut [u8]) {
        let mut rest = out;
        while !rest.is_empty() {
            let (stretch, within) = (at / NOISE_BYTES, at % NOISE_BYTES);
            let from = (self.first + (stretch % NOISE_BYTES) * NOISE_STEP) % NOISE_BYTES;
            let from = usize::try_from(from + within).unwrap_or_default();
            let length = usize::try_from(NOISE_BYTES - within).unwrap_or_default().min(rest.len());
            let (now, later) = rest.split_at_mut(length);
            copy(self.noise.get(from..).unwrap_or_default(), now);
            at += length as u64;
            rest = later;
        }
    }

    fn encode_head(&self, number: u32, side_pixels: u16) -> Vec<u8> {
        let mut set = DataSetBuilder::new()
            .uid((0x0008, 0x0016), MULTI_FRAME_WORD)
            .uid((0x0008, 0x0018), &self.sop_instance)
            .text((0x0008, 0x0020), "DA", "20260114")
            .text((0x0008, 0x0060), "CS", "OT")
            .name((0x0010, 0x0010), "Proof^Giant")
            .text((0x0010, 0x0020), "LO", "GIANT")
            .uid((0x0020, 0x000D), &self.study)
            .uid((0x0020, 0x000E), &self.series)
            .integer((0x0020, 0x0013), i64::from(number))
            .short((0x0028, 0x0002), 1)
            .text((0x0028, 0x0004), "CS", "MONOCHROME2")
            .integer((0x0028, 0x0008), i64::from(self.frames))
            .short((0x0028, 0x0010), side_pixels)
            .short((0x0028, 0x0011), side_pixels)
            .short((0x0028, 0x0100), 16)
            .short((0x0028, 0x0101), 16)
            .short((0x0028, 0x0102), 15)
            .short((0x0028, 0x0103), 0);
        let places = (0..u64::from(self.frames)).map(|frame| frame * self.stored_frame_bytes());
        if self.pixels == Pixels::ExtendedOffsetTable {
            let offsets: Vec<u8> = places.clone().flat_map(u64::to_le_bytes).collect();
            let lengths: Vec<u8> = (0..self.frames).flat_map(|_| self.frame_bytes.to_le_bytes()).collect();
            set = set.bytes((0x7FE0, 0x0001), "OV", offsets).bytes((0x7FE0, 0x0002), "OV", lengths);
        }
        let mut head = set.encode(part10::encoding_of(part10::EXPLICIT_VR_LITTLE_ENDIAN));
        head.extend([0xE0, 0x7F, 0x10, 0x00]);
        let table: Vec<u8> = match self.pixels {
            Pixels::Native => {
                let length = u32::try_from(u64::from(self.frames) * self.frame_bytes).unwrap_or_default();
                head.extend(b"OW\0\0");
                head.extend(length.to_le_bytes());
                return head;
            }
            Pixels::BasicOffsetTable { .. } => {
                places.flat_map(|place| u32::try_from(place).unwrap_or_default().to_le_bytes()).collect()
            }
            Pixels::ExtendedOffsetTable => Vec::new(),
        };
        head.extend(b"OB\0\0\xFF\xFF\xFF\xFF\xFE\xFF\x00\xE0");
        head.extend(u32::try_from(table.len()).unwrap_or_default().to_le_bytes());
        head.extend(table);
        head
    }
}

/// Makes the data set of a [`Giant`] while it is read.
#[derive(Debug)]
pub struct GiantReader<'a> {
    giant: &'a Giant,
    at: u64,
}

impl Read for GiantReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.giant.read_at(self.at, out);
        self.at += read as u64;
        Ok(read)
    }
}

/// As much as there is and as there is room for.
fn copy(from: &[u8], to: &mut [u8]) -> usize {
    let length = from.len().min(to.len());
    if let (Some(to), Some(from)) = (to.get_mut(..length), from.get(..length)) {
        to.copy_from_slice(from);
    }
    length
}

#[cfg(test)]
mod tests {
    use kluis_dicom::{
        frames::FrameTable,
        part10::{Outline, Source},
    };

    use super::*;

    const KINDS: [Pixels; 4] = [
        Pixels::Native,
        Pixels::BasicOffsetTable { fragments: 1 },
        Pixels::BasicOffsetTable { fragments: 3 },
        Pixels::ExtendedOffsetTable,
    ];

    #[test]
    fn frames_are_where_the_tables_say() {
        for pixels in KINDS {
            let giant = Giant::new(1, 1, 7, 96, pixels);
            let mut bytes = Vec::new();
            giant.reader().read_to_end(&mut bytes).unwrap();
            assert_eq!(bytes.len() as u64, giant.data_set_bytes(), "{pixels:?}");
            let source = Source::DataSet { transfer_syntax: giant.transfer_syntax().parse().unwrap() };
            let table = FrameTable::new(&Outline::of(source, &bytes).unwrap()).unwrap();
            for number in 1..=7 {
                let ranges = table.frame(number).unwrap();
                let found: Vec<u8> = ranges
                    .into_iter()
                    .flat_map(|range| {
                        bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec()
                    })
                    .collect();
                assert!(found == giant.frame(number), "{pixels:?} {number}");
            }
            assert_ne!(giant.frame(1), giant.frame(2));
        }
    }

    #[test]
    fn any_place_reads_as_the_whole_does() {
        for pixels in KINDS {
            let giant = Giant::new(1, 2, 3, 32, pixels);
            let mut whole = vec![0; usize::try_from(giant.data_set_bytes()).unwrap()];
            assert_eq!(giant.read_at(0, &mut whole), whole.len());
            for offset in (0..whole.len()).step_by(97) {
                let mut piece = [0; 211];
                let read = giant.read_at(offset as u64, &mut piece);
                assert!(piece[..read] == whole[offset..(offset + 211).min(whole.len())], "{pixels:?} {offset}");
            }
        }
    }
}
