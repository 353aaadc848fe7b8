//! `univrs image export`: an archive that appears whole or not at all.

use clap::{Args, ValueEnum};
use futures::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::context::Context;
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
        let to_stdout = self.file == "-";
        if to_stdout && context.io.shows_data {
            return Err(Fault::usage("an archive is not for a terminal", "name a file instead of `-`"));
        }
        let mut pieces = context.client.export_image(&self.reference, &word(&self.format)).await?;
        if to_stdout {
            while let Some(piece) = pieces.next().await {
                context.io.raw(&piece?)?;
            }
            return Ok(Exit::Ok);
        }
        let part = format!("{}.part", self.file);
        let failed = |source| Fault::local(format!("write {part}"), source);
        let mut file = tokio::fs::File::create(&part).await.map_err(failed)?;
        let mut written = 0_u64;
        let copy = async {
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                file.write_all(&piece).await.map_err(failed)?;
                written += piece.len() as u64;
            }
            file.sync_all().await.map_err(failed)
        };
        if let Err(fault) = copy.await {
            // A part that cannot be removed either is named in the error before it.
            let _ = tokio::fs::remove_file(&part).await;
            return Err(fault);
        }
        tokio::fs::rename(&part, &self.file).await.map_err(failed)?;
        context.talk(&format!("{}: {} in {}", self.reference, size(written), self.file))?;
        Ok(Exit::Ok)
    }
}
