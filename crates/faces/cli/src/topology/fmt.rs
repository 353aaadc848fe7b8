//! `univrs topology fmt`: keys in their usual order.

use clap::Args;
use univrs_topology::canonical;

use super::source::Text;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Put keys in their usual order, with their comments.
///
/// TOML keeps its comments. JSON has none. YAML is refused, because its comments would be lost.
#[derive(Args, Debug)]
pub(crate) struct FmtArgs {
    /// The topology; `-` is TOML on standard input
    file: String,
    /// Write the file back instead of printing it
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Print nothing; end with code 11 when the file is not in its usual form
    #[arg(long)]
    check: bool,
}

impl FmtArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let read = Text::read(context, &self.file)?;
        let text = canonical::canonical(read.text(), read.format())
            .map_err(|error| Fault::failed(format!("{}: {error}", read.file()), Some(error.hint())))?;
        let same = text == read.text();
        if self.check {
            if same {
                return Ok(Exit::Ok);
            }
            context.talk(&format!(
                "{0} is not in its usual form; run: univrs topology fmt --write {0}",
                self.file
            ))?;
            return Ok(Exit::CheckFailed);
        }
        if self.write && self.file != "-" {
            if !same {
                std::fs::write(&self.file, text)
                    .map_err(|source| Fault::local(format!("write {}", self.file), source))?;
            }
        } else {
            context.io.raw(text.as_bytes())?;
        }
        Ok(Exit::Ok)
    }
}
