//! How much there is, and deleting what nothing names.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::PoisonError;

use univrs_ports::images::ImageError;

use crate::digest::Digest;
use crate::disk::{storage, usage};
use crate::format::{ConfigFile, Document};
use crate::store::ImageStore;

impl ImageStore {
    /// Bytes on disk of the whole store.
    ///
    /// # Errors
    /// When the task that counts them dies.
    pub async fn usage(&self) -> Result<u64, ImageError> {
        let this = self.clone();
        self.blocking(move || Ok(usage(this.disk().root()))).await
    }

    /// Deletes every blob and layer that no reference, no digest in use, and no work going on needs.
    ///
    /// While another process has the store open nothing is deleted: what that process is about to use is unknown here.
    pub(crate) fn collect_now(&self, in_use: &[String]) -> Result<u64, ImageError> {
        let _one = self.collecting().lock().unwrap_or_else(PoisonError::into_inner);
        self.pins().begin_collection();
        let freed = self.disk().alone(|| self.sweep_content(in_use));
        self.pins().end_collection();
        match freed? {
            Some(freed) => freed,
            None => {
                tracing::info!("another process has the image store open, so nothing is collected");
                Ok(0)
            }
        }
    }

    fn sweep_content(&self, in_use: &[String]) -> Result<u64, ImageError> {
        let disk = self.disk();
        let mut live = BTreeSet::new();
        let named = disk.records()?.into_iter().filter_map(|record| Digest::parse(&record.manifest));
        for root in named.chain(self.recently_prepared()) {
            self.mark(root, &mut live)?;
        }
        let mut all_known = true;
        for root in in_use.iter().filter_map(|digest| Digest::parse(digest)) {
            all_known &= self.mark(root, &mut live)?;
        }
        let names: BTreeSet<&str> = live.iter().map(Digest::hex).collect();
        let mut freed = self.sweep_folder(&disk.blobs(), &names)? + disk.sweep_sent()?;
        if all_known {
            let short: BTreeSet<&str> = names.iter().map(|name| &name[..32]).collect();
            freed += self.sweep_folder(&disk.layers(), &short)?;
        } else {
            tracing::warn!("an image in use has lost its documents, so unpacked layers are not collected");
        }
        Ok(freed)
    }

    fn sweep_folder(&self, folder: &Path, keep: &BTreeSet<&str>) -> Result<u64, ImageError> {
        let mut freed = 0;
        for entry in fs::read_dir(folder).map_err(storage(folder, "listing content"))? {
            let path = entry.map_err(storage(folder, "listing content"))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !keep.contains(name.as_str()) {
                freed += self.delete_unless_pinned(&path, &name)?;
            }
        }
        Ok(freed)
    }

    fn delete_unless_pinned(&self, path: &Path, name: &str) -> Result<u64, ImageError> {
        let gone =
            self.pins().unless_pinned(|digest| digest.hex().starts_with(name), || self.disk().discard(path));
        let Some(bin) = gone.transpose()? else { return Ok(0) };
        let bytes = usage(&bin.path().join("content"));
        bin.close().map_err(storage(path, "deleting content"))?;
        Ok(bytes)
    }

    /// Adds all that an image consists of; answers whether its documents told everything.
    fn mark(&self, root: Digest, live: &mut BTreeSet<Digest>) -> Result<bool, ImageError> {
        let limit = self.options().limits.document_bytes;
        live.insert(root.clone());
        let Some(bytes) = self.disk().read_document(&root, limit)? else { return Ok(false) };
        let Ok(Document::Manifest(manifest)) = Document::parse(&bytes) else { return Ok(false) };
        live.extend(manifest.layers.iter().filter_map(|layer| Digest::parse(&layer.digest)));
        let Some(config) = Digest::parse(&manifest.config.digest) else { return Ok(false) };
        live.insert(config.clone());
        let Some(bytes) = self.disk().read_document(&config, limit)? else { return Ok(false) };
        let Ok(file) = serde_json::from_slice::<ConfigFile>(&bytes) else { return Ok(false) };
        live.extend(file.rootfs.diff_ids.iter().filter_map(|diff_id| Digest::parse(diff_id)));
        Ok(true)
    }
}
