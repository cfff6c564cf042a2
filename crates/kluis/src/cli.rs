//! What a person types. The words are fixed; other parts and acceptance runs rely on them.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

mod dicom;

pub(crate) use dicom::{
    CommitArgs, ConnectArgs, DicomCommand, EchoArgs, FindArgs, GetArgs, Level, Model, MoveArgs, SendArgs,
};

/// Medical-image archive that cannot be left open.
#[derive(Debug, Parser)]
#[command(name = "kluis", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// The data directory: vault, keys, index, ledger.
    #[arg(long, global = true, env = "KLUIS_DATA", value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Print one JSON document instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a vault: keys, certificate authority, identity. Prints the one-time enrolment code.
    Init(InitArgs),
    /// Run a node in the foreground.
    Serve(ServeArgs),
    /// Make a vault with synthetic studies, serve it, and print the sign-in link.
    Demo(DemoArgs),
    /// Enrol, list, show or remove devices.
    #[command(subcommand)]
    Device(DeviceCommand),
    /// Add, list or remove people.
    #[command(subcommand)]
    User(UserCommand),
    /// Create, list or revoke bearer tokens for programs.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Take in DICOM files, folders and ZIP files.
    Import(ImportArgs),
    /// Write a study to a folder or ZIP file, with a proof that `kluis-verify` checks far from here.
    Export(ExportArgs),
    /// List or show studies.
    #[command(subcommand)]
    Study(StudyCommand),
    /// Take in, list or remove entries of the modality worklist.
    #[command(subcommand)]
    Worklist(WorklistCommand),
    /// Hold vault, index and ledger against each other. Exit code 3 where they disagree.
    Verify(VerifyArgs),
    /// Print the signed heads of both logs, or save them: kept elsewhere they prove later that nothing was taken back.
    Checkpoint(CheckpointArgs),
    /// Work on the index.
    #[command(subcommand)]
    Index(IndexCommand),
    /// The rules by which arriving objects are sent on: `[[route]]` in kluis.toml.
    #[command(subcommand)]
    Route(RouteCommand),
    /// Use another DICOM node: ask whether it is there, send, search, have sent, fetch, ask for commitment. Needs no data
    /// directory.
    #[command(subcommand)]
    Dicom(DicomCommand),
    /// Find what of your own estate lies open. Needs no data directory.
    #[command(subcommand)]
    Inspect(InspectCommand),
}

/// Arguments of `kluis init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Protect the root key by the passphrase in the first line of this file, instead of a generated key file.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Write the generated root key to this file, best on another medium, instead of into the data directory.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    pub(crate) key_file: Option<PathBuf>,
    /// A further name or address under which browsers reach this node; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(crate) hostname: Vec<String>,
}

/// Arguments of `kluis serve`.
#[derive(Debug, Args, Clone, Default)]
pub(crate) struct ServeArgs {
    /// Address of the HTTPS door; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) https: Option<SocketAddr>,
    /// Address of the door for DICOM over TLS; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub(crate) dicom_tls: Option<SocketAddr>,
    /// Folder with the prepared viewer.
    #[arg(long, value_name = "DIR")]
    pub(crate) viewer: Option<PathBuf>,
}

/// Arguments of `kluis demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Do not open a browser.
    #[arg(long)]
    pub(crate) no_browser: bool,
    /// The doors, as for `kluis serve`.
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

/// Devices.
#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Enrol a device: writes AE.key.pem, AE.cert.pem and ca.pem to the folder.
    Add(DeviceAddArgs),
    /// List the devices.
    List,
    /// Show one device.
    Show {
        /// Its AE title.
        ae: String,
    },
    /// Remove a device; its certificate is worth nothing from then on.
    Remove {
        /// Its AE title.
        ae: String,
    },
}

/// Arguments of `kluis device add`.
#[derive(Debug, Args)]
pub(crate) struct DeviceAddArgs {
    /// AE title of the device.
    pub(crate) ae: String,
    /// What it may do besides C-ECHO: store, find, move, get, commit, worklist.
    #[arg(long, value_name = "RIGHTS", default_value = "store")]
    pub(crate) allow: String,
    /// Where the device itself listens.
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: Option<String>,
    /// Sign this certificate request of the device instead of making a key.
    #[arg(long, value_name = "FILE")]
    pub(crate) csr: Option<PathBuf>,
    /// Folder for the files.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

/// People.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add a person and print the enrolment link.
    Add {
        /// Name of the account.
        name: String,
        /// admin, radiologist, uploader, auditor, referrer or scheduler.
        #[arg(long)]
        role: String,
        /// For a referrer: the Referring Physician's Name in that person's studies, as in DICOM (`DOE^JANE`).
        #[arg(long, value_name = "NAME")]
        referring: Option<String>,
    },
    /// Print a new enrolment link for a person; an older one is void.
    Link {
        /// Name of the account.
        name: String,
    },
    /// List the people.
    List,
    /// Remove a person and end that person's sessions.
    Remove {
        /// Name of the account.
        name: String,
    },
}

/// Tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a bearer token; it is printed once.
    Create {
        /// Name of the token.
        name: String,
        /// admin, radiologist, uploader, auditor, referrer or scheduler.
        #[arg(long)]
        role: String,
        /// How long it is valid: a number with s, m, h or d.
        #[arg(long, default_value = "8h")]
        ttl: String,
        /// For a referrer: the Referring Physician's Name in the studies to be read.
        #[arg(long, value_name = "NAME")]
        referring: Option<String>,
    },
    /// List the tokens.
    List,
    /// Revoke a token.
    Revoke {
        /// Name of the token.
        name: String,
    },
}

/// Arguments of `kluis import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files, folders (read to the bottom) or ZIP files.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Arguments of `kluis export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Study Instance UID.
    #[arg(long, value_name = "UID")]
    pub(crate) study: String,
    /// A folder that does not exist or is empty, or a new file whose name ends in .zip.
    #[arg(long, value_name = "DIR|FILE.zip")]
    pub(crate) out: PathBuf,
    /// Put a proof beside the files. It holds the commitment key of the study.
    #[arg(long)]
    pub(crate) proof: bool,
}

/// Studies.
#[derive(Debug, Subcommand)]
pub(crate) enum StudyCommand {
    /// List studies by study date, newest first.
    List {
        /// How many at most.
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// Show one study with its series.
    Show {
        /// Study Instance UID.
        uid: String,
    },
}

/// The modality worklist.
#[derive(Debug, Subcommand)]
pub(crate) enum WorklistCommand {
    /// Take in worklist files: DICOM files without pixel data, or DICOM JSON. An entry of the same study and step is
    /// replaced.
    Import {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// List entries by date and time.
    List {
        /// How many at most, 1000 or fewer.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// How many are passed over.
        #[arg(long, default_value_t = 0)]
        offset: u32,
    },
    /// Remove an entry.
    Remove {
        /// Id of the entry, as the list tells it.
        id: String,
    },
}

/// Arguments of `kluis verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Read and decrypt every byte and compare its digest; without it, headers and metadata only.
    #[arg(long)]
    pub(crate) full: bool,
    /// A checkpoint that was saved earlier, or a folder of such: the logs must have grown from it. May be given several
    /// times.
    #[arg(long, value_name = "PATH")]
    pub(crate) since: Vec<PathBuf>,
}

/// Arguments of `kluis checkpoint`.
#[derive(Debug, Args)]
pub(crate) struct CheckpointArgs {
    /// Save to this folder, best on another machine: LOG-SIZE.checkpoint (a signed note) and LOG.vkey (its key).
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// Rules.
#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// List the rules.
    List,
    /// Say which rules would take a file, and why.
    Test {
        /// A DICOM file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// As if this device had sent it.
        #[arg(long, value_name = "AE")]
        from: Option<String>,
    },
}

/// The index.
#[derive(Debug, Subcommand)]
pub(crate) enum IndexCommand {
    /// Make the index anew from packs and keys alone. The node must be stopped.
    Rebuild,
}

/// The inspector.
#[derive(Debug, Subcommand)]
pub(crate) enum InspectCommand {
    /// Look at everything in a signed scope. Exit code 3 where something is wrong.
    Run(InspectRunArgs),
    /// Take over what another tool says. Nothing is sent. Exit code 3 where it says that something is open.
    Import(InspectImportArgs),
    /// Hold a newer scan against an older one: Good, Bad or Ugly for each place. Exit code 3 where one is not Good.
    Compare(InspectCompareArgs),
    /// Make, sign and check scopes.
    #[command(subcommand)]
    Scope(ScopeCommand),
}

/// Arguments of `kluis inspect import`.
#[derive(Debug, Args)]
pub(crate) struct InspectImportArgs {
    /// Whose output it is.
    #[arg(value_enum, value_name = "TOOL")]
    pub(crate) tool: Tool,
    /// Its output.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Keep systems that lie in this scope; of all others only sums are told.
    #[arg(long, value_name = "SCOPE.toml", requires = "out")]
    pub(crate) scope: Option<PathBuf>,
    /// As for `kluis inspect run`.
    #[arg(long, value_name = "VKEY|FILE", env = "KLUIS_INSPECT_KEY")]
    pub(crate) key: Option<String>,
    /// Add to this scan, whose own results stay as they are: a file, or the folder of a scan.
    #[arg(long, value_name = "SCAN", requires = "scope")]
    pub(crate) with: Option<PathBuf>,
    /// New folder for the scan and its reports.
    #[arg(long, value_name = "DIR", requires = "scope")]
    pub(crate) out: Option<PathBuf>,
}

/// Whose output it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Tool {
    /// One JSON document a line.
    Shodan,
    /// An array, a search result, or one JSON document a line.
    Censys,
    /// The XML of -oX.
    Nmap,
    /// A report in XML.
    Openvas,
    /// The lines of -jsonl.
    Nuclei,
}

/// Arguments of `kluis inspect compare`.
#[derive(Debug, Args)]
pub(crate) struct InspectCompareArgs {
    /// The older scan or census: a file, or the folder of a scan.
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The newer one.
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// By what assets are put together.
    #[arg(long, value_enum, default_value_t = Place::Site)]
    pub(crate) by: Place,
    /// Write one page to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Language of the page.
    #[arg(long, value_enum, default_value_t = PageLanguage::En)]
    pub(crate) language: PageLanguage,
}

/// By what assets are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Place {
    /// Site.
    Site,
    /// Department.
    Department,
    /// Country.
    Country,
}

/// Language of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum PageLanguage {
    /// English.
    En,
    /// Dutch.
    Nl,
    /// German.
    De,
}

/// Arguments of `kluis inspect run`.
#[derive(Debug, Args)]
pub(crate) struct InspectRunArgs {
    /// The scope; SCOPE.toml.note beside it holds its signature.
    #[arg(value_name = "SCOPE.toml")]
    pub(crate) scope: PathBuf,
    /// Folder for the scan; a run that was stopped goes on in its folder. A file STOP in it ends the run.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The verifier key of whoever signs scopes, or a file with it; else authority.vkey beside the scope.
    #[arg(long, value_name = "VKEY|FILE", env = "KLUIS_INSPECT_KEY")]
    pub(crate) key: Option<String>,
    /// Look at this host of the scope only.
    #[arg(long, value_name = "HOST")]
    pub(crate) only: Option<String>,
    /// Look at this port only.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
}

/// Scopes.
#[derive(Debug, Subcommand)]
pub(crate) enum ScopeCommand {
    /// Make the key that signs scopes: authority.key (keep it) and authority.vkey (give it to who runs the inspector).
    Key {
        /// Name of the key: who signs, without spaces.
        #[arg(long)]
        name: String,
        /// Folder for both files.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Sign a scope: writes SCOPE.toml.note beside it.
    Sign {
        /// The scope.
        #[arg(value_name = "SCOPE.toml")]
        scope: PathBuf,
        /// The signing key.
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
    },
    /// Say what a scope would look at. Nothing is sent.
    Check {
        /// The scope.
        #[arg(value_name = "SCOPE.toml")]
        scope: PathBuf,
        /// As for `kluis inspect run`.
        #[arg(long, value_name = "VKEY|FILE", env = "KLUIS_INSPECT_KEY")]
        key: Option<String>,
    },
}
