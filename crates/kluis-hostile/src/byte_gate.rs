//! The byte gate (PS3.10 7.1, PS3.5 7): the same whatever the slices, within its limits, nothing lost and nothing added.

use kluis_dicom::{
    limits::Limits,
    part10::{BulkKind, Event, Gate, Outline, Refusal, Source, Value},
};

use crate::input::{Input, slices};

/// Transfer syntaxes of bare data sets: plain ones, a deflated and an encapsulated one, and one that nobody knows.
const SYNTAXES: [&str; 7] = [
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.999",
];

/// Small, so that an input of a few kilobytes reaches every one.
pub(crate) fn limits(choice: u8) -> Limits {
    let small = Limits {
        object_bytes: 1 << 20,
        file_meta_bytes: 1 << 10,
        header_bytes: 64 << 10,
        depth: 8,
        elements: 400,
        sequence_items: 60,
        fragments: 60,
        bulk_values: 12,
        inline_binary_bytes: 64,
        inline_text_bytes: 256,
        inflate_free_bytes: 128 << 10,
        inflate_ratio: 20,
    };
    match choice {
        0..=0x7F => small,
        0x80..=0xBF => Limits { header_bytes: 700, inline_text_bytes: 16, inline_binary_bytes: 0, ..small },
        _ => Limits { object_bytes: 1 << 20, inflate_free_bytes: 256 << 10, ..Limits::default() },
    }
}

/// The source that a choice means: a file, or a data set in one of the syntaxes.
pub(crate) fn source(choice: u8) -> Source {
    match usize::from(choice).checked_sub(1).and_then(|index| SYNTAXES.get(index)) {
        None => Source::File,
        Some(syntax) => match syntax.parse() {
            Ok(transfer_syntax) => Source::DataSet { transfer_syntax },
            Err(_) => Source::File,
        },
    }
}

/// What one run through the gate gave: the bytes of the data set and the outline.
pub(crate) type Passed = Result<(Vec<u8>, Outline), Refusal>;

/// Pushes the slices through a gate.
pub(crate) fn pass(source: Source, limits: Limits, slices: &[&[u8]]) -> Passed {
    let mut gate = Gate::new(source, limits)?;
    let mut kept = Vec::new();
    for slice in slices {
        match gate.push(slice) {
            Ok(bytes) => {
                kept.extend_from_slice(&bytes.carried);
                kept.extend_from_slice(bytes.rest);
            }
            Err(refusal) => {
                assert_eq!(gate.push(&[0]).err().as_ref(), Some(&refusal), "a gate that shut says something else");
                assert_eq!(gate.finish().err().as_ref(), Some(&refusal), "a gate that shut ends well");
                return Err(refusal);
            }
        }
    }
    let (last, outline) = gate.finish()?;
    kept.extend_from_slice(&last.carried);
    kept.extend_from_slice(last.rest);
    Ok((kept, outline))
}

/// Slices make no difference, but for the name of a refusal where it depends on what came together: the whole push, the
/// deflated stream, or what became of it.
pub(crate) fn same(whole: &Passed, sliced: &Passed) {
    match (whole, sliced) {
        (Err(Refusal::ObjectTooLarge { .. } | Refusal::DeflateDamaged { .. }), Err(_))
        | (Err(_), Err(Refusal::ObjectTooLarge { .. } | Refusal::DeflateDamaged { .. })) => {}
        _ => assert_eq!(whole, sliced, "slices make another object"),
    }
}

/// `source (1) | limits (1) | seed of the slices (4) | bytes`
pub fn byte_gate(data: &[u8]) {
    let mut input = Input(data);
    let (choice, limits, seed) = (input.byte(), limits(input.byte()), input.long());
    let bytes = input.0;
    let whole = pass(source(choice), limits, &[bytes]);
    let sliced = pass(source(choice), limits, &slices(seed, bytes));
    same(&whole, &sliced);
    let Ok((kept, outline)) = whole else { return };
    assert!(bytes.ends_with(&kept), "what is kept is not what came");
    assert_eq!(outline.data_set_length, kept.len() as u64);
    assert!(outline.file_meta.len() as u64 <= limits.file_meta_bytes + 16);
    within_limits(&outline, &limits);
    let is_deflated = outline.transfer_syntax.as_str() == "1.2.840.10008.1.2.1.99";
    if !is_deflated {
        assert_eq!(outline.inflated_length, outline.data_set_length);
        put_together(&outline, &kept);
    }
    walked(&outline, &limits);
}

fn within_limits(outline: &Outline, limits: &Limits) {
    let header = outline.header.as_bytes().len() as u64;
    assert!(header <= limits.header_bytes, "a header of {header} bytes");
    assert!(header <= outline.inflated_length);
    assert!(outline.inflated_length <= limits.object_bytes);
    assert!(outline.header.bulk().len() as u64 <= u64::from(limits.bulk_values));
    let mut fragments_of_all = 0;
    let mut behind = 0;
    for span in outline.header.bulk() {
        assert!(span.header_position <= header);
        assert!(span.offset >= behind, "bulk values overlap");
        behind = span.offset + span.length;
        assert!(behind <= outline.inflated_length, "a bulk value ends behind the object");
        let BulkKind::Fragments { offset_table, fragments } = &span.kind else { continue };
        fragments_of_all += fragments.len();
        assert!(offset_table.len() as u64 <= limits.header_bytes);
        let mut from = span.offset;
        for fragment in fragments {
            assert!(fragment.offset >= from + 8, "a fragment without its item header");
            from = fragment.offset + fragment.length;
            assert!(from <= behind, "a fragment ends behind its value");
        }
    }
    assert!(fragments_of_all as u64 <= u64::from(limits.fragments));
}

/// Header and bulk values are the data set, but for zeros behind it.
fn put_together(outline: &Outline, data_set: &[u8]) {
    let header = outline.header.as_bytes();
    let mut made = Vec::with_capacity(data_set.len());
    let mut from = 0;
    for span in outline.header.bulk() {
        let to = usize::try_from(span.header_position).unwrap_or(usize::MAX);
        made.extend_from_slice(header.get(from..to).unwrap_or_default());
        assert_eq!(made.len() as u64, span.offset, "a bulk value stands elsewhere");
        let at = made.len();
        let end = at + usize::try_from(span.length).unwrap_or(usize::MAX);
        made.extend_from_slice(data_set.get(at..end).unwrap_or_default());
        from = to;
    }
    made.extend_from_slice(header.get(from..).unwrap_or_default());
    let padding = data_set.strip_prefix(made.as_slice());
    assert!(padding.is_some_and(|rest| rest.iter().all(|byte| *byte == 0)), "header and bulk are not the data set");
}

/// The events are a balanced tree within the limits that shows every inline byte and every bulk value once.
fn walked(outline: &Outline, limits: &Limits) {
    let mut events = outline.header.events();
    let mut open: Vec<bool> = Vec::new();
    let (mut inline, mut next_bulk, mut count) = (0_u64, 0, 0_u64);
    while let Some(event) = events.next() {
        count += 1;
        match event {
            Event::Element { value: Value::Inline(bytes), .. } => inline += bytes.len() as u64,
            Event::Element { value: Value::Bulk { index, span }, .. } => {
                assert_eq!(index, next_bulk, "bulk values are out of turn");
                assert_eq!(outline.header.bulk().get(index), Some(span));
                next_bulk += 1;
            }
            Event::SequenceStart { .. } => open.push(false),
            Event::ItemStart => open.push(true),
            Event::ItemEnd => assert_eq!(open.pop(), Some(true), "an item ends that did not begin"),
            Event::SequenceEnd => assert_eq!(open.pop(), Some(false), "a sequence ends that did not begin"),
        }
        assert!(events.depth() <= limits.depth, "events go deeper than the gate");
    }
    assert!(open.is_empty(), "{} levels are left open", open.len());
    assert_eq!(next_bulk, outline.header.bulk().len(), "not every bulk value was shown");
    assert!(inline <= outline.header.as_bytes().len() as u64);
    assert!(count <= 2 * u64::from(limits.elements) + 2, "{count} events");
}
