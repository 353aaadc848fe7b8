//! `docs/errors`: a page for each code of the topology compiler, written from the registry of codes.

use std::path::PathBuf;

use univrs_topology::codes::{Code, Severity};

const FOLDER: &str = "docs/errors";

/// Pages that are missing or not what the registry says.
pub(crate) fn check() -> Vec<String> {
    let stale = |code: &&Code| std::fs::read_to_string(path(**code)).ok() != Some(page(**code));
    let tell = |code: &Code| {
        format!("{} is not what the code says; run: cargo xtask write-errors", path(*code).display())
    };
    Code::ALL.iter().filter(stale).map(tell).collect()
}

/// Writes all pages anew.
pub(crate) fn write() -> Vec<String> {
    if let Err(error) = std::fs::create_dir_all(FOLDER) {
        return vec![format!("{FOLDER} cannot be made: {error}")];
    }
    let write = |code: &Code| {
        let path = path(*code);
        let error = std::fs::write(&path, page(*code)).err()?;
        Some(format!("{} cannot be written: {error}", path.display()))
    };
    Code::ALL.iter().filter_map(write).collect()
}

fn path(code: Code) -> PathBuf {
    PathBuf::from(FOLDER).join(format!("{code}.md"))
}

fn page(code: Code) -> String {
    let (kind, more) = match code.severity() {
        Severity::Error => {
            ("An error", "`univrs topology check` ends with code 11. Errors cannot be accepted.".to_owned())
        }
        Severity::Warning => (
            "A warning",
            format!(
                "`univrs topology check` ends with code 0, and with 11 under `--strict`. Accept it with a reason, here or only below a path:\n\n```toml\n[[allow]]\ncode = \"{code}\"\nreason = \"why this is well\"\n```"
            ),
        ),
        Severity::Fact => ("A fact", "It is good to know and changes no exit code.".to_owned()),
    };
    format!(
        "# `{code}`: {}\n\n{kind} of the topology compiler. {}\n\n{more}\n",
        code.title(),
        code.explanation()
    )
}
