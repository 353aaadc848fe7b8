//! `univrs workload history`.

use clap::Args;
use univrs_model::rollout::RevisionView;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::{Cell, Row, Table, column};

/// List the kept versions.
#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    /// Name or id of the workload
    workload: String,
}

impl HistoryArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.workload_history(&self.workload).await?;
        table(&reply.value()?.items).print(context, reply.body())?;
        Ok(Exit::Ok)
    }
}

fn table(revisions: &[RevisionView]) -> Table {
    let columns = ["VERSION", "CURRENT", "PROVEN", "IMAGES", "AGE"].map(column).to_vec();
    let yes = |is: bool| if is { "yes" } else { "" };
    let row = |revision: &RevisionView| Row {
        id: revision.number.to_string(),
        name: revision.number.to_string(),
        cells: vec![
            revision.number.to_string().into(),
            yes(revision.current).into(),
            yes(revision.proven).into(),
            revision.images.join(", ").into(),
            Cell::Time(Some(revision.created_at)),
        ],
    };
    Table { columns, rows: revisions.iter().map(row).collect() }
}
