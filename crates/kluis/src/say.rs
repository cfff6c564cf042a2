//! Printing for people and programs: where the reader has gone, the command ends quietly, as `yes | head` does.

use std::{fmt, io::Write};

/// Prints a line to standard output.
macro_rules! say {
    () => { $crate::say::line(format_args!("")) };
    ($($argument:tt)*) => { $crate::say::line(format_args!($($argument)*)) };
}

pub(crate) use say;

/// What a shell says of a program that ended for want of a reader: 128 + SIGPIPE.
const NO_READER: i32 = 141;

pub(crate) fn line(text: fmt::Arguments<'_>) {
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(NO_READER);
    }
}
