//! `kluis route …`: the rules by which arriving objects are sent on, and why they take an object or not.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result};
use kluis_dicom::{attributes::extract, dictionary};
use kluis_policy::{Condition, Route};
use serde_json::{Map, Value, json};

use crate::{
    cli::RouteCommand,
    command::{Output, dicom::outline_of, sources::Source, zip_shelf::ZipShelf},
    config::Config,
    data_dir::DataDir,
    say::say,
};

/// Runs the subcommand.
pub(crate) async fn run(dir: &DataDir, command: &RouteCommand, output: &Output) -> Result<()> {
    let routes = Config::read(&dir.config())?.routes()?;
    match command {
        RouteCommand::List => list(&routes, output),
        RouteCommand::Test { file, from } => test(&routes, file, from.as_deref(), output).await?,
    }
    Ok(())
}

fn list(routes: &[Route], output: &Output) {
    let documents: Vec<Value> = routes.iter().map(document).collect();
    output.print(&json!(documents), || {
        for route in routes {
            let to: Vec<&str> = route.to.iter().map(|ae| ae.as_str()).collect();
            say!("{:20} to {}", route.name, to.join(", "));
        }
        if routes.is_empty() {
            say!("no [[route]] in kluis.toml: nothing is sent on");
        }
    });
}

fn document(route: &Route) -> Value {
    let attributes: Map<String, Value> =
        route.attributes.iter().map(|(keyword, patterns)| (keyword.clone(), json!(patterns))).collect();
    let to: Vec<&str> = route.to.iter().map(|ae| ae.as_str()).collect();
    let hours = route.hours.map(|hours| hours.to_string());
    json!({ "name": route.name, "to": to, "from": route.from, "match": attributes, "hours": hours,
        "priority": route.priority })
}

async fn test(routes: &[Route], file: &Path, from: Option<&str>, output: &Output) -> Result<()> {
    let outline = outline_of(&Source::File(file.to_owned()), &Arc::new(ZipShelf::default()))
        .await
        .with_context(|| format!("{} is no DICOM object", file.display()))?;
    let attributes = extract(&outline).with_context(|| format!("{} lacks what an archive needs", file.display()))?;
    let values = |keyword: &str| {
        let Some(tag) = dictionary::tag(keyword) else { return Vec::new() };
        let name = format!("{:04X}{:04X}", tag.0, tag.1);
        let kept = [&attributes.instance_json, &attributes.series_json, &attributes.study_json];
        let found = kept.into_iter().find_map(|kept| kept.get(&name)?.get("Value")?.as_array());
        found.into_iter().flatten().map(text).collect::<Vec<String>>()
    };
    let told: Vec<(&Route, Vec<Condition>)> =
        routes.iter().map(|route| (route, route.explain(from, &values))).collect();
    let documents: Vec<Value> = told
        .iter()
        .map(|(route, conditions)| {
            let of = |condition: &Condition| {
                json!({ "of": condition.of, "wanted": condition.wanted, "holds": condition.holds })
            };
            let is_taken = conditions.iter().all(|condition| condition.holds);
            json!({ "name": route.name, "taken": is_taken, "to": document(route).get("to"),
                "conditions": conditions.iter().map(of).collect::<Vec<_>>() })
        })
        .collect();
    output.print(&json!(documents), || {
        for (route, conditions) in &told {
            let is_taken = conditions.iter().all(|condition| condition.holds);
            say!("{} {}", if is_taken { "taken    " } else { "not taken" }, route.name);
            for condition in conditions {
                let mark = if condition.holds { "holds" } else { "fails" };
                say!("  {mark}  {} is {}", condition.of, condition.wanted.join(" or "));
            }
        }
    });
    Ok(())
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(name) => name.get("Alphabetic").and_then(Value::as_str).unwrap_or_default().to_owned(),
        other => other.to_string(),
    }
}
