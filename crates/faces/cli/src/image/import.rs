//! `univrs image import`: archives are sent as they are read.

use clap::Args;
use tokio_util::io::ReaderStream;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::show;

/// Take in archives (OCI layout or `docker save`).
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// Archives; `-` is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<String>,
}

impl ImportArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        for file in &self.files {
            let reply = if file == "-" {
                context.client.import_image(ReaderStream::new(tokio::io::stdin())).await?
            } else {
                let archive = tokio::fs::File::open(file)
                    .await
                    .map_err(|source| Fault::local(format!("open {file}"), source))?;
                context.client.import_image(ReaderStream::new(archive)).await?
            };
            let references = references(&reply.value()?);
            let names = if references.is_empty() { "its images".to_owned() } else { references.join(", ") };
            context.talk(&format!("{file}: took in {names}"))?;
            if context.for_programs() || references.is_empty() {
                show::written(context, reply.body(), file, file)?;
            } else {
                for reference in &references {
                    show::written(context, reply.body(), reference, reference)?;
                }
            }
        }
        Ok(Exit::Ok)
    }
}

/// The references in a list of images.
fn references(reply: &serde_json::Value) -> Vec<String> {
    let images = reply.as_array().into_iter().flatten();
    images.filter_map(|image| image.get("reference")?.as_str().map(str::to_owned)).collect()
}
