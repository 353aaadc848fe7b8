//! `univrs node ls`.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;

/// List nodes.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    /// Only nodes with this label
    #[arg(long, value_name = "K=V")]
    label: Option<String>,
}

impl LsArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let listing = whole(self.label, async |page| context.client.nodes(&page).await).await?;
        let body = listing.body.clone();
        show::nodes(&listing.decode()?).print(context, &body)?;
        Ok(Exit::Ok)
    }
}
