//! The estimate for people: one line a component, with unit, price, date and cost, and a total that says whether it is
//! whole.

use super::Estimate;
use super::component::{Component, Severity};
use super::diff::Difference;
use crate::money::{HOURS_PER_MONTH, Money};

/// The estimate as a table of plain text.
#[must_use]
pub fn table(estimate: &Estimate) -> String {
    let header = ["", "PER MONTH", "UNIT", "USD/UNIT", "AS OF", "USD/MONTH"].map(str::to_owned);
    let mut rows: Vec<[String; 6]> = vec![header];
    for resource in &estimate.resources {
        let count = if resource.count == 1 { String::new() } else { format!(" ×{}", resource.count) };
        let mark = if resource.complete() { "" } else { " + unknown" };
        let mut title = <[String; 6]>::default();
        title[0] = format!("{}{count} ({})", resource.name, resource.place);
        title[5] = format!("{}{mark}", resource.cost().rounded());
        rows.push(title);
        rows.extend(resource.components.iter().map(line));
    }
    let mut text = align(&rows);
    text.push('\n');
    let total = estimate.total.rounded();
    if estimate.complete {
        text.push_str(&format!("Total: {total} USD per month of {HOURS_PER_MONTH} hours\n"));
    } else {
        text.push_str(&format!(
            "Known part: {total} USD per month of {HOURS_PER_MONTH} hours; not whole: {} without a price, {} without a declared amount\n",
            estimate.unpriced, estimate.undeclared
        ));
    }
    if let Some(oldest) = estimate.oldest {
        text.push_str(&format!("Oldest price: {oldest}\n"));
    }
    for notice in &estimate.notices {
        let severity = match notice.severity {
            Severity::Fact => "note",
            Severity::Warning => "warning",
        };
        let item = notice.item.as_ref().map_or(String::new(), |item| format!("{item}: "));
        text.push_str(&format!("{severity}[{}]: {item}{}\n", notice.code, notice.message));
    }
    text
}

fn line(component: &Component) -> [String; 6] {
    let unknown = || "unknown".to_owned();
    let cost = match (component.cost, component.price) {
        (Some(cost), _) => cost.rounded(),
        (None, Some(_)) => "undeclared".to_owned(),
        (None, None) => unknown(),
    };
    [
        format!("  {}", component.name),
        component.amount.map_or_else(|| "undeclared".to_owned(), |amount| amount.to_string()),
        component.unit.to_owned(),
        component.price.map_or_else(unknown, |price| price.amount.to_string()),
        component.date().map_or_else(|| "-".to_owned(), |date| date.to_string()),
        cost,
    ]
}

/// The change as a table of plain text.
#[must_use]
pub fn difference_table(change: &Difference) -> String {
    let header = ["", "BEFORE", "AFTER", "CHANGE"].map(str::to_owned);
    let mut rows: Vec<[String; 4]> = vec![header];
    let shown = |cost: Option<Money>| cost.map_or_else(|| "-".to_owned(), Money::rounded);
    for resource in &change.resources {
        let sign = match (resource.before, resource.after) {
            (None, _) => '+',
            (_, None) => '-',
            _ => '~',
        };
        let mark = if resource.complete { "" } else { " + unknown" };
        rows.push([
            format!("{sign} {} ({})", resource.name, resource.place),
            shown(resource.before),
            shown(resource.after),
            format!("{}{mark}", signed(resource.change())),
        ]);
    }
    let mark = if change.complete { "" } else { " + unknown" };
    rows.push([
        "Total".to_owned(),
        change.before.rounded(),
        change.after.rounded(),
        format!("{}{mark}", signed(change.after - change.before)),
    ]);
    align(&rows)
}

fn signed(amount: Money) -> String {
    let sign = if amount > Money::ZERO { "+" } else { "" };
    format!("{sign}{}", amount.rounded())
}

/// Columns as wide as their widest field; all but the first to the right.
fn align<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, field) in widths.iter_mut().zip(row) {
            *width = (*width).max(field.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (index, (width, field)) in widths.iter().zip(row).enumerate() {
            match index {
                0 => line.push_str(&format!("{field:<width$}")),
                _ => line.push_str(&format!("  {field:>width$}")),
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
