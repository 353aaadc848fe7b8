//! What is done to the voters while clients use them, drawn from a seed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

use super::voter::{MEMBERS, Voter};

/// A bug planted on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// None: the product as it is.
    Nothing,
    /// Reads are answered by whoever is asked, without asking the leader how far it should be.
    StaleReads,
    /// Writes are acknowledged before they are on disk: the power fails, and the last ones are missing.
    LostTail,
}

impl Plant {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Plant::Nothing => "nothing",
            Plant::StaleReads => "stale-reads",
            Plant::LostTail => "lost-tail",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        match name {
            "stale-reads" => Plant::StaleReads,
            "lost-tail" => Plant::LostTail,
            _ => Plant::Nothing,
        }
    }
}

/// One thing that happens. It ends after a while, and all is whole again for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A member reaches nobody, and nobody reaches it.
    Alone,
    /// Nobody hears what a member says, and it hears all of them.
    Mute,
    /// A member hears nobody, and all hear it.
    Deaf,
    /// One line between two members is cut.
    Line,
    /// Every line is cut.
    Apart,
    /// The process is stopped and goes on later as if nothing had been.
    Paused,
    /// `kill -9`, and a start on the same data.
    Killed,
    /// All are killed at once.
    PowerCut,
}

/// Everything that may happen.
pub(crate) const FAULTS: [Fault; 8] = [
    Fault::Alone,
    Fault::Mute,
    Fault::Deaf,
    Fault::Line,
    Fault::Apart,
    Fault::Paused,
    Fault::Killed,
    Fault::PowerCut,
];

/// Three voters and what happens to them.
pub(crate) struct Storm {
    pub(crate) voters: Vec<Voter>,
    plant: Plant,
    /// What may happen.
    faults: Vec<Fault>,
    rng: StdRng,
    /// What happened, for whoever replays it.
    pub(crate) log: Vec<String>,
}

impl Storm {
    /// Raises the voters.
    pub(crate) fn gather(seed: u64, plant: Plant, faults: &[Fault]) -> Self {
        let host = crate::support::host();
        let mut voters: Vec<Voter> = Vec::new();
        for id in (1..=MEMBERS).rev() {
            let others: Vec<_> = voters.iter().map(|voter| (voter.id, voter.address.clone())).collect();
            let others = if id == 1 { others } else { Vec::new() };
            voters.push(Voter::start(id, &host, plant, &others));
        }
        voters.reverse();
        let faults = faults.to_vec();
        Self { voters, plant, faults, rng: StdRng::seed_from_u64(seed ^ 0xfa17), log: Vec::new() }
    }

    /// A few faults, one after the other.
    pub(crate) fn blow(&mut self) {
        for _ in 0..self.rng.random_range(2..=4) {
            self.calm(50..300);
            let fault = *self.faults.choose(&mut self.rng).unwrap_or(&Fault::PowerCut);
            self.strike(fault);
        }
        self.calm(50..200);
    }

    fn calm(&mut self, millis: std::ops::Range<u64>) {
        let wait = Duration::from_millis(self.rng.random_range(millis));
        std::thread::sleep(wait);
    }

    /// Most often whoever leads.
    fn victim(&mut self) -> usize {
        let any = self.rng.random_range(0..self.voters.len());
        let leader = self.voters.iter().position(Voter::leads);
        if self.rng.random_bool(0.6) { leader.unwrap_or(any) } else { any }
    }

    fn strike(&mut self, fault: Fault) {
        let at = self.victim();
        let id = self.voters[at].id;
        let all = (2 << MEMBERS) - 1;
        self.log.push(format!("{fault:?} {id}{}", if self.voters[at].leads() { " (leads)" } else { "" }));
        let mut lines: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
        match fault {
            Fault::Alone => {
                lines = self.voters.iter().map(|voter| (voter.id, (1 << id, 0))).collect();
                lines.insert(id, (all, 0));
            }
            Fault::Mute => {
                lines = self.voters.iter().map(|voter| (voter.id, (0, 1 << id))).collect();
                lines.insert(id, (all, 0));
            }
            Fault::Deaf => {
                lines = self.voters.iter().map(|voter| (voter.id, (1 << id, 0))).collect();
                lines.insert(id, (0, all));
            }
            Fault::Line => {
                let other = self.voters[(at + 1) % self.voters.len()].id;
                lines = [(id, (1 << other, 0)), (other, (1 << id, 0))].into();
            }
            Fault::Apart => lines = self.voters.iter().map(|voter| (voter.id, (all, 0))).collect(),
            Fault::Paused => self.voters[at].signal(Signal::SIGSTOP),
            Fault::Killed => self.voters[at].kill(),
            Fault::PowerCut => {
                // Only where no file of the log goes away meanwhile.
                let before = if self.plant == Plant::LostTail { self.lengths() } else { Vec::new() };
                if self.plant == Plant::LostTail {
                    // What is written from here on is acknowledged and will be missing.
                    self.calm(100..300);
                }
                self.voters.iter_mut().for_each(Voter::kill);
                for (path, length) in before {
                    std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
                }
            }
        }
        for voter in &mut self.voters {
            let (questions, answers) = lines.get(&voter.id).copied().unwrap_or_default();
            voter.cut(questions, answers);
        }
        self.calm(200..900);
        match fault {
            Fault::Paused => self.voters[at].signal(Signal::SIGCONT),
            Fault::Killed => self.voters[at].restart(),
            Fault::PowerCut => self.voters.iter_mut().for_each(Voter::restart),
            _ => {}
        }
        self.voters.iter_mut().for_each(|voter| voter.cut(0, 0));
    }

    /// How long the files of the log are without the zeros ahead of them.
    fn lengths(&self) -> Vec<(PathBuf, u64)> {
        let logs = self.voters.iter().flat_map(|voter| std::fs::read_dir(voter.dir().join("log")).unwrap());
        logs.map(|entry| entry.unwrap().path())
            .map(|path| {
                let bytes = std::fs::read(&path).unwrap();
                let mut end = 64;
                // Each record says how long it is, and is filled up to a multiple of eight; zeros are no record.
                while let Some(length) = bytes.get(end + 4..).and_then(|rest| rest.first_chunk::<4>())
                    && bytes[end..end + 4] != [0; 4]
                {
                    end += 24 + (u32::from_le_bytes(*length) as usize).next_multiple_of(8);
                }
                (path, end.min(bytes.len()) as u64)
            })
            .collect()
    }
}
