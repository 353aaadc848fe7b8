//! `univrs completion`: completions for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Print completions for a shell.
#[derive(Args, Debug)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl CompletionArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::command(), "univrs", &mut script);
        context.io.raw(&script)?;
        Ok(Exit::Ok)
    }
}
