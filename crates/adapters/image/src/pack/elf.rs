//! What a dynamically linked program needs to run: its loader and its shared libraries.
//!
//! The search follows `ld.so(8)`: run paths, the default directories, then those of `/etc/ld.so.conf`. Inside the image
//! there is no cache and no `ld.so.conf`, and the program is in another place, so a library that only those lead to is
//! put beside the C library, where every loader looks.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object::elf::{DT_NEEDED, DT_RPATH, DT_RUNPATH, DT_STRSZ, DT_STRTAB, PT_DYNAMIC, PT_INTERP, PT_LOAD};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, elf};

/// Libraries that the C library opens by name for looking up users and hosts; newer ones have them built in.
const OPENED_BY_NAME: &[&str] = &["libnss_files.so.2", "libnss_dns.so.2"];

/// What a program or library says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wants {
    runs_here: bool,
    loader: Option<String>,
    needed: Vec<String>,
    run_paths: Vec<String>,
}

/// The loader and libraries of `program`, by the path in the image; empty for a static program.
pub(super) fn libraries(program: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let wants = read(program)?;
    let mut found = BTreeMap::new();
    if !wants.runs_here {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the program is for another kind of machine"));
    }
    let Some(loader) = wants.loader.clone() else { return Ok(found) };
    let loader_name = Path::new(&loader).file_name().unwrap_or_default().to_owned();
    found.insert(loader.clone(), PathBuf::from(&loader));
    let defaults = default_directories(Path::new(&loader));
    let configured = configured_directories(Path::new("/etc/ld.so.conf"), 0);
    // Run paths of the program hold for its libraries too in the older form, and doing so for both finds no less.
    let inherited = expand(&wants.run_paths, program);
    // Inside the image the program is elsewhere, so a place relative to it means nothing there.
    let mut absolute: BTreeSet<PathBuf> = absolute_of(&wants.run_paths).collect();
    let mut places: BTreeMap<String, PathBuf> = BTreeMap::new();
    let mut queue: VecDeque<(String, Vec<PathBuf>)> =
        wants.needed.iter().map(|name| (name.clone(), inherited.clone())).collect();
    while let Some((name, own)) = queue.pop_front() {
        if places.contains_key(&name) || loader_name.to_str() == Some(name.as_str()) {
            continue;
        }
        let candidates = if name.contains('/') {
            vec![PathBuf::from(&name)]
        } else {
            own.iter().chain(&defaults).chain(&configured).map(|dir| dir.join(&name)).collect()
        };
        // A library of another architecture may have the same name; the loader passes it over, too.
        let Some((path, more)) =
            candidates.iter().find_map(|path| Some((path, read(path).ok().filter(|wants| wants.runs_here)?)))
        else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("library {name} was not found")));
        };
        absolute.extend(absolute_of(&more.run_paths));
        let mut further = expand(&more.run_paths, path);
        further.extend(inherited.iter().cloned());
        queue.extend(more.needed.iter().map(|name| (name.clone(), further.clone())));
        places.insert(name, path.clone());
    }
    let c_library = places.iter().find(|(name, _)| name.starts_with("libc."));
    let home = c_library.and_then(|(_, path)| path.parent()).map(Path::to_owned);
    for name in OPENED_BY_NAME {
        if let Some(path) = home.as_ref().map(|home| home.join(name)).filter(|path| path.exists()) {
            places.entry((*name).to_owned()).or_insert(path);
        }
    }
    for path in places.values() {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let stays = defaults.iter().any(|dir| dir == directory) || absolute.contains(directory);
        let inside = match (&home, path.file_name()) {
            (Some(home), Some(name)) if !stays => home.join(name),
            _ => path.clone(),
        };
        found.insert(inside.to_string_lossy().into_owned(), path.clone());
    }
    Ok(found)
}

/// Where a loader looks without being told.
fn default_directories(loader: &Path) -> Vec<PathBuf> {
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    let mut directories: Vec<PathBuf> =
        ["/lib", "/usr/lib"].iter().map(|base| Path::new(base).join(&triplet)).collect();
    directories.extend(loader.parent().map(Path::to_owned));
    directories.extend(["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from));
    directories
}

/// The directories named by `ld.so.conf`, with what it includes.
fn configured_directories(file: &Path, depth: usize) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string(file) else { return Vec::new() };
    let mut directories = Vec::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        let Some(pattern) = line.strip_prefix("include").map(str::trim) else {
            if line.starts_with('/') {
                directories.push(PathBuf::from(line));
            }
            continue;
        };
        // In practice the pattern is always `directory/*.conf`.
        let Some(folder) = pattern.strip_suffix("*.conf").filter(|_| depth < 4) else { continue };
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
        files.sort();
        directories.extend(files.iter().flat_map(|file| configured_directories(file, depth + 1)));
    }
    directories
}

fn absolute_of(run_paths: &[String]) -> impl Iterator<Item = PathBuf> {
    let each = run_paths.iter().flat_map(|paths| paths.split(':'));
    each.filter(|path| path.starts_with('/') && !path.contains('$')).map(PathBuf::from)
}

fn expand(run_paths: &[String], of: &Path) -> Vec<PathBuf> {
    let origin =
        of.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
    let origin = origin.to_string_lossy();
    let each = run_paths.iter().flat_map(|paths| paths.split(':')).filter(|path| !path.is_empty());
    each.map(|path| PathBuf::from(path.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin))).collect()
}

fn read(path: &Path) -> io::Result<Wants> {
    let file = fs::File::open(path)?;
    // Only headers and string tables are touched, but they may be anywhere in the file.
    let cache = object::ReadCache::new(file);
    let wants = match elf::FileHeader64::<Endianness>::parse(&cache) {
        Ok(header) => parse(header, &cache),
        Err(_) => elf::FileHeader32::<Endianness>::parse(&cache).and_then(|header| parse(header, &cache)),
    };
    wants.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
}

fn parse<'data, H: FileHeader<Endian = Endianness>, R: object::ReadRef<'data>>(
    header: &'data H,
    data: R,
) -> object::Result<Wants> {
    let endian = header.endian()?;
    let segments = header.program_headers(endian, data)?;
    let wide = header.is_class_64() == cfg!(target_pointer_width = "64");
    let mut wants =
        Wants { runs_here: wide && header.e_machine(endian) == host_machine(), ..Wants::default() };
    let mut dynamic = None;
    for segment in segments {
        match segment.p_type(endian) {
            PT_INTERP => {
                let bytes = segment.data(endian, data).unwrap_or_default();
                wants.loader = Some(text(bytes));
            }
            PT_DYNAMIC => dynamic = segment.dynamic(endian, data)?,
            _ => {}
        }
    }
    let Some(dynamic) = dynamic else { return Ok(wants) };
    let value =
        |tag: i64| dynamic.iter().find(|entry| entry.tag(endian) == tag).map(|entry| entry.val(endian));
    let (Some(strings_at), Some(strings_length)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
        return Ok(wants);
    };
    // The table is named by its address in memory, which a loaded segment maps to a place in the file.
    let strings = segments
        .iter()
        .filter(|segment| segment.p_type(endian) == PT_LOAD)
        .find_map(|segment| segment.data_range(endian, data, strings_at, strings_length).ok().flatten())
        .unwrap_or_default();
    let has_run_path = value(DT_RUNPATH).is_some();
    for entry in dynamic {
        let at = usize::try_from(entry.val(endian)).unwrap_or(usize::MAX);
        let name = || strings.get(at..).map(text).unwrap_or_default();
        match entry.tag(endian) {
            DT_NEEDED => wants.needed.push(name()),
            DT_RUNPATH => wants.run_paths.push(name()),
            DT_RPATH if !has_run_path => wants.run_paths.push(name()),
            _ => {}
        }
    }
    Ok(wants)
}

const fn host_machine() -> u16 {
    match std::env::consts::ARCH.as_bytes() {
        b"x86_64" => elf::EM_X86_64,
        b"x86" => elf::EM_386,
        b"aarch64" => elf::EM_AARCH64,
        b"arm" => elf::EM_ARM,
        b"riscv64" => elf::EM_RISCV,
        b"powerpc64" => elf::EM_PPC64,
        b"s390x" => elf::EM_S390,
        _ => elf::EM_NONE,
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_names_its_loader_and_libraries() {
        let found = libraries(Path::new("/proc/self/exe")).unwrap();
        assert!(found.keys().any(|path| path.contains("/ld-")), "{found:?}");
        assert!(found.keys().any(|path| path.contains("/libc.")), "{found:?}");
        for (inside, outside) in &found {
            assert!(inside.starts_with('/') && outside.exists(), "{inside}");
        }
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        assert!(libraries(Path::new("/etc/passwd")).is_err());
        assert!(libraries(Path::new("/nonexistent")).is_err());
    }
}
