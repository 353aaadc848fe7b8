//! The rules of unpacking, one by one.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use proptest::prelude::*;
use tar::Header;
use tempfile::TempDir;

use super::*;

/// One entry, written without the checks that a tar library would make.
#[derive(Clone, Debug)]
struct Raw<'a> {
    kind: EntryType,
    path: &'a str,
    link: &'a str,
    body: &'a [u8],
    mode: u32,
}

const fn entry<'a>(kind: EntryType, path: &'a str, link: &'a str) -> Raw<'a> {
    Raw { kind, path, link, body: b"", mode: 0o644 }
}

const fn file<'a>(path: &'a str, body: &'a str) -> Raw<'a> {
    Raw { kind: EntryType::Regular, path, link: "", body: body.as_bytes(), mode: 0o644 }
}

const fn dir(path: &str, mode: u32) -> Raw<'_> {
    Raw { kind: EntryType::Directory, path, link: "", body: b"", mode }
}

fn header(raw: &Raw<'_>) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(raw.kind);
    header.set_mode(raw.mode);
    header.set_uid(1234);
    header.set_gid(2345);
    header.set_mtime(1_000_000);
    header.set_size(raw.body.len() as u64);
    header.as_mut_bytes()[..raw.path.len()].copy_from_slice(raw.path.as_bytes());
    header.as_mut_bytes()[157..157 + raw.link.len()].copy_from_slice(raw.link.as_bytes());
    if matches!(raw.kind, EntryType::Char | EntryType::Block) {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
    }
    header.set_cksum();
    header
}

fn archive(entries: &[Raw<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for raw in entries {
        append(&mut bytes, &header(raw), raw.body);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn append(bytes: &mut Vec<u8>, header: &Header, body: &[u8]) {
    bytes.extend(header.as_bytes());
    bytes.extend(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
}

fn pax(bytes: &mut Vec<u8>, records: &[(&str, &[u8])]) {
    let mut body = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        body.extend(format!("{length} {key}=").as_bytes());
        body.extend(*value);
        body.push(b'\n');
    }
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::XHeader);
    header.set_size(body.len() as u64);
    header.as_mut_bytes()[..3].copy_from_slice(b"pax");
    header.set_cksum();
    append(bytes, &header, &body);
}

fn unpacked(bytes: &[u8], limits: &Limits) -> Result<TempDir, Fault> {
    // A neighbour, which nothing that is unpacked may reach.
    let outer = TempDir::new().unwrap();
    std::fs::write(outer.path().join("secret"), "untouched").unwrap();
    std::fs::create_dir(outer.path().join("layer")).unwrap();
    let bytes = bytes.to_vec();
    let digest = unpack_stream(bytes.as_slice(), &outer.path().join("layer"), limits, false);
    assert_eq!(std::fs::read_to_string(outer.path().join("secret")).unwrap(), "untouched");
    assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 2, "something was made outside");
    digest.map(|digest| {
        assert_eq!(digest, Digest::of(&bytes));
        outer
    })
}

fn layer(entries: &[Raw<'_>]) -> TempDir {
    unpacked(&archive(entries), &Limits::default()).unwrap()
}

fn privileged(what: &str) -> bool {
    let root = nix::unistd::Uid::effective().is_root();
    if !root {
        println!("SKIPPED without root: {what}");
    }
    root
}

fn is_whiteout(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|data| data.file_type().is_char_device() && data.rdev() == 0)
}

fn is_opaque(path: &Path) -> bool {
    ["trusted.overlay.opaque", "user.overlay.opaque"]
        .iter()
        .any(|name| xattr::get(path, name).is_ok_and(|value| value.as_deref() == Some(b"y")))
}

#[test]
fn what_leads_out_of_the_layer_is_refused() {
    use EntryType as T;
    let table: &[(&str, &[Raw<'_>])] = &[
        ("parent", &[file("../secret", "bad")]),
        ("parent in the middle", &[file("a/../../secret", "bad")]),
        ("even if it would stay inside", &[file("a/../b", "bad")]),
        ("directory", &[dir("..", 0o755)]),
        ("whiteout", &[file("../.wh.secret", "")]),
        ("whiteout of the parent", &[file(".wh...", "")]),
        ("whiteout of itself", &[file("a/.wh..", "")]),
        ("whiteout of nothing", &[file(".wh.", "")]),
        ("absolute link as parent", &[entry(T::Symlink, "out", "/"), file("out/tmp/x", "bad")]),
        ("upward link as parent", &[entry(T::Symlink, "out", ".."), file("out/secret", "bad")]),
        (
            "link as parent, in steps",
            &[
                dir("a", 0o755),
                entry(T::Symlink, "a/up", ".."),
                entry(T::Symlink, "up", "a/up/.."),
                file("up/secret", "bad"),
            ],
        ),
        ("link as parent of a directory", &[entry(T::Symlink, "out", ".."), dir("out/new", 0o755)]),
        ("link as parent of a link", &[entry(T::Symlink, "out", ".."), entry(T::Symlink, "out/new", "x")]),
        ("link as parent of an opaque mark", &[entry(T::Symlink, "out", ".."), file("out/.wh..wh..opq", "")]),
        ("link as parent of a whiteout", &[entry(T::Symlink, "out", ".."), file("out/.wh.secret", "")]),
        ("loop of links", &[entry(T::Symlink, "a", "b"), entry(T::Symlink, "b", "a"), file("a/x", "bad")]),
        ("dangling link as parent", &[entry(T::Symlink, "a", "nowhere"), file("a/x", "bad")]),
        ("hard link outside", &[entry(T::Link, "x", "../secret")]),
        ("hard link through a link", &[entry(T::Symlink, "out", ".."), entry(T::Link, "x", "out/secret")]),
        ("hard link to what is only on the host", &[entry(T::Link, "x", "/etc/passwd")]),
        ("hard link to nothing", &[entry(T::Link, "x", "")]),
        ("hard link to a directory", &[dir("d", 0o755), entry(T::Link, "x", "d")]),
        ("hard link to the root", &[entry(T::Link, "x", "/")]),
        ("file as root", &[file("./", "bad")]),
        ("file as parent", &[file("f", ""), file("f/x", "bad")]),
        ("unknown type", &[entry(T::new(b'Z'), "x", "")]),
    ];
    for (what, entries) in table {
        match unpacked(&archive(entries), &Limits::default()) {
            Err(Fault::Malformed(reason)) => assert!(!reason.is_empty(), "{what}"),
            other => panic!("{what}: {other:?}"),
        }
    }
}

#[test]
fn links_inside_the_layer_work() {
    let outer = layer(&[
        dir("usr/lib", 0o755),
        entry(EntryType::Symlink, "lib", "usr/lib"),
        file("lib/x", "through a link"),
        entry(EntryType::Symlink, "absolute", "/etc/passwd"),
        entry(EntryType::Symlink, "upward", "../../secret"),
        entry(EntryType::Link, "hard", "usr/lib/x"),
        entry(EntryType::Link, "hard-link-of-link", "absolute"),
    ]);
    let root = outer.path().join("layer");
    assert_eq!(std::fs::read_to_string(root.join("usr/lib/x")).unwrap(), "through a link");
    assert_eq!(root.join("absolute").read_link().unwrap(), Path::new("/etc/passwd"));
    assert_eq!(root.join("upward").read_link().unwrap(), Path::new("../../secret"));
    let inode = |name: &str| root.join(name).symlink_metadata().unwrap().ino();
    assert_eq!(inode("hard"), inode("usr/lib/x"));
    assert_eq!(inode("hard-link-of-link"), inode("absolute"));
}

#[test]
fn a_planted_link_is_replaced_and_not_written_through() {
    let outer =
        layer(&[entry(EntryType::Symlink, "x", "../secret"), file("x", "mine"), file("/abs/y", "inside")]);
    let root = outer.path().join("layer");
    assert!(root.join("x").symlink_metadata().unwrap().is_file());
    assert_eq!(std::fs::read_to_string(root.join("abs/y")).unwrap(), "inside");
}

#[test]
fn later_entries_replace_earlier_ones() {
    let outer = layer(&[
        file("a", "one"),
        file("a", "two"),
        dir("b", 0o755),
        file("b/inside", "x"),
        file("b", "now a file"),
        file("c", "x"),
        dir("c", 0o700),
        file("c/inside", "x"),
        dir("d", 0o700),
        file("d/kept", "x"),
        dir("d", 0o711),
    ]);
    let root = outer.path().join("layer");
    assert_eq!(std::fs::read_to_string(root.join("a")).unwrap(), "two");
    assert_eq!(std::fs::read_to_string(root.join("b")).unwrap(), "now a file");
    assert!(root.join("c/inside").exists() && root.join("d/kept").exists());
    assert_eq!(root.join("d").metadata().unwrap().permissions().mode() & 0o7777, 0o711);
}

#[test]
fn deletions_become_marks_of_overlayfs() {
    let outer = layer(&[
        file(".wh.gone", ""),
        file("etc/.wh.gone", ""),
        file("var/.wh..wh..opq", ""),
        file("var/new", "x"),
        file(".wh..wh.plnk", ""),
        // Deleted below and brought anew, in either order.
        file(".wh.first", ""),
        file("first/x", "x"),
        file("then/x", "x"),
        file(".wh.then", ""),
        file(".wh.renewed", ""),
        dir("renewed", 0o755),
        file(".wh.file", ""),
        file("file", "new"),
    ]);
    let root = outer.path().join("layer");
    assert!(is_whiteout(&root.join("gone")) && is_whiteout(&root.join("etc/gone")));
    assert!(is_opaque(&root.join("var")) && root.join("var/new").exists());
    assert!(!is_opaque(&root.join("etc")) && !is_opaque(&root));
    assert!(!root.join(".wh..wh.plnk").exists());
    for renewed in ["first", "then", "renewed"] {
        assert!(root.join(renewed).is_dir() && is_opaque(&root.join(renewed)), "{renewed}");
    }
    assert!(root.join("first/x").exists() && root.join("then/x").exists());
    assert_eq!(std::fs::read_to_string(root.join("file")).unwrap(), "new");
}

#[test]
fn attributes_are_kept() {
    let outer = layer(&[
        Raw { mode: 0o4755, ..file("suid", "x") },
        dir("read-only", 0o555),
        file("read-only/x", "x"),
        Raw { mode: 0o1777, ..dir("./", 0o1777) },
        entry(EntryType::Fifo, "pipe", ""),
        entry(EntryType::Char, "null", ""),
    ]);
    let root = outer.path().join("layer");
    let data = |name: &str| root.join(name).symlink_metadata().unwrap();
    assert_eq!(data("read-only").mode() & 0o7777, 0o555);
    assert_eq!(data("").mode() & 0o7777, 0o1777);
    for name in ["suid", "read-only", "read-only/x", "", "pipe"] {
        assert_eq!(data(name).mtime(), 1_000_000, "{name}");
    }
    assert!(data("pipe").file_type().is_fifo());
    if privileged("owners, set-user-id and devices") {
        assert_eq!(data("suid").mode() & 0o7777, 0o4755);
        assert_eq!((data("suid").uid(), data("read-only").gid()), (1234, 2345));
        assert_eq!(data("null").rdev(), nix::sys::stat::makedev(1, 3));
    }
}

#[test]
fn extended_attributes_and_long_names_are_kept() {
    // Version 2 of the file capability format, with one capability.
    let capability: &[u8] = &[1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let mut bytes = Vec::new();
    pax(
        &mut bytes,
        &[
            ("path", long.as_bytes()),
            ("mtime", b"1000.25"),
            ("uid", b"70000"),
            ("SCHILY.xattr.security.capability", capability),
            ("SCHILY.xattr.user.note", b"hello"),
            ("SCHILY.xattr.security.selinux", b"ignored"),
            ("SCHILY.xattr.trusted.other", b"ignored"),
        ],
    );
    append(&mut bytes, &header(&file("short", "x")), b"x");
    bytes.extend([0; 1024]);
    let outer = unpacked(&bytes, &Limits::default()).unwrap();
    let path = outer.path().join("layer").join(&long);
    let data = path.metadata().unwrap();
    assert_eq!((data.mtime(), data.mtime_nsec()), (1000, 250_000_000));
    assert!(xattr::get(&path, "trusted.other").ok().flatten().is_none());
    if privileged("file capabilities and owners") {
        assert_eq!(xattr::get(&path, "security.capability").unwrap().as_deref(), Some(capability));
        assert_eq!(data.uid(), 70000);
    }
}

#[test]
fn marks_of_overlayfs_cannot_be_smuggled_in() {
    for name in ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.metacopy"] {
        let mut bytes = Vec::new();
        pax(&mut bytes, &[(&format!("SCHILY.xattr.{name}"), b"/etc")]);
        append(&mut bytes, &header(&file("x", "")), b"");
        bytes.extend([0; 1024]);
        assert!(matches!(unpacked(&bytes, &Limits::default()), Err(Fault::Malformed(_))), "{name}");
    }
}

#[test]
fn limits_hold() {
    let limits = |layer_bytes, layer_entries| Limits { layer_bytes, layer_entries, ..Limits::default() };
    let bytes = archive(&[file("a", &"x".repeat(5000)), file("b", "x"), file("c", "x")]);
    assert!(unpacked(&bytes, &limits(1 << 20, 3)).is_ok());
    assert!(matches!(unpacked(&bytes, &limits(1 << 20, 2)), Err(Fault::Malformed(_))));
    assert!(matches!(unpacked(&bytes, &limits(4000, 3)), Err(Fault::Malformed(_))));
    // Zeros compress a thousandfold; what counts is what comes out.
    let bomb = archive(&[file("zeros", &"\0".repeat(8 << 20))]);
    let packed = zstd::encode_all(bomb.as_slice(), 1).unwrap();
    assert!(packed.len() < 8 << 10);
    let stream = decompressed_stream(io::Cursor::new(packed)).unwrap();
    let into = TempDir::new().unwrap();
    let done = unpack_stream(stream, into.path(), &limits(1 << 20, 10), false);
    assert!(matches!(done, Err(Fault::Malformed(_))), "{done:?}");
}

#[test]
fn a_name_of_gigabytes_is_not_read_into_memory() {
    let mut long = Header::new_gnu();
    long.set_entry_type(EntryType::GNULongName);
    long.set_size(8 << 30);
    long.set_cksum();
    let stream = io::Cursor::new(long.as_bytes().to_vec()).chain(io::repeat(b'x'));
    let into = TempDir::new().unwrap();
    let done = unpack_stream(stream, into.path(), &Limits::default(), false);
    assert!(matches!(done, Err(Fault::Malformed(_))), "{done:?}");
}

#[test]
fn damaged_streams_are_malformed() {
    let whole = archive(&[file("a", &"x".repeat(5000))]);
    let mut flipped = whole.clone();
    flipped[3] ^= 0xff;
    for bytes in [&whole[..2000], &flipped, b"this is no archive at all, but long enough to be read as a header of one....................................................................................................................................................................................................................................................................................................................................................................................................................................................................................".as_slice()] {
        assert!(matches!(unpacked(bytes, &Limits::default()), Err(Fault::Malformed(_))));
    }
    assert!(unpacked(&[], &Limits::default()).is_ok(), "an empty stream is an empty layer");
}

fn any_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("..".to_owned()),
        Just(".".to_owned()),
        Just(String::new()),
        Just("a".to_owned()),
        Just("b".to_owned()),
        Just("up".to_owned()),
        Just(".wh.a".to_owned()),
        Just(".wh..wh..opq".to_owned()),
        "[a-z]{1,3}",
    ];
    proptest::collection::vec(part, 1..5).prop_map(|parts| parts.join("/"))
}

fn any_entry() -> impl Strategy<Value = (EntryType, String, String)> {
    let kind = prop_oneof![
        Just(EntryType::Regular),
        Just(EntryType::Directory),
        Just(EntryType::Symlink),
        Just(EntryType::Link),
    ];
    let target =
        prop_oneof![any_name(), Just("..".to_owned()), Just("/".to_owned()), Just("../secret".to_owned())];
    (kind, any_name(), target)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the entries are, nothing outside the layer's directory changes.
    #[test]
    fn nothing_outside_is_ever_touched(entries in proptest::collection::vec(any_entry(), 1..12)) {
        let entries: Vec<Raw<'_>> = entries
            .iter()
            .map(|(kind, path, link)| {
                let body: &[u8] = if *kind == EntryType::Regular { b"bad" } else { b"" };
                Raw { kind: *kind, path, link, body, mode: 0o755 }
            })
            .collect();
        // The helper asserts what matters, for success and failure alike.
        match unpacked(&archive(&entries), &Limits::default()) {
            Ok(_) | Err(Fault::Malformed(_)) => {}
            Err(fault) => prop_assert!(false, "{fault:?}"),
        }
    }
}
