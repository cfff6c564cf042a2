//! A beating chamber in a sector (Ultrasound Multi-frame Image IOD, PS3.3 A.7).

use super::{
    Phantom,
    canvas::{byte, scale},
    modules::{self, SeriesWords},
};
use crate::{data_set::DataSetBuilder, random::Random};

const COLUMNS: u16 = 320;
const ROWS: u16 = 240;
const FRAMES: u16 = 30;
const FRAME_MS: f64 = 33.3;

/// The loop: one beat.
pub(super) fn instance(phantom: &Phantom) -> DataSetBuilder {
    let words = SeriesWords {
        patient: &phantom.heart_patient,
        study: "heart study",
        study_description: "Echocardiography",
        accession: "A2604455",
        time: "144820",
        modality: "US",
        sop_class: "1.2.840.10008.5.1.4.1.1.3.1",
        series_number: 1,
        series_description: "Four chambers, colour flow",
        model: "Phantom US",
    };
    let set = modules::instance(phantom, &words, 1)
        .text((0x0008, 0x0008), "CS", "ORIGINAL\\PRIMARY\\TTE\\0001")
        .text((0x0018, 0x0015), "CS", "HEART")
        .decimals((0x0018, 0x1063), &[FRAME_MS])
        .text((0x0020, 0x0020), "CS", "")
        .text((0x0028, 0x0008), "IS", FRAMES.to_string())
        .tags((0x0028, 0x0009), vec![(0x0018, 0x1063)])
        .text((0x0028, 0x0301), "CS", "NO")
        .text((0x0028, 0x2110), "CS", "00");
    let mut grain = Random::new(phantom.seed, "speckle");
    let pixels = (0..FRAMES).flat_map(|frame| picture(f32::from(frame) / f32::from(FRAMES), &mut grain)).collect();
    modules::colour(set, COLUMNS, ROWS).pixels8(pixels)
}

/// One frame at this part of the beat.
fn picture(beat: f32, grain: &mut Random) -> Vec<u8> {
    let swing = (beat * std::f32::consts::TAU).sin();
    let mut pixels = Vec::with_capacity(usize::from(COLUMNS) * usize::from(ROWS) * 3);
    for row in 0..usize::from(ROWS) {
        for column in 0..usize::from(COLUMNS) {
            let (x, y) = (scale(column) - 160.0, scale(row) - 6.0);
            let depth = x.hypot(y);
            if x.abs() > 0.78 * y || !(8.0..=228.0).contains(&depth) {
                pixels.extend([0; 3]);
            } else {
                pixels.extend(echo(x, y, depth, swing, beat, grain));
            }
        }
    }
    pixels
}

/// Speckle as bright as the tissue, dark in the chambers, colour where blood flows through the valve.
fn echo(x: f32, y: f32, depth: f32, swing: f32, beat: f32, grain: &mut Random) -> [u8; 3] {
    let wall = |centre_x: f32, centre_y: f32, radius_x: f32, radius_y: f32| {
        ((x - centre_x) / radius_x).hypot((y - centre_y) / radius_y)
    };
    let ventricle = wall(26.0, 92.0, 30.0 + 5.0 * swing, 44.0 + 4.0 * swing);
    let other = wall(-36.0, 100.0, 20.0 + 3.0 * swing, 38.0);
    let atria = wall(28.0, 172.0, 26.0 - 3.0 * swing, 24.0).min(wall(-30.0, 168.0, 22.0 - 3.0 * swing, 22.0));
    let nearest = ventricle.min(other).min(atria);
    let brightness = match nearest {
        inside if inside < 0.94 => 10.0,
        rim if rim < 1.06 => 190.0,
        muscle if muscle < 1.5 => 105.0,
        _ => 55.0,
    };
    let speckle = (grain.between(0.05, 1.0) * grain.between(0.3, 1.4)).sqrt();
    let grey = brightness * speckle * (1.15 - depth / 330.0);
    let jet = wall(26.0, 128.0 + 18.0 * swing, 10.0, 26.0);
    if jet < 1.0 && nearest < 0.94 {
        let flow = (1.0 - jet) * 230.0 + 25.0 * speckle;
        return if beat < 0.5 { [byte(flow), byte(flow * 0.35), 20] } else { [20, byte(flow * 0.4), byte(flow)] };
    }
    [byte(grey), byte(grey), byte(grey)]
}
