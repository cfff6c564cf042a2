//! MR of the head, T1-weighted (MR Image IOD, PS3.3 A.4).

use super::{
    Phantom,
    canvas::{Canvas, Ellipse, scale, smooth_noise, stored},
    modules::{self, SeriesWords},
};
use crate::{data_set::DataSetBuilder, random::Random};

pub(super) const SLICES: usize = 24;
const SLICE_MM: f32 = 5.0;
const APART_MM: f32 = 6.0;
const SIDE: u16 = 256;
const FIELD_MM: f32 = 240.0;
const MOST: u16 = 4095;

const FAT: f32 = 1_750.0;
const BONE: f32 = 130.0;
const FLUID: f32 = 260.0;
const GREY_MATTER: f32 = 760.0;
const WHITE_MATTER: f32 = 1_080.0;

/// Height of the middle of the head and half its height.
const MIDDLE_MM: f32 = 62.0;
const HALF_HEIGHT_MM: f32 = 92.0;

/// One series, ready to give its instances.
pub(super) struct Series {
    phantom: Phantom,
    noise: Vec<f32>,
}

impl Series {
    pub fn new(phantom: &Phantom) -> Self {
        let side = usize::from(SIDE);
        let mut random = Random::new(phantom.seed, "noise of the MR");
        Self { phantom: phantom.clone(), noise: smooth_noise(&mut random, side, side) }
    }

    /// The slice at this index, 0 nearest to the feet.
    pub fn instance(&self, slice: usize) -> DataSetBuilder {
        let z = scale(slice) * APART_MM;
        let spacing = FIELD_MM / f32::from(SIDE);
        let first = (spacing - FIELD_MM) / 2.0;
        let mut canvas = Canvas::new(SIDE.into(), SIDE.into(), spacing, (first, first), 20.0);
        paint_head(&mut canvas, z);
        let shift = Random::new(self.phantom.seed, &format!("noise of MR slice {slice}")).below(self.noise.len());
        canvas.add_noise(&self.noise, shift, 26.0);
        let words = words(&self.phantom);
        let set = modules::instance(&self.phantom, &words, slice + 1);
        let set = acquisition(geometry(set, &self.phantom, z, first, spacing));
        modules::grey(set, SIDE, SIDE, 12, false)
            .pixels16(canvas.pixels.iter().map(|&value| stored(value.abs(), MOST)).collect())
    }
}

fn words(phantom: &Phantom) -> SeriesWords<'_> {
    SeriesWords {
        patient: &phantom.head_patient,
        study: "head study",
        study_description: "MR head",
        accession: "A2604420",
        time: "111205",
        modality: "MR",
        sop_class: "1.2.840.10008.5.1.4.1.1.4",
        series_number: 1,
        series_description: "T1 SE transverse",
        model: "Phantom MR",
    }
}

fn paint_head(canvas: &mut Canvas, z: f32) {
    let part = 1.0 - ((z - MIDDLE_MM) / HALF_HEIGHT_MM).powi(2);
    let size = part.max(0.0).sqrt();
    let mut shell = |inset: f32, value: f32| {
        canvas.paint(&Ellipse::new((0.0, 0.0), (76.0 * size - inset, 96.0 * size - inset), value).squared(0.12));
    };
    shell(0.0, 700.0); // skin
    shell(1.6, FAT);
    shell(5.5, BONE);
    shell(11.0, FLUID);
    paint_brain(canvas, z, 76.0 * size - 13.0, 96.0 * size - 13.0);
    paint_inside(canvas, z);
    if z < 30.0 {
        paint_face(canvas, z);
    }
}

/// Cortex in folds around white matter, halved by the falx.
fn paint_brain(canvas: &mut Canvas, z: f32, radius_x: f32, radius_y: f32) {
    if radius_x < 4.0 {
        return;
    }
    canvas.each_within((0.0, 0.0), (radius_x + 2.0, radius_y + 2.0), |x, y, pixel| {
        let level = ((x / radius_x).powi(2) + (y / radius_y).powi(2)).sqrt();
        if level > 1.02 {
            return;
        }
        let angle = x.abs().atan2(y);
        let wave = (angle * 15.0 + 0.06 * z).sin() + 0.6 * (angle * 27.0 - 0.11 * z + 1.3).sin();
        let deep = (level - 0.62).max(0.0) / 0.4;
        let outer = 1.0 - 0.035 * (wave - 1.1).abs() * deep;
        let furrow = (wave < -1.0 && level > 0.80) || (x.abs() < 1.1 && level > 0.35);
        let folded = level + 0.085 * wave * deep;
        *pixel = if level > outer || furrow {
            FLUID
        } else if folded > 0.84 {
            GREY_MATTER
        } else {
            WHITE_MATTER - 60.0 * level
        };
    });
}

/// Ventricles, deep nuclei, cerebellum and brain stem.
fn paint_inside(canvas: &mut Canvas, z: f32) {
    for side in [-1.0, 1.0] {
        let mut body = |centre: [f32; 3], radii: [f32; 3], turn: f32, value: f32| {
            let part = 1.0 - ((z - centre[2]) / radii[2]).powi(2);
            if part > 0.0 {
                let part = part.sqrt();
                let ellipse = Ellipse::new((side * centre[0], centre[1]), (radii[0] * part, radii[1] * part), value);
                canvas.paint(&ellipse.turned(side * turn));
            }
        };
        body([26.0, -6.0, 62.0], [9.0, 20.0, 16.0], -0.25, GREY_MATTER + 60.0); // lentiform nucleus
        body([12.0, 10.0, 64.0], [10.0, 15.0, 15.0], -0.3, GREY_MATTER + 90.0); // thalamus
        body([11.0, -18.0, 78.0], [6.0, 22.0, 14.0], 0.25, FLUID); // lateral ventricle
        body([20.0, 26.0, 76.0], [7.0, 22.0, 14.0], -0.45, FLUID);
        body([19.0, 38.0, 18.0], [22.0, 20.0, 18.0], 0.2, GREY_MATTER + 120.0); // cerebellum
        body([18.0, 38.0, 18.0], [14.0, 10.0, 12.0], 0.2, WHITE_MATTER - 80.0);
    }
    if z < 50.0 {
        canvas.paint(&Ellipse::new((0.0, 16.0), (13.0, 14.0), WHITE_MATTER - 60.0));
        canvas.paint(&Ellipse::new((0.0, 32.0), (6.0, 3.0), FLUID)); // fourth ventricle
    } else if z < 72.0 {
        canvas.paint(&Ellipse::new((0.0, 4.0), (1.8, 12.0), FLUID)); // third ventricle
    }
}

fn paint_face(canvas: &mut Canvas, z: f32) {
    canvas.paint(&Ellipse::new((0.0, -46.0), (12.0, 19.0), 60.0)); // nose and sinuses
    canvas.paint(&Ellipse::new((0.0, -45.0), (2.0, 17.0), 600.0));
    for side in [-1.0, 1.0] {
        let part = 1.0 - ((z - 20.0) / 13.0).powi(2);
        if part > 0.0 {
            let radius = 10.5 * part.sqrt();
            canvas.paint(&Ellipse::new((side * 28.0, -49.0), (radius + 3.5, radius + 4.5), FAT - 200.0));
            canvas.paint(&Ellipse::new((side * 28.0, -51.0), (radius, radius), FLUID + 60.0));
            canvas.paint(&Ellipse::new((side * 28.0, -58.5), (radius * 0.4, radius * 0.2), 640.0));
        }
    }
}

fn geometry(set: DataSetBuilder, phantom: &Phantom, z: f32, first_mm: f32, spacing_mm: f32) -> DataSetBuilder {
    let (first, spacing, height) = (f64::from(first_mm), f64::from(spacing_mm), f64::from(z) - 62.0);
    set.decimals((0x0018, 0x0050), &[f64::from(SLICE_MM)])
        .decimals((0x0018, 0x0088), &[f64::from(APART_MM)])
        .text((0x0018, 0x5100), "CS", "HFS")
        .decimals((0x0020, 0x0032), &[first, first, height])
        .decimals((0x0020, 0x0037), &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        .uid((0x0020, 0x0052), phantom.uid("head frame of reference"))
        .text((0x0020, 0x1040), "LO", "")
        .decimals((0x0020, 0x1041), &[height])
        .decimals((0x0028, 0x0030), &[spacing, spacing])
}

fn acquisition(set: DataSetBuilder) -> DataSetBuilder {
    set.text((0x0008, 0x0008), "CS", "ORIGINAL\\PRIMARY\\OTHER")
        .text((0x0018, 0x0015), "CS", "HEAD")
        .text((0x0018, 0x0020), "CS", "SE")
        .text((0x0018, 0x0021), "CS", "SK")
        .text((0x0018, 0x0022), "CS", "")
        .text((0x0018, 0x0023), "CS", "2D")
        .decimals((0x0018, 0x0080), &[520.0])
        .decimals((0x0018, 0x0081), &[12.0])
        .decimals((0x0018, 0x0083), &[1.0])
        .decimals((0x0018, 0x0084), &[63.87])
        .text((0x0018, 0x0085), "SH", "1H")
        .decimals((0x0018, 0x0087), &[1.5])
        .integer((0x0018, 0x0091), 1)
        .decimals((0x0018, 0x1314), &[90.0])
        .integer((0x0020, 0x0012), 1)
        .decimals((0x0028, 0x1050), &[750.0])
        .decimals((0x0028, 0x1051), &[1_500.0])
}
