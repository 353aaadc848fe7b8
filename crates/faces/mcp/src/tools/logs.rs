//! What workloads wrote.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::{Api, ApiRequest};
use crate::arguments::segment;
use crate::reply::{Answer, Refusal, ask_text, word};
use crate::untrusted::{block, clean};

/// How many lines are looked through for those that contain a text.
const SEARCHED: u32 = 10_000;
/// Most bytes of log in one answer.
const MOST_BYTES: usize = 128 * 1024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogsArgs {
    name: String,
    tail: Option<u32>,
    contains: Option<String>,
    instance: Option<String>,
    since: Option<String>,
}

pub(super) async fn read(api: &dyn Api, args: LogsArgs) -> Result<Answer, Refusal> {
    let name = segment("name", &args.name)?;
    let tail = args.tail.unwrap_or(100);
    if !(1..=1000).contains(&tail) {
        return Err(Refusal::argument("tail", "between 1 and 1000 lines are answered"));
    }
    let fetched = if args.contains.is_some() { SEARCHED } else { tail };
    let request = ApiRequest::get(&["api", "workloads", name, "logs"])
        .with("tail", Some(fetched))
        .with("instance", args.instance)
        .with("since", args.since);
    let said = ask_text(api, request).await?;
    let contains = args.contains.unwrap_or_default().to_lowercase();
    let mut lines: Vec<Value> = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| contains.is_empty() || text(line).to_lowercase().contains(&contains))
        .collect();
    // Lines come container by container; people read them in the order of time.
    lines.sort_by(|a, b| a["at"].as_str().cmp(&b["at"].as_str()));
    lines.drain(..lines.len().saturating_sub(usize::try_from(tail).unwrap_or(usize::MAX)));
    let all = lines.len();
    let mut bytes = 0;
    let kept = lines.iter().rev().take_while(|line| {
        bytes += text(line).len();
        bytes <= MOST_BYTES
    });
    let kept = kept.count();
    lines.drain(..all - kept);
    let shown: Vec<String> = lines
        .iter()
        .map(|line| format!("{} {} {}", word(line, "/at"), word(line, "/instance"), clean(text(line))))
        .collect();
    let text = if shown.is_empty() {
        "no lines".to_owned()
    } else {
        block(&format!("logs of {name}"), &tail_of(&shown))
    };
    Ok(Answer { text, whole: json!({ "lines": lines, "untrusted": true, "left_out": all - kept }) })
}

fn text(line: &Value) -> &str {
    line.get("text").and_then(Value::as_str).unwrap_or_default()
}

/// The last lines that fit into a text: the end of a log says most.
fn tail_of(lines: &[String]) -> String {
    const FITS: usize = 6000;
    let mut size = 0;
    let shown = lines.iter().rev().take_while(|line| {
        size += line.chars().count() + 1;
        size <= FITS
    });
    let shown = shown.count();
    if shown == 0 {
        // One line that is longer than all that fits.
        return lines.last().map(|line| line.chars().take(FITS).collect()).unwrap_or_default();
    }
    let left_out = lines.len() - shown;
    let start = if left_out > 0 {
        format!("… {left_out} earlier lines are in the structured content\n")
    } else {
        String::new()
    };
    start + &lines[left_out..].join("\n")
}
