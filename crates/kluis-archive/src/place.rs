//! Places in the vault, as the index keeps them and as the vault takes them.

use kluis_index::Location as Indexed;
use kluis_vault::Location;

pub(crate) fn to_index(location: Location) -> Indexed {
    Indexed { pack: location.pack, offset: location.offset, length: location.length }
}

pub(crate) fn to_vault(location: Indexed) -> Location {
    Location { pack: location.pack, offset: location.offset, length: location.length }
}
