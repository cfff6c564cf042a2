//! Chest radiograph: the trunk, seen through (Digital X-Ray Image IOD, PS3.3 A.26).

use super::{
    Phantom,
    canvas::{Canvas, index_at, scale, smooth_noise, stored},
    modules::{self, SeriesWords},
    torso::{AIR, Torso},
};
use crate::{data_set::DataSetBuilder, random::Random};

pub(super) const ROWS: u16 = 2_000;
pub(super) const COLUMNS: u16 = 2_500;
const PIXEL_MM: f32 = 0.16;
/// Height of the upper edge of the detector over the lower end of the trunk.
const TOP_MM: f32 = 308.0;
const RAY_MM: f32 = 1.6;
/// Millimetres of water after which the picture has come 63 hundredths of the way to white.
const REACH_MM: f32 = 150.0;

/// The image.
pub(super) fn instance(phantom: &Phantom) -> DataSetBuilder {
    let words = SeriesWords {
        patient: &phantom.torso_patient,
        study: "chest study",
        study_description: "Chest PA",
        accession: "A2604301",
        time: "083002",
        modality: "DX",
        sop_class: "1.2.840.10008.5.1.4.1.1.1.1",
        series_number: 1,
        series_description: "Chest PA",
        model: "Phantom DX",
    };
    let set = modules::instance(phantom, &words, 1);
    modules::grey(detector(anatomy(set)), COLUMNS, ROWS, 12, false).pixels16(pixels(phantom))
}

fn pixels(phantom: &Phantom) -> Vec<u16> {
    let shadow = Shadow::cast(phantom.seed);
    let mut random = Random::new(phantom.seed, "noise of the chest image");
    let noise = smooth_noise(&mut random, 512, 512);
    let mut grain = noise.iter().cycle();
    let mut pixels = Vec::with_capacity(usize::from(ROWS) * usize::from(COLUMNS));
    for row in 0..usize::from(ROWS) {
        let height = TOP_MM - scale(row) * PIXEL_MM;
        for column in 0..usize::from(COLUMNS) {
            let x = (scale(column) - f32::from(COLUMNS) / 2.0) * PIXEL_MM;
            let seen = shadow.at(x, height);
            let speckle = grain.next().copied().unwrap_or(0.0) * 14.0;
            pixels.push(stored(4_095.0 * (1.0 - (-seen / REACH_MM).exp()) + 60.0 + speckle, 4095));
        }
    }
    pixels
}

/// How much each ray from back to front is weakened: one value per 1.6 mm across and per millimetre of height.
struct Shadow {
    columns: usize,
    rows: Vec<Vec<f32>>,
}

impl Shadow {
    fn cast(seed: u64) -> Self {
        let torso = Torso::new(seed);
        let columns = 251;
        let first = -RAY_MM * 125.0;
        let rows = (0..=320).map(|step| {
            let mut canvas = Canvas::new(columns, columns, RAY_MM, (first, first), AIR);
            torso.paint(&mut canvas, scale(step) - 10.0, false);
            let mut sums = vec![0.0; columns];
            for line in canvas.pixels.chunks_exact(columns) {
                for (sum, units) in sums.iter_mut().zip(line) {
                    *sum += (units - AIR).max(0.0) / 1000.0 * RAY_MM;
                }
            }
            sums
        });
        Self { columns, rows: rows.collect() }
    }

    /// Between the four nearest rays. Water is 1 a millimetre.
    fn at(&self, x: f32, height: f32) -> f32 {
        let across = (x / RAY_MM + 125.0).clamp(0.0, scale(self.columns - 2));
        let up = (height + 10.0).clamp(0.0, scale(self.rows.len() - 2));
        let (column, row) = (index_at(across), index_at(up));
        let (right, above) = (across - scale(column), up - scale(row));
        let get = |row: usize, column: usize| {
            self.rows.get(row).and_then(|line| line.get(column)).copied().unwrap_or_default()
        };
        let below = get(row, column) * (1.0 - right) + get(row, column + 1) * right;
        let over = get(row + 1, column) * (1.0 - right) + get(row + 1, column + 1) * right;
        below * (1.0 - above) + over * above
    }
}

fn anatomy(set: DataSetBuilder) -> DataSetBuilder {
    set.text((0x0008, 0x0008), "CS", "ORIGINAL\\PRIMARY")
        .text((0x0008, 0x0068), "CS", "FOR PRESENTATION")
        .code((0x0008, 0x2218), "43799004", "SCT", "Chest")
        .text((0x0018, 0x0015), "CS", "CHEST")
        .text((0x0018, 0x1508), "CS", "NONE")
        .text((0x0018, 0x5101), "CS", "PA")
        .text((0x0020, 0x0020), "CS", "L\\F")
        .text((0x0020, 0x0062), "CS", "U")
        .code((0x0054, 0x0220), "399348003", "SCT", "postero-anterior")
        .sequence((0x0040, 0x0555), Vec::new())
}

fn detector(set: DataSetBuilder) -> DataSetBuilder {
    let spacing = f64::from(PIXEL_MM);
    set.decimals((0x0018, 0x0060), &[125.0])
        .decimals((0x0018, 0x1164), &[(spacing * 100.0).round() / 100.0; 2])
        .text((0x0018, 0x7004), "CS", "DIRECT")
        .text((0x0020, 0x0013), "IS", "1")
        .text((0x0028, 0x0301), "CS", "NO")
        .text((0x0028, 0x1040), "CS", "LOG")
        .words16((0x0028, 0x1041), "SS", vec![1])
        .decimals((0x0028, 0x1050), &[2_350.0])
        .decimals((0x0028, 0x1051), &[2_900.0])
        .decimals((0x0028, 0x1052), &[0.0])
        .decimals((0x0028, 0x1053), &[1.0])
        .text((0x0028, 0x1054), "LO", "US")
        .text((0x0028, 0x2110), "CS", "00")
        .text((0x2050, 0x0020), "CS", "IDENTITY")
}
