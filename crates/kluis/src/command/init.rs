//! `kluis init`: keys, certificate authority, configuration, and the first administrator.

use std::path::Path;

use anyhow::{Context, Result, bail};
use kluis_archive::{Clock, SystemClock};
use kluis_identity::CertificateAuthority;
use kluis_keys::{KeyRing, RootProvider};
use serde_json::{Value, json};

use crate::{
    cli::InitArgs,
    client::Client,
    command::{Output, text_of, user},
    config::Config,
    data_dir::{DataDir, write_atomically},
    local, node,
    say::say,
};

/// Name of the first administrator's account.
pub(crate) const ADMINISTRATOR: &str = "admin";

/// Makes the vault and prints the enrolment code.
pub(crate) async fn run(dir: &DataDir, args: &InitArgs, output: &Output) -> Result<()> {
    let config = create(dir, args)?;
    let link = enrol_administrator(dir, &config).await?;
    let document = json!({
        "data": dir.path(),
        "ca": dir.ca_certificate(),
        "user": ADMINISTRATOR,
        "enrolment_code": link.code,
        "enrolment_url": link.url,
        "expires_at": link.expires_at,
    });
    output.print(&document, || {
        say!("The vault is in {}.", dir.path().display());
        match (&config.root_key.key_file, &config.root_key.passphrase_file) {
            (Some(path), _) => say!("Its root key is {}.", path.display()),
            (_, Some(_)) => say!("Its root key is made from the passphrase."),
            _ => say!("Its root key is {}.", node::default_key_file(dir).display()),
        }
        say!("Whoever loses the root key or the folder keys/ loses every image: keep a copy of both elsewhere.");
        say!();
        say!("Enrolment code for {ADMINISTRATOR}, good once, until {}:", link.expires_at);
        say!("  {}", link.code);
        say!("Start the node with `kluis serve --data {}`, then open:", dir.path().display());
        say!("  {}", link.url);
    });
    Ok(())
}

/// Makes folders, keys, authority and configuration.
pub(crate) fn create(dir: &DataDir, args: &InitArgs) -> Result<Config> {
    if dir.is_initialised() {
        bail!("{} holds a vault already; choose another folder", dir.path().display());
    }
    let authority = CertificateAuthority::create(SystemClock.now())?;
    authority
        .issue_server(&args.hostname, SystemClock.now())
        .with_context(|| format!("--hostname {}", args.hostname.join(", ")))?;
    dir.create()?;
    let mut config = Config::default();
    config.https.hostnames.clone_from(&args.hostname);
    config.root_key.key_file = absolute(args.key_file.as_deref())?;
    config.root_key.passphrase_file = absolute(args.passphrase_file.as_deref())?;
    let provider: RootProvider = node::root_provider(dir, &config)?;
    let keys = KeyRing::create(&dir.keys(), &provider).context("cannot make the keys")?;
    keys.write_sealed_file(node::AUTHORITY_KEY, &authority.key())?;
    write_atomically(&dir.ca_certificate(), authority.certificate_pem().as_bytes(), 0o644)?;
    // last, since its presence says that the vault is whole
    config.write(&dir.config())?;
    Ok(config)
}

fn absolute(path: Option<&Path>) -> Result<Option<std::path::PathBuf>> {
    path.map(|path| std::path::absolute(path).with_context(|| format!("no path: {}", path.display()))).transpose()
}

/// An enrolment link that was just made.
pub(crate) struct Link {
    pub(crate) code: String,
    pub(crate) url: String,
    pub(crate) expires_at: String,
}

async fn enrol_administrator(dir: &DataDir, config: &Config) -> Result<Link> {
    let opened = local::open(dir).await?;
    let request = json!({ "name": ADMINISTRATOR, "role": "admin" });
    let added = opened.client().json(http::Method::POST, "/control/users", Some(&request)).await?;
    let link = link(&added, &format!("https://{}", config.https.address));
    opened.close().await?;
    Ok(link)
}

/// A new link for the administrator, through a client.
pub(crate) async fn administrator_link(client: &Client, address: &str) -> Result<Link> {
    let path = format!("/control/users/{ADMINISTRATOR}/link");
    let made = client.json(http::Method::POST, &path, None).await?;
    Ok(link(&made, address))
}

fn link(made: &Value, address: &str) -> Link {
    let code = text_of(made, "code").to_owned();
    Link { url: user::link(&code, address), expires_at: text_of(made, "expires_at").to_owned(), code }
}
