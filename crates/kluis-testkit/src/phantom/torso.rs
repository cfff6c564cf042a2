//! The trunk from the upper abdomen (z = 0) to the tips of the lungs (z = 290), in Hounsfield units, as cut by a slice.
//!
//! A body with contrast medium in the vessels, without resemblance to any person's.

use super::canvas::{Canvas, Ellipse, scale};
use crate::random::Random;

/// What surrounds the body.
pub(super) const AIR: f32 = -1000.0;
const LUNG: f32 = -850.0;
const FAT: f32 = -100.0;
const MUSCLE: f32 = 55.0;
const BLOOD: f32 = 210.0;
const CORTEX: f32 = 850.0;
const MARROW: f32 = 260.0;

/// The trunk. What is drawn by chance (the vessels of the lungs) is drawn once.
#[derive(Debug, Clone)]
pub(super) struct Torso {
    vessels: Vec<Ball>,
}

#[derive(Debug, Clone, Copy)]
struct Ball {
    centre: [f32; 3],
    radius: f32,
}

/// An ellipsoid: centre, radii, Hounsfield units.
type Organ = ([f32; 3], [f32; 3], f32);

const ABDOMEN: &[Organ] = &[
    ([-70.0, 0.0, 0.0], [64.0, 74.0, 96.0], 108.0),  // liver
    ([72.0, 6.0, -12.0], [58.0, 72.0, 88.0], 60.0),  // below the left dome
    ([55.0, -25.0, 22.0], [42.0, 36.0, 42.0], 18.0), // stomach
    ([55.0, -45.0, 26.0], [26.0, 14.0, 26.0], -960.0),
    ([96.0, 34.0, 30.0], [28.0, 36.0, 38.0], 125.0),   // spleen
    ([-62.0, 46.0, -12.0], [34.0, 32.0, 44.0], -95.0), // fat around the kidneys
    ([60.0, 46.0, -12.0], [34.0, 32.0, 44.0], -95.0),
    ([-62.0, 46.0, -12.0], [25.0, 24.0, 36.0], 185.0), // kidneys
    ([60.0, 46.0, -12.0], [25.0, 24.0, 36.0], 185.0),
    ([-56.0, 44.0, -8.0], [9.0, 8.0, 18.0], -60.0),
    ([54.0, 44.0, -8.0], [9.0, 8.0, 18.0], -60.0),
    ([10.0, 4.0, 8.0], [46.0, 12.0, 14.0], 95.0), // pancreas
];

const HEART: &[Organ] = &[
    ([22.0, -34.0, 118.0], [62.0, 47.0, 58.0], -85.0),
    ([22.0, -34.0, 118.0], [57.0, 42.0, 53.0], 105.0),
    ([40.0, -26.0, 110.0], [25.0, 20.0, 34.0], BLOOD + 10.0), // left ventricle
    ([6.0, -52.0, 114.0], [29.0, 17.0, 36.0], BLOOD - 20.0),  // right ventricle
    ([16.0, -4.0, 142.0], [29.0, 19.0, 22.0], BLOOD),         // left atrium
    ([-24.0, -26.0, 130.0], [18.0, 24.0, 28.0], BLOOD - 25.0),
    ([14.0, -24.0, 164.0], [19.0, 14.0, 13.0], BLOOD - 5.0), // pulmonary trunk and its branches
    ([-16.0, -4.0, 164.0], [36.0, 9.0, 9.0], BLOOD - 5.0),
    ([40.0, 0.0, 170.0], [24.0, 9.0, 9.0], BLOOD - 5.0),
];

impl Torso {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "vessels of the lungs");
        let mut vessels = Vec::new();
        for side in [-1.0, 1.0] {
            for _ in 0..90 {
                let end =
                    [side * random.between(40.0, 124.0), random.between(-62.0, 62.0), random.between(70.0, 270.0)];
                let bend = random.between(-14.0, 14.0);
                let start_radius = random.between(1.8, 4.0);
                vessels.extend(branch([side * 34.0, 2.0, 158.0], end, bend, start_radius));
            }
        }
        Self { vessels }
    }

    /// Paints the slice at height `z` mm over what is there. `table` is whether the patient lies on one.
    pub fn paint(&self, canvas: &mut Canvas, z: f32, table: bool) {
        if table {
            paint_table(canvas);
        }
        let (width, depth) = outline(z);
        let cavity = 30.0 + 34.0 * ((z - 215.0) / 80.0).clamp(0.0, 1.0);
        for (inset, value) in [(0.0, 20.0), (2.2, FAT), (13.0, MUSCLE), (cavity, -70.0)] {
            canvas.paint(&Ellipse::new((0.0, 0.0), (width - inset, depth - inset), value).squared(0.35));
        }
        paint_ribs(canvas, z, width, depth);
        self.paint_lungs(canvas, z);
        paint_organs(canvas, z, ABDOMEN, 0.0);
        paint_organs(canvas, z, HEART, -0.5);
        paint_vessels_and_airways(canvas, z);
        paint_spine(canvas, z);
        paint_breastbone_and_shoulder(canvas, z);
    }

    fn paint_lungs(&self, canvas: &mut Canvas, z: f32) {
        let height = ((z - 12.0) / 276.0).clamp(0.0, 1.0);
        let size = (1.0 - height.powi(4)).sqrt() * (height * 12.0).min(1.0).sqrt();
        for side in [-1.0, 1.0] {
            let centre = (side * (74.0 - 24.0 * height.powi(3)), 0.0);
            let radii = (56.0 * size, 75.0 * size);
            canvas.paint(&Ellipse::new(centre, (radii.0 + 1.2, radii.1 + 1.2), 35.0).squared(0.2));
            canvas.paint(&Ellipse::new(centre, radii, LUNG).squared(0.2));
        }
        // blood and air sort themselves by weight: denser towards the back
        canvas.each_within((0.0, 0.0), (140.0, 80.0), |_, y, pixel| {
            if *pixel < -700.0 {
                *pixel += 0.5 * y;
            }
        });
        if size < 0.15 {
            return;
        }
        for ball in &self.vessels {
            let [x, y, height] = ball.centre;
            let half = ball.radius * ball.radius - (z - height) * (z - height);
            if half > 0.0 {
                let radius = half.sqrt();
                canvas.paint(&Ellipse::new((x, y), (radius, radius), 60.0));
            }
        }
        paint_organs(canvas, z, &[([-82.0, -18.0, 224.0], [5.0, 4.6, 5.0], 45.0)], 0.0); // a nodule to find
    }
}

/// A vessel as a row of balls from the root of the lung outwards, thinner towards its end.
fn branch(start: [f32; 3], end: [f32; 3], bend: f32, start_radius: f32) -> Vec<Ball> {
    const STEPS: usize = 70;
    let mut balls = Vec::with_capacity(STEPS);
    for step in 0..STEPS {
        let along = scale(step) / scale(STEPS);
        let sway = bend * (along * std::f32::consts::PI).sin();
        let [x, y, z] = [0, 1, 2].map(|axis: usize| {
            let (from, to) = (start.get(axis).copied().unwrap_or(0.0), end.get(axis).copied().unwrap_or(0.0));
            from + (to - from) * along
        });
        balls.push(Ball { centre: [x, y + sway, z - sway], radius: start_radius * (1.0 - 0.75 * along) });
    }
    balls
}

/// Half width and half depth of the trunk.
fn outline(z: f32) -> (f32, f32) {
    let upper = ((z - 190.0) / 130.0).max(0.0);
    let waist = ((60.0 - z) / 120.0).max(0.0);
    (168.0 - 38.0 * upper * upper - 8.0 * waist, 116.0 - 22.0 * upper * upper + 3.0 * waist)
}

fn paint_table(canvas: &mut Canvas) {
    canvas.each_within((0.0, 140.0), (215.0, 34.0), |x, y, pixel| {
        let surface = 119.0 - 0.0004 * x * x;
        let depth = y - surface;
        let thickness = 22.0 - 0.0003 * x * x;
        if x.abs() < 205.0 && depth > 0.0 && depth < thickness {
            *pixel = if depth < 2.0 || depth > thickness - 2.0 || x.abs() > 203.0 { -120.0 } else { -930.0 };
        }
    });
}

/// Ribs run around the chest and fall from the back to the front; a slice cuts several of them aslant.
fn paint_ribs(canvas: &mut Canvas, z: f32, width: f32, depth: f32) {
    const APART_MM: f32 = 27.0;
    let (radius_x, radius_y) = (width - 21.5, depth - 21.5);
    let narrow = radius_x.min(radius_y);
    canvas.each_within((0.0, 0.0), (width, depth), |x, y, pixel| {
        let (uu, vv) = ((x / radius_x).powi(2), (y / radius_y).powi(2));
        let level = uu + vv - 0.35 * uu * vv;
        if !(0.8..1.2).contains(&level) {
            return;
        }
        let across = (level.sqrt() - 1.0) * narrow / 4.6;
        let angle = x.abs().atan2(y);
        let fall = 34.0 * (1.0 - angle.cos());
        let along = ((z + fall) / APART_MM).rem_euclid(1.0) - 0.5;
        let from_centre = (across * across + (along * APART_MM / 6.4).powi(2)).sqrt();
        let alpha = ((1.0 - from_centre) * 4.0 + 0.5).clamp(0.0, 1.0);
        let bone = if angle > 2.55 {
            110.0
        } else if from_centre > 0.6 {
            CORTEX
        } else {
            MARROW
        };
        *pixel += alpha * (bone - *pixel);
    });
}

fn paint_organs(canvas: &mut Canvas, z: f32, organs: &[Organ], turn: f32) {
    for &([x, y, height], [radius_x, radius_y, radius_z], value) in organs {
        let part = 1.0 - ((z - height) / radius_z).powi(2);
        if part > 0.0 {
            let part = part.sqrt();
            canvas.paint(&Ellipse::new((x, y), (radius_x * part, radius_y * part), value).turned(turn));
        }
    }
}

fn paint_vessels_and_airways(canvas: &mut Canvas, z: f32) {
    let mut disc = |within: bool, x: f32, y: f32, radius: f32, value: f32| {
        if within {
            canvas.paint(&Ellipse::new((x, y), (radius, radius), value));
        }
    };
    disc(true, 10.0, 30.0, 8.0, 42.0); // gullet
    disc(z > 80.0, 10.0, 28.0, 2.5, -700.0);
    disc(z < 205.0, 8.0 + 0.08 * z, 46.0 - 0.02 * z, 13.0, BLOOD); // descending aorta
    disc(z < 118.0, -20.0, 12.0 - 0.1 * z, 13.0, BLOOD - 80.0); // lower and upper caval vein
    disc((125.0..235.0).contains(&z), -29.0, -14.0, 9.5, BLOOD - 15.0);
    disc((135.0..200.0).contains(&z), -6.0 - 0.05 * (z - 135.0), -20.0, 16.0, BLOOD); // ascending aorta
    for (x, y) in [(-14.0, -12.0), (6.0, 2.0), (20.0, 16.0)] {
        disc(z >= 206.0, x * (1.0 + 0.006 * (z - 206.0)), y, 6.0, BLOOD); // branches of the arch
    }
    disc(z > 176.0, 0.0, 10.0, 11.0, 45.0); // windpipe
    disc(z > 176.0, 0.0, 10.0, 9.3, AIR);
    let spread = (178.0 - z) * 0.95;
    for side in [-1.0, 1.0] {
        disc((138.0..178.0).contains(&z), side * (6.0 + spread), 12.0, 8.0, 45.0);
        disc((138.0..178.0).contains(&z), side * (6.0 + spread), 12.0, 6.4, AIR);
    }
    if (188.0..207.0).contains(&z) {
        canvas.paint(&Ellipse::new((9.0, 12.0), (41.0, 13.5), BLOOD).turned(1.05)); // arch of the aorta
    }
}

fn paint_spine(canvas: &mut Canvas, z: f32) {
    const APART_MM: f32 = 25.0;
    let phase = (z / APART_MM).rem_euclid(1.0);
    if phase > 0.8 {
        canvas.paint(&Ellipse::new((0.0, 62.0), (19.0, 14.5), 95.0)); // disc
    } else {
        canvas.paint(&Ellipse::new((0.0, 62.0), (19.5, 15.0), CORTEX - 150.0));
        let inner = if (0.06..0.74).contains(&phase) { MARROW } else { CORTEX - 250.0 };
        canvas.paint(&Ellipse::new((0.0, 62.0), (17.3, 12.8), inner));
    }
    for side in [-1.0, 1.0] {
        let mut bone = |x: f32, y: f32, radii: (f32, f32), turn: f32| {
            canvas.paint(&Ellipse::new((side * x, y), radii, CORTEX).turned(side * turn));
            canvas.paint(&Ellipse::new((side * x, y), (radii.0 - 2.0, radii.1 - 2.0), MARROW).turned(side * turn));
        };
        if (0.2..0.65).contains(&phase) {
            bone(13.0, 78.0, (4.6, 8.0), 0.2); // pedicle
            bone(27.0, 86.0, (15.0, 4.5), 0.35); // transverse process
        }
        bone(8.5, 93.0, (10.0, 3.6), -0.55); // lamina
    }
    canvas.paint(&Ellipse::new((0.0, 102.0), (3.4, 11.0), CORTEX - 120.0));
    canvas.paint(&Ellipse::new((0.0, 83.0), (9.5, 8.0), 12.0)); // canal and cord
    canvas.paint(&Ellipse::new((0.0, 83.0), (5.5, 4.2), 42.0));
}

fn paint_breastbone_and_shoulder(canvas: &mut Canvas, z: f32) {
    let (_, depth) = outline(z);
    if (115.0..245.0).contains(&z) {
        canvas.paint(&Ellipse::new((0.0, 20.0 - depth), (17.0, 6.5), CORTEX - 250.0));
        canvas.paint(&Ellipse::new((0.0, 20.0 - depth), (15.0, 4.6), MARROW - 60.0));
    }
    for side in [-1.0, 1.0] {
        if (165.0..292.0).contains(&z) {
            let length = 46.0 * (((z - 165.0) / 40.0).min(1.0)).sqrt();
            let centre = (side * (100.0 - 0.05 * (z - 165.0)), depth - 34.0);
            canvas.paint(&Ellipse::new(centre, (length, 4.4), CORTEX - 100.0).turned(-side * 0.55));
        }
        if (252.0..276.0).contains(&z) {
            let out = 34.0 + 2.6 * (z - 252.0);
            canvas.paint(&Ellipse::new((side * out, 26.0 - depth), (30.0, 6.0), CORTEX).turned(side * 0.35));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(z: f32, x: f32, y: f32) -> f32 {
        let mut canvas = Canvas::new(400, 400, 1.0, (-200.0, -200.0), AIR);
        Torso::new(1).paint(&mut canvas, z, true);
        let index = super::super::canvas::index_at((y + 200.0) * 400.0 + x + 200.0);
        canvas.pixels[index]
    }

    #[test]
    fn tissues_lie_where_they_belong() {
        let cases: [(&str, f32, f32, f32, std::ops::Range<f32>); 8] = [
            ("air outside", 120.0, -190.0, -150.0, -1001.0..-990.0),
            ("lung", 200.0, -100.0, -30.0, -950.0..-700.0),
            ("liver", 20.0, -70.0, 0.0, 90.0..130.0),
            ("heart", 110.0, 40.0, -26.0, 180.0..240.0),
            ("aorta", 80.0, 14.0, 44.0, 180.0..240.0),
            ("vertebra", 110.0, 0.0, 62.0, 200.0..1000.0),
            ("windpipe", 220.0, 0.0, 10.0, -1001.0..-950.0),
            ("muscle over the breastbone", 100.0, 0.0, -101.0, 40.0..70.0),
        ];
        for (what, z, x, y, expected) in cases {
            let found = at(z, x, y);
            assert!(expected.contains(&found), "{what}: {found}");
        }
    }

    #[test]
    fn a_slice_of_the_chest_cuts_ribs() {
        let mut canvas = Canvas::new(400, 400, 1.0, (-200.0, -200.0), AIR);
        Torso::new(1).paint(&mut canvas, 180.0, false);
        let bone = canvas.pixels.iter().filter(|&&value| value > 400.0).count();
        assert!((1_500..20_000).contains(&bone), "{bone}");
    }
}
