//! `univrs topology emit`: the OpenTofu files that make the plan true.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

use clap::{Args, ValueEnum};
use univrs_compiler::Backend;
use univrs_topology::codes::Code;

use super::report;
use super::source::{Source, print_document};
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Names what an earlier emission wrote into a folder, so that nothing else there is ever touched.
const LIST: &str = ".univrs-emitted";

/// Write the OpenTofu files that make it true.
#[derive(Args, Debug)]
pub(crate) struct EmitArgs {
    #[command(flatten)]
    source: Source,
    /// Folder to write into; without it, -o json or yaml prints the files
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Where the state of each root is kept
    #[arg(long, value_enum, value_name = "KIND", default_value_t = State::Local)]
    backend: State,
}

/// Where the state of each root is kept.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// In files beside the roots
    Local,
    /// In an S3 bucket
    S3,
    /// In a container of an Azure storage account
    Azurerm,
    /// In a Google Cloud Storage bucket
    Gcs,
}

impl EmitArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        if self.out.is_none() && !context.for_programs() {
            let hint = "give --out DIR, or -o json to print the files";
            return Err(Fault::usage("there is no folder to write the files into", hint));
        }
        let backend = match self.backend {
            State::Local => Backend::Local,
            State::S3 => Backend::S3,
            State::Azurerm => Backend::Azurerm,
            State::Gcs => Backend::Gcs,
        };
        let read = self.source.read(context)?;
        let emitted = read.with_options(|input, options| univrs_compiler::emit(input, options, backend));
        if report::talk(context, read.file(), &emitted.report)? {
            return Ok(Exit::CheckFailed);
        }
        if let Some(folder) = &self.out {
            write(folder, &emitted.files)?;
            let undone = emitted.report.warnings.iter().filter(|finding| finding.code == Code::NotEmitted);
            report::tell(context, undone)?;
            context.talk(&format!("{} files written to {}", emitted.files.len(), folder.display()))?;
        }
        if context.for_programs() {
            print_document(context, &emitted.document())?;
        } else {
            for path in emitted.files.keys() {
                context.io.data(path)?;
            }
        }
        Ok(Exit::Ok)
    }
}

/// Writes all files, and removes those of an earlier emission that are no longer made.
///
/// A file that is there and was not written by an earlier emission is never replaced: nothing is written then.
fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<(), Fault> {
    let earlier = earlier(folder)?;
    for path in files.keys().filter(|path| !earlier.contains(path.as_str())) {
        if folder.join(path).exists() {
            let hint = "choose an empty folder, or move that file away";
            let detail =
                format!("{} is there already, and no emission wrote it", folder.join(path).display());
            return Err(Fault::failed(detail, Some(hint)));
        }
    }
    for (path, bytes) in files {
        let path = folder.join(path);
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.and_then(|()| std::fs::write(&path, bytes))
            .map_err(|source| Fault::local(format!("write {}", path.display()), source))?;
    }
    for gone in earlier.iter().filter(|path| !files.contains_key(path.as_str())) {
        let path = folder.join(gone);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Fault::local(format!("remove {}", path.display()), error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let list: String = files.keys().map(|path| format!("{path}\n")).collect();
    let path = folder.join(LIST);
    std::fs::write(&path, list).map_err(|source| Fault::local(format!("write {}", path.display()), source))
}

/// What an earlier emission wrote into the folder; paths that lead out of it are not believed.
fn earlier(folder: &Path) -> Result<BTreeSet<String>, Fault> {
    let path = folder.join(LIST);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(Fault::local(format!("read {}", path.display()), error)),
    };
    let inside = |path: &&str| Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    Ok(text.lines().filter(inside).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::write;

    fn files(names: &[&str]) -> BTreeMap<String, Vec<u8>> {
        names.iter().map(|name| ((*name).to_owned(), name.as_bytes().to_vec())).collect()
    }

    #[test]
    fn only_what_was_emitted_is_replaced_or_removed() {
        let folder = tempfile::tempdir().unwrap();
        let has = |name: &str| folder.path().join(name).exists();
        write(folder.path(), &files(&["a/main.tf.json", "b/main.tf.json"])).unwrap();
        std::fs::write(folder.path().join("a/terraform.tfstate"), "state").unwrap();
        write(folder.path(), &files(&["a/main.tf.json", "c/main.tf.json"])).unwrap();
        assert!(has("a/terraform.tfstate") && has("c/main.tf.json") && !has("b/main.tf.json"));
        std::fs::write(folder.path().join("mine"), "mine").unwrap();
        assert!(write(folder.path(), &files(&["d", "mine"])).is_err());
        assert!(!has("d") && std::fs::read(folder.path().join("mine")).unwrap() == b"mine");
    }
}
