//! The end of an instance: its containers first, then its place in the network.

use univrs_model::instance::{Health, Phase};

use super::{ContainerSeen, LifeStep, Now, Preparation};

impl Now<'_> {
    /// Ends what is left. The last phase is reached when no container runs and the network is free, so that
    /// nothing is given to another instance too early.
    pub(crate) fn end(&mut self) {
        let Some(ending) = self.memory.ending.clone() else { return };
        self.steps.retain(|step| matches!(step, LifeStep::StopContainer { .. }));
        self.reach(Phase::Stopping);
        self.observation.message.clone_from(&ending.message);
        self.set_health(Health::None);
        let mut left = false;
        for (name, seen) in &self.seen.containers {
            match seen {
                ContainerSeen::Starting => left = true,
                ContainerSeen::Running { .. } => {
                    left = true;
                    let grace = self
                        .containers
                        .iter()
                        .find(|c| c.name == *name)
                        .map_or_else(Default::default, |c| c.stop_grace);
                    let step = LifeStep::StopContainer { name: name.clone(), grace };
                    if !self.steps.contains(&step) {
                        self.steps.push(step);
                    }
                }
                ContainerSeen::Exited { at, code, .. } => {
                    if self.memory.last_exit.is_none_or(|(last, _)| last < *at) {
                        self.memory.last_exit = Some((*at, *code));
                    }
                }
                ContainerSeen::Absent | ContainerSeen::NotStarted { .. } => {}
            }
        }
        self.observation.exit_code =
            self.memory.last_exit.map_or(self.observation.exit_code, |(_, code)| code);
        if left {
            return;
        }
        match self.seen.network {
            Preparation::Missing => {}
            Preparation::Doing => return,
            Preparation::Ready | Preparation::Failed(_) => {
                self.steps.push(LifeStep::Detach);
                return;
            }
        }
        self.reach(ending.phase);
        self.observation.ended_at = Some(self.now);
        self.observation.address = None;
        self.wake_at = None;
    }
}
