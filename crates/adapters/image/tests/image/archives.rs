//! Images in archives: written, read, and damaged.

use std::io::{Cursor, Write};
use std::path::Path;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};
use univrs_image::{ExportFormat, ImageStore};
use univrs_ports::images::{ImageError, Images, PullPolicy};

use crate::support::{config, leftovers, small_image, store};

async fn exported(store: &ImageStore, reference: &str, format: ExportFormat) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let out = tokio::fs::File::create(file.path()).await.unwrap();
    store.export(reference, format, out).await.unwrap();
    std::fs::read(file.path()).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

fn configuration(architecture: &str, layers: &[&[u8]]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
    let document = json!({
        "architecture": architecture, "os": "linux", "config": { "Cmd": ["/x"], "Env": null },
        "rootfs": { "type": "layers", "diff_ids": diff_ids }, "history": [],
    });
    document.to_string().into_bytes()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An archive in the shape that `docker save` has had for years, with a second layer equal to the first by a link.
fn saved(config: &[u8], layer: &[u8]) -> Vec<u8> {
    let name = format!("{}.json", hex(config));
    let list = json!([{ "Config": name, "RepoTags": ["old:1", "acme/old:2"], "Layers": ["aa/layer.tar", "bb/layer.tar"] }]);
    let mut bytes = tar(&[
        ("aa/VERSION", b"1.0"),
        ("aa/layer.tar", layer),
        (&name, config),
        ("manifest.json", list.to_string().as_bytes()),
        ("repositories", b"{}"),
    ]);
    bytes.truncate(bytes.len() - 1024);
    let mut builder = Builder::new(bytes);
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "bb/layer.tar", "../aa/layer.tar").unwrap();
    builder.into_inner().unwrap()
}

#[tokio::test]
async fn an_image_survives_both_forms_of_archive() {
    let (from, _from_dir) = store();
    let made = small_image(&from, "acme/web:1", "hello").await;
    for format in [ExportFormat::DockerArchive, ExportFormat::OciLayout] {
        let bytes = exported(&from, "acme/web:1", format).await;
        assert_eq!(bytes, exported(&from, "acme/web:1", format).await, "{format:?} differs from itself");
        for packed in [bytes.clone(), zstd::encode_all(bytes.as_slice(), 1).unwrap(), gzip(&bytes)] {
            let (to, dir) = store();
            let imported = to.import(Cursor::new(packed), None).await.unwrap();
            assert_eq!(imported.len(), 1);
            assert_eq!(imported[0].reference, "acme/web:1");
            if format == ExportFormat::OciLayout {
                assert_eq!(imported[0].digest, made.digest);
            }
            let prepared = to.prepare("acme/web:1", PullPolicy::Never).await.unwrap();
            assert_eq!(prepared.config, config());
            assert_eq!(std::fs::read_to_string(prepared.layers[0].join("etc/text")).unwrap(), "hello");
            assert_eq!(leftovers(&dir), 0);
        }
        let (to, dir) = store();
        let file = dir.path().join("image.tar");
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(to.import_path(&file, Some("renamed:3")).await.unwrap()[0].reference, "renamed:3");
        let folder = dir.path().join("folder");
        tar::Archive::new(bytes.as_slice()).unpack(&folder).unwrap();
        assert_eq!(to.import_path(&folder, Some("again:4")).await.unwrap()[0].reference, "again:4");
        to.prepare("again:4", PullPolicy::Never).await.unwrap();
        assert!(
            folder
                .join(if format == ExportFormat::OciLayout { "index.json" } else { "manifest.json" })
                .exists()
        );
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn an_archive_of_docker_save_is_read() {
    let layer = tar(&[("etc/name", b"old")]);
    let config = configuration(architecture(), &[&layer, &layer]);
    let (store, dir) = store();
    let imported = store.import(Cursor::new(saved(&config, &layer)), None).await.unwrap();
    let names: Vec<&str> = imported.iter().map(|one| one.reference.as_str()).collect();
    assert_eq!(names, ["old:1", "acme/old:2"]);
    let prepared = store.prepare("old:1", PullPolicy::Never).await.unwrap();
    assert_eq!(prepared.layers.len(), 1, "overlayfs refuses to have a layer twice");
    assert_eq!(prepared.config.cmd, ["/x"]);
    assert_eq!(std::fs::read_to_string(prepared.layers[0].join("etc/name")).unwrap(), "old");
    let again = store.import(Cursor::new(saved(&config, &layer)), None).await.unwrap();
    assert_eq!(again, imported);
    assert_eq!(leftovers(&dir), 0);
}

type Expected = fn(&ImageError) -> bool;

#[tokio::test]
async fn damaged_and_foreign_archives_are_refused() {
    let layer = tar(&[("etc/name", b"old")]);
    let other = tar(&[("etc/name", b"other")]);
    let good = configuration(architecture(), &[&layer, &layer]);
    let foreign = configuration("s390x", &[&layer, &layer]);
    let short = configuration(architecture(), &[&layer]);
    let whole = saved(&good, &layer);
    let escaping =
        tar(&[("manifest.json", br#"[{"Config":"../../etc/passwd","RepoTags":["x"],"Layers":[]}]"#)]);
    let table: Vec<(&str, Vec<u8>, Expected)> = vec![
        ("another layer", saved(&good, &other), |e| matches!(e, ImageError::DigestMismatch { .. })),
        ("another machine", saved(&foreign, &layer), |e| matches!(e, ImageError::WrongPlatform { .. })),
        ("a truncated stream", whole[..whole.len() / 2].to_vec(), |e| {
            matches!(e, ImageError::Malformed { .. })
        }),
        ("a truncated packed stream", gzip(&whole)[..300].to_vec(), |e| {
            matches!(e, ImageError::Malformed { .. })
        }),
        ("no archive", vec![7; 5000], |e| matches!(e, ImageError::Malformed { .. })),
        ("nothing", Vec::new(), |e| matches!(e, ImageError::Malformed { .. })),
        ("another kind of archive", tar(&[("x", b"y")]), |e| matches!(e, ImageError::Malformed { .. })),
        ("a name outside", escaping, |e| matches!(e, ImageError::Malformed { .. })),
        ("a layer too many", saved(&short, &layer), |e| matches!(e, ImageError::Malformed { .. })),
        ("no configuration", saved(b"{}", &layer), |e| matches!(e, ImageError::Malformed { .. })),
    ];
    let (store, dir) = store();
    for (what, bytes, expected) in table {
        let refused = store.import(Cursor::new(bytes), None).await.unwrap_err();
        assert!(expected(&refused), "{what}: {refused:?}");
        assert!(store.list().await.unwrap().is_empty(), "{what}");
        assert_eq!(leftovers(&dir), 0, "{what}");
    }
    let nowhere = store.import_path(Path::new("/nonexistent"), None).await.unwrap_err();
    assert!(matches!(nowhere, ImageError::Storage { .. }), "{nowhere}");
}

#[tokio::test]
async fn an_image_of_several_machines_is_imported_for_this_one() {
    let layer = tar(&[("x", b"y")]);
    let mut blobs: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |bytes: Vec<u8>| {
        let (digest, size) = (hex(&bytes), bytes.len());
        blobs.push((format!("blobs/sha256/{digest}"), bytes));
        (format!("sha256:{digest}"), size)
    };
    let (layer_digest, layer_size) = add(layer.clone());
    let mut entries = Vec::new();
    for machine in ["s390x", architecture()] {
        let (config, config_size) = add(configuration(machine, &[&layer]));
        let manifest = json!({ "schemaVersion": 2,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size },
            "layers": [{ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer_digest, "size": layer_size }] });
        let (digest, size) = add(manifest.to_string().into_bytes());
        entries.push(
            json!({ "digest": digest, "size": size, "platform": { "os": "linux", "architecture": machine } }),
        );
    }
    let inner = json!({ "schemaVersion": 2, "manifests": entries });
    let (digest, size) = add(inner.to_string().into_bytes());
    let outer = json!({ "schemaVersion": 2, "manifests": [{ "digest": digest, "size": size,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "annotations": { "org.opencontainers.image.ref.name": "many:1" } }] });
    let outer = outer.to_string();
    let mut files: Vec<(&str, &[u8])> = vec![("oci-layout", b"{}"), ("index.json", outer.as_bytes())];
    files.extend(blobs.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())));
    let (store, _dir) = store();
    store.import(Cursor::new(tar(&files)), None).await.unwrap();
    let prepared = store.prepare("many:1", PullPolicy::Never).await.unwrap();
    assert_eq!(std::fs::read_to_string(prepared.layers[0].join("x")).unwrap(), "y");

    blobs_without_ours(&store, files).await;
}

async fn blobs_without_ours(store: &ImageStore, mut files: Vec<(&str, &[u8])>) {
    // The layout promises a blob that is not in it.
    files.remove(2);
    let refused = store.import(Cursor::new(tar(&files)), Some("partial:1")).await.unwrap_err();
    assert!(matches!(refused, ImageError::Malformed { .. }), "{refused:?}");
}

#[tokio::test]
async fn exporting_what_is_not_here_says_so() {
    let (store, _dir) = store();
    let missing = store.export("nothing:1", ExportFormat::OciLayout, tokio::io::sink()).await.unwrap_err();
    assert!(matches!(missing, ImageError::NotFound { .. }), "{missing}");
}
