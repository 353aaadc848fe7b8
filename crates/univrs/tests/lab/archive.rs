//! An image of busybox, as `docker save` writes one.

use std::path::Path;

use sha2::{Digest as _, Sha256};

pub(crate) const BUSYBOX: &str = "/bin/busybox";
pub(crate) const IMAGE: &str = "test/box:1";

/// Writes the image to a file.
pub(crate) fn write(path: &Path) {
    let mut layer = tar::Builder::new(Vec::new());
    layer.append_path_with_name(BUSYBOX, "bin/busybox").unwrap();
    let layer = layer.into_inner().unwrap();
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {"Entrypoint": [BUSYBOX]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex::encode(Sha256::digest(&layer)))]},
    });
    let manifest =
        serde_json::json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    let mut archive = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in [
        ("manifest.json", manifest.to_string().into_bytes()),
        ("config.json", config.to_string().into_bytes()),
        ("layer.tar", layer),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    archive.finish().unwrap();
}
