//! Dependencies that a crate declares and no source of it names.

use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

/// Every dependency that nothing names; empty when all is well.
pub(crate) fn check() -> Vec<String> {
    match MetadataCommand::new().no_deps().exec() {
        Ok(metadata) => metadata.workspace_packages().into_iter().flat_map(of).collect(),
        Err(error) => vec![format!("cargo metadata failed: {error}")],
    }
}

fn of(package: &Package) -> Vec<String> {
    let Some(folder) = package.manifest_path.parent() else { return Vec::new() };
    let folder = folder.as_std_path();
    let program = sources(&[folder.join("src"), folder.join("build.rs")]);
    let all = sources(&[folder.to_owned()]);
    let (program, all) = match (program, all) {
        (Ok(program), Ok(all)) => (program, all),
        (Err(error), _) | (_, Err(error)) => return vec![format!("{}: {error}", folder.display())],
    };
    let idle = package.dependencies.iter().filter_map(|dependency| {
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
        let development = dependency.kind == DependencyKind::Development;
        let word = name.replace('-', "_");
        let (text, rest) = if development { (&all, "") } else { (&program, ", or is for its tests alone") };
        let fault = format!("{} depends on {name}, which none of its sources names{rest}", package.name);
        (!names(text, &word)).then_some(fault)
    });
    idle.collect()
}

/// Whether a text has this word.
fn names(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// All Rust below these files and folders, where they exist.
fn sources(places: &[PathBuf]) -> std::io::Result<String> {
    let mut text = String::new();
    for place in places.iter().filter(|place| place.exists()) {
        gather(place, &mut text)?;
    }
    Ok(text)
}

fn gather(place: &Path, text: &mut String) -> std::io::Result<()> {
    if place.is_dir() {
        for entry in std::fs::read_dir(place)? {
            gather(&entry?.path(), text)?;
        }
    } else if place.extension().is_some_and(|extension| extension == "rs") {
        let own = std::fs::read_to_string(place)?;
        // A file of another crate that is read as a part of this one.
        for elsewhere in own.split("#[path = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
            let elsewhere = place.with_file_name(elsewhere);
            if elsewhere.exists() {
                text.push_str(&std::fs::read_to_string(elsewhere)?);
            }
        }
        text.push_str(&own);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_word_is_not_a_part_of_another() {
        assert!(names("use tar::Archive;", "tar"));
        assert!(!names("let start = target;", "tar"));
    }
}
