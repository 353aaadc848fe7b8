//! `univrs topology optimize`: what would be cheaper, and what may go wrong then.

use clap::{Args, ValueEnum};
use univrs_compiler::{OptimizeDocument, Rules, Term};
use univrs_topology::codes::Code;

use super::report;
use super::source::{Source, print_document};
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;
use crate::table::{Row, Table, column};

/// Show what would be cheaper, and what may go wrong then.
#[derive(Args, Debug)]
pub(crate) struct OptimizeArgs {
    #[command(flatten)]
    source: Source,
    /// End with code 13 when an objective is not met; with a code, only that one
    #[arg(long, value_name = "CODE", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    require: Vec<String>,
    /// The longest term that may be promised
    #[arg(long, value_enum, value_name = "TERM", default_value_t = LongestTerm::OneYear)]
    term: LongestTerm,
    /// Leave the spot market alone
    #[arg(long)]
    no_spot: bool,
}

/// The longest term that may be promised.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LongestTerm {
    /// None
    None,
    /// One year
    #[value(name = "1y")]
    OneYear,
    /// Three years
    #[value(name = "3y")]
    ThreeYears,
}

impl OptimizeArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        for code in self.require.iter().filter(|code| *code != "all") {
            let hint = "`--require` alone means every objective; docs/errors lists the codes";
            code.parse::<Code>().map_err(|error| Fault::usage(error.to_string(), hint))?;
        }
        let read = self.source.read(context)?;
        let longest_term = match self.term {
            LongestTerm::None => None,
            LongestTerm::OneYear => Some(Term::OneYear),
            LongestTerm::ThreeYears => Some(Term::ThreeYears),
        };
        let rules = Rules { longest_term, spot: !self.no_spot, ..Rules::default() };
        let optimized = read.with_options(|input, options| univrs_compiler::optimize(input, options, rules));
        if report::talk(context, read.file(), &optimized.report)? {
            return Ok(Exit::CheckFailed);
        }
        if let Some(document) = optimized.document() {
            if context.for_programs() {
                print_document(context, &document)?;
            } else {
                print(context, &document)?;
            }
        }
        let required = |code: Code| self.require.iter().any(|one| one == "all" || one == code.as_str());
        let missed: Vec<_> = optimized.missed.iter().filter(|finding| required(finding.code)).collect();
        report::tell(context, missed.iter().copied())?;
        Ok(if missed.is_empty() { Exit::Ok } else { Exit::ObjectiveMissed })
    }
}

fn print(context: &mut Context<'_>, document: &OptimizeDocument) -> Result<(), Fault> {
    let columns = ["KIND", "GROUP", "FROM", "TO", "SAVES A MONTH", "RISK", "OBJECTIVE"].map(column).to_vec();
    let rows = document.proposals.iter().map(|proposal| Row {
        id: proposal.group.clone(),
        name: proposal.group.clone(),
        cells: vec![
            proposal.kind.into(),
            proposal.group.as_str().into(),
            proposal.from.as_str().into(),
            proposal.to.as_str().into(),
            format!("{} {}", proposal.monthly_saving.rounded(), document.currency).into(),
            proposal.risk.as_str().into(),
            proposal.objective.as_str().into(),
        ],
    });
    Table { columns, rows: rows.collect() }.print(context, b"")?;
    if context.quiet || context.format == crate::args::Format::Name {
        return Ok(());
    }
    let currency = &document.currency;
    context.io.data("")?;
    for (what, amount) in [
        ("list", document.list_monthly_cost),
        ("as it is", document.monthly_cost),
        ("as proposed", document.proposed_monthly_cost),
        ("saved", document.monthly_saving),
    ] {
        context.io.data(&format!("{:13}{} {currency} a month", format!("{what}:"), amount.rounded()))?;
    }
    let search =
        if document.exact { "nothing cheaper exists within the rules" } else { "the best that was found" };
    context.io.data(&format!("{:13}{search}", "search:"))?;
    for left in &document.left_out {
        context.io.data(&format!("left as it is: {}: {}", left.name, left.reason))?;
    }
    Ok(())
}
