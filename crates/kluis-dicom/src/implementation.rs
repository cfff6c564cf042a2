//! Who wrote a file or talks to a peer (PS3.7 D.3.3.2, PS3.10 7.1).

use std::sync::LazyLock;

use crate::Uid;

/// (0002,0012) Implementation Class UID: below 2.25, from a UUID (PS3.5 B.2).
const CLASS_UID: &str = "2.25.156589290589145345423491192662510492190";

/// (0002,0013) Implementation Version Name: at most 16 characters; the version of the product is not told to peers.
pub const VERSION_NAME: &str = "KLUIS";

/// (0002,0012) Implementation Class UID.
#[must_use]
pub fn class_uid() -> Uid {
    static UID: LazyLock<Option<Uid>> = LazyLock::new(|| CLASS_UID.parse().ok());
    UID.clone().unwrap_or_else(|| unreachable!("the constant is a UID"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn constants_are_within_their_limits() {
        assert!(super::class_uid().as_str().len() <= 64);
        assert!(super::VERSION_NAME.len() <= 16);
    }
}
