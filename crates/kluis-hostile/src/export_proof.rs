//! Proofs beside an exported study, as the offline verifier reads them: line by line, the same whatever the reads, each
//! field within its bounds.

use std::io::BufReader;

use kluis_verify::{
    limits,
    proof::{Line, Lines, ProofError, parse, parse_line},
};

use crate::input::Input;

/// `size of the reads (1) | proof`
pub fn export_proof(data: &[u8]) {
    let mut input = Input(data);
    let read = usize::from(input.byte()) + 1;
    let bytes = input.0;
    let whole = parse(bytes);
    assert_eq!(whole, parse(bytes), "the same bytes twice are another proof");
    assert_eq!(by_line(bytes, read), whole, "other reads make another proof");
    let Ok(lines) = whole else { return };
    assert_eq!(lines.len(), bytes.iter().filter(|byte| **byte == b'\n').count());
    for line in &lines {
        bounded(line);
    }
    if let Some((_, cut)) = bytes.split_last() {
        assert!(parse(cut).is_err(), "a proof without its last byte is taken for whole");
    }
}

fn by_line(bytes: &[u8], read: usize) -> Result<Vec<Line>, ProofError> {
    let mut lines = Lines::new(BufReader::with_capacity(read, bytes));
    let mut all = Vec::new();
    while let Some(line) = lines.next()? {
        all.push(parse_line(line)?);
    }
    Ok(all)
}

fn bounded(line: &Line) {
    match line {
        Line::Head(head) => {
            assert!(head.checkpoint.len() <= limits::NOTE_BYTES && head.origin.len() <= limits::TEXT_BYTES)
        }
        Line::Object(object) => {
            if let Some(leaf) = &object.leaf {
                assert!(leaf.entry().len() <= limits::LEAF_BYTES && leaf.path().len() <= limits::PATH_HASHES);
            }
            if let Some(parts) = &object.parts {
                assert!(parts.list.len() <= limits::PARTS && parts.step <= limits::STEP_BYTES);
            }
        }
        Line::Closing(closing) => {
            assert!(closing.statement.len() <= limits::NOTE_BYTES);
            assert!(closing.line_hashes().len() <= limits::LINES);
        }
    }
}
