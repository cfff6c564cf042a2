//! `kluis verify`

use anyhow::Result;
use http::Method;
use serde_json::Value;

use crate::{
    cli::VerifyArgs,
    client::Client,
    command::{Output, text_of},
    say::say,
};

/// Compares the stores; `false` where they disagree.
pub(crate) async fn run(client: &Client, args: &VerifyArgs, output: &Output) -> Result<bool> {
    let report = client.json(Method::POST, &format!("/control/verify?full={}", args.full), None).await?;
    let findings = report.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    output.print(&report, || {
        let number = |key: &str| report.get(key).and_then(Value::as_u64).unwrap_or_default();
        say!(
            "{} objects, {} leaves, {} instances in the index{}",
            number("objects"),
            number("object_leaves"),
            number("instances"),
            if args.full { format!(", {} bytes read", number("bytes_read")) } else { String::new() },
        );
        for finding in &findings {
            say!("{}: {} ({})", text_of(finding, "store"), text_of(finding, "what"), text_of(finding, "which"));
        }
        if findings.is_empty() {
            say!("vault, index and ledger agree");
        }
    });
    Ok(findings.is_empty())
}
