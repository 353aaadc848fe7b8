//! `univrs install`: this program as a service of systemd.
//!
//! Containers outlive the service: it ends only its own process, and the control groups below it are its own to manage.
//! Installing again with a newer program is how one machine is upgraded.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;

use crate::args;
use crate::context::Context;
use crate::exit::Exit;
use crate::fault::Fault;

/// Where systemd shows that it runs this machine; see sd_booted(3).
const SYSTEMD: &str = "/run/systemd/system";

/// Install this program as a service of systemd, and start it; again to upgrade it or to change its flags.
#[derive(Args, Debug)]
pub(crate) struct InstallArgs {
    /// What `univrs up` is given
    #[arg(last = true, value_name = "FLAGS OF UP")]
    flags: Vec<String>,
    /// Where the program goes
    #[arg(long, value_name = "FILE", default_value = "/usr/local/bin/univrs")]
    program: PathBuf,
    /// Where the unit goes; its name is that of the service
    #[arg(long, value_name = "FILE", default_value = "/etc/systemd/system/univrs.service")]
    unit: PathBuf,
    /// Print the unit, and change nothing
    #[arg(long)]
    print: bool,
    /// Write program and unit, and start nothing
    #[arg(long)]
    no_start: bool,
}

impl InstallArgs {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Fault> {
        check(&self.flags)?;
        let unit = unit(&self.program, &self.flags);
        if self.print {
            context.io.data(unit.trim_end())?;
            return Ok(Exit::Ok);
        }
        copy_program(&self.program)?;
        replace(&self.unit, unit.as_bytes(), 0o644)?;
        context.talk(&format!("wrote {} and {}", self.program.display(), self.unit.display()))?;
        if self.no_start {
            return Ok(Exit::Ok);
        }
        if !Path::new(SYSTEMD).exists() {
            let command = format!("{} up {}", self.program.display(), self.flags.join(" "));
            context
                .talk(&format!("systemd does not run this machine; start it with: {}", command.trim_end()))?;
            return Ok(Exit::Ok);
        }
        let service = self.unit.file_name().unwrap_or(self.unit.as_os_str()).to_owned();
        for words in [
            vec!["daemon-reload".into()],
            vec!["enable".into(), service.clone()],
            vec!["restart".into(), service],
        ] {
            systemctl(&words)?;
        }
        context.talk(
            "the service runs; `univrs status` shows the cluster, `journalctl -u univrs` what it says",
        )?;
        Ok(Exit::Ok)
    }
}

/// Refuses what `univrs up` would not take, before anything is changed.
fn check(flags: &[String]) -> Result<(), Fault> {
    let hint =
        "the flags of `univrs up` go after `--`: `univrs install -- --join HOST --join-token-file FILE`";
    if flags.iter().any(|flag| flag == "--join-token" || flag.starts_with("--join-token=")) {
        let detail = "everybody could read the join token in the unit";
        return Err(Fault::usage(
            detail,
            "put it into a file that only root reads, and give --join-token-file FILE",
        ));
    }
    let line = ["univrs", "up"].map(OsString::from).into_iter().chain(flags.iter().map(OsString::from));
    args::try_parse(line).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Fault::usage(first, hint)
    })?;
    Ok(())
}

/// The unit, for systemd 240 and later.
fn unit(program: &Path, flags: &[String]) -> String {
    let mut words = vec![program.display().to_string(), "up".to_owned()];
    if !flags.iter().any(|flag| flag == "--on-exit" || flag.starts_with("--on-exit=")) {
        words.extend(["--on-exit".to_owned(), "keep".to_owned()]);
    }
    words.extend(flags.iter().cloned());
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!(
        "[Unit]
Description=Univrs node
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart={}
Restart=always
RestartSec=1
# Containers go on while the service is restarted or upgraded.
KillMode=process
# The control groups of containers lie below that of the service, and are not systemd's to move.
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
OOMScoreAdjust=-900
TimeoutStopSec=30

[Install]
WantedBy=multi-user.target
",
        words.join(" ")
    )
}

/// A word of a command line as systemd reads it; see systemd.service(5), "Command lines".
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut text = String::from("\"");
    for letter in word.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            '$' => text.push_str("$$"),
            '%' => text.push_str("%%"),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

/// Puts the running program in its place, unless it runs from there.
fn copy_program(to: &Path) -> Result<(), Fault> {
    let own =
        std::env::current_exe().map_err(|source| Fault::local("find this program".to_owned(), source))?;
    if own.canonicalize().ok() == to.canonicalize().ok() && to.exists() {
        return Ok(());
    }
    let bytes =
        std::fs::read(&own).map_err(|source| Fault::local(format!("read {}", own.display()), source))?;
    replace(to, &bytes, 0o755)
}

/// Writes a file whole or not at all: a running program of that name keeps what it has.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Fault> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let failed = |source| Fault::local(format!("write {}", path.display()), source);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = (|| {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut options = std::fs::File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(mode).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)
    })();
    written.map_err(failed)
}

fn systemctl(words: &[OsString]) -> Result<(), Fault> {
    let line = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let done = Command::new("systemctl").args(words).output();
    let done = done.map_err(|source| Fault::local(format!("run systemctl {line}"), source))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let detail = format!("`systemctl {line}` failed: {}", said.lines().next().unwrap_or("it said nothing"));
    Err(Fault::failed(detail, Some("`journalctl -u univrs -n 50` says more")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{check, quoted, unit};

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_unit_says_how_the_node_is_started() {
        let text = unit(Path::new("/usr/local/bin/univrs"), &words("--cloud aws --label disk=ssd"));
        let start = "ExecStart=/usr/local/bin/univrs up --on-exit keep --cloud aws --label disk=ssd\n";
        assert!(
            text.contains(start) && text.contains("KillMode=process\n") && text.contains("Delegate=yes\n")
        );
        let own = unit(Path::new("/u"), &words("--on-exit down"));
        assert!(own.contains("ExecStart=/u up --on-exit down\n"));
    }

    #[test]
    fn words_are_quoted_as_systemd_reads_them() {
        for (word, text) in [
            ("a-b_c.d/e:f=g,h@i+j", "a-b_c.d/e:f=g,h@i+j"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("100%", "\"100%%\""),
            ("$HOME", "\"$$HOME\""),
            ("a\"b\\c", "\"a\\\"b\\\\c\""),
            ("a;b", "\"a;b\""),
        ] {
            assert_eq!(quoted(word), text);
        }
    }

    #[test]
    fn what_up_would_refuse_is_refused_first() {
        assert!(check(&words("--join h --join-token-file /f")).is_ok());
        for line in ["--no-such-flag", "--join-token univrs1.x", "--join-token=univrs1.x", "--voters 2"] {
            assert!(check(&words(line)).is_err(), "{line}");
        }
    }
}
