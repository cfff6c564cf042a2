//! Decimal strings (PS3.5 6.2, VR DS) as JSON numbers (RFC 8259 section 6).

/// The same number in the grammar of JSON, digits kept as written (`+1.50` gives `1.50`, `.5` gives `0.5`).
///
/// `None` where the text is no number, or where a double, which most readers of JSON use, would not hold all its digits
/// (PS3.18 F.2.3 note).
pub(super) fn to_json(text: &str) -> Option<String> {
    let (sign, magnitude) = match text.as_bytes().first()? {
        b'-' => ("-", text.get(1..)?),
        b'+' => ("", text.get(1..)?),
        _ => ("", text),
    };
    let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (magnitude, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if !is_digits(whole) || !is_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let mut json = sign.to_owned();
    let significant_whole = whole.trim_start_matches('0');
    json.push_str(if significant_whole.is_empty() { "0" } else { significant_whole });
    if !fraction.is_empty() {
        json.push('.');
        json.push_str(fraction);
    }
    if let Some(exponent) = exponent {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        if digits.is_empty() || !is_digits(digits) {
            return None;
        }
        json.push_str(if exponent.starts_with('-') { "e-" } else { "e" });
        let significant = digits.trim_start_matches('0');
        json.push_str(if significant.is_empty() { "0" } else { significant });
    }
    let double: f64 = json.parse().ok()?;
    (double.is_finite() && digits_of(&json) == digits_of(&format!("{double:e}"))).then_some(json)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The significant digits, without sign, point, exponent and zeros at either end.
fn digits_of(number: &str) -> String {
    let mantissa = number.split('e').next().unwrap_or_default();
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    digits.trim_matches('0').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_table() {
        for (text, expected) in [
            ("1.50", Some("1.50")),
            ("+1.5", Some("1.5")),
            ("-.5", Some("-0.5")),
            ("5.", Some("5")),
            ("007", Some("7")),
            ("-0", Some("-0")),
            ("1E+05", Some("1e5")),
            ("1e-007", Some("1e-7")),
            ("0.1234567890123", Some("0.1234567890123")),
            ("0.30000000000000004", Some("0.30000000000000004")),
            ("0.1000000000000000055511151231257827", None),
            ("12345678901234567890", None),
            ("1e999", None),
            ("1e-999", None),
            ("1,5", None),
            ("1.2.3", None),
            ("--1", None),
            ("1e", None),
            (".", None),
            ("-", None),
            ("", None),
            ("NaN", None),
            ("inf", None),
            ("0x10", None),
            ("1 2", None),
            ("１", None),
        ] {
            assert_eq!(to_json(text).as_deref(), expected, "{text:?}");
        }
    }
}
