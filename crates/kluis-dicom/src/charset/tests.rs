//! Names of the annexes of PS3.5 (H Japanese, I Korean, J and K Chinese) and of the other repertoires.

use proptest::prelude::*;

use super::*;

#[test]
fn names_of_the_annexes() {
    let cases: [(&str, &[u8], &str); 24] = [
        ("ISO_IR 100", b"Buc^J\xe9r\xf4me", "Buc^Jérôme"),
        ("ISO_IR 100", b"\xc4neas^R\xfcdiger\x80", "Äneas^Rüdiger\u{80}"),
        ("ISO_IR 101", b"Wa\xb3\xeasa", "Wałęsa"),
        ("ISO_IR 109", b"\xa1a\xf5ar", "Ħaġar"),
        ("ISO_IR 110", b"\xabirts", "Ģirts"),
        ("ISO_IR 144", b"\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг"),
        ("ISO_IR 127", b"\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار"),
        ("ISO_IR 126", b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"),
        ("ISO_IR 138", b"\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה"),
        ("ISO_IR 148", b"\xc7avu\xfeo\xf0lu^\xddbrahim", "Çavuşoğlu^İbrahim"),
        ("ISO_IR 203", b"\xbcuvre\xa4", "Œuvre€"),
        ("ISO_IR 166", b"\xb9\xd2\xc1\xca\xa1\xd8\xc5", "นามสกุล"),
        ("ISO_IR 13", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3~", "ﾔﾏﾀﾞ^ﾀﾛｳ‾"),
        ("ISO_IR 192", "Wang^XiaoDong=王^小東".as_bytes(), "Wang^XiaoDong=王^小東"),
        ("GB18030", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
        ("GBK", b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab", "Wang^XiaoDong=王^小东"),
        ("\\ISO 2022 IR 58", b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="),
        (
            "\\ISO 2022 IR 149",
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
            "Hong^Gildong=洪^吉洞=홍^길동",
        ),
        (
            "\\ISO 2022 IR 87",
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
        ),
        ("\\ISO 2022 IR 87\\ISO 2022 IR 159", b"\x1b$(D0!\x1b(B=\x1b$B;3\x1b(B", "丂=山"),
        ("ISO 2022 IR 100\\ISO 2022 IR 144", b"J\xe9r\xf4me=\x1b-L\xbb\xee\xda\x1b-A\xe9^\xe9", "Jérôme=Люкé^é"),
        (
            "ISO 2022 IR 100\\ISO 2022 IR 126\\ISO 2022 IR 138",
            b"Dionysios=\x1b-F\xc4\xe9\xef\xed=\x1b-H\xf9\xf8",
            "Dionysios=Διον=שר",
        ),
        ("ISO 2022 IR 6\\ISO 2022 IR 166", b"A^\x1b-T\xb9\xd2\xc1", "A^นาม"),
    ];
    for (terms, bytes, expected) in cases {
        let charset = Charset::from_terms(terms);
        assert_eq!(charset.decode(bytes, VR::PN), expected, "{terms}");
        assert!(!charset.has_unknown(), "{terms}");
    }
}

#[test]
fn terms_as_devices_misspell_them() {
    let latin_1 = Charset::from_terms("ISO_IR 100");
    for terms in [
        "ISO_IR 100 ",
        "ISO-IR 100",
        "ISO IR 100",
        "ISO_IR_100",
        "iso_ir 100",
        "ISO2022 IR 100",
        "ISO 2022 IR 100",
        "ISO 8859-1",
        "ISO-8859-1",
        "ISO_8859-1",
        "latin1",
    ] {
        assert_eq!(Charset::from_terms(terms), latin_1, "{terms:?}");
    }
    for terms in ["ISO_IR 192", "UTF-8", "utf8", "UTF 8", "ISO IR 192", "\\ISO_IR 192", "ISO_IR 192\\ISO 2022 IR 87"] {
        assert_eq!(Charset::from_terms(terms), Charset::utf_8(), "{terms:?}");
    }
    for terms in ["", "ISO_IR 6", "ISO 2022 IR 6", "ISO_IR 6\\ISO_IR 6", " "] {
        assert_eq!(Charset::from_terms(terms), Charset::default(), "{terms:?}");
    }
    assert_eq!(Charset::from_terms("GB2312"), Charset::from_terms("GBK"));
    assert_eq!(Charset::from_terms("ISO-8859-9"), Charset::from_terms("ISO_IR 148"));
    assert_eq!(Charset::from_terms("windows-1251").decode(b"\xc8\xe2\xe0\xed", VR::PN), "Иван");
    assert_eq!(Charset::from_value(b"ISO_IR 100 "), latin_1);
}

#[test]
fn unknown_terms_are_told_and_only_ascii_is_read() {
    for terms in ["ISO_IR 999", "Klingon", "UTF-16LE", "ISO_IR 999\\ISO 2022 IR 87"] {
        let charset = Charset::from_terms(terms);
        assert!(charset.has_unknown(), "{terms}");
        assert_eq!(charset.decode(b"M\xfcller", VR::PN), "M\u{FFFD}ller", "{terms}");
    }
}

#[test]
fn text_without_a_charset_is_utf_8_or_latin_1() {
    let charset = Charset::default();
    assert_eq!(charset.decode("Müller".as_bytes(), VR::PN), "Müller");
    assert_eq!(charset.decode(b"M\xfcller", VR::PN), "Müller");
    assert_eq!(charset.decode(b"=\x1b$B;3ED\x1b(B", VR::PN), "=山田");
    // Codes are no text: the character set does not apply to them.
    assert_eq!(Charset::from_terms("ISO_IR 144").decode(b"\xfc", VR::CS), "ü");
}

#[test]
fn delimiters_put_the_first_tables_back() {
    let charset = Charset::from_terms("ISO 2022 IR 100\\ISO 2022 IR 126");
    for (vr, bytes, expected) in [
        (VR::PN, &b"\x1b-F\xc4^\xc4=\xc4"[..], "Δ^Ä=Ä"),
        (VR::LO, b"\x1b-F\xc4^\xc4\\\xc4", "Δ^Δ\\Ä"),
        (VR::LT, b"\x1b-F\xc4\\\xc4\r\n\xc4", "Δ\\Δ\r\nÄ"),
    ] {
        assert_eq!(charset.decode(bytes, vr), expected, "{vr}");
    }
    // Written once for all, against the standard: the only table there is stays.
    let korean = Charset::from_terms("\\ISO 2022 IR 149");
    assert_eq!(korean.decode(b"\x1b$)C\xfb\xf3^\xd1\xce", VR::PN), "洪^吉");
    assert_eq!(korean.decode(b"\xfb\xf3^\xd1\xce", VR::PN), "洪^吉");
}

#[test]
fn backslash_of_two_byte_characters_is_no_delimiter() {
    // JIS X 0208 35H 5CH and GBK 95H 5CH.
    let japanese = Charset::from_terms("\\ISO 2022 IR 87");
    assert_eq!(japanese.decode(b"\x1b$B5\\\x1b(B\\A", VR::LO), "宮\\A");
    let chinese = Charset::from_terms("GB18030");
    assert_eq!(chinese.decode(b"\x95\x5c\\A", VR::LO), "昞\\A");
    // In Romaji the code is a yen sign where it separates nothing.
    let romaji = Charset::from_terms("ISO_IR 13");
    assert_eq!(romaji.decode(b"100\\200", VR::LT), "100¥200");
    assert_eq!(romaji.decode(b"100\\200", VR::LO), "100\\200");
}

#[test]
fn broken_text_is_replaced_not_refused() {
    let charset = Charset::from_terms("\\ISO 2022 IR 149\\ISO 2022 IR 87");
    for (bytes, expected) in [
        (&b"\x1b$)C\xfb"[..], "\u{FFFD}"),
        (b"\x1b$B;", "\u{FFFD}"),
        (b"\x1b%G\xc3", "\u{FFFD}%G\u{FFFD}"),
        (b"\x1b", "\u{FFFD}"),
        (b"\x1b$", "\u{FFFD}$"),
    ] {
        assert_eq!(charset.decode(bytes, VR::PN), expected, "{bytes:?}");
    }
    assert_eq!(Charset::utf_8().decode(b"a\xffb", VR::PN), "a\u{FFFD}b");
}

proptest! {
    #[test]
    fn decode_is_bounded_whatever_comes(terms in "(ISO 2022 IR (13|58|87|100|149|159|166|999)\\\\?){1,3}|UTF-8|GBK|", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let charset = Charset::from_terms(&terms);
        for vr in [VR::PN, VR::LO, VR::LT, VR::CS] {
            prop_assert!(charset.decode(&bytes, vr).len() <= bytes.len() * 3 + 3);
        }
    }

    #[test]
    fn ascii_is_ascii_in_every_charset_but_romaji(text in "[ -~]{0,40}") {
        for terms in ["", "ISO_IR 100", "ISO_IR 192", "GB18030", "\\ISO 2022 IR 87", "\\ISO 2022 IR 149", "ISO_IR 999"] {
            prop_assert_eq!(Charset::from_terms(terms).decode(text.as_bytes(), VR::PN), text.as_str());
        }
    }
}
