//! `univrs token`: API tokens.

use clap::{Subcommand, ValueEnum};
use univrs_client::Token;
use univrs_model::span::Span;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::show;
use crate::table::{Cell, Row, Table, column, wide, word};

/// API tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenVerb {
    /// Make a token and print it, this once
    Create {
        /// Name of the token
        name: String,
        /// What its holder may do
        #[arg(long, value_enum, default_value_t = Grant::Observe)]
        grant: Grant,
        /// How long it is good for
        #[arg(long, value_name = "DURATION")]
        ttl: Option<Span>,
    },
    /// List tokens
    Ls,
    /// End a token
    Revoke {
        /// Id of the token
        id: String,
    },
}

/// What a token's holder may do.
#[derive(Clone, Copy, Debug, serde::Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Grant {
    /// Read everything but secret values
    Observe,
    /// Also change workloads and what belongs to them
    Operate,
    /// Also change nodes, tokens, organisations and policy
    Admin,
}

impl TokenVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Create { name, grant, ttl } => {
                let ttl = ttl.map(|ttl| ttl.to_string());
                let reply = context.client.create_token(&name, &word(&grant), ttl.as_deref()).await?;
                let made = reply.value()?;
                if context.for_programs() || context.quiet || context.format == crate::args::Format::Name {
                    show::written(context, reply.body(), &made.record.id, &made.record.name)?;
                } else {
                    context.talk("keep this token now: it is not shown again")?;
                    context.io.data(&made.token)?;
                }
            }
            Self::Ls => {
                let listing = whole(None, async |page| context.client.tokens(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Revoke { id } => {
                confirm::removal(context, "token", &id)?;
                context.client.revoke_token(&id).await?;
                context.talk(&format!("token {id} revoked"))?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn table(tokens: &[Token]) -> Table {
    let columns = vec![column("ID"), column("NAME"), column("GRANT"), column("AGE"), wide("EXPIRES")];
    let row = |token: &Token| Row {
        id: token.id.clone(),
        name: token.name.clone(),
        cells: vec![
            token.id.as_str().into(),
            token.name.as_str().into(),
            token.grant.as_str().into(),
            Cell::Time(token.created_at),
            Cell::Time(token.expires_at),
        ],
    };
    Table { columns, rows: tokens.iter().map(row).collect() }
}
