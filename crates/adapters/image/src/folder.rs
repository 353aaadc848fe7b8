//! Archives in a folder of this machine: taken in when an image of theirs is first wanted.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use univrs_ports::images::ImageError;

use crate::disk::storage;
use crate::reference::Name;
use crate::store::ImageStore;

/// Largest list of images in an archive.
const LARGEST_LIST: u64 = 1 << 20;

/// One image in the `manifest.json` of an archive; see `import.rs` for the whole of it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

impl ImageStore {
    /// Whether an archive of the folder names this image.
    pub(crate) async fn is_in_folder(&self, name: &Name) -> Result<bool, ImageError> {
        Ok(self.archive_with(name).await?.is_some())
    }

    /// Takes in the archive that names this image, if the folder has one. Answers whether it has.
    pub(crate) async fn take_from_folder(&self, name: &Name) -> Result<bool, ImageError> {
        let Some(path) = self.archive_with(name).await? else { return Ok(false) };
        tracing::info!(image = name.given(), archive = %path.display(), "taken in from the folder of archives");
        self.import_path(&path, None).await?;
        Ok(true)
    }

    async fn archive_with(&self, name: &Name) -> Result<Option<PathBuf>, ImageError> {
        let Some(dir) = self.options().archives.clone() else { return Ok(None) };
        let full = name.full();
        self.blocking(move || search(&dir, &full).map_err(storage(&dir, "looking for an image in"))).await
    }
}

/// The first archive of `dir` that names the image `full`. What is no archive is told of and passed over.
fn search(dir: &Path, full: &str) -> io::Result<Option<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            paths.push(path);
        }
    }
    paths.sort();
    let names = |path: &PathBuf| match tags(path) {
        Ok(tags) => tags.iter().any(|tag| tag == full),
        Err(error) => {
            tracing::warn!(archive = %path.display(), %error, "not looked into for images");
            false
        }
    };
    Ok(paths.into_iter().find(names))
}

/// The full names of the images in an archive as `docker save` writes it.
fn tags(path: &Path) -> io::Result<Vec<String>> {
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.path()?.as_ref() != Path::new("manifest.json") || entry.size() > LARGEST_LIST {
            continue;
        }
        let listed: Vec<Listed> = serde_json::from_reader(entry)?;
        let tags = listed.into_iter().filter_map(|image| image.repo_tags).flatten();
        return Ok(tags.filter_map(|tag| Name::parse(&tag).ok()).map(|name| name.full()).collect());
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::search;

    #[test]
    fn an_archive_is_found_by_the_names_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(std::fs::File::create(dir.path().join("b.tar")).unwrap());
        let list = br#"[{"Config":"c","RepoTags":["univrs/redis:7"],"Layers":[]}]"#;
        let mut header = tar::Header::new_gnu();
        header.set_size(list.len() as u64);
        header.set_cksum();
        archive.append_data(&mut header, "manifest.json", &list[..]).unwrap();
        archive.finish().unwrap();
        std::fs::write(dir.path().join("a.tar"), "no archive").unwrap();
        let full = |name: &str| crate::reference::Name::parse(name).unwrap().full();
        let found = search(dir.path(), &full("univrs/redis:7")).unwrap();
        assert_eq!(found, Some(dir.path().join("b.tar")));
        assert_eq!(search(dir.path(), &full("univrs/redis:8")).unwrap(), None);
        assert!(search(&dir.path().join("none"), "x").is_err());
    }
}
