//! Frame tables (PS3.5 A.4, PS3.3 C.7.6.3): every range lies within the object, whatever the offset tables say.

use kluis_dicom::{
    frames::{FrameTable, unpack},
    part10::Outline,
};

use crate::{
    byte_gate::{limits, pass, source},
    input::Input,
};

/// Frames that are looked at on each side.
const LOOKED_AT: u32 = 64;

/// `source (1) | bytes`
pub fn frames(data: &[u8]) {
    let mut input = Input(data);
    let choice = input.byte();
    let Ok((_, outline)) = pass(source(choice), limits(0), &[input.0]) else { return };
    tabled(&outline);
}

fn tabled(outline: &Outline) {
    let Ok(table) = FrameTable::new(outline) else { return };
    let count = table.count();
    assert!(count > 0);
    assert!(table.frame(0).is_err());
    assert!(count == u32::MAX || table.frame(count + 1).is_err());
    let end = outline.inflated_length;
    for number in (1..=count.min(LOOKED_AT)).chain(count.saturating_sub(LOOKED_AT).max(1)..=count) {
        let Ok(ranges) = table.frame(number) else { continue };
        for range in ranges {
            assert!(range.start <= range.end && range.end <= end, "frame {number} lies at {range:?} of {end}");
        }
        if let Some(bits) = table.bits(number) {
            assert!(bits.start < 8 && bits.start <= bits.end);
            let bytes = [0xA5; 40];
            let frame = unpack(&bytes, &bits);
            assert!(frame.len() <= bytes.len());
        }
    }
    let mut behind = 0;
    for range in table.stream() {
        assert!(range.start <= range.end && range.end <= end, "the stream lies at {range:?} of {end}");
        behind += range.end - range.start;
    }
    assert!(behind <= end, "the stream is longer than the object");
}
