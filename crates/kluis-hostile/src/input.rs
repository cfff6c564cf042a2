//! Takes choices off the front of an input, and cuts bytes into slices as those choices say.

/// Choices and bytes, in that order, out of one input. At its end it yields zeros and nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    /// One byte.
    pub(crate) fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// Two bytes, big endian.
    pub(crate) fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    /// Four bytes, big endian.
    pub(crate) fn long(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// Eight bytes, big endian.
    pub(crate) fn longest(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    /// So many bytes, zeros where the input has ended.
    pub(crate) fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        for (to, from) in array.iter_mut().zip(self.take(N)) {
            *to = *from;
        }
        array
    }

    /// Up to so many bytes.
    pub(crate) fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Up to a line feed, which is dropped.
    pub(crate) fn line(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b'\n').unwrap_or(self.0.len());
        let line = self.take(end);
        self.take(1);
        line
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How long slices may be: most of all around what parsers hold back.
const LENGTHS: [usize; 16] = [1, 1, 1, 2, 3, 4, 5, 7, 8, 11, 12, 64, 131, 1024, 4096, 70_000];

/// Cuts bytes into slices, at least one; which lengths is for the seed to say.
pub(crate) fn slices(mut seed: u32, bytes: &[u8]) -> Vec<&[u8]> {
    let mut rest = Input(bytes);
    let mut slices = vec![rest.take(usize::from(seed == 0) * bytes.len())];
    while !rest.is_empty() {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [.., choice] = seed.to_le_bytes();
        let length = LENGTHS.get(usize::from(choice % 16)).copied().unwrap_or(1);
        slices.push(rest.take(length));
        // now and then nothing at all arrives
        if choice >= 0xF0 {
            slices.push(&[]);
        }
    }
    slices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_the_bytes_in_their_order() {
        let bytes: Vec<u8> = (0..=255).cycle().take(9_000).collect();
        for seed in 0..50 {
            assert_eq!(slices(seed, &bytes).concat(), bytes);
        }
        assert_eq!(slices(0, &bytes).len(), 1);
        assert!(slices(7, &bytes).len() > 2);
    }
}
