//! `univrs image`: the images that the server's node holds.

mod export;
mod file;
mod import;
mod push;

use clap::Subcommand;
use univrs_client::Image;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, size, wide};

pub use file::{FiledImage, ImageFile, ImageFiles};

/// Images.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageVerb {
    /// List images
    Ls,
    /// Fetch an image from its registry
    Pull {
        /// Such as `nginx:1` or `registry.example/app@sha256:…`
        reference: String,
    },
    Push(push::PushArgs),
    /// Take in archives (OCI layout or `docker save`)
    Import(import::ImportArgs),
    /// Write an image into an archive
    Export(export::ExportArgs),
    /// Pack the server's own binary into an image
    #[command(name = "self")]
    Itself {
        /// Its name and tag; `univrs/orchestrator:dev` when absent
        #[arg(long)]
        tag: Option<String>,
    },
    /// Forget an image
    Rm {
        /// The image
        reference: String,
    },
}

impl ImageVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let listing = whole(None, async |page| context.client.images(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Pull { reference } => {
                context.talk(&format!("pulling {reference}"))?;
                let reply = context.client.pull_image(&reference).await?;
                tell(context, "pulled", &reply)?;
            }
            Self::Push(args) => return args.run(context).await,
            Self::Import(args) => return args.run(context).await,
            Self::Export(args) => return args.run(context).await,
            Self::Itself { tag } => {
                let reply = context.client.self_image(tag.as_deref()).await?;
                tell(context, "made", &reply)?;
            }
            Self::Rm { reference } => {
                confirm::removal(context, "image", &reference)?;
                context.client.delete_image(&reference).await?;
                context.talk(&format!("image {reference} removed"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn tell(context: &mut Context<'_>, done: &str, reply: &univrs_client::Reply<Image>) -> Result<(), Fault> {
    let image = reply.value()?;
    context.talk(format!("{done} {} {}", image.reference, image.digest).trim_end())?;
    show::written(context, reply.body(), &image.digest, &image.reference)
}

fn table(images: &[Image]) -> Table {
    let columns =
        vec![column("REFERENCE"), column("DIGEST"), column("SIZE"), column("AGE"), wide("FULL DIGEST")];
    let short =
        |digest: &str| digest.split_once(':').map_or(digest, |(_, hex)| hex).chars().take(12).collect();
    let row = |image: &Image| Row {
        id: image.digest.clone(),
        name: image.reference.clone(),
        cells: vec![
            image.reference.as_str().into(),
            Cell::Text(short(&image.digest)),
            size(image.size).into(),
            Cell::Time(image.created_at),
            image.digest.as_str().into(),
        ],
    };
    Table { columns, rows: images.iter().map(row).collect() }
}
