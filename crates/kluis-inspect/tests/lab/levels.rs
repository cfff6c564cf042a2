//! What the inspector says of real products: level, product, findings.

use kluis_inspect::scan::{Confidence, Grade, Level, Proof, Severity};

use super::{
    network, peers,
    site::{Site, local, marked_files, rules, service, store},
};

#[test]
fn orthanc_as_it_is_shipped() {
    if !network::is_inside("levels::orthanc_as_it_is_shipped") {
        return;
    }
    let site = Site::new();
    let _orthanc = peers::orthanc(site.folder.path(), 4242, 8042, peers::DICOMWEB);
    store("ORTHANC", 4242, &marked_files(&site.folder.path().join("files")));
    let scan = site.run(&local(&[4242, 8042], "allow_count = true")).unwrap();
    // it takes what anybody sends, and answers no searches of strangers
    let dicom = service(&scan, 4242);
    assert_eq!((dicom.level, dicom.proof, dicom.read_level), (Level::E5, Proof::Negotiated, Level::E2), "{dicom:#?}");
    assert_eq!((dicom.product.name.as_str(), dicom.product.confidence), ("DCMTK", Confidence::Certain));
    assert_eq!(rules(&scan, 4242), ["dicom-associates-anyone", "dicom-clear", "dicom-store-open"]);
    // its web side is open to who reaches it on the machine itself
    let web = service(&scan, 8042);
    assert_eq!((web.level, web.read_level, web.proof), (Level::E5, Level::E5, Proof::Negotiated), "{web:#?}");
    assert_eq!((web.product.name.as_str(), web.product.confidence), ("Orthanc", Confidence::Certain));
    assert!(web.product.version.as_deref().is_some_and(|version| version.starts_with("1.")));
    let found = rules(&scan, 8042);
    for rule in ["web-admin-open", "web-clear", "web-count-open", "web-query-open", "web-retrieve-open"] {
        assert!(found.iter().any(|held| held == rule), "{rule} is missing: {found:?}");
    }
    assert_eq!(scan.grade(), Grade::D);
    assert_eq!(site.marks(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn orthanc_that_asks_who_reads() {
    if !network::is_inside("levels::orthanc_that_asks_who_reads") {
        return;
    }
    let site = Site::new();
    let closed = ", \"AuthenticationEnabled\": true, \"RegisteredUsers\": {\"alice\": \"s3cret-of-the-lab\"}";
    let default = ", \"AuthenticationEnabled\": true, \"RegisteredUsers\": {\"orthanc\": \"orthanc\"}, \
                   \"DicomCheckCalledAet\": true, \"DicomAet\": \"ORTHANC\"";
    let _closed = peers::orthanc(site.folder.path(), 4242, 8042, &format!("{closed}{}", peers::DICOMWEB));
    let _default = peers::orthanc(site.folder.path(), 11112, 8043, default);
    let ports = [4242, 8042, 8043, 11112];
    let scan = site.run(&local(&ports, "")).unwrap();
    let web = service(&scan, 8042);
    assert_eq!(web.level, Level::E1, "{web:#?}");
    assert_eq!((web.product.name.as_str(), web.product.confidence), ("Orthanc", Confidence::Certain));
    // without the flag no account is tried
    assert_eq!(service(&scan, 8043).level, Level::E1);
    assert!(!rules(&scan, 8043).iter().any(|rule| rule == "default-account"));
    // it checks its own title: refused, and so closed to who does not know it
    let dicom = service(&scan, 11112);
    assert_eq!((dicom.level, dicom.dicom.as_ref().unwrap().checks_called_ae), (Level::E1, Some(true)), "{dicom:#?}");

    let again = Site::new();
    let flag = "allow_default_credentials = true\n[[host]]\nname = \"127.0.0.1\"\ncalled_ae = \"ORTHANC\"";
    let scan = again.run(&local(&ports, flag)).unwrap();
    assert_eq!(service(&scan, 8043).level, Level::E5);
    assert!(rules(&scan, 8043).iter().any(|rule| rule == "default-account"));
    assert!(!rules(&scan, 8042).iter().any(|rule| rule == "default-account"));
    assert_eq!(service(&scan, 8042).level, Level::E1);
    assert!(rules(&scan, 11112).iter().any(|rule| rule == "dicom-ae-title-only"), "{:?}", rules(&scan, 11112));
    assert_eq!(scan.grade(), Grade::F);
}

#[test]
fn dcmtk_as_it_is_often_set_up() {
    if !network::is_inside("levels::dcmtk_as_it_is_often_set_up") {
        return;
    }
    let site = Site::new();
    let folder = site.folder.path();
    let _any = peers::dcmqrscp(folder, 104, "ANY");
    let _closed = peers::dcmqrscp(folder, 105, "friends");
    let _receiver = peers::storescp(folder, 106, &[]);
    let _worklist = peers::wlmscpfs(folder, 107);
    store("ARCHIVE", 104, &marked_files(&folder.join("files")));
    let ports = [104, 105, 106, 107];

    // a stranger who knows no title
    let scan = site.run(&local(&ports, "")).unwrap();
    for port in [104, 105, 107] {
        let service = service(&scan, port);
        let dicom = service.dicom.as_ref().unwrap();
        assert_eq!((service.level, dicom.checks_called_ae), (Level::E1, Some(true)), "{port}: {service:#?}");
        assert_eq!(rules(&scan, port), ["dicom-clear"], "{port}");
    }
    let receiver = service(&scan, 106);
    assert_eq!((receiver.level, receiver.proof, receiver.read_level), (Level::E5, Proof::Negotiated, Level::E2));
    assert_eq!(receiver.product.name, "DCMTK");
    assert_eq!(rules(&scan, 106), ["dicom-associates-anyone", "dicom-clear", "dicom-store-open"]);

    // the owner, who knows them
    let again = Site::new();
    let entry = "allow_count = true\n[[host]]\nname = \"127.0.0.1\"\nports = [104, 105]\ncalled_ae = \"ARCHIVE\"";
    let scan = again.run(&local(&[104, 105], entry)).unwrap();
    let any = service(&scan, 104);
    assert_eq!((any.level, any.proof, any.read_level), (Level::E5, Proof::Proved, Level::E5), "{any:#?}");
    assert_eq!(any.studies, Some(kluis_inspect::scan::Bucket::Tens));
    assert_eq!(
        rules(&scan, 104),
        [
            "dicom-ae-title-only",
            "dicom-clear",
            "dicom-count-open",
            "dicom-find-open",
            "dicom-retrieve-open",
            "dicom-store-open"
        ]
    );
    let closed = service(&scan, 105);
    assert_eq!(closed.level, Level::E1, "{closed:#?}");
    assert_eq!(again.marks(), Vec::<std::path::PathBuf>::new());

    let worklist = Site::new();
    let entry = "[[host]]\nname = \"127.0.0.1\"\nports = [107]\ncalled_ae = \"WORKLIST\"";
    let scan = worklist.run(&local(&[107], entry)).unwrap();
    assert_eq!((service(&scan, 107).level, service(&scan, 107).read_level), (Level::E3, Level::E3));
    assert!(rules(&scan, 107).iter().any(|rule| rule == "dicom-worklist-open"), "{:?}", rules(&scan, 107));
    assert_eq!(scan.grade(), Grade::D);
}

#[test]
fn web_servers_with_and_without_dicom_files() {
    if !network::is_inside("levels::web_servers_with_and_without_dicom_files") {
        return;
    }
    let site = Site::new();
    let folder = site.folder.path();
    marked_files(&folder.join("open/study"));
    std::fs::write(folder.join("open/readme.txt"), "no image").unwrap();
    std::fs::create_dir(folder.join("plain")).unwrap();
    std::fs::write(folder.join("plain/index.html"), "<h1>Welcome</h1>").unwrap();
    let open = format!("root {}; autoindex on;", folder.join("open").display());
    let plain = format!("root {};", folder.join("plain").display());
    // answers every path with the same page, as many applications do
    let anything = format!("root {}; location / {{ try_files /index.html =404; }}", folder.join("plain").display());
    let json = "location / { default_type application/json; return 200 '[]'; }";
    let _open = peers::nginx(folder, 8080, &open);
    let _plain = peers::nginx(folder, 104, &plain);
    let _anything = peers::nginx(folder, 8081, &anything);
    let _json = peers::nginx(folder, 8088, json);
    let scan = site.run(&local(&[104, 8080, 8081, 8088], "")).unwrap();
    let open = service(&scan, 8080);
    assert_eq!((open.level, open.proof), (Level::E4, Proof::Proved), "{open:#?}");
    assert_eq!(open.web.as_ref().unwrap().files, Some([4, 3]));
    assert!(rules(&scan, 8080).iter().any(|rule| rule == "files-dicom-open"));
    for port in [104, 8081, 8088] {
        let plain = service(&scan, port);
        assert_eq!((plain.level, plain.product.name.as_str()), (Level::E2, "unknown"), "{plain:#?}");
        assert_eq!(rules(&scan, port), Vec::<String>::new(), "{port}");
    }
    let is_alarm = |severity| severity >= Severity::High;
    assert!(scan.findings().all(|(_, finding)| finding.port == 8080 || !is_alarm(finding.severity)));
    assert_eq!(site.marks(), Vec::<std::path::PathBuf>::new());
}
