//! `univrs org`: organisations.

use clap::Subcommand;
use univrs_model::name::Name;
use univrs_model::org::{OrgSpec, OrgView};

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, wide};

/// Organisations.
#[derive(Debug, Subcommand)]
pub(crate) enum OrgVerb {
    /// List organisations
    Ls,
    /// Make an organisation
    Create {
        /// Its name
        name: Name,
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
                let reply = context.client.create_org(&OrgSpec { name }).await?;
                let made = reply.value()?;
                context.talk(&format!("organisation {} made", made.name))?;
                show::written(context, reply.body(), made.id.as_str(), made.name.as_str())?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(orgs: &[OrgView]) -> Table {
    let row = |org: &OrgView| Row {
        id: org.id.to_string(),
        name: org.name.to_string(),
        cells: vec![org.name.as_str().into(), Cell::Time(Some(org.created_at)), org.id.as_str().into()],
    };
    Table { columns: vec![column("NAME"), column("AGE"), wide("ID")], rows: orgs.iter().map(row).collect() }
}
