//! Which ports of this machine somebody listens at.

use std::collections::BTreeSet;

/// State 10 of the kernel's table: listening.
const LISTENING: &str = "0A";

/// The ports that programs of this machine listen at over TCP; none where that cannot be read.
pub fn listening() -> BTreeSet<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    tables
        .iter()
        .flat_map(|path| std::fs::read_to_string(path).map(|text| ports(&text)).unwrap_or_default())
        .collect()
}

fn ports(table: &str) -> Vec<u16> {
    let port = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state) = (fields.get(1)?, fields.get(3)?);
        (*state == LISTENING).then(|| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok())?
    };
    table.lines().skip(1).filter_map(port).collect()
}

#[cfg(test)]
mod tests {
    use super::{listening, ports};

    #[test]
    fn only_who_listens_counts() {
        let table = "  sl  local_address rem_address   st\n   0: 00000000:4A39 00000000:0000 0A 0\n   1: 0100007F:4A3A 0100007F:1234 01 0\n";
        assert_eq!(ports(table), [19001]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(listening().contains(&listener.local_addr().unwrap().port()));
    }
}
