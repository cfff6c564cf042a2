//! Pseudo-random numbers that are equal for equal seeds (SplitMix64), and UIDs made from names. Not for secrets.

/// A stream of pseudo-random numbers.
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A stream that depends on the seed and on what it is for, so that two uses of one seed do not run in step.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Self {
        let state = purpose.bytes().fold(seed ^ 0xCBF2_9CE4_8422_2325, |state, byte| {
            mix(state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        Self { state }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.state)
    }

    /// A number in `0..below`; 0 where `below` is 0.
    pub fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.bits() >> 11).unwrap_or_default().checked_rem(below).unwrap_or_default()
    }

    /// A number between `low` and `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        #[allow(clippy::cast_precision_loss)]
        let unit = (self.bits() >> 40) as f32 / 16_777_216.0;
        low + unit * (high - low)
    }

    /// A number of mean 0 and standard deviation 1, nearly normal (the sum of twelve uniform ones).
    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.between(0.0, 1.0)).sum::<f32>() - 6.0
    }

    /// Any bytes.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.bits().to_le_bytes()).flatten().take(length).collect()
    }
}

/// A UID under the root for UUIDs (PS3.5 B.2) that depends on the seed and the name alone.
#[must_use]
pub fn uid(seed: u64, name: &str) -> String {
    let mut random = Random::new(seed, name);
    let drawn = (u128::from(random.bits()) << 64) | u128::from(random.bits());
    // version 8 (custom) and variant 1 of RFC 9562, so that it is a UUID that nobody else draws
    let uuid = (drawn & !(0xF << 76) & !(0x3 << 62)) | (0x8 << 76) | (0x2 << 62);
    format!("2.25.{uuid}")
}

fn mix(state: u64) -> u64 {
    let state = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let state = (state ^ (state >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    state ^ (state >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equally_and_others_do_not() {
        let draw = |seed, purpose| Random::new(seed, purpose).bits();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
    }

    #[test]
    fn uids_fit_and_differ() {
        let one = uid(7, "study");
        assert!(one.len() <= 64 && one.starts_with("2.25."));
        assert_ne!(one, uid(7, "series"));
        assert!(one.parse::<kluis_dicom::Uid>().is_ok());
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut random = Random::new(3, "normal");
        let drawn: Vec<f32> = (0..20_000).map(|_| random.normal()).collect();
        let mean = drawn.iter().sum::<f32>() / 20_000.0;
        let variance = drawn.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 20_000.0;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
