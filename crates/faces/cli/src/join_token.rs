//! `univrs join-token`: what machines join the cluster with.

use clap::Subcommand;
use univrs_model::join::{JoinTokenSpec, JoinTokenView};
use univrs_model::node::Role;
use univrs_model::span::Span;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, word};
use crate::up::role;

/// Join tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum JoinTokenVerb {
    /// Make a join token and print it, this once
    Create {
        /// What a machine may become with it, separated by commas: validator, business, slim
        #[arg(long, value_name = "ROLES", value_delimiter = ',', default_value = "validator,business,slim", value_parser = role)]
        role: Vec<Role>,
        /// How long it is good for
        #[arg(long, value_name = "DURATION", default_value = "15m")]
        ttl: Span,
        /// How many machines may join with it
        #[arg(long, value_name = "NUMBER", default_value_t = 1)]
        uses: u32,
    },
    /// List join tokens
    Ls,
    /// End a join token; machines that joined with it stay
    Revoke {
        /// Id of the token
        #[arg(value_name = "TOKEN")]
        which: String,
    },
}

impl JoinTokenVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Create { role, ttl, uses } => {
                let spec = JoinTokenSpec { roles: role, ttl, uses };
                let reply = context.client.create_join_token(&spec).await?;
                let made = reply.value()?;
                if context.for_programs() {
                    let id = made.view.id.as_str();
                    show::written(context, reply.body(), id, id)?;
                } else {
                    // The name of what was made is of no use to anybody; the token is.
                    let until = made.view.expires_at;
                    context.talk(&format!(
                        "{} is good until {until}; join with `univrs up --join HOST --join-token TOKEN`",
                        made.view.id
                    ))?;
                    context.io.data(&made.token)?;
                }
            }
            Self::Ls => {
                let listing = whole(None, async |page| context.client.join_tokens(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Revoke { which } => {
                confirm::removal(context, "join token", &which)?;
                context.client.revoke_join_token(&which).await?;
                context.talk(&format!("join token {which} revoked"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(tokens: &[JoinTokenView]) -> Table {
    let columns = ["ID", "ROLES", "STATE", "USES LEFT", "AGE", "EXPIRES"].map(column).to_vec();
    let row = |token: &JoinTokenView| {
        let roles: Vec<String> = token.roles.iter().map(word).collect();
        Row {
            id: token.id.to_string(),
            name: token.id.to_string(),
            cells: vec![
                token.id.as_str().into(),
                roles.join(",").into(),
                Cell::State(if token.usable { "active" } else { "ended" }.to_owned()),
                token.uses_left.to_string().into(),
                Cell::Time(Some(token.created_at)),
                Cell::Time(Some(token.expires_at)),
            ],
        }
    };
    Table { columns, rows: tokens.iter().map(row).collect() }
}
