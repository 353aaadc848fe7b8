//! `univrs backup`: copies of the whole state. Making one asks a server; looking into one and starting from one are
//! this machine's own business, and done by the binary.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::context::Context;
use crate::download::{Readers, keep, refuse_terminal};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::size;
use crate::up::default_data_dir;

/// Backups of the state.
#[derive(Debug, Subcommand)]
pub(crate) enum BackupVerb {
    /// Copy the whole state into a file; secrets stay sealed in it
    Create(CreateArgs),
    /// Check a backup and say what is in it, without a server
    Inspect(InspectArgs),
    Restore(RestoreArgs),
}

/// Copies the whole state into a file.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// The file to write; `-` is standard output
    file: String,
}

impl CreateArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        refuse_terminal(context, &self.file, "a backup")?;
        let pieces = context.client.backup().await?;
        if let Some(written) = keep(context, pieces, &self.file, Readers::Owner).await? {
            context.talk(&format!(
                "{} in {file}; look into it with `univrs backup inspect {file}`, and keep a validator's `secrets.key` \
                 apart from it: without one its secrets stay sealed",
                size(written),
                file = self.file
            ))?;
        }
        Ok(Exit::Ok)
    }
}

/// Which backup to look into.
#[derive(Args, Clone, Debug)]
pub struct InspectArgs {
    /// The backup
    pub file: PathBuf,
    /// Whether to print JSON instead of lines.
    #[arg(skip)]
    pub json: bool,
}

/// Begin a cluster of one from a backup, in an empty data directory
///
/// It is a new cluster with the old state: another id, another authority. Start it with `univrs up`; other machines
/// join anew. Secrets open with the `secrets.key` of a validator of the old cluster, whose place the new node takes.
#[derive(Args, Clone, Debug)]
pub struct RestoreArgs {
    /// The backup
    pub file: PathBuf,
    /// Directory of everything the node keeps
    #[arg(long, env = "UNIVRS_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The `secrets.key` of a validator of the cluster that was backed up; the one in the data directory when absent
    #[arg(long, value_name = "FILE")]
    pub secrets_key: Option<PathBuf>,
    /// Begin although the secrets in it will stay sealed for ever
    #[arg(long)]
    pub without_secrets: bool,
}

impl RestoreArgs {
    /// The directory of everything the node keeps.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }
}
