//! Bulk values leave in little endian byte order (PS3.18 8.7.3.3.1, F.2.7), also from a data set in big endian.

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use kluis_dicom::VR;

use super::parts::PartBody;

/// Bytes of one number of this value representation (PS3.5 7.3).
pub(super) fn width(vr: VR) -> usize {
    match vr {
        VR::OW | VR::US | VR::SS | VR::AT => 2,
        VR::OL | VR::OF | VR::UL | VR::SL | VR::FL => 4,
        VR::OD | VR::OV | VR::FD | VR::UV | VR::SV => 8,
        _ => 1,
    }
}

/// Turns each number of `width` bytes around. A rest that is no whole number passes as it is.
pub(super) fn swap(body: PartBody, width: usize) -> PartBody {
    if width < 2 {
        return body;
    }
    let state = (body, BytesMut::new(), false);
    futures_util::stream::unfold(state, move |(mut body, mut held, is_over)| async move {
        if is_over {
            return None;
        }
        loop {
            match body.next().await {
                None if held.is_empty() => return None,
                None => return Some((Ok(held.split().freeze()), (body, held, true))),
                Some(Err(error)) => return Some((Err(error), (body, held, true))),
                Some(Ok(piece)) => {
                    held.extend_from_slice(&piece);
                    let whole = held.len() - held.len() % width;
                    if whole > 0 {
                        let swapped = turn(held.split_to(whole), width);
                        return Some((Ok(swapped), (body, held, false)));
                    }
                }
            }
        }
    })
    .boxed()
}

fn turn(mut bytes: BytesMut, width: usize) -> Bytes {
    for number in bytes.chunks_exact_mut(width) {
        number.reverse();
    }
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt as _, stream};

    use super::*;

    #[tokio::test]
    async fn numbers_are_turned_whatever_the_pieces() {
        for (width, expected) in [(1, "abcdefghi"), (2, "badcfehgi"), (4, "dcbahgfei"), (8, "hgfedcbai")] {
            for size in 1..10 {
                let pieces: Vec<_> = b"abcdefghi".chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
                let mut swapped = swap(stream::iter(pieces).boxed(), width);
                let mut all = Vec::new();
                while let Some(piece) = swapped.next().await {
                    all.extend_from_slice(&piece.unwrap());
                }
                assert_eq!(String::from_utf8(all).unwrap(), expected, "{width} in pieces of {size}");
            }
        }
    }
}
