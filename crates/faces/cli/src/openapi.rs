//! `univrs openapi`: the description of the API.

use clap::Args;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::print_body;

/// Print the description of the API.
#[derive(Args, Debug)]
pub(crate) struct OpenapiArgs {}

impl OpenapiArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let reply = context.client.openapi().await?;
        print_body(context, reply.body())?;
        Ok(Exit::Ok)
    }
}
