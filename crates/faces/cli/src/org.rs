//! `univrs org`: organisations.

use clap::Subcommand;
use univrs_client::Org;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column};

/// Organisations.
#[derive(Debug, Subcommand)]
pub(crate) enum OrgVerb {
    /// List organisations
    Ls,
    /// Make an organisation
    Create {
        /// Its name
        name: String,
    },
}

impl OrgVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let listing = whole(None, async |page| context.client.orgs(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Create { name } => {
                let reply = context.client.create_org(&name).await?;
                context.talk(&format!("organisation {name} made"))?;
                show::written(context, reply.body(), &name, &name)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(orgs: &[Org]) -> Table {
    let row = |org: &Org| Row {
        id: org.name.clone(),
        name: org.name.clone(),
        cells: vec![org.name.as_str().into(), Cell::Time(org.created_at)],
    };
    Table { columns: vec![column("NAME"), column("AGE")], rows: orgs.iter().map(row).collect() }
}
