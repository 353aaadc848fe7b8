//! `docs/errors`: a page for each code of the topology compiler, written from the registry of codes, and a list of all
//! pages. Those of the API are written by its tests, from `faces/api/src/codes.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use univrs_topology::codes::{Code, Severity};

const FOLDER: &str = "docs/errors";

/// Pages that are missing or not what the registry says.
pub(crate) fn check() -> Vec<String> {
    let stale = |(path, text): &(PathBuf, String)| std::fs::read_to_string(path).ok().as_ref() != Some(text);
    let tell = |(path, _): (PathBuf, String)| {
        format!("{} is not what the code says; run: cargo xtask write-errors", path.display())
    };
    pages().filter(stale).map(tell).collect()
}

/// Writes all pages anew.
pub(crate) fn write() -> Vec<String> {
    if let Err(error) = std::fs::create_dir_all(FOLDER) {
        return vec![format!("{FOLDER} cannot be made: {error}")];
    }
    let write = |(path, text): (PathBuf, String)| {
        let error = std::fs::write(&path, text).err()?;
        Some(format!("{} cannot be written: {error}", path.display()))
    };
    pages().filter_map(write).collect()
}

/// Every page with its path, the list of all codes last.
fn pages() -> impl Iterator<Item = (PathBuf, String)> {
    let at = |name: &str| PathBuf::from(FOLDER).join(format!("{name}.md"));
    let pages = Code::ALL.iter().map(move |code| (at(code.as_str()), page(*code)));
    pages.chain(std::iter::once((at("README"), list())))
}

/// All codes by severity, in the order of the registry.
fn list() -> String {
    let mut text = String::from(
        "# Error codes\n\nThose of the topology compiler come first: `univrs topology check` tells them, and [topology.md](../topology.md) says how they end.\n",
    );
    for (severity, title) in
        [(Severity::Error, "Errors"), (Severity::Warning, "Warnings"), (Severity::Fact, "Facts")]
    {
        text.push_str(&format!("\n## {title}\n\n"));
        for code in Code::ALL.iter().filter(|code| code.severity() == severity) {
            text.push_str(&format!("- [`{code}`]({code}.md): {}\n", code.title()));
        }
    }
    text.push_str("\n## Problems of the API\n\nThe `code` of a reply that says what went wrong.\n\n");
    for (name, meaning) in of_the_api() {
        text.push_str(&format!("- [`{name}`]({name}.md): {meaning}\n"));
    }
    text
}

/// The other pages of the folder: names, and the first sentence after the status.
fn of_the_api() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(FOLDER).into_iter().flatten().flatten() {
        let path = entry.path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else { continue };
        if name == "README" || Code::ALL.iter().any(|code| code.as_str() == name) {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let meaning = text.lines().nth(2).and_then(|line| line.split(". ").nth(1)).unwrap_or_default();
        found.insert(name.to_owned(), meaning.trim_end_matches('.').to_owned());
    }
    found
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
