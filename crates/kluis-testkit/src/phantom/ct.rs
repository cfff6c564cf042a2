//! CT of the trunk (CT Image IOD, PS3.3 A.3).

use super::{
    Phantom,
    canvas::{Canvas, scale, smooth_noise},
    modules::{self, SeriesWords},
    torso::{AIR, Torso},
};
use crate::{data_set::DataSetBuilder, instance::CT_IMAGE, random::Random};

pub(super) const SLICES: usize = 120;
/// Millimetres from one slice to the next, and thickness of each.
pub(super) const SLICE_MM: f32 = 2.5;
const SIDE: u16 = 512;
const FIELD_MM: f32 = 400.0;
const INTERCEPT: f32 = -1024.0;
const NOISE: f32 = 11.0;

/// One series, ready to give its instances.
pub(super) struct Series {
    phantom: Phantom,
    torso: Torso,
    noise: Vec<f32>,
}

impl Series {
    pub fn new(phantom: &Phantom) -> Self {
        let side = usize::from(SIDE);
        let mut random = Random::new(phantom.seed, "noise of the CT");
        Self { phantom: phantom.clone(), torso: Torso::new(phantom.seed), noise: smooth_noise(&mut random, side, side) }
    }

    /// The slice at this index, 0 nearest to the head, as scanners number them.
    pub fn instance(&self, slice: usize) -> DataSetBuilder {
        let z = scale((SLICES - 1).saturating_sub(slice)) * SLICE_MM;
        let spacing = FIELD_MM / f32::from(SIDE);
        let first = (spacing - FIELD_MM) / 2.0;
        let mut canvas = Canvas::new(SIDE.into(), SIDE.into(), spacing, (first, first), AIR);
        self.torso.paint(&mut canvas, z, true);
        let shift = Random::new(self.phantom.seed, &format!("noise of slice {slice}")).below(self.noise.len());
        canvas.add_noise(&self.noise, shift, NOISE);
        let set = modules::instance(&self.phantom, &words(&self.phantom), slice + 1);
        let set = acquisition(geometry(set, &self.phantom, z, first, spacing));
        modules::grey(set, SIDE, SIDE, 16, true).pixels16(canvas.pixels.iter().map(|&units| signed(units)).collect())
    }
}

/// Hounsfield units as a stored value: two's complement of units minus the intercept.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn signed(units: f32) -> u16 {
    (units - INTERCEPT).clamp(0.0, 4095.0) as u16
}

pub(super) fn words(phantom: &Phantom) -> SeriesWords<'_> {
    SeriesWords {
        patient: &phantom.torso_patient,
        study: "torso study",
        study_description: "CT chest with contrast",
        accession: "A2604417",
        time: "091530",
        modality: "CT",
        sop_class: CT_IMAGE,
        series_number: 2,
        series_description: "Chest 2.5 mm, soft tissue",
        model: "Phantom CT",
    }
}

fn geometry(set: DataSetBuilder, phantom: &Phantom, z: f32, first_mm: f32, spacing_mm: f32) -> DataSetBuilder {
    let (first, spacing) = (f64::from(first_mm), f64::from(spacing_mm));
    let height = f64::from(z) - 150.0;
    set.decimals((0x0018, 0x0050), &[f64::from(SLICE_MM)])
        .text((0x0018, 0x5100), "CS", "HFS")
        .decimals((0x0020, 0x0032), &[first, first, height])
        .decimals((0x0020, 0x0037), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        .uid((0x0020, 0x0052), phantom.uid("torso frame of reference"))
        .text((0x0020, 0x1040), "LO", "")
        .decimals((0x0020, 0x1041), &[height])
        .decimals((0x0028, 0x0030), &[spacing, spacing])
}

fn acquisition(set: DataSetBuilder) -> DataSetBuilder {
    set.text((0x0008, 0x0008), "CS", "ORIGINAL\\PRIMARY\\AXIAL")
        .text((0x0018, 0x0015), "CS", "CHEST")
        .text((0x0018, 0x0010), "LO", "Iodine")
        .text((0x0018, 0x0022), "CS", "HELICAL MODE")
        .decimals((0x0018, 0x0060), &[120.0])
        .decimals((0x0018, 0x0090), &[500.0])
        .decimals((0x0018, 0x1100), &[f64::from(FIELD_MM)])
        .decimals((0x0018, 0x1120), &[0.0])
        .integer((0x0018, 0x1150), 500)
        .integer((0x0018, 0x1151), 240)
        .text((0x0018, 0x1210), "SH", "SOFT")
        .integer((0x0020, 0x0012), 1)
        .decimals((0x0028, 0x1050), &[40.0])
        .decimals((0x0028, 0x1051), &[400.0])
        .text((0x0028, 0x1055), "LO", "SOFT TISSUE")
        .decimals((0x0028, 0x1052), &[f64::from(INTERCEPT)])
        .decimals((0x0028, 0x1053), &[1.0])
        .text((0x0028, 0x1054), "LO", "HU")
        .text((0x0028, 0x2110), "CS", "00")
}
