//! `univrs volume`: what workloads keep on nodes.

use clap::Subcommand;
use univrs_client::Volume;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::table::{Cell, Row, Table, column, wide};

/// Volumes.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// List volumes
    Ls,
    /// Remove a volume and what it holds
    Rm {
        /// Id or name of the volume
        id: String,
    },
}

impl VolumeVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let listing = whole(None, async |page| context.client.volumes(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Rm { id } => {
                confirm::removal(context, "volume", &id)?;
                context.client.delete_volume(&id).await?;
                context.talk(&format!("volume {id} removed"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(volumes: &[Volume]) -> Table {
    let mut columns = ["NAME", "WORKLOAD", "NODE", "SIZE", "AGE"].map(column).to_vec();
    columns.push(wide("ID"));
    let row = |volume: &Volume| {
        let id = if volume.id.is_empty() { &volume.name } else { &volume.id };
        Row {
            id: id.clone(),
            name: volume.name.clone(),
            cells: vec![
                volume.name.as_str().into(),
                volume.workload.clone().unwrap_or_default().into(),
                volume.node.clone().unwrap_or_default().into(),
                volume.size.clone().unwrap_or_default().into(),
                Cell::Time(volume.created_at),
                id.as_str().into(),
            ],
        }
    };
    Table { columns, rows: volumes.iter().map(row).collect() }
}
