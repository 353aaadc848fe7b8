//! What a template says of what is done by itself: backups by a schedule, new credentials by age, and what leads after
//! a replica has taken over.

use serde_json::Value;
use univrs_model::field::FieldError;
use univrs_model::ids::ResourceId;
use univrs_model::span::Span;
use univrs_model::workload::{CronSchedule, Overlap};

use crate::expand::{Values, expand_text};
use crate::parameters::text;
use crate::source::{PromoteRule, Template};

/// The schedule that a text stands for. The words spread resources over the time they name by their ids, so that not
/// all backups are made at once.
pub(crate) fn schedule(
    said: &str,
    values: &Values,
    id: &ResourceId,
) -> Result<Option<CronSchedule>, Vec<FieldError>> {
    let wanted = filled(said, values)?;
    let spread = id.as_str().bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    let (minute, hour, day) = (spread % 60, spread / 60 % 24, spread / 1440 % 7);
    let cron = match wanted.trim() {
        "manual" => return Ok(None),
        "hourly" => format!("{minute} * * * *"),
        "daily" => format!("{minute} {hour} * * *"),
        "weekly" => format!("{minute} {hour} * * {day}"),
        other if other.split_ascii_whitespace().count() == 5 => other.to_owned(),
        other => {
            let detail = format!("`{other}` is no schedule");
            let hint = "write hourly, daily, weekly, manual, or five fields such as `0 3 * * *`";
            return Err(vec![FieldError::new(field(said), detail).hint(hint)]);
        }
    };
    Ok(Some(CronSchedule { cron, timezone: "UTC".to_owned(), overlap: Overlap::default() }))
}

/// After how long credentials are replaced.
pub(crate) fn rotate_after(said: &str, values: &Values) -> Result<Option<Span>, Vec<FieldError>> {
    let wanted = filled(said, values)?;
    if wanted == "never" {
        return Ok(None);
    }
    let fault = |detail: String| vec![FieldError::new(field(said), detail).hint("write `90d`, or `never`")];
    let span: Span = wanted.parse().map_err(|error| fault(format!("{error}")))?;
    // Old and new are good side by side for some seconds.
    if span < Span::seconds(60) {
        return Err(fault(format!("`{wanted}` is less than a minute")));
    }
    Ok(Some(span))
}

/// The choice after the present one of the parameter that says what leads.
///
/// # Errors
/// When the parameter has no two choices.
pub(crate) fn promoted(
    template: &Template,
    rule: &PromoteRule,
    now: Option<&Value>,
) -> Result<String, String> {
    let choices = template.parameters.get(&rule.parameter).map_or(&[][..], |known| &known.choices);
    if choices.len() < 2 {
        return Err(format!(
            "`promote.parameter` has to name a parameter with choices, not `{}`",
            rule.parameter
        ));
    }
    let now = now.map(text).unwrap_or_default();
    let at = choices.iter().position(|choice| *choice == now).unwrap_or(0);
    Ok(choices[(at + 1) % choices.len()].clone())
}

fn filled(said: &str, values: &Values) -> Result<String, Vec<FieldError>> {
    let of_template = |detail| vec![FieldError::new("template", detail)];
    expand_text(said, values, &[]).map(|value| text(&value)).map_err(of_template)
}

/// The parameter that a text is taken from, or the template.
fn field(said: &str) -> String {
    match said.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")) {
        Some(parameter) => format!("parameters.{parameter}"),
        None => "template".to_owned(),
    }
}
