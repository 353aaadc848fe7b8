//! Puts the built dashboard into the binary: every file of `assets/site` with its type, its tag, and its compressed
//! forms when they lie beside it. Without `assets/site` the list is empty, and nothing of Node is needed.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let assets = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("assets");
    // This folder is always there; a path that is missing would run this script on every build.
    println!("cargo::rerun-if-changed=assets");
    println!("cargo::rerun-if-changed=build.rs");
    let site = assets.join("site");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut files = Vec::new();
    if site.join("index.html").is_file() {
        collect(&site, &mut files)?;
    }
    files.sort();
    let mut code = String::from("&[\n");
    for (index, file) in files.iter().enumerate() {
        let hidden = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden || matches!(extension(file), "gz" | "br") {
            continue;
        }
        let Ok(path) = file.strip_prefix(&site) else { continue };
        let path = path.to_string_lossy().replace('\\', "/");
        let mut hasher = DefaultHasher::new();
        hasher.write(&fs::read(file)?);
        // Included from a copy, for the site may be built anew while the compiler reads.
        let plain = copied(file, &out, index, "plain")?;
        let form = |ending: &str| -> io::Result<String> {
            let compressed = PathBuf::from(format!("{}.{ending}", file.display()));
            if !compressed.is_file() {
                return Ok("None".to_owned());
            }
            let copy = copied(&compressed, &out, index, ending)?;
            Ok(format!("Some(include_bytes!({copy:?}).as_slice())"))
        };
        let (gzip, brotli) = (form("gz")?, form("br")?);
        let _ = writeln!(
            code,
            "    File {{ path: {path:?}, kind: {:?}, tag: {:?}, plain: include_bytes!({plain:?}).as_slice(), \
             gzip: {gzip}, brotli: {brotli} }},",
            kind(extension(file)),
            format!("{:016x}", hasher.finish()),
        );
    }
    code.push_str("]\n");
    fs::write(out.join("site.rs"), code)
}

/// Copies a file into the compiler's own folder and says where it lies there.
fn copied(file: &Path, out: &Path, index: usize, form: &str) -> io::Result<PathBuf> {
    let copy = out.join(format!("{index}.{form}"));
    fs::copy(file, &copy)?;
    Ok(copy)
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { collect(&path, into)? } else { into.push(path) }
    }
    Ok(())
}

fn extension(file: &Path) -> &str {
    file.extension().and_then(|extension| extension.to_str()).unwrap_or("")
}

fn kind(extension: &str) -> &'static str {
    match extension {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "json" => "application/json",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
