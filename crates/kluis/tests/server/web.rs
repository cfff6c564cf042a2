//! Store, search and retrieve over HTTPS.

use anyhow::Result;
use kluis_testkit::SmallInstance;
use reqwest::StatusCode;

use crate::support::{
    Server,
    dicomweb::{data_set, get, retrieve, stow},
};

#[tokio::test]
async fn what_is_stored_is_found_and_comes_back_as_it_was() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let instances: Vec<SmallInstance> = (1..=3).map(|number| SmallInstance::new(1, 1, 1, number)).collect();
    let files: Vec<Vec<u8>> = instances.iter().map(SmallInstance::file).collect();

    let (status, answer) = stow(&http, &server, &token, &files).await?;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!(answer["00081199"]["Value"].as_array().map(Vec::len), Some(3), "{answer}");

    let study = &instances[0].study;
    let found = get(&http, &server, &token, &format!("/dicom-web/studies?StudyInstanceUID={study}"), "*/*").await?;
    let found: serde_json::Value = found.json().await?;
    assert_eq!(found[0]["00201208"]["Value"][0], 3);
    assert_eq!(found[0]["00100020"]["Value"][0], instances[0].patient_id.as_str());

    let mut returned = retrieve(&http, &server, &token, &format!("/dicom-web/studies/{study}")).await?;
    let mut sent: Vec<Vec<u8>> = instances.iter().map(SmallInstance::data_set_bytes).collect();
    assert_eq!(returned.len(), 3);
    for file in &returned {
        assert!(file[..128].iter().all(|byte| *byte == 0), "the preamble is zeros");
    }
    let mut returned: Vec<Vec<u8>> = returned.drain(..).map(|file| data_set(&file).to_vec()).collect();
    returned.sort();
    sent.sort();
    assert!(returned == sent, "the data sets differ from what was stored");
    Ok(())
}

#[tokio::test]
async fn b08_other_bytes_under_a_known_uid_are_told_and_not_shown() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let first = SmallInstance::new(1, 1, 1, 1);
    let mut second = first.clone();
    second.patient_name = "Other^Name".to_owned();

    assert_eq!(stow(&http, &server, &token, &[first.file()]).await?.0, StatusCode::OK);
    assert_eq!(stow(&http, &server, &token, &[first.file()]).await?.0, StatusCode::OK, "the same bytes again");
    let (status, answer) = stow(&http, &server, &token, &[second.file()]).await?;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    assert_eq!(answer["00081198"]["Value"][0]["00081197"]["Value"][0], 0x0111, "{answer}");

    let returned = retrieve(&http, &server, &token, &format!("/dicom-web/studies/{}", first.study)).await?;
    assert_eq!(returned.len(), 1);
    assert!(data_set(&returned[0]) == first.data_set_bytes());
    let report = server.command(&["verify", "--full"])?;
    assert_eq!(report["objects"], 2, "both versions are kept: {report}");
    Ok(())
}

/// What a client asks wrongly is in the trail as failed: interrupted is only what broke off.
#[tokio::test]
async fn wrong_requests_are_failed_in_the_trail_and_not_interrupted() -> Result<()> {
    let mut server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let instance = SmallInstance::new(1, 1, 1, 1);
    assert_eq!(stow(&http, &server, &token, &[instance.file()]).await?.0, StatusCode::OK);
    let SmallInstance { study, series, sop_instance, .. } = &instance;
    let place = format!("/dicom-web/studies/{study}/series/{series}/instances/{sop_instance}");
    for (path, accept, status) in [
        (place.clone(), "image/png", StatusCode::NOT_ACCEPTABLE),
        (place.clone(), "application/dicom, image/png", StatusCode::BAD_REQUEST),
        (format!("{place}/metadata"), "image/png", StatusCode::NOT_ACCEPTABLE),
        (format!("{place}/frames/0"), "*/*", StatusCode::BAD_REQUEST),
        (format!("{place}/frames/1,99,1"), "*/*", StatusCode::NOT_FOUND),
        (format!("{place}/bulkdata/999"), "*/*", StatusCode::NOT_FOUND),
        ("/dicom-web/studies?limit=x".to_owned(), "*/*", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(get(&http, &server, &token, &path, accept).await?.status(), status, "{path} as {accept}");
    }
    for body in ["", "no boundary", "--b\r\n\r\nhalf a part"] {
        let request = http.post(format!("{}/dicom-web/studies", server.https)).bearer_auth(&token);
        let request = request.header("content-type", "multipart/related; type=\"application/dicom\"; boundary=b");
        assert_eq!(request.body(body).send().await?.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    assert!(server.command(&["device", "show", "THIS-IS-FAR-TOO-LONG"]).is_err());
    assert_eq!(server.stop()?, 0);
    let mut trail = String::new();
    let mut folders = vec![server.data().join("ledger").join("audit")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                trail.push_str(&String::from_utf8_lossy(&std::fs::read(path)?));
            }
        }
    }
    assert!(trail.contains("\"failed\""), "{trail}");
    assert!(!trail.contains("\"interrupted\""), "{trail}");
    Ok(())
}

#[tokio::test]
async fn sealed_series_answer_as_hot_ones_did() -> Result<()> {
    let server = Server::start_with_config("[seal]\nquiet_s = 0\n")?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let instances: Vec<SmallInstance> = (1..=4).map(|number| SmallInstance::new(7, 1, 1, number)).collect();
    let files: Vec<Vec<u8>> = instances.iter().map(SmallInstance::file).collect();
    stow(&http, &server, &token, &files).await?;
    let study = &instances[0].study;
    let begun = std::time::Instant::now();
    while server.command(&["verify"])?["manifests"] == 0 {
        assert!(begun.elapsed().as_secs() < 20, "the series was not sealed");
        crate::support::pause();
    }
    let metadata = get(&http, &server, &token, &format!("/dicom-web/studies/{study}/metadata"), "*/*").await?;
    let metadata: Vec<serde_json::Value> = metadata.json().await?;
    assert_eq!(metadata.len(), 4);
    let uri = metadata[0]["7FE00010"]["BulkDataURI"].as_str().unwrap_or_default();
    assert!(uri.contains(study.as_str()) && !uri.contains('@'), "{uri}");
    assert_eq!(retrieve(&http, &server, &token, &format!("/dicom-web/studies/{study}")).await?.len(), 4);
    let found: Vec<serde_json::Value> =
        get(&http, &server, &token, &format!("/dicom-web/studies/{study}/instances?InstanceNumber=3"), "*/*")
            .await?
            .json()
            .await?;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["00080018"]["Value"][0], instances[2].sop_instance.as_str());

    assert_eq!(stow(&http, &server, &token, &files[..1]).await?.0, StatusCode::OK, "the same bytes again");
    let mut other = instances[0].clone();
    other.patient_name = "Other^Name".to_owned();
    assert_eq!(stow(&http, &server, &token, &[other.file()]).await?.0, StatusCode::CONFLICT);
    let late = SmallInstance::new(7, 1, 1, 5);
    assert_eq!(stow(&http, &server, &token, &[late.file()]).await?.0, StatusCode::OK);
    assert_eq!(retrieve(&http, &server, &token, &format!("/dicom-web/studies/{study}")).await?.len(), 5);
    let report = server.command(&["verify", "--full"])?;
    assert_eq!(report["findings"].as_array().map(Vec::len), Some(0), "{report}");
    Ok(())
}

/// A filter that cannot be applied is told, and fuzzy matching is done where it is asked for (G05, G16).
#[tokio::test]
async fn g05_filter_that_is_not_searchable_is_told() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let mut instance = SmallInstance::new(1, 1, 1, 1);
    instance.patient_name = "Jansen^Piet".to_owned();
    stow(&http, &server, &token, &[instance.file()]).await?;
    for (query, is_told, status) in [
        ("Rows=9", true, StatusCode::OK),
        ("PatientName=Jansen*", false, StatusCode::OK),
        ("PatientName=Jan&fuzzymatching=true", false, StatusCode::OK),
        ("PatientName=Jan", false, StatusCode::NO_CONTENT),
    ] {
        let response = get(&http, &server, &token, &format!("/dicom-web/studies?{query}"), "*/*").await?;
        let warning = response.headers().get("warning").map(|value| value.to_str().unwrap_or_default().to_owned());
        assert_eq!(response.status(), status, "{query}");
        assert_eq!(warning.is_some_and(|warning| warning.contains("not searchable")), is_told, "{query}");
    }
    Ok(())
}
