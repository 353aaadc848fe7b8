//! Writing an image to an archive that other tools read.

use std::fs::File;
use std::io::{self, Read, Write};

use serde_json::json;
use tar::{Builder, Header};
use tokio::io::AsyncWrite;
use tokio_util::io::SyncIoBridge;
use univrs_ports::images::ImageError;

use crate::disk::storage;
use crate::format::{Index, OCI_INDEX};
use crate::image::Image;
use crate::pack::describe;
use crate::store::{ImageStore, Wanted, not_here, pin};
use crate::unpack::decompressed;

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// As `docker save` writes it; layers are uncompressed.
    DockerArchive,
    /// A packed OCI layout; everything stays as it is, with its digests.
    OciLayout,
}

impl ImageStore {
    /// Writes an image of this store to `out`. The same image makes the same bytes.
    ///
    /// # Errors
    /// When the image is not here in full, or `out` fails.
    pub async fn export<W>(&self, reference: &str, format: ExportFormat, out: W) -> Result<(), ImageError>
    where
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let wanted = Wanted::parse(reference)?;
        let (this, reference) = (self.clone(), reference.to_owned());
        let mut bridge = SyncIoBridge::new(out);
        self.blocking(move || {
            let image = this.find(&wanted)?.ok_or_else(|| not_here(&reference))?;
            let mut pinned = this.pins().hold();
            pin(&mut pinned, &image);
            let name = match &wanted {
                Wanted::Name(name) if name.digest().is_none() => Some((name.full(), name.short())),
                _ => None,
            };
            let fail = || storage(this.disk().root(), "writing an archive");
            let mut builder = Builder::new(&mut bridge);
            match format {
                ExportFormat::DockerArchive => this.write_saved(&mut builder, &image, name)?,
                ExportFormat::OciLayout => this.write_layout(&mut builder, &image, name).map_err(fail())?,
            }
            builder.finish().map_err(fail())?;
            drop(builder);
            bridge.flush().map_err(fail())?;
            bridge.shutdown().map_err(fail())
        })
        .await
    }

    fn write_layout<W: Write>(
        &self,
        out: &mut Builder<W>,
        image: &Image,
        name: Option<(String, String)>,
    ) -> io::Result<()> {
        append(out, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut entry = describe(&image.media_type, &image.digest, image.manifest.len() as u64);
        if let Some((full, _)) = name {
            let tag = full.rsplit_once(':').map_or("latest", |(_, tag)| tag).to_owned();
            entry.annotations.insert("io.containerd.image.name".to_owned(), full);
            entry.annotations.insert("org.opencontainers.image.ref.name".to_owned(), tag);
        }
        let index = Index { schema_version: 2, media_type: OCI_INDEX.to_owned(), manifests: vec![entry] };
        append(out, "index.json", &serde_json::to_vec(&index)?)?;
        let mut blobs = vec![image.digest.clone(), image.config.clone()];
        blobs.extend(image.layers.iter().map(|layer| layer.blob.clone()));
        blobs.sort();
        blobs.dedup();
        for blob in blobs {
            let file = File::open(self.disk().blob(&blob))?;
            let length = file.metadata()?.len();
            append_from(out, &format!("blobs/sha256/{}", blob.hex()), length, file)?;
        }
        Ok(())
    }

    fn write_saved<W: Write>(
        &self,
        out: &mut Builder<W>,
        image: &Image,
        name: Option<(String, String)>,
    ) -> Result<(), ImageError> {
        let fail = || storage(self.disk().root(), "writing an archive");
        let mut names = Vec::new();
        for layer in &image.layers {
            let entry = format!("{}/layer.tar", layer.diff_id.hex());
            if names.contains(&entry) {
                names.push(entry);
                continue;
            }
            // The length has to be known before the content, so the layer is unpacked to a file first.
            let blob = self.disk().blob(&layer.blob);
            let file = File::open(&blob).map_err(storage(&blob, "reading a layer"))?;
            let mut plain = self.disk().temp_file()?;
            let room = self.options().limits.layer_bytes;
            let stream = decompressed(file).map_err(storage(&blob, "reading a layer"))?;
            let length =
                io::copy(&mut stream.take(room), &mut plain).map_err(storage(&blob, "unpacking a layer"))?;
            let plain = plain.reopen().map_err(storage(&blob, "reading a layer"))?;
            append_from(out, &entry, length, plain).map_err(fail())?;
            names.push(entry);
        }
        let config = self.disk().blob(&image.config);
        let bytes = std::fs::read(&config).map_err(storage(&config, "reading a configuration"))?;
        let config = format!("{}.json", image.config.hex());
        append(out, &config, &bytes).map_err(fail())?;
        let tags: Vec<String> = name.into_iter().map(|(_, short)| short).collect();
        let list = json!([{ "Config": config, "RepoTags": tags, "Layers": names }]);
        append(out, "manifest.json", list.to_string().as_bytes()).map_err(fail())
    }
}

fn append<W: Write>(out: &mut Builder<W>, name: &str, bytes: &[u8]) -> io::Result<()> {
    append_from(out, name, bytes.len() as u64, bytes)
}

fn append_from<W: Write>(out: &mut Builder<W>, name: &str, length: u64, from: impl Read) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(length);
    out.append_data(&mut header, name, from)
}
