//! Findings for people: place, severity, code, message and hint.

use univrs_compiler::{Finding, Report};
use univrs_topology::codes::Severity;

use crate::context::Context;
use crate::fault::Fault;

/// All findings as data, worst first, and how many there are as talk.
pub(crate) fn data(context: &mut Context<'_>, report: &Report) -> Result<(), Fault> {
    let colour = context.io.colour;
    for finding in report.errors.iter().chain(&report.warnings).chain(&report.facts) {
        if context.quiet {
            context.io.data(finding.code.as_str())?;
        } else {
            context.io.data(&text(finding, colour))?;
        }
    }
    context.talk(&counts(report))
}

/// The errors as talk, and how many warnings there are: for verbs whose data is something else.
///
/// Answers whether there are errors, so that there is no data.
pub(crate) fn talk(context: &mut Context<'_>, file: &str, report: &Report) -> Result<bool, Fault> {
    for finding in &report.errors {
        context.talk(&text(finding, false))?;
    }
    if !report.errors.is_empty() {
        context.talk(&format!("nothing was made of {file}: {}", counts(report)))?;
    } else if !report.warnings.is_empty() {
        let count = number(report.warnings.len(), "warning");
        context.talk(&format!("{count}; `univrs topology check {file}` tells them"))?;
    }
    Ok(!report.errors.is_empty())
}

/// Some findings as talk.
pub(crate) fn tell<'a>(
    context: &mut Context<'_>,
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Result<(), Fault> {
    findings.into_iter().try_for_each(|finding| context.talk(&text(finding, false)))
}

fn counts(report: &Report) -> String {
    format!(
        "{}, {}, {}",
        number(report.errors.len(), "error"),
        number(report.warnings.len(), "warning"),
        number(report.facts.len(), "fact")
    )
}

/// `1 error`, `2 errors`.
fn number(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `file:line:column: severity[code]: path: message`, and the hint below.
fn text(finding: &Finding, colour: bool) -> String {
    let mut place = finding.file.clone().unwrap_or_default();
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        place = format!("{place}:{line}:{column}");
    }
    let (word, paint) = match finding.severity {
        Severity::Error => ("error", 31),
        Severity::Warning => ("warning", 33),
        Severity::Fact => ("fact", 36),
    };
    let kind = format!("{word}[{}]", finding.code);
    let kind = if colour { format!("\x1b[{paint}m{kind}\x1b[0m") } else { kind };
    let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
    let hint = finding.hint.as_ref().map(|hint| format!("\n    hint: {hint}")).unwrap_or_default();
    format!("{place}: {kind}: {path}{}{hint}", finding.message)
}
