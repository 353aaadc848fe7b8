//! Objects in a line each, for the text of an answer.

use serde_json::Value;

use crate::reply::{items, word};
use crate::untrusted::line;

/// How many lines a summary has at most.
const MOST_LINES: usize = 60;

/// Items one per line, and how many more there are.
pub(crate) fn lines(items: &[Value], none: &str, of: impl Fn(&Value) -> String) -> String {
    if items.is_empty() {
        return none.to_owned();
    }
    let mut lines: Vec<String> = items.iter().take(MOST_LINES).map(of).collect();
    if items.len() > MOST_LINES {
        lines.push(format!("… and {} more", items.len() - MOST_LINES));
    }
    lines.join("\n")
}

/// A note that there is another page.
pub(crate) fn more(list: &Value) -> String {
    match list.get("next_cursor").and_then(Value::as_str) {
        Some(cursor) => format!("\nmore: give cursor \"{}\"", line(cursor, 200)),
        None => String::new(),
    }
}

pub(crate) fn workload(view: &Value) -> String {
    let kind = word(view, "/spec/kind");
    format!(
        "{} ({kind}) {}: {}/{} ready, version {} — {}",
        word(view, "/name"),
        word(view, "/status"),
        word(view, "/ready"),
        word(view, "/replicas"),
        word(view, "/version"),
        word(view, "/message")
    )
}

pub(crate) fn instance(view: &Value) -> String {
    let cut_off = if view.get("reachable") == Some(&Value::Bool(false)) { ", unreachable" } else { "" };
    format!(
        "{} {}{cut_off} health {} on {} restarts {} — {}",
        word(view, "/id"),
        word(view, "/phase"),
        word(view, "/health"),
        word(view, "/node_name"),
        word(view, "/restarts"),
        word(view, "/message")
    )
}

pub(crate) fn node(view: &Value) -> String {
    let flag = |name: &str| view.get(name) == Some(&Value::Bool(true));
    let said = match (flag("draining"), flag("cordoned")) {
        (true, _) => ", draining",
        (false, true) => ", cordoned",
        (false, false) => "",
    };
    format!(
        "{} {}{said} in {}/{}: {} instances, cpu {}/{}, memory {}/{}",
        word(view, "/name"),
        word(view, "/state"),
        word(view, "/location/cloud"),
        word(view, "/location/region"),
        word(view, "/instances"),
        word(view, "/requested/cpu"),
        word(view, "/capacity/cpu"),
        word(view, "/requested/memory"),
        word(view, "/capacity/memory")
    )
}

pub(crate) fn operation(view: &Value) -> String {
    format!(
        "operation {} ({} of {}) is {}, {} {}% — {}",
        word(view, "/id"),
        word(view, "/kind"),
        word(view, "/subject"),
        word(view, "/status"),
        word(view, "/stage"),
        word(view, "/progress"),
        word(view, "/error")
    )
}

/// A plan and what to do with it.
pub(crate) fn plan(plan: &Value) -> String {
    let sign = |change: &Value| match word(change, "/action").as_str() {
        "create" => '+',
        "delete" => '-',
        _ => '~',
    };
    let changes = lines(items(plan, "/changes"), "no changes", |change| {
        format!("{} {} {}", sign(change), word(change, "/kind"), word(change, "/name"))
    });
    let (id, digest) = (word(plan, "/plan_id"), word(plan, "/digest"));
    let next = match word(plan, "/status").as_str() {
        "empty" => "Nothing would change; there is nothing to apply.".to_owned(),
        "waiting_for_approval" => {
            let reasons = items(plan, "/approval_needed").iter().filter_map(Value::as_str);
            format!(
                "A person has to approve it because it {}: `univrs plan approve {id}`. Then call plan_apply \
                 {{\"plan_id\":\"{id}\",\"digest\":\"{digest}\"}}.",
                reasons.map(|reason| line(reason, 200)).collect::<Vec<_>>().join(" and ")
            )
        }
        "ready" | "approved" => {
            format!("To carry it out: plan_apply {{\"plan_id\":\"{id}\",\"digest\":\"{digest}\"}}.")
        }
        status => format!("The plan is {status}."),
    };
    format!(
        "plan {id} ({}): {}\n{changes}\nstarts {}, stops {} instances; until {}\n{next}",
        word(plan, "/status"),
        word(plan, "/summary"),
        word(plan, "/blast_radius/starts"),
        word(plan, "/blast_radius/stops"),
        word(plan, "/expires_at")
    )
}
