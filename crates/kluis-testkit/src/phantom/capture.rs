//! A colour picture of the CT volume, densest point of each ray from front to back (Secondary Capture Image IOD,
//! PS3.3 A.8).

use super::{
    Phantom,
    canvas::{Canvas, byte, scale},
    ct,
    modules::{self, SeriesWords},
    torso::{AIR, Torso},
};
use crate::{data_set::DataSetBuilder, instance::SECONDARY_CAPTURE};

pub(super) const COLUMNS: usize = 500;
pub(super) const ROWS: usize = 600;

/// The image.
pub(super) fn instance(phantom: &Phantom) -> DataSetBuilder {
    let words = SeriesWords {
        sop_class: SECONDARY_CAPTURE,
        series_number: 900,
        series_description: "Densest point, from the front",
        ..ct::words(phantom)
    };
    let set = modules::instance(phantom, &words, 1)
        .text((0x0008, 0x0008), "CS", "DERIVED\\SECONDARY")
        .text((0x0008, 0x0064), "CS", "WSD")
        .text((0x0020, 0x0020), "CS", "L\\F")
        .text((0x0028, 0x0301), "CS", "NO");
    modules::colour(set, 500, 600).pixels8(pixels(phantom))
}

fn pixels(phantom: &Phantom) -> Vec<u8> {
    let torso = Torso::new(phantom.seed);
    let mut pixels = Vec::with_capacity(COLUMNS * ROWS * 3);
    for step in (0..ROWS / 2).rev() {
        let columns = COLUMNS / 2;
        let mut canvas = Canvas::new(columns, columns, 1.6, (-199.2, -199.2), AIR);
        torso.paint(&mut canvas, scale(step), false);
        let mut densest = vec![AIR; columns];
        for line in canvas.pixels.chunks_exact(columns) {
            densest.iter_mut().zip(line).for_each(|(densest, units)| *densest = densest.max(*units));
        }
        let line: Vec<u8> = densest.iter().flat_map(|&units| [tint(units), tint(units)]).flatten().collect();
        pixels.extend_from_slice(&line);
        pixels.extend_from_slice(&line);
    }
    pixels
}

/// Black to red for soft tissue, through orange for vessels, to white for bone.
fn tint(units: f32) -> [u8; 3] {
    let warm = (units + 100.0) / 900.0;
    [byte(520.0 * warm), byte(380.0 * warm - 60.0), byte(330.0 * warm - 120.0)]
}
