//! `univrs ls`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;

/// List workloads.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    /// Only workloads with this label
    #[arg(long, value_name = "K=V")]
    label: Option<String>,
}

impl LsArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let listing = whole(self.label, async |page| context.client.workloads(&page).await).await?;
        let body = listing.body.clone();
        show::workloads(&listing.decode()?).print(context, &body)?;
        Ok(Exit::Ok)
    }
}
