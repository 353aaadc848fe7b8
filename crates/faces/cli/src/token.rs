//! `univrs token`: API tokens.

use clap::{Subcommand, ValueEnum};
use univrs_model::caller;
use univrs_model::name::Name;
use univrs_model::span::Span;
use univrs_model::token::{Approval, Budget, TokenSpec, TokenView};

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
        name: Name,
        /// What its holder may do
        #[arg(long, value_enum, default_value_t = Grant::Observe)]
        grant: Grant,
        /// Let its holder change workloads without showing a plan first (for pipelines)
        #[arg(long)]
        direct: bool,
        /// Make it a token of the cluster: for every organisation, and for nodes and images
        #[arg(long)]
        cluster_wide: bool,
        /// Most objects that one write may touch, counting instances it starts or stops
        #[arg(long, value_name = "N")]
        objects_per_plan: Option<u32>,
        /// Most removals in one day (UTC)
        #[arg(long, value_name = "N")]
        destroys_per_day: Option<u32>,
        /// Who may agree to its plans that need approval: a person with another access, or also the person whom its
        /// client asks
        #[arg(long, value_enum, default_value_t = Approve::Person)]
        approve: Approve,
        /// How long it is good for, such as `24h`; without an end when absent
        #[arg(long, value_name = "DURATION")]
        ttl: Option<Span>,
    },
    /// List tokens
    Ls,
    /// End a token
    Revoke {
        /// Id or name of the token
        #[arg(value_name = "TOKEN")]
        which: String,
    },
}

/// What a token's holder may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Grant {
    /// Read everything but secret values
    Observe,
    /// Also change workloads and what belongs to them
    Operate,
    /// Also change nodes, tokens, organisations and policy
    Admin,
}

/// Who may agree to a token's plans.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Approve {
    /// A person with another access, in the dashboard or on the command line
    Person,
    /// Also the person whom the token's own client asks (MCP elicitation); the client is trusted to ask
    Elicitation,
}

impl From<Approve> for Approval {
    fn from(approve: Approve) -> Self {
        match approve {
            Approve::Person => Self::Person,
            Approve::Elicitation => Self::Elicitation,
        }
    }
}

impl From<Grant> for caller::Grant {
    fn from(grant: Grant) -> Self {
        match grant {
            Grant::Observe => Self::Observe,
            Grant::Operate => Self::Operate,
            Grant::Admin => Self::Admin,
        }
    }
}

impl TokenVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Create {
                name,
                grant,
                direct,
                cluster_wide,
                objects_per_plan,
                destroys_per_day,
                approve,
                ttl,
            } => {
                let spec = TokenSpec {
                    name,
                    grant: grant.into(),
                    direct,
                    cluster_wide,
                    budget: Budget { objects_per_plan, destroys_per_day },
                    approval: approve.into(),
                    ttl,
                };
                let reply = context.client.create_token(&spec).await?;
                let made = reply.value()?;
                let id = made.view.id.as_str();
                // In whatever form, the token itself is printed: it is shown this once.
                if context.for_programs() {
                    show::written(context, reply.body(), id, made.view.name.as_str())?;
                } else {
                    context.talk(&format!("made {id}; keep this token now: it is not shown again"))?;
                    context.io.data(&made.token)?;
                }
            }
            Self::Ls => {
                let listing = whole(None, async |page| context.client.tokens(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Revoke { which } => {
                confirm::removal(context, "token", &which)?;
                let reply = context.client.revoke_token(&which).await?;
                let view = reply.value()?;
                context.talk(&format!("token {} revoked", view.id))?;
                show::written(context, reply.body(), view.id.as_str(), view.name.as_str())?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// A budget in a few words.
fn budget(budget: &Budget) -> String {
    let part = |most: Option<u32>, what: &str| most.map(|most| format!("{most} {what}"));
    let parts =
        [part(budget.objects_per_plan, "objects/plan"), part(budget.destroys_per_day, "destroys/day")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn table(tokens: &[TokenView]) -> Table {
    let columns = vec![
        column("ID"),
        column("NAME"),
        column("GRANT"),
        column("ORG"),
        column("STATE"),
        column("AGE"),
        column("EXPIRES"),
        wide("LAST USED"),
        wide("BUDGET"),
        wide("APPROVAL"),
    ];
    let row = |token: &TokenView| {
        let grant = word(&token.grant);
        Row {
            id: token.id.to_string(),
            name: token.name.to_string(),
            cells: vec![
                token.id.as_str().into(),
                token.name.as_str().into(),
                if token.direct { format!("{grant}, direct") } else { grant }.into(),
                token.org.as_ref().map_or("every", Name::as_str).into(),
                Cell::State(word(&token.state)),
                Cell::Time(Some(token.created_at)),
                Cell::Time(token.expires_at),
                Cell::Time(token.last_used_at),
                budget(&token.budget).into(),
                word(&token.approval).into(),
            ],
        }
    };
    Table { columns, rows: tokens.iter().map(row).collect() }
}
