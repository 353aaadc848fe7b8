//! The estimate as JSON: a superset of Infracost's output, so that policies written for that run unchanged.
//!
//! Numbers are decimal strings; a month is 730 hours. What is not known is null, never zero.

use serde::Serialize;

use super::component::{Component, Gap, Notice, Resource, Severity};
use super::diff::{Difference, difference};
use super::{Estimate, Options};
use crate::money::{Currency, Money, Quantity};

/// The whole document.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    version: &'static str,
    currency: String,
    projects: Vec<Project>,
    total_hourly_cost: Money,
    total_monthly_cost: Money,
    total_monthly_usage_cost: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    past_total_hourly_cost: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past_total_monthly_cost: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    past_total_monthly_usage_cost: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_total_hourly_cost: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_total_monthly_cost: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff_total_monthly_usage_cost: Option<Money>,
    time_generated: String,
    summary: Summary,
    univrs: Extra,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Project {
    name: String,
    metadata: Metadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    past_breakdown: Option<Breakdown>,
    breakdown: Breakdown,
    #[serde(skip_serializing_if = "Option::is_none")]
    diff: Option<Breakdown>,
    summary: Summary,
}

#[derive(Debug, Clone, Serialize)]
struct Metadata {
    r#type: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct Breakdown {
    resources: Vec<ResourceJson>,
    total_hourly_cost: Money,
    total_monthly_cost: Money,
    total_monthly_usage_cost: Money,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceJson {
    name: String,
    resource_type: &'static str,
    metadata: Place,
    hourly_cost: Money,
    monthly_cost: Money,
    cost_components: Vec<ComponentJson>,
}

#[derive(Debug, Clone, Serialize)]
struct Place {
    provider: &'static str,
    region: String,
    count: u32,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct ComponentJson {
    name: String,
    unit: &'static str,
    hourly_quantity: Option<Quantity>,
    monthly_quantity: Option<Quantity>,
    price: Option<Money>,
    hourly_cost: Option<Money>,
    monthly_cost: Option<Money>,
    usage_based: bool,
    price_not_found: bool,
    price_date: Option<String>,
    price_source: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Summary {
    total_detected_resources: usize,
    total_supported_resources: usize,
    total_unsupported_resources: usize,
    total_usage_based_resources: usize,
    total_no_price_resources: usize,
}

#[derive(Debug, Clone, Serialize)]
struct Extra {
    complete: bool,
    oldest_price: Option<String>,
    hours_per_month: u32,
    unpriced_components: u32,
    undeclared_components: u32,
    notices: Vec<NoticeJson>,
}

#[derive(Debug, Clone, Serialize)]
struct NoticeJson {
    severity: &'static str,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    message: String,
}

impl Document {
    /// The document of an estimate, and of what changed since another one when that is given. `project` is the
    /// topology's name.
    #[must_use]
    pub fn new(project: &str, estimate: &Estimate, past: Option<&Estimate>, options: &Options) -> Document {
        let change = past.map(|past| difference(past, estimate));
        let summary = summary(estimate);
        let usage_change = past.map(|past| estimate.usage - past.usage);
        let total_change = change.as_ref().map(|change| change.after - change.before);
        Document {
            version: "0.2",
            currency: Currency::Usd.to_string(),
            total_hourly_cost: estimate.total.per_hour(),
            total_monthly_cost: estimate.total,
            total_monthly_usage_cost: estimate.usage,
            past_total_hourly_cost: past.map(|past| past.total.per_hour()),
            past_total_monthly_cost: past.map(|past| past.total),
            past_total_monthly_usage_cost: past.map(|past| past.usage),
            diff_total_hourly_cost: total_change.map(Money::per_hour),
            diff_total_monthly_cost: total_change,
            diff_total_monthly_usage_cost: usage_change,
            time_generated: format!("{}T00:00:00Z", options.today),
            projects: vec![Project {
                name: project.to_owned(),
                metadata: Metadata { r#type: "univrs_topology" },
                past_breakdown: past.map(breakdown),
                breakdown: breakdown(estimate),
                diff: change
                    .as_ref()
                    .map(|change| change_breakdown(change, usage_change.unwrap_or_default())),
                summary,
            }],
            summary,
            univrs: Extra {
                complete: estimate.complete,
                oldest_price: estimate.oldest.map(|date| date.to_string()),
                hours_per_month: crate::money::HOURS_PER_MONTH,
                unpriced_components: estimate.unpriced,
                undeclared_components: estimate.undeclared,
                notices: estimate.notices.iter().map(notice).collect(),
            },
        }
    }
}

fn notice(notice: &Notice) -> NoticeJson {
    let severity = match notice.severity {
        Severity::Fact => "fact",
        Severity::Warning => "warning",
    };
    NoticeJson { severity, code: notice.code, item: notice.item.clone(), message: notice.message.clone() }
}

fn summary(estimate: &Estimate) -> Summary {
    let count = |test: &dyn Fn(&Resource) -> bool| estimate.resources.iter().filter(|r| test(r)).count();
    let unpriced = |c: &Component| c.cost.is_none() && matches!(c.gap, Some(Gap::Price { .. }));
    let without = count(&|r| r.components.iter().any(unpriced));
    Summary {
        total_detected_resources: estimate.resources.len(),
        total_supported_resources: estimate.resources.len(),
        total_unsupported_resources: 0,
        total_usage_based_resources: count(&|r| r.components.iter().any(|c| c.usage_based)),
        total_no_price_resources: without,
    }
}

fn breakdown(estimate: &Estimate) -> Breakdown {
    Breakdown {
        resources: estimate.resources.iter().map(resource).collect(),
        total_hourly_cost: estimate.total.per_hour(),
        total_monthly_cost: estimate.total,
        total_monthly_usage_cost: estimate.usage,
    }
}

fn resource(resource: &Resource) -> ResourceJson {
    ResourceJson {
        name: resource.name.clone(),
        resource_type: resource.resource_type,
        metadata: Place {
            provider: resource.place.provider.name(),
            region: resource.place.region.clone(),
            count: resource.count,
        },
        hourly_cost: resource.cost().per_hour(),
        monthly_cost: resource.cost(),
        cost_components: resource.components.iter().map(component).collect(),
    }
}

fn component(component: &Component) -> ComponentJson {
    let note = match (component.gap_text(), &component.note) {
        (Some(gap), Some(note)) => Some(format!("{gap}; {note}")),
        (gap, note) => gap.or_else(|| note.clone()),
    };
    ComponentJson {
        name: component.name.clone(),
        unit: component.unit,
        hourly_quantity: component.amount.map(Quantity::per_hour),
        monthly_quantity: component.amount,
        price: component.price.map(|price| price.amount),
        hourly_cost: component.cost.map(Money::per_hour),
        monthly_cost: component.cost,
        usage_based: component.usage_based,
        price_not_found: component.price.is_none(),
        price_date: component.date().map(|date| date.to_string()),
        price_source: component.source(),
        note,
    }
}

/// Only the changed resources, with what they cost more.
fn change_breakdown(change: &Difference, usage: Money) -> Breakdown {
    let resources = change
        .resources
        .iter()
        .map(|changed| ResourceJson {
            name: changed.name.clone(),
            resource_type: changed.resource_type,
            metadata: Place {
                provider: changed.place.provider.name(),
                region: changed.place.region.clone(),
                count: 0,
            },
            hourly_cost: changed.change().per_hour(),
            monthly_cost: changed.change(),
            cost_components: Vec::new(),
        })
        .collect();
    let total = change.after - change.before;
    Breakdown {
        resources,
        total_hourly_cost: total.per_hour(),
        total_monthly_cost: total,
        total_monthly_usage_cost: usage,
    }
}
