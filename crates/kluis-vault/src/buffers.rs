//! Memory for reading that is used again: new memory costs a page fault each 4 KiB, which is more than decrypting them.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

use crate::limits::{IDLE_READ_BUFFERS, READ_BUFFER_BYTES};

/// Buffers that nobody uses.
#[derive(Default)]
pub(crate) struct ReadBuffers {
    idle: Mutex<Vec<Vec<u8>>>,
}

/// A buffer of so many bytes, of any content. Goes back when it is dropped.
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    length: usize,
    home: Arc<ReadBuffers>,
}

impl ReadBuffers {
    pub(crate) fn take(home: &Arc<Self>, length: usize) -> ReadBuffer {
        // it may wait long for a slow client: nobody holds more than twice what he asked for
        let bytes = if !(READ_BUFFER_BYTES / 2..=READ_BUFFER_BYTES).contains(&length) {
            vec![0; length]
        } else {
            let idle = home.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            idle.unwrap_or_else(|| vec![0; READ_BUFFER_BYTES])
        };
        ReadBuffer { bytes, length, home: Arc::clone(home) }
    }
}

impl Drop for ReadBuffer {
    fn drop(&mut self) {
        if self.bytes.len() != READ_BUFFER_BYTES {
            return;
        }
        let mut idle = self.home.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READ_BUFFERS {
            idle.push(std::mem::take(&mut self.bytes));
        }
    }
}

impl Deref for ReadBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl DerefMut for ReadBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }
}

impl AsRef<[u8]> for ReadBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_and_are_bounded() {
        let home = Arc::new(ReadBuffers::default());
        let idle = || home.idle.lock().unwrap().len();
        let mut first = ReadBuffers::take(&home, READ_BUFFER_BYTES / 2);
        first.fill(7);
        assert_eq!((&*first, idle()), (&[7; READ_BUFFER_BYTES / 2][..], 0));
        drop(first);
        assert_eq!((idle(), ReadBuffers::take(&home, READ_BUFFER_BYTES).len()), (1, READ_BUFFER_BYTES));
        let large = ReadBuffers::take(&home, READ_BUFFER_BYTES + 1);
        assert_eq!((large.len(), idle()), (READ_BUFFER_BYTES + 1, 1));
        drop(large);
        drop(ReadBuffers::take(&home, 10));
        assert_eq!(idle(), 1);
        let many: Vec<ReadBuffer> =
            (0..IDLE_READ_BUFFERS + 5).map(|_| ReadBuffers::take(&home, READ_BUFFER_BYTES)).collect();
        drop(many);
        assert_eq!(idle(), IDLE_READ_BUFFERS);
    }
}
