//! Values that may tell who a patient is.

use std::fmt;

/// Protected health information: its `Debug` shows nothing, so that no log line or error can carry it by accident.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Phi<T>(pub T);

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Phi(..)")
    }
}

impl<T> std::ops::Deref for Phi<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phi_debug_shows_nothing() {
        assert_eq!(format!("{:?}", Phi("JANSEN^PIET")), "Phi(..)");
    }
}
