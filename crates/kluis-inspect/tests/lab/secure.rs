//! TLS in its good and bad forms.

use std::{fs, path::Path};

use kluis_inspect::scan::{Level, Protocol};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::{
    network, peers,
    site::{Site, local, rules, service},
};

/// A certificate that is its own issuer, and its key: `NAME.cert.pem`, `NAME.key.pem`.
fn certificate(folder: &Path, name: &str, last_year: i32) -> (String, String) {
    let mut params = CertificateParams::new(vec!["lab.example.org".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(last_year, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let path = |ending: &str| folder.join(format!("{name}.{ending}")).to_str().unwrap().to_owned();
    let (certificate_path, key_path) = (path("cert.pem"), path("key.pem"));
    fs::write(&certificate_path, certificate.pem()).unwrap();
    fs::write(&key_path, key.serialize_pem()).unwrap();
    (certificate_path, key_path)
}

#[test]
fn tls_of_each_kind_is_told_apart() {
    if !network::is_inside("secure::tls_of_each_kind_is_told_apart") {
        return;
    }
    let site = Site::new();
    let folder = site.folder.path();
    let (good, good_key) = certificate(folder, "good", 2040);
    let (late, late_key) = certificate(folder, "late", 2020);
    let tls =
        |certificate: &str, key: &str| format!("ssl_certificate {certificate}; ssl_certificate_key {key}; return 404;");
    // nginx takes the port without TLS from the helper, so that a second one is given in the block
    let _late = peers::nginx(folder, 8097, &format!("listen 127.0.0.1:8443 ssl; {}", tls(&late, &late_key)));
    let old = "ssl_protocols TLSv1 TLSv1.1 TLSv1.2; ssl_ciphers ALL:@SECLEVEL=0;";
    let _old = peers::nginx(folder, 8098, &format!("listen 127.0.0.1:443 ssl; {old} {}", tls(&good, &good_key)));
    let orthanc = |required: bool| {
        format!(
            ", \"DicomTlsEnabled\": true, \"DicomTlsCertificate\": \"{good}\", \"DicomTlsPrivateKey\": \"{good_key}\", \
             \"DicomTlsTrustedCertificates\": \"{good}\", \"DicomTlsRemoteCertificateRequired\": {required}"
        )
    };
    let _anyone = peers::orthanc(folder, 2762, 9042, &orthanc(false));
    let _mutual = peers::orthanc(folder, 2763, 9043, &orthanc(true));
    let scan = site.run(&local(&[443, 2762, 2763, 8443], "")).unwrap();

    let late = service(&scan, 8443);
    assert_eq!((late.protocol, late.level), (Protocol::Http, Level::E1), "{late:#?}");
    assert_eq!(rules(&scan, 8443), ["tls-certificate-expired", "tls-certificate-self-signed"]);
    let old = service(&scan, 443).tls.clone().unwrap();
    assert_eq!((old.version.as_deref(), old.old_version.as_deref()), (Some("TLS 1.2"), Some("TLS 1.1")), "{old:#?}");
    assert_eq!(rules(&scan, 443), ["tls-certificate-self-signed", "tls-version-old"]);
    let anyone = service(&scan, 2762);
    assert_eq!((anyone.protocol, anyone.level), (Protocol::Dicom, Level::E5), "{anyone:#?}");
    assert!(anyone.tls.as_ref().unwrap().version.is_some());
    assert_eq!(rules(&scan, 2762), ["dicom-store-open", "dicom-tls-anyone", "tls-certificate-self-signed"]);
    // a port that is not known for TLS: found out by its alert, and closed to who has no certificate
    let mutual = service(&scan, 2763);
    assert_eq!((mutual.protocol, mutual.level), (Protocol::Tls, Level::E1), "{mutual:#?}");
    assert!(mutual.tls.as_ref().unwrap().asks_for_certificate);
    let id = scan.assets[0].id.clone();
    assert!(id.starts_with("key-"), "{id}");
}
