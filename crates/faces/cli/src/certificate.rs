//! `univrs certificate`: certificates of hosts of the ingress.

use clap::Subcommand;
use univrs_model::certificate::CertificateView;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::table::{Cell, Row, Table, column, wide, word};

/// Certificates of hosts.
#[derive(Debug, Subcommand)]
pub(crate) enum CertificateVerb {
    /// List hosts that are to have certificates, and why some have none
    Ls,
}

impl CertificateVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let Self::Ls = self;
        let listing = whole(None, async |page| context.client.certificates(&page).await).await?;
        let body = listing.body.clone();
        table(&listing.decode()?).print(context, &body)?;
        Ok(Exit::Ok)
    }
}

fn table(certificates: &[CertificateView]) -> Table {
    let mut columns = ["HOST", "STATE", "FAILURES", "REASON"].map(column).to_vec();
    columns.extend([wide("FROM"), wide("UNTIL"), wide("NEXT ATTEMPT")]);
    let row = |one: &CertificateView| Row {
        id: one.host.clone(),
        name: one.host.clone(),
        cells: vec![
            one.host.as_str().into(),
            Cell::State(word(&one.state)),
            one.failures.to_string().into(),
            one.error.clone().unwrap_or_default().into(),
            one.not_before.map(|at| at.to_string()).unwrap_or_default().into(),
            one.not_after.map(|at| at.to_string()).unwrap_or_default().into(),
            one.next_at.map(|at| at.to_string()).unwrap_or_default().into(),
        ],
    };
    Table { columns, rows: certificates.iter().map(row).collect() }
}
