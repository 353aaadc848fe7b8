//! `univrs audit`: who did what.

use clap::Subcommand;
use serde_json::Value;
use univrs_client::AuditRecord;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::listing::last;
use crate::table::{Cell, Row, Table, column, wide};

/// Who did what.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    /// List what was changed
    Ls {
        /// At most this many of the last records
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
}

impl AuditVerb {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let Self::Ls { limit } = self;
        let listing = last(limit, |_| true, async |page| context.client.audit(&page).await).await?;
        let body = listing.body.clone();
        table(&listing.decode()?).print(context, &body)?;
        Ok(Exit::Ok)
    }
}

fn table(records: &[AuditRecord]) -> Table {
    let columns = vec![
        column("WHEN"),
        column("WHO"),
        column("ACTION"),
        column("WHAT"),
        column("RESULT"),
        column("SUMMARY"),
        wide("ALLOWED BY"),
        wide("REQUEST"),
        wide("REVISION"),
    ];
    let row = |record: &AuditRecord| Row {
        id: record.at.to_string(),
        name: record.at.to_string(),
        cells: vec![
            Cell::Time(Some(record.at)),
            who(&record.caller).into(),
            record.action.as_str().into(),
            record.object.as_str().into(),
            Cell::State(record.result.clone()),
            summary(record).into(),
            record.allowed_by.as_str().into(),
            record.request.clone().unwrap_or_default().into(),
            record.revision.to_string().into(),
        ],
    };
    Table { columns, rows: records.iter().map(row).collect() }
}

/// What changed, and what went wrong if anything did.
fn summary(record: &AuditRecord) -> String {
    match &record.reason {
        Some(reason) => format!("{}: {reason}", record.summary),
        None => record.summary.clone(),
    }
}

/// A caller in a word or two: its kind and its id or loop.
fn who(caller: &Value) -> String {
    let principal = caller.get("principal").unwrap_or(caller);
    let word = |key: &str| principal.get(key).and_then(Value::as_str);
    match (principal, word("kind")) {
        (Value::String(text), _) => text.clone(),
        (_, Some(kind)) => match word("id").or_else(|| word("loop")) {
            Some(which) => format!("{kind} {which}"),
            None => kind.to_owned(),
        },
        (_, None) => String::new(),
    }
}
