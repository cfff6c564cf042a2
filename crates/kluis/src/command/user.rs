//! `kluis user …`

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use crate::{
    cli::UserCommand,
    client::Client,
    command::{Output, segment, text_of},
    say::say,
};

/// Runs the subcommand; `address` is where browsers reach the node.
pub(crate) async fn run(client: &Client, command: &UserCommand, address: &str, output: &Output) -> Result<()> {
    match command {
        UserCommand::Add { name, role, referring } => {
            let request = json!({ "name": name, "role": role, "referring": referring });
            let added = client.json(Method::POST, "/control/users", Some(&request)).await?;
            print_link(name, &added, address, output);
        }
        UserCommand::Link { name } => {
            let path = format!("/control/users/{}/link", segment(name));
            let made = client.json(Method::POST, &path, None).await?;
            print_link(name, &made, address, output);
        }
        UserCommand::List => {
            let users = client.json(Method::GET, "/control/users", None).await?;
            output.print(&users, || {
                for user in users.as_array().into_iter().flatten() {
                    say!("{:32}  {:12}  {}", text_of(user, "name"), text_of(user, "role"), text_of(user, "referring"));
                }
            });
        }
        UserCommand::Remove { name } => {
            client.json(Method::DELETE, &format!("/control/users/{}", segment(name)), None).await?;
            output.print(&json!({ "removed": name }), || say!("removed {name}; all sessions ended"));
        }
    }
    Ok(())
}

/// The enrolment link, from the code that is told once.
pub(crate) fn link(code: &str, address: &str) -> String {
    format!("{address}/enrol/{code}")
}

fn print_link(name: &str, made: &Value, address: &str, output: &Output) {
    let code = text_of(made, "code");
    let link = link(code, address);
    let document = json!({
        "name": name,
        "enrolment_code": code,
        "enrolment_url": link,
        "expires_at": made.get("expires_at"),
    });
    output.print(&document, || {
        say!("Enrolment link for {name}, good once, until {}:", text_of(made, "expires_at"));
        say!("  {link}");
    });
}
