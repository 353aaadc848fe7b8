//! The `nft` program, to which the packet rules of a node are handed, each change in one transaction.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use univrs_ports::network::NetworkError;

use crate::links::failed;
use crate::rules::{Rules, emptied, probe};

/// The `nft` program.
#[derive(Clone, Debug)]
pub(crate) struct Nft {
    program: PathBuf,
}

impl Nft {
    /// Finds it where the shell would, or in the folders of system programs.
    pub(crate) fn find() -> Result<Self, NetworkError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let system = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"].map(PathBuf::from);
        std::env::split_paths(&path)
            .chain(system)
            .map(|folder| folder.join("nft"))
            .find(|program| program.is_file())
            .map(|program| Self { program })
            .ok_or(NetworkError::Unavailable {
                what: "the nft program",
                hint: "install nftables (Debian, Ubuntu: `apt install nftables`; Fedora: `dnf install nftables`)",
            })
    }

    /// Makes the tables exactly what the rules say, whatever is there.
    pub(crate) fn write(&self, table: &str, rules: &Rules) -> Result<(), NetworkError> {
        self.run(&rules.script(), &format!("write nft table {table}"))
    }

    /// Takes the tables from what they are by `before` to `rules`. Only what differs is written where that can be: a
    /// table made anew costs the kernel milliseconds in which it waits for all processors.
    pub(crate) fn change(&self, table: &str, before: &Rules, rules: &Rules) -> Result<(), NetworkError> {
        let Some(script) = rules.since(before) else { return self.write(table, rules) };
        if script.is_empty() {
            return Ok(());
        }
        match self.run(&script, &format!("change nft table {table}")) {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::info!(table, %error, "the packet rules are not as they were left; they are written anew");
                self.write(table, rules)
            }
        }
    }

    /// Whether the kernel can look at packets inside a bridge.
    pub(crate) fn can_separate(&self, table: &str) -> bool {
        self.run(&probe(table), "look at packets inside a bridge").is_ok()
    }

    /// Removes the tables; one that is not there is fine.
    pub(crate) fn remove(&self, table: &str) -> Result<(), NetworkError> {
        self.run(&emptied("inet", table), &format!("delete nft table {table}"))?;
        if self.tables()?.lines().any(|line| line.trim() == format!("table bridge {table}")) {
            self.run(&emptied("bridge", table), &format!("delete nft table {table} of bridges"))?;
        }
        Ok(())
    }

    /// Whether the table is there that looks at packets inside the bridge.
    pub(crate) fn has_separation(&self, table: &str) -> Result<bool, NetworkError> {
        let wanted = format!("table bridge {table}");
        Ok(self.tables()?.lines().any(|line| line.trim() == wanted))
    }

    /// Whether the table exists.
    pub(crate) fn has(&self, table: &str) -> Result<bool, NetworkError> {
        let wanted = format!("table inet {table}");
        Ok(self.tables()?.lines().any(|line| line.trim() == wanted))
    }

    /// Whether there is the table in which the iptables program keeps its filter.
    pub(crate) fn has_filter(&self) -> Result<bool, NetworkError> {
        Ok(self.tables()?.lines().any(|line| line.trim() == "table ip filter"))
    }

    /// Whether any table exists, ours or others'.
    pub(crate) fn any_table(&self) -> Result<bool, NetworkError> {
        Ok(!self.tables()?.trim().is_empty())
    }

    fn tables(&self) -> Result<String, NetworkError> {
        let step = "list nft tables";
        let output = Command::new(&self.program)
            .args(["list", "tables"])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed(step, error))?;
        if !output.status.success() {
            return Err(failed(step, first_line(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn run(&self, script: &str, step: &str) -> Result<(), NetworkError> {
        let mut child = Command::new(&self.program)
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| failed(step, error))?;
        if let Some(mut input) = child.stdin.take() {
            // A child that gave up early says why in its output.
            match input.write_all(script.as_bytes()) {
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(failed(step, error)),
                _ => {}
            }
        }
        let output = child.wait_with_output().map_err(|error| failed(step, error))?;
        if output.status.success() {
            return Ok(());
        }
        Err(failed(step, first_line(&output.stderr)))
    }
}

/// Ports of the host that the tables of any daemon on this machine lead to instances; none where that cannot be read.
pub fn published() -> BTreeSet<u16> {
    let Ok(nft) = Nft::find() else { return BTreeSet::new() };
    let Ok(tables) = nft.tables() else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for table in tables.lines().filter_map(|line| line.trim().strip_prefix("table inet ")) {
        let listed = Command::new(&nft.program).args(["list", "map", "inet", table, "published"]).output();
        if let Ok(listed) = listed {
            found.extend(ports_of_map(&String::from_utf8_lossy(&listed.stdout)));
        }
    }
    found
}

/// The ports of a map's elements, such as `tcp . 8080 : 100.64.0.2 . 80`.
fn ports_of_map(listed: &str) -> Vec<u16> {
    let elements = listed.split_once("elements = {").map_or("", |(_, rest)| rest);
    let port = |element: &str| {
        let (_, port) = element.split_once(" : ")?.0.split_once(" . ")?;
        port.trim().parse().ok()
    };
    elements.split(',').filter_map(port).collect()
}

fn first_line(said: &[u8]) -> String {
    String::from_utf8_lossy(said).lines().next().unwrap_or("nft failed without a word").to_owned()
}

/// Whether the older packet filter, which keeps its own tables, has any.
pub(crate) fn legacy_tables() -> bool {
    std::fs::read_to_string(Path::new("/proc/thread-self/net/ip_tables_names"))
        .is_ok_and(|names| !names.trim().is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn ports_are_read_back_from_a_map() {
        let listed = "table inet univrs_1 {\n\tmap published {\n\t\ttype inet_proto . inet_service : ipv4_addr . inet_service\n\t\telements = { tcp . 8080 : 100.64.0.2 . 80,\n\t\t\t     udp . 5353 : 100.64.0.2 . 53 }\n\t}\n}\n";
        assert_eq!(super::ports_of_map(listed), [8080, 5353]);
        assert_eq!(super::ports_of_map("table inet x {\n\tmap published {\n\t}\n}\n"), Vec::<u16>::new());
    }
}
