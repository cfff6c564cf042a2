//! `kluis study …`

use anyhow::{Result, bail};
use http::Method;
use serde_json::{Value, json};

use crate::{cli::StudyCommand, client::Client, command::Output, say::say};

/// Runs the subcommand.
pub(crate) async fn run(client: &Client, command: &StudyCommand, output: &Output) -> Result<()> {
    match command {
        StudyCommand::List { limit } => {
            let path = format!("/dicom-web/studies?limit={limit}&includefield=00081030");
            let studies = list(client.json(Method::GET, &path, None).await?);
            let document = Value::Array(studies.iter().map(study).collect());
            output.print(&document, || {
                for study in &studies {
                    say!(
                        "{}  {:8}  {:24}  {:>5} images  {}",
                        value(study, "0020000D"),
                        value(study, "00080020"),
                        value(study, "00081030"),
                        value(study, "00201208"),
                        value(study, "00100010"),
                    );
                }
                if studies.is_empty() {
                    say!("no studies");
                }
            });
        }
        StudyCommand::Show { uid } => {
            let studies = list(
                client
                    .json(
                        Method::GET,
                        &format!("/dicom-web/studies?StudyInstanceUID={uid}&includefield=00081030"),
                        None,
                    )
                    .await?,
            );
            let Some(found) = studies.first() else { bail!("there is no study {uid}") };
            let series = list(
                client
                    .json(Method::GET, &format!("/dicom-web/studies/{uid}/series?includefield=0008103E"), None)
                    .await?,
            );
            let mut document = study(found);
            if let Some(fields) = document.as_object_mut() {
                fields.insert("series".to_owned(), series.iter().map(one_series).collect());
            }
            output.print(&document, || {
                say!("{}  {}  {}", value(found, "0020000D"), value(found, "00080020"), value(found, "00081030"));
                for series in &series {
                    say!(
                        "  {}  {:3} {:4}  {:>5} images  {}",
                        value(series, "0020000E"),
                        value(series, "00200011"),
                        value(series, "00080060"),
                        value(series, "00201209"),
                        value(series, "0008103E"),
                    );
                }
            });
        }
    }
    Ok(())
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list,
        _ => Vec::new(),
    }
}

fn study(found: &Value) -> Value {
    json!({
        "study": value(found, "0020000D"),
        "date": value(found, "00080020"),
        "description": value(found, "00081030"),
        "patient_name": value(found, "00100010"),
        "patient_id": value(found, "00100020"),
        "series_count": value(found, "00201206"),
        "instance_count": value(found, "00201208"),
    })
}

fn one_series(found: &Value) -> Value {
    json!({
        "series": value(found, "0020000E"),
        "number": value(found, "00200011"),
        "modality": value(found, "00080060"),
        "description": value(found, "0008103E"),
        "instance_count": value(found, "00201209"),
    })
}

/// The first value of an attribute of a DICOM JSON object, as text (PS3.18 F.2).
fn value(object: &Value, tag: &str) -> String {
    match object.pointer(&format!("/{tag}/Value/0")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(name)) => name.get("Alphabetic").and_then(Value::as_str).unwrap_or_default().to_owned(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}
