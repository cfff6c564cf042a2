//! Arguments of `kluis dicom …`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};

/// Services of a DICOM peer.
#[derive(Debug, Subcommand)]
pub(crate) enum DicomCommand {
    /// Ask whether the peer is there (C-ECHO).
    Echo(EchoArgs),
    /// Send files, folders and ZIP files (C-STORE).
    Send(SendArgs),
    /// Search (C-FIND): patients, studies, series, images, or a worklist.
    Find(FindArgs),
    /// Have the peer send to another node that it knows (C-MOVE).
    Move(MoveArgs),
    /// Fetch objects into a folder (C-GET).
    Get(GetArgs),
    /// Ask the peer to take over the responsibility for objects that it was sent (storage commitment).
    Commit(CommitArgs),
}

/// How the peer is reached.
#[derive(Debug, Args)]
pub(crate) struct ConnectArgs {
    /// The peer.
    #[arg(value_name = "HOST:PORT")]
    pub(crate) peer: String,
    /// Our AE title. Default: that of --identity, else KLUIS.
    #[arg(long, value_name = "AE")]
    pub(crate) calling: Option<String>,
    /// The AE title of the peer. Default: KLUIS with --identity, else ANY-SCP.
    #[arg(long, value_name = "AE")]
    pub(crate) called: Option<String>,
    /// Folder that `kluis device add` wrote: certificate, key, and the authority of the peer.
    #[arg(long, value_name = "DIR")]
    pub(crate) identity: Option<PathBuf>,
    /// Certificate to show, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Its key, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Certificate of the authority by which the peer is known, PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Know the peer by its key alone: SHA-256 of its public key info, 64 hexadecimal digits.
    #[arg(long, value_name = "FINGERPRINT")]
    pub(crate) pin: Option<String>,
    /// No TLS: whoever is on the way reads and changes what is sent.
    #[arg(long, conflicts_with_all = ["identity", "cert", "key", "ca", "pin"])]
    pub(crate) plain: bool,
    /// Seconds to wait for an answer.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub(crate) timeout_s: u64,
}

/// Arguments of `kluis dicom echo`.
#[derive(Debug, Args)]
pub(crate) struct EchoArgs {
    /// The peer.
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// How often to ask.
    #[arg(long, default_value_t = 1)]
    pub(crate) count: u32,
}

/// Arguments of `kluis dicom send`.
#[derive(Debug, Args)]
pub(crate) struct SendArgs {
    /// The peer.
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// Files, folders (read to the bottom) or ZIP files.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
}

/// Arguments of `kluis dicom find`.
#[derive(Debug, Args)]
pub(crate) struct FindArgs {
    /// The peer.
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// A key: Keyword=value, 00100010=value, Sequence.Keyword=value; without a value it is only asked for.
    #[arg(short = 'k', long = "attribute", value_name = "KEY[=VALUE]")]
    pub(crate) keys: Vec<String>,
    /// What is searched. Default: STUDY, with --model patient PATIENT.
    #[arg(long, value_enum)]
    pub(crate) level: Option<Level>,
    /// The information model.
    #[arg(long, value_enum, default_value_t = Model::Study)]
    pub(crate) model: Model,
    /// Ask for the keys of -k only, and not for the usual ones as well.
    #[arg(long)]
    pub(crate) only: bool,
    /// Cancel behind so many matches.
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// Arguments of `kluis dicom move`.
#[derive(Debug, Args)]
pub(crate) struct MoveArgs {
    /// The peer.
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// AE title of the node to send to, as the peer knows it.
    #[arg(long, value_name = "AE")]
    pub(crate) to: String,
    /// What to send: PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID as Keyword=value.
    #[arg(short = 'k', long = "attribute", value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<String>,
    /// Default: that of the lowest key.
    #[arg(long, value_enum)]
    pub(crate) level: Option<Level>,
    /// The information model.
    #[arg(long, value_enum, default_value_t = Model::Study)]
    pub(crate) model: Model,
}

/// Arguments of `kluis dicom get`.
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The peer.
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// What to fetch: PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID as Keyword=value.
    #[arg(short = 'k', long = "attribute", value_name = "KEY=VALUE")]
    pub(crate) keys: Vec<String>,
    /// Default: that of the lowest key.
    #[arg(long, value_enum)]
    pub(crate) level: Option<Level>,
    /// The information model.
    #[arg(long, value_enum, default_value_t = Model::Study)]
    pub(crate) model: Model,
    /// Folder for the files, each named by its SOP Instance UID.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// A storage SOP class to take, by its UID; may be given several times. Default: all that there is room for.
    #[arg(long, value_name = "UID")]
    pub(crate) sop_class: Vec<String>,
    /// A transfer syntax to take beside the plain ones, by its UID; may be given several times.
    #[arg(long, value_name = "UID")]
    pub(crate) transfer_syntax: Vec<String>,
}

/// Arguments of `kluis dicom commit`.
#[derive(Debug, Args)]
pub(crate) struct CommitArgs {
    /// The peer.
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
    /// The objects, as files.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// Seconds to wait for the answer on the same association.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    pub(crate) wait_s: u64,
}

/// Query/Retrieve Level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Level {
    Patient,
    Study,
    Series,
    Image,
}

impl Level {
    /// As it stands in an identifier.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Patient => "PATIENT",
            Self::Study => "STUDY",
            Self::Series => "SERIES",
            Self::Image => "IMAGE",
        }
    }
}

/// Information model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Model {
    /// Patient root.
    Patient,
    /// Study root.
    Study,
    /// Modality worklist; for find only.
    Worklist,
}

impl Model {
    /// SOP class for C-FIND.
    pub(crate) fn find_class(self) -> &'static str {
        match self {
            Self::Patient => "1.2.840.10008.5.1.4.1.2.1.1",
            Self::Study => "1.2.840.10008.5.1.4.1.2.2.1",
            Self::Worklist => "1.2.840.10008.5.1.4.31",
        }
    }

    /// SOP class for C-MOVE.
    pub(crate) fn move_class(self) -> Result<&'static str> {
        Ok(match self {
            Self::Patient => "1.2.840.10008.5.1.4.1.2.1.2",
            Self::Study => "1.2.840.10008.5.1.4.1.2.2.2",
            Self::Worklist => bail!("a worklist holds nothing to send"),
        })
    }

    /// SOP class for C-GET.
    pub(crate) fn get_class(self) -> Result<&'static str> {
        Ok(match self {
            Self::Patient => "1.2.840.10008.5.1.4.1.2.1.3",
            Self::Study => "1.2.840.10008.5.1.4.1.2.2.3",
            Self::Worklist => bail!("a worklist holds nothing to fetch"),
        })
    }
}
