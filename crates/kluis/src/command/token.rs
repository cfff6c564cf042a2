//! `kluis token …`

use anyhow::{Context, Result, bail};
use http::Method;
use serde_json::json;

use crate::{
    cli::TokenCommand,
    client::Client,
    command::{Output, segment, text_of},
    say::say,
};

/// Runs the subcommand.
pub(crate) async fn run(client: &Client, command: &TokenCommand, output: &Output) -> Result<()> {
    match command {
        TokenCommand::Create { name, role, ttl, referring } => {
            let request = json!({ "name": name, "role": role, "ttl_s": ttl_seconds(ttl)?, "referring": referring });
            let token = client.json(Method::POST, "/control/tokens", Some(&request)).await?;
            output.print(&token, || say!("{}", text_of(&token, "token")));
        }
        TokenCommand::List => {
            let tokens = client.json(Method::GET, "/control/tokens", None).await?;
            output.print(&tokens, || {
                for token in tokens.as_array().into_iter().flatten() {
                    say!(
                        "{:32}  {:12}  until {}",
                        text_of(token, "name"),
                        text_of(token, "role"),
                        text_of(token, "expires_at")
                    );
                }
            });
        }
        TokenCommand::Revoke { name } => {
            client.json(Method::DELETE, &format!("/control/tokens/{}", segment(name)), None).await?;
            output.print(&json!({ "revoked": name }), || say!("revoked {name}"));
        }
    }
    Ok(())
}

/// `90s`, `30m`, `8h`, `7d`: seconds.
fn ttl_seconds(text: &str) -> Result<u64> {
    let wrong = || format!("`{text}` is no time to live; write a number with s, m, h or d, such as 8h");
    let Some(unit) = text.chars().last() else { bail!(wrong()) };
    let number: u64 = text.trim_end_matches(unit).parse().with_context(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => bail!(wrong()),
    };
    number.checked_mul(seconds).filter(|total| *total > 0).with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ttl_table() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("8h", 28_800), ("7d", 604_800)] {
            assert_eq!(ttl_seconds(text).unwrap(), seconds, "{text}");
        }
        for text in ["", "8", "h", "0h", "-1h", "8w", "99999999999999999999d"] {
            assert!(ttl_seconds(text).is_err(), "{text}");
        }
    }
}
