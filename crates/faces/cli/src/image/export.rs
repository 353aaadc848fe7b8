//! `univrs image export`: an archive that appears whole or not at all.

use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::download::{Readers, keep, refuse_terminal};
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::{size, word};

/// Write an image into an archive.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The image
    reference: String,
    /// The archive to write; `-` is standard output
    file: String,
    /// Kind of archive
    #[arg(long, value_enum, default_value_t = ArchiveFormat::OciLayout)]
    format: ArchiveFormat,
}

/// Kind of an image archive.
#[derive(Clone, Copy, Debug, serde::Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ArchiveFormat {
    /// OCI image layout
    #[value(alias = "oci")]
    OciLayout,
    /// What `docker load` reads
    #[value(alias = "docker")]
    DockerArchive,
}

impl ExportArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        refuse_terminal(context, &self.file, "an archive")?;
        let pieces = context.client.export_image(&self.reference, &word(&self.format)).await?;
        if let Some(written) = keep(context, pieces, &self.file, Readers::Usual).await? {
            context.talk(&format!("{}: {} in {}", self.reference, size(written), self.file))?;
        }
        Ok(Exit::Ok)
    }
}
