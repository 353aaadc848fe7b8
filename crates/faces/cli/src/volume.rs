//! `univrs volume`: what workloads keep on nodes.

use clap::Subcommand;
use univrs_model::volume::{VolumeState, VolumeView};

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, wide};

/// Volumes.
#[derive(Debug, Subcommand)]
pub(crate) enum VolumeVerb {
    /// List volumes
    Ls,
    /// Remove a volume and what it holds
    Rm {
        /// Id of the volume, or its name if only one has it
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
                let reply = context.client.delete_volume(&id).await?;
                let volume = reply.value()?;
                let node = volume.node_name.map_or_else(|| volume.node.to_string(), |name| name.to_string());
                context.talk(&format!("volume {id} is being removed by node {node}"))?;
                show::written(context, reply.body(), volume.id.as_str(), volume.name.as_str())?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(volumes: &[VolumeView]) -> Table {
    let mut columns = ["ID", "NAME", "WORKLOAD", "NODE", "SIZE", "STATE", "AGE"].map(column).to_vec();
    columns.push(wide("PLACE"));
    let row = |volume: &VolumeView| Row {
        id: volume.id.to_string(),
        name: volume.name.to_string(),
        cells: vec![
            volume.id.as_str().into(),
            volume.name.as_str().into(),
            volume.workload.as_str().into(),
            volume.node_name.as_ref().map_or(volume.node.as_str(), |name| name.as_str()).into(),
            volume.size.map_or_else(String::new, |size| size.to_string()).into(),
            Cell::State(
                match volume.state {
                    VolumeState::InUse => "in_use",
                    VolumeState::Free => "free",
                    VolumeState::Removing => "removing",
                }
                .to_owned(),
            ),
            Cell::Time(Some(volume.created_at)),
            volume.place.as_str().into(),
        ],
    };
    Table { columns, rows: volumes.iter().map(row).collect() }
}
