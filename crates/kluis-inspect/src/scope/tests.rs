//! What a scope refuses.

use std::net::IpAddr;

use time::macros::datetime;

use super::*;

const HEAD: &str = "schema = 1\nowner = \"Hospital\"\ncontact = \"soc@example.org\"\nauthority = \"Board 2026-114\"\n\
                    valid_from = \"2026-11-01T00:00:00Z\"\nvalid_until = \"2027-01-01T00:00:00Z\"\n";
const NOW: time::OffsetDateTime = datetime!(2026-11-23 12:00 UTC);

fn check(lines: &str) -> Result<Scope, ScopeError> {
    Scope::check(format!("{HEAD}{lines}\n").as_bytes(), "signer", NOW)
}

fn networks(text: &str) -> Result<Scope, ScopeError> {
    check(&format!("networks = [\"{text}\"]"))
}

#[test]
fn every_spelling_of_an_address_is_the_same_address() {
    let same = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "017700000001",
        "0177.0.0.1",
        "127.0.0.1.",
        "::ffff:127.0.0.1",
        "[::ffff:7f00:1]",
    ];
    for text in same {
        assert_eq!(parse_host(text), Some(IpAddr::from([127, 0, 0, 1])), "{text}");
    }
    for text in
        ["pacs.example.org", "1.2.3.4.5", "256.1", "1.2.3.256", "0x", "1..2", "08.1.1.1", "+1.2.3.4", "4294967296", ""]
    {
        assert_eq!(parse_host(text), None, "{text}");
    }
}

#[test]
fn what_is_never_inspected_is_refused_in_every_spelling() {
    for text in [
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "::ffff:169.254.169.254",
        "169.254.0.0/16",
        "fe80::1",
        "fe80::/10",
        "100.100.100.200",
        "168.63.129.16",
        "fd00:ec2::254",
        "224.0.0.1",
        "255.255.255.255",
        "0.0.0.0",
        "0.0.0.0/8",
        "::",
        "ff02::1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:1::1",
        "240.0.0.1",
    ] {
        assert!(matches!(networks(text), Err(ScopeError::Never(..))), "{text}: {:?}", networks(text));
        let public = check(&format!("public = true\nnetworks = [\"{text}\"]"));
        assert!(matches!(public, Err(ScopeError::Never(..))), "{text}");
    }
    // inside a network that is allowed they are still refused, one by one
    let scope = networks("100.96.0.0/12").unwrap();
    assert_eq!(scope.allows("100.100.100.200".parse().unwrap()), Err(AddressRefusal::Never(Class::Metadata)));
    assert_eq!(scope.allows("100.100.100.201".parse().unwrap()), Ok(Class::Private));
}

#[test]
fn public_networks_need_the_flag() {
    for text in ["8.8.8.8", "8.8.8.0/24", "192.168.0.0/15", "172.0.0.0/8", "2001:db8::1", "128.0.0.0/6"] {
        assert!(matches!(networks(text), Err(ScopeError::Public(_))), "{text}: {:?}", networks(text));
    }
    let scope = check("public = true\nnetworks = [\"8.8.8.0/24\"]").unwrap();
    assert_eq!(scope.allows("8.8.8.8".parse().unwrap()), Ok(Class::Public));
}

#[test]
fn only_what_is_named_is_allowed() {
    let scope = check("networks = [\"10.1.0.0/16\", \"127.0.0.1\"]\nskip = [\"10.1.2.0/24\"]").unwrap();
    let allows = |text: &str| scope.allows(text.parse().unwrap());
    assert_eq!(allows("10.1.0.1"), Ok(Class::Private));
    assert_eq!(allows("::ffff:10.1.0.1"), Ok(Class::Private));
    assert_eq!(allows("10.1.2.3"), Err(AddressRefusal::Skipped));
    assert_eq!(allows("10.2.0.1"), Err(AddressRefusal::Outside));
    assert_eq!(allows("127.0.0.1"), Ok(Class::Loopback));
    assert_eq!(allows("127.0.0.2"), Err(AddressRefusal::Outside));
    assert_eq!(allows("8.8.8.8"), Err(AddressRefusal::Outside));
    // without the network's own and the one for all, and without what is skipped; the single address once
    assert_eq!(scope.hosts().count(), 65_534 - 256 + 1);
}

#[test]
fn hosts_come_once_each() {
    let lines = "networks = [\"10.0.0.0/30\", \"10.0.0.0/29\", \"fd00::/64\"]\n[[host]]\nname = \"0xa000003\"\n\
                 [[host]]\nname = \"pacs.example.org\"\n";
    let scope = check(lines).unwrap();
    let hosts: Vec<String> = scope
        .hosts()
        .map(|host| match host {
            Host::Named(_, name) => name.to_owned(),
            Host::Address(address) => address.to_string(),
        })
        .collect();
    // .3 is named; it is the address for all of the smaller network and a host of the larger one
    assert_eq!(hosts, ["0xa000003", "pacs.example.org", "10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
}

#[test]
fn a_scope_that_says_too_little_or_too_much_is_refused() {
    let networks = "networks = [\"10.0.0.0/24\"]";
    assert!(check(networks).is_ok());
    let whole = format!("{HEAD}{networks}\n");
    for (what, text) in [
        ("no authority", whole.replace("Board 2026-114", " ")),
        ("no owner", whole.replace("Hospital", "")),
        ("no contact", whole.replace("contact = \"soc@example.org\"\n", "")),
        ("no validity", whole.replace("valid_until = \"2027-01-01T00:00:00Z\"\n", "")),
        ("too long", whole.replace("2027-01-01", "2027-03-01")),
        ("not yet", whole.replace("2026-11-01", "2026-11-24")),
        ("no more", whole.replace("2027-01-01", "2026-11-20")),
        ("another schema", whole.replace("schema = 1", "schema = 2")),
        ("a misspelt guard rail", format!("{whole}skipp = []\n")),
        ("no networks", whole.replace("10.0.0.0/24", "")),
        ("too many addresses", whole.replace("10.0.0.0/24", "10.0.0.0/8")),
        ("a host outside", format!("{whole}[[host]]\nname = \"10.0.1.1\"\n")),
        ("a metadata host", format!("{whole}[[host]]\nname = \"0xa9fea9fe\"\n")),
        ("a fast one", format!("{whole}[care]\nconnects_per_s = 1001\n")),
        ("a patient one", format!("{whole}[care]\nanswer_ms = 60000\n")),
        ("a bad window", format!("{whole}[[window]]\nfrom = \"7:00\"\nuntil = \"08:00\"\n")),
        ("a command for a name", format!("{whole}[[host]]\nname = \"$(reboot)\"\n")),
        ("a bad title", format!("{whole}[[host]]\nname = \"10.0.0.1\"\ncalled_ae = \"THIS TITLE IS TOO LONG\"\n")),
        ("no text", "\u{0}".to_owned()),
    ] {
        assert!(Scope::check(text.as_bytes(), "signer", NOW).is_err(), "{what}");
    }
    assert!(Scope::check(&[0xff, 0xfe], "signer", NOW).is_err());
}

#[test]
fn windows_and_quiet_hours_are_kept() {
    let lines = "networks = [\"10.0.0.1\"]\nutc_offset = \"+01:00\"\n[[window]]\ndays = [\"fri\"]\nfrom = \"22:00\"\nuntil = \"06:00\"\n\
                 [[quiet]]\nfrom = \"23:00\"\nuntil = \"23:30\"\n";
    let scope = check(lines).unwrap();
    for (moment, is_open) in [
        (datetime!(2026-11-20 20:59 UTC), false),
        (datetime!(2026-11-20 21:00 UTC), true),
        (datetime!(2026-11-20 22:00 UTC), false),
        (datetime!(2026-11-20 22:30 UTC), true),
        (datetime!(2026-11-21 04:59 UTC), true),
        (datetime!(2026-11-21 05:00 UTC), false),
        (datetime!(2026-11-21 21:30 UTC), false),
    ] {
        assert_eq!(scope.hours().are_open(moment), is_open, "{moment}");
    }
}

#[test]
fn only_a_scope_that_the_authority_signed_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scope.toml");
    std::fs::write(&path, format!("{HEAD}networks = [\"10.0.0.0/24\"]\n")).unwrap();
    let open = |key: Option<&kluis_ledger::VerifierKey>| match Scope::open(&path, key, NOW) {
        Ok(scope) => Ok(scope.signer().to_owned()),
        Err(crate::InspectError::Scope(error)) => Err(error),
        Err(error) => panic!("{error}"),
    };
    assert!(matches!(open(None), Err(ScopeError::NotSigned(_))));
    write_key_pair("ciso", folder.path()).unwrap();
    let key = SigningKey::read(&folder.path().join("authority.key")).unwrap();
    sign(&path, &key, NOW).unwrap();
    let signer = key.verifier().unwrap();
    assert_eq!(open(None).unwrap(), signer.to_string());
    assert_eq!(open(Some(&signer)).unwrap(), signer.to_string());
    // the key of somebody else, of the same name too
    let other = SigningKey::generate("ciso").unwrap().0.verifier().unwrap();
    assert!(matches!(open(Some(&other)), Err(ScopeError::Signature(_))));
    // one more network
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("10.0.0.0/24", "10.0.0.0/23")).unwrap();
    assert!(matches!(open(None), Err(ScopeError::Signature(_))));
    std::fs::remove_file(folder.path().join("authority.vkey")).unwrap();
    assert!(matches!(open(None), Err(ScopeError::NoKey(_))));
}
