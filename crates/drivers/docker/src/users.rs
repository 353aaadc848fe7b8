//! Whom a container runs as: names looked up in the image's own `/etc/passwd` and `/etc/group`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A user as the kernel knows one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its number.
    pub uid: u32,
    /// The number of its main group.
    pub gid: u32,
    /// The numbers of its other groups.
    pub groups: Vec<u32>,
}

/// Looks up `name`, `uid`, `name:group` or `uid:gid` in the file system below `root`; empty means root.
///
/// # Errors
/// When the image's files cannot be read or do not name the user.
pub fn look_up(root: &Path, wanted: &str) -> Result<User, String> {
    let passwd = read_inside(root, "/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
    let group = read_inside(root, "/etc/group").map_err(|error| format!("/etc/group: {error}"))?;
    resolve(&passwd, &group, wanted)
}

/// The same in an image whose layers, base first, are not mounted: the topmost file of each counts.
///
/// # Errors
/// As [`look_up`].
pub fn look_up_in_layers(layers: &[PathBuf], wanted: &str) -> Result<User, String> {
    let topmost = |path: &str| {
        let mut texts = layers.iter().rev().map(|layer| read_inside(layer, path));
        let found = texts.find(|text| !matches!(text, Ok(text) if text.is_empty()));
        found.unwrap_or_else(|| Ok(String::new())).map_err(|error| format!("{path}: {error}"))
    };
    resolve(&topmost("/etc/passwd")?, &topmost("/etc/group")?, wanted)
}

/// The text of a file as someone sees it whose root is `root`; empty when there is none.
///
/// Links in an image may point anywhere; they are followed as the container would follow them.
fn read_inside(root: &Path, path: &str) -> io::Result<String> {
    let root = File::open(root)?;
    let how = OpenHow::new()
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let file = match openat2(&root, path, how) {
        Ok(file) => File::from(file),
        Err(nix::Error::ENOENT | nix::Error::ENOTDIR) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(4 << 20).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn resolve(passwd: &str, group: &str, wanted: &str) -> Result<User, String> {
    let (user, wanted_group) = match wanted.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (wanted, None),
    };
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    // A name that is all digits is a name first, as `useradd` would never make one.
    let entry = passwd.lines().map(fields).find(|entry| match number {
        Some(uid) => entry.get(2).and_then(|field| field.parse::<u32>().ok()) == Some(uid),
        None => entry.first() == Some(&user),
    });
    let uid = match (&entry, number) {
        (Some(entry), _) => entry.get(2).and_then(|uid| uid.parse().ok()),
        (None, number) => number,
    }
    .ok_or_else(|| format!("user `{user}` is not in the image's /etc/passwd"))?;
    if let Some(name) = wanted_group.filter(|name| !name.is_empty()) {
        let gid = match name.parse::<u32>() {
            Ok(gid) => gid,
            Err(_) => group
                .lines()
                .map(fields)
                .find(|entry| entry.first() == Some(&name))
                .and_then(|entry| entry.get(2)?.parse().ok())
                .ok_or_else(|| format!("group `{name}` is not in the image's /etc/group"))?,
        };
        return Ok(User { uid, gid, groups: Vec::new() });
    }
    let gid = entry.as_ref().and_then(|entry| entry.get(3)?.parse().ok()).unwrap_or(0);
    let name = entry.as_ref().and_then(|entry| entry.first().copied());
    let mut groups: Vec<u32> = group
        .lines()
        .map(fields)
        .filter(|entry| {
            name.is_some_and(|name| {
                entry.get(3).is_some_and(|members| members.split(',').any(|one| one.trim() == name))
            })
        })
        .filter_map(|entry| entry.get(2)?.parse().ok())
        .filter(|found| *found != gid)
        .collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(User { uid, gid, groups })
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

/// Makes a directory that holds nothing yet the property of `user`. One that is in use stays as it is.
///
/// # Errors
/// When it cannot be read or changed.
pub fn give_if_empty(dir: &Path, user: &User) -> std::io::Result<()> {
    if std::fs::read_dir(dir)?.next().is_none() {
        std::os::unix::fs::chown(dir, Some(user.uid), Some(user.gid))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{User, look_up, resolve};

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/srv:/bin/false\n";
    const GROUP: &str = "root:x:0:\nweb:x:34:\ntape:x:26:web,root\naudio:x:29:other\nvideo:x:44:web\n";

    fn user(wanted: &str) -> Result<User, String> {
        resolve(PASSWD, GROUP, wanted)
    }

    #[test]
    fn names_and_numbers_are_looked_up() {
        assert_eq!(user(""), Ok(User { uid: 0, gid: 0, groups: vec![26] }));
        assert_eq!(user("web"), Ok(User { uid: 33, gid: 34, groups: vec![26, 44] }));
        assert_eq!(user("33"), user("web"));
        assert_eq!(user("web:tape"), Ok(User { uid: 33, gid: 26, groups: vec![] }));
        assert_eq!(user("7:8"), Ok(User { uid: 7, gid: 8, groups: vec![] }));
        assert_eq!(user("1000"), Ok(User { uid: 1000, gid: 0, groups: vec![] }));
    }

    #[test]
    fn unknown_names_are_refused() {
        assert!(user("nobody").unwrap_err().contains("`nobody`"));
        assert!(user("web:nobody").unwrap_err().contains("group `nobody`"));
    }

    #[test]
    fn links_do_not_lead_out_of_the_image() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("passwd"), "leak:x:4242:1::/:/\n").unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let link = root.path().join("etc/passwd");
        std::os::unix::fs::symlink(outside.path().join("passwd"), link).unwrap();
        assert!(look_up(root.path(), "leak").is_err());
        assert_eq!(look_up(root.path(), "5").map(|user| user.uid), Ok(5));
    }
}
