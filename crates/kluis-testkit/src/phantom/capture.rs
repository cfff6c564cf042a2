//! A colour picture of the bones and vessels of the CT volume, seen from the front (Secondary Capture Image IOD,
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
        series_description: "Bones and vessels, from the front",
        study: "torso picture study",
        study_description: "Colour picture of the chest",
        accession: "A2604418",
        modality: "OT",
        ..ct::words(phantom)
    };
    let set = modules::instance(phantom, &words, 1)
        .text((0x0008, 0x0008), "CS", "DERIVED\\SECONDARY")
        .text((0x0008, 0x0064), "CS", "WSD")
        .text((0x0018, 0x0015), "CS", "CHEST")
        .text((0x0020, 0x0020), "CS", "L\\F")
        .text((0x0028, 0x0301), "CS", "NO");
    modules::colour(set, 500, 600).pixels8(pixels(phantom))
}

/// How deep each ray goes until it meets bone or contrast medium, and what it meets there.
#[derive(Debug, Clone, Copy)]
struct Hit {
    depth_mm: f32,
    units: f32,
}

const VOXEL_MM: f32 = 1.6;

fn pixels(phantom: &Phantom) -> Vec<u8> {
    let torso = Torso::new(phantom.seed);
    let mut pixels = Vec::with_capacity(COLUMNS * ROWS * 3);
    let mut above: Vec<Hit> = Vec::new();
    for step in (0..ROWS / 2).rev() {
        let columns = COLUMNS / 2;
        let mut canvas = Canvas::new(columns, columns, VOXEL_MM, (-199.2, -199.2), AIR);
        torso.paint(&mut canvas, scale(step), false);
        let hits = hits(&canvas);
        let mut line = Vec::with_capacity(COLUMNS * 3);
        let right = hits.iter().skip(1).chain(hits.last());
        for ((hit, right), above) in hits.iter().zip(right).zip(above.iter().chain(hits.iter().skip(above.len()))) {
            let tint = shade(*hit, right.depth_mm - hit.depth_mm, above.depth_mm - hit.depth_mm);
            line.extend([tint, tint].as_flattened());
        }
        pixels.extend_from_slice(&line);
        pixels.extend_from_slice(&line);
        above = hits;
    }
    pixels
}

/// Between the two points about the threshold, so that surfaces are smooth.
fn hits(canvas: &Canvas) -> Vec<Hit> {
    const DENSE: f32 = 150.0;
    let mut hits = vec![Hit { depth_mm: 400.0, units: AIR }; canvas.columns];
    let mut before = vec![AIR; canvas.columns];
    for (row, line) in canvas.pixels.chunks_exact(canvas.columns).enumerate() {
        for ((hit, before), &units) in hits.iter_mut().zip(&mut before).zip(line) {
            if hit.units > DENSE {
                hit.units = hit.units.max(if scale(row) * VOXEL_MM < hit.depth_mm + 4.0 { units } else { AIR });
            } else if units > DENSE {
                let back = (units - DENSE) / (units - *before).max(1.0);
                *hit = Hit { depth_mm: (scale(row) - back) * VOXEL_MM, units };
            }
            *before = units;
        }
    }
    hits
}

/// Light from the front, a little from above and the right; ivory for bone, red for vessels, darker with depth.
fn shade(hit: Hit, slope_right: f32, slope_up: f32) -> [u8; 3] {
    if hit.units <= AIR {
        return [14, 16, 24];
    }
    let (across, up) = (slope_right / VOXEL_MM, slope_up);
    let light = (1.0 + 0.35 * across + 0.45 * up).max(0.0) / (1.0 + across * across + up * up).sqrt();
    let light = (0.25 + 0.75 * light.min(1.15)) * (1.15 - hit.depth_mm / 420.0);
    let [red, green, blue] = if hit.units > 330.0 { [246.0, 228.0, 196.0] } else { [205.0, 62.0, 48.0] };
    [byte(red * light), byte(green * light), byte(blue * light)]
}
