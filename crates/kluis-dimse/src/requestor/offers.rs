//! Which presentation contexts to propose for objects as they are stored.

use kluis_dicom::{Uid, transcode, transfer_syntax};

use super::Offer;
use crate::limits;

/// Contexts for objects of these SOP classes and transfer syntaxes: each as it is stored, and the two plain ones for what can
/// be rewritten. Where there are more than an association may have, the first ones.
pub fn offers<'a>(kinds: impl Iterator<Item = &'a (Uid, Uid)> + Clone) -> Vec<Offer> {
    let as_stored = kinds.clone().map(|(class, stored)| (class, Some(stored.clone())));
    let rewritten = kinds.flat_map(|(class, stored)| {
        let plain = [transfer_syntax::EXPLICIT_LITTLE_ENDIAN, transfer_syntax::IMPLICIT_LITTLE_ENDIAN];
        let possible = plain.into_iter().filter(|to| transcode::is_possible(stored.as_str(), to));
        possible.map(move |to| (class, to.parse().ok()))
    });
    let mut offers: Vec<Offer> = Vec::new();
    for (abstract_syntax, transfer_syntax) in as_stored.chain(rewritten) {
        let Some(transfer_syntax) = transfer_syntax else { continue };
        let offer = Offer { abstract_syntax: abstract_syntax.clone(), transfer_syntaxes: vec![transfer_syntax] };
        if !offers.contains(&offer) && offers.len() < limits::PRESENTATION_CONTEXTS {
            offers.push(offer);
        }
    }
    offers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_comes_first_and_what_can_be_rewritten_behind_it() {
        let kind = |class: &str, syntax: &str| (class.parse().unwrap(), syntax.parse().unwrap());
        let kinds = [
            kind("1.2.3", "1.2.840.10008.1.2.1"),
            kind("1.2.3", "1.2.840.10008.1.2.4.70"),
            kind("1.2.4", "1.2.840.10008.1.2"),
        ];
        let offers = offers(kinds.iter());
        let offered: Vec<_> =
            offers.iter().map(|offer| (offer.abstract_syntax.as_str(), offer.transfer_syntaxes[0].as_str())).collect();
        assert_eq!(
            offered,
            [
                ("1.2.3", "1.2.840.10008.1.2.1"),
                ("1.2.3", "1.2.840.10008.1.2.4.70"),
                ("1.2.4", "1.2.840.10008.1.2"),
                ("1.2.3", "1.2.840.10008.1.2"),
                ("1.2.4", "1.2.840.10008.1.2.1"),
            ]
        );
    }

    #[test]
    fn no_more_than_an_association_may_have() {
        let kinds: Vec<(Uid, Uid)> =
            (0..200).map(|n| (format!("1.2.{n}").parse().unwrap(), "1.2.840.10008.1.2".parse().unwrap())).collect();
        assert_eq!(offers(kinds.iter()).len(), 128);
    }
}
