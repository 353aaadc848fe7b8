//! What a simulated machine keeps for the agent that is started next, with virtual time as its uptime.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use univrs_ports::keepsake::{Keepsake, Limit};

use super::link::{Life, Plant};

/// What is kept from one start of the machine to the next.
#[derive(Clone)]
pub(crate) struct Memory {
    booted: Instant,
    kept: Arc<Mutex<(Option<Duration>, Vec<Limit>)>>,
}

impl Memory {
    pub(crate) fn fresh() -> Self {
        Self { booted: Instant::now(), kept: Arc::default() }
    }

    /// As one process reaches it, which begins now.
    pub(crate) fn open(&self, life: &Arc<Life>, plant: Plant) -> Arc<dyn Keepsake> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match plant {
            Plant::FreshStart => kept.0 = None,
            Plant::NothingNoted => kept.1.clear(),
            Plant::Nothing | Plant::EternalLease | Plant::NoGuards | Plant::SilenceIsDeath => {}
        }
        Arc::new(Opened { memory: self.clone(), life: Arc::clone(life) })
    }
}

struct Opened {
    memory: Memory,
    life: Arc<Life>,
}

impl Opened {
    fn change(&self, change: impl FnOnce(&mut (Option<Duration>, Vec<Limit>))) {
        // What is left of a killed process writes nothing.
        if !self.life.is_over() {
            change(&mut self.memory.kept.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl Keepsake for Opened {
    fn uptime(&self) -> Duration {
        self.memory.booted.elapsed()
    }

    fn heard(&self) -> Option<Duration> {
        self.memory.kept.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn hear(&self, at: Duration) {
        self.change(|kept| kept.0 = Some(at));
    }

    fn limits(&self) -> Vec<Limit> {
        self.memory.kept.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn keep(&self, limits: &[Limit]) -> io::Result<()> {
        self.change(|kept| kept.1 = limits.to_vec());
        Ok(())
    }
}
