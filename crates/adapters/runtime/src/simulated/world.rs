//! What exists in the simulation, and the one task that tells of endings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Notify, broadcast};
use tokio::time::Instant;
use univrs_model::ids::InstanceId;
use univrs_model::name::Name;
use univrs_ports::runtime::{
    ContainerId, ContainerPhase, ContainerSpec, ContainerState, ContainerUsage, Exit, LogLine, RuntimeError,
    RuntimeInventory,
};

use super::not_found;
use super::script::Script;

/// How many endings may wait for someone to look.
const ENDINGS: usize = 16_384;

pub(super) struct World {
    state: Mutex<State>,
    endings: broadcast::Sender<ContainerId>,
    /// Wakes the task that tells of endings.
    wake: Arc<Notify>,
    /// What the clock showed when the simulation began.
    epoch: (Instant, Timestamp),
}

#[derive(Default)]
pub(super) struct State {
    pub(super) sandboxes: BTreeMap<InstanceId, BTreeMap<Name, Simulated>>,
    /// Ends to come, in order.
    timers: BTreeSet<(Instant, ContainerId)>,
    /// Whether the task runs that tells of endings.
    ticking: bool,
}

/// A container: its current attempt and those before it.
pub(super) struct Simulated {
    digest: String,
    attempts: Vec<Attempt>,
}

struct Attempt {
    number: u32,
    script: Script,
    started: Instant,
    cpu: u64,
    /// When it ends or ended, with which code, and whether for want of memory.
    end: Option<(Instant, i32, bool)>,
}

impl Attempt {
    fn ended(&self, now: Instant) -> Option<(Instant, i32, bool)> {
        self.end.filter(|(at, _, _)| *at <= now)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.wake.notify_waiters();
    }
}

impl World {
    pub(super) fn new(epoch: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            endings: broadcast::channel(ENDINGS).0,
            wake: Arc::default(),
            epoch: (Instant::now(), epoch),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn endings(&self) -> broadcast::Receiver<ContainerId> {
        self.endings.subscribe()
    }

    /// What the clock shows at a moment of the simulation.
    fn time(&self, at: Instant) -> Timestamp {
        let passed = SignedDuration::try_from(at.saturating_duration_since(self.epoch.0)).unwrap_or_default();
        self.epoch.1.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    fn state_of(&self, id: &ContainerId, container: &Simulated, now: Instant) -> Option<ContainerState> {
        let attempt = container.attempts.last()?;
        let phase = match attempt.ended(now) {
            Some((at, code, out_of_memory)) => {
                ContainerPhase::Exited(Exit { code: Some(code), out_of_memory, at: self.time(at) })
            }
            None => ContainerPhase::Running,
        };
        Some(ContainerState {
            id: id.clone(),
            attempt: attempt.number,
            pid: None,
            started_at: self.time(attempt.started),
            phase,
            image_digest: container.digest.clone(),
        })
    }

    pub(super) fn state(&self, id: &ContainerId) -> Option<ContainerState> {
        let state = self.lock();
        let container = state.sandboxes.get(&id.instance)?.get(&id.container)?;
        self.state_of(id, container, Instant::now())
    }

    pub(super) fn inventory(&self) -> RuntimeInventory {
        let (state, now) = (self.lock(), Instant::now());
        let mut inventory = RuntimeInventory::default();
        for (instance, containers) in &state.sandboxes {
            inventory.sandboxes.push(instance.clone());
            inventory.containers.extend(containers.iter().filter_map(|(name, container)| {
                let id = ContainerId { instance: instance.clone(), container: name.clone() };
                self.state_of(&id, container, now)
            }));
        }
        inventory
    }

    /// The container that a start would find, if it may stay.
    pub(super) fn existing(&self, spec: &ContainerSpec) -> Result<Option<ContainerState>, RuntimeError> {
        if !self.lock().sandboxes.contains_key(&spec.id.instance) {
            return Err(not_found(&format!("{} (its sandbox is not open)", spec.id)));
        }
        let Some(found) = self.state(&spec.id) else { return Ok(None) };
        let reason = match found.phase {
            _ if found.attempt == spec.attempt => return Ok(Some(found)),
            ContainerPhase::Running => format!("attempt {} still runs", found.attempt),
            ContainerPhase::Exited(_) if found.attempt > spec.attempt => {
                format!("attempt {} came later", found.attempt)
            }
            ContainerPhase::Exited(_) => return Ok(None),
        };
        Err(RuntimeError::Failed { id: spec.id.to_string(), step: "start", reason })
    }

    /// Starts an attempt, unless someone else was faster.
    pub(super) fn insert(
        self: &Arc<Self>,
        spec: &ContainerSpec,
        script: Script,
    ) -> Result<ContainerState, RuntimeError> {
        if let Some(state) = self.existing(spec)? {
            return Ok(state);
        }
        let now = Instant::now();
        let code = if script.out_of_memory { 137 } else { script.exit_code };
        let end = script.exit_after.map(|after| (now + after, code, script.out_of_memory));
        let attempt = Attempt {
            number: spec.attempt,
            script,
            started: now,
            cpu: spec.limits.cpu_request.as_millicores(),
            end,
        };
        {
            let mut state = self.lock();
            let sandbox = state.sandboxes.get_mut(&spec.id.instance).ok_or_else(|| not_found(&spec.id))?;
            let container = sandbox
                .entry(spec.id.container.clone())
                .or_insert_with(|| Simulated { digest: String::new(), attempts: Vec::new() });
            container.digest.clone_from(&spec.image.digest);
            container.attempts.push(attempt);
            if let Some((at, _, _)) = end {
                state.timers.insert((at, spec.id.clone()));
            }
        }
        self.tick();
        self.state(&spec.id).ok_or_else(|| not_found(&spec.id))
    }

    /// Fails unless the container runs.
    pub(super) fn running(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        match self.state(id).ok_or_else(|| not_found(id))?.phase {
            ContainerPhase::Running => Ok(()),
            ContainerPhase::Exited(_) => Err(RuntimeError::NotRunning { id: id.to_string() }),
        }
    }

    pub(super) fn exit(&self, id: &ContainerId) -> Result<Exit, RuntimeError> {
        match self.state(id).ok_or_else(|| not_found(id))?.phase {
            ContainerPhase::Exited(exit) => Ok(exit),
            ContainerPhase::Running => Err(RuntimeError::Failed {
                id: id.to_string(),
                step: "stop",
                reason: "it runs longer than planned".to_owned(),
            }),
        }
    }

    /// Asks a container to end. Answers when it will have ended, or `None` when it does not care.
    pub(super) fn ask_to_end(
        self: &Arc<Self>,
        id: &ContainerId,
        now: Instant,
    ) -> Result<Option<Instant>, RuntimeError> {
        let (heeds, code, delay, end) = self.with(id, |attempt| {
            let script = &attempt.script;
            (!script.ignore_signals, script.exit_code, script.stop_delay, attempt.end)
        })?;
        if heeds {
            return self.end_by(id, now + delay, code).map(Some);
        }
        Ok(end.map(|(at, _, _)| at))
    }

    /// Ends a container at `at` at the latest. Answers when it ends.
    pub(super) fn end_by(
        self: &Arc<Self>,
        id: &ContainerId,
        at: Instant,
        code: i32,
    ) -> Result<Instant, RuntimeError> {
        let (before, at) = self.with(id, |attempt| {
            let before = attempt.end.map(|(at, _, _)| at);
            if before.is_none_or(|planned| at < planned) {
                attempt.end = Some((at, code, false));
            }
            (before, before.map_or(at, |planned| planned.min(at)))
        })?;
        if before != Some(at) {
            let mut state = self.lock();
            if let Some(before) = before {
                state.timers.remove(&(before, id.clone()));
            }
            state.timers.insert((at, id.clone()));
        }
        self.tick();
        Ok(at)
    }

    fn with<T>(&self, id: &ContainerId, act: impl FnOnce(&mut Attempt) -> T) -> Result<T, RuntimeError> {
        let mut state = self.lock();
        let attempt = state
            .sandboxes
            .get_mut(&id.instance)
            .and_then(|sandbox| sandbox.get_mut(&id.container)?.attempts.last_mut())
            .ok_or_else(|| not_found(id))?;
        Ok(act(attempt))
    }

    /// What a container has written by now, from a line on. `None` when it does not exist.
    pub(super) fn lines(&self, id: &ContainerId, from: usize) -> Option<Vec<LogLine>> {
        let (state, now) = (self.lock(), Instant::now());
        let container = state.sandboxes.get(&id.instance)?.get(&id.container)?;
        let mut lines = Vec::new();
        let mut before = 0;
        for attempt in &container.attempts {
            let until = attempt.ended(now).map_or(now, |(at, _, _)| at);
            // Lines are numbered through all attempts; those already seen need no text.
            let mut number = 0;
            while let Some((after, stream, text)) = attempt.script.line(number) {
                let at = attempt.started + after;
                if at > until {
                    break;
                }
                if before + number >= from {
                    lines.push(LogLine { at: self.time(at), stream, text });
                }
                number += 1;
            }
            before += number;
        }
        Some(lines)
    }

    pub(super) fn usage(&self, id: &ContainerId) -> Result<ContainerUsage, RuntimeError> {
        self.running(id)?;
        self.with(id, |attempt| {
            let passed = u64::try_from(attempt.started.elapsed().as_micros()).unwrap_or(u64::MAX);
            ContainerUsage {
                cpu_micros: passed.saturating_mul(attempt.cpu) / 1000,
                memory: attempt.script.memory.get(),
                pids: 1,
            }
        })
    }

    /// Makes sure that the task which tells of endings runs and knows of the next one.
    fn tick(self: &Arc<Self>) {
        self.wake.notify_one();
        let mut state = self.lock();
        if !state.ticking {
            state.ticking = true;
            let (world, wake) = (Arc::downgrade(self), Arc::clone(&self.wake));
            tokio::spawn(tell_endings(world, wake));
        }
    }

    /// Tells of endings that are due. Answers when the next one is.
    fn tell_due(&self) -> Option<Instant> {
        let mut due = Vec::new();
        let next = {
            let (mut state, now) = (self.lock(), Instant::now());
            loop {
                match state.timers.first() {
                    Some((at, _)) if *at <= now => due.extend(state.timers.pop_first()),
                    next => break next.map(|(at, _)| *at),
                }
            }
        };
        for (_, id) in due {
            // Nobody may be listening.
            let _ = self.endings.send(id);
        }
        next
    }
}

/// One task for all containers; ends with the simulation.
async fn tell_endings(world: Weak<World>, wake: Arc<Notify>) {
    const LONG: Duration = Duration::from_secs(3600);
    loop {
        let Some(next) = world.upgrade().map(|world| world.tell_due()) else { return };
        let until = next.unwrap_or_else(|| Instant::now() + LONG);
        tokio::select! {
            () = tokio::time::sleep_until(until) => {}
            () = wake.notified() => {}
        }
    }
}
