//! `univrs usage`: what resources used and what that cost.

use clap::Args;
use serde_json::Value;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::{Row, Table, column, wide};

/// Which usage.
#[derive(Args, Debug)]
pub(crate) struct UsageArgs {
    /// A month, such as 2026-11; this one when absent
    #[arg(long, value_name = "YYYY-MM", conflicts_with_all = ["from", "to"], value_parser = month)]
    month: Option<String>,
    /// From when, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
}

/// The first instant of a month.
fn month(text: &str) -> Result<String, String> {
    let first = format!("{text}-01T00:00:00Z");
    match (text.len(), first.parse::<univrs_model::Timestamp>()) {
        (7, Ok(_)) => Ok(first),
        _ => Err(format!("`{text}` is no month; write it as 2026-11")),
    }
}

impl UsageArgs {
    pub(crate) async fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let from = self.month.or(self.from);
        let reply = context.client.usage(from.as_deref(), self.to.as_deref()).await?;
        let statement = reply.value()?;
        let text = |key: &str| statement[key].as_str().unwrap_or_default().to_owned();
        context.talk(&format!(
            "{} from {} to {}: {} {}",
            text("org"),
            text("from"),
            text("to"),
            text("total"),
            text("currency")
        ))?;
        table(&statement).print(context, reply.body())?;
        Ok(Exit::Ok)
    }
}

fn table(statement: &Value) -> Table {
    let columns = vec![
        column("RESOURCE"),
        column("METER"),
        column("AMOUNT"),
        column("UNIT"),
        column("COST"),
        wide("TIER"),
        wide("ID"),
    ];
    let row = |line: &Value| {
        let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
        Row {
            id: text("resource"),
            name: text("name"),
            cells: vec![
                text("name").into(),
                text("meter").into(),
                line["amount"].to_string().into(),
                text("unit").into(),
                text("cost").into(),
                text("tier").into(),
                text("resource").into(),
            ],
        }
    };
    Table { columns, rows: statement["lines"].as_array().into_iter().flatten().map(row).collect() }
}

#[cfg(test)]
mod tests {
    use super::month;

    #[test]
    fn a_month_is_its_first_instant() {
        assert_eq!(month("2026-02").unwrap(), "2026-02-01T00:00:00Z");
        for wrong in ["2026", "2026-13", "2026-2", "november"] {
            assert!(month(wrong).is_err(), "{wrong}");
        }
    }
}
