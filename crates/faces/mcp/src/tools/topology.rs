//! Topology files, checked and priced. Nothing is kept of them, and nothing is made.

use std::collections::BTreeMap;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::summary::lines;
use crate::api::{Api, ApiRequest};
use crate::reply::{Answer, Refusal, ask, items, word};

/// How many parts of a price are told by name, the dearest first.
const DEAREST: usize = 15;
/// How many parts without a price are told by name.
const MOST_UNPRICED: usize = 30;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopologyArgs {
    text: String,
    #[serde(default)]
    format: Format,
    #[serde(default)]
    set: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Toml,
    Yaml,
    Json,
}

impl TopologyArgs {
    fn asking(self, verb: &str) -> ApiRequest {
        let body = json!({ "text": self.text, "format": self.format, "set": self.set });
        ApiRequest::new(Method::POST, &["api", "topologies", verb]).body(body)
    }
}

pub(super) async fn check(api: &dyn Api, args: TopologyArgs) -> Result<Answer, Refusal> {
    let whole = ask(api, args.asking("check")).await?;
    let told = |kind: &str, list: &str| {
        lines(items(&whole, list), &format!("no {kind}s"), |one| {
            let place = match word(one, "/line").as_str() {
                "-" => String::new(),
                number => format!(" (line {number})"),
            };
            let next = match word(one, "/hint").as_str() {
                "-" => String::new(),
                hint => format!("\n  fix: {hint}"),
            };
            let (code, path) = (word(one, "/code"), word(one, "/path"));
            format!("[{kind}] {code} {path}{place}: {}{next}", word(one, "/message"))
        })
    };
    let text = [told("error", "/errors"), told("warning", "/warnings"), told("fact", "/facts")].join("\n");
    Ok(Answer { text, whole })
}

pub(super) async fn cost(api: &dyn Api, args: TopologyArgs) -> Result<Answer, Refusal> {
    let whole = ask(api, args.asking("cost")).await?;
    Ok(Answer { text: price(&whole), whole })
}

fn price(whole: &Value) -> String {
    let resources: Vec<&Value> =
        items(whole, "/projects").iter().flat_map(|project| items(project, "/breakdown/resources")).collect();
    let monthly = |resource: &Value| -> f64 {
        let text = resource.get("monthlyCost").and_then(Value::as_str);
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    let mut places = BTreeMap::<String, f64>::new();
    for resource in &resources {
        let place =
            format!("{}:{}", word(resource, "/metadata/provider"), word(resource, "/metadata/region"));
        *places.entry(place).or_default() += monthly(resource);
    }
    let mut dearest = resources.clone();
    dearest.sort_by(|a, b| monthly(b).total_cmp(&monthly(a)));
    let dearest: Vec<Value> =
        dearest.into_iter().filter(|one| monthly(one) > 0.0).take(DEAREST).cloned().collect();
    let unpriced: Vec<String> = resources
        .iter()
        .flat_map(|resource| items(resource, "/costComponents").iter().map(move |part| (resource, part)))
        .filter(|(_, part)| part["priceNotFound"] == true)
        .map(|(resource, part)| format!("{} ({})", word(resource, "/name"), word(part, "/name")))
        .take(MOST_UNPRICED)
        .collect();
    let currency = word(whole, "/currency");
    let complete = if whole["univrs"]["complete"] == true {
        "complete".to_owned()
    } else {
        "not complete: the sum of the known parts".to_owned()
    };
    let places: Vec<String> = places.iter().map(|(place, sum)| format!("  {place} {sum:.2}")).collect();
    let unpriced = if unpriced.is_empty() {
        String::new()
    } else {
        format!("\nwithout a price: {}", unpriced.join(", "))
    };
    let notices = items(whole, "/univrs/notices");
    let text = format!(
        "{} {currency} a month, {complete}; oldest price of {}\nby region:\n{}\ndearest:\n{}{unpriced}\n{}",
        word(whole, "/totalMonthlyCost"),
        word(whole, "/univrs/oldest_price"),
        places.join("\n"),
        lines(&dearest, "  nothing costs anything", |one| {
            let count = word(one, "/metadata/count");
            format!("  {} × {count} {}", word(one, "/name"), word(one, "/monthlyCost"))
        }),
        lines(notices, "", |notice| {
            format!("[{}] {} {}", word(notice, "/severity"), word(notice, "/code"), word(notice, "/message"))
        })
    );
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::price;

    #[test]
    fn a_price_says_where_the_money_goes_and_what_is_not_known() {
        let resource = |name: &str, region: &str, cost: &str, unknown: bool| {
            json!({"name": name, "metadata": {"provider": "aws", "region": region, "count": 2},
                "monthlyCost": cost, "costComponents": [{"name": "hours", "priceNotFound": unknown}]})
        };
        let whole = json!({"currency": "USD", "totalMonthlyCost": "42.5",
            "projects": [{"breakdown": {"resources": [
                resource("web", "us-east-1", "12.5", false),
                resource("db", "us-east-1", "30", false),
                resource("gpu", "eu-west-1", "0", true),
            ]}}],
            "univrs": {"complete": false, "oldest_price": "2026-01-01",
                "notices": [{"severity": "warning", "code": "old", "message": "prices are old"}]}});
        let text = price(&whole);
        assert!(text.starts_with("42.5 USD a month, not complete"), "{text}");
        assert!(text.contains("aws:us-east-1 42.50") && text.contains("gpu (hours)"), "{text}");
        assert!(text.find("db × 2 30").unwrap() < text.find("web × 2 12.5").unwrap(), "{text}");
        assert!(text.contains("[warning] old prices are old"), "{text}");
    }
}
