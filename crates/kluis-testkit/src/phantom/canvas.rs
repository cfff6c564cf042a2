//! A grey picture in millimetres, on which bodies are painted one over the other.

use crate::random::Random;

/// A picture of `columns` x `rows` square pixels of 32-bit numbers, row by row.
#[derive(Debug, Clone)]
pub(super) struct Canvas {
    pub columns: usize,
    pub spacing_mm: f32,
    /// Centre of the first pixel.
    pub origin_mm: (f32, f32),
    pub pixels: Vec<f32>,
}

/// What is painted: an ellipse with a soft edge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ellipse {
    pub centre: (f32, f32),
    pub radii: (f32, f32),
    /// Turn of the first radius from x towards y, in radians.
    pub turn: f32,
    /// 0 is an ellipse; up to 0.6, the corners fill out.
    pub squareness: f32,
    pub value: f32,
}

impl Ellipse {
    pub fn new(centre: (f32, f32), radii: (f32, f32), value: f32) -> Self {
        Self { centre, radii, turn: 0.0, squareness: 0.0, value }
    }

    pub fn turned(mut self, turn: f32) -> Self {
        self.turn = turn;
        self
    }

    pub fn squared(mut self, squareness: f32) -> Self {
        self.squareness = squareness;
        self
    }
}

impl Canvas {
    pub fn new(columns: usize, rows: usize, spacing_mm: f32, origin_mm: (f32, f32), value: f32) -> Self {
        Self { columns, spacing_mm, origin_mm, pixels: vec![value; columns * rows] }
    }

    /// Paints an ellipse, its edge blended over about 1.2 mm. One with a radius that is not positive is not there.
    pub fn paint(&mut self, ellipse: &Ellipse) {
        let (radius_x, radius_y) = ellipse.radii;
        if !(radius_x > 0.2 && radius_y > 0.2) {
            return;
        }
        let (sine, cosine) = ellipse.turn.sin_cos();
        let reach_x = (radius_x * cosine).hypot(radius_y * sine) * (1.0 + ellipse.squareness * 0.3) + 1.0;
        let reach_y = (radius_x * sine).hypot(radius_y * cosine) * (1.0 + ellipse.squareness * 0.3) + 1.0;
        let sharpness = radius_x.min(radius_y) / 1.2;
        let (squareness, value, centre) = (ellipse.squareness, ellipse.value, ellipse.centre);
        self.each_within(centre, (reach_x, reach_y), |x, y, pixel| {
            let (dx, dy) = (x - centre.0, y - centre.1);
            let u = (dx * cosine + dy * sine) / radius_x;
            let v = (dy * cosine - dx * sine) / radius_y;
            let (uu, vv) = (u * u, v * v);
            let alpha = (0.5 + (1.0 - (uu + vv - squareness * uu * vv)) * 0.5 * sharpness).clamp(0.0, 1.0);
            *pixel += alpha * (value - *pixel);
        });
    }

    /// Calls `change(x, y, pixel)` for each pixel at most `reach` from `centre` on either axis, in millimetres.
    #[inline]
    pub fn each_within(&mut self, centre: (f32, f32), reach: (f32, f32), mut change: impl FnMut(f32, f32, &mut f32)) {
        let first_row = index_at((centre.1 - reach.1 - self.origin_mm.1) / self.spacing_mm);
        let last_row = index_at((centre.1 + reach.1 - self.origin_mm.1) / self.spacing_mm + 1.0);
        let first_column = index_at((centre.0 - reach.0 - self.origin_mm.0) / self.spacing_mm);
        let last_column = index_at((centre.0 + reach.0 - self.origin_mm.0) / self.spacing_mm + 1.0).min(self.columns);
        let rows = self.pixels.chunks_exact_mut(self.columns).enumerate();
        for (row, line) in rows.take(last_row).skip(first_row) {
            let y = self.origin_mm.1 + scale(row) * self.spacing_mm;
            let mut x = self.origin_mm.0 + scale(first_column) * self.spacing_mm;
            for pixel in line.get_mut(first_column..last_column).unwrap_or_default() {
                change(x, y, pixel);
                x += self.spacing_mm;
            }
        }
    }

    /// Adds noise from a tile, shifted by any number of its pixels.
    pub fn add_noise(&mut self, tile: &[f32], shift: usize, strength: f32) {
        let noise = tile.iter().cycle().skip(shift.checked_rem(tile.len()).unwrap_or_default());
        for (pixel, &noise) in self.pixels.iter_mut().zip(noise) {
            *pixel += noise * strength;
        }
    }
}

/// Noise of mean 0 and deviation 1 whose neighbouring values go together, as the reconstruction of a scanner makes it.
/// The tile closes on itself.
pub(super) fn smooth_noise(random: &mut Random, columns: usize, rows: usize) -> Vec<f32> {
    let white: Vec<f32> = std::iter::repeat_with(|| random.normal()).take(columns * rows).collect();
    let across = blurred(&white, 1);
    let mut both = blurred(&across, columns);
    let power = both.iter().map(|value| value * value).sum::<f32>() / scale(both.len().max(1));
    let gain = 1.0 / power.sqrt().max(f32::EPSILON);
    both.iter_mut().for_each(|value| *value *= gain);
    both
}

/// Each value with half of its two neighbours `step` away, around the end.
fn blurred(values: &[f32], step: usize) -> Vec<f32> {
    let length = values.len();
    let before = values.iter().cycle().skip(length.saturating_sub(step));
    let after = values.iter().cycle().skip(step);
    values.iter().zip(before).zip(after).map(|((value, before), after)| value + 0.5 * (before + after)).collect()
}

/// A count as a length or weight; counts here are far below 2^24.
#[allow(clippy::cast_precision_loss)]
pub(super) fn scale(count: usize) -> f32 {
    count as f32
}

/// A position as an index; negative ones are 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn index_at(position: f32) -> usize {
    position.max(0.0) as usize
}

/// A grey value as a stored unsigned value between 0 and `most`.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn stored(value: f32, most: u16) -> u16 {
    value.clamp(0.0, f32::from(most)) as u16
}

/// A grey value as a byte.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
pub(super) fn byte(value: f32) -> u8 {
    value.clamp(0.0, 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipse_fills_its_inside_and_nothing_else() {
        let mut canvas = Canvas::new(100, 100, 1.0, (-50.0, -50.0), -1.0);
        canvas.paint(&Ellipse::new((0.0, 10.0), (20.0, 10.0), 5.0));
        let at = |x: usize, y: usize| canvas.pixels[(y + 50) * 100 + x + 50];
        assert!((at(0, 10) - 5.0).abs() < 1e-6 && (at(15, 10) - 5.0).abs() < 1e-6);
        assert!((at(25, 10) + 1.0).abs() < 1e-6 && (at(0, 25) + 1.0).abs() < 1e-6);
    }

    #[test]
    fn painting_beyond_the_edge_is_cut_off() {
        let mut canvas = Canvas::new(10, 10, 1.0, (0.0, 0.0), 0.0);
        canvas.paint(&Ellipse::new((0.0, 0.0), (500.0, 500.0), 3.0));
        canvas.paint(&Ellipse::new((-900.0, 900.0), (5.0, 5.0), 7.0));
        assert!(canvas.pixels.iter().all(|&pixel| (pixel - 3.0).abs() < 1e-6));
    }
}
