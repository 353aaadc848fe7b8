//! `univrs plan`: changes that were planned, and a person's decision about those that need one.

use clap::Subcommand;
use serde_json::Value;
use univrs_client::Plan;

use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::whole;
use crate::plan;
use crate::show;
use crate::table::{Cell, Row, Table, column};

/// Planned changes.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanVerb {
    /// List plans of the last hour, newest first
    Ls,
    /// Show what a plan would do
    Get {
        /// Its id, or a beginning of it that no other has
        id: String,
    },
    /// Let whoever made a plan apply it
    Approve {
        /// Its id, or a beginning of it that no other has
        id: String,
    },
    /// Keep a plan from being applied
    Reject {
        /// Its id, or a beginning of it that no other has
        id: String,
    },
}

impl PlanVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        match self {
            Self::Ls => {
                let listing = whole(None, async |page| context.client.plans(&page).await).await?;
                let body = listing.body.clone();
                table(&listing.decode()?).print(context, &body)?;
            }
            Self::Get { id } => {
                let reply = context.client.plan(&id).await?;
                details(context, reply.body(), &reply.value()?)?;
            }
            Self::Approve { id } => {
                // What is agreed to is shown, whatever the operator said of it.
                let seen = context.client.plan(&id).await?.value()?;
                for line in plan::lines(std::slice::from_ref(&seen)) {
                    context.talk(&line)?;
                }
                for reason in &seen.approval_needed {
                    context.talk(&format!("it {reason}"))?;
                }
                if !confirm::agreed(context, "approve?")? {
                    context.talk("not approved")?;
                    return Ok(Exit::Failed);
                }
                let reply = context.client.approve_plan(&seen.plan_id).await?;
                context.talk(&format!(
                    "plan {}: approved; {} may apply it now",
                    seen.plan_id,
                    who(&seen.planned_by)
                ))?;
                show::written(context, reply.body(), &seen.plan_id, &seen.plan_id)?;
            }
            Self::Reject { id } => {
                let reply = context.client.reject_plan(&id).await?;
                let id = reply.value()?.plan_id;
                context.talk(&format!("plan {id}: rejected"))?;
                show::written(context, reply.body(), &id, &id)?;
            }
        }
        Ok(Exit::Ok)
    }
}

fn details(context: &mut Context<'_>, body: &[u8], seen: &Plan) -> Result<(), Fault> {
    let facts = [
        ("id", seen.plan_id.clone()),
        ("what", seen.summary.clone()),
        ("status", seen.status.replace('_', " ")),
        ("planned by", who(&seen.planned_by)),
        ("decided by", if seen.decided_by.is_null() { String::new() } else { who(&seen.decided_by) }),
        ("needs approval", seen.approval_needed.join("; ")),
        ("until", seen.expires_at.map(|at| at.to_string()).unwrap_or_default()),
        ("digest", seen.digest.clone()),
    ];
    show::details(context, body, (&seen.plan_id, &seen.plan_id), &facts)?;
    if !context.for_programs() && !context.quiet {
        for line in plan::lines(std::slice::from_ref(seen)) {
            context.io.data(&line)?;
        }
    }
    Ok(())
}

/// A caller in a few words.
fn who(principal: &Value) -> String {
    let text = |key: &str| principal.get(key).and_then(Value::as_str);
    match (text("kind"), text("id")) {
        (Some("local_admin"), _) => "the local administrator".to_owned(),
        (Some("assistant"), _) => format!("an AI operator ({})", text("grant").unwrap_or("observe")),
        (Some(kind), Some(id)) => format!("{kind} {id}"),
        (Some(kind), None) => kind.to_owned(),
        (None, _) => "unknown".to_owned(),
    }
}

fn table(plans: &[Plan]) -> Table {
    let columns = ["ID", "STATUS", "WHAT", "BY", "UNTIL"].map(column).to_vec();
    let row = |seen: &Plan| Row {
        id: seen.plan_id.clone(),
        name: seen.plan_id.clone(),
        cells: vec![
            seen.plan_id.as_str().into(),
            Cell::State(seen.status.replace('_', " ")),
            seen.summary.as_str().into(),
            who(&seen.planned_by).into(),
            seen.expires_at.map(|at| at.to_string()).unwrap_or_default().into(),
        ],
    };
    Table { columns, rows: plans.iter().map(row).collect() }
}
