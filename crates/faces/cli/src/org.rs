//! `univrs org`: organisations.

use clap::Subcommand;
use univrs_model::name::Name;
use univrs_model::org::{OrgChange, OrgSpec, OrgView};

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
        /// Its tier: free, basic, pro or enterprise; the last when absent
        #[arg(long)]
        tier: Option<String>,
    },
    /// Give an organisation another tier
    Tier {
        /// Its name
        name: Name,
        /// The tier: free, basic, pro or enterprise
        tier: String,
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
            Self::Create { name, tier } => {
                let reply = context.client.create_org(&OrgSpec { name, tier }).await?;
                let made = reply.value()?;
                context.talk(&format!("organisation {} made", made.name))?;
                show::written(context, reply.body(), made.id.as_str(), made.name.as_str())?;
            }
            Self::Tier { name, tier } => {
                let reply = context.client.change_org(name.as_str(), &OrgChange { tier }).await?;
                let changed = reply.value()?;
                context.talk(&format!("organisation {} has tier {}", changed.name, changed.tier))?;
                show::written(context, reply.body(), changed.id.as_str(), changed.name.as_str())?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(orgs: &[OrgView]) -> Table {
    let row = |org: &OrgView| Row {
        id: org.id.to_string(),
        name: org.name.to_string(),
        cells: vec![
            org.name.as_str().into(),
            org.tier.as_str().into(),
            Cell::Time(Some(org.created_at)),
            org.id.as_str().into(),
        ],
    };
    Table {
        columns: vec![column("NAME"), column("TIER"), column("AGE"), wide("ID")],
        rows: orgs.iter().map(row).collect(),
    }
}
