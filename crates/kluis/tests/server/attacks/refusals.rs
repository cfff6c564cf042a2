//! Who has no proof, or the wrong role, gets nothing: at every route and every SOP class of the two tables.
//!
//! The tables are those from which the doors are built. A row without a line here fails the test that walks them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kluis_policy::{DeviceRight, Door, Role};
use kluis_scp::SERVICES;
use kluis_testkit::SmallInstance;
use kluis_web::{Access, ROUTES, Route};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    Server,
    dicomweb::stow,
    dimse::{Listed, commit, find, get, normalized, send, transfer},
    worklist,
};

/// What a role gets at a route that needs proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    /// As far as the handler: anything but 401 and 403.
    Handler,
    /// 403, or 404 where the route names a study.
    Refused,
}

/// The roles that get as far as the handler, by operation. What is not here is for the control socket alone.
const ROLES: &[(&str, &[Role])] = {
    use Role::{Admin, Auditor, Radiologist, Referrer, Scheduler, Uploader};
    &[
        ("search-studies", &[Admin, Radiologist, Referrer]),
        ("search-series", &[Admin, Radiologist, Referrer]),
        ("search-instances", &[Admin, Radiologist, Referrer]),
        ("retrieve", &[Admin, Radiologist]),
        ("store", &[Admin, Uploader]),
        ("search-worklist", &[Admin, Scheduler]),
        ("manage-worklist", &[Admin, Scheduler]),
        ("read-objects-log", &[Admin, Auditor]),
        ("read-audit-log", &[Admin, Auditor]),
        ("view-console", &[Admin, Radiologist, Referrer, Uploader, Auditor]),
        ("view-upload", &[Admin, Uploader]),
        ("view-viewer", &[Admin, Radiologist, Referrer]),
        ("read-metrics", &[Admin]),
        ("read-api-description", &[Admin, Radiologist, Referrer, Uploader, Auditor, Scheduler]),
        ("sign-out", &[Admin, Radiologist, Referrer, Uploader, Auditor, Scheduler]),
    ]
};

/// One line per route that needs proof: the operation that the gate is asked for. [`ROLES`] says who gets it.
const LINES: &[(&str, &str)] = &[
    ("GET /dicom-web/studies", "search-studies"),
    ("GET /dicom-web/series", "search-series"),
    ("GET /dicom-web/instances", "search-instances"),
    ("GET /dicom-web/studies/{study}/series", "search-series"),
    ("GET /dicom-web/studies/{study}/instances", "search-instances"),
    ("GET /dicom-web/studies/{study}/series/{series}/instances", "search-instances"),
    ("POST /dicom-web/studies", "store"),
    ("POST /dicom-web/studies/{study}", "store"),
    ("GET /dicom-web/studies/{study}", "retrieve"),
    ("GET /dicom-web/studies/{study}/metadata", "retrieve"),
    ("GET /dicom-web/studies/{study}/series/{series}", "retrieve"),
    ("GET /dicom-web/studies/{study}/series/{series}/metadata", "retrieve"),
    ("GET /dicom-web/studies/{study}/series/{series}/instances/{instance}", "retrieve"),
    ("GET /dicom-web/studies/{study}/series/{series}/instances/{instance}/metadata", "retrieve"),
    ("GET /dicom-web/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", "retrieve"),
    ("GET /dicom-web/studies/{study}/series/{series}/instances/{instance}/bulkdata/{index}", "retrieve"),
    ("GET /worklist/entries", "search-worklist"),
    ("POST /worklist/entries", "manage-worklist"),
    ("GET /worklist/entries/{id}", "search-worklist"),
    ("DELETE /worklist/entries/{id}", "manage-worklist"),
    ("GET /ledger/objects/{*file}", "read-objects-log"),
    ("GET /ledger/audit/{*file}", "read-audit-log"),
    ("GET /metrics", "read-metrics"),
    ("GET /openapi.json", "read-api-description"),
    ("POST /sign-out", "sign-out"),
    ("GET /", "view-console"),
    ("POST /", "view-console"),
    ("GET /upload", "view-upload"),
    ("GET /viewer", "view-viewer"),
    ("GET /viewer/", "view-viewer"),
    ("GET /viewer/{*file}", "view-viewer"),
    ("GET /control/status", "verify-archive"),
    ("POST /control/import", "store"),
    ("GET /control/export/{study}", "export"),
    ("POST /control/verify", "verify-archive"),
    ("GET /control/devices", "manage-devices"),
    ("POST /control/devices", "manage-devices"),
    ("GET /control/devices/{ae}", "manage-devices"),
    ("DELETE /control/devices/{ae}", "manage-devices"),
    ("GET /control/users", "manage-users"),
    ("POST /control/users", "manage-users"),
    ("POST /control/users/{name}/link", "manage-users"),
    ("DELETE /control/users/{name}", "manage-users"),
    ("GET /control/tokens", "manage-tokens"),
    ("POST /control/tokens", "manage-tokens"),
    ("DELETE /control/tokens/{name}", "manage-tokens"),
];

/// Routes that answer anyone: our own words only.
const OPEN: &[&str] = &["GET /healthz", "GET /enrol/{code}", "GET /sign-in", "GET /assets/{file}"];

fn web_routes() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().filter(|route| route.doors.contains(&Door::Web))
}

/// One line per service class: the rights that a device needs for it.
const SERVICE_LINES: &[(&str, &[DeviceRight])] = &[
    ("Verification", &[]),
    ("Storage", &[DeviceRight::Store]),
    ("Query", &[DeviceRight::Find]),
    ("Retrieve", &[DeviceRight::Get]),
    ("Retrieve to a third", &[DeviceRight::Move]),
    ("Storage Commitment", &[DeviceRight::Commit]),
    ("Modality Worklist", &[DeviceRight::Worklist]),
    ("Modality Performed Procedure Step, creation", &[DeviceRight::Worklist]),
    ("Modality Performed Procedure Step, update", &[DeviceRight::Worklist]),
];

#[test]
fn every_service_has_a_line() {
    for service in SERVICES {
        assert!(SERVICE_LINES.iter().any(|(name, _)| *name == service.name), "{} has no line", service.name);
    }
}

/// Every SOP class of every service: without a certificate of ours there is no association, and without the right there
/// is 0124H for each object.
#[test]
fn no_sop_class_serves_a_stranger_or_a_device_without_the_right() -> Result<()> {
    let (server, stranger) = (Server::start()?, Server::start()?);
    let folder = server.beside().join("classes");
    std::fs::create_dir_all(&folder)?;
    let mut files = Vec::new();
    for service in SERVICES {
        let (_, rights) = SERVICE_LINES.iter().find(|(name, _)| *name == service.name).context("no line")?;
        for class in service.sop_classes().filter(|_| rights.contains(&DeviceRight::Store)) {
            let mut instance = SmallInstance::new(3, 1, 1, u32::try_from(files.len())?);
            class.uid.clone_into(&mut instance.sop_class);
            let path = folder.join(class.uid);
            std::fs::write(&path, instance.file())?;
            let transfer_syntax = kluis_testkit::part10::EXPLICIT_VR_LITTLE_ENDIAN;
            files.push(Listed { path: &path, sop_class: class.uid, transfer_syntax }.to_json());
        }
    }
    assert!(files.len() > 150, "only {} classes", files.len());
    let list = server.beside().join("classes.json");
    std::fs::write(&list, serde_json::to_vec(&files)?)?;

    let device = server.device("NOSTORE", "find")?;
    let foreign = stranger.device("NOSTORE", "store")?;
    for identity in [None, Some((foreign.as_path(), "NOSTORE"))] {
        let answer = send("dimse.py", &server, "NOSTORE", identity, &list)?.answer;
        assert_eq!(answer["associated"], false, "{answer}");
        assert_eq!(answer["stored"], 0, "{answer}");
    }
    let answer = send("dimse.py", &server, "NOSTORE", Some((&device, "NOSTORE")), &list)?.answer;
    assert_eq!(answer["stored"], 0, "{answer}");
    let failed = answer["failed"].as_array().context("failed")?;
    assert_eq!(failed.len(), files.len(), "{answer}");
    assert!(failed.iter().all(|failure| failure["status"] == 0x0124), "{answer}");
    assert_eq!(server.command(&["verify"])?["objects"], 0);
    Ok(())
}

/// C-FIND likewise, in every information model.
#[test]
fn no_information_model_is_searched_by_a_stranger_or_a_device_without_the_right() -> Result<()> {
    let (server, stranger) = (Server::start()?, Server::start()?);
    let service = SERVICES.iter().find(|service| service.name == "Query").context("no C-FIND")?;
    let keys = json!({ "QueryRetrieveLevel": "STUDY", "PatientID": "*" });
    let queries: Vec<Value> = service.sop_classes().map(|class| json!({ "model": class.uid, "keys": keys })).collect();
    assert_eq!(queries.len(), 3);
    let foreign = stranger.device("NOFIND", "find")?;
    let device = server.device("NOFIND", "store")?;
    for identity in [None, Some((foreign.as_path(), "NOFIND"))] {
        let answer = find(&server, "NOFIND", identity, &json!(queries))?;
        assert_eq!((&answer["associated"], &answer["answers"]), (&json!(false), &json!([])), "{answer}");
    }
    let answer = find(&server, "NOFIND", Some((&device, "NOFIND")), &json!(queries))?;
    assert_eq!(answer["answers"].as_array().map(Vec::len), Some(3), "{answer}");
    for one in answer["answers"].as_array().context("answers")? {
        assert_eq!(one["statuses"], json!([0x0124]), "{answer}");
    }
    Ok(())
}

/// C-GET likewise: without the right no object leaves, and none is counted.
#[test]
fn nothing_is_got_by_a_stranger_or_a_device_without_the_right() -> Result<()> {
    let (server, stranger) = (Server::start()?, Server::start()?);
    let instance = SmallInstance::new(3, 1, 1, 1);
    let file = server.beside().join("one.dcm");
    std::fs::write(&file, instance.file())?;
    server.command(&["import", file.to_str().context("path")?])?;
    let service = SERVICES.iter().find(|service| service.name == "Retrieve").context("no C-GET")?;
    let keys = json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": instance.study });
    let take = json!([[instance.sop_class, kluis_testkit::part10::EXPLICIT_VR_LITTLE_ENDIAN]]);
    let queries: Vec<Value> =
        service.sop_classes().map(|class| json!({ "model": class.uid, "keys": keys, "take": take })).collect();
    assert_eq!(queries.len(), 3);
    let foreign = stranger.device("NOGET", "get")?;
    let device = server.device("NOGET", "store,find,move")?;
    for identity in [None, Some((foreign.as_path(), "NOGET"))] {
        let answer = get(&server, "NOGET", identity, &json!(queries))?;
        assert_eq!((&answer["associated"], &answer["answers"]), (&json!(false), &json!([])), "{answer}");
    }
    let answer = get(&server, "NOGET", Some((&device, "NOGET")), &json!(queries))?;
    assert_eq!(answer["answers"].as_array().map(Vec::len), Some(3), "{answer}");
    for one in answer["answers"].as_array().context("answers")? {
        assert_eq!((&one["statuses"], &one["stored"]), (&json!([0x0124]), &json!({})), "{answer}");
    }
    Ok(())
}

/// C-MOVE likewise: who may not have anything sent does not even learn which destinations there are.
#[test]
fn nothing_is_moved_for_a_stranger_or_a_device_without_the_right() -> Result<()> {
    let (server, stranger) = (Server::start()?, Server::start()?);
    let instance = SmallInstance::new(3, 1, 1, 1);
    let file = server.beside().join("one.dcm");
    std::fs::write(&file, instance.file())?;
    server.command(&["import", file.to_str().context("path")?])?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    server.listening_device("WORKSTATION", "store", &listener.local_addr()?.to_string())?;
    let service = SERVICES.iter().find(|service| service.name == "Retrieve to a third").context("no C-MOVE")?;
    let keys = json!({ "QueryRetrieveLevel": "STUDY", "StudyInstanceUID": instance.study });
    let asked = |class: &str, to: &str| json!({ "model": class, "keys": keys, "destination": to });
    let classes: Vec<&str> = service.sop_classes().map(|class| class.uid).collect();
    assert_eq!(classes.len(), 3);
    let to = |destination: &'static str| classes.iter().map(move |class| asked(class, destination));
    let queries: Vec<Value> = to("WORKSTATION").chain(to("NOBODY")).collect();
    let foreign = stranger.device("NOMOVE", "move")?;
    let device = server.device("NOMOVE", "store,find,get")?;
    for identity in [None, Some((foreign.as_path(), "NOMOVE"))] {
        let answer = transfer(&server, "NOMOVE", identity, &json!(queries))?;
        assert_eq!((&answer["associated"], &answer["answers"]), (&json!(false), &json!([])), "{answer}");
    }
    let answer = transfer(&server, "NOMOVE", Some((&device, "NOMOVE")), &json!(queries))?;
    assert_eq!(answer["answers"].as_array().map(Vec::len), Some(6), "{answer}");
    for one in answer["answers"].as_array().context("answers")? {
        assert_eq!((&one["statuses"], &one["comment"]), (&json!([0x0124]), &Value::Null), "{answer}");
    }
    assert!(listener.accept().is_err(), "the destination was called");
    Ok(())
}

/// Storage commitment likewise: whether an object is here is told to who has the right.
#[test]
fn nothing_is_committed_to_a_stranger_or_a_device_without_the_right() -> Result<()> {
    let (server, stranger) = (Server::start()?, Server::start()?);
    let foreign = stranger.device("NOCOMMIT", "commit")?;
    let device = server.device("NOCOMMIT", "store,find,get,move")?;
    let asked = |transaction: &str| json!({ "transaction": transaction, "instances": [["1.2.840.10008.5.1.4.1.1.2", "1.2.3"]], "wait": 1 });
    let queries = json!([asked("1.2.3.4"), asked(""), { "transaction": "1.2", "instances": [], "action": 9 }]);
    for identity in [None, Some((foreign.as_path(), "NOCOMMIT"))] {
        let answer = commit(&server, "NOCOMMIT", identity, &queries)?;
        assert_eq!((&answer["associated"], &answer["answers"]), (&json!(false), &json!([])), "{answer}");
    }
    let answer = commit(&server, "NOCOMMIT", Some((&device, "NOCOMMIT")), &queries)?;
    assert_eq!(answer["answers"].as_array().map(Vec::len), Some(3), "{answer}");
    for one in answer["answers"].as_array().context("answers")? {
        assert_eq!((&one["status"], &one["reports"]), (&json!(0x0124), &json!([])), "{answer}");
    }
    Ok(())
}

/// The worklist likewise: without the right no entry is told and no step is made, and no step of another device is changed.
#[test]
fn no_worklist_and_no_step_for_a_stranger_or_a_device_without_the_right() -> Result<()> {
    let (server, stranger) = (Server::start()?, Server::start()?);
    worklist::put(&server, &[worklist::entry(1, "CT1", "20261123", "0800")])?;
    let everything_else = "store,find,move,get,commit";
    let (own, foreign) = (server.device("NOLIST", everything_else)?, stranger.device("NOLIST", "worklist")?);
    let queries = json!([{ "model": worklist::MODALITY_WORKLIST, "keys": { "PatientName": "" } }]);
    let step = worklist::step(1);
    let request = |operation: &str, uid: &str| json!({ "operation": operation, "class": worklist::PERFORMED_STEP, "instance": uid, "attributes": step });
    let requests = json!([request("N-CREATE", "2.25.1"), request("N-SET", "2.25.1")]);
    for identity in [None, Some((foreign.as_path(), "NOLIST"))] {
        for answer in
            [find(&server, "NOLIST", identity, &queries)?, normalized(&server, "NOLIST", identity, &requests)?]
        {
            assert_eq!((&answer["associated"], &answer["answers"]), (&json!(false), &json!([])), "{answer}");
        }
    }
    let answer = find(&server, "NOLIST", Some((&own, "NOLIST")), &queries)?;
    assert_eq!(answer["answers"][0]["statuses"], json!([0x0124]), "{answer}");
    let answer = normalized(&server, "NOLIST", Some((&own, "NOLIST")), &requests)?;
    let statuses: Vec<&Value> = answer["answers"].as_array().context("answers")?.iter().map(|a| &a["status"]).collect();
    assert_eq!(json!(statuses), json!([0x0124, 0x0124]), "{answer}");

    let (first, second) = (server.device("CT1", "worklist")?, server.device("CT2", "worklist")?);
    let answer = normalized(&server, "CT1", Some((&first, "CT1")), &json!([request("N-CREATE", "2.25.7")]))?;
    assert_eq!(answer["answers"][0]["status"], 0, "{answer}");
    // another's step answers as one that there is not
    let requests = json!([request("N-SET", "2.25.7"), request("N-SET", "2.25.8")]);
    let answer = normalized(&server, "CT2", Some((&second, "CT2")), &requests)?;
    let told = |number: usize| ["status", "comment", "error_id", "attributes"].map(|of| &answer["answers"][number][of]);
    assert_eq!((told(0), told(0)[0].as_u64()), (told(1), Some(0x0112)));
    Ok(())
}

#[test]
fn every_route_has_a_line() {
    for route in ROUTES {
        let name = format!("{route:?}");
        match (route.access, (route.operation)()) {
            (Access::Open, None) => assert!(OPEN.contains(&name.as_str()), "{name} is open and has no line in OPEN"),
            (Access::Open, Some(_)) => panic!("{name} is open and names an operation"),
            (Access::Proved, None) => panic!("{name} needs proof and names no operation"),
            (Access::Proved, Some(operation)) => {
                let line = LINES.iter().find(|(route, _)| *route == name);
                let (_, expected) =
                    line.unwrap_or_else(|| panic!("{name} ({}) has no line in LINES", operation.name()));
                assert_eq!(operation.name(), *expected, "{name}");
                let is_control_only = route.doors == [Door::Control];
                let has_roles = ROLES.iter().any(|(operation, _)| operation == expected);
                assert!(is_control_only || has_roles, "{expected} has no line in ROLES");
            }
        }
    }
    let rows: Vec<String> = ROUTES.iter().map(|route| format!("{route:?}")).collect();
    for (line, _) in LINES {
        assert!(rows.iter().any(|row| row == line), "{line} has a line and no route");
    }
}

fn request(http: &Client, server: &Server, route: &Route) -> Result<RequestBuilder> {
    let method = Method::from_bytes(route.method.as_str().as_bytes())?;
    Ok(http.request(method, format!("{}{}", server.https, route.sample)).header("accept", "*/*"))
}

#[tokio::test]
async fn without_proof_nothing_is_told_at_any_route() -> Result<()> {
    let server = Server::start()?;
    let http = server.http()?;
    let instance = SmallInstance::new(1, 1, 1, 1);
    stow(&http, &server, &server.token("admin")?, &[instance.file()]).await?;
    // side by side, as refusals of one source are held back
    let mut walked = 0;
    let mut walks = JoinSet::new();
    for route in web_routes().filter(|route| route.access == Access::Proved) {
        for proof in [None, Some("Bearer "), Some("Bearer kluis_wrong"), Some("Basic YWRtaW46YWRtaW4=")] {
            let mut request = request(&http, &server, route)?;
            if let Some(proof) = proof {
                request = request.header("authorization", proof);
            }
            let request = request.header("cookie", "__Host-kluis=wrong");
            walks.spawn(async move {
                let response = request.send().await?;
                let status = response.status();
                anyhow::Ok((format!("{route:?} with {proof:?}"), status, response.text().await?))
            });
            walked += 1;
        }
    }
    while let Some(answer) = walks.join_next().await {
        let (what, status, body) = answer??;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
        assert!(!body.contains(&instance.study) && !body.contains(&instance.patient_id), "{what}: {body}");
    }
    assert!(walked > 60, "only {walked} requests: the table was not walked");
    // existing and absent studies answer alike
    for study in [instance.study.as_str(), "1.2.3"] {
        let response = http.get(format!("{}/dicom-web/studies/{study}", server.https)).send().await?;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{study}");
    }
    Ok(())
}

/// Guesses are answered later and later, and never otherwise; who shows a good token does not wait for them.
#[tokio::test]
async fn t02_wrong_proofs_over_https_are_held_back() -> Result<()> {
    let server = Server::start()?;
    let (http, token) = (server.http()?, server.token("admin")?);
    let wrong = |proof: usize| {
        let at = |path: &str| http.get(format!("{}{path}", server.https)).header("accept", "application/json");
        match proof % 4 {
            0 => at("/dicom-web/studies").bearer_auth("kluis_wrong"),
            1 => at("/dicom-web/studies").header("cookie", "__Host-kluis=wrong"),
            // a method that there is not tells nothing either
            2 => http.put(format!("{}/dicom-web/studies", server.https)).bearer_auth("kluis_wrong"),
            _ => at("/enrol/wrong"),
        }
    };
    let begun = Instant::now();
    for proof in 0..9 {
        assert_eq!(wrong(proof).send().await?.status(), StatusCode::UNAUTHORIZED, "{proof}");
    }
    // 0.1 + 0.2 + 0.4 + 0.8 s behind the first five
    assert!(begun.elapsed() >= Duration::from_millis(1500), "{:?}", begun.elapsed());
    let held_back = tokio::spawn(wrong(0).send());
    let good = http.get(format!("{}/dicom-web/studies", server.https)).bearer_auth(&token).send().await?;
    assert!(good.status().is_success());
    assert!(!held_back.is_finished(), "a good token waited behind a wrong one");
    assert_eq!(held_back.await??.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn each_role_gets_its_routes_and_no_others() -> Result<()> {
    let server = Server::start()?;
    let http = server.http()?;
    for role in Role::ALL {
        let token = server.token(role.as_str())?;
        for route in web_routes().filter(|route| route.access == Access::Proved) {
            let Some(operation) = (route.operation)() else { continue };
            let Some((_, roles)) = ROLES.iter().find(|(line, _)| *line == operation.name()) else {
                panic!("{route:?} has no line in ROLES");
            };
            let expect = if roles.contains(&role) { Expect::Handler } else { Expect::Refused };
            let response = request(&http, &server, route)?.bearer_auth(&token).send().await?;
            let status = response.status();
            let is_refused =
                status == StatusCode::FORBIDDEN || status == StatusCode::NOT_FOUND && operation.study().is_some();
            let got = match status {
                StatusCode::UNAUTHORIZED => panic!("{route:?} as {role}: a valid token was not taken"),
                // what does not exist and what is forbidden answer alike
                StatusCode::NOT_FOUND if operation.study().is_some() => expect,
                _ if is_refused => Expect::Refused,
                _ => Expect::Handler,
            };
            assert_eq!(got, expect, "{route:?} as {role}: {status}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn control_routes_are_not_served_over_https() -> Result<()> {
    let server = Server::start()?;
    let http = server.http()?;
    let token = server.token("admin")?;
    for route in ROUTES.iter().filter(|route| route.doors == [Door::Control]) {
        let response = request(&http, &server, route)?.bearer_auth(&token).send().await?;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{route:?}");
    }
    Ok(())
}

/// A referrer sees own studies, and cannot tell another's from one that does not exist.
#[tokio::test]
async fn wrong_patient_answers_as_absent() -> Result<()> {
    let server = Server::start()?;
    let http = server.http()?;
    let mine = SmallInstance::new(1, 1, 1, 1);
    let other = SmallInstance::new(1, 2, 1, 1);
    let referred = |instance: &SmallInstance, name: &str| {
        let set = instance.data_set().without((0x0008, 0x0090)).name((0x0008, 0x0090), name);
        kluis_testkit::part10::file(&set, kluis_testkit::part10::EXPLICIT_VR_LITTLE_ENDIAN)
    };
    let admin = server.token("admin")?;
    let files = [referred(&mine, "Doe^Jane"), referred(&other, "Roe^Rita")];
    assert_eq!(stow(&http, &server, &admin, &files).await?.0, StatusCode::OK);
    let made = server.command(&["token", "create", "jane", "--role", "referrer", "--referring", "DOE^JANE"])?;
    let token = made["token"].as_str().unwrap_or_default();

    let found: serde_json::Value =
        http.get(format!("{}/dicom-web/studies", server.https)).bearer_auth(token).send().await?.json().await?;
    assert_eq!(found.as_array().map(Vec::len), Some(1));
    assert_eq!(found[0]["0020000D"]["Value"][0], mine.study.as_str());
    let mut answers = Vec::new();
    for study in [other.study.as_str(), "1.2.3"] {
        for path in ["", "/metadata", "/series/1.2/metadata"] {
            let url = format!("{}/dicom-web/studies/{study}{path}", server.https);
            let response = http.get(url).bearer_auth(token).header("accept", "*/*").send().await?;
            answers.push((response.status(), response.text().await?));
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::NOT_FOUND);
    let url = format!("{}/dicom-web/studies/{}", server.https, mine.study);
    let own = http.get(url).bearer_auth(token).header("accept", "*/*").send().await?;
    assert_eq!(own.status(), StatusCode::OK);
    Ok(())
}
